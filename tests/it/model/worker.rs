//! The worker: the real store and policy, in the engine's order of writes, until it is killed.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{SigEvent, SigevNotify, Signal};
use nix::sys::time::TimeSpec;
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;
use peer::testing::{
    AgentProcess, ContextPolicy, EndContext, ExitRecord, Hangup, Incarnation, Intent, Launch, Locked, Marker, Markers,
    PeerName, Phase, Place, Process, RecordedState, Session, SessionRecord, StateDir, Timestamp, WakeDecision,
    WakeFacts, WakeRequest, decide, keep_conversation, record_end, self_fresh_allowed,
};
use peer_adapters::inherited::Inherited;
use peer_adapters::runtime::RuntimeKind;

use super::plain::{Exit, Live, Op, Peer};
use crate::common::run::Lines;
use crate::common::{ended, killed};

/// The variable with the worker's state directory.
pub(super) const DIRECTORY: &str = "MODEL_DIRECTORY";

/// The worker as the model sees it.
pub(super) struct Worker {
    child: Child,
    input: ChildStdin,
    output: Lines,
}

impl Worker {
    pub(super) fn start(dir: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("we run"));
        command.args(["--ignored", "--exact", "model::works_until_it_is_killed", "--nocapture"]).env(DIRECTORY, dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let input = child.stdin.take().expect("piped");
        let output = Lines::of(child.stdout.take().expect("piped"));
        Self { child, input, output }
    }

    /// Sends operations to the worker without waiting for them.
    pub(super) fn begin(&mut self, ops: &[(usize, Op, u64)]) {
        let line = |(index, op, now): &(usize, Op, u64)| {
            serde_json::to_string(&(index, Some(op), now, None::<u64>)).expect("plain data") + "\n"
        };
        self.input.write_all(ops.iter().map(line).collect::<String>().as_bytes()).expect("it reads");
    }

    /// Waits for the last operation, and returns the state.
    pub(super) fn done(&mut self) -> Peer {
        loop {
            let line = self.output.next().expect("it lives");
            // libtest first prints which test it runs, on the line of the first answer.
            let Some(begin) = line.find('{') else { continue };
            return serde_json::from_str(&line[begin..]).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        }
    }

    /// Returns the state without changing it.
    pub(super) fn look(&mut self, index: usize) -> Peer {
        let line = serde_json::to_string(&(index, None::<Op>, 0_u64, None::<u64>)).expect("plain data");
        self.input.write_all(format!("{line}\n").as_bytes()).expect("it reads");
        self.done()
    }

    /// Sends one operation; the worker is killed this many microseconds after its beginning, wherever it is then.
    pub(super) fn kill_in(mut self, index: usize, op: &Op, now: u64, micros: u64) {
        let line = serde_json::to_string(&(index, Some(op), now, Some(micros))).expect("plain data");
        self.input.write_all(format!("{line}\n").as_bytes()).expect("it reads");
        let status = ended(&mut self.child);
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{status}");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        killed(&mut self.child);
    }
}

/// Reads operations and carries them out until stdin ends.
pub(super) fn serve(dir: &str) {
    let state = StateDir::open(dir).expect("a directory of ours");
    for line in std::io::stdin().lines() {
        let (index, op, now, killed_in): (usize, Option<Op>, u64, Option<u64>) =
            serde_json::from_str(&line.expect("a line")).expect("JSON");
        let name: PeerName = format!("p{index}").parse().expect("a name");
        if let Some(op) = op {
            let end = killed_in.map(kill_myself_in);
            // The previous holder of the lock may have been killed a moment ago; the kernel has released the lock by
            // then.
            let locked = state.try_lock(&name).expect("the directory").expect("nobody else is here");
            carry_out(&state, &locked, &op, Timestamp::from_ms(now));
            while end.is_some() {
                std::thread::park();
            }
        }
        println!("{}", serde_json::to_string(&look(&state, &name)).expect("plain data"));
    }
}

/// Sets a kernel timer that kills this process: another process would have to be scheduled first, and the operation
/// would be over.
fn kill_myself_in(micros: u64) -> Timer {
    let how = SigEvent::new(SigevNotify::SigevSignal { signal: Signal::SIGKILL, si_value: 0 });
    let mut timer = Timer::new(ClockId::CLOCK_MONOTONIC, how).expect("a timer");
    let once = Expiration::OneShot(TimeSpec::from_duration(Duration::from_micros(micros.max(1))));
    timer.set(once, TimerSetTimeFlags::empty()).expect("set");
    timer
}

fn carry_out(state: &StateDir, locked: &Locked, op: &Op, now: Timestamp) {
    let record = locked.files().session().expect("readable").present();
    match (op, record) {
        (Op::Wake { id }, record) => wake(locked, record.as_ref(), id, now),
        (Op::Ready, Some(record)) if record.ready_at().is_none() => ready(locked, record, now),
        (Op::Exit(exit), Some(record)) => leave(state, locked, &record, *exit, now),
        (Op::Park, Some(record)) => end(state, locked, record, Intent::IdleReaped, now),
        (Op::Park, None) => locked.mark(Marker::IdleReaped, now).expect("written"),
        (Op::Stop, Some(record)) if record.process.is_some() => end(state, locked, record, Intent::Stopped, now),
        (Op::Stop, _) => locked.mark(Marker::Stopped, now).expect("written"),
        (Op::Start, _) => locked.unmark(Marker::Stopped).expect("removed"),
        (Op::Refresh, _) => locked.mark(Marker::FreshNext, now).expect("written"),
        (Op::Reset, _) => drop(locked.reset_deaths().expect("written")),
        (Op::SelfFresh { id }, Some(record)) => self_fresh(state, locked, record, id, now),
        (Op::Trim, Some(record)) => {
            if let Some(ready_at) = record.ready_at() {
                locked.trim_stable(now.since(ready_at)).expect("written");
            }
        }
        (Op::Finish, Some(record)) => finish(state, locked, record, now),
        _ => {}
    }
}

/// Like `Engine::facts` and `Engine::wake`; an agent that was not ready counts as never started.
fn wake(locked: &Locked, record: Option<&SessionRecord>, id: &str, now: Timestamp) {
    if record.is_some_and(|record| record.ready_at().is_some()) {
        return;
    }
    let files = locked.files();
    let last = files.end().expect("readable").present();
    let has = |marker| files.has(marker).expect("readable");
    let facts = WakeFacts {
        managed_by: None,
        stopped: has(Marker::Stopped),
        live: RecordedState::None,
        markers: Markers {
            idle_reaped: has(Marker::IdleReaped),
            self_fresh_requested: has(Marker::NewEager),
            fresh_next: has(Marker::FreshNext),
            adopted: has(Marker::Adopted),
        },
        ever_ran: last.as_ref().is_some_and(|last| last.end.lasting_cause().is_some()),
        conversation: last.as_ref().and_then(|last| last.conversation.clone()),
        now_in: None,
        is_untouched: false,
        last_end: last.map(|last| last.end),
        deaths: files.deaths().expect("readable").present().unwrap_or_default(),
        max_restarts: 20,
        context_policy: ContextPolicy::Executor,
        topics: files.topics().expect("readable"),
        resume_without_topic: true,
    };
    match decide(&facts, &WakeRequest::default(), now) {
        WakeDecision::Fresh { .. } => plan(locked, id, false, now),
        WakeDecision::Resume { conversation, .. } => plan(locked, &conversation, true, now),
        _ => {}
    }
}

/// Like `Engine::launch` and `Engine::write_plan`.
fn plan(locked: &Locked, id: &str, resumed: bool, now: Timestamp) {
    let incarnation = locked.next_incarnation(now).expect("readable");
    let none = Process { pid: 1, start: 1 };
    let session = format!("{}-{incarnation}", locked.files().name());
    let place = Place::planned(RuntimeKind::Tmux, "/usr/bin/tmux".into(), "/nonexistent/socket".into(), session);
    let mut record = SessionRecord {
        resumed,
        ..SessionRecord::starting(incarnation, place, none, "model".to_owned(), "model", "model", now)
    };
    let launch = Launch {
        argv: vec![],
        cwd: "/".into(),
        config_dir: "/".into(),
        host: None,
        boot_id: None,
        grace_ms: 0,
        env: vec![],
        inherited: Inherited::default(),
    };
    locked.write_launch(incarnation, &launch).expect("written");
    locked.write_session(&record).expect("written");
    locked.remove_older_pane_files(incarnation).expect("removed");
    keep_conversation(locked, &mut record, id, now).expect("written");
    for marker in [Marker::NewEager, Marker::Done, Marker::Beat] {
        locked.unmark(marker).expect("removed");
    }
    record.process = Some(AgentProcess { id: none, session: 1 });
    locked.write_session(&record).expect("written");
}

/// Like `Engine::mark_ready`.
fn ready(locked: &Locked, mut record: SessionRecord, now: Timestamp) {
    record.phase = Phase::Ready { ready_at_ms: now };
    locked.write_session(&record).expect("written");
    locked.unmark(Marker::IdleReaped).expect("removed");
    locked.unmark(Marker::FreshNext).expect("removed");
    if !record.resumed {
        locked.replace_topics(None).expect("written");
    }
}

fn exited(record: &SessionRecord, exit: Exit, now: Timestamp) -> ExitRecord {
    let unseen = ExitRecord::unseen(record.incarnation, now);
    match exit {
        Exit::Code(code) => ExitRecord { code: Some(code), ..unseen },
        Exit::Signal(signal) => ExitRecord { signal: Some(signal), ..unseen },
        Exit::ServerGone => ExitRecord { signal: Some(1), hangup: Some(Hangup::ServerGone), ..unseen },
        Exit::Unseen | Exit::Rebooted => unseen,
    }
}

/// Like the pane process, or like the tick if there is no pane process.
fn leave(state: &StateDir, locked: &Locked, record: &SessionRecord, exit: Exit, now: Timestamp) {
    let seen = !matches!(exit, Exit::Unseen | Exit::Rebooted);
    if seen {
        locked.files().write_exit(&exited(record, exit, now)).expect("written");
    }
    let rebooted = matches!(exit, Exit::Rebooted);
    let absence = EndContext { server_gone: rebooted, rebooted, session: Session::Left };
    record_end(state, locked, record, absence, now).expect("written");
}

/// Like `Engine::end`: the intent, the marker, then the end that the pane process sees.
fn end(state: &StateDir, locked: &Locked, mut record: SessionRecord, why: Intent, now: Timestamp) {
    record.intent = Some(why);
    locked.write_session(&record).expect("written");
    locked.mark(Marker::IdleReaped, now).expect("written");
    if why == Intent::Stopped {
        locked.mark(Marker::Stopped, now).expect("written");
    }
    leave(state, locked, &record, Exit::Signal(15), now);
}

/// Like `Engine::self_fresh` and then the pane process.
fn self_fresh(state: &StateDir, locked: &Locked, mut record: SessionRecord, id: &str, now: Timestamp) {
    let recent = locked.files().end().expect("readable").present().map(|last| last.end.recent).unwrap_or_default();
    if self_fresh_allowed(&recent, now).is_err() {
        return;
    }
    locked.mark(Marker::NewEager, now).expect("written");
    record.intent = Some(Intent::SelfFresh);
    locked.write_session(&record).expect("written");
    leave(state, locked, &record, Exit::Signal(15), now);
    plan(locked, id, false, now);
}

/// Like the next wake or tick: records a known end completely, and drops an intent whose author is gone.
fn finish(state: &StateDir, locked: &Locked, mut record: SessionRecord, now: Timestamp) {
    let files = locked.files();
    let exit = files.exit(record.incarnation).expect("readable").present();
    let last = files.end().expect("readable").present();
    if exit.is_some() || last.is_some_and(|last| last.end.incarnation == record.incarnation) {
        record_end(state, locked, &record, EndContext::UNSEEN, now).expect("written");
    } else if record.intent.take().is_some() {
        locked.write_session(&record).expect("written");
        locked.unmark(Marker::IdleReaped).expect("removed");
    }
}

/// Reads the state; a file that does not parse fails the test.
fn look(state: &StateDir, name: &PeerName) -> Peer {
    let files = state.peer(name);
    let whole = |corrupt: Option<String>| assert_eq!(corrupt, None, "half a file");
    whole(corrupt(files.session().expect("readable")));
    whole(corrupt(files.end().expect("readable")));
    whole(corrupt(files.deaths().expect("readable")));
    let record = files.session().expect("readable").present();
    let last = files.end().expect("readable").present();
    let ids: Vec<String> =
        files.conversations().expect("readable").into_iter().map(|entry| entry.conversation).collect();
    let deaths = files.deaths().expect("readable").present().unwrap_or_default();
    let has = |marker| files.has(marker).expect("readable");
    Peer {
        live: record.map(|record| Live {
            incarnation: record.incarnation.0,
            id: record.conversation.clone().unwrap_or_default(),
            resumed: record.resumed,
            started: record.process.is_some(),
            ready_at: record.ready_at().map(Timestamp::as_ms),
            intent: record.intent.is_some(),
        }),
        conversation: last.as_ref().and_then(|last| last.conversation.clone()),
        self_freshes: last.as_ref().map(|last| self_freshes(&last.end)).unwrap_or_default(),
        lasting: last.as_ref().and_then(|last| last.end.lasting_cause()).map(|cause| cause.as_str().to_owned()),
        last: last.map(|last| (last.end.incarnation.0, last.end.cause.as_str().to_owned())),
        deaths: deaths
            .as_slice()
            .iter()
            .map(|death| (death.incarnation.unwrap_or(Incarnation(0)).0, death.at_ms.as_ms()))
            .collect(),
        ids,
        parked: has(Marker::IdleReaped),
        stopped: has(Marker::Stopped),
        eager: has(Marker::NewEager),
        fresh_next: has(Marker::FreshNext),
    }
}

fn self_freshes(end: &peer::testing::End) -> Vec<u64> {
    let end = serde_json::to_value(end).expect("plain data");
    let recent = end["recent"].as_array().cloned().unwrap_or_default();
    let own = recent.iter().filter(|entry| entry["cause"] == "self-fresh");
    let times: Vec<u64> = own.map(|entry| entry["at_ms"].as_u64().expect("a time")).collect();
    times[times.len().saturating_sub(5)..].to_vec()
}

fn corrupt<T>(stored: peer::testing::Stored<T>) -> Option<String> {
    match stored {
        peer::testing::Stored::Corrupt(why) => Some(why),
        peer::testing::Stored::Absent | peer::testing::Stored::Present(_) => None,
    }
}
