//! The shapes of a ladder of models: from a number of parameters to width, layers and heads, by rule.
//!
//! ```text
//! layers ≈ width ÷ 32, two at least;   heads of 16 features below width 128, of 32 below 512, of 64 above
//! ```
//! Widths are multiples of 16. Of the shapes near the rule the one with the nearest number of parameters is taken. Embedding and head are not
//! counted (arXiv 2001.08361): they do not grow as the rest does.

use crate::architecture::{Source, Transformer};
use crate::config::Config;
use crate::error::TrainError;
use candle_core::Device;
use schemas::manifest::Tokens;

/// Features of a layer for each layer.
const ASPECT: u64 = 32;
/// Widths are multiples of this.
const WIDTH_STEP: u64 = 16;
/// Widest model that is considered.
const WIDTH_MAX: u64 = 4096;
/// A shape whose first guess is further from what is wanted than this factor is not counted.
const GUESS: f64 = 3.0;

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
    for width in (WIDTH_STEP..=WIDTH_MAX).step_by(WIDTH_STEP as usize) {
        let rule = ((width + ASPECT / 2) / ASPECT).max(2);
        let guess = (12 * width * width * rule) as f64 / wanted as f64;
        if !(1.0 / GUESS..=GUESS).contains(&guess) {
            continue;
        }
        let heads = width
            / if width < 128 {
                16
            } else if width < 512 {
                32
            } else {
                64
            };
        let config =
            |layers| Config { width, layers, heads: heads.max(1), kv_heads: 0, ff_width: 0, ..base.clone() };
        let (one, two) = (parameters(&config(1), tokens)?, parameters(&config(2), tokens)?);
        for layers in [rule, rule + 1] {
            let parameters = one + (layers - 1) * (two - one);
            let distance = (parameters as f64 / wanted as f64).ln().abs();
            if best.as_ref().is_none_or(|(least, _)| distance < *least) {
                best = Some((distance, Rung { config: config(layers), parameters }));
            }
        }
    }
    let message =
        || format!("no shape comes near {wanted} parameters; a ladder has from 5,000 to 1,000,000,000");
    best.map(|(_, rung)| rung).ok_or_else(|| TrainError::Config { message: message() })
}

/// Parameters of a model but for those that stand for tokens and positions.
fn parameters(config: &Config, tokens: &Tokens) -> Result<u64, TrainError> {
    let shape = config.shape(tokens)?;
    let tables = [shape.vocab, shape.context];
    let model: Transformer<f32> = Transformer::new(shape, Source::drawn(0, &Device::Cpu))?;
    let of = |dims: &[usize]| dims.iter().product::<usize>() as u64;
    let inner = model.parameters.iter().map(|p| p.value().dims().to_vec());
    Ok(inner.filter(|dims| dims.len() < 2 || !tables.contains(&dims[0])).map(|dims| of(&dims)).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

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
