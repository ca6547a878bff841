//! Drops documents that insult, threaten or hate, by a trained linear classifier over hashed n-grams.
//!
//! The text is cut into windows of about a sentence to a paragraph (60 to 640 bytes). Each has a score `p` of
//! 0 to 1. The score of the document is the mean of their squares, weighted by length, under a root:
//! `toxicity = sqrt(Σ bytes·p² / Σ bytes)`. So a short text has the score of its one window, and in a long one a share of
//! toxic windows decides and not one hit: one window of a hundred alone gives 0.1, a quarter of them 0.5. The highest
//! window is recorded as `toxicity_peak`; it drops nothing unless `peak_max` is set below 1.
//!
//! The weights were made by `gristmill fit filter.toxicity` from sets in English, German and Chinese whose
//! licences allow it, and from benign prose; in other languages the score says little. `assets/README.md` names them
//! and the command. No classifier of this size understands irony, quotation or reclaimed words; it can only count.
//!
//! ```text
//! "You are a wonderful neighbour."  → keep
//! "you stupid piece of shit"        → drop toxic
//! ```

mod fit;

pub use fit::FIT;

use crate::text::linear::{Linear, Scratch, windows};
use schemas::{
    Build, Config as _, FilePath, Filter, FilterStage, Judgement, KeyError, Made, Reason, Spec, Verdict,
    config,
};

/// The weights that ship.
const WEIGHTS: &[u8] = include_bytes!("../../assets/toxicity.bin");

config! {
    /// Settings of `filter.toxicity`.
    pub struct Config {
        /// Highest score of a document kept.
        score_max: f64 = 0.6, in 0.0..=1.0;
        /// Highest score of a single window kept; 1 keeps all.
        peak_max: f64 = 1.0, in 0.0..=1.0;
        /// Weights made by `gristmill fit filter.toxicity`; empty for those that ship.
        weights: FilePath = FilePath::default();
    }
}

/// Why `filter.toxicity` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// The document scores above `score_max`.
    Toxic,
    /// One window scores above `peak_max`.
    ToxicPassage,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::Toxic => "toxic",
            Self::ToxicPassage => "toxic_passage",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason { name: Drop::Toxic.name(), doc: "The document scores above `score_max`." },
    Reason { name: Drop::ToxicPassage.name(), doc: "One window of the document scores above `peak_max`." },
];

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    let wrong = |message| vec![KeyError { key: "weights".into(), message, help: None }];
    let linear = if config.weights.is_empty() {
        Linear::read(WEIGHTS).expect("the weights that ship are whole")
    } else {
        let path = settings.resolve(&config.weights);
        let bytes = std::fs::read(&path).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
        Linear::read(&bytes).map_err(wrong)?
    };
    Ok(Made::Stage(Box::new(FilterStage(Toxicity { config, linear }))))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "filter.toxicity",
    version: 1,
    summary: "Drops documents that insult, threaten or hate, by a trained classifier.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// Scores a document: over all and in its highest window.
pub fn score(linear: &Linear, text: &str) -> (f64, f64) {
    let mut scratch = Scratch::default();
    let (mut squares, mut bytes, mut peak) = (0.0, 0.0, 0.0_f64);
    for window in windows(text) {
        let score = linear.score(window, &mut scratch);
        squares += score * score * window.len() as f64;
        bytes += window.len() as f64;
        peak = peak.max(score);
    }
    (if bytes > 0.0 { (squares / bytes).sqrt() } else { 0.0 }, peak)
}

struct Toxicity {
    config: Config,
    linear: Linear,
}

impl Filter for Toxicity {
    const SIGNALS: &'static [&'static str] = &["toxicity", "toxicity_peak"];

    fn judge(&self, text: &str) -> Judgement {
        let (whole, peak) = score(&self.linear, text);
        let dropped =
            |reason: Drop, value, limit| Verdict::Dropped { reason: reason.name(), value, limit, twin: None };
        let verdict = if whole > self.config.score_max {
            dropped(Drop::Toxic, whole, self.config.score_max)
        } else if peak > self.config.peak_max {
            dropped(Drop::ToxicPassage, peak, self.config.peak_max)
        } else {
            Verdict::Kept
        };
        Judgement { verdict, signals: vec![whole, peak] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn toxicity(config: Config) -> Toxicity {
        Toxicity { config, linear: Linear::read(WEIGHTS).unwrap() }
    }

    fn check(text: &str, expected: Option<&str>) {
        let judgement = toxicity(Config::default()).judge(text);
        let found = match judgement.verdict {
            Verdict::Dropped { reason, .. } => Some(reason),
            _ => None,
        };
        assert_eq!(found, expected, "{text:?} scores {:?}", judgement.signals);
    }

    #[test]
    fn short_texts() {
        check("", None);
        check("\0", None);
        check("You are a wonderful neighbour.", None);
        check("you stupid piece of shit", Some("toxic"));
        check("Kill the process, then abort the child threads.", None);
        check("The borrow checker rejects this function because the reference outlives its owner.", None);
    }

    #[test]
    fn one_hit_does_not_decide_over_a_long_document() {
        let plain = "The function returns an iterator over the lines of the file, without the line ends. "
            .repeat(200);
        let text = format!(
            "{plain}\n\nyou stupid piece of shit, go to hell you stupid piece of shit you bitch\n\n{plain}"
        );
        check(&text, None);
        let strict = toxicity(Config { peak_max: 0.6, ..Config::default() });
        assert!(matches!(strict.judge(&text).verdict, Verdict::Dropped { reason: "toxic_passage", .. }));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_text_scores_between_0_and_1(text in "\\PC{0,400}|[ \n.!。a\0\u{202e}\u{301}]{0,900}") {
            let Judgement { signals, .. } = toxicity(Config::default()).judge(&text);
            prop_assert!(signals.iter().all(|s| (0.0..=1.0).contains(s)) && signals[0] <= signals[1] + 1e-9);
        }
    }
}
