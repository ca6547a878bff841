//! Published models at a small size, by name: settings that a recipe or `--set` changes like any others, and a comparison of each with its
//! untrained self and with a bigram model.

use crate::architecture::{Source, Transformer};
use crate::config::{Config, ScheduleKind};
use crate::data::Dataset;
use crate::device::Engine;
use crate::error::TrainError;
use crate::eval::bigram::Bigram;
use crate::eval::held_out::measure;
use crate::eval::perplexity::Bytes;
use crate::eval::pseudo;
use crate::eval::sources::Sources;
use crate::folder;
use crate::metrics::rounded;
use crate::progress::TrainObserver;
use crate::train::{self, TrainReport};
use schemas::{ConfigValue as _, KeyError, Settings, Value, choice};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// File name of what was measured of a preset, in its folder.
const MEASURED: &str = "preset.json";

choice! {
    /// A published model, whose settings hold where no others are given.
    pub enum Preset {
        /// None: the defaults of each key.
        None = "none",
        /// GPT-3 (arXiv 2005.14165).
        Gpt3 = "gpt3",
        /// LLaMA (arXiv 2302.13971).
        Llama = "llama",
        /// LaMDA (arXiv 2201.08239).
        Lamda = "lamda",
        /// BERT (arXiv 1810.04805), with rotary positions: with learned ones, so small a model stays at the frequencies of tokens.
        Bert = "bert",
        /// XLNet (arXiv 1906.08237).
        Xlnet = "xlnet",
        /// UniLM (arXiv 1905.03197), with rotary positions as `bert`.
        Unilm = "unilm",
        /// XLM (arXiv 1901.07291), with rotary positions as `bert`.
        Xlm = "xlm",
        /// T5's prefix language model (arXiv 1910.10683).
        PrefixLm = "prefix-lm",
        /// Falcon (arXiv 2311.16867): attention and feed-forward part side by side, one key head.
        Falcon = "falcon",
        /// A mixture of experts as in Mixtral (arXiv 2401.04088).
        Mixtral = "mixtral",
        /// Recurrences and local attention in turn as in Griffin (arXiv 2402.19427).
        Griffin = "griffin",
    }
}

impl Preset {
    /// Every preset that is a model, in the order of the table.
    pub const ALL: [Self; 11] = [
        Self::Gpt3,
        Self::Llama,
        Self::Lamda,
        Self::Falcon,
        Self::Mixtral,
        Self::Griffin,
        Self::PrefixLm,
        Self::Bert,
        Self::Xlnet,
        Self::Unilm,
        Self::Xlm,
    ];

    /// Its name in a recipe.
    pub fn name(self) -> String {
        self.show().trim_matches('"').to_owned()
    }

    /// The preset of a name; none for `none`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|preset| preset.name() == name)
    }

    /// What it sets, as a recipe would; the sizes are those of any small model.
    const fn table(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gpt3 => "architecture = 'gpt'",
            Self::Llama => "architecture = 'llama'",
            // T5's relative attention is a learned bias by distance; the one here falls with it.
            Self::Lamda => "architecture = 'gpt'\npositions = 'alibi'\nactivation = 'geglu'",
            Self::Falcon => "architecture = 'falcon'",
            Self::Mixtral => {
                "architecture = 'llama'\nkv_heads = 2\nexperts = 8\nexperts_active = 2\nff_width = 256"
            }
            Self::Griffin => {
                "architecture = 'llama'\nkv_heads = 1\nactivation = 'geglu'\nmixers = 'rra'\nwindow = 128\nlayers = 3"
            }
            Self::PrefixLm => "architecture = 'llama'\nobjective = 'prefix'",
            // A masked model whose positions are a table must learn them before it learns anything from a neighbour.
            Self::Bert => {
                "architecture = 'bert'\nobjective = 'masked'\npositions = 'rotary'\ninit = 'truncated'"
            }
            // Transformer-XL's positions are relative too.
            Self::Xlnet => "architecture = 'bert'\nobjective = 'permutation'\npositions = 'rotary'",
            Self::Unilm => {
                "architecture = 'bert'\nobjective = 'unified'\npositions = 'rotary'\ninit = 'truncated'"
            }
            Self::Xlm => "architecture = 'bert'\nobjective = 'translation'\npositions = 'rotary'",
        }
    }

    /// Sizes and rates, and the steps, at which it beats a bigram model on a few megabytes of text within minutes, as far as the preset leaves
    /// them open.
    const fn small(self) -> (&'static str, i64) {
        const HIDDEN: &str = "layers = 2\nbatch_sequences = 16\nwarmup_steps = 100\nlearning_rate = 0.002\nlearning_rate_min = 0.0002";
        const CAUSAL: &str = "layers = 3\nbatch_sequences = 8\noptimizer = 'muon'\nlearning_rate = 0.01\nlearning_rate_min = 0.001";
        match self {
            // Of what a masked model reads a sixth is predicted, and only that it learns from.
            Self::Bert | Self::Xlnet | Self::Xlm => (HIDDEN, 2400),
            // Four kinds of masks, in turn.
            Self::Unilm => (HIDDEN, 4800),
            _ => (CAUSAL, 1200),
        }
    }

    /// The settings of a comparison: those given, then the preset's at a small size.
    pub fn compared(self, given: &[(String, Value)]) -> Vec<(String, Value)> {
        let mut pairs = given.to_vec();
        pairs.retain(|(key, _)| key != "preset");
        let (table, steps) = self.small();
        let mut small: toml::Table = table.parse().expect("a test reads every preset");
        let all = [("width", 96), ("heads", 4), ("steps", steps), ("eval_every", 0)];
        small.extend(all.map(|(key, value)| (key.to_owned(), Value::Integer(value))));
        pairs.extend(small.into_iter().filter(|(key, _)| given.iter().all(|(set, _)| set != key)));
        pairs.push(("preset".to_owned(), Value::from(self.name())));
        pairs
    }

    /// What it sets, as pairs.
    fn pairs(self) -> Vec<(String, Value)> {
        let table: toml::Table = self.table().parse().expect("a test reads every preset");
        table.into_iter().collect()
    }
}

/// Settings of a training, those of the preset that they name beneath them.
///
/// # Errors
/// Every mistake in them.
pub fn read(settings: &Settings) -> Result<Config, Vec<KeyError>> {
    let given: Config = settings.parse()?;
    let mut pairs = given.preset.pairs();
    pairs.retain(|(key, _)| settings.pairs().iter().all(|(set, _)| set != key));
    pairs.extend(settings.pairs().iter().cloned());
    let config: Config = Settings::new(pairs).parse()?;
    let (least, rate) = (config.least_rate(), config.learning_rate);
    if least > rate && config.schedule != ScheduleKind::Constant {
        return Err(vec![KeyError {
            key: "learning_rate_min".to_owned(),
            message: format!("{least} is above `learning_rate` = {rate}, so the rate would rise to it"),
            help: Some("lower it, or leave it unset: a tenth of `learning_rate`".to_owned()),
        }]);
    }
    Ok(config)
}

/// What a preset came to on a dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Name of the preset.
    pub preset: String,
    /// What it learned to do.
    pub objective: String,
    /// Numbers that learned.
    pub parameters: u64,
    /// Steps done.
    pub steps: u64,
    /// Tokens read, padding included.
    pub tokens: u64,
    /// Held-out loss before the first step, in nats per predicted token.
    pub untrained_loss: f64,
    /// That of a bigram model for the same predictions.
    pub bigram_loss: f64,
    /// That after the training.
    pub loss: f64,
    /// Mean of −ln p of held-out tokens, each from all others around it, where the objective sees both sides.
    pub pseudo_loss: Option<f64>,
    /// Held-out bits per byte, where the objective predicts every byte from those before it.
    pub bits_per_byte: Option<f64>,
    /// Seconds of training and measuring; those of the last run where it went on.
    pub seconds: f64,
    /// Whether the loss is below both others.
    pub passed: bool,
}

/// Trains presets on a dataset, each in a folder of its own that goes on where it stopped, and compares them.
#[derive(Debug)]
pub struct Comparison {
    dataset: PathBuf,
    opened: Dataset,
    bigram: Bigram,
}

impl Comparison {
    /// Opens a dataset and counts its pairs of neighbours.
    ///
    /// # Errors
    /// No dataset, a damaged one, or one without held-out sequences.
    pub fn open(dataset: &Path) -> Result<Self, TrainError> {
        let opened = Dataset::open(dataset)?;
        if opened.validation.is_empty() {
            let message = "the dataset has no held-out sequences; raise `validation` of its `[dataset]`";
            return Err(TrainError::Config { message: message.to_owned() });
        }
        let bigram = Bigram::count(&opened)?;
        Ok(Self { dataset: dataset.to_owned(), opened, bigram })
    }

    /// Trains one and measures it; reads what was measured where that is done.
    ///
    /// # Errors
    /// Those of a training.
    pub fn run(
        &self,
        preset: Preset,
        config: &Config,
        out: &Path,
        observer: &dyn TrainObserver,
    ) -> Result<Outcome, TrainError> {
        let begun = Instant::now();
        let report = train::run(&self.dataset, out, config, observer)?;
        let path = out.join(MEASURED);
        if let Ok(bytes) = std::fs::read(&path)
            && let Ok(known) = serde_json::from_slice::<Outcome>(&bytes)
            && is_of(&known, &report)
        {
            return Ok(known);
        }
        let mut outcome = self.measure(preset, config, out, &report)?;
        outcome.seconds = (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        folder::replace(&path, &folder::json_bytes(&outcome))?;
        Ok(outcome)
    }

    fn measure(
        &self,
        preset: Preset,
        config: &Config,
        out: &Path,
        report: &TrainReport,
    ) -> Result<Outcome, TrainError> {
        let rows = &self.opened.validation;
        let fresh = Transformer::of(config, &self.opened, Source::drawn(config.seed))?;
        let bigram_loss = rounded(self.bigram.measure(&fresh.shape.program, rows)?.loss());
        let is_next_token = fresh.shape.program.is_next_token();
        let bytes = Bytes::of_dataset(&self.opened)?;
        let sources = Sources::default();
        let untrained = measure((&fresh, &Engine::Cores), rows, (&bytes, &sources), 0, |_| ())?;
        let untrained_loss = rounded(untrained.all.loss());
        let mut trained = folder::load(out)?;
        trained.shape.program = trained.shape.program.on(&self.opened)?;
        let pseudo = pseudo::measure(&trained, rows)?;
        let loss = report.validation_loss.unwrap_or(f64::NAN);
        Ok(Outcome {
            preset: preset.name(),
            objective: config.objective.show().trim_matches('"').to_owned(),
            parameters: report.parameters,
            steps: report.steps,
            tokens: report.tokens,
            untrained_loss,
            bigram_loss,
            loss,
            pseudo_loss: pseudo.map(|found| rounded(found.loss())),
            bits_per_byte: report.bits_per_byte.filter(|_| is_next_token),
            seconds: 0.0,
            passed: loss < untrained_loss && loss < bigram_loss,
        })
    }
}

/// Whether a preset was measured after this very training.
fn is_of(known: &Outcome, report: &TrainReport) -> bool {
    let parts = (known.parameters, known.steps, known.tokens);
    parts == (report.parameters, report.steps, report.tokens) && Some(known.loss) == report.validation_loss
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Architecture, Objective};
    use crate::progress::Silent;
    use crate::testing::{Folder, dataset};

    #[test]
    fn every_preset_is_settings_that_fit() {
        for preset in Preset::ALL {
            let settings = Settings::new(vec![("preset".to_owned(), Value::from(preset.name()))]);
            assert_eq!(crate::config::check(&settings), [], "{preset:?}");
            assert_eq!(Preset::named(&preset.name()), Some(preset));
            let width = [("width".to_owned(), Value::Integer(128))];
            let compared = Settings::new(preset.compared(&width));
            assert_eq!(crate::config::check(&compared), [], "{preset:?}");
            let config = read(&compared).unwrap();
            assert!(config.width == 128 && config.heads == 4 && config.steps >= 600, "{config:?}");
        }
        let pairs = [("preset", Value::from("bert")), ("mask_probability", Value::Float(0.3))];
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value)).to_vec();
        let config = read(&Settings::new(pairs.clone())).unwrap();
        assert_eq!((config.objective, config.mask_probability), (Objective::Masked, 0.3));
        // What is given stands above what the preset says.
        let over = [pairs, vec![("objective".to_owned(), Value::from("causal"))]].concat();
        assert_eq!(read(&Settings::new(over)).unwrap().objective, Objective::Causal);
        assert_eq!(Preset::named("none"), None);
        // The least rate follows the rate; one that is set may not be above it.
        let rates = |pairs: &[(&str, f64)]| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), Value::Float(*value)));
            read(&Settings::new(pairs.collect())).map(|config| config.least_rate())
        };
        assert_eq!(rates(&[("learning_rate", 0.01)]), Ok(0.001));
        let wrong = rates(&[("learning_rate", 1e-4), ("learning_rate_min", 3e-4)]).unwrap_err();
        assert!(wrong[0].to_string().contains("0.0003 is above `learning_rate` = 0.0001"), "{}", wrong[0]);
    }

    #[test]
    fn a_preset_is_trained_once_and_compared() {
        let folder = Folder::new("presets");
        let (data, out) = (folder.0.join("dataset"), folder.0.join("bert"));
        dataset(&data);
        let small = Config {
            steps: 4,
            eval_every: 0,
            layers: 1,
            width: 16,
            heads: 2,
            architecture: Architecture::Gpt,
            objective: Objective::Masked,
            ..Config::default()
        };
        let comparison = Comparison::open(&data).unwrap();
        let first = comparison.run(Preset::Bert, &small, &out, &Silent).unwrap();
        assert!(first.bigram_loss < first.untrained_loss, "{first:?}");
        assert_eq!(first.passed, first.loss < first.bigram_loss && first.loss < first.untrained_loss);
        assert_eq!((first.objective.as_str(), first.bits_per_byte), ("masked", None));
        assert!(first.pseudo_loss.unwrap() < first.untrained_loss + 0.5, "{first:?}");
        assert_eq!(comparison.run(Preset::Bert, &small, &out, &Silent).unwrap(), first);
        // The folder is one of any training: it evaluates, and names its objective.
        let found = crate::eval::perplexity::perplexity(&out, &data).unwrap();
        assert_eq!(rounded(found.loss()), first.loss);
        let model = folder::load(&out).unwrap();
        assert_eq!((model.shape.program.objective, model.shape.program.mask), (Objective::Masked, Some(257)));
        assert_eq!(model.shape.vocab, 258);
        // It continues no text, and says so.
        let refused = crate::generate::Sampler::open(&out).err().unwrap().to_string();
        assert!(refused.contains("trained with `objective = \"masked\"`"), "{refused}");
    }
}
