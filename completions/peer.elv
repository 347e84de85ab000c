
use builtin;
use str;

set edit:completion:arg-completer[peer] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'peer'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'peer'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand add 'Declare a peer'
            cand rm 'Forget peers; their files go to the trash'
            cand edit 'Open a peer''s spec in $EDITOR; it is checked before it is saved'
            cand show 'Print a peer''s effective spec, with where each value came from'
            cand wake 'Bring agents up, fresh or resumed, and say why'
            cand send 'Deliver a message, waking the agent first'
            cand attach 'Hand this terminal to an agent''s pane, waking it first where it sleeps'
            cand stop 'Park agents and refuse to wake them until `peer start`'
            cand start 'Allow stopped agents to be woken again; starts nothing by itself'
            cand new 'Start a new conversation now, whatever state the agent is in'
            cand move 'Move a peer to the other runtime, with its conversation'
            cand refresh 'Start fresh at the next natural wake; nothing is disturbed now'
            cand interrupt 'Press the agent''s interrupt key'
            cand self-fresh 'Restart the agent of this pane with a new conversation; for the agent itself'
            cand self-done 'Say that the task of this ephemeral agent is done; for the agent itself'
            cand beat 'Say that the agent of this pane is alive and at work; for the agent''s hooks'
            cand reap 'One tick: probe every peer, judge, park, bury, and stamp; for cron or a timer'
            cand watch 'The same tick again and again in the foreground, for those who prefer a service'
            cand list 'List peers: state, topic, idle time, restarts and how each ended last'
            cand status 'Tell the story of one peer on one screen'
            cand why 'Say what a wake would do now, row by row, and change nothing'
            cand screen 'Print what an agent''s pane shows now, or showed last'
            cand log 'Print the decision log'
            cand reset 'Forget deaths, and with them the hold and the failed latch'
            cand timer 'Have `peer reap` run by systemd, launchd or cron, with the environment that it needs'
            cand agents 'List the agent profiles, built in and your own, with what each can do'
            cand completions 'Print shell completions'
            cand man 'Print the manual page, or write all pages to a directory'
            cand seed 'Wait for a fresh agent after a self-fresh and type its initial prompt; run by the pane process'
            cand hook 'Run the hooks that want the event on stdin; started by whoever wrote that event into the log'
        }
        &'peer;add'= {
            cand --agent 'The agent''s profile (see `peer agents`); told from the command when not given'
            cand --runtime 'Where its pane runs: tmux or zellij; the first that is installed when not given'
            cand --cwd 'Its working directory; this one when not given'
            cand --idle 'Parked after so long without activity: 30m, 1h; 0 is never'
            cand --restart 'What follows its end: on-wake, on-failure or always'
            cand --prompt 'Typed into each fresh conversation before the first message'
            cand --env 'A variable for the agent; may be given again'
            cand --accept 'A dialog of the agent''s that may be answered for you, e.g. trust-folder; may be given again'
            cand --replace 'Take the place of another declaration of this name'
            cand --json 'Print one JSON document'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'peer;rm'= {
            cand --all 'Every declared peer'
            cand -f 'End it first where it is awake'
            cand --force 'End it first where it is awake'
            cand --json 'Print one JSON document'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'peer;edit'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;show'= {
            cand --json 'Print one JSON document'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;wake'= {
            cand -t 'What the message is about; a topic its conversation does not know may start a new one'
            cand --topic 'What the message is about; a topic its conversation does not know may start a new one'
            cand -m 'Text to deliver once it is ready'
            cand --message 'Text to deliver once it is ready'
            cand --message-file 'File with the text to deliver; - is stdin'
            cand --jobs 'At most this many at once'
            cand --all 'Every declared peer'
            cand --fresh 'Start a new conversation, whatever the table says'
            cand --resume 'Continue the last conversation, or refuse'
            cand --force 'With --fresh: start it even in a crash loop or after it failed'
            cand --json 'Print one JSON document'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'peer;send'= {
            cand --file 'File with the text; - is stdin'
            cand -t 'What it is about'
            cand --topic 'What it is about'
            cand --command 'It is a command of the agent''s own, such as /compact, and not something said'
            cand --no-wake 'Refuse instead of waking it'
            cand --json 'Print one JSON document'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'peer;attach'= {
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'peer;stop'= {
            cand --jobs 'At most this many at once'
            cand --all 'Every declared peer'
            cand --json 'Print one JSON document'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'peer;start'= {
            cand --all 'Every declared peer'
            cand --json 'Print one JSON document'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;new'= {
            cand -t 'What the message is about'
            cand --topic 'What the message is about'
            cand -m 'Text to deliver once it is ready'
            cand --message 'Text to deliver once it is ready'
            cand --json 'Print one JSON document'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'peer;move'= {
            cand --runtime 'Where to: tmux or zellij'
            cand --json 'Print one JSON document'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'peer;refresh'= {
            cand --all 'Every declared peer'
            cand --json 'Print one JSON document'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;interrupt'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;self-fresh'= {
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'peer;self-done'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;beat'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;reap'= {
            cand --only 'Only this peer'
            cand --budget 'How long the tick may take; 20s when neither this nor config.toml says otherwise'
            cand -n 'Judge, and do nothing'
            cand --dry-run 'Judge, and do nothing'
            cand --json 'Print one JSON document'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'peer;watch'= {
            cand --every 'From the beginning of one tick to the next'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'peer;list'= {
            cand --format 'Print a line a peer as TEMPLATE says, e.g. ''{name} {state}'''
            cand --every 'From one look of --watch to the next'
            cand --json 'Print one JSON document'
            cand -w 'Show it again and again until interrupted'
            cand --watch 'Show it again and again until interrupted'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;status'= {
            cand -s 'One line, for a shell prompt: name, state, since when'
            cand --short 'One line, for a shell prompt: name, state, since when'
            cand --json 'Print one JSON document'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'peer;why'= {
            cand -t 'What the message is about; a topic its conversation does not know may start a new one'
            cand --topic 'What the message is about; a topic its conversation does not know may start a new one'
            cand --fresh 'Start a new conversation, whatever the table says'
            cand --resume 'Continue the last conversation, or refuse'
            cand --force 'With --fresh: start it even in a crash loop or after it failed'
            cand --json 'Print one JSON document'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'peer;screen'= {
            cand -l 'Only the last N lines; more than the screen has reads its history'
            cand --lines 'Only the last N lines; more than the screen has reads its history'
            cand --ansi 'Keep colours and attributes'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;log'= {
            cand --since 'Only what is younger: 1h, 2d'
            cand --event 'Only events of this name, e.g. session.ended; a prefix as in `wake.` works too'
            cand -f 'Go on printing as events come'
            cand --follow 'Go on printing as events come'
            cand -r 'Say how long ago each was instead of when'
            cand --relative 'Say how long ago each was instead of when'
            cand --json 'Print the events as JSON Lines, as they are in the file'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;reset'= {
            cand --all 'Every declared peer'
            cand --json 'Print one JSON document'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;timer'= {
            cand -h 'Print help'
            cand --help 'Print help'
            cand install 'Install it, or change it; twice is once'
            cand uninstall 'Take it away, of whatever kind it is'
            cand status 'Say who runs it and when it last ticked; exit code 1 when it does not'
        }
        &'peer;timer;install'= {
            cand --every 'From one tick to the next'
            cand --kind 'Who is to run it; what runs here when not given'
            cand --print 'Show what would be written and run, and do nothing'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;timer;uninstall'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;timer;status'= {
            cand --json 'Print one JSON document'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;agents'= {
            cand --json 'Print one JSON document'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;completions'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;man'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;seed'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'peer;hook'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
    ]
    $completions[$command]
}
