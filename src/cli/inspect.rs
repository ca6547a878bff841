//! `gristmill inspect PATH`: what is in a file, a folder of files or a dataset.

mod what_if;

use super::output::{emit, emit_json, fail, style};
use pipeline::dag::Kinds;
use pipeline::inspect::layout::{Ink, Style, bytes, one_line, thousands};
use pipeline::inspect::{
    Dataset, Grid, InspectError, Stats, Table, Target, TokenRow, Vocabulary, overview, sample_rows, schema,
    stats, token_row,
};
use serde_json::{Value as Json, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Rows shown when nothing else is asked.
const HEAD: u64 = 5;
/// Rows of an SQL answer shown to a person; `--head` sets another number, `--json` shows all.
#[cfg(feature = "sql")]
const SQL_ROWS_MAX: u64 = 100;

#[derive(clap::Args)]
#[command(after_help = "Examples:
  gristmill inspect gristmill-demo
  gristmill inspect gristmill-demo --sql \"select reason, count(*) as rows from dropped group by reason\"
  gristmill inspect gristmill-demo/dataset/tokens --schema
  gristmill inspect pages.jsonl.gz --sample 3 --seed 7
  gristmill inspect gristmill-demo --what-if filter.length.words_min=200

In SQL `self` is the table at PATH. A dataset also has documents, tokens, ledger, dropped, signals_<node>.")]
#[command(group(clap::ArgGroup::new("view").args(["stats", "schema", "sql", "sample", "tokens", "what_if", "bias"])))]
pub(crate) struct Args {
    /// Parquet or JSON-lines file, folder of them, dataset, or working folder of a build.
    path: PathBuf,
    /// First rows, as many as this.
    #[arg(long, value_name = "N")]
    head: Option<u64>,
    /// Nulls, distinct values, range, lengths and frequent values of every column.
    #[arg(long)]
    stats: bool,
    /// Columns, types, row groups, encodings, bytes and metadata.
    #[arg(long)]
    schema: bool,
    /// Asks a question in SQL.
    #[arg(long, value_name = "QUERY")]
    sql: Option<String>,
    /// Rows drawn at random, every row as likely.
    #[arg(long, value_name = "N")]
    sample: Option<u64>,
    /// Seed of the sample.
    #[arg(long, default_value_t = 0, requires = "sample")]
    seed: u64,
    /// The tokens of a training sequence in words, with the borders of its documents.
    #[arg(long, value_name = "ROW")]
    tokens: Option<u64>,
    /// What a stage would have dropped with another limit, from what it measured: `NODE.KEY=VALUE`, also more than one of a node.
    #[arg(long, value_name = "NODE.KEY=VALUE")]
    what_if: Vec<String>,
    /// What the dataset says of whom: documents, toxicity and associations of groups of people and pronouns, with the dropped rows
    /// and without.
    #[arg(long)]
    bias: bool,
    /// Writes whole values as JSON.
    #[arg(long)]
    json: bool,
}

/// A view, for people and for programs.
struct View {
    text: String,
    json: Json,
}

pub(crate) fn run(args: &Args, kinds: &Kinds) -> ExitCode {
    match Target::open(&args.path).and_then(|target| view(args, &target, kinds, &style())) {
        Ok(view) if args.json => emit_json(&view.json, ExitCode::SUCCESS),
        Ok(view) => emit(&view.text, ExitCode::SUCCESS),
        Err(error) => fail(&error),
    }
}

fn view(args: &Args, target: &Target, kinds: &Kinds, style: &Style) -> Result<View, InspectError> {
    if let Some(query) = &args.sql {
        return ask(args, target, query, style);
    }
    if !args.what_if.is_empty() {
        return what_if::show(&args.what_if, target, kinds.all, style);
    }
    if let Some(row) = args.tokens {
        return show_tokens(args, target, row, style);
    }
    if args.bias {
        return show_bias(args, target, style);
    }
    let table = match target {
        Target::Table(table) => table.clone(),
        Target::Dataset(dataset) => Table::open(&dataset.documents())?,
    };
    if args.schema {
        return Ok(show_schema(&table, style));
    }
    if args.stats {
        return stats(&table).map(|stats| show_stats(&stats, style));
    }
    if let Some(n) = args.sample {
        let rows = sample_rows(n, table.rows(), args.seed);
        let grid = table.read(&rows)?;
        return Ok(View { text: style.grid(&grid, Some(&rows)), json: numbered(&grid, &rows) });
    }
    head(args, target, &table, style)
}

fn show_bias(args: &Args, target: &Target, style: &Style) -> Result<View, InspectError> {
    let Target::Dataset(dataset) = target else {
        return Err(InspectError::Question {
            message: format!(
                "{}: `--bias` compares what a build kept with what it dropped",
                args.path.display()
            ),
            help: "give the dataset folder".to_owned(),
        });
    };
    let bias = pipeline::inspect::bias(dataset)?;
    Ok(View { text: style.grid(&bias.grid(), None), json: serde_json::to_value(&bias).unwrap_or_default() })
}

/// Rows as JSON, each with its number.
fn numbered(grid: &Grid, rows: &[u64]) -> Json {
    let objects = grid.to_json();
    let pairs = rows.iter().zip(objects.as_array().into_iter().flatten());
    Json::Array(pairs.map(|(row, cells)| json!({ "row": row, "cells": cells })).collect())
}

fn head(args: &Args, target: &Target, table: &Table, style: &Style) -> Result<View, InspectError> {
    let grid = table.head(args.head.unwrap_or(HEAD))?;
    let labels: Vec<u64> = (0..grid.rows.len() as u64).collect();
    let files: Vec<Json> = table.files().map(|(path, rows)| json!({ "file": path, "rows": rows })).collect();
    let mut json = json!({ "rows": table.rows(), "files": files, "bad_lines": table.bad_lines(), "head": grid.to_json() });
    let mut text = String::new();
    if let Target::Dataset(dataset) = target {
        let overview = overview(dataset);
        if args.head.is_none() {
            json["dataset"] = serde_json::to_value(&overview).unwrap_or_default();
        }
        text += &style.rule(&format!("dataset {}", one_line(&overview.name)));
        let mut pairs = vec![
            ("built by", format!("gristmill {}", overview.gristmill)),
            ("build", overview.build.clone()),
        ];
        if let Some(t) = &overview.tokens {
            let (train, held) = (thousands(t.train), thousands(t.validation));
            let length = thousands(t.sequence_length);
            let vocab = thousands(t.vocab_size);
            pairs.push((
                "tokens",
                format!("{train} to train, {held} held out; sequences of {length}, vocabulary {vocab}"),
            ));
        }
        text += &format!("{}\n{}\n", style.pairs(&pairs), style.grid(&overview.folders_grid(), None));
        text += &format!("{}\n", style.grid(&overview.funnel_grid(), None));
    }
    text += &format!("{}\n", summary(table, style));
    text += &style.grid(&grid, Some(&labels));
    Ok(View { text, json })
}

fn summary(table: &Table, style: &Style) -> String {
    let files = table.files().count() as u64;
    let columns = table.schema().fields().len();
    let mut out = format!(
        "{} rows in {} file{}, {columns} columns",
        thousands(table.rows()),
        thousands(files),
        if files == 1 { "" } else { "s" }
    );
    if table.bad_lines() > 0 {
        let bad = format!("; {} lines are no JSON objects", thousands(table.bad_lines()));
        out += &style.paint(Ink::Red, &bad);
    }
    out
}

fn show_schema(table: &Table, style: &Style) -> View {
    let view = schema(table);
    let size = view.stored.iter().map(|s| s.compressed_bytes).sum();
    let groups =
        format!("{}, {} row groups, {}\n\n", summary(table, style), thousands(view.row_groups), bytes(size));
    let mut text = groups + &style.grid(&view.columns_grid(), None);
    if !view.stored.is_empty() {
        text += &format!("\n{}", style.grid(&view.stored_grid(), None));
    }
    let joined =
        |values: &std::collections::BTreeSet<String>| values.iter().cloned().collect::<Vec<_>>().join(" | ");
    let mut pairs: Vec<(&str, String)> = view.metadata.iter().map(|(k, v)| (k.as_str(), joined(v))).collect();
    if !view.created_by.is_empty() {
        pairs.push(("created by", joined(&view.created_by)));
    }
    text += &format!("\n{}", style.pairs(&pairs));
    View { text, json: serde_json::to_value(&view).unwrap_or_default() }
}

fn show_stats(stats: &Stats, style: &Style) -> View {
    let mut text = format!("{} rows\n\n{}", thousands(stats.rows), style.grid(&stats.grid(), None));
    for column in stats.columns.iter().filter(|c| !c.lengths.is_empty()) {
        text += &format!(
            "\n{}",
            style.rule(&format!("{}: {}", column.name, column.measure.unwrap_or("lengths")))
        );
        let most = column.lengths.iter().map(|(_, rows)| *rows).max().unwrap_or(1).max(1);
        for (from, rows) in &column.lengths {
            let last = if *from < 2 { *from } else { 2 * from - 1 };
            let class = if *from < 2 {
                from.to_string()
            } else {
                format!("{}–{}", thousands(*from), thousands(last))
            };
            let room = style.width.saturating_sub(40).max(8);
            let bar = "█".repeat(usize::try_from((rows * room as u64).div_ceil(most)).unwrap_or(0));
            text += &format!("{class:>21} {:>12}  {}\n", thousands(*rows), style.paint(Ink::Cyan, &bar));
        }
    }
    for column in stats.columns.iter().filter(|c| !c.top.is_empty()) {
        text += &format!("\n{}", style.rule(&format!("{}: frequent values", column.name)));
        let mut grid = Grid::new(&[if column.top_exact { "rows" } else { "rows, at least" }, "value"]);
        grid.rows.extend(column.top.iter().map(|(value, rows)| vec![json!(rows), json!(value)]));
        text += &style.grid(&grid, None);
    }
    View { text, json: serde_json::to_value(stats).unwrap_or_default() }
}

#[cfg(feature = "sql")]
fn ask(args: &Args, target: &Target, query: &str, style: &Style) -> Result<View, InspectError> {
    let mut tables = std::collections::BTreeMap::new();
    match target {
        Target::Table(table) => drop(tables.insert("self".to_owned(), table.clone())),
        Target::Dataset(dataset) => {
            let (documents, mut own) = (dataset.documents(), None);
            for (name, files) in dataset.tables() {
                let table = Table::open(&files)?;
                if files == documents {
                    own = Some(table.clone());
                }
                tables.insert(name, table);
            }
            // Where there is one folder of documents, it is open already.
            let own = own.map_or_else(|| Table::open(&documents), Ok)?;
            tables.insert("self".to_owned(), own);
        }
    }
    let rows_max = args.head.or((!args.json).then_some(SQL_ROWS_MAX));
    let answer = pipeline::inspect::sql(&tables, query, rows_max)?;
    let mut text = style.grid(&answer.grid, None);
    if answer.more {
        text += &style.paint(Ink::Dim, "… and more rows; --head N shows N, --json all");
        text.push('\n');
    }
    Ok(View { text, json: answer.grid.to_json() })
}

#[cfg(not(feature = "sql"))]
fn ask(_: &Args, _: &Target, _: &str, _: &Style) -> Result<View, InspectError> {
    Err(InspectError::Question {
        message: "this program was built without SQL".to_owned(),
        help: "build it with the feature `sql`, which is on by default".to_owned(),
    })
}

fn show_tokens(args: &Args, target: &Target, row: u64, style: &Style) -> Result<View, InspectError> {
    let (table, dataset) = match target {
        Target::Table(table) => (table.clone(), above(&args.path)),
        Target::Dataset(dataset) => (dataset.table("tokens")?, Some(dataset.clone())),
    };
    let Some(dataset) = dataset else {
        return Err(InspectError::Question {
            message: format!(
                "{}: no dataset is around it, so there is no tokenizer.json",
                args.path.display()
            ),
            help: "give the dataset folder".to_owned(),
        });
    };
    let vocabulary = Vocabulary::read(&dataset.root.join("tokenizer.json"))?;
    let tokens = token_row(&table, row, &vocabulary, Some(&dataset))?;
    Ok(View { text: lay_tokens(&tokens, style), json: serde_json::to_value(&tokens).unwrap_or_default() })
}

/// The dataset that a file lies in.
fn above(path: &std::path::Path) -> Option<Dataset> {
    let path = path.canonicalize().ok()?;
    path.ancestors()
        .skip(1)
        .take(3)
        .find(|p| p.join("manifest.json").is_file())
        .and_then(|p| Dataset::open(p).ok())
}

/// Backgrounds that tokens have in turn: dark shades of the 256-colour palette, told apart without being loud.
const SHADES: [u8; 4] = [17, 52, 22, 53];

fn lay_tokens(tokens: &TokenRow, style: &Style) -> String {
    let mut out = String::new();
    for (at, piece) in tokens.pieces.iter().enumerate() {
        let name = piece.url.as_deref().unwrap_or(&piece.id);
        let (many, from) =
            (thousands(piece.ids.len() as u64), thousands(u64::try_from(piece.offset).unwrap_or(0)));
        let title =
            format!("{}/{} · {} · {many} tokens from {from}", at + 1, tokens.pieces.len(), one_line(name));
        out += &style.rule(&title);
        for (at, text) in piece.texts.iter().enumerate() {
            // A line end is shown and done, so that text keeps its lines.
            let lines: Vec<String> = text.split('\n').map(one_line).collect();
            let shown = lines.join("↵\n");
            out += &match style.colour {
                true => format!("\x1b[48;5;{}m{}\x1b[0m", SHADES[at % 4], shown.replace('\n', "\x1b[0m\n")),
                false => format!("{shown}|"),
            };
        }
        out.push('\n');
    }
    if tokens.pad > 0 {
        out += &style.rule(&format!("{} padding", thousands(tokens.pad)));
    }
    out
}
