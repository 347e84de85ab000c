use std::path::PathBuf;

use clap::CommandFactory;

use super::{Cli, CliError, Context, Outcome};

/// Print the manual page, or write all pages to a directory
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to write peer.1 and one page a verb
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Outcome {
    if let Some(dir) = &args.dir {
        clap_mangen::generate_to(Cli::command(), dir)
            .map_err(|source| CliError::Directory { path: dir.clone(), source })?;
    } else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page)?;
        context.out.raw(&page)?;
    }
    Ok(0)
}
