//! The shapes of a ladder of models: from a number of parameters to width, layers and heads, by rule.
//!
//! ```text
//! layers ≈ width ÷ 32, two at least;   heads of 8 features below width 64, of 16 below 128, of 32 below 512, of 64 above
//! ```
//! Widths are multiples of the width of a head. Of the shapes near the rule the one with the nearest number of parameters is taken. Embedding and head are not
//! counted (arXiv 2001.08361): they do not grow as the rest does.

use crate::architecture::{Source, Transformer};
use crate::config::Config;
use crate::error::TrainError;
use crate::optimizer::Role;
use schemas::manifest::Tokens;

/// Features of a layer for each layer.
const ASPECT: u64 = 32;
/// Narrowest model that is considered.
const WIDTH_MIN: u64 = 16;
/// Widest model that is considered.
const WIDTH_MAX: u64 = 4096;
/// A shape whose first guess is further from what is wanted than this factor is not counted.
const GUESS: f64 = 2.5;
/// What a layer more or less than the rule says counts as, on the scale of logarithms.
const OFF_RULE: f64 = 0.3;

/// A model of the ladder.
#[derive(Debug, Clone)]
pub(super) struct Rung {
    pub(super) config: Config,
    /// Parameters without embedding and head.
    pub(super) parameters: u64,
}

/// The shape that comes nearest to so many parameters, in the settings of `base`.
///
/// # Errors
/// No shape comes near, or the other settings do not fit any.
pub(super) fn rung(base: &Config, tokens: &Tokens, wanted: u64) -> Result<Rung, TrainError> {
    let mut best: Option<(f64, Rung)> = None;
    let mut width = WIDTH_MIN;
    while width <= WIDTH_MAX {
        let head_width = head_width(width);
        let rule = ((width + ASPECT / 2) / ASPECT).max(2);
        let guess = (12 * width * width * rule) as f64 / wanted as f64;
        if (1.0 / GUESS..=GUESS).contains(&guess) {
            let heads = width / head_width;
            let config = |layers| Config { width, layers, heads, kv_heads: 0, ff_width: 0, ..base.clone() };
            let (one, two) = (parameters(&config(1), tokens)?, parameters(&config(2), tokens)?);
            for layers in rule - 1..=rule + 1 {
                let parameters = one + (layers - 1) * (two - one);
                let distance = (parameters as f64 / wanted as f64).ln().abs();
                let distance = distance + OFF_RULE * layers.abs_diff(rule) as f64;
                if best.as_ref().is_none_or(|(least, _)| distance < *least) {
                    best = Some((distance, Rung { config: config(layers), parameters }));
                }
            }
        }
        width += head_width;
    }
    let message = || {
        format!(
            "no shape comes near {wanted} parameters; models of a ladder are {WIDTH_MIN} to {WIDTH_MAX} wide"
        )
    };
    best.map(|(_, rung)| rung).ok_or_else(|| TrainError::Config { message: message() })
}

/// Features of a head, which divide the width.
const fn head_width(width: u64) -> u64 {
    match width {
        0..64 => 8,
        64..128 => 16,
        128..512 => 32,
        _ => 64,
    }
}

/// Parameters of a model but for those that stand for tokens and positions.
fn parameters(config: &Config, tokens: &Tokens) -> Result<u64, TrainError> {
    let shape = config.shape(tokens)?;
    let model: Transformer<f32> = Transformer::new(shape, Source::blank(u64::MAX))?;
    let inner = model.parameters.iter().filter(|parameter| model.role(parameter) != Role::Table);
    Ok(inner.map(|parameter| parameter.value().elem_count() as u64).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_as_long_as_the_context_is_counted() {
        let counted = |sequence_length: u64, vocab_size: u64| {
            let tokens = Tokens {
                folder: "tokens".into(),
                sequence_length,
                vocab_size,
                eos_id: 0,
                train: 1,
                validation: 1,
                tokenizer: String::new(),
            };
            let config = Config { width: 64, ff_width: 256, layers: 2, ..Config::default() };
            parameters(&config, &tokens).unwrap()
        };
        // Four matrices of attention, three of the feed-forward part and two gains a layer; one gain behind them.
        let expected = 2 * (4 * 64 * 64 + 3 * 64 * 256 + 2 * 64) + 64;
        assert_eq!([counted(256, 1999), counted(64, 256), counted(127, 1999)], [expected; 3]);
    }

    #[test]
    fn shapes_come_near_what_is_wanted() {
        let tokens = Tokens {
            folder: "tokens".into(),
            sequence_length: 127,
            vocab_size: 1999,
            eos_id: 0,
            train: 1,
            validation: 1,
            tokenizer: String::new(),
        };
        let mut before = 0;
        for wanted in [12_500, 25_000, 50_000, 100_000, 200_000, 1_600_000] {
            let found = rung(&Config::default(), &tokens, wanted).unwrap();
            let ratio = found.parameters as f64 / wanted as f64;
            assert!((0.7..1.4).contains(&ratio) && found.parameters > before, "{wanted}: {found:?}");
            before = found.parameters;
        }
        assert!(rung(&Config::default(), &tokens, 10).is_err());
    }
}
