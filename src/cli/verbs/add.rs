use std::collections::BTreeSet;
use std::path::PathBuf;

use peer_adapters::inherited::{Limit, LimitName, Umask, check_nice};
use peer_adapters::runtime::RuntimeKind;
use serde_json::json;

use crate::cli::render::output::{self, printable};
use crate::cli::render::terminal::width;
use crate::cli::{CliError, Context, Outcome};
use crate::config::{PaneSize, PeerSpec, Span, is_variable_name};
use crate::engine::Engine;
use crate::engine::peer::kept::how_to_keep;
use crate::engine::verbs::add::{Declaration, Declared};
use crate::policy::health::Restart;
use crate::policy::name::PeerName;

/// Declare a peer
///
/// Checks everything that can be checked now: the profile, the runtime, the directory, and the agent's executable, whose
/// absolute path is stored. Repeating the same declaration is not an error.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer add api -- claude\n  peer add docs --cwd ~/docs --idle 30m -- codex --model o5\n  peer add shell -- bash\n  peer add api --keep-env ANTHROPIC_API_KEY      # also from cron, a timer or another shell"
)]
pub(crate) struct Args {
    /// 1 to 48 characters of a-z, 0-9, - and _
    name: PeerName,
    /// The agent's profile (see `peer agents`); derived from the command if omitted
    #[arg(long, value_name = "PROFILE", add = crate::cli::args::complete::profiles())]
    agent: Option<String>,
    /// Where its pane runs: tmux or zellij; defaults to `runtime` in config.toml, then to the first one installed
    #[arg(long, value_name = "RUNTIME", value_parser = crate::cli::args::runtime())]
    runtime: Option<RuntimeKind>,
    /// Its working directory; defaults to the current one
    #[arg(long, value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// Park it after this long without activity: 30m, 1h; 0 means never
    #[arg(long, value_name = "TIME")]
    idle: Option<Span>,
    /// When to start it again after it ended: on-wake, on-failure or always
    #[arg(long, value_name = "WHEN", value_parser = restart)]
    restart: Option<Restart>,
    /// Text to type into each fresh conversation before the first message
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// Columns and rows of its pane while no client is attached; defaults to 200x50
    #[arg(long, value_name = "COLUMNSxROWS")]
    size: Option<PaneSize>,
    /// Its umask, in octal; defaults to that of the process that wakes it
    #[arg(long, value_name = "OCTAL")]
    umask: Option<Umask>,
    /// Its nice value, -20 to 19; defaults to that of the process that wakes it
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = nice)]
    nice: Option<i32>,
    /// A resource limit, SOFT:HARD or one number for both, e.g. nofile=4096; may be repeated
    #[arg(long = "limit", value_name = "NAME=LIMIT", value_parser = limit)]
    limits: Vec<(LimitName, Limit)>,
    /// A variable for the agent; may be repeated
    #[arg(long = "env", value_name = "K=V", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Keep variables of this environment for the agent, in a file only you can read; separated by commas, or repeated
    ///
    /// The values are read now. Without an agent or a command it applies to a peer that is already declared.
    #[arg(long = "keep-env", value_name = "NAME", value_delimiter = ',')]
    keep_env: Vec<String>,
    /// A file with variables for the agent, one NAME=VALUE per line, readable only by you
    #[arg(long, value_name = "FILE", conflicts_with = "keep_env")]
    env_file: Option<PathBuf>,
    /// A dialog of the agent that may be answered for you, e.g. trust-folder; may be repeated
    #[arg(long, value_name = "DIALOG", add = crate::cli::args::complete::dialogs())]
    accept: Vec<String>,
    /// Adopt a conversation that was started outside peer, by its full id; the first wake resumes it
    ///
    /// It must be among the agent's own files, begun in the same directory, and no other peer's. Without an agent or a
    /// command, it applies to a declared peer; for a new one, the agent is the one whose files contain it.
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// Replace an existing declaration of this name
    #[arg(long)]
    replace: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// The agent's command; defaults to the profile's
    #[arg(last = true, value_name = "ARGV")]
    command: Vec<String>,
}

fn restart(text: &str) -> Result<Restart, String> {
    match text {
        "on-wake" => Ok(Restart::OnWake),
        "on-failure" => Ok(Restart::OnFailure),
        "always" => Ok(Restart::Always),
        _ => Err("use on-wake, on-failure or always".to_owned()),
    }
}

fn nice(text: &str) -> Result<i32, String> {
    let value = text.parse().map_err(|_| "write a whole number from -20 to 19".to_owned())?;
    check_nice(value).map(|()| value)
}

fn limit(text: &str) -> Result<(LimitName, Limit), String> {
    let (name, limit) = text.split_once('=').ok_or("write it as NAME=LIMIT, e.g. nofile=4096")?;
    Ok((name.parse()?, limit.parse()?))
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

impl Args {
    /// Whether only `--keep-env` or only `--conversation` was given.
    fn only_adds(&self) -> bool {
        let Self { agent, runtime, cwd, idle, restart, prompt, size, umask, nice, .. } = self;
        let said = agent.is_some() || runtime.is_some() || cwd.is_some() || idle.is_some() || restart.is_some();
        let said = said || prompt.is_some() || size.is_some() || umask.is_some() || nice.is_some() || self.replace;
        let lists = self.limits.len() + self.env.len() + self.accept.len() + self.command.len();
        let (keeps, adopts) = (!self.keep_env.is_empty(), self.conversation.is_some());
        keeps != adopts && !said && self.env_file.is_none() && lists == 0
    }

    /// Checks that an agent or a command was given, or a conversation that tells the agent.
    fn check_command(&self, engine: &Engine) -> Result<(), CliError> {
        let name = &self.name;
        if self.agent.is_some() || !self.command.is_empty() || self.conversation.is_some() {
            return Ok(());
        }
        Err(if engine.config.spec(name).is_ok_and(|spec| spec.is_some()) {
            CliError::usage(
                format!("add {name}: it is declared, and its declaration is replaced as a whole"),
                format!("peer edit {name}, or the same with --replace and -- COMMAND"),
            )
        } else {
            CliError::usage(
                format!("add {name}: needs an agent or a command"),
                format!("peer add {name} --agent claude, or peer add {name} -- COMMAND"),
            )
        })
    }

    /// Checks the names given to `--keep-env`. The error does not repeat them: what was typed may be the secret itself.
    fn check_names(&self) -> Result<(), CliError> {
        if self.keep_env.iter().all(|name| is_variable_name(name)) {
            return Ok(());
        }
        let problem = "--keep-env: not a valid variable name (letters, digits and _, not starting with a digit)";
        let hint = format!("peer add {} --keep-env NAME; the value is read from this environment", self.name);
        Err(CliError::usage(problem, hint))
    }
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    args.check_names()?;
    if args.only_adds() && args.conversation.is_none() {
        return keep(&args, context).await;
    }
    if args.only_adds() && context.engine()?.config.spec(&args.name).is_ok_and(|spec| spec.is_some()) {
        return adopt(&args, context).await;
    }
    let engine = context.engine()?;
    args.check_command(&engine)?;
    let typed = Declaration {
        agent: args.agent,
        runtime: args.runtime,
        cwd: args.cwd,
        idle: args.idle,
        restart: args.restart,
        prompt: args.prompt,
        size: args.size,
        umask: args.umask,
        nice: args.nice,
        limits: args.limits.into_iter().collect(),
        env: args.env.into_iter().collect(),
        keep_env: args.keep_env,
        env_file: args.env_file,
        accept: args.accept,
        conversation: args.conversation.clone(),
        command: args.command,
    };
    let before = engine.config.spec(&args.name).ok().flatten();
    let (declared, spec) = engine.add(&args.name, typed, args.replace).await?;
    let outcome = match declared {
        Declared::Added => "added",
        Declared::Unchanged => "unchanged",
        Declared::Kept => "kept",
        Declared::Replaced => "replaced",
    };
    let before = before.filter(|_| matches!(declared, Declared::Replaced));
    let changed = before.as_ref().map(|before| changed(before, &spec)).unwrap_or_default();
    report(&engine, &args.name, outcome, &spec, args.conversation.as_deref(), args.json, context)?;
    for change in changed.iter().filter(|_| !args.json) {
        output::note(&format!("{}: {change}", args.name));
    }
    if let Some(before) = before {
        super::edit::note_left_conversation(&engine, &args.name, &before.cwd)?;
    }
    Ok(0)
}

/// What a new declaration changes besides what is printed anyway: the key with both values, or the key alone where the values
/// may be long or secret.
fn changed(before: &PeerSpec, now: &PeerSpec) -> Vec<String> {
    const SHOWN: [&str; 4] = ["agent", "command", "runtime", "search_path"];
    const KEY_ALONE: [&str; 3] = ["env", "initial_prompt", "limit_prompt"];
    let table = |spec: &PeerSpec| spec.to_toml().parse::<toml::Table>().unwrap_or_default();
    let (before, now) = (table(before), table(now));
    let keys: BTreeSet<&String> = before.keys().chain(now.keys()).collect();
    let differs = keys.into_iter().filter(|key| before.get(*key) != now.get(*key) && !SHOWN.contains(&key.as_str()));
    let value =
        |table: &toml::Table, key: &str| table.get(key).map_or_else(|| "not set".to_owned(), ToString::to_string);
    let told = |key: &String| {
        if KEY_ALONE.contains(&key.as_str()) {
            format!("{key} is another now")
        } else {
            format!("{key} was {}, is {}", value(&before, key), value(&now, key))
        }
    };
    differs.map(told).collect()
}

async fn adopt(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let id = args.conversation.as_deref();
    engine.adopt(&args.name, id.unwrap_or_default()).await?;
    let spec = engine.peer(&args.name)?.spec;
    report(&engine, &args.name, "adopted", &spec, id, args.json, context)
}

async fn keep(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let spec = engine.keep(&args.name, &args.keep_env).await?;
    report(&engine, &args.name, "kept", &spec, None, args.json, context)
}

/// Prints what was declared, which variables are kept by name, and which of those that the agent needs are not kept.
fn report(
    engine: &Engine,
    name: &PeerName,
    outcome: &str,
    spec: &PeerSpec,
    adopted: Option<&str>,
    as_json: bool,
    context: &mut Context,
) -> Outcome {
    let kept = engine.kept_variables(spec)?;
    let kept: Vec<&str> = kept.names().collect();
    let not_kept = engine.not_kept(spec);
    if as_json {
        let file = engine.config.spec_path(name);
        let document = json!({ "peer": name, "outcome": outcome, "file": file, "spec": spec, "kept": kept,
                               "not_kept": not_kept, "adopted": adopted });
        context.out.document("add", &document)?;
    } else {
        let command = printable(&spec.command.join(" "));
        let kept = if kept.is_empty() { String::new() } else { format!("; keeps {}", kept.join(", ")) };
        let awake = engine.recorded_incarnation(name).is_ok_and(|incarnation| incarnation.is_some());
        let later = if outcome == "replaced" && awake { "; it takes effect at the next start" } else { "" };
        let due = engine.is_adoption_due(name).unwrap_or(false);
        let goes_on = adopted.filter(|_| due).map(|id| format!("; its next wake goes on in {}", printable(id)));
        let goes_on = goes_on.unwrap_or_default();
        let what = format!("{} on {}: {command}", spec.agent, spec.runtime);
        context.out.words(format!("{name}: {outcome} ({what}){kept}{later}{goes_on}"), 2)?;
    }
    if !not_kept.is_empty() {
        output::note(&lacking(name, &not_kept));
        output::hint(&how_to_keep(name, &not_kept));
    }
    Ok(0)
}

/// The columns that a note may take, so that it is one row of a common terminal.
const ROW: usize = 80;

/// Names what a wake from elsewhere would lack, as far as it fits; the command below names each.
fn lacking(name: &PeerName, variables: &[String]) -> String {
    let told = |named: usize| {
        let rest = match variables.len() - named {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{name}: a timer or another shell lacks {}{rest}", variables[..named].join(", "))
    };
    let fits = |text: &String| "note: ".len() + width(text) <= ROW;
    (1..=variables.len()).rev().map(told).find(fits).unwrap_or_else(|| told(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lacking_is_one_row_that_names_as_many_as_fit() {
        let told = |name: &str, variables: &[&str]| {
            lacking(&name.parse().expect("a name"), &variables.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(told("web", &["A_KEY"]), "web: a timer or another shell lacks A_KEY");
        let two = ["ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"];
        let line = told("web", &two);
        assert_eq!(line, "web: a timer or another shell lacks ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL");
        assert!("note: ".len() + line.len() <= ROW);
        let line = told("frontend", &two);
        assert_eq!(line, "frontend: a timer or another shell lacks ANTHROPIC_API_KEY and 1 more");
        let line = told("web", &["A_KEY"; 20]);
        assert!("note: ".len() + line.len() <= ROW && line.ends_with(", A_KEY and 16 more"), "{line}");
    }
}
