//! `gristmill forget DATASET URL…`: takes documents out of a committed dataset, and keeps them out.

use super::output::{emit, emit_json, style};
use super::wrong;
use pipeline::engine::{self, Purged};
use pipeline::forget::{self, Forgotten, Record, Request};
use pipeline::inspect::layout::{Ink, Style, bytes, one_line, thousands};
use pipeline::inspect::{Dataset, InspectError};
use schemas::DocId;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Documents and files told to a person; `--json` has all.
const TOLD_MAX: usize = 10;

#[derive(clap::Args)]
#[command(
    after_help = "What the tables of the dataset have of a document goes: text, tokens, rows, and what was dropped as a copy of it. Files that \
                  may hold something else of it (an index of near-duplicates, a mix, a tokenizer) are named. \
                  Files that held nothing of it keep their bytes. `forgotten.jsonl` in the dataset says what went, never the text; a \
                  build that replaces the dataset carries it on and leaves the same documents out.\n\
                  Exit code 1: no such document.\nExample: gristmill forget gristmill-demo http://127.0.0.1:8000/std/string.html --reason \
                  \"asked by its author\""
)]
pub(crate) struct Args {
    /// Dataset folder, or the working folder of a build.
    dataset: PathBuf,
    /// Addresses as the dataset has them, ids with `--id`, or ids of the source with `--record-id`.
    documents: Vec<String>,
    /// A file of more of them, one a line.
    #[arg(long)]
    file: Option<PathBuf>,
    /// All documents are named by id, 32 hexadecimal digits each; anything else is a mistake then. An id is known as one anyhow.
    #[arg(long)]
    id: bool,
    /// All documents are named by the ids that their sources gave them (`record_id`); where several have one, all of these go.
    #[arg(long, conflicts_with = "id")]
    record_id: bool,
    /// A `forgotten.jsonl` of another dataset: what went there goes here too.
    #[arg(long)]
    record: Option<PathBuf>,
    /// Why, for the record.
    #[arg(long)]
    reason: Option<String>,
    /// When, for the record; nothing is written of it otherwise.
    #[arg(long)]
    date: Option<String>,
    /// Keeps the address in the record, not its hash alone.
    #[arg(long)]
    keep_urls: bool,
    /// Working folder whose cache is purged of every file that holds a document that the dataset has forgotten.
    #[arg(long)]
    workdir: Option<PathBuf>,
    /// Writes the result as JSON.
    #[arg(long)]
    json: bool,
}

/// All that was done, and what was not.
#[derive(serde::Serialize)]
struct Told {
    #[serde(flatten)]
    forgotten: Forgotten,
    /// What went out of the cache; absent when it was not asked.
    purged: Option<Purged>,
    /// Places that may hold the documents all the same.
    remains: Vec<String>,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let request = match request(args) {
        Ok(request) => request,
        Err(error) => return wrong::misused(error),
    };
    let forgotten = match forget::forget(&args.dataset, &request) {
        Ok(forgotten) => forgotten,
        Err(error) => return wrong::failed(error),
    };
    let purged = match args.workdir.as_deref().map(|workdir| purge(&args.dataset, workdir)).transpose() {
        Ok(purged) => purged,
        Err(error) => return wrong::failed(format!("the dataset is done, its cache is not: {error}")),
    };
    let nothing = forgotten.documents.is_empty() && forgotten.before.is_empty();
    let code = if nothing { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    let remains = if nothing { Vec::new() } else { remains(&args.dataset, purged.is_some()) };
    let told = Told { forgotten, purged, remains };
    if args.json { emit_json(&told, code) } else { emit(&text(&style(), &told), code) }
}

fn request(args: &Args) -> Result<Request, String> {
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let mut documents = args.documents.clone();
    if let Some(path) = &args.file {
        documents.extend(read(path)?.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned));
    }
    let mut request = Request {
        reason: args.reason.clone(),
        date: args.date.clone(),
        keep_urls: args.keep_urls,
        ..Request::default()
    };
    if let Some(path) = &args.record {
        request.records = Record::parse(&read(path)?).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if documents.is_empty() && request.records.is_empty() {
        return Err(
            "name documents to forget: addresses, `--id` with ids, `--file`, or `--record`".to_owned()
        );
    }
    if let Some(other) = documents.iter().find(|id| args.id && DocId::parse(id).is_none()) {
        return Err(format!("`{other}` is no id: 32 hexadecimal digits; `gristmill explain` tells it"));
    }
    if args.record_id {
        request.record_ids = documents;
        return Ok(request);
    }
    // No address looks like an id.
    (request.ids, request.urls) = documents.into_iter().partition(|named| DocId::parse(named).is_some());
    Ok(request)
}

/// Purges the cache of all that the dataset has ever forgotten: a file of the cache may be older than the last request.
fn purge(dataset: &Path, workdir: &Path) -> Result<Purged, String> {
    let all = |error: InspectError| error.to_string();
    let dataset = Dataset::open(dataset).map_err(all)?;
    let records = forget::records(&dataset).map_err(all)?;
    let ids: BTreeSet<String> = records.into_iter().map(|record| record.id).collect();
    engine::purge(workdir, &ids).map_err(|error| error.to_string())
}

/// What a person must know that no command can do for them.
fn remains(dataset: &Path, is_purged: bool) -> Vec<String> {
    let mut remains = Vec::new();
    let root = Dataset::open(dataset).map_or_else(|_| dataset.to_owned(), |d| d.root);
    let root = std::path::absolute(&root).unwrap_or(root);
    let workdir = root.parent().filter(|folder| folder.join("lock").is_file());
    if let Some(workdir) = workdir {
        let is_there = |name: &str| workdir.join(name).is_dir();
        let shown = |name: &str| workdir.join(name).display().to_string();
        if is_there("cache") && !is_purged {
            let again = format!("`--workdir {}` takes it out", workdir.display());
            remains.push(format!("{}: the cache of the build; {again}", shown("cache")));
        }
        if is_there("archive") {
            remains.push(format!("{}: what was crawled, as WARC", shown("archive")));
        }
        if is_there("model") {
            remains.push(format!("{}: a model that learned from it", shown("model")));
        }
    }
    remains.push("the files that the recipe reads, and copies of the dataset".to_owned());
    match Dataset::open(dataset).and_then(|dataset| forget::rest(&dataset)) {
        Ok(rest) => remains.extend(rest.into_iter().map(|file| format!("{}: {}", file.name, file.holds))),
        Err(error) => remains.push(format!("files that could not be looked into: {error}")),
    }
    remains
}

fn text(style: &Style, told: &Told) -> String {
    let Forgotten { documents, missing, before, twins, .. } = &told.forgotten;
    let mut out = String::new();
    let mut line = |words: String| out += &(words + "\n");
    if documents.is_empty() {
        line("nothing was forgotten".to_owned());
    } else {
        let copies = documents.iter().filter(|record| record.copy_of.is_some()).count();
        let of =
            format!("asked for: {}, copies of these: {}", documents.len() - copies, thousands(copies as u64));
        line(style.paint(
            Ink::Green,
            &format!("documents forgotten: {} ({of})", thousands(documents.len() as u64)),
        ));
        for record in documents.iter().take(TOLD_MAX) {
            let why = record.copy_of.as_ref().map_or_else(String::new, |id| format!("  copy of {id}"));
            line(format!("  {}{why}", record.id));
        }
        more(&mut line, documents.len());
        if copies > 0 {
            line(
                "copies stay out of later builds too, even where what they are copies of is not there"
                    .to_owned(),
            );
        }
        let f = &told.forgotten;
        line(format!(
            "files written again: {}, as they were: {}; tokens gone: {}, sequences padded: {}, sequences gone: {}",
            f.rewritten.len(),
            thousands(f.untouched),
            thousands(f.tokens),
            thousands(f.sequences_padded),
            thousands(f.sequences_removed)
        ));
    }
    for (what, list) in [("not in the dataset", missing), ("forgotten before", before)] {
        if !list.is_empty() {
            line(format!("{what}: {}", thousands(list.len() as u64)));
            list.iter().take(TOLD_MAX).for_each(|told| line(format!("  {}", one_line(told))));
            more(&mut line, list.len());
        }
    }
    if !twins.is_empty() {
        let count = thousands(twins.len() as u64);
        line(style.paint(Ink::Yellow, &format!("the same text, or nearly, stays in {count} documents:")));
        twins.iter().take(TOLD_MAX).for_each(|twin| line(format!("  {}", twin.id)));
        more(&mut line, twins.len());
    }
    if let Some(Purged { files, bytes: size }) = told.purged {
        line(format!(
            "cache: {} files removed, {}; what global nodes settled into stays: ids and hashes, no text",
            thousands(files),
            bytes(size)
        ));
    }
    if !told.remains.is_empty() {
        line(style.paint(Ink::Yellow, "what is not done here; the documents may be in"));
        told.remains.iter().for_each(|place| line(format!("  {place}")));
    }
    line(format!("manifest blake3 {}", told.forgotten.manifest));
    out
}

fn more(line: &mut dyn FnMut(String), count: usize) {
    if count > TOLD_MAX {
        line(format!("  … and {} more; --json tells all", thousands((count - TOLD_MAX) as u64)));
    }
}
