# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_peer_global_optspecs
    string join \n h/help V/version
end

function __fish_peer_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_peer_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_peer_using_subcommand
    set -l cmd (__fish_peer_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c peer -n "__fish_peer_needs_command" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_needs_command" -s V -l version -d 'Print version'
complete -c peer -n "__fish_peer_needs_command" -f -a "add" -d 'Declare a peer'
complete -c peer -n "__fish_peer_needs_command" -f -a "rm" -d 'Forget peers; their files go to the trash'
complete -c peer -n "__fish_peer_needs_command" -f -a "edit" -d 'Open a peer\'s spec in $EDITOR; it is checked before it is saved'
complete -c peer -n "__fish_peer_needs_command" -f -a "show" -d 'Print a peer\'s effective spec, with where each value came from'
complete -c peer -n "__fish_peer_needs_command" -f -a "wake" -d 'Bring agents up, fresh or resumed, and say why'
complete -c peer -n "__fish_peer_needs_command" -f -a "send" -d 'Deliver a message, waking the agent first'
complete -c peer -n "__fish_peer_needs_command" -f -a "attach" -d 'Hand this terminal to an agent\'s pane, waking it first where it sleeps'
complete -c peer -n "__fish_peer_needs_command" -f -a "stop" -d 'Park agents and refuse to wake them until `peer start`'
complete -c peer -n "__fish_peer_needs_command" -f -a "start" -d 'Allow stopped agents to be woken again; starts nothing by itself'
complete -c peer -n "__fish_peer_needs_command" -f -a "new" -d 'Start a new conversation now, whatever state the agent is in'
complete -c peer -n "__fish_peer_needs_command" -f -a "move" -d 'Move a peer to the other runtime, with its conversation'
complete -c peer -n "__fish_peer_needs_command" -f -a "refresh" -d 'Start fresh at the next natural wake; nothing is disturbed now'
complete -c peer -n "__fish_peer_needs_command" -f -a "interrupt" -d 'Press the agent\'s interrupt key'
complete -c peer -n "__fish_peer_needs_command" -f -a "self-fresh" -d 'Restart the agent of this pane with a new conversation; for the agent itself'
complete -c peer -n "__fish_peer_needs_command" -f -a "self-done" -d 'Say that the task of this ephemeral agent is done; for the agent itself'
complete -c peer -n "__fish_peer_needs_command" -f -a "beat" -d 'Say that the agent of this pane is alive and at work; for the agent\'s hooks'
complete -c peer -n "__fish_peer_needs_command" -f -a "reap" -d 'One tick: probe every peer, judge, park, bury, and stamp; for cron or a timer'
complete -c peer -n "__fish_peer_needs_command" -f -a "watch" -d 'The same tick again and again in the foreground, for those who prefer a service'
complete -c peer -n "__fish_peer_needs_command" -f -a "list" -d 'List peers: state, topic, idle time, restarts and how each ended last'
complete -c peer -n "__fish_peer_needs_command" -f -a "status" -d 'Tell the story of one peer on one screen'
complete -c peer -n "__fish_peer_needs_command" -f -a "why" -d 'Say what a wake would do now, row by row, and change nothing'
complete -c peer -n "__fish_peer_needs_command" -f -a "screen" -d 'Print what an agent\'s pane shows now, or showed last'
complete -c peer -n "__fish_peer_needs_command" -f -a "log" -d 'Print the decision log'
complete -c peer -n "__fish_peer_needs_command" -f -a "reset" -d 'Forget deaths, and with them the hold and the failed latch'
complete -c peer -n "__fish_peer_needs_command" -f -a "timer" -d 'Have `peer reap` run by systemd, launchd or cron, with the environment that it needs'
complete -c peer -n "__fish_peer_needs_command" -f -a "agents" -d 'List the agent profiles, built in and your own, with what each can do'
complete -c peer -n "__fish_peer_needs_command" -f -a "completions" -d 'Print shell completions'
complete -c peer -n "__fish_peer_needs_command" -f -a "man" -d 'Print the manual page, or write all pages to a directory'
complete -c peer -n "__fish_peer_needs_command" -f -a "seed" -d 'Wait for a fresh agent after a self-fresh and type its initial prompt; run by the pane process'
complete -c peer -n "__fish_peer_needs_command" -f -a "hook" -d 'Run the hooks that want the event on stdin; started by whoever wrote that event into the log'
complete -c peer -n "__fish_peer_using_subcommand add" -l agent -d 'The agent\'s profile (see `peer agents`); told from the command when not given' -r
complete -c peer -n "__fish_peer_using_subcommand add" -l runtime -d 'Where its pane runs: tmux or zellij; the first that is installed when not given' -r
complete -c peer -n "__fish_peer_using_subcommand add" -l cwd -d 'Its working directory; this one when not given' -r -F
complete -c peer -n "__fish_peer_using_subcommand add" -l idle -d 'Parked after so long without activity: 30m, 1h; 0 is never' -r
complete -c peer -n "__fish_peer_using_subcommand add" -l restart -d 'What follows its end: on-wake, on-failure or always' -r
complete -c peer -n "__fish_peer_using_subcommand add" -l prompt -d 'Typed into each fresh conversation before the first message' -r
complete -c peer -n "__fish_peer_using_subcommand add" -l env -d 'A variable for the agent; may be given again' -r
complete -c peer -n "__fish_peer_using_subcommand add" -l accept -d 'A dialog of the agent\'s that may be answered for you, e.g. trust-folder; may be given again' -r
complete -c peer -n "__fish_peer_using_subcommand add" -l replace -d 'Take the place of another declaration of this name'
complete -c peer -n "__fish_peer_using_subcommand add" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peer -n "__fish_peer_using_subcommand rm" -l all -d 'Every declared peer'
complete -c peer -n "__fish_peer_using_subcommand rm" -s f -l force -d 'End it first where it is awake'
complete -c peer -n "__fish_peer_using_subcommand rm" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peer -n "__fish_peer_using_subcommand edit" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand show" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand show" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand wake" -s t -l topic -d 'What the message is about; a topic its conversation does not know may start a new one' -r
complete -c peer -n "__fish_peer_using_subcommand wake" -s m -l message -d 'Text to deliver once it is ready' -r
complete -c peer -n "__fish_peer_using_subcommand wake" -l message-file -d 'File with the text to deliver; - is stdin' -r -F
complete -c peer -n "__fish_peer_using_subcommand wake" -l jobs -d 'At most this many at once' -r
complete -c peer -n "__fish_peer_using_subcommand wake" -l all -d 'Every declared peer'
complete -c peer -n "__fish_peer_using_subcommand wake" -l fresh -d 'Start a new conversation, whatever the table says'
complete -c peer -n "__fish_peer_using_subcommand wake" -l resume -d 'Continue the last conversation, or refuse'
complete -c peer -n "__fish_peer_using_subcommand wake" -l force -d 'With --fresh: start it even in a crash loop or after it failed'
complete -c peer -n "__fish_peer_using_subcommand wake" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand wake" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peer -n "__fish_peer_using_subcommand send" -l file -d 'File with the text; - is stdin' -r -F
complete -c peer -n "__fish_peer_using_subcommand send" -s t -l topic -d 'What it is about' -r
complete -c peer -n "__fish_peer_using_subcommand send" -l command -d 'It is a command of the agent\'s own, such as /compact, and not something said'
complete -c peer -n "__fish_peer_using_subcommand send" -l no-wake -d 'Refuse instead of waking it'
complete -c peer -n "__fish_peer_using_subcommand send" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand send" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peer -n "__fish_peer_using_subcommand attach" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peer -n "__fish_peer_using_subcommand stop" -l jobs -d 'At most this many at once' -r
complete -c peer -n "__fish_peer_using_subcommand stop" -l all -d 'Every declared peer'
complete -c peer -n "__fish_peer_using_subcommand stop" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peer -n "__fish_peer_using_subcommand start" -l all -d 'Every declared peer'
complete -c peer -n "__fish_peer_using_subcommand start" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand start" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand new" -s t -l topic -d 'What the message is about' -r
complete -c peer -n "__fish_peer_using_subcommand new" -s m -l message -d 'Text to deliver once it is ready' -r
complete -c peer -n "__fish_peer_using_subcommand new" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand new" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peer -n "__fish_peer_using_subcommand move" -l runtime -d 'Where to: tmux or zellij' -r
complete -c peer -n "__fish_peer_using_subcommand move" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand move" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peer -n "__fish_peer_using_subcommand refresh" -l all -d 'Every declared peer'
complete -c peer -n "__fish_peer_using_subcommand refresh" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand refresh" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand interrupt" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand self-fresh" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peer -n "__fish_peer_using_subcommand self-done" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand beat" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand reap" -l only -d 'Only this peer' -r
complete -c peer -n "__fish_peer_using_subcommand reap" -l budget -d 'How long the tick may take; 20s when neither this nor config.toml says otherwise' -r
complete -c peer -n "__fish_peer_using_subcommand reap" -s n -l dry-run -d 'Judge, and do nothing'
complete -c peer -n "__fish_peer_using_subcommand reap" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand reap" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peer -n "__fish_peer_using_subcommand watch" -l every -d 'From the beginning of one tick to the next' -r
complete -c peer -n "__fish_peer_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peer -n "__fish_peer_using_subcommand list" -l format -d 'Print a line a peer as TEMPLATE says, e.g. \'{name} {state}\'' -r
complete -c peer -n "__fish_peer_using_subcommand list" -l every -d 'From one look of --watch to the next' -r
complete -c peer -n "__fish_peer_using_subcommand list" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand list" -s w -l watch -d 'Show it again and again until interrupted'
complete -c peer -n "__fish_peer_using_subcommand list" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand status" -s s -l short -d 'One line, for a shell prompt: name, state, since when'
complete -c peer -n "__fish_peer_using_subcommand status" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peer -n "__fish_peer_using_subcommand why" -s t -l topic -d 'What the message is about; a topic its conversation does not know may start a new one' -r
complete -c peer -n "__fish_peer_using_subcommand why" -l fresh -d 'Start a new conversation, whatever the table says'
complete -c peer -n "__fish_peer_using_subcommand why" -l resume -d 'Continue the last conversation, or refuse'
complete -c peer -n "__fish_peer_using_subcommand why" -l force -d 'With --fresh: start it even in a crash loop or after it failed'
complete -c peer -n "__fish_peer_using_subcommand why" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand why" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c peer -n "__fish_peer_using_subcommand screen" -s l -l lines -d 'Only the last N lines; more than the screen has reads its history' -r
complete -c peer -n "__fish_peer_using_subcommand screen" -l ansi -d 'Keep colours and attributes'
complete -c peer -n "__fish_peer_using_subcommand screen" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand log" -l since -d 'Only what is younger: 1h, 2d' -r
complete -c peer -n "__fish_peer_using_subcommand log" -l event -d 'Only events of this name, e.g. session.ended; a prefix as in `wake.` works too' -r
complete -c peer -n "__fish_peer_using_subcommand log" -s f -l follow -d 'Go on printing as events come'
complete -c peer -n "__fish_peer_using_subcommand log" -s r -l relative -d 'Say how long ago each was instead of when'
complete -c peer -n "__fish_peer_using_subcommand log" -l json -d 'Print the events as JSON Lines, as they are in the file'
complete -c peer -n "__fish_peer_using_subcommand log" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand reset" -l all -d 'Every declared peer'
complete -c peer -n "__fish_peer_using_subcommand reset" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand reset" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand timer; and not __fish_seen_subcommand_from install uninstall status" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand timer; and not __fish_seen_subcommand_from install uninstall status" -f -a "install" -d 'Install it, or change it; twice is once'
complete -c peer -n "__fish_peer_using_subcommand timer; and not __fish_seen_subcommand_from install uninstall status" -f -a "uninstall" -d 'Take it away, of whatever kind it is'
complete -c peer -n "__fish_peer_using_subcommand timer; and not __fish_seen_subcommand_from install uninstall status" -f -a "status" -d 'Say who runs it and when it last ticked; exit code 1 when it does not'
complete -c peer -n "__fish_peer_using_subcommand timer; and __fish_seen_subcommand_from install" -l every -d 'From one tick to the next' -r
complete -c peer -n "__fish_peer_using_subcommand timer; and __fish_seen_subcommand_from install" -l kind -d 'Who is to run it; what runs here when not given' -r -f -a "systemd\t''
launchd\t''
cron\t''"
complete -c peer -n "__fish_peer_using_subcommand timer; and __fish_seen_subcommand_from install" -l print -d 'Show what would be written and run, and do nothing'
complete -c peer -n "__fish_peer_using_subcommand timer; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand timer; and __fish_seen_subcommand_from uninstall" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand timer; and __fish_seen_subcommand_from status" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand timer; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand agents" -l json -d 'Print one JSON document'
complete -c peer -n "__fish_peer_using_subcommand agents" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand completions" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand man" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand seed" -s h -l help -d 'Print help'
complete -c peer -n "__fish_peer_using_subcommand hook" -s h -l help -d 'Print help'
