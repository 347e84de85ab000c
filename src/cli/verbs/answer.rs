use std::io;

use peer_adapters::screen::MenuRow;
use serde_json::{Value, json};

use crate::cli::args::several::named;
use crate::cli::render::output::{self, printable};
use crate::cli::{CliError, Context, Outcome};
use crate::engine::EngineError;
use crate::engine::verbs::answer::{After, Answered, Choice, Question};
use crate::policy::name::PeerName;

/// Show an agent's open question, or choose an answer
///
/// Moves the cursor one key at a time and presses Enter only once the chosen row is seen to have it, and only while the
/// question is still the same one. Then it shows what the agent asks next, such as the same question with that row ticked: choose
/// further rows, and the one that goes on (`Submit`). No question is ever answered automatically. For an answer in your own words,
/// use `peer attach`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  peer answer api\n  peer answer api 1\n  peer answer api 'Yes, I trust this folder'\n  peer answer api Submit"
)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
    /// The row: its number, its label, or the first words of its label if only one row begins with them
    #[arg(value_name = "ROW|LABEL")]
    choice: Option<String>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args, context: &mut Context) -> Outcome {
    let engine = context.engine_by_records()?;
    let Some(choice) = &args.choice else {
        let question = engine.question(&args.name).await;
        return match question {
            Ok(question) => show(&args, question.as_ref(), context),
            Err(error) => failed(&args, error, context),
        };
    };
    match engine.answer_question(&args.name, Choice::Named(choice)).await {
        Ok(answered) if args.json => {
            let answered = serde_json::to_value(&answered).expect("plain data");
            context.out.document("answer", &named(&args.name, answered))?;
            Ok(0)
        }
        Ok(answered) => {
            let told = format!("{}: {}; {}", args.name, chose(&answered), followed(&answered.after));
            context.out.words(printable(&told), 2)?;
            if let After::Asks { asks, .. } = &answered.after {
                show_rows(&args, asks, context)?;
            }
            Ok(0)
        }
        Err(error) => failed(&args, error, context),
    }
}

fn failed(args: &Args, error: EngineError, context: &mut Context) -> Outcome {
    let error = CliError::from(error);
    if !args.json {
        return Err(error);
    }
    context.out.document("answer", &named(&args.name, error.to_json()))?;
    Ok(error.code())
}

fn show(args: &Args, question: Option<&Question>, context: &mut Context) -> Outcome {
    if args.json {
        let asks: Value = json!({ "asks": question });
        context.out.document("answer", &named(&args.name, asks))?;
        return Ok(0);
    }
    let Some(question) = question else {
        context.out.line(format!("{} has no open question", args.name))?;
        return Ok(0);
    };
    let asked = question.question.as_deref().unwrap_or("something");
    context.out.words(printable(&format!("{} asks ({}): {asked}", args.name, question.kind)), 2)?;
    show_rows(args, question, context)?;
    Ok(0)
}

/// Prints what is above the rows of a question, and its rows.
fn show_rows(args: &Args, question: &Question, context: &mut Context) -> io::Result<()> {
    let asked = question.question.as_deref();
    for line in question.text.iter().filter(|line| Some(line.as_str()) != asked) {
        context.out.words(printable(&format!("    {line}")), 4)?;
    }
    for (index, row) in question.rows.iter().enumerate() {
        let mark = if question.cursor == Some(index + 1) { '>' } else { ' ' };
        context.out.words(printable(&format!("  {mark} {}{row}", indent(row))), 7)?;
        for line in &row.about {
            context.out.words(printable(&format!("         {line}")), 9)?;
        }
    }
    if question.is_cut {
        output::note(&format!("its beginning is above the screen: peer attach {}, in a higher terminal", args.name));
    }
    // Without a cursor in sight, no row can be chosen from here.
    if question.cursor.is_none() {
        output::hint(&format!("peer attach {}", args.name));
    }
    Ok(())
}

/// The space before a row, as on the screen: one without a number begins behind the numbers of the others.
pub(super) fn indent(row: &MenuRow) -> &'static str {
    if row.number.is_none() { "   " } else { "" }
}

/// What an answer did, to which row.
pub(super) fn chose(answered: &Answered) -> String {
    let number = answered.row.map(|row| format!("{row}. ")).unwrap_or_default();
    format!("{} {number}{}", answered.did.as_str(), answered.label)
}

/// What an agent does after an answer.
pub(super) fn followed(after: &After) -> String {
    match after {
        After::Busy => "it is working now".to_owned(),
        After::Free => "it is ready for a message".to_owned(),
        After::Asks { next, .. } => format!("it asks: {next}"),
        After::Ended { how: Some(how), counted, .. } => {
            let counts = if *counted == Some(true) { "which counts as a death" } else { "which is no death" };
            format!("it ended: {how}, {counts}")
        }
        After::Ended { .. } => "it ended".to_owned(),
        After::Unknown => "its question is gone".to_owned(),
    }
}
