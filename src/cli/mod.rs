//! The command line: arguments, output and exit codes.
//!
//! Each verb is one file of `verbs/` under the name that the user types. Data goes to stdout, everything else to
//! stderr; only this module prints.

mod args;
mod error;
mod help;
mod interrupted;
mod man;
mod render;
mod verbs;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{FromArgMatches, Parser, Subcommand};
use nix::sys::resource::{Resource, getrlimit};
use peer_adapters::file;

use crate::engine::{Engine, Progress};

use args::{complete, mistyped};
pub use error::CliError;
use render::output::Out;
use render::{progress, terminal};
#[cfg(feature = "mcp")]
use verbs::mcp;
#[cfg(feature = "top")]
use verbs::top;
#[cfg(feature = "top")]
pub use verbs::top::FullScreen;
use verbs::{
    add, agent_hook, agents, answer, attach, beat, completions, conversations, doctor, edit, hook, inbox, interrupt,
    key, last, list, log, move_to, new, reap, refresh, release, rename, reset, restart_runtime, restore, rm, screen,
    seed, self_done, self_fresh, send, show, start, status, stop, timer, transcript, wait, wake, watch, why,
};

/// The result of a verb: the exit code, or the error that determines it.
type Outcome = Result<u8, CliError>;

/// Starts, resumes and parks named terminal agents on demand.
#[derive(Debug, Parser)]
#[command(
    name = "peer",
    version,
    about = "Starts, resumes and parks named terminal agents on demand, in tmux or zellij",
    after_help = "Getting started:\n  peer add api -- claude      # declare an agent in this directory\n  peer wake api -m 'hello'    # start it, fresh or resumed, and say why\n  peer attach api             # look at it\n\nTopics: peer help states, causes, events, markers, exit-codes\n\nAliases: peer ls and peer ps for peer list, peer logs for peer log\n\nExit codes: 0 done · 1 failed · 2 usage · 3 no such peer · 4 refused by state · 5 not ready · 6 runtime unavailable · 7 message not confirmed · 8 needs a person · 9 timed out",
    max_term_width = 100,
    disable_help_subcommand = true
)]
struct Cli {
    /// When to use colours: auto, always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = true,
        hide_default_value = true
    )]
    color: clap::ColorChoice,
    #[command(subcommand)]
    verb: Verb,
}

// The arguments of a verb are defined only when that verb is typed: defining all of them took a sixth of a small verb's
// time.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum Verb {
    Add(add::Args),
    Rm(rm::Args),
    Restore(restore::Args),
    Rename(rename::Args),
    Edit(edit::Args),
    Show(show::Args),
    Wake(wake::Args),
    Send(send::Args),
    Inbox(inbox::Args),
    Wait(wait::Args),
    Attach(attach::Args),
    Stop(stop::Args),
    Start(start::Args),
    New(new::Args),
    Move(move_to::Args),
    RestartRuntime(restart_runtime::Args),
    Refresh(refresh::Args),
    Answer(answer::Args),
    Interrupt(interrupt::Args),
    Key(key::Args),
    SelfFresh(self_fresh::Args),
    SelfDone(self_done::Args),
    Beat(beat::Args),
    #[cfg(feature = "mcp")]
    Mcp(mcp::Args),
    Reap(reap::Args),
    Watch(watch::Args),
    #[command(aliases = ["ls", "ps"])]
    List(list::Args),
    Status(status::Args),
    #[cfg(feature = "top")]
    Top(top::Args),
    Why(why::Args),
    Screen(screen::Args),
    Last(last::Args),
    Transcript(transcript::Args),
    Conversations(conversations::Args),
    #[command(alias = "logs")]
    Log(log::Args),
    Reset(reset::Args),
    Release(release::Args),
    Timer(timer::Args),
    Doctor(doctor::Args),
    Agents(agents::Args),
    Completions(completions::Args),
    Man(man::Args),
    Help(help::Args),
    #[command(hide = true)]
    Seed(seed::Args),
    #[command(hide = true)]
    Hook(hook::Args),
    #[command(hide = true)]
    AgentHook(agent_hook::Args),
}

/// What every verb gets: the place to print to, and a way to make the engine.
struct Context {
    out: Out,
    /// Whether `--` was typed, behind which nothing is a flag.
    ends_flags: bool,
}

impl Context {
    /// Opens the engine for a verb that needs a `config.toml` without mistakes.
    fn engine(&self) -> Result<Engine, CliError> {
        let engine = self.engine_with(Box::new(progress::Terminal::new()))?;
        engine.usable_settings()?;
        Ok(engine)
    }

    /// Opens the engine for a verb that observes or ends what is on record, even if `config.toml` cannot be used. The user
    /// is told what is wrong with it.
    fn engine_by_records(&self) -> Result<Engine, CliError> {
        let engine = self.engine_with(Box::new(progress::Terminal::new()))?;
        if let Some(hint) = notice_unusable_settings(&engine) {
            render::output::hint(&hint);
        }
        Ok(engine)
    }

    /// Opens the engine, whatever is wrong with `config.toml`.
    fn engine_with(&self, progress: Box<dyn Progress>) -> Result<Engine, CliError> {
        let executable = peer_adapters::process::own_executable().map_err(CliError::Executable)?;
        open_engine(executable, progress)
    }
}

/// Opens the engine over the directories that the environment names. `executable` is the path of `peer`, which panes run.
fn open_engine(executable: PathBuf, progress: Box<dyn Progress>) -> Result<Engine, CliError> {
    let dirs = Directories::of_environment()?;
    Ok(Engine::open(dirs.state, dirs.config, executable, progress)?)
}

/// Reports a mistake in `config.toml`, and that the verb works without it. Returns the hint that goes with the mistake.
fn notice_unusable_settings(engine: &Engine) -> Option<String> {
    let mistake = CliError::from(engine.usable_settings().err()?);
    engine.progress.notice(&format!("{mistake}; until this is fixed, nothing is started and no hook runs"));
    mistake.hint()
}

/// The directories of state and configuration.
struct Directories {
    state: PathBuf,
    config: PathBuf,
}

impl Directories {
    /// `PEER_STATE_DIR` and `PEER_CONFIG_DIR`, else the XDG directories, else their counterparts on macOS.
    fn of_environment() -> Result<Self, CliError> {
        Self::named(|variable| std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from))
    }

    /// The directories without either variable, as in a bare crontab.
    fn without_variables() -> Result<Self, CliError> {
        Self::named(|_| None)
    }

    fn named(named: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, CliError> {
        let project = directories::ProjectDirs::from("", "", "peer");
        let state = named("PEER_STATE_DIR").or_else(|| {
            let dirs = project.as_ref()?;
            Some(dirs.state_dir().unwrap_or_else(|| dirs.data_local_dir()).to_owned())
        });
        let config = named("PEER_CONFIG_DIR").or_else(|| Some(project.as_ref()?.config_dir().to_owned()));
        match (state, config) {
            (Some(state), Some(config)) => Ok(Self { state: absolute(state)?, config: absolute(config)? }),
            _ => Err(CliError::NoHome),
        }
    }
}

/// Makes a relative path absolute, once, because records outlive this process's working directory.
fn absolute(path: PathBuf) -> Result<PathBuf, CliError> {
    std::path::absolute(&path).map_err(|source| CliError::Directory { path, source })
}

/// Parses the arguments, runs the verb and returns the exit code. Everything is printed when this returns.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(code) = complete::answer(&arguments) {
        return code;
    }
    let cli = match parse(&arguments) {
        Ok(cli) => cli,
        Err(shown) => return mistyped::report(&shown, &arguments),
    };
    terminal::choose_colors(cli.color);
    let mut context = Context { out: Out::stdout(), ends_flags: arguments.iter().any(|word| word == "--") };
    let outcome = runtime().and_then(|runtime| runtime.block_on(dispatch(cli.verb, &mut context)));
    let flushed = context.out.flush().map_err(CliError::from);
    let verb = arguments.get(1).and_then(|verb| verb.to_str()).unwrap_or_default();
    match outcome.and_then(|code| flushed.map(|()| code)) {
        Ok(code) => code,
        Err(error) if error.is_broken_pipe() => 0,
        Err(error) => error.of_verb(verb).report(),
    }
}

/// Runs `peer-mcp PEER`, which `peer mcp` becomes, and returns the exit code. `PEER` is the path of `peer`.
#[cfg(feature = "mcp")]
pub fn serve_mcp(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let outcome = runtime().and_then(|runtime| runtime.block_on(mcp::serve(arguments)));
    outcome.unwrap_or_else(|error| error.report())
}

/// Parses the arguments. For an error or a request for help, it parses again with the arguments of every verb defined.
fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(arguments).or_else(|_| {
        let mut whole = help::command();
        let matches = whole.try_get_matches_from_mut(arguments)?;
        Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut whole))
    })
}

/// The number of files that a verb opens at once: the async runtime, a client's pipes, locks and logs, twice over.
/// Without them tokio gives up in the middle of the work.
const FILES_NEEDED: usize = 24;

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    if !file::can_open(FILES_NEEDED) {
        let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or_default();
        return Err(CliError::TooFewFiles { limit, needed: FILES_NEEDED });
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::Executable)
}

#[expect(clippy::too_many_lines, reason = "one table")]
async fn dispatch(verb: Verb, context: &mut Context) -> Outcome {
    match verb {
        Verb::Add(args) => add::run(args, context).await,
        Verb::Rm(args) => rm::run(args, context).await,
        Verb::Restore(args) => restore::run(args, context).await,
        Verb::Rename(args) => rename::run(args, context).await,
        Verb::Edit(args) => edit::run(&args, context).await,
        Verb::Show(args) => show::run(&args, context),
        Verb::Wake(args) => wake::run(args, context).await,
        Verb::Send(args) => send::run(args, context).await,
        Verb::Inbox(args) => inbox::run(&args, context).await,
        Verb::Wait(args) => wait::run(args, context).await,
        Verb::Attach(args) => attach::run(&args, context).await,
        Verb::Stop(args) => stop::run(args, context).await,
        Verb::Start(args) => start::run(args, context).await,
        Verb::New(args) => new::run(args, context).await,
        Verb::Move(args) => move_to::run(args, context).await,
        Verb::RestartRuntime(args) => restart_runtime::run(args, context).await,
        Verb::Refresh(args) => refresh::run(args, context).await,
        Verb::Answer(args) => answer::run(args, context).await,
        Verb::Interrupt(args) => interrupt::run(&args, context).await,
        Verb::Key(args) => key::run(&args, context).await,
        Verb::SelfFresh(args) => self_fresh::run(args, context).await,
        Verb::SelfDone(args) => self_done::run(&args, context),
        Verb::Beat(args) => beat::run(&args, context),
        #[cfg(feature = "mcp")]
        Verb::Mcp(args) => mcp::run(&args),
        Verb::Reap(args) => reap::run(args, context).await,
        Verb::Watch(args) => watch::run(args, context).await,
        Verb::Seed(args) => seed::run(args, context).await,
        Verb::Hook(args) => hook::run(&args, context).await,
        Verb::AgentHook(args) => agent_hook::run(&args, context).await,
        Verb::List(args) => list::run(&args, context).await,
        Verb::Status(args) => status::run(&args, context).await,
        #[cfg(feature = "top")]
        Verb::Top(args) => top::run(&args, context).await,
        Verb::Why(args) => why::run(&args, context).await,
        Verb::Screen(args) => screen::run(&args, context).await,
        Verb::Last(args) => last::run(&args, context),
        Verb::Transcript(args) => transcript::run(&args, context).await,
        Verb::Conversations(args) => conversations::run(&args, context),
        Verb::Log(args) => log::run(&args, context).await,
        Verb::Reset(args) => reset::run(args, context).await,
        Verb::Release(args) => release::run(args, context).await,
        Verb::Timer(args) => timer::run(args, context).await,
        Verb::Doctor(args) => doctor::run(&args, context).await,
        Verb::Agents(args) => agents::run(&args, context),
        Verb::Completions(args) => completions::run(&args, context),
        Verb::Man(args) => man::run(&args, context),
        Verb::Help(args) => help::run(&args, context),
    }
}

#[cfg(test)]
mod tests;
