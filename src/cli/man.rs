//! `peer man`: the manual page on stdout, or every page into a directory.

mod page;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use peer_adapters::command::{self, Argv};
use peer_adapters::file;

use super::{Cli, CliError, Context, Outcome, help};

/// Pages that are written, not generated from the parser's definition.
const WRITTEN: [(&str, &str); 1] = [("peer-files.5", include_str!("man/peer-files.5"))];

/// Show the manual page, or write all pages to a directory
///
/// On a terminal it is shown by man(1), if that is installed; a pipe or a file gets the page's source.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer man                               # read it now\n  peer man ~/.cargo/share/man/man1       # write every page where man(1) finds it"
)]
pub(super) struct Args {
    /// Where to write peer.1, one page per verb, and peer-files.5, which goes to man5 beside a directory called man1
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Outcome {
    if let Some(dir) = &args.dir {
        refuse_verb(dir)?;
        let written = write_all(dir).map_err(|source| CliError::Directory { path: dir.clone(), source })?;
        context.out.line(format!("{written} pages written to {}", dir.display()))?;
    } else {
        let (_, page) = page::program(&Cli::command())?;
        if !std::io::stdout().is_terminal() || !shown(&page) {
            context.out.raw(page.as_bytes())?;
        }
    }
    Ok(0)
}

/// Has man(1) show a page, in the pager that it uses. Returns `false` if there is none that does.
fn shown(page: &str) -> bool {
    let path = std::env::temp_dir().join(format!("peer-man-{}.1", std::process::id()));
    let written = file::create_new(&path).and_then(|mut file| file.write_all(page.as_bytes()));
    let man = Argv::new("man").arg("-l").arg(&path);
    let ran = written.and_then(|()| command::run_in_foreground(&man));
    // Ours alone: a file of this name that was there already was not written.
    if !matches!(&ran, Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists) {
        let _ = std::fs::remove_file(&path);
    }
    ran.is_ok_and(|status| status.success())
}

/// `peer man edit` asks for the page of a verb, as `git help` takes it, unless there is such a directory.
fn refuse_verb(dir: &Path) -> Result<(), CliError> {
    match dir.to_str() {
        Some(word) if !dir.exists() && help::names().any(|name| name == word) => Err(CliError::usage(
            format!("peer man writes pages into a directory, and there is no directory {word}"),
            format!("peer help {word}, or man peer-{word} where the pages are installed"),
        )),
        _ => Ok(()),
    }
}

/// Writes every page and returns how many there are.
fn write_all(dir: &Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(dir)?;
    let pages = page::all(&Cli::command())?;
    pages.iter().try_for_each(|(name, text)| std::fs::write(dir.join(name), text))?;
    // man(1) looks for pages of chapter 5 only in man5.
    let formats = if dir.ends_with("man1") { dir.with_file_name("man5") } else { dir.to_owned() };
    std::fs::create_dir_all(&formats)?;
    WRITTEN.iter().try_for_each(|(name, text)| std::fs::write(formats.join(name), text))?;
    Ok(pages.len() + WRITTEN.len())
}

#[cfg(test)]
mod tests;
