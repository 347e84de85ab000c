//! Completion of what exists at the moment of the Tab, in the real shells.

use std::process::Command;

use crate::common;
use crate::common::{Run, World, wait_until};

/// A fleet of two with a topic and a profile of the user's own.
fn fleet() -> World {
    let world = World::new();
    world.profile("mytool", "description = \"mine\"\ncommand = [\"cat\"]\n");
    world.add("api-server", &["cat"]);
    world.add("api-client", &["cat"]);
    world.add("zebra", &["cat"]);
    world.peer(&["wake", "zebra", "--topic", "billing"]);
    world
}

/// A PATH that starts with the directory of `peer`.
fn path() -> String {
    let bin = std::path::Path::new(env!("CARGO_BIN_EXE_peer")).parent().expect("a directory");
    format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"))
}

fn shell(world: &World, program: &str, args: &[&str]) -> Run {
    let mut command = Command::new(program);
    command.env_clear().envs(world.command(&[]).get_envs().filter_map(|(key, value)| Some((key, value?))));
    Run::of(command.args(args).env("PATH", path()).current_dir(world.work()), None)
}

/// The completions that bash would offer for the last of `words`.
#[track_caller]
fn bash(world: &World, words: &[&str]) -> Vec<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let script = format!(
        "source <(peer completions bash)\nCOMP_WORDS=({})\nCOMP_CWORD={}\nCOMP_LINE=\"${{COMP_WORDS[*]}}\"\n\
         COMP_POINT=${{#COMP_LINE}}\n_peer peer '{}' ''\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len() - 1,
        words.last().expect("a word")
    );
    let run = shell(world, "bash", &["--norc", "-c", &script]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
    run.stdout.split(['\n', '\u{b}']).map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

#[test]
fn bash_offers_names_profiles_topics_verbs_and_flags() {
    let world = fleet();
    assert_eq!(bash(&world, &["peer", "wake", "api"]), ["api-client", "api-server"]);
    assert_eq!(bash(&world, &["peer", "status", "z"]), ["zebra"]);
    assert_eq!(bash(&world, &["peer", "wake", "zebra", "--topic", ""]), ["billing"]);
    assert_eq!(bash(&world, &["peer", "add", "x", "--agent", "m"]), ["mytool"]);
    assert_eq!(bash(&world, &["peer", "add", "x", "--agent", "c"]), ["claude", "codex", "command"]);
    assert_eq!(bash(&world, &["peer", "sta"]), ["start", "status"]);
    assert!(bash(&world, &["peer", "wake", "--fr"]).contains(&"--fresh".to_owned()));
    // A peer that is declared later is offered from then on.
    world.add("api-new", &["cat"]);
    assert_eq!(bash(&world, &["peer", "wake", "api"]), ["api-client", "api-new", "api-server"]);
}

#[test]
fn fish_offers_the_same() {
    let world = fleet();
    let offers = |line: &str| {
        let script = format!("peer completions fish | source; complete -C '{line}'");
        let run = shell(&world, "fish", &["--no-config", "-c", &script]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
        run.stdout.lines().map(|line| line.split('\t').next().expect("a word").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(offers("peer wake api"), ["api-client", "api-server"]);
    assert_eq!(offers("peer wake zebra --topic b"), ["billing"]);
    assert_eq!(offers("peer add x --agent my"), ["mytool"]);
}

/// A shell at its prompt in a tmux pane, where Tab is pressed.
struct Prompt<'a> {
    world: &'a World,
    pane: String,
}

impl<'a> Prompt<'a> {
    #[track_caller]
    fn of(world: &'a World, program: &str) -> Self {
        let (rc, text) = match program {
            "bash" => (".bashrc", "PS1='> '; source <(peer completions bash)\n"),
            "zsh" => (".zshrc", "PS1='> '; autoload -U compinit; compinit -u; source <(peer completions zsh)\n"),
            _ => (
                ".config/fish/config.fish",
                "function fish_prompt; echo -n '> '; end\nfunction fish_greeting; end\npeer completions fish | source\n",
            ),
        };
        let rc = world.path("home").join(rc);
        std::fs::create_dir_all(rc.parent().expect("a directory")).expect("create");
        std::fs::write(rc, text).expect("write");
        let line = format!(
            "env HOME={home} ZDOTDIR={home} PATH={} PEER_STATE_DIR={} PEER_CONFIG_DIR={} TERM=screen LC_ALL=C.UTF-8 \
             {program} -i",
            path(),
            world.path("state").display(),
            world.path("config").display(),
            home = world.path("home").display()
        );
        let argv = ["-f/dev/null", "new-session", "-dP", "-F#{pane_id}", "-x100", "-y20", "sh", "-c", &line];
        let pane = world.tmux_on(&world.path("s-look"), &argv).trim().to_owned();
        let prompt = Self { world, pane };
        wait_until("the prompt", || prompt.line() == ">");
        prompt
    }

    /// The last line that is not empty.
    fn line(&self) -> String {
        let screen = self.world.tmux_on(&self.world.path("s-look"), &["capture-pane", "-p", "-t", &self.pane]);
        screen.trim_end().lines().next_back().unwrap_or_default().trim_end().to_owned()
    }

    fn press(&self, keys: &[&str]) {
        let words = [&["send-keys", "-t", &self.pane], keys].concat();
        assert_eq!(self.world.tmux_on(&self.world.path("s-look"), &words), "");
    }

    /// Types `typed` and a Tab, and waits until the prompt shows `completed`.
    #[track_caller]
    fn completes(&self, typed: &str, completed: &str) {
        self.press(&["-l", typed]);
        wait_until("it is typed", || self.line() == format!("> {typed}"));
        self.press(&["Tab"]);
        let wanted = format!("> {completed}");
        let mut last = String::new();
        let patience = std::time::Instant::now() + common::PATIENCE;
        while last != wanted {
            assert!(std::time::Instant::now() < patience, "{typed}<Tab> became {last:?}, not {wanted:?}");
            last = self.line();
        }
        self.press(&["C-u"]);
        wait_until("the line is empty", || self.line() == ">");
    }
}

/// Topics are free text. A completion must be one word that means the topic, however the word was begun.
#[test]
fn topics_with_spaces_and_quotes_become_one_word_in_each_shell() {
    let world = fleet();
    world.write("zebra", "topic", "fix the login\nit's odd\nsay \"hi\" now\ncost $5 * 3\nback\\slash\nPR: rebase\n");
    for shell in ["bash", "zsh", "fish"] {
        let prompt = Prompt::of(&world, shell);
        for (typed, completed) in [
            ("fi", r"fix\ the\ login"),
            (r"fix\ th", r"fix\ the\ login"),
            ("'fix th", "'fix the login'"),
            ("\"fix th", "\"fix the login\""),
            ("it", r"it\'s\ odd"),
            ("\"it'", "\"it's odd\""),
            ("sa", r#"say\ \"hi\"\ now"#),
            ("'say", r#"'say "hi" now'"#),
            ("cos", r"cost\ \$5\ \*\ 3"),
            ("'cos", "'cost $5 * 3'"),
            ("bac", r"back\\slash"),
            (r"PR:\ re", r"PR:\ rebase"),
        ] {
            let line = |word: &str| format!("peer wake zebra --topic {word}");
            prompt.completes(&line(typed), &line(completed));
        }
        prompt.completes("peer why zebra --topic=fi", r"peer why zebra --topic=fix\ the\ login");
    }
}

#[test]
fn each_shell_completes_at_its_prompt() {
    let world = fleet();
    std::fs::create_dir(world.path("home/some dir")).expect("create");
    for shell in ["bash", "zsh", "fish"] {
        let prompt = Prompt::of(&world, shell);
        prompt.completes("peer status ze", "peer status zebra");
        prompt.completes("peer wake api-s", "peer wake api-server");
        prompt.completes("peer add x --agent myt", "peer add x --agent mytool");
        prompt.completes("peer list --sort las", "peer list --sort last-end");
        prompt.completes("peer log --event wake.d", "peer log --event wake.decided");
        prompt.completes("peer add x --cwd ~/so", r"peer add x --cwd ~/some\ dir/");
    }
}

/// A file with the command's name in a directory of `$fpath`, where a package would put it.
#[test]
fn zsh_finds_it_in_its_function_path() {
    let world = fleet();
    let functions = world.path("functions");
    std::fs::create_dir(&functions).expect("create");
    std::fs::write(functions.join("_peer"), world.peer(&["completions", "zsh"]).stdout).expect("write");
    let prompt = Prompt::of(&world, "zsh");
    let setup = format!("unfunction _peer; fpath=({} $fpath); compinit -u -D; clear", functions.display());
    prompt.press(&["-l", &setup]);
    prompt.press(&["Enter"]);
    wait_until("the prompt", || prompt.line() == ">");
    prompt.completes("peer status ze", "peer status zebra");
}

#[test]
fn where_nothing_is_declared_nothing_is_offered_made_or_said() {
    let world = World::new();
    assert!(bash(&world, &["peer", "status", "a"]).is_empty());
    assert!(!world.path("state").exists());
    std::fs::remove_dir_all(world.path("config")).expect("ours");
    assert!(bash(&world, &["peer", "status", "a"]).is_empty());
}

#[test]
fn each_shell_has_a_script_that_asks_peer() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = world.peer(&["completions", shell]);
        assert!(run.code == 0 && run.stdout.contains("PEER_COMPLETE"), "{shell}: {run:?}");
        assert!(!run.stdout.contains(env!("CARGO_BIN_EXE_peer")), "{shell}: a path of this machine");
    }
    let run = world.peer(&["completions", "tcsh"]);
    assert!(run.code == 2 && run.stderr.starts_with("error: invalid value 'tcsh'"), "{run:?}");
}
