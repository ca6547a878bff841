//! The model card: what the run says of itself, as `README.md` with the front matter that model hubs read.
//!
//! Every sentence comes from a file: `training.json`, the dataset's manifest, evaluation reports. What no file tells is said to be
//! unknown, not left out.

use crate::error::TrainError;
use crate::eval::statement::{Made, Statement, statement};
use crate::train::dataset_of;
use schemas::manifest::{self, Manifest};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a card is written from.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// Name of the model.
    pub(super) name: String,
    /// Class that loads it, such as `LlamaForCausalLM`.
    pub(super) class: String,
    /// `transformers` or `gguf`.
    pub(super) library: &'static str,
    /// Sizes, in the order of the table.
    pub(super) sizes: Vec<(&'static str, String)>,
    /// How numbers are written.
    pub(super) numbers: &'static str,
    /// How to load it: a code block.
    pub(super) usage: String,
    /// What differs from the model that was trained, in words.
    pub(super) notes: Vec<String>,
    /// The report of how it was made.
    pub(super) report: Option<Made>,
    /// The dataset of the training.
    pub(super) dataset: Option<Manifest>,
    /// What it was trained on, in words.
    pub(super) statement: Option<Statement>,
    /// Evaluation reports by their file names.
    pub(super) evaluations: BTreeMap<String, Value>,
}

/// Settings that say how a model learned, in the order of the table.
const TOLD: [&str; 14] = [
    "objective",
    "init_from",
    "optimizer",
    "schedule",
    "learning_rate",
    "learning_rate_min",
    "warmup_steps",
    "batch_sequences",
    "accumulate",
    "weight_decay",
    "clip_norm",
    "dropout",
    "label_smoothing",
    "seed",
];

impl Facts {
    /// Reads what stands in a model folder and in its dataset; a dataset that is not the one of the training is none.
    ///
    /// # Errors
    /// A report that is there and cannot be read.
    pub(super) fn read(folder: &Path, dataset: Option<&Path>) -> Result<Self, TrainError> {
        let report = Made::read(folder)?;
        let place = match dataset {
            Some(named) => Some(named.to_owned()).filter(|place| place.join(manifest::FILE).is_file()),
            None => dataset_of(folder),
        };
        let own = |place: &PathBuf| {
            let bytes = fs::read(place.join(manifest::FILE)).ok()?;
            let found = blake3::hash(&bytes).to_hex();
            let is_own = report.as_ref().and_then(Made::dataset) == Some(found.as_str());
            is_own.then(|| serde_json::from_slice(&bytes).ok()).flatten()
        };
        // A dataset that was named must be the one of the training; one that lies beside it may be another.
        let manifest: Option<Manifest> = place.as_ref().and_then(own);
        let at_hand = place.as_deref().filter(|_| manifest.is_some() || dataset.is_some());
        let statement = report.is_some().then(|| statement(folder, at_hand)).transpose()?;
        let mut found = BTreeMap::new();
        for file in evaluations(folder)? {
            if let Ok(bytes) = fs::read(&file)
                && let Ok(value) = serde_json::from_slice(&bytes)
            {
                found.insert(file.file_name().unwrap_or_default().to_string_lossy().into_owned(), value);
            }
        }
        let name = folder.canonicalize().ok().and_then(|path| name_of(&path, manifest.as_ref()));
        Ok(Self {
            name: name.unwrap_or_default(),
            report,
            dataset: manifest,
            statement,
            evaluations: found,
            ..Self::default()
        })
    }

    /// The text of the card.
    pub(super) fn text(&self) -> String {
        let mut out = self.front_matter();
        out += &format!("\n# {}\n", self.name);
        self.about(&mut out);
        self.data(&mut out);
        self.training(&mut out);
        self.evaluation(&mut out);
        self.limits(&mut out);
        out += &format!("\n## How to load it\n\n{}\n", self.usage.trim_end());
        out
    }

    fn front_matter(&self) -> String {
        let task = if self.class.ends_with("ForMaskedLM") { "fill-mask" } else { "text-generation" };
        let mut out = format!("---\nlibrary_name: {}\npipeline_tag: {task}\n", self.library);
        let languages = self.languages();
        if !languages.is_empty() {
            out += "language:\n";
            languages.iter().for_each(|language| out += &format!("- {language}\n"));
        }
        out + "tags:\n- gristmill\n---\n"
    }

    /// The languages that filters kept.
    fn languages(&self) -> Vec<String> {
        let nodes = self.dataset.iter().flat_map(|dataset| &dataset.nodes);
        let filters = nodes.filter(|node| node.kind == "filter.language");
        let lists = filters.filter_map(|node| node.settings.get("languages"));
        let codes = lists.flat_map(|list| list.trim_matches(['[', ']']).split(','));
        let mut codes: Vec<String> = codes
            .map(|code| code.trim().trim_matches('"').to_owned())
            .filter(|code| !code.is_empty())
            .collect();
        codes.sort_unstable();
        codes.dedup();
        codes
    }

    fn about(&self, out: &mut String) {
        let kind = match self.class.as_str() {
            class if class.ends_with("ForMaskedLM") => "A masked language model",
            _ => "A causal language model",
        };
        *out += &format!("\n{kind}, trained by Gristmill; loads as `{}`.\n\n| | |\n|---|---|\n", self.class);
        let sizes = self.sizes.iter().map(|(what, size)| (*what, size.as_str()));
        sizes.chain([("numbers", self.numbers)]).for_each(|(what, size)| row(out, what, size));
        if !self.notes.is_empty() {
            *out += "\n";
            self.notes.iter().for_each(|note| *out += &format!("- {note}\n"));
        }
    }

    fn data(&self, out: &mut String) {
        *out += "\n## Data\n\n";
        let Some(statement) = &self.statement else {
            *out +=
                "What it was trained on is not known here: no report of a training lies beside the model.\n";
            return;
        };
        *out += &format!("{}\n", statement.to_string().trim());
        let Some(dataset) = &self.dataset else { return };
        *out += "\nWhat each stage let through:\n\n\
                 | stage | kind | documents in | kept | edited | dropped, by reason |\n|---|---|---:|---:|---:|---|\n";
        let stages =
            dataset.nodes.iter().filter(|node| !node.kind.starts_with("source.") && node.folder.is_none());
        for node in stages {
            let dropped: Vec<String> =
                node.dropped.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            let cells = [node.rows_in, node.kept, node.edited].map(|n| n.to_string()).join(" | ");
            *out += &format!("| {} | `{}` | {cells} | {} |\n", node.name, node.kind, dropped.join(", "));
        }
    }

    fn training(&self, out: &mut String) {
        *out += "\n## Training\n\n";
        let Some(report) = &self.report else {
            *out += "No report of a training lies beside the model.\n";
            return;
        };
        let settings = match report {
            Made::Training(report) => {
                *out += &format!("{} steps over {} tokens, padding included.\n", report.steps, report.tokens);
                &report.settings
            }
            Made::Alignment(report) => {
                *out += &format!("{} steps of `{}`.\n", report.steps, report.method);
                &report.settings
            }
        };
        *out += "\n| setting | value |\n|---|---|\n";
        for key in TOLD {
            if let Some(value) = settings.get(key).filter(|value| *value != "unset") {
                row(out, key, &format!("`{value}`"));
            }
        }
        *out += "\nAll settings stand in `training.json`.\n";
    }

    fn evaluation(&self, out: &mut String) {
        *out += "\n## Evaluation\n\n";
        let held = match &self.report {
            Some(Made::Training(r)) => {
                r.validation_loss.map(|loss| (loss, r.perplexity.zip(r.bits_per_byte)))
            }
            _ => None,
        };
        if let Some((loss, of_text)) = held {
            *out += "| held-out part of the dataset | |\n|---|---:|\n";
            row(out, "loss, nats a token", &format!("{loss:.4}"));
            if let Some((perplexity, bits)) = of_text {
                row(out, "perplexity", &format!("{perplexity:.3}"));
                row(out, "bits a byte", &format!("{bits:.4}"));
            }
        }
        for (name, value) in &self.evaluations {
            *out += &format!("\n`{name}`:\n\n| | |\n|---|---:|\n");
            numbers(out, "", value);
        }
        if held.is_none() && self.evaluations.is_empty() {
            *out += "No evaluation lies beside the model.\n";
        }
    }

    fn limits(&self, out: &mut String) {
        let context =
            self.sizes.iter().find(|(what, _)| *what == "context").map_or("its context", |(_, n)| n);
        *out += &format!(
            "\n## Limits\n\n- It says what is likely after a text, not what is true, and repeats errors, opinions and bias of its data.\n\
             - It has seen sequences of {context} tokens and no longer ones.\n"
        );
        if !self.class.ends_with("ForMaskedLM") {
            *out += "- Documents of its training began behind the end-of-document token: put that token before a prompt.\n";
        }
        if self.evaluations.is_empty() {
            *out +=
                "- No benchmark beside its own held-out text was run on it before this card was written.\n";
        }
    }
}

/// Reports of `gristmill eval` that lie in a model folder.
///
/// # Errors
/// The folder cannot be read.
pub(crate) fn evaluations(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    let entries = fs::read_dir(folder).map_err(TrainError::io(folder))?;
    let entries = entries.map(|entry| Ok(entry.map_err(TrainError::io(folder))?.path()));
    let is_report = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("eval") && name.ends_with(".json")
    };
    entries.filter(|path| path.as_ref().map_or(true, is_report)).collect()
}

fn name_of(folder: &Path, dataset: Option<&Manifest>) -> Option<String> {
    let own = folder.file_name()?.to_string_lossy().into_owned();
    Some(match dataset {
        Some(dataset) if own == "model" => dataset.name.clone(),
        _ => own,
    })
}

fn row(out: &mut String, what: &str, value: &str) {
    *out += &format!("| {what} | {value} |\n");
}

/// Every number of a report, by its path.
fn numbers(out: &mut String, path: &str, value: &Value) {
    match value {
        Value::Number(number) => row(out, path, &number.to_string()),
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                numbers(out, &path, value);
            }
        }
        _ => {}
    }
}
