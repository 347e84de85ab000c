use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use peer_adapters::command::{self, Argv};
use peer_adapters::file;

use crate::cli::error::code;
use crate::cli::render::output::{self, printable};
use crate::cli::{CliError, Context, Outcome};
use crate::config::PeerSpec;
use crate::engine::verbs::edit::{Edited, LeftBehind};
use crate::engine::{Engine, EngineError};
use crate::policy::name::PeerName;

/// Edit a peer's spec in $VISUAL or $EDITOR; it is checked before it is saved
///
/// An invalid spec is reopened with the error on top. Changes that another command made meanwhile are not overwritten. A text
/// that was not saved is kept, and its path is printed.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer edit api\n  EDITOR=nano peer edit api\n  EDITOR='sed -i s/1h/2h/' peer edit api      # without a terminal"
)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let Some(before) = engine.config.spec_text(&args.name).map_err(EngineError::from)? else {
        return Err(engine.no_such_peer(&args.name).into());
    };
    let editor = editor(&engine, &args.name)?;
    let draft = Draft::of(&args.name, &before)?;
    let spec_before = PeerSpec::parse(&engine.config.spec_path(&args.name), &before).ok();
    let awake = match edit_until_saved(&engine, &args.name, &editor, &draft, before).await {
        Ok(saved) => saved,
        Err(stop) => return Err(draft.kept(stop)),
    };
    draft.remove();
    let (name, spec) = (&args.name, engine.peer(&args.name)?.spec);
    let said = match awake {
        None => "nothing changed".to_owned(),
        Some(false) => "saved".to_owned(),
        Some(true) if spec_before.as_ref().is_some_and(|before| before.starts_alike(&spec)) => {
            "saved; it applies now".to_owned()
        }
        Some(true) => {
            format!("saved; it applies at the next start: peer stop {name} && peer start {name} && peer wake {name}")
        }
    };
    context.out.words(format!("{name}: {said}"), 2)?;
    if let Some(before) = spec_before {
        note_left_conversation(&engine, &args.name, &before.cwd)?;
    }
    if let Some(error) = engine.why_not_startable(&args.name)? {
        engine.progress.notice(&format!("{}: its next start would fail: {error}", args.name));
    }
    if let Some(unused) = engine.unused_env_file(&args.name, &spec) {
        let unused = unused.display();
        engine.progress.notice(&format!("{}: its spec does not name {unused} any more; rm {unused}", args.name));
    }
    Ok(0)
}

/// Says that the conversation stays behind in the directory that the peer had before, if it does, and how it can be gone on
/// with.
pub(super) fn note_left_conversation(engine: &Engine, name: &PeerName, before: &Path) -> Result<(), EngineError> {
    let Some(LeftBehind { conversation, here }) = engine.left_behind(name, before)? else { return Ok(()) };
    let now = engine.peer(name)?.spec.cwd;
    engine.progress.notice(&format!(
        "{name}: its agent keeps conversations by directory: the next start in {} is fresh; cwd = \"{}\" and then peer \
         wake {name} --conversation {conversation} go on with the present one",
        now.display(),
        before.display()
    ));
    if let Some(here) = here {
        output::hint(&format!(
            "peer wake {name} --conversation {here} goes on with the one that it had in {}",
            now.display()
        ));
    }
    Ok(())
}

/// Why a spec was not saved.
struct Stop {
    problem: String,
    code: u8,
    /// Whether there is no edit that could be lost.
    untouched: bool,
}

/// Opens the editor until the text is saved. Without a terminal, nothing different could be typed, so there is one
/// attempt. Returns whether its agent is awake, if anything was changed.
async fn edit_until_saved(
    engine: &Engine,
    name: &PeerName,
    editor: &OsString,
    draft: &Draft,
    mut base: String,
) -> Result<Option<bool>, Stop> {
    let first = base.clone();
    let mut shown = base.clone();
    loop {
        let failed = |error: CliError| Stop { problem: error.to_string(), code: error.code(), untouched: false };
        let ran = open_editor(editor, draft.path());
        let text = draft.read().map_err(failed)?;
        let untouched = text == first;
        if let Err(problem) = ran {
            return Err(Stop { problem, code: code::USAGE, untouched });
        }
        let rejected = match check(engine, name, draft.path(), &text) {
            Ok(()) => match engine.edit(name, &base, &text).await {
                Ok(Edited::Unchanged) => return Ok(None),
                Ok(Edited::Saved { awake }) => return Ok(Some(awake)),
                Ok(Edited::Changed(now)) => {
                    let was = format!("the spec of {name} was changed by another command meanwhile");
                    let lines = now.lines().map(|line| format!("now: {line}"));
                    let note = std::iter::once(format!("{was}; what it says now:")).chain(lines).collect();
                    base = now;
                    Rejected { problem: was, note, code: code::FAILED }
                }
                Err(error) => return Err(Stop { untouched, ..failed(error.into()) }),
            },
            Err(rejected) => rejected,
        };
        // A user who saves the refused text unchanged gives up.
        if text == shown || !std::io::stdin().is_terminal() {
            let Rejected { problem, code, .. } = rejected;
            return Err(Stop { problem, code, untouched });
        }
        draft.write(&rejected.note, &text).map_err(failed)?;
        shown = text;
    }
}

/// Why a text was not saved: `problem` in one line, and `note` as it is written on top of the draft.
struct Rejected {
    problem: String,
    code: u8,
    note: Vec<String>,
}

fn check(engine: &Engine, name: &PeerName, draft: &Path, text: &str) -> Result<(), Rejected> {
    let read = PeerSpec::parse(draft, text).map_err(EngineError::from);
    let Err(error) = read.and_then(|spec| engine.check(name, &spec)) else { return Ok(()) };
    let error = CliError::from(error);
    let hint = error.hint().map(|hint| format!("hint: {hint}"));
    let problem = error.to_string();
    let note = std::iter::once(format!("{problem} (lines are counted below this note)")).chain(hint).collect();
    Err(Rejected { problem, note, code: code::USAGE })
}

/// The text while it is edited, in a file with mode 0600 because `[env]` holds values.
struct Draft {
    path: PathBuf,
}

/// The beginning of each line that we write on top of a draft and that does not belong to the text.
const NOTE: &str = "# peer edit: ";

impl Draft {
    fn of(name: &PeerName, text: &str) -> Result<Self, CliError> {
        let path = std::env::temp_dir().join(format!("peer-edit-{name}-{}.toml", std::process::id()));
        let written = file::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|source| CliError::Directory { path: path.clone(), source })?;
        Ok(Self { path })
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a text again, below the reason why it was rejected.
    fn write(&self, note: &[String], text: &str) -> Result<(), CliError> {
        let note: Vec<String> = note.iter().map(|line| format!("{NOTE}{}\n", printable(line))).collect();
        let written = file::replace(&self.path).and_then(|mut file| file.write_all((note.concat() + text).as_bytes()));
        written.map_err(|source| CliError::Directory { path: self.path.clone(), source })
    }

    /// Returns what was typed, without our own note.
    fn read(&self) -> Result<String, CliError> {
        let text = file::read_to_string(&self.path, file::MOST)
            .map_err(|source| CliError::Directory { path: self.path.clone(), source })?;
        let typed = text.split_inclusive('\n').skip_while(|line| line.starts_with(NOTE.trim_end()));
        Ok(typed.collect())
    }

    /// Returns the error for a text that was not saved. The draft stays, unless nothing was typed.
    fn kept(&self, Stop { problem, code, untouched }: Stop) -> CliError {
        if untouched {
            self.remove();
            return CliError::NotSaved { problem, hint: "nothing was changed".to_owned(), code };
        }
        let hint = format!("your text is in {}", self.path.display());
        CliError::NotSaved { problem: format!("{problem}; the spec was not saved"), hint, code }
    }

    fn remove(&self) {
        // An editor may have moved it away already.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Returns `$VISUAL`, else `$EDITOR`, else vi, which needs a terminal.
fn editor(engine: &Engine, name: &PeerName) -> Result<OsString, CliError> {
    let named = |key| engine.var(key).filter(|value| !value.is_empty()).cloned();
    if let Some(editor) = named("VISUAL").or_else(|| named("EDITOR")) {
        return Ok(editor);
    }
    if std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
        return Ok(OsString::from("vi"));
    }
    let spec = engine.config.spec_path(name);
    Err(CliError::usage(
        "edit needs a terminal, or an editor that needs none in $VISUAL or $EDITOR",
        format!("EDITOR='sed -i s/OLD/NEW/' peer edit {name}; the spec is {}", spec.display()),
    ))
}

/// Runs the editor. A shell splits its words, as git does it.
fn open_editor(editor: &OsString, file: &Path) -> Result<(), String> {
    let mut script = editor.clone();
    script.push(" \"$@\"");
    let argv = Argv::new("/bin/sh").arg("-c").arg(script).arg(editor).arg(file);
    match command::run_in_foreground(&argv) {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("the editor {} failed: {status}", editor.display())),
        Err(error) => Err(format!("cannot run the editor {}: {error}", editor.display())),
    }
}
