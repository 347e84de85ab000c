use clap::CommandFactory;

use super::{Cli, Context, Outcome};

/// Print shell completions
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// bash, zsh, fish, elvish or powershell
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args, context: &mut Context) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "peer", &mut text);
    context.out.raw(&text)?;
    Ok(0)
}
