//! Documents as JSON lines: which line is which document, and files without some of them, all other lines as they are.
//!
//! A line that was read from an object of the user's has that object's fields alone, and an `id` in it is the user's. Which
//! document it is, the ledger tells: a sink writes the rows that its inputs kept, in the order of their ledgers. Elsewhere
//! the line has the id itself, and must have the one of the ledger.

use super::find::Targets;
use super::rewrite::beside;
use crate::inspect::dataset::LEDGER;
use crate::inspect::find::texts;
use crate::inspect::table::Part;
use crate::inspect::{Dataset, InspectError};
use schemas::manifest::Node;
use schemas::{DocId, column, ledger};
use serde::Deserialize;
use serde_json::Value as Json;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// As the sink writes.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;
const BUFFER_BYTES: usize = 256 << 10;

/// A line of a file of documents.
pub(super) struct Line<'a> {
    /// File in the dataset.
    pub(super) file: &'a str,
    /// With its end.
    pub(super) bytes: &'a [u8],
    pub(super) id: DocId,
    pub(super) url: Option<String>,
    /// The identity that the source gave.
    pub(super) record_id: Option<String>,
}

#[derive(Deserialize)]
struct Fields {
    id: Option<Json>,
    url: Option<Json>,
    record_id: Option<Json>,
    /// Only training sequences have it.
    doc_ids: Option<Json>,
}

/// The nodes that write documents as JSON lines.
pub(super) fn sinks(dataset: &Dataset) -> Vec<&Node> {
    let folders: Vec<&str> = dataset.document_folders().collect();
    let is_it = |node: &&Node| {
        node.folder.as_deref().is_some_and(|f| folders.contains(&f)) && !files(dataset, node).is_empty()
    };
    dataset.manifest.nodes.iter().filter(is_it).collect()
}

fn files<'a>(dataset: &'a Dataset, node: &Node) -> Vec<&'a str> {
    let Some(folder) = &node.folder else { return Vec::new() };
    let inside = |name: &&String| {
        let lines = [".jsonl", ".jsonl.gz", ".jsonl.zst"].iter().any(|end| name.ends_with(end));
        lines && name.strip_prefix(folder.as_str()).is_some_and(|rest| rest.starts_with('/'))
    };
    dataset.manifest.files.keys().filter(inside).map(String::as_str).collect()
}

/// Calls `see` with every line that a sink wrote, in their order.
pub(super) fn visit(
    dataset: &Dataset,
    sink: &Node,
    see: &mut dyn FnMut(Line<'_>) -> Result<(), InspectError>,
) -> Result<(), InspectError> {
    let files = files(dataset, sink);
    let mut ids = Kept::of(dataset, sink, &files);
    let of_the_user = objects_of_the_user(dataset);
    for file in files {
        let path = dataset.root.join(file);
        let mut reader = open(&path)?;
        let mut bytes = Vec::new();
        for number in 1_u64.. {
            bytes.clear();
            if reader.read_until(b'\n', &mut bytes).map_err(InspectError::io(&path))? == 0 {
                break;
            }
            let fields: Fields = serde_json::from_slice(&bytes).map_err(|error| {
                let message = format!("line {number} is no object: {error}");
                InspectError::format(&path, message, "`gristmill verify` tells which files differ")
            })?;
            let by_ledger = ids.as_mut().map(Kept::next).transpose()?.flatten();
            let own = fields.id.as_ref().filter(|_| !of_the_user).and_then(Json::as_str);
            let own = own.and_then(DocId::parse);
            let wrong = |message: &str| {
                let help =
                    "nothing was forgotten; write the dataset as Parquet (`sink.parquet`), then forget";
                InspectError::format(&path, format!("line {number}: {message}"), help)
            };
            if own.zip(by_ledger).is_some_and(|(own, ledger)| own != ledger) {
                return Err(wrong("it has another id than the row of the ledger that belongs to it"));
            }
            let id = by_ledger.or(own).filter(|_| fields.doc_ids.is_none());
            let id = id.ok_or_else(|| wrong("nothing tells which document it is"))?;
            let url = fields.url.as_ref().and_then(Json::as_str).map(str::to_owned);
            let record_id = if of_the_user { fields.id } else { fields.record_id };
            let record_id = record_id.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
            see(Line { file, bytes: &bytes, id, url, record_id })?;
        }
    }
    ids.map_or(Ok(()), Kept::end)
}

/// Whether a source reads whole objects, which the sink writes with their own fields: an `id` in them is not of the house.
pub(super) fn objects_of_the_user(dataset: &Dataset) -> bool {
    dataset.manifest.nodes.iter().any(|node| node.settings.get(column::ROW).is_some_and(|row| row == "true"))
}

/// The field that a source took for the id of its objects, where lines have these and it is another than `id`.
pub(super) fn other_id_field(dataset: &Dataset) -> Option<String> {
    if !objects_of_the_user(dataset) || sinks(dataset).is_empty() {
        return None;
    }
    let field = |node: &Node| serde_json::from_str::<String>(node.settings.get("id_field")?).ok();
    dataset.manifest.nodes.iter().filter_map(field).find(|field| field != column::ID)
}

/// The ids of the rows that the inputs of a sink kept, in their order.
struct Kept<'a> {
    dataset: &'a Dataset,
    /// Ledgers that are left, the next one last.
    ledgers: Vec<&'a str>,
    /// The ledger that is read.
    path: PathBuf,
    batches: Option<crate::inspect::table::Batches>,
    ids: std::vec::IntoIter<DocId>,
}

impl<'a> Kept<'a> {
    /// `None` where the inputs have not kept as many rows as the files have, or one of them has no ledger.
    fn of(dataset: &'a Dataset, sink: &Node, files: &[&str]) -> Option<Self> {
        let nodes = &dataset.manifest.nodes;
        let node = |name: &String| nodes.iter().find(|node| node.name == *name);
        let inputs = sink.inputs.iter().rev().map(node).collect::<Option<Vec<_>>>()?;
        let rows: u64 = files.iter().filter_map(|name| dataset.manifest.files[*name].rows).sum();
        let ledgers =
            inputs.iter().map(|node| dataset.node_file(LEDGER, node)).collect::<Option<Vec<_>>>()?;
        let as_many = inputs.iter().map(|node| node.kept).sum::<u64>() == rows;
        let of = |ledgers| Self {
            dataset,
            ledgers,
            path: dataset.root.clone(),
            batches: None,
            ids: Vec::new().into_iter(),
        };
        as_many.then(|| of(ledgers))
    }

    fn next(&mut self) -> Result<Option<DocId>, InspectError> {
        loop {
            if let Some(id) = self.ids.next() {
                return Ok(Some(id));
            }
            if let Some(batch) = self.batches.as_mut().and_then(Iterator::next) {
                let batch = batch?;
                let actions = texts(&batch, ledger::ACTION);
                let kept = texts(&batch, column::ID).into_iter().zip(actions);
                let kept = kept.filter(|(_, action)| *action != Some("dropped"));
                let ids: Result<Vec<DocId>, InspectError> = kept
                    .map(|(id, _)| {
                        let told = id.unwrap_or("null");
                        let message = || format!("`{told}` is no id of a document");
                        id.and_then(DocId::parse).ok_or_else(|| self.wrong(message()))
                    })
                    .collect();
                self.ids = ids?.into_iter();
                continue;
            }
            let Some(name) = self.ledgers.pop() else { return Ok(None) };
            self.path = self.dataset.root.join(name);
            let part = Part::open(&self.path)?;
            self.batches = Some(part.read(None, Some(&[column::ID, ledger::ACTION]))?);
        }
    }

    /// Nothing is left when every line has its row.
    fn end(mut self) -> Result<(), InspectError> {
        match self.next()? {
            Some(id) => Err(self.wrong(format!("row {id} was kept, and no line is left for it"))),
            None => Ok(()),
        }
    }

    fn wrong(&self, message: String) -> InspectError {
        let help = "nothing was forgotten; `gristmill verify DATASET` tells what differs; build it again";
        InspectError::format(&self.path, message, help)
    }
}

/// Writes again those files of a sink that hold a target; gives each with the lines that went.
pub(super) fn without(
    dataset: &Dataset,
    sink: &Node,
    targets: &Targets,
) -> Result<Vec<(String, u64)>, InspectError> {
    let mut hits: Vec<(String, u64)> = Vec::new();
    visit(dataset, sink, &mut |line| {
        if targets.has(line.id) {
            match hits.last_mut() {
                Some((file, count)) if file == line.file => *count += 1,
                _ => hits.push((line.file.to_owned(), 1)),
            }
        }
        Ok(())
    })?;
    let mut open: Option<(String, Output)> = None;
    visit(dataset, sink, &mut |line| {
        if open.as_ref().is_some_and(|(file, _)| file != line.file)
            && let Some((file, output)) = open.take()
        {
            output.finish(&dataset.root.join(file))?;
        }
        if !hits.iter().any(|(file, _)| file == line.file) {
            return Ok(());
        }
        if open.is_none() {
            open = Some((line.file.to_owned(), Output::create(&dataset.root.join(line.file))?));
        }
        let stays = !targets.has(line.id);
        match open.as_mut().filter(|_| stays) {
            Some((file, output)) => {
                let path = beside(&dataset.root.join(file));
                output.write(line.bytes).map_err(InspectError::io(&path))
            }
            None => Ok(()),
        }
    })?;
    if let Some((file, output)) = open {
        output.finish(&dataset.root.join(file))?;
    }
    Ok(hits)
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, InspectError> {
    let file = File::open(path).map_err(InspectError::io(path))?;
    Ok(match path.extension().and_then(|e| e.to_str()) {
        Some("gz") => Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(file))),
        Some("zst") => {
            let zstd = zstd::stream::read::Decoder::new(file).map_err(InspectError::io(path))?;
            Box::new(BufReader::new(zstd))
        }
        _ => Box::new(BufReader::new(file)),
    })
}

/// A file that takes the place of another when it is complete.
enum Output {
    Plain(BufWriter<File>),
    Gzip(flate2::write::GzEncoder<BufWriter<File>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<File>>),
}

impl Output {
    fn create(path: &Path) -> Result<Self, InspectError> {
        let beside = beside(path);
        let file = File::create(&beside).map_err(InspectError::io(&beside))?;
        let file = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(match path.extension().and_then(|e| e.to_str()) {
            Some("gz") => {
                Self::Gzip(flate2::write::GzEncoder::new(file, flate2::Compression::new(GZIP_LEVEL)))
            }
            Some("zst") => {
                let zstd = zstd::stream::write::Encoder::new(file, ZSTD_LEVEL);
                Self::Zstd(zstd.map_err(InspectError::io(&beside))?)
            }
            _ => Self::Plain(file),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.write_all(bytes),
            Self::Gzip(file) => file.write_all(bytes),
            Self::Zstd(file) => file.write_all(bytes),
        }
    }

    fn finish(self, path: &Path) -> Result<(), InspectError> {
        let beside = beside(path);
        let file = match self {
            Self::Plain(file) => Ok(file),
            Self::Gzip(file) => file.finish(),
            Self::Zstd(file) => file.finish(),
        };
        let flushed = file.and_then(|mut file| file.flush());
        flushed.map_err(InspectError::io(&beside))?;
        fs::rename(&beside, path).map_err(InspectError::io(&beside))
    }
}
