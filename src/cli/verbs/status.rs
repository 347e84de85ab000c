use std::time::Duration;

use crate::cli::render::output::{home_as_tilde, printable};
use crate::cli::render::terminal::{Hue, Paint, relative, rough};
use crate::cli::verbs::overview;
use crate::cli::{CliError, Context, Outcome};
use crate::engine::verbs::status::{Axes, Status};
use crate::policy::axis::{Axis, Stamped};
use crate::policy::name::PeerName;
use crate::policy::room;
use crate::policy::time::Timestamp;

/// Show everything about one peer, or what each peer needs
///
/// Without a name, lists the peers that need a person, each with the command to run next, and counts the states. With a name,
/// shows its state, both axes now and at the last tick, its conversation and transcript, its last end, what keeps it from
/// starting, its files, and the command to run next. Changes nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer status                # what needs attention, and the next command\n  peer status api            # everything about one peer\n  peer status api --short    # api awake 5m: for a shell prompt or a status line"
)]
pub(crate) struct Args {
    /// Name of the peer; defaults to an overview of all
    #[arg(add = crate::cli::args::complete::peers())]
    name: Option<PeerName>,
    /// With a name: print one line for a shell prompt: name, state, since when
    #[arg(long, short, conflicts_with = "json", requires = "name")]
    short: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine_by_records()?;
    let Some(name) = &args.name else { return overview::print(&engine, args.json, context).await };
    if args.short {
        let mut fleet = engine.list_of(std::slice::from_ref(name)).await?;
        if fleet.rows.is_empty()
            && let Some((_, error)) = fleet.broken.pop()
        {
            return Err(CliError::from(error));
        }
        for row in fleet.rows {
            let since = row.since_ms.map(|at| format!(" {}", rough(engine.now().since(at)))).unwrap_or_default();
            let asks = row.waiting_for.map(|kind| format!(" ({kind})")).unwrap_or_default();
            context.out.line(format!("{} {}{asks}{since}", row.peer, row.state))?;
        }
        return Ok(0);
    }
    let status = engine.status(name).await?;
    if args.json {
        context.out.document("status", &status)?;
    } else {
        let mut story = Story { lines: Vec::new(), now: engine.now(), paint: Paint::of_stdout() };
        story.tell(&status);
        for line in story.lines {
            context.out.words(line, LABEL + 1)?;
        }
    }
    Ok(0)
}

/// The width of the longest label, `Conversation:`.
const LABEL: usize = 13;

struct Story {
    lines: Vec<String>,
    now: Timestamp,
    paint: Paint,
}

impl Story {
    fn tell(&mut self, status: &Status) {
        self.head(status);
        self.whereabouts(status);
        if let Some(axes) = &status.axes {
            self.axes(axes, status);
        }
        self.conversation(status);
        self.health(status);
        self.files(status);
        for warning in &status.warnings {
            let warning = self.paint.paint(Hue::Bad, &printable(warning));
            self.fact("Warning", &warning);
        }
        let next = self.paint.paint(Hue::Strong, &status.next);
        self.fact("Next", &next);
    }

    /// Adds one labelled line; the value is printable already, and may be coloured.
    fn fact(&mut self, label: &str, value: &str) {
        self.lines.push(format!("{:>LABEL$} {value}", format!("{label}:")).trim_end().to_owned());
    }

    fn at(&self, at: Timestamp) -> String {
        format!("{} ({at})", relative(at, self.now))
    }

    fn head(&mut self, status: &Status) {
        let row = &status.row;
        let hue = Hue::of(row.state);
        // The question has its own line.
        let detail = match &row.waiting_for {
            Some(kind) => Some(format!(" ({kind})")),
            None => row.detail.as_deref().map(|detail| format!(": {}", printable(detail))),
        };
        let detail = detail.unwrap_or_default();
        let since =
            row.since_ms.map(|at| format!(" for {} (since {at})", rough(self.now.since(at)))).unwrap_or_default();
        let state = self.paint.paint(hue, row.state.as_str());
        let name = self.paint.paint(Hue::Strong, row.peer.as_str());
        self.lines.push(format!("{} {name} {state}{detail}{since}", self.paint.paint(hue, "●")));
        if let Some(question) = &row.question {
            let asks = self.paint.paint(Hue::Waiting, &printable(question));
            self.fact("Needs you", &asks);
        }
        if let Some(until) = row.held_until_ms {
            let until = self.at(until);
            self.fact("Held until", &until);
        }
    }

    fn whereabouts(&mut self, status: &Status) {
        let row = &status.row;
        self.fact("Agent", &printable(&format!("{} in {}", row.agent, row.runtime)));
        self.fact("Directory", &printable(&home_as_tilde(&row.cwd)));
        if !status.kept_env.is_empty() {
            self.fact("Keeps", &printable(&status.kept_env.join(", ")));
        }
        if !status.missing_env.is_empty() {
            let lacks = format!("{}, which it had the last time", status.missing_env.join(", "));
            let lacks = self.paint.paint(Hue::Waiting, &printable(&lacks));
            self.fact("Lacks", &lacks);
        }
        let Some(session) = &status.session else { return };
        let how = if session.resumed { "resumed" } else { "fresh" };
        self.fact("Incarnation", &printable(&format!("{}, {how} ({})", session.incarnation, session.cause)));
        let looks = match session.attached {
            0 => "no client attached".to_owned(),
            1 => "1 client attached".to_owned(),
            more => format!("{more} clients attached"),
        };
        // Shown only where the size is the reason that the agent cannot be read or be sent anything.
        let small = session.size.map(|size| (size.columns, size.rows)).filter(|size| room::is_cramped(*size));
        let small =
            small.map(|(columns, rows)| format!(", only {columns} columns and {rows} rows")).unwrap_or_default();
        let place = format!("{} on {}, {looks}{small}", session.place.session, session.place.server.display());
        self.fact("Session", &printable(&place));
    }

    fn axes(&mut self, axes: &Axes, status: &Status) {
        let beat = status.heartbeat.as_ref();
        let runtime = self.axis(&axes.runtime, beat.map(|beat| &beat.axes.runtime));
        self.fact("Runtime", &runtime);
        let pid = status.session.as_ref().and_then(|session| session.pid);
        let pid = pid.map(|pid| format!("pid {pid}, ")).unwrap_or_default();
        let process = format!("{pid}{}", self.axis(&axes.process, beat.map(|beat| &beat.axes.process)));
        self.fact("Process", &process);
        if let Some(kib) = beat.and_then(|beat| beat.memory_kib) {
            self.fact("Memory", &format!("{} MiB at the last tick", kib / 1024));
        }
        if let Some(idle) = status.row.idle_s {
            self.fact("Idle", &rough(Duration::from_secs(idle)));
        }
    }

    fn axis(&self, now: &Stamped<Axis>, beat: Option<&Stamped<Axis>>) -> String {
        let (word, hue) = word(&now.value);
        let why = now.value.why_unknown().map(|why| format!(" ({})", printable(why))).unwrap_or_default();
        let tick = match beat {
            Some(beat) => format!("last tick {}: {}", relative(beat.at_ms, self.now), word_of(&beat.value)),
            None => "no tick has checked it yet".to_owned(),
        };
        format!("{}{why} now; {tick}", self.paint.paint(hue, word))
    }

    fn conversation(&mut self, status: &Status) {
        let id = status.row.conversation.as_deref().map(printable);
        let ever = match status.conversations {
            0 | 1 => String::new(),
            many => format!(" (the latest of {many})"),
        };
        if let Some(id) = id {
            self.fact("Conversation", &format!("{id}{ever}"));
        }
        if let Some(transcript) = &status.transcript {
            self.fact("Transcript", &printable(&home_as_tilde(transcript)));
        }
        if !status.topics.is_empty() {
            self.fact("Topics", &printable(&status.topics.join(" · ")));
        }
    }

    fn health(&mut self, status: &Status) {
        if let Some(end) = status.end.as_ref().map(|last| &last.end) {
            let exit = end.exit.map(|exit| format!(" ({exit})")).unwrap_or_default();
            let uptime = rough(Duration::from_millis(end.uptime_ms));
            let memory = end.max_rss_kib.map(|kib| format!(", at most {} MiB", kib / 1024)).unwrap_or_default();
            let told = format!("{}{exit} {} after {uptime}{memory}", end.cause, self.at(end.at_ms));
            self.fact("Last end", &told);
        }
        if status.row.restarts > 0 {
            let (recent, window) = (status.deaths_in_window, rough(Duration::from_secs(status.deaths_window_s)));
            let told = format!("{} in a row, {recent} of them in the last {window}", status.row.restarts);
            self.fact("Deaths", &told);
        }
    }

    fn files(&mut self, status: &Status) {
        self.fact("Spec", &printable(&home_as_tilde(&status.spec)));
        let mut label = "Files";
        for file in &status.files {
            let line = format!(
                "{:>LABEL$} {}",
                if label.is_empty() { String::new() } else { format!("{label}:") },
                printable(&home_as_tilde(file))
            );
            self.lines.push(line);
            label = "";
        }
    }
}

fn word(axis: &Axis) -> (&'static str, Hue) {
    match axis {
        Axis::Alive => ("alive", Hue::Good),
        Axis::Dead => ("dead", Hue::Bad),
        Axis::Unknown(_) => ("unknown", Hue::Odd),
    }
}

fn word_of(axis: &Axis) -> &'static str {
    word(axis).0
}
