//! From a model folder to the formats of other programs, with a card that says what the model is.
//!
//! The folder of a training already loads in `transformers`; an export is the clean one to hand on: weights in a chosen number format, the
//! tokenizer, settings of generation, the card, and nothing of the training. It is written beside its place and renamed when whole.

pub(crate) mod card;
pub(crate) mod foreign;
mod gguf;
mod hf;
mod parity;
mod precision;

pub use gguf::Kind;
#[cfg(test)]
pub(crate) use hf::write_tensors;
pub use precision::Precision;
pub(crate) use precision::decode;

use crate::architecture::Transformer;
use crate::config::Objective;
use crate::error::TrainError;
use crate::eval::perplexity::open_tokenizer;
use crate::folder;
use crate::parts::Architecture;
use crate::train::REPORT;
use card::Facts;
use schemas::manifest;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// File name of the card.
const CARD: &str = "README.md";

/// The format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// A folder for `transformers`.
    Hf(Precision),
    /// A file for llama.cpp, in a folder with a card.
    Gguf(Kind),
}

/// What to export, and how.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The format.
    pub to: To,
    /// The dataset of the training, for the card; else `dataset` beside the model.
    pub dataset: Option<&'a Path>,
    /// Where a dump goes that proves equal numbers.
    pub parity: Option<&'a Path>,
    /// Texts of the dump; its own where there are none.
    pub texts: &'a [String],
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// The class of `transformers` that loads it, or the architecture's one where the format is another.
    pub class: String,
    /// Numbers of the model.
    pub parameters: u64,
    /// Bytes of each file.
    pub files: BTreeMap<String, u64>,
    /// What differs from the model that was trained, in words.
    pub notes: Vec<String>,
}

/// Writes a model in the format of another program to a folder that is not there or empty.
///
/// # Errors
/// A folder that is no model, a composition that the format has no counterpart for, a folder in the way, a full disk.
pub fn export(model: &Path, out: &Path, request: &Request<'_>) -> Result<Exported, TrainError> {
    let source = model;
    folder::assert_empty(out)?;
    let model = folder::load(source)?;
    if model.shape.architecture == Architecture::Bert
        && model.shape.program.objective == Objective::Causal
        && source.join(REPORT).is_file()
    {
        let message = "a BERT trained to predict the next token sees only what is before; its class in `transformers` and llama.cpp sees all"
            .to_owned();
        return Err(TrainError::Config { message });
    }
    if matches!(request.to, To::Gguf(_)) && !model.shape.program.is_next_token() {
        let message = format!(
            "{}: the model fills in hidden tokens, and llama.cpp would read it as one that writes from left to right; it has no GGUF",
            source.display()
        );
        return Err(TrainError::Config { message });
    }
    let (tokenizer, _) = open_tokenizer(&source.join(manifest::TOKENIZER), model.shape.vocab as u64)?;
    let part = folder::part(out);
    if part.exists() {
        return Err(TrainError::file(&part)(
            "is in the way; a killed export leaves such a folder: remove it",
        ));
    }
    fs::create_dir_all(&part).map_err(TrainError::io(&part))?;
    // The dump before the folder has its name: an export is whole, or not there.
    let dump = |path| parity::write(&model, &tokenizer, request.texts, path);
    let written = fill(source, &model, &part, request)
        .and_then(|exported| request.parity.map_or(Ok(()), dump).map(|()| exported));
    let exported = match written {
        Ok(exported) => exported,
        Err(error) => {
            drop(fs::remove_dir_all(&part));
            return Err(error);
        }
    };
    if out.exists() {
        fs::remove_dir(out).map_err(TrainError::io(out))?;
    }
    fs::rename(&part, out).map_err(TrainError::io(out))?;
    Ok(exported)
}

/// Writes every file of an export.
fn fill(
    source: &Path,
    model: &Transformer<f32>,
    out: &Path,
    request: &Request<'_>,
) -> Result<Exported, TrainError> {
    let mut facts = Facts::read(source, request.dataset)?;
    let (shape, tensors) = (&model.shape, folder::named(model)?);
    facts.sizes = vec![
        ("parameters", model.parameter_count().to_string()),
        ("layers", shape.layers.to_string()),
        ("width", shape.width.to_string()),
        ("heads, of keys", format!("{}, {}", shape.heads.queries, shape.heads.keys)),
        ("vocabulary", shape.vocab.to_string()),
        ("context", shape.context.to_string()),
    ];
    match request.to {
        To::Hf(precision) => {
            facts.class = hf::class(shape)?;
            hf::write(shape, &tensors, precision, source, out)?;
            (facts.library, facts.numbers) = ("transformers", precision.name());
            facts.usage = hf_usage(&facts.class);
        }
        To::Gguf(kind) => {
            facts.class = hf::class(shape).unwrap_or_else(|_| "gguf".to_owned());
            let name = format!("{}-{}.gguf", file_name(&facts.name), kind.name());
            facts.notes = write_gguf(source, model, tensors, kind, &facts.name, &out.join(&name))?;
            (facts.library, facts.numbers) = ("gguf", kind.name());
            facts.usage = format!("```sh\nllama-cli -m {name} -no-cnv -p \"Once\"\n```");
        }
    }
    folder::write(&out.join(CARD), facts.text().as_bytes())?;
    if let Ok(report) = fs::read(source.join(REPORT)) {
        folder::write(&out.join(REPORT), &report)?;
    }
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(out).map_err(TrainError::io(out))? {
        let entry = entry.map_err(TrainError::io(out))?;
        let bytes = entry.metadata().map_err(TrainError::io(out))?.len();
        files.insert(entry.file_name().to_string_lossy().into_owned(), bytes);
    }
    let parameters = model.parameter_count() as u64;
    Ok(Exported { class: facts.class, parameters, files, notes: facts.notes })
}

fn write_gguf(
    source: &Path,
    model: &Transformer<f32>,
    tensors: folder::Named,
    kind: Kind,
    name: &str,
    path: &Path,
) -> Result<Vec<String>, TrainError> {
    let read = |name: &str| -> Result<Value, TrainError> {
        let path = source.join(name);
        let bytes = fs::read(&path).map_err(TrainError::io(&path))?;
        serde_json::from_slice(&bytes).map_err(TrainError::file(&path))
    };
    let tokenizer = read(manifest::TOKENIZER)?;
    let told = if source.join(manifest::TOKENIZER_CONFIG).is_file() {
        read(manifest::TOKENIZER_CONFIG)?
    } else {
        Value::Null
    };
    let beside = fs::read_to_string(source.join(hf::TEMPLATE)).ok();
    let chat_template = beside.as_deref().or(told["chat_template"].as_str());
    let source = gguf::Source { shape: &model.shape, tensors, tokenizer: &tokenizer, chat_template, name };
    gguf::write(source, kind, path)
}

/// A name for a file: letters, digits, dots and hyphens.
fn file_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' || c == '_' { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    if name.is_empty() { "model".to_owned() } else { name }
}

fn hf_usage(class: &str) -> String {
    let auto = if class.ends_with("ForMaskedLM") { "AutoModelForMaskedLM" } else { "AutoModelForCausalLM" };
    let rest = match auto {
        "AutoModelForMaskedLM" => "logits = model(**tokenizer(\"a text\", return_tensors=\"pt\")).logits\n",
        _ => {
            "# Documents of the training began behind the end-of-document token.\n\
             ids = tokenizer(tokenizer.eos_token + \"Once\", return_tensors=\"pt\")\n\
             print(tokenizer.decode(model.generate(**ids, max_new_tokens=40)[0]))\n"
        }
    };
    format!(
        "```python\nfrom transformers import {auto}, AutoTokenizer\n\ntokenizer = AutoTokenizer.from_pretrained(\".\")\n\
         model = {auto}.from_pretrained(\".\")\n{rest}```"
    )
}
