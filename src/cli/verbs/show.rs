use serde_json::{Value, json};

use crate::cli::render::output::printable;
use crate::cli::{CliError, Context, Outcome};
use crate::config::{Origin, Size, TmuxSettings, Value as Setting, format_span};
use crate::engine::{Engine, Peer};
use crate::policy::name::PeerName;

/// Print a peer's effective spec, and where each value comes from
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name of the peer
    #[arg(add = crate::cli::args::complete::peers())]
    name: PeerName,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, context: &mut Context) -> Outcome {
    let engine = context.engine()?;
    let peer = engine.known(&args.name)?;
    if let Err(error) = engine.peer(&args.name) {
        let error = CliError::shown(&error);
        let hint = error.hint.map(|hint| format!("; {}", hint.replace('\n', "; "))).unwrap_or_default();
        engine.progress.notice(&format!("{}: its spec cannot be used: {}{hint}", args.name, error.problem));
    }
    let rows = rows(&engine, &peer);
    let file = engine.config.spec_path(&args.name);
    if args.json {
        let values: serde_json::Map<String, Value> = rows
            .into_iter()
            .map(|(key, (value, origin))| (key.to_owned(), json!({ "value": value, "origin": origin })))
            .collect();
        context.out.document("show", &json!({ "peer": args.name, "file": file, "spec": values }))?;
        return Ok(0);
    }
    context.out.line(printable(&format!("{}: {}", args.name, file.display())))?;
    // The number of KiB is for programs.
    for (key, (value, origin)) in rows.iter().filter(|(key, (value, _))| !value.is_null() && *key != "max_memory_kib") {
        let value = value.to_string();
        let line = format!("  {key:<21} {:<44} {origin}", value.trim_matches('"'));
        context.out.words(printable(line.trim_end()), 24)?;
    }
    Ok(0)
}

/// A key of the effective spec, its value and where that comes from.
type Row = (&'static str, (Value, Origin));

#[expect(clippy::too_many_lines, reason = "one table")]
fn rows(engine: &Engine, peer: &Peer) -> Vec<Row> {
    let said = if peer.is_declared { Origin::Spec } else { Origin::Known };
    let (spec, effective) = (&peer.spec, &peer.effective);
    let span = |setting: &Setting<Option<std::time::Duration>>| {
        (json!(setting.value.map_or_else(|| "0".to_owned(), format_span)), setting.origin)
    };
    let typed = |value: Value| (value, said);
    let flag = |set: bool| if set { typed(json!(true)) } else { (json!(false), Origin::Default) };
    let kept = match engine.kept_variables(spec) {
        Ok(_) if spec.env_file.is_none() => Value::Null,
        Ok(kept) => json!(kept.names().collect::<Vec<_>>()),
        Err(error) => {
            engine.progress.notice(&error.to_string());
            Value::Null
        }
    };
    let ready = match effective.ready_timeout.value {
        Some(value) => (json!(format_span(value)), effective.ready_timeout.origin),
        None => (json!(format_span(peer.profile.ready.timeout)), Origin::Profile),
    };
    let max_memory = Size { kib: effective.max_memory_kib.value.unwrap_or_default() };
    vec![
        ("agent", typed(json!(spec.agent))),
        ("command", typed(json!(spec.command))),
        ("cwd", typed(json!(spec.cwd))),
        ("runtime", typed(json!(spec.runtime))),
        (
            "socket",
            match &spec.socket {
                Some(socket) => typed(json!(socket)),
                None if !spec.runtime.kind().is_some_and(|kind| kind.facts().shares_server()) => {
                    (Value::Null, Origin::Default)
                }
                None if engine.settings.tmux.socket == TmuxSettings::default().socket => {
                    (json!(engine.settings.tmux.socket), Origin::Default)
                }
                None => (json!(engine.settings.tmux.socket), Origin::Config),
            },
        ),
        ("policy", (json!(effective.policy.value), effective.policy.origin)),
        ("restart", (json!(effective.restart.value), effective.restart.origin)),
        ("idle_timeout", span(&effective.idle_timeout)),
        ("ready_timeout", ready),
        ("beat_timeout", span(&effective.beat_timeout)),
        ("max_restarts", (json!(effective.max_restarts.value), effective.max_restarts.origin)),
        ("max_memory", (json!(max_memory.to_string()), effective.max_memory_kib.origin)),
        ("max_memory_kib", (json!(effective.max_memory_kib.value), effective.max_memory_kib.origin)),
        ("resume_without_topic", (json!(effective.resume_without_topic.value), effective.resume_without_topic.origin)),
        ("stall_timeout", span(&effective.stall_timeout)),
        ("on_stall", (json!(effective.on_stall.value), effective.on_stall.origin)),
        ("on_limit", (json!(effective.on_limit.value), effective.on_limit.origin)),
        ("limit_prompt", (json!(effective.limit_prompt.value), effective.limit_prompt.origin)),
        ("reap_attached", (json!(effective.reap_attached.value), effective.reap_attached.origin)),
        ("agent_hooks", (json!(effective.agent_hooks.value), effective.agent_hooks.origin)),
        ("accept", (json!(effective.accept.value), effective.accept.origin)),
        ("mcp", flag(spec.mcp)),
        ("show_sender", flag(spec.show_sender)),
        ("may", typed(json!(spec.may))),
        ("initial_prompt", typed(json!(spec.initial_prompt))),
        ("managed_by", typed(json!(spec.managed_by))),
        ("size", typed(json!(spec.size))),
        ("umask", typed(json!(spec.umask))),
        ("nice", typed(json!(spec.nice))),
        ("limits", typed(if spec.limits.is_empty() { Value::Null } else { json!(spec.limits) })),
        ("search_path", typed(json!(spec.search_path))),
        ("env", typed(if spec.env.is_empty() { Value::Null } else { json!(spec.env.keys().collect::<Vec<_>>()) })),
        ("env_file", typed(json!(spec.env_file))),
        ("env_file_names", typed(kept)),
    ]
}
