//! Documents as JSON lines: which line is which document, and files without some of them, all other lines as they are.
//!
//! A line that was read from an object of the user's has that object's fields alone. Which document it is, the ledger
//! tells: a sink writes the rows that its inputs kept, in the order of their ledgers.

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
use std::path::Path;

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
    pub(super) id: Option<DocId>,
    pub(super) url: Option<String>,
}

#[derive(Deserialize)]
struct Fields {
    id: Option<Json>,
    url: Option<Json>,
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
    let rows: u64 = files.iter().filter_map(|name| dataset.manifest.files[*name].rows).sum();
    let inputs = || dataset.manifest.nodes.iter().filter(|node| sink.inputs.contains(&node.name));
    let mut ids = (inputs().map(|node| node.kept).sum::<u64>() == rows).then(|| Kept::of(dataset, sink));
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
            let own = fields.id.as_ref().and_then(Json::as_str).and_then(DocId::parse);
            let url = fields.url.as_ref().and_then(Json::as_str).map(str::to_owned);
            let id = own.or(by_ledger).filter(|_| fields.doc_ids.is_none());
            if id.is_none() {
                let message = format!("line {number}: nothing tells which document it is");
                let help =
                    "nothing was forgotten; write the dataset as Parquet (`sink.parquet`), then forget";
                return Err(InspectError::format(&path, message, help));
            }
            see(Line { file, bytes: &bytes, id, url })?;
        }
    }
    Ok(())
}

/// The ids of the rows that the inputs of a sink kept, in their order.
struct Kept<'a> {
    dataset: &'a Dataset,
    /// Inputs that are left, the next one last.
    inputs: Vec<&'a Node>,
    batches: Option<crate::inspect::table::Batches>,
    ids: std::vec::IntoIter<DocId>,
}

impl<'a> Kept<'a> {
    fn of(dataset: &'a Dataset, sink: &Node) -> Self {
        let node = |name: &String| dataset.manifest.nodes.iter().find(|node| node.name == *name);
        let inputs = sink.inputs.iter().rev().filter_map(node).collect();
        Self { dataset, inputs, batches: None, ids: Vec::new().into_iter() }
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
                let ids: Vec<DocId> = kept.filter_map(|(id, _)| DocId::parse(id?)).collect();
                self.ids = ids.into_iter();
                continue;
            }
            let Some(node) = self.inputs.pop() else { return Ok(None) };
            self.batches = match self.dataset.node_file(LEDGER, node) {
                Some(name) => {
                    let part = Part::open(&self.dataset.root.join(name))?;
                    Some(part.read(None, Some(&[column::ID, ledger::ACTION]))?)
                }
                None => None,
            };
        }
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
        if line.id.is_some_and(|id| targets.has(id)) {
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
        let stays = !line.id.is_some_and(|id| targets.has(id));
        match open.as_mut().filter(|_| stays) {
            Some((file, output)) => output.write(line.bytes).map_err(InspectError::io(Path::new(file))),
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
