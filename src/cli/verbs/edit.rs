use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use peer_adapters::command::{self, Argv};
use peer_adapters::file;

use crate::cli::render::output;
use crate::cli::{CliError, Context, Outcome};
use crate::config::PeerSpec;
use crate::engine::{Engine, EngineError};
use crate::policy::name::PeerName;

/// Open a peer's spec in $EDITOR; it is checked before it is saved
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let Some(before) = engine.config.spec_text(&args.name).map_err(EngineError::from)? else {
        return Err(engine.no_such_peer(&args.name).into());
    };
    let draft = draft_path(&args.name);
    write_draft(&draft, &before)?;
    let edited = edit_until_valid(&engine, &args.name, &draft);
    // The person's words are kept when they could not be saved.
    if edited.is_ok() {
        let _ = std::fs::remove_file(&draft);
    }
    let text = edited?;
    if text == before {
        context.out.line(format!("{}: unchanged", args.name))?;
    } else {
        engine.config.write_spec(&args.name, &text).map_err(EngineError::from)?;
        context.out.line(format!("{}: saved", args.name))?;
        let spec = engine.peer(&args.name)?.spec;
        if let Some(unused) = engine.unused_env_file(&args.name, &spec) {
            let unused = unused.display();
            engine.progress.notice(&format!("{}: its spec does not name {unused} any more; rm {unused}", args.name));
        }
    }
    Ok(0)
}

fn draft_path(name: &PeerName) -> PathBuf {
    std::env::temp_dir().join(format!("peer-edit-{name}-{}.toml", std::process::id()))
}

fn write_draft(path: &Path, text: &str) -> Result<(), CliError> {
    let written = file::create_new(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|source| CliError::Directory { path: path.to_owned(), source })
}

fn edit_until_valid(engine: &Engine, name: &PeerName, draft: &Path) -> Result<String, CliError> {
    loop {
        open_editor(draft)?;
        let text = file::read_to_string(draft, file::MOST)
            .map_err(|source| CliError::Directory { path: draft.to_owned(), source })?;
        let checked =
            PeerSpec::parse(draft, &text).map_err(EngineError::from).and_then(|spec| engine.check(name, &spec));
        match checked {
            Ok(()) => return Ok(text),
            Err(error) => {
                let error = CliError::from(error);
                error.report();
                if !std::io::stdin().is_terminal() || !ask_again() {
                    return Err(CliError::usage(
                        "the spec was not saved",
                        format!("your text is in {}", draft.display()),
                    ));
                }
            }
        }
    }
}

fn ask_again() -> bool {
    output::ask("edit it again? [Y/n]").is_ok_and(|answer| !answer.eq_ignore_ascii_case("n"))
}

/// `$VISUAL`, else `$EDITOR`, else vi; its words split as git splits them, by a shell.
fn open_editor(file: &Path) -> Result<(), CliError> {
    let named = |key| std::env::var_os(key).filter(|value: &OsString| !value.is_empty());
    let editor = named("VISUAL").or_else(|| named("EDITOR")).unwrap_or_else(|| OsString::from("vi"));
    let mut script = editor.clone();
    script.push(" \"$@\"");
    let argv = Argv::new("/bin/sh").arg("-c").arg(script).arg(&editor).arg(file);
    let failed = |source| CliError::Directory { path: PathBuf::from(&editor), source };
    let status = command::run_in_foreground(&argv).map_err(failed)?;
    if status.success() {
        Ok(())
    } else {
        Err(CliError::usage(format!("the editor {} failed: {status}", editor.display()), "nothing was saved"))
    }
}
