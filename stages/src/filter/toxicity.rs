//! Drops documents that insult, threaten or hate, or cuts the passages that do, by a trained linear classifier.
//!
//! The text is cut into windows of about a sentence to a paragraph (60 to 640 bytes). Each has a score of 0 to 1, and is
//! flagged when it is above `window_max`. A document goes when flagged windows are more than `share_max` of its bytes, so in a
//! short text the one window decides, and in a long one a share and not one hit. Slang that groups use of themselves
//! ("my bitches") is scored as rude, yet flags a window only beside an
//! insult, a threat or hate, or beside "you" or a group where the speaker does not speak of "us".
//!
//! | signal | what |
//! |---|---|
//! | `toxicity` | score of the document: that of the mean log-odds of its windows, by bytes |
//! | `toxicity_peak` | the highest window |
//! | `toxic_share` | share of the bytes that is flagged |
//! | `toxic_severity` | mean of what the flagged windows hold: 1 rude, 2 insult, 3 identity attack, 4 threat |
//! | `toxic_insult`, `toxic_threat`, `toxic_identity`, `toxic_obscene`, `toxic_sexual` | share of the bytes flagged with that |
//!
//! The weights were made by `gristmill fit filter.toxicity` from sets in English, German, French and Chinese whose licences allow
//! it, benign prose, and sentences and words written for it, these also in Portuguese; `assets/README.md` names them and
//! the command. No classifier of this size understands irony; it can only count.
//!
//! ```text
//! "You are a wonderful neighbour."  → keep
//! "you stupid piece of shit"        → drop toxic
//! ```

pub mod fit;

pub use fit::FIT;

use crate::text::linear::windows;
use crate::text::toxic::lexicon::Class;
use crate::text::toxic::{Found, Scratch, Toxic, probability};
use arrow::array::{Array as _, ArrayRef, AsArray as _, Float64Array, RecordBatch, StringBuilder};
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use schemas::{
    Build, Config as _, FilePath, KeyError, Made, Outcome, Reason, Spec, Stage, StageError, Verdict, choice,
    column, config,
};
use std::sync::{Arc, Mutex};

/// The weights that ship.
pub const WEIGHTS: &[u8] = include_bytes!("../../assets/toxicity.bin");
/// The words that they go with.
pub const LEXICON: &str = include_str!("../../assets/lexicon.txt");

choice! {
    /// What happens to a document with flagged windows.
    pub enum Action {
        /// It is dropped when they are more than `share_max` of it.
        Drop = "drop",
        /// They are cut out; it is dropped when nothing is left.
        Cut = "cut",
    }
}

config! {
    /// Settings of `filter.toxicity`.
    pub struct Config {
        /// `drop` the documents with too many flagged windows, or `cut` these windows and keep the rest.
        action: Action = Action::Drop;
        /// Highest score of a window that is not flagged.
        window_max: f64 = 0.87, in 0.0..=1.0;
        /// Highest share of flagged bytes of a document kept.
        share_max: f64 = 0.2, in 0.0..=1.0;
        /// Highest score of a single window of a document kept; 1 keeps all.
        peak_max: f64 = 1.0, in 0.0..=1.0;
        /// Weights made by `gristmill fit filter.toxicity`; empty for those that ship.
        weights: FilePath = FilePath::default();
    }
}

/// Why `filter.toxicity` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// Flagged windows are more than `share_max` of the document.
    Toxic,
    /// One window scores above `peak_max`.
    ToxicPassage,
    /// Nothing is left after the cut.
    NothingLeft,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::Toxic => "toxic",
            Self::ToxicPassage => "toxic_passage",
            Self::NothingLeft => "nothing_left",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::Toxic.name(), doc: "Flagged windows are more than `share_max` of the document." },
    Reason { name: Drop::ToxicPassage.name(), doc: "One window of the document scores above `peak_max`." },
    Reason { name: Drop::NothingLeft.name(), doc: "Nothing is left after flagged windows were cut." },
];

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    let wrong = |message| vec![KeyError { key: "weights".into(), message, help: None }];
    let toxic = if config.weights.is_empty() {
        Toxic::read(WEIGHTS, LEXICON).expect("the weights that ship are whole")
    } else {
        let path = settings.resolve(&config.weights);
        let bytes = std::fs::read(&path).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
        Toxic::read(&bytes, LEXICON).map_err(wrong)?
    };
    Ok(Made::Stage(Box::new(Toxicity { config, toxic, idle: Mutex::default() })))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "filter.toxicity",
    version: 4,
    summary: "Drops documents that insult, threaten or hate, or cuts such passages, by a trained classifier.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// Names of the signals, in the order of [`Measure::values`].
const SIGNALS: [&str; 9] = [
    "toxicity",
    "toxicity_peak",
    "toxic_share",
    "toxic_severity",
    "toxic_insult",
    "toxic_threat",
    "toxic_identity",
    "toxic_obscene",
    "toxic_sexual",
];

/// What a flagged window holds.
const INSULT: usize = 4;
const THREAT: usize = 5;
const IDENTITY: usize = 6;
const OBSCENE: usize = 7;
const SEXUAL: usize = 8;

/// What was measured of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// The signals.
    pub values: [f64; SIGNALS.len()],
    /// The text without the flagged windows, where there are some.
    pub rest: Option<String>,
}

/// Scores a document; windows above `window_max` are flagged.
pub fn measure(toxic: &Toxic, text: &str, window_max: f64, scratch: &mut Scratch) -> Measure {
    let mut values = [0.0; SIGNALS.len()];
    let (mut bytes, mut rest, mut copied) = (0.0, None::<String>, 0);
    for window in windows(text) {
        let found = toxic.score(window, scratch);
        let size = window.len() as f64;
        bytes += size;
        values[0] += found.log_odds * size;
        values[1] = values[1].max(found.score);
        if !is_flagged(found, window_max) {
            continue;
        }
        values[2] += size;
        let (kinds, severity) = kinds(found.classes);
        values[3] += severity * size;
        kinds.iter().for_each(|kind| values[*kind] += size);
        let start = window.as_ptr() as usize - text.as_ptr() as usize;
        rest.get_or_insert_default().push_str(&text[copied..start]);
        copied = start + window.len();
    }
    if let Some(rest) = &mut rest {
        rest.push_str(&text[copied..]);
    }
    if bytes > 0.0 {
        values[0] = probability(values[0] / bytes);
        if values[2] > 0.0 {
            values[3] /= values[2];
        }
        values[2] /= bytes;
        values[INSULT..].iter_mut().for_each(|v| *v /= bytes);
    }
    Measure { values, rest }
}

const fn bits(classes: &[Class]) -> u32 {
    let (mut out, mut at) = (0, 0);
    while at < classes.len() {
        out |= 1 << classes[at] as u32;
        at += 1;
    }
    out
}

fn is_flagged(found: Found, window_max: f64) -> bool {
    /// What makes slang an attack, whoever speaks.
    const HOSTILE: u32 =
        bits(&[Class::Slur, Class::Insult, Class::Violence, Class::Beast, Class::Expel, Class::Hate]);
    /// What makes it one, unless the speaker is among those named.
    const AIMED: u32 = bits(&[Class::You, Class::Group]);
    const OWN: u32 = bits(&[Class::We, Class::Reclaim]);
    let has = |any: u32| found.classes & any != 0;
    let slang = has(bits(&[Class::Slang])) && !has(HOSTILE) && (!has(AIMED) || has(OWN));
    found.score > window_max && !slang
}

/// What a flagged window holds, and how severe the worst of it is.
fn kinds(classes: u32) -> (Vec<usize>, f64) {
    let has = |any: &[Class]| classes & bits(any) != 0;
    let named = has(&[Class::Group, Class::Slur]);
    let mut out = Vec::new();
    let mut severity = 1.0_f64;
    let mut put = |on: bool, kind: usize, level: f64| {
        if on {
            out.push(kind);
            severity = severity.max(level);
        }
    };
    put(has(&[Class::Profanity]), OBSCENE, 1.0);
    put(has(&[Class::Sexual]), SEXUAL, 1.0);
    put(has(&[Class::Insult, Class::Slur, Class::Slang]) || !named, INSULT, 2.0);
    put(named, IDENTITY, 3.0);
    put(has(&[Class::Violence]) && has(&[Class::You, Class::Group, Class::Slur, Class::Should]), THREAT, 4.0);
    (out, severity)
}

struct Toxicity {
    config: Config,
    toxic: Toxic,
    /// Memory of earlier batches: the words that it knows are those of the next too.
    idle: Mutex<Vec<Scratch>>,
}

impl Toxicity {
    fn judge(&self, text: &str, scratch: &mut Scratch) -> (Verdict, Measure) {
        let measure = measure(&self.toxic, text, self.config.window_max, scratch);
        let [_, peak, share, ..] = measure.values;
        (self.verdict(peak, share, measure.rest.as_deref()), measure)
    }

    fn verdict(&self, peak: f64, share: f64, rest: Option<&str>) -> Verdict {
        let dropped =
            |reason: Drop, value, limit| Verdict::Dropped { reason: reason.name(), value, limit, twin: None };
        if peak > self.config.peak_max {
            dropped(Drop::ToxicPassage, peak, self.config.peak_max)
        } else {
            match (self.config.action, rest) {
                (Action::Drop, _) if share > self.config.share_max => {
                    dropped(Drop::Toxic, share, self.config.share_max)
                }
                (Action::Cut, Some(rest)) if rest.trim().is_empty() => dropped(Drop::NothingLeft, share, 1.0),
                (Action::Cut, Some(_)) => Verdict::Edited,
                _ => Verdict::Kept,
            }
        }
    }
}

impl Stage for Toxicity {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::TEXT, &DataType::Utf8)?;
        Ok(input.clone())
    }

    fn apply(&self, batch: &RecordBatch) -> Result<Outcome, StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let idle = || self.idle.lock().expect("no thread panics while it takes memory");
        let mut scratch = idle().pop().unwrap_or_default();
        let mut outcome = Outcome::keep_all(0);
        let mut edited = StringBuilder::new();
        let mut measures = Vec::with_capacity(texts.len());
        for text in texts {
            let text = text.unwrap_or_default();
            let (verdict, measure) = self.judge(text, &mut scratch);
            if self.config.action == Action::Cut {
                let rest = measure.rest.as_deref().filter(|_| verdict == Verdict::Edited);
                edited.append_value(rest.unwrap_or(text));
            }
            outcome.verdicts.push(verdict);
            measures.push(measure.values);
        }
        idle().push(scratch);
        if self.config.action == Action::Cut {
            outcome.columns.push((column::TEXT.to_owned(), Arc::new(edited.finish())));
        }
        outcome.signals = SIGNALS
            .iter()
            .enumerate()
            .map(|(at, name)| {
                let values: Float64Array = measures.iter().map(|m| Some(m[at])).collect();
                (*name, Arc::new(values) as ArrayRef)
            })
            .collect();
        Ok(outcome)
    }

    fn limits(&self) -> &'static [&'static str] {
        &["peak_max", "share_max"]
    }

    fn decide(&self, signals: &RecordBatch) -> Option<Vec<Verdict>> {
        let column = |name| signals.column_by_name(name)?.as_primitive_opt::<Float64Type>();
        let rows = column(SIGNALS[1])?.values().iter().zip(column(SIGNALS[2])?.values());
        Some(rows.map(|(peak, share)| self.verdict(*peak, *share, None)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn toxicity(config: Config) -> Toxicity {
        Toxicity { config, toxic: Toxic::read(WEIGHTS, LEXICON).unwrap(), idle: Mutex::default() }
    }

    fn check(config: Config, text: &str, expected: Option<&str>) {
        let (verdict, measure) = toxicity(config).judge(text, &mut Scratch::default());
        let found = match verdict {
            Verdict::Dropped { reason, .. } => Some(reason),
            Verdict::Edited => measure.rest.as_deref(),
            Verdict::Kept => None,
        };
        assert_eq!(found, expected, "{text:?} scores {:?}", measure.values);
    }

    #[test]
    fn short_texts() {
        let check = |text, expected| check(Config::default(), text, expected);
        check("", None);
        check("\0", None);
        check("You are a wonderful neighbour.", None);
        check("you stupid piece of shit", Some("toxic"));
        check("you stup1d piece of sh*t", Some("toxic"));
        check("Kill the process, then abort the child threads.", None);
        check("The borrow checker rejects this function because the reference outlives its owner.", None);
        check("My neighbours are Muslims and lovely people.", None);
        check("love my bitches, what a party it was last night", None);
    }

    #[test]
    fn the_name_of_a_group_says_nothing() {
        let (toxic, mut scratch) = (toxicity(Config::default()).toxic, Scratch::default());
        let mut score = |name: &str| toxic.score(&format!("I met two {name} today."), &mut scratch).score;
        let first = score("women");
        for name in ["Muslims", "Jews", "gays", "Mexicans", "immigrants", "lesbians", "Buddhists"] {
            assert!((score(name) - first).abs() < 1e-9, "{name}");
        }
    }

    /// What was scored before leaves no trace, for which thread sees which batch is chance.
    #[test]
    fn no_word_is_taken_for_another() {
        let stage = toxicity(Config::default());
        let words = [
            "haha", "jahaha", "that", "whathat", "nooow", "moooow", "rabbit", "sabbbit", "faggot", "gagggot",
        ];
        let score = |word: &str, scratch: &mut Scratch| stage.judge(&format!("a {word} b"), scratch).1;
        let mut used = Scratch::default();
        for word in words.iter().chain(words.iter().rev()) {
            assert_eq!(score(word, &mut used), score(word, &mut Scratch::default()), "{word}");
        }
    }

    #[test]
    fn one_hit_does_not_decide_over_a_long_document() {
        let plain = "The function returns an iterator over the lines of the file, without the line ends. "
            .repeat(200);
        let insult = "you stupid piece of shit, go to hell you stupid piece of shit you bitch";
        let text = format!("{plain}\n\n{insult}\n\n{plain}");
        check(Config::default(), &text, None);
        check(Config { peak_max: 0.6, ..Config::default() }, &text, Some("toxic_passage"));
        let cut = Config { action: Action::Cut, ..Config::default() };
        let (verdict, measure) = toxicity(cut.clone()).judge(&text, &mut Scratch::default());
        let rest = measure.rest.expect("a window was cut");
        assert_eq!(verdict, Verdict::Edited);
        assert!(!rest.contains("stupid") && rest.len() + insult.len() + 640 > text.len(), "{}", rest.len());
        check(cut, insult, Some("nothing_left"));
    }

    #[test]
    fn a_document_has_the_mean_log_odds_of_its_windows() {
        let stage = toxicity(Config::default());
        let mut scratch = Scratch::default();
        let mut whole = |text: &str| stage.judge(text, &mut scratch).1.values[0];
        let kind = format!("You are a wonderful neighbour. {}\n", "We like you. ".repeat(5));
        let rude = format!("you stupid piece of shit, {}\n", "go away at once ".repeat(4));
        let rude = format!("{}{}\n", &rude[..rude.len() - 1], " ".repeat(kind.len() - rude.len()));
        let odds = |score: f64| (score / (1.0 - score)).ln();
        let [one, other, both] = [kind.clone(), rude.clone(), kind + &rude].map(|text| odds(whole(&text)));
        assert!(one < 0.0 && other > 1.0, "{one} {other}");
        assert!((both - f64::midpoint(one, other)).abs() < 1e-6, "{one} {other} {both}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn any_text_scores_between_0_and_1(text in "\\PC{0,400}|[ \n.!。a\0\u{202e}\u{301}]{0,900}") {
            let stage = toxicity(Config::default());
            let mut scratch = Scratch::default();
            let first = stage.judge(&text, &mut scratch);
            let [whole, peak, share, ..] = first.1.values;
            prop_assert!([whole, peak, share].iter().all(|s| (0.0..=1.0).contains(s)) && whole <= peak + 1e-9);
            prop_assert_eq!(stage.judge(&text, &mut scratch), first);
        }
    }
}
