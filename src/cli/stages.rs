//! `gristmill stages`: every kind with its keys and reasons, and the keys of what is no stage.

use super::tables::{self, Table};
use model::align::{Common, dpo::Dpo, grpo::Grpo, rules::Rules};
use pipeline::dag::Kinds;
use schemas::{Config as _, Key, Spec};
use std::process::ExitCode;

/// Names that stand for such tables.
const TABLES: [&str; 4] = ["tokenizer", "dataset", "train", "align"];

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill stages filter.length")]
pub(crate) struct Args {
    /// Only kinds with this in their name; `tokenizer`, `dataset` and `train` for the keys of these tables, `align` for those of `gristmill align`.
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
    let tables = named(prefix, kinds);
    if chosen.is_empty() && tables.is_empty() {
        let near = schemas::near::closest(prefix, all.iter().map(|s| s.kind).chain(TABLES));
        let help = near.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        return super::wrong::misused(format!("no kind has `{prefix}` in its name{help}"));
    }
    if args.json {
        // What is no kind stands there where it was asked for.
        let tables = tables.into_iter().filter(|_| !prefix.is_empty()).map(|table| {
            serde_json::json!({
                "table": table.name, "summary": table.summary,
                "keys": table.keys.into_iter().map(key).collect::<Vec<_>>(),
            })
        });
        println!("{}", serde_json::Value::from_iter(chosen.into_iter().map(json).chain(tables)));
    } else {
        chosen.into_iter().for_each(list);
        for table in tables {
            println!("[{}]  {}", table.name, table.summary);
            list_keys(table.keys);
        }
    }
    ExitCode::SUCCESS
}

/// What has keys and is no stage, by its name; `train` where none is named.
fn named(name: &str, kinds: &Kinds) -> Vec<Table> {
    let align = |name, summary, keys: &'static [Key]| Table { name, summary, keys: keys.iter().collect() };
    match name {
        "align" => vec![
            align("align", "Settings of every `gristmill align`, `--set key=value`.", Common::KEYS),
            align("align dpo", "Settings of direct preference optimisation.", Dpo::KEYS),
            align("align grpo", "Settings of group-relative policy optimisation.", Grpo::KEYS),
            align("align grpo, align score", "Rewards that are checked by rules.", Rules::KEYS),
        ],
        _ => {
            let name = if name.is_empty() { "train" } else { name };
            tables::of(kinds).into_iter().filter(|table| table.name == name).collect()
        }
    }
}

fn list(spec: &Spec) {
    println!("{}  {}", spec.kind, spec.summary);
    list_keys(spec.keys);
    for reason in spec.reasons {
        println!("    drops {}  {}", reason.name, reason.doc);
    }
}

fn list_keys<'a>(keys: impl IntoIterator<Item = &'a Key>) {
    for key in keys {
        println!("    {} ({}, default {})  {}", key.name, key.kind, (key.default)(), key.doc.trim());
    }
}

fn key(key: &Key) -> serde_json::Value {
    let range = (key.bounds)().map_or_else(String::new, |[least, most]| format!("{least}..={most}"));
    serde_json::json!({
        "name": key.name, "type": key.kind, "default": (key.default)(), "range": range, "doc": key.doc.trim(),
    })
}

fn json(spec: &Spec) -> serde_json::Value {
    serde_json::json!({
        "kind": spec.kind, "version": spec.version, "summary": spec.summary,
        "keys": spec.keys.iter().map(key).collect::<Vec<_>>(),
        "reasons": spec.reasons.iter().map(|r| serde_json::json!({ "name": r.name, "doc": r.doc })).collect::<Vec<_>>(),
    })
}
