//! The real `man` renders the pages without a warning.

use std::process::Command;

use crate::common::{Run, World};

#[test]
fn every_page_is_rendered_without_a_warning() {
    let world = World::new();
    let dir = world.path("man");
    std::fs::create_dir(&dir).expect("create");
    let run = world.peer(&["man", dir.to_str().expect("UTF-8")]);
    let pages: Vec<_> = std::fs::read_dir(&dir).expect("pages").map(|entry| entry.expect("entry").path()).collect();
    run.prints(&format!("{} pages written to {}\n", pages.len(), dir.display()));
    for page in ["peer.1", "peer-wake.1", "peer-timer-install.1", "peer-files.5"] {
        assert!(dir.join(page).exists(), "{page} is missing among {pages:?}");
    }
    for page in &pages {
        let mut man = Command::new("man");
        man.args(["--warnings=w", "-E", "UTF-8", "-l", "-Tutf8"])
            .arg(page)
            .env("MANWIDTH", "80")
            .env("LC_ALL", "C.UTF-8");
        let run = Run::of(&mut man, None);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{}: {run:?}", page.display());
        assert!(run.stdout.lines().count() > 5, "{}", page.display());
    }
}

/// `git help` takes the name of a verb.
#[test]
fn the_name_of_a_verb_is_no_new_directory() {
    let world = World::new();
    world.peer(&["man", "edit"]).fails(
        2,
        "error: peer man writes pages into a directory, and there is no directory edit\n\
         hint: peer help edit, or man peer-edit where the pages are installed\n",
    );
    assert!(!world.work().join("edit").exists());
    assert_eq!(world.peer(&["man", "./edit"]).code, 0);
    assert!(world.work().join("edit/peer.1").exists());
    assert_eq!(world.peer(&["man", "edit"]).code, 0, "it is there now");
}

#[test]
fn the_files_page_names_every_file_there_is() {
    let page = include_str!("../../../src/cli/man/peer-files.5");
    let world = World::new();
    world.demo("api", &[]);
    world.peer(&["wake", "api", "--topic", "one", "-m", "hello"]);
    world.peer(&["reap"]);
    world.peer(&["stop", "api"]);
    world.peer(&["refresh", "api"]);
    world.peer(&["send", "api", "--queue", "later"]);
    let page = page.replace("\\-", "-");
    for (path, _) in world.snapshot() {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        // `api.session`, `api.1.launch`, `inbox/api`; and `heartbeat.json`, which is the fleet's.
        let kind = match name.strip_prefix("api") {
            Some(suffix) => suffix.rsplit('.').next().expect("an ending"),
            None => &name,
        };
        let kind = if path.parent().is_some_and(|dir| dir.ends_with("inbox/api")) { "message" } else { kind };
        assert!(page.contains(kind), "{} is not told in peer-files(5)", path.display());
    }
}

/// Tables, code and links cannot be folded.
#[test]
fn no_line_of_a_document_is_wider_than_120_columns() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = std::fs::read_dir(root.join("docs")).expect("documents").flatten().map(|entry| entry.path());
    let own = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"];
    let (mut wide, mut lines) = (Vec::new(), 0);
    for document in
        docs.chain(own.map(|name| root.join(name))).filter(|path| path.extension().is_some_and(|e| e == "md"))
    {
        let mut is_code = false;
        for (at, line) in std::fs::read_to_string(&document).expect("text").lines().enumerate() {
            is_code ^= line.trim_start().starts_with("```");
            lines += 1;
            let folds = !is_code && !line.starts_with('|') && !line.contains("](");
            if folds && line.chars().count() > 120 {
                wide.push(format!("{}:{}", document.display(), at + 1));
            }
        }
    }
    assert!(lines > 1000 && wide.is_empty(), "{lines} lines, of which are too wide: {wide:#?}");
}
