//! Transcripts, status files and logs of the four agents.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use peer_adapters::agent::Profile;
use peer_adapters::transcript::Files;

/// A home in memory, if possible, with the files that each agent would have; made once.
struct Home {
    dir: PathBuf,
    files: [(Profile, PathBuf); 4],
}

const ID: &str = "0b5d1c2e-0000-4000-8000-000000000000";

fn home() -> Home {
    let base = if fs::metadata("/dev/shm").is_ok() { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
    let dir = base.join(format!("peer-fuzz-{}", std::process::id()));
    let place = |name: &str, path: &str| {
        let path = dir.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("made");
        (Profile::builtin(name).expect("built in"), path)
    };
    let files = [
        place("claude", &format!(".claude/projects/-w/{ID}.jsonl")),
        place("codex", &format!(".codex/sessions/2026/11/28/rollout-x-{ID}.jsonl")),
        place("pi", &format!(".pi/agent/sessions/--w--/{ID}.jsonl")),
        place("opencode", ".local/share/opencode/log/opencode.log"),
    ];
    fs::create_dir_all(dir.join(".claude/sessions")).expect("made");
    Home { dir, files }
}

thread_local!(static HOME: RefCell<Home> = RefCell::new(home()));

fuzz_target!(|bytes: &[u8]| HOME.with_borrow(|home| {
    let pid = std::process::id();
    fs::write(home.dir.join(format!(".claude/sessions/{pid}.json")), bytes).expect("written");
    for (profile, path) in &home.files {
        fs::write(path, bytes).expect("written");
        let files = Files { profile, home: &home.dir, env: &|_| None, cwd: std::path::Path::new("/w") };
        let id = Some(ID);
        let _ = files.exists(ID);
        let _ = files.last_activity(id, pid);
        let _ = files.turn_in_progress(id, pid);
        let _ = files.status(pid);
        let _ = files.by_markers(SystemTime::UNIX_EPOCH, &["x".to_owned(), ID.to_owned()], |_| false);
        if let Ok(mut mark) = files.mark(id) {
            mark.position = u64::from(bytes.first().copied().unwrap_or(0));
            let _ = files.accepted(&mark, id, "hello");
        }
    }
}));
