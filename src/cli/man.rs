use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::{Cli, CliError, Context, Outcome};

/// Pages that no parser's definition tells.
const WRITTEN: [(&str, &str); 1] = [("peer-files.5", include_str!("man/peer-files.5"))];

/// Print the manual page, or write all pages to a directory
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to write peer.1, one page a verb, and peer-files.5
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Outcome {
    if let Some(dir) = &args.dir {
        write_all(dir).map_err(|source| CliError::Directory { path: dir.clone(), source })?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        context.out.raw(&page)?;
    }
    Ok(0)
}

fn write_all(dir: &Path) -> std::io::Result<()> {
    clap_mangen::generate_to(Cli::command(), dir)?;
    WRITTEN.iter().try_for_each(|(name, text)| std::fs::write(dir.join(name), text))
}
