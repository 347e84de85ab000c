use clap_complete::env::Shells;

use crate::cli::args::complete;
use crate::cli::{CliError, Context, Outcome};

/// Print a shell completion script
///
/// Completes verbs, flags, peer names, profiles, topics and events. The script calls `peer` at each Tab, so names are always
/// current.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Where to put it:\n  bash   peer completions bash > ~/.local/share/bash-completion/completions/peer\n  zsh    peer completions zsh > ~/.zfunc/_peer      (a directory of $fpath)\n  fish   peer completions fish > ~/.config/fish/completions/peer.fish"
)]
pub(crate) struct Args {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    shell: String,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Outcome {
    // The scripts of clap_complete 4.6 pass what was typed with its quotes, and the one for bash inserts values without
    // any.
    let own = match args.shell.as_str() {
        "bash" => Some(include_bytes!("../../../completions/peer.bash").as_slice()),
        "zsh" => Some(include_bytes!("../../../completions/_peer").as_slice()),
        "fish" => Some(include_bytes!("../../../completions/peer.fish").as_slice()),
        _ => None,
    };
    if let Some(text) = own {
        context.out.raw(text)?;
        return Ok(0);
    }
    let shells = Shells::builtins();
    let Some(shell) = shells.completer(&args.shell) else {
        return Err(CliError::usage(format!("{} is not a known shell", args.shell), "peer completions --help"));
    };
    let mut text = Vec::new();
    shell.write_registration(complete::VARIABLE, "peer", "peer", "peer", &mut text)?;
    context.out.raw(&text)?;
    Ok(0)
}
