use peer_adapters::runtime::Key;

use crate::cli::{Context, Outcome};
use crate::policy::name::PeerName;

/// Press keys in an agent's pane, by name
///
/// Keys are named as in tmux, on both runtimes. To send text, use `peer send`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Keys: Enter, Escape, Tab, BTab or S-Tab, Up, Down, Left, Right, BSpace, Space, Home, End, PageUp, PageDown, Insert, Delete, F1 to F12, C-a to C-z, M- and a character, or one printable character.\n\nExamples:\n  peer key api Escape\n  peer key api Down Enter\n  peer key api C-c C-c"
)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
    /// Keys, pressed in this order
    #[arg(required = true, value_parser = |word: &str| Key::try_from(word.to_owned()), add = crate::cli::args::complete::keys())]
    key: Vec<Key>,
}

pub(crate) async fn run(args: &Args, context: &mut Context) -> Outcome {
    context.engine_by_records()?.press_keys(&args.name, &args.key).await?;
    let words: Vec<String> = args.key.iter().map(Key::to_string).collect();
    context.out.line(format!("{}: pressed {}", args.name, words.join(" ")))?;
    Ok(0)
}
