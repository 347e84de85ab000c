//! The pictures of the README show what this binary prints: the session is typed again, line by line, in a fleet like
//! the one that was recorded. `scripts/picture` records them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::common::{Run, World, wait_for, wait_until};
use serde_json::json;

const CURE: &str = "run scripts/picture, and look at what it made";

fn repository(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a file of the repository")
}

/// The text of a picture, row by row; the space between words is ignored.
fn text(file: &str) -> Vec<String> {
    let run = regex::Regex::new(r#"<text x="([\d.]+)" y="([\d.]+)" textLength="[\d.]+"[^>]*>([^<]*)</text>"#);
    let mut rows: Vec<(String, String)> = Vec::new();
    for found in run.expect("a pattern").captures_iter(&repository(file)) {
        let words = found[3].replace("&gt;", ">").replace("&lt;", "<").replace("&quot;", "\"").replace("&amp;", "&");
        match rows.last_mut().filter(|(y, _)| *y == found[2]) {
            Some((_, row)) => row.extend([" ", &words]),
            None => rows.push((found[2].to_owned(), words)),
        }
    }
    rows.into_iter().map(|(_, row)| loose(&row)).collect()
}

/// A line without what differs from run to run: numbers in times, and the width of columns.
fn loose(line: &str) -> String {
    let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let time = regex::Regex::new(r"\b\d+ ?(s|m|h|d)\b").expect("a pattern");
    time.replace_all(&words, "N$1").into_owned()
}

/// Moves the last end of a peer into the past.
fn ended(world: &World, name: &str, ago: u64) {
    let then = SystemTime::now().checked_sub(Duration::from_secs(ago)).expect("after 1970");
    let at = u64::try_from(then.duration_since(UNIX_EPOCH).expect("after 1970").as_millis()).expect("a time");
    world.edit(name, "end", |end| end["at_ms"] = json!(at));
}

/// The fleet of `scripts/picture`.
fn fleet() -> World {
    let world = World::new();
    for (name, idle, words) in [
        ("api", "1s", &[][..]),
        ("docs", "1s", &[]),
        ("web", "2s", &[]),
        ("nightly", "1h", &[]),
        ("scraper", "1h", &["--exit-after", "1:3"]),
    ] {
        let cwd = world.path(&format!("home/{name}"));
        fs::create_dir(&cwd).expect("create");
        world.demo_with(name, &["--idle", idle, "--cwd", cwd.to_str().expect("UTF-8")], words);
    }
    world.peer(&["wake", "api", "-t", "signup", "-m", "add a signup page"]);
    world.peer(&["wake", "docs", "-t", "release-notes", "-m", "write the release notes"]);
    world.peer(&["wake", "nightly", "-m", "good night"]);
    world.peer(&["stop", "nightly"]);
    world.peer(&["wake", "scraper"]);
    let states = |names: &[&str]| world.peer(&[&["list", "--format", "{state}"], names].concat()).stdout;
    wait_until("api and docs are parked", || {
        world.peer(&["reap"]);
        states(&["api", "docs"]) == "asleep\nasleep\n" && states(&["scraper"]) == "crashed\n"
    });
    for name in ["api", "docs"] {
        let spec = world.path(&format!("config/peers/{name}.toml"));
        let text = fs::read_to_string(&spec).expect("read");
        let longer: Vec<_> =
            text.lines().map(|line| if line.starts_with("idle") { "idle_timeout = \"1h\"" } else { line }).collect();
        fs::write(spec, longer.join("\n") + "\n").expect("write");
    }
    for (name, ago) in [("api", 7500), ("docs", 93600), ("nightly", 32400), ("scraper", 720)] {
        ended(&world, name, ago);
    }
    world.peer(&["wake", "web", "-t", "checkout", "-m", "make the checkout faster"]);
    world
}

/// What the line prints when it is typed into a shell.
fn typed(world: &World, line: &str) -> Vec<String> {
    if line == "peer reap" {
        wait_until("web is idle", || world.peer(&["reap", "--dry-run"]).stdout.contains("web"));
    }
    let mut shell = Command::new("sh");
    shell.env_clear().envs(world.command(&[]).get_envs().filter_map(|(key, value)| Some((key, value?))));
    let bin = Path::new(env!("CARGO_BIN_EXE_peer")).parent().expect("a directory");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").expect("PATH"));
    let run = Run::of(shell.args(["-c", line]).env("PATH", path).current_dir(world.work()), None);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{line}: {run:?}");
    // A terminal of this width leaves out a column that is empty in every row.
    run.stdout.lines().map(|line| loose(line).replace(" HELD-UNTIL", "")).collect()
}

#[test]
fn the_session_is_what_this_binary_says_to_the_same_words() {
    let world = fleet();
    let mut shown: Vec<(String, Vec<String>)> = Vec::new();
    for line in text("docs/session.svg") {
        match line.strip_prefix("$ ") {
            Some(typed) => shown.push((typed.to_owned(), Vec::new())),
            None => shown.last_mut().expect("a prompt comes first").1.push(line),
        }
    }
    assert!(shown.len() >= 6, "a picture with {} commands; {CURE}", shown.len());
    for (line, picture) in shown {
        let mut said = typed(&world, &line);
        if line == "peer list" {
            // The cells of that column, each `-`; there are as many cells as titles.
            said = said.iter().map(|row| row.replacen(" 0 - ", " 0 ", 1).replacen(" 1 - ", " 1 ", 1)).collect();
        }
        assert_eq!(picture, said, "$ {line}\n{CURE}");
    }
}

#[test]
fn the_view_has_the_columns_and_the_keys_of_this_binary() {
    let world = World::new();
    world.add("api", &["cat"]);
    let peer = format!(
        "env -u TMUX TERM=screen HOME={} PEER_STATE_DIR={} PEER_CONFIG_DIR={} '{}' top",
        world.path("home").display(),
        world.path("state").display(),
        world.path("config").display(),
        env!("CARGO_BIN_EXE_peer")
    );
    let look = world.path("s-look");
    world.tmux_on(&look, &["-f/dev/null", "new-session", "-d", "-x", "100", "-y", "17", "sh", "-c", &peer]);
    let screen = wait_for("the view", || {
        Some(world.tmux_on(&look, &["capture-pane", "-p"])).filter(|screen| screen.contains("> api"))
    });
    let (real, picture): (Vec<_>, _) = (screen.lines().map(loose).collect(), text("docs/top.svg"));
    let titles =
        |rows: &[String]| rows[1].split(" │ ").next().map(|left| left.split(" api ").next().map(str::to_owned));
    assert!(picture[0].starts_with("peer top 5 peers "), "{picture:?}; {CURE}");
    assert_eq!(picture.last(), real.last(), "{CURE}");
    assert_eq!(titles(&picture), titles(&real), "{CURE}");
    assert!(picture.iter().any(|row| row.contains("ack turns=1: what happened?")), "{picture:?}; {CURE}");
}

#[test]
fn the_readme_shows_them_and_nobodys_machine() {
    let readme = repository("README.md");
    for picture in ["docs/session.svg", "docs/top.svg"] {
        assert!(readme.contains(&format!("({picture})")), "{picture} is not in the README");
        let svg = repository(picture);
        for path in ["/tmp", "/home", "/root", "/Users"] {
            assert!(!svg.contains(path), "{picture} shows {path}; {CURE}");
        }
    }
    assert!(readme.contains("(scripts/picture)"));
}
