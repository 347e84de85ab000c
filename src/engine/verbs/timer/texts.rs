//! The texts for the schedulers, each quoted by its own rules.

use std::fmt::Write;
use std::time::Duration;

/// What a tick needs.
pub(super) struct World {
    /// The `peer` executable.
    pub(super) executable: String,
    /// Variables, sorted by name.
    pub(super) env: Vec<(String, String)>,
    /// The state directory, which identifies the fleet.
    pub(super) state: String,
}

const STATE: &str = "PEER_STATE_DIR";

/// Returns the service: one tick.
///
/// # Source
/// systemd.kill(5): with the default `KillMode=control-group` everything that a tick has started, the tmux server with
/// its agents included, would be killed as soon as the tick is over. systemd.exec(5): `LogLevelMax=` is for what the
/// manager says of the unit too, which is two lines a tick; what a tick itself says is let through by `SyslogLevel=`.
pub(super) fn service(world: &World) -> String {
    let mut text = format!(
        "# Written by `peer timer install`; `peer timer uninstall` takes it away.\n\
         [Unit]\nDescription=One tick of peer over the fleet of {}\nDocumentation=man:peer-reap(1)\n\n\
         [Service]\nType=oneshot\n",
        described(&world.state)
    );
    for (key, value) in &world.env {
        let _ = writeln!(text, "{}", variable(key, value));
    }
    let _ = writeln!(text, "ExecStart={} reap", quoted_for_systemd(&world.executable, true));
    text.push_str("# Agents that a tick wakes outlive the tick.\nKillMode=process\nTimeoutStartSec=120\n");
    text.push_str("# Not two lines a tick that it started and ended; what it has to tell is of level notice.\n");
    text.push_str("SyslogLevel=notice\nLogLevelMax=notice\n");
    text
}

fn variable(key: &str, value: &str) -> String {
    format!("Environment={}", quoted_for_systemd(&format!("{key}={value}"), false))
}

/// Whether a service belongs to the fleet with this state directory.
pub(super) fn is_service_of(text: &str, state: &str) -> bool {
    let wanted = variable(STATE, state);
    text.lines().any(|line| line == wanted)
}

/// Escapes a path for a description, which is one line in which `%` is special.
fn described(path: &str) -> String {
    path.replace('%', "%%").replace(char::is_control, " ")
}

/// Returns the timer unit.
pub(super) fn timer(world: &World, every: Duration) -> String {
    format!(
        "# Written by `peer timer install`; `peer timer uninstall` takes it away.\n\
         [Unit]\nDescription=Ticks of peer over the fleet of {}\n\n\
         [Timer]\nOnActiveSec=1s\nOnUnitActiveSec={}s\n# The default, a minute, would let every second tick be late.\nAccuracySec=1s\n\n\
         [Install]\nWantedBy=timers.target\n",
        described(&world.state),
        every.as_secs()
    )
}

pub(super) fn interval_of_timer(text: &str) -> Option<Duration> {
    seconds(text.lines().find_map(|line| line.strip_prefix("OnUnitActiveSec=")?.strip_suffix('s'))?)
}

/// Quotes one word of a unit file, in which `%` and, in a command, `$` are special.
fn quoted_for_systemd(text: &str, command: bool) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '%' => quoted.push_str("%%"),
            '$' if command => quoted.push_str("$$"),
            '\n' => quoted.push_str("\\n"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Returns the launchd agent.
///
/// # Source
/// launchd.plist(5): when a job ends, launchd kills what is left of its process group, unless `AbandonProcessGroup`.
pub(super) fn plist(world: &World, label: &str, every: Duration) -> String {
    let mut env = String::new();
    for (key, value) in &world.env {
        let _ = write!(env, "\n    {}", entry(key, value));
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <!-- Written by `peer timer install`; `peer timer uninstall` takes it away. -->\n\
         <plist version=\"1.0\">\n<dict>\n\
         \x20 <key>Label</key>\n  <string>{label}</string>\n\
         \x20 <key>ProgramArguments</key>\n  <array>\n    <string>{}</string>\n    <string>reap</string>\n  </array>\n\
         \x20 <key>EnvironmentVariables</key>\n  <dict>{env}\n  </dict>\n\
         \x20 <key>StartInterval</key>\n  <integer>{}</integer>\n\
         \x20 <key>RunAtLoad</key>\n  <true/>\n\
         \x20 <key>AbandonProcessGroup</key>\n  <true/>\n\
         </dict>\n</plist>\n",
        xml(&world.executable),
        every.as_secs()
    )
}

fn entry(key: &str, value: &str) -> String {
    format!("<key>{}</key>\n    <string>{}</string>", xml(key), xml(value))
}

/// Whether a launchd agent belongs to the fleet with this state directory.
pub(super) fn is_plist_of(text: &str, state: &str) -> bool {
    text.contains(&entry(STATE, state))
}

pub(super) fn interval_of_plist(text: &str) -> Option<Duration> {
    let after = text.split_once("<key>StartInterval</key>")?.1;
    seconds(after.split_once("<integer>")?.1.split_once("</integer>")?.0)
}

fn xml(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns the script that cron runs. It is a file, because a crontab line is limited to a thousand characters and
/// `PATH` may be longer.
///
/// # Source
/// Debian's cron 3.0pl1: `MAX_COMMAND` is 1000; `crontab` refuses a longer one as `command too long`.
pub(super) fn script(world: &World) -> String {
    let mut text = String::from("# Written by `peer timer install`; cron runs it with sh.\n");
    for (key, value) in &world.env {
        let _ = writeln!(text, "export {key}={}", quoted_for_sh(value));
    }
    let _ = writeln!(text, "exec {} reap", quoted_for_sh(&world.executable));
    text
}

/// Quotes one word for sh.
pub(super) fn quoted_for_sh(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(state: &str) -> World {
        let env = [("PATH", "/bin"), (STATE, state)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        World { executable: "/bin/peer".to_owned(), env: env.into(), state: state.to_owned() }
    }

    #[test]
    fn words_are_quoted_as_their_reader_wants_them() {
        assert_eq!(quoted_for_systemd(r#"/a b/100%/$x"\"#, true), r#""/a b/100%%/$$x\"\\""#);
        assert_eq!(quoted_for_systemd("A=$x", false), r#""A=$x""#);
        assert_eq!(quoted_for_sh("it's"), r"'it'\''s'");
        assert_eq!(xml("a<b>&c"), "a&lt;b&gt;&amp;c");
    }

    #[test]
    fn an_interval_reads_as_it_was_written() {
        let every = Duration::from_secs(90);
        let world = world("/s");
        assert_eq!(interval_of_timer(&timer(&world, every)), Some(every));
        assert_eq!(interval_of_plist(&plist(&world, "l", every)), Some(every));
    }

    #[test]
    fn what_is_written_for_one_fleet_is_not_taken_for_that_of_another() {
        for state in ["/s", "/a b/100%/$x\"", "/<a>&b"] {
            let (service, plist) = (service(&world(state)), plist(&world(state), "l", Duration::from_secs(60)));
            assert!(is_service_of(&service, state) && is_plist_of(&plist, state), "{state}");
            for other in ["/", "/s2", "", "/a"] {
                assert!(!is_service_of(&service, other) && !is_plist_of(&plist, other), "{state} {other}");
            }
        }
        assert!(service(&world("/100%")).contains("Description=One tick of peer over the fleet of /100%%\n"));
    }
}
