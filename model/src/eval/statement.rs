//! What was trained on what, in plain words: from the report of a training and the manifest of its dataset.
//!
//! Nothing is guessed. What neither file says is said to be unknown, and a dataset that is not the one of the training is refused.

use crate::align::AlignReport;
use crate::data::Document;
use crate::error::TrainError;
use crate::train::{REPORT, TrainReport};
use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemas::manifest::{self, Manifest};
use schemas::number::thousands;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::Path;

/// What a model was trained on, and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statement {
    /// How it was made.
    pub made: Made,
    /// The dataset, where it is at hand.
    pub data: Option<Data>,
}

/// How a model was made: the report in its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Made {
    /// By a training on a dataset.
    Training(Box<TrainReport>),
    /// From another model.
    Alignment(Box<AlignReport>),
}

impl Made {
    /// Reads the report of a model folder; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read, or is of neither kind.
    pub(crate) fn read(model: &Path) -> Result<Option<Self>, TrainError> {
        let path = model.join(REPORT);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(TrainError::io(&path))?,
        };
        let neither = |_| "the file is neither the report of a training nor that of an alignment";
        serde_json::from_slice(&bytes).map(Some).map_err(neither).map_err(TrainError::file(&path))
    }

    /// Hexadecimal blake3 of the manifest of the dataset that it was trained on.
    pub(crate) fn dataset(&self) -> Option<&str> {
        match self {
            Self::Training(report) => Some(&report.dataset),
            Self::Alignment(_) => None,
        }
    }
}

/// A dataset as its manifest and its documents tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Data {
    /// Name of the recipe.
    pub name: String,
    /// Version of the program that built it.
    pub gristmill: String,
    /// Tokens to train on.
    pub train_tokens: u64,
    /// Tokens held out.
    pub validation_tokens: u64,
    /// Documents and bytes of text by source and licence.
    pub sources: Vec<Source>,
    /// What each source node of the recipe reads.
    pub reads: Vec<Reads>,
    /// Stages in their order: node, kind, and documents dropped.
    pub stages: Vec<Stage>,
    /// The sets of each node that takes benchmarks out, as the recipe names them.
    pub decontaminated: Vec<String>,
}

/// Documents of one source and licence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// Source, as the documents name it; empty where they do not.
    pub source: String,
    /// Licence, as the documents name it; empty where they do not.
    pub licence: String,
    /// Documents.
    pub documents: u64,
    /// Bytes of their texts.
    pub bytes: u64,
}

/// A source node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reads {
    /// Name in the recipe.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// Its settings that name what is read.
    pub settings: BTreeMap<String, String>,
    /// Rows that it gave.
    pub rows: u64,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// Name in the recipe.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows that it dropped.
    pub dropped: u64,
}

/// Settings of a source that say what it reads.
const READS: [&str; 6] = ["paths", "seeds", "folder", "path", "urls", "scope"];

/// The statement of a model folder, with what its dataset says where `dataset` names it.
///
/// # Errors
/// The folder has no report of a training, or the dataset is not the one that it names.
pub fn statement(model: &Path, dataset: Option<&Path>) -> Result<Statement, TrainError> {
    let missing =
        || TrainError::file(&model.join(REPORT))("the folder has no report of how its model was made");
    let made = Made::read(model)?.ok_or_else(missing)?;
    let data = dataset.zip(made.dataset()).map(|(folder, trained)| data(folder, trained)).transpose()?;
    Ok(Statement { made, data })
}

fn data(folder: &Path, trained: &str) -> Result<Data, TrainError> {
    let path = folder.join(manifest::FILE);
    let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
    let found = blake3::hash(&bytes).to_hex();
    if found.as_str() != trained {
        let message =
            format!("the training read a dataset with the manifest {trained}, this one has {found}");
        return Err(TrainError::file(&path)(message));
    }
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(TrainError::file(&path))?;
    let tokens = manifest.tokens.as_ref();
    let reads = manifest.nodes.iter().filter(|node| node.kind.starts_with("source."));
    let reads = reads.map(|node| Reads {
        name: node.name.clone(),
        kind: node.kind.clone(),
        settings: READS
            .iter()
            .filter_map(|&key| Some((key.to_owned(), node.settings.get(key)?.clone())))
            .collect(),
        rows: node.kept,
    });
    let stages =
        manifest.nodes.iter().filter(|node| !node.kind.starts_with("source.") && node.folder.is_none());
    let stages = stages.map(|node| Stage {
        name: node.name.clone(),
        kind: node.kind.clone(),
        rows_in: node.rows_in,
        dropped: node.dropped.values().sum(),
    });
    let cleaned = manifest.nodes.iter().filter(|node| node.kind.starts_with("decontaminate."));
    Ok(Data {
        name: manifest.name.clone(),
        gristmill: manifest.gristmill.clone(),
        train_tokens: tokens.map_or(0, |tokens| tokens.train),
        validation_tokens: tokens.map_or(0, |tokens| tokens.validation),
        sources: sources(folder, &manifest)?,
        reads: reads.collect(),
        stages: stages.collect(),
        decontaminated: cleaned.filter_map(|node| node.settings.get("sets").cloned()).collect(),
    })
}

/// Counts the documents by source and licence.
fn sources(folder: &Path, manifest: &Manifest) -> Result<Vec<Source>, TrainError> {
    let tokens = manifest.tokens.as_ref().map(|tokens| tokens.folder.as_str());
    let folders = manifest.nodes.iter().filter_map(|node| node.folder.as_deref());
    let folders: Vec<&str> = folders.filter(|folder| Some(*folder) != tokens).collect();
    let inside = |name: &&String| {
        let of = |folder: &&str| name.strip_prefix(*folder).is_some_and(|rest| rest.starts_with('/'));
        name.ends_with(".parquet") && folders.iter().any(of)
    };
    let mut counts: BTreeMap<(String, String), (u64, u64)> = BTreeMap::new();
    for name in manifest.files.keys().filter(inside) {
        count(&folder.join(name), &mut counts)?;
    }
    let source = |((source, licence), (documents, bytes))| Source { source, licence, documents, bytes };
    Ok(counts.into_iter().map(source).collect())
}

fn count(path: &Path, counts: &mut BTreeMap<(String, String), (u64, u64)>) -> Result<(), TrainError> {
    use schemas::column::{LICENCE, SOURCE, TEXT, URL};
    let file = File::open(path).map_err(TrainError::io(path))?;
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(TrainError::file(path))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), [SOURCE, LICENCE, TEXT, URL]);
    for batch in builder.with_projection(mask).build().map_err(TrainError::file(path))? {
        let batch = batch.map_err(TrainError::file(path))?;
        let column = |name: &str| {
            let column = batch.column_by_name(name)?;
            cast(column, &DataType::LargeUtf8).ok()
        };
        let columns = [SOURCE, LICENCE, TEXT, URL].map(column);
        let cell = |at: usize, row: usize| {
            let texts = columns[at].as_ref().map(|column| column.as_string::<i64>());
            texts.filter(|texts| !texts.is_null(row)).map_or("", |texts| texts.value(row)).to_owned()
        };
        for row in 0..batch.num_rows() {
            let (place, url) = (cell(0, row), cell(3, row));
            let document = Document { id: "", url: Some(&url), record_id: None, source: Some(&place) };
            let source = document.source().unwrap_or_default().to_owned();
            let (documents, bytes) = counts.entry((source, cell(1, row))).or_default();
            *documents += 1;
            *bytes += cell(2, row).len() as u64;
        }
    }
    Ok(())
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let training = match &self.made {
            Made::Training(training) => training,
            Made::Alignment(aligned) => return aligned.fmt(f),
        };
        let TrainReport { parameters, steps, tokens, settings, dataset, tokenizer, .. } = &**training;
        let setting = |key: &str| settings.get(key).map_or("unknown", |value| value.trim_matches('"'));
        writeln!(
            f,
            "A model of {} numbers ({}, {} layers, width {}) learned in {} steps from {} tokens, padding included.",
            thousands(*parameters),
            setting("architecture"),
            setting("layers"),
            setting("width"),
            thousands(*steps),
            thousands(*tokens)
        )?;
        match (training.validation_loss, training.bits_per_byte) {
            (Some(loss), Some(bits)) => {
                writeln!(f, "Held-out loss {loss:.4} nats per token, {bits:.4} bits per byte.")?;
            }
            (Some(loss), None) => writeln!(f, "Held-out loss {loss:.4} nats per predicted token.")?,
            (None, _) => {}
        }
        writeln!(f, "Dataset: manifest {dataset}; tokenizer {tokenizer} (blake3).")?;
        match &self.data {
            Some(data) => write!(f, "{data}"),
            None => writeln!(
                f,
                "The dataset is not at hand, so its sources, licences and benchmarks are not told."
            ),
        }
    }
}

impl fmt::Display for AlignReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, parameters, steps, rows, settings, .. } = self;
        let base = settings.get("base").map_or("unknown", String::as_str);
        writeln!(
            f,
            "A model aligned by `{method}`: {} numbers learned in {} steps from rows with the hash {rows} (blake3).",
            thousands(*parameters),
            thousands(*steps)
        )?;
        for (when, measured) in [("before", &self.before), ("after", &self.after)] {
            let told: Vec<String> =
                measured.iter().map(|(what, value)| format!("{what} {value:.4}")).collect();
            if !told.is_empty() {
                writeln!(f, "On rows kept apart, {when}: {}.", told.join(", "))?;
            }
        }
        writeln!(
            f,
            "It began as the model with the hash {base}, whose own folder says what that was trained on."
        )
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "It is `{}`, built by gristmill {}: {} tokens to train on, {} held out.",
            self.name,
            self.gristmill,
            thousands(self.train_tokens),
            thousands(self.validation_tokens)
        )?;
        let known = |text: &str, what: &str| {
            if text.is_empty() { format!("{what} not told") } else { text.to_owned() }
        };
        for Reads { name, kind, settings, rows } in &self.reads {
            let told: Vec<String> = settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
            writeln!(
                f,
                "- source `{name}` ({kind}) gave {} documents; {}",
                thousands(*rows),
                told.join("; ")
            )?;
        }
        writeln!(f, "Documents that were left, by source and licence:")?;
        for Source { source, licence, documents, bytes } in &self.sources {
            let (source, licence) = (known(source, "source"), known(licence, "licence"));
            writeln!(
                f,
                "- {source}, {licence}: {} documents, {} bytes",
                thousands(*documents),
                thousands(*bytes)
            )?;
        }
        let dropping: Vec<&Stage> = self.stages.iter().filter(|stage| stage.dropped > 0).collect();
        if !dropping.is_empty() {
            writeln!(f, "Taken out by stages:")?;
        }
        for Stage { name, kind, rows_in, dropped } in dropping {
            writeln!(f, "- `{name}` ({kind}): {} of {}", thousands(*dropped), thousands(*rows_in))?;
        }
        if self.decontaminated.is_empty() {
            writeln!(f, "Texts of benchmarks were not looked for when it was built.")
        } else {
            writeln!(f, "Texts of these benchmarks were taken out: {}.", self.decontaminated.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Architecture;
    use crate::progress::Silent;
    use crate::testing::{Folder, dataset, dataset_of};

    #[test]
    fn a_model_tells_its_training_and_refuses_another_dataset() {
        let folder = Folder::new("statement");
        let (data, out) = (folder.0.join("dataset"), folder.0.join("out"));
        dataset(&data);
        let config =
            crate::Config { steps: 2, eval_every: 0, layers: 1, ..crate::tests::small(Architecture::Llama) };
        crate::train::run(&data, &out, &config, &Silent).unwrap();
        let told = statement(&out, Some(&data)).unwrap().to_string();
        for expected in
            ["learned in 2 steps", "(llama, 1 layers, width 16)", "It is `tiny`", "were not looked for"]
        {
            assert!(told.contains(expected), "{expected}: {told}");
        }
        assert!(statement(&out, None).unwrap().to_string().contains("not at hand"));
        let other = folder.0.join("other");
        dataset_of(&other, "other", 257, 1);
        let error = statement(&out, Some(&other)).unwrap_err().to_string();
        assert!(error.contains("the training read a dataset with the manifest"), "{error}");
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
