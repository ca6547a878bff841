//! `gristmill stages`: every kind with its keys and reasons.

use pipeline::dag::Kinds;
use schemas::{Key, Spec};
use std::process::ExitCode;

/// Table of the recipe that no stage but the trainer reads.
const TRAIN: &str = "train";

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill stages filter.length")]
pub(crate) struct Args {
    /// Only kinds with this in their name; `train` for the keys of the trainer.
    prefix: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// The JSON Schema of a recipe, for editors.
    #[arg(long)]
    schema: bool,
}

pub(crate) fn run(args: &Args, kinds: &Kinds) -> ExitCode {
    if args.schema {
        return super::output::emit_json(&super::schema::recipe(kinds), ExitCode::SUCCESS);
    }
    let all = kinds.all;
    let prefix = args.prefix.as_deref().unwrap_or_default();
    let chosen: Vec<&Spec> = all.iter().filter(|s| s.kind.contains(prefix)).collect();
    let train = kinds.train.as_ref().filter(|_| TRAIN.starts_with(prefix));
    if chosen.is_empty() && train.is_none() {
        let near = schemas::near::closest(prefix, all.iter().map(|s| s.kind));
        let help = near.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        return super::wrong::misused(format!("no kind has `{prefix}` in its name{help}"));
    }
    if args.json {
        println!("{}", serde_json::Value::from_iter(chosen.into_iter().map(json)));
    } else {
        chosen.into_iter().for_each(list);
        if let Some(train) = train {
            println!("[{TRAIN}]  The model and how it is trained; a table of a recipe.");
            list_keys(train.keys);
        }
    }
    ExitCode::SUCCESS
}

fn list(spec: &Spec) {
    println!("{}  {}", spec.kind, spec.summary);
    list_keys(spec.keys);
    for reason in spec.reasons {
        println!("    drops {}  {}", reason.name, reason.doc);
    }
}

fn list_keys(keys: &[Key]) {
    for key in keys {
        println!("    {} ({}, default {})  {}", key.name, key.kind, (key.default)(), key.doc.trim());
    }
}

fn json(spec: &Spec) -> serde_json::Value {
    let key = |k: &schemas::Key| {
        let range = (k.bounds)().map_or_else(String::new, |[least, most]| format!("{least}..={most}"));
        serde_json::json!({
            "name": k.name, "type": k.kind, "default": (k.default)(), "range": range, "doc": k.doc.trim(),
        })
    };
    serde_json::json!({
        "kind": spec.kind, "version": spec.version, "summary": spec.summary,
        "keys": spec.keys.iter().map(key).collect::<Vec<_>>(),
        "reasons": spec.reasons.iter().map(|r| serde_json::json!({ "name": r.name, "doc": r.doc })).collect::<Vec<_>>(),
    })
}
