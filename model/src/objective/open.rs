//! A program for a dataset: its token for what is hidden, its languages, and what a model folder says of both.
//!
//! A hidden token is replaced by the mask token of the tokenizer where it has one (`[MASK]` and the like). Else an id is reserved behind the
//! vocabulary, and the model has one row more in its embedding: no text becomes that token, and sampling, which draws from the tokenizer's
//! vocabulary alone, never gives it.

use super::Program;
use crate::config::{Config, Objective};
use crate::data::Dataset;
use crate::error::TrainError;
use schemas::{ConfigValue as _, Value as Toml};
use serde_json::{Value, json};
use tokenizers::Tokenizer;

/// What tokenizers call the token that stands for a hidden one.
const MASK_TOKENS: [&str; 4] = ["[MASK]", "<mask>", "<|mask|>", "<MASK>"];

/// Key of `config.json` under which a model folder tells its program.
pub(crate) const TOLD: &str = "objective";

impl Objective {
    /// Whether each next token is predicted from what stands before it, as sampling and scoring need.
    pub(crate) const fn is_next_token(self) -> bool {
        matches!(self, Self::Causal | Self::Prefix)
    }

    /// Whether a token takes the place of those that are predicted.
    const fn hides(self) -> bool {
        !self.is_next_token()
    }
}

impl Program {
    /// The program of settings for a dataset.
    ///
    /// # Errors
    /// The tokenizer or, where the objective asks for languages, the documents cannot be read.
    pub(crate) fn open(config: &Config, dataset: &Dataset) -> Result<Self, TrainError> {
        let vocab = u32::try_from(dataset.tokens.vocab_size)
            .map_err(|_| TrainError::Config { message: "a vocabulary is counted by 32 bits".to_owned() })?;
        let mut program = Self {
            objective: config.objective,
            mask_probability: config.mask_probability,
            predicted_share: config.predicted_share,
            ..Self::causal(dataset.tokens.eos_id, vocab)
        };
        if config.objective.hides() {
            program.mask = Some(mask_token(dataset, vocab)?);
        }
        if config.objective == Objective::Translation {
            program.languages = dataset.languages()?.to_vec();
        }
        program.on(dataset)
    }

    /// The program of a trained model for a dataset, whose languages the model must know.
    ///
    /// # Errors
    /// A document in a language that it does not, by name.
    pub(crate) fn on(mut self, dataset: &Dataset) -> Result<Self, TrainError> {
        if self.objective != Objective::Translation {
            return Ok(self);
        }
        let index = |name: &String| {
            let known = self.languages.iter().position(|known| known == name);
            known.and_then(|at| u32::try_from(at).ok()).ok_or_else(|| TrainError::Config {
                message: format!(
                    "the dataset has documents in `{name}`, the model knows {}",
                    self.languages.join(", ")
                ),
            })
        };
        self.language_ids = dataset.languages()?.iter().map(index).collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Whether a model continues texts and scores continuations: a prefix model does, as behind a prefix of one token.
    ///
    /// # Errors
    /// It fills in what is hidden, in words.
    pub(crate) fn continues(&self) -> Result<(), String> {
        if self.is_next_token() {
            return Ok(());
        }
        let name = self.objective.show();
        Err(format!(
            "the model was trained with `objective = {name}`: it fills in hidden tokens and continues no text; train one with \
             \"causal\" or \"prefix\""
        ))
    }

    /// Size of the model's vocabulary: that of the dataset, and the reserved mask token.
    pub(crate) fn model_vocab(&self) -> usize {
        self.vocab.max(self.mask.map_or(0, |mask| mask + 1)) as usize
    }

    /// What `config.json` tells of it; `None` of next-token prediction, which every reader takes a model for.
    pub(crate) fn told(&self) -> Option<Value> {
        (self.objective != Objective::Causal).then(|| {
            json!({
                "kind": self.objective.show().trim_matches('"'),
                "vocab_size": self.vocab,
                "mask_token_id": self.mask,
                "mask_probability": self.mask_probability,
                "predicted_share": self.predicted_share,
                "languages": self.languages,
            })
        })
    }

    /// The program that `config.json` tells of.
    ///
    /// # Errors
    /// A part is missing or of another type.
    pub(crate) fn read(told: &Value, eos: u32, vocab: u32) -> Result<Self, String> {
        if told.is_null() {
            return Ok(Self::causal(eos, vocab));
        }
        let wrong = |key: &str| format!("`{TOLD}.{key}` is missing or not what it should be");
        let kind = told["kind"].as_str().map(Toml::from).ok_or_else(|| wrong("kind"))?;
        // As the settings of these names.
        let share = |key: &str| {
            let within = |share: &f64| (0.01..=0.9).contains(share);
            told[key].as_f64().filter(within).ok_or_else(|| wrong(key))
        };
        let id = |key: &str| told[key].as_u64().and_then(|id| u32::try_from(id).ok());
        let languages = told["languages"].as_array().ok_or_else(|| wrong("languages"))?;
        let name = |name: &Value| name.as_str().map(str::to_owned).ok_or_else(|| wrong("languages"));
        let program = Self {
            objective: Objective::read(&kind).ok_or_else(|| wrong("kind"))?,
            mask: id("mask_token_id").filter(|&mask| mask < vocab),
            mask_probability: share("mask_probability")?,
            predicted_share: share("predicted_share")?,
            languages: languages.iter().map(name).collect::<Result<_, _>>()?,
            ..Self::causal(
                eos,
                id("vocab_size").filter(|&size| size <= vocab).ok_or_else(|| wrong("vocab_size"))?,
            )
        };
        if program.objective.hides() && program.mask.is_none() {
            return Err(wrong("mask_token_id"));
        }
        Ok(program)
    }
}

/// The mask token of the dataset's tokenizer, or the first id that is none of its tokens.
fn mask_token(dataset: &Dataset, vocab: u32) -> Result<u32, TrainError> {
    let path = dataset.tokenizer();
    let tokenizer = Tokenizer::from_file(&path).map_err(TrainError::file(&path))?;
    let named = MASK_TOKENS.iter().find_map(|name| tokenizer.token_to_id(name)).filter(|&id| id < vocab);
    // A vocabulary may be larger than its tokenizer: then there is room in it.
    let free = tokenizer.get_vocab(true).into_values().max().map_or(vocab, |greatest| greatest + 1);
    Ok(named.unwrap_or(free))
}
