//! `gristmill stages`: every kind with its keys and reasons, and the keys of what is no stage.

use model::align::{Common, dpo::Dpo, grpo::Grpo, rules::Rules};
use pipeline::dag::Kinds;
use schemas::{Config as _, Key, Spec};
use std::process::ExitCode;

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
    let table = table(prefix, kinds);
    if chosen.is_empty() && table.is_none() {
        let near = schemas::near::closest(prefix, all.iter().map(|s| s.kind).chain(TABLES));
        let help = near.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        return super::wrong::misused(format!("no kind has `{prefix}` in its name{help}"));
    }
    if args.json {
        // What is no kind stands there where it was asked for.
        let table = table.filter(|_| !prefix.is_empty()).map(|(about, keys)| {
            serde_json::json!({ "table": prefix, "summary": about, "keys": keys.into_iter().map(key).collect::<Vec<_>>() })
        });
        println!("{}", serde_json::Value::from_iter(chosen.into_iter().map(json).chain(table)));
    } else {
        chosen.into_iter().for_each(list);
        if let Some((about, keys)) = table {
            println!("{about}");
            list_keys(keys);
        }
    }
    ExitCode::SUCCESS
}

/// What has keys and is no stage.
const TABLES: [&str; 4] = ["tokenizer", "dataset", "train", "align"];

/// Such a table by its name, `train` where none is named: a line about it, and its keys.
fn table(name: &str, kinds: &Kinds) -> Option<(&'static str, Vec<&'static Key>)> {
    let of = |kind: &str| kinds.all.iter().find(|spec| spec.kind == kind).map_or(&[][..], |spec| spec.keys);
    match name {
        "tokenizer" => Some((
            "[tokenizer]  Trains or loads a tokenizer and makes token shards: the stage `tokenize.bpe` as a table of a recipe.",
            of("tokenize.bpe").iter().collect(),
        )),
        "dataset" => Some((
            "[dataset]  Form of the dataset: the keys of `sink.parquet` and `pack.sequences` as a table of a recipe.",
            of("sink.parquet").iter().chain(of("pack.sequences")).collect(),
        )),
        "align" => Some((
            "align  Settings of `gristmill align`, `--set key=value`: of every way, then of `dpo`, of `grpo`, and of its rewards.",
            [Common::KEYS, Dpo::KEYS, Grpo::KEYS, Rules::KEYS].into_iter().flatten().collect(),
        )),
        "" | "train" => Some((
            "[train]  The model and how it is trained; a table of a recipe.",
            kinds.train.iter().flat_map(|train| train.keys).collect(),
        )),
        _ => None,
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
