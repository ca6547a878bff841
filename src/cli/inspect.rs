//! `gristmill inspect PATH`: what is in a file, a folder of files or a dataset.

mod compare;
mod dups;
mod lineage;
mod meta;
mod pair;
mod rows;
mod stats;
mod tokens;
mod what_if;

use super::output::{emit, emit_json, style};
use super::wrong::{self, Trouble};
use pipeline::dag::Kinds;
use pipeline::inspect::layout::{Ink, Style, bytes, one_line, thousands};
use pipeline::inspect::{Dataset, InspectError, Table, Target, overview, sample_rows, schema};
use serde_json::{Value as Json, json};
use stages::filter::toxicity::{LEXICON, WEIGHTS};
use stages::text::toxic::{Scratch, Toxic};
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
  gristmill inspect gristmill-demo/dataset/tokens --meta
  gristmill inspect pages.jsonl.gz --sample 3 --seed 7
  gristmill inspect gristmill-demo --what-if filter.length.words_min=200
  gristmill inspect gristmill-demo --lineage train/part-00000.parquet 3 17
  gristmill inspect gristmill-demo --dups

In SQL `self` is the table at PATH. A dataset also has documents, tokens, ledger, dropped, signals_<node>.")]
#[command(group(clap::ArgGroup::new("view").args([
    "stats", "schema", "meta", "sql", "sample", "row", "tokens", "what_if", "bias", "diff", "lineage", "dups", "pair",
])))]
pub(crate) struct Args {
    /// Parquet or JSON-lines file, folder of them, dataset, or working folder of a build.
    path: PathBuf,
    /// First rows, as many as this.
    #[arg(long, value_name = "N")]
    head: Option<u64>,
    /// Nulls, distinct values, range, spread, lengths and frequent values of every column.
    #[arg(long)]
    stats: bool,
    /// Columns, types, encodings, bytes and metadata.
    #[arg(long)]
    schema: bool,
    /// Row groups, pages and encodings of every column, bytes, and key-value metadata.
    #[arg(long)]
    meta: bool,
    /// Asks a question in SQL.
    #[arg(long, value_name = "QUERY")]
    sql: Option<String>,
    /// Rows drawn at random, every row as likely.
    #[arg(long, value_name = "N")]
    sample: Option<u64>,
    /// Whole rows by number, texts uncut.
    #[arg(long, value_name = "N", value_delimiter = ',')]
    row: Vec<u64>,
    /// Seed of the sample.
    #[arg(long, default_value_t = 0, requires = "sample")]
    seed: u64,
    /// The tokens of a training sequence in words, with the borders of its documents and what is masked.
    #[arg(long, value_name = "ROW")]
    tokens: Option<u64>,
    /// What a stage would have dropped with another limit, from what it measured: `NODE.KEY=VALUE`, also more than one of a node.
    #[arg(long, value_name = "NODE.KEY=VALUE")]
    what_if: Vec<String>,
    /// What the dataset says of whom: documents, their toxicity and that near a term, and associations of groups of people and pronouns, with the dropped rows
    /// and without.
    #[arg(long)]
    bias: bool,
    /// What differs from another table or dataset: columns, rows by id, cells, and what the nodes did.
    #[arg(long, value_name = "OTHER")]
    diff: Option<PathBuf>,
    /// Where a document comes from and where its tokens lie: a URL, id or `record_id`; or back from a token shard, a row of it and a token of
    /// that: `SHARD ROW [TOKEN]`.
    #[arg(long, value_name = "DOCUMENT|SHARD ROW [TOKEN]", num_args = 1..=3)]
    lineage: Vec<String>,
    /// Groups of duplicates: sizes, the largest, how alike they are, a pair side by side, and the curve of the bands.
    #[arg(long)]
    dups: bool,
    /// A duplicate and its twin side by side, with the shingles that they share: the URL, id or `record_id` of either.
    #[arg(long, value_name = "DOCUMENT")]
    pair: Option<String>,
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
    // One that a kill has left without its name is found all the same.
    if let (false, Err(trouble)) = (Dataset::is_at(&args.path), wrong::there(&args.path)) {
        return trouble.tell();
    }
    match Target::open(&args.path).and_then(|target| view(args, &target, kinds, &style())) {
        Ok(view) if args.json => emit_json(&view.json, ExitCode::SUCCESS),
        Ok(view) => emit(&view.text, ExitCode::SUCCESS),
        Err(error) => Trouble::from(error).tell(),
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
        return tokens::show(&args.path, target, row, style);
    }
    if args.bias {
        return show_bias(args, target, style);
    }
    if !args.lineage.is_empty() {
        return lineage::show(&args.lineage, whole(args, target, "--lineage")?, style);
    }
    if args.dups {
        return dups::show(whole(args, target, "--dups")?, style);
    }
    if let Some(document) = &args.pair {
        return pair::show(whole(args, target, "--pair")?, document, style);
    }
    if let Some(other) = &args.diff {
        return compare::show(target, &Target::open(other)?, style);
    }
    let table = rows_of(target)?;
    if args.schema {
        return Ok(show_schema(&table, style));
    }
    if args.meta {
        return meta::show(&table, style);
    }
    if args.stats {
        return stats::show(&table, style);
    }
    if !args.row.is_empty() {
        return rows::show(&table, &args.row, style);
    }
    if let Some(n) = args.sample {
        let rows = sample_rows(n, table.rows(), args.seed);
        let grid = table.read(&rows)?;
        return Ok(View { text: style.grid(&grid, Some(&rows)), json: rows::numbered(&grid, &rows) });
    }
    head(args, target, &table, style)
}

/// The rows of a file or of all documents of a dataset.
fn rows_of(target: &Target) -> Result<Table, InspectError> {
    match target {
        Target::Table(table) => Ok(table.clone()),
        Target::Dataset(dataset) => Table::open(&dataset.documents()),
    }
}

/// The dataset that a view is about.
fn whole<'a>(args: &Args, target: &'a Target, view: &str) -> Result<&'a Dataset, InspectError> {
    let Target::Dataset(dataset) = target else {
        return Err(InspectError::Question {
            message: format!("{}: `{view}` is a question about a whole dataset", args.path.display()),
            help: "give the dataset folder".to_owned(),
        });
    };
    Ok(dataset)
}

fn show_bias(args: &Args, target: &Target, style: &Style) -> Result<View, InspectError> {
    let toxic = Toxic::read(WEIGHTS, LEXICON).expect("the weights that ship are whole");
    let mut scratch = Scratch::default();
    let mut score = |text: &str| toxic.score(text, &mut scratch).score;
    let bias = pipeline::inspect::bias(whole(args, target, "--bias")?, &mut score)?;
    let text = format!("{}\n{}", style.grid(&bias.grid(), None), pipeline::inspect::Bias::legend());
    Ok(View { text, json: serde_json::to_value(&bias).unwrap_or_default() })
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

/// Values of several files in one line.
fn joined(values: &std::collections::BTreeSet<String>) -> String {
    values.iter().cloned().collect::<Vec<_>>().join(" | ")
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
    let mut pairs: Vec<(&str, String)> = view.metadata.iter().map(|(k, v)| (k.as_str(), joined(v))).collect();
    if !view.created_by.is_empty() {
        pairs.push(("created by", joined(&view.created_by)));
    }
    text += &format!("\n{}", style.pairs(&pairs));
    View { text, json: serde_json::to_value(&view).unwrap_or_default() }
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
