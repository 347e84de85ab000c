//! opencode: conversations in a database.

use super::*;

/// The tables and columns of opencode 1.18.33 that are read.
const SCHEMA: &str = "
    pragma journal_mode = wal;
    create table session (id text primary key, parent_id text, directory text not null);
    create table message (id text primary key, session_id text not null, time_created integer not null,
        time_updated integer not null, data text not null);
    create table part (id text primary key, message_id text not null, session_id text not null,
        time_created integer not null, time_updated integer not null, data text not null);";

#[test]
fn opencodes_database_is_read_while_it_is_written() {
    let home = Home::new("opencode");
    let path = home.write(".local/share/opencode/opencode.db", "");
    let db = rusqlite::Connection::open(&path).expect("opens");
    db.execute_batch(SCHEMA).expect("is sql");
    let files = home.files();
    assert_eq!(files.exists("ses_1").expect("readable"), None);
    db.execute_batch(
        "insert into session values ('ses_1', null, '/srv/my.demo');
         insert into message values ('m1', 'ses_1', 1000, 1000, '{\"role\":\"user\"}');
         insert into part values ('p1', 'm1', 'ses_1', 1001, 1001, '{\"type\":\"text\",\"text\":\"old\"}');",
    )
    .expect("is sql");
    assert_eq!(files.exists("ses_1").expect("readable"), Some(path));
    let mark = files.mark(Some("ses_1")).expect("readable");
    assert_eq!(mark.position, 1000);
    db.execute_batch(
        "insert into message values ('m2', 'ses_1', 2000, 2000, '{\"role\":\"user\"}');
         insert into part values ('p2', 'm2', 'ses_1', 2001, 2002, '{\"type\":\"text\",\"text\":\"new \\nwords \"}');
         insert into message values ('m3', 'ses_1', 3000, 3000, '{\"role\":\"assistant\",\"time\":{}}');
         insert into part values ('p3', 'm3', 'ses_1', 3001, 3500, '{\"type\":\"text\",\"text\":\"answer\"}');",
    )
    .expect("is sql");
    let accepted = |text: &str| files.accepted(&mark, None, text).expect("readable");
    assert!(accepted("new \nwords") && !accepted("new\nwords") && !accepted("old") && !accepted("answer"));
    let active = SystemTime::UNIX_EPOCH + Duration::from_millis(3500);
    assert_eq!(files.last_activity(Some("ses_1"), 1).expect("readable"), Some(active));
    let turn = || files.turn_in_progress(Some("ses_1"), std::process::id()).expect("readable");
    assert_eq!(turn(), Some(false), "left open by a process that was killed, long ago");
    let complete = "update message set data = '{\"role\":\"assistant\",\"time\":{\"completed\":1},\"finish\":\"stop\"}', \
                    time_created = 4102444800000 where id = 'm3'";
    db.execute_batch("update message set time_created = 4102444800000 where id = 'm3'").expect("is sql");
    assert_eq!(turn(), Some(true));
    db.execute_batch(complete).expect("is sql");
    assert_eq!(turn(), Some(false));
}

#[test]
fn the_first_words_of_a_long_conversation_are_those_at_its_beginning() {
    let home = Home::new("opencode");
    let path = home.write(".local/share/opencode/opencode.db", "");
    let db = rusqlite::Connection::open(&path).expect("opens");
    db.execute_batch(SCHEMA).expect("is sql");
    db.execute_batch(
        "insert into session values ('ses_1', null, '/srv/my.demo');
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)
         insert into message select printf('m%05d', i), 'ses_1', i * 10, i * 10, '{\"role\":\"user\"}' from n;
         insert into part select 'p' || id, id, session_id, time_created, time_created,
           json_object('type', 'text', 'text', 'words of ' || id) from message;",
    )
    .expect("is sql");
    let seen = home.files().glance("ses_1").expect("readable").expect("it is there");
    assert_eq!(seen.first_words.as_deref(), Some("words of m00001"));
    assert_eq!(seen.first_at, Some(SystemTime::UNIX_EPOCH + Duration::from_millis(10)));
    let entries = home.files().entries("ses_1", 0).expect("readable").expect("it is there");
    assert_eq!(entries.len(), 4096, "the newest ones, oldest first");
    assert!(matches!(&entries[4095].kind, EntryKind::UserMessage(text) if text == "words of m05000"));
}

#[cfg(target_os = "linux")]
#[test]
fn opencodes_conversation_is_the_one_that_its_process_logged() {
    use std::io::Write;

    let home = Home::new("opencode");
    let path = home.write(".local/share/opencode/opencode.db", "");
    let db = rusqlite::Connection::open(&path).expect("opens");
    db.execute_batch(SCHEMA).expect("is sql");
    db.execute_batch(
        "insert into session values ('ses_mine', null, '/srv/my.demo'), ('ses_child', 'ses_mine', '/srv/my.demo'),
         ('ses_theirs', null, '/srv/my.demo'), ('ses_far', null, '/srv/far');",
    )
    .expect("is sql");
    let log = home.write(".local/share/opencode/log/opencode.log", "");
    let append = || fs::OpenOptions::new().append(true).open(&log).expect("opens");
    let pid = std::process::id();
    let find = |since: &str| home.files().discover(at(since), &[pid], |_| false).expect("readable");
    let line = |run: &str, id: &str| {
        format!("timestamp=2026-11-22T00:25:40.740Z level=INFO run={run} message=loop session.id={id} step=0\n")
    };
    let mut ours = append();
    assert_eq!(find("2026-11-22T00:00:00Z"), None, "nothing was said");
    ours.write_all(line("aaaaaaaa", "ses_mine").as_bytes()).expect("writes");
    {
        // Another process: its descriptor is closed before the check, as if it were not ours.
        let mut theirs = append();
        theirs.write_all(line("bbbbbbbb", "ses_theirs").as_bytes()).expect("writes");
    }
    assert_eq!(find("2026-11-22T00:00:00Z").as_deref(), Some("ses_mine"));
    assert_eq!(find("2026-11-22T01:00:00Z"), None, "an earlier start's");
    ours.write_all(line("aaaaaaaa", "ses_child").as_bytes()).expect("writes");
    assert_eq!(find("2026-11-22T00:00:00Z").as_deref(), Some("ses_mine"), "a sub-agent's turn is passed over");
    ours.write_all(line("aaaaaaaa", "ses_far").as_bytes()).expect("writes");
    assert_eq!(find("2026-11-22T00:00:00Z").as_deref(), Some("ses_mine"));
    // The recorded markers give the same answer after it has ended.
    let noted = home.files().process_markers(&[pid]).expect("readable");
    assert_eq!(noted, ["aaaaaaaa"]);
    drop(ours);
    assert_eq!((find("2026-11-22T00:00:00Z"), home.files().process_markers(&[pid]).expect("readable")), (None, vec![]));
    let by_markers = |since: &str| home.files().by_markers(at(since), &noted, |_| false).expect("readable");
    assert_eq!(by_markers("2026-11-22T00:00:00Z").as_deref(), Some("ses_mine"));
    assert_eq!(by_markers("2026-11-22T01:00:00Z"), None);
}
