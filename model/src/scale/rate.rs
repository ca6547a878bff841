//! The learning rate of a size: tried on two sizes of the ladder, and carried to the others by the power law through both. Under muP it does not
//! depend on the width, and is the geometric mean of both.

use super::Bench;
use super::ladder::Rung;
use crate::config::ParametrizationKind;
use crate::error::TrainError;

/// Rates that are tried, each twice the one before it.
const RATES: [f64; 5] = [0.002, 0.004, 0.008, 0.016, 0.032];
/// More rates beyond an end of these, where the best one lies there.
const MORE_MAX: u32 = 3;
/// Parameters at which the factor of the rule stands.
const UNIT: f64 = 1e6;
/// The rate falls with the size, but no faster than the inverse of the width (arXiv 2203.03466), which is the root of the parameters.
const EXPONENTS: (f64, f64) = (0.0, 0.5);

/// rate = factor · (parameters ÷ 10⁶)^−exponent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rule {
    pub(super) factor: f64,
    pub(super) exponent: f64,
}

impl Rule {
    /// The rate of a size.
    pub(super) fn at(&self, parameters: u64) -> f64 {
        self.factor * (parameters as f64 / UNIT).powf(-self.exponent)
    }

    /// One rate for all sizes.
    pub(super) const fn of_all(rate: f64) -> Self {
        Self { factor: rate, exponent: 0.0 }
    }

    /// The rule through the best rates of two sizes; the exponent within its bounds, the larger size exact.
    fn through([(n1, rate1), (n2, rate2)]: [(u64, f64); 2]) -> Self {
        let slope = (rate1 / rate2).ln() / (n2 as f64 / n1 as f64).ln();
        let exponent = slope.clamp(EXPONENTS.0, EXPONENTS.1);
        Self { factor: rate2 * (n2 as f64 / UNIT).powf(exponent), exponent }
    }
}

/// How many trainings a search takes, at least and at most.
pub(super) const fn trainings() -> std::ops::RangeInclusive<usize> {
    2 * RATES.len()..=2 * (RATES.len() + MORE_MAX as usize)
}

/// Tries rates on the smallest and the middle size. A rate at which a training stops, its loss no number or leaping, is as bad as can be.
///
/// # Errors
/// Trainings that fail for another reason, or every one of a size that stops: the message of the last.
pub(super) fn find(
    ladder: &[Rung],
    bench: &Bench<'_>,
    tokens: impl Fn(&Rung) -> u64,
) -> Result<Rule, TrainError> {
    let best = |rung: &Rung| -> Result<(u64, f64), TrainError> {
        let mut stopped = None;
        let mut attempt = |rates: &[f64]| {
            let planned = rates.iter().map(|rate| bench.plan(rung, tokens(rung), *rate, "rate-"));
            let results = bench.attempt(planned.collect()).into_iter();
            let losses = results.map(|result| loss_of(result.map(|run| run.point.loss), &mut stopped));
            let losses = losses.collect::<Result<Vec<f64>, _>>()?;
            Ok::<Vec<(f64, f64)>, TrainError>(rates.iter().copied().zip(losses).collect())
        };
        let mut tried = attempt(&RATES)?;
        for _ in 0..MORE_MAX {
            let at = least(&tried);
            let beyond = match at {
                0 => tried[0].0 / 2.0,
                at if at + 1 == tried.len() => tried[at].0 * 2.0,
                _ => break,
            };
            tried.extend(attempt(&[beyond])?);
            tried.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        }
        match stopped {
            Some(error) if tried[least(&tried)].1.is_infinite() => Err(error),
            _ => Ok((rung.parameters, vertex(&tried))),
        }
    };
    let (small, middle) = (&ladder[0], &ladder[ladder.len() / 2]);
    let (at_small, at_middle) = (best(small)?, best(middle)?);
    Ok(match ladder[0].config.parametrization {
        ParametrizationKind::Mup => Rule::of_all((at_small.1 * at_middle.1).sqrt()),
        ParametrizationKind::Standard => Rule::through([at_small, at_middle]),
    })
}

/// The loss that a rate came to: infinite where the training stopped, which `stopped` keeps.
fn loss_of(result: Result<f64, TrainError>, stopped: &mut Option<TrainError>) -> Result<f64, TrainError> {
    match result {
        Err(error @ TrainError::Stopped(_)) => {
            *stopped = Some(error);
            Ok(f64::INFINITY)
        }
        other => other,
    }
}

fn least(tried: &[(f64, f64)]) -> usize {
    let order = |a: &(usize, &(f64, f64)), b: &(usize, &(f64, f64))| a.1.1.total_cmp(&b.1.1);
    tried.iter().enumerate().min_by(order).map_or(0, |(at, _)| at)
}

/// The rate at the vertex of the parabola through the best rate and its neighbours, on the scale of logarithms.
fn vertex(tried: &[(f64, f64)]) -> f64 {
    let at = least(tried);
    let (rate, middle) = tried[at];
    let (Some((_, left)), Some((_, right))) = (at.checked_sub(1).map(|at| tried[at]), tried.get(at + 1))
    else {
        return rate;
    };
    let bend = left - 2.0 * middle + right;
    // Beside a rate that ended in no number there is no parabola.
    let shift =
        if bend > 0.0 && bend.is_finite() { ((left - right) / (2.0 * bend)).clamp(-0.5, 0.5) } else { 0.0 };
    rate * 2_f64.powf(shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_rate_lies_between_those_tried() {
        let loss = |rate: f64| 3.0 + 0.1 * (rate / 0.005).log2().powi(2);
        let tried: Vec<(f64, f64)> = RATES.iter().map(|rate| (*rate, loss(*rate))).collect();
        assert!((vertex(&tried) - 0.005).abs() < 1e-6);
        assert_eq!(vertex(&tried[..2]), RATES[1]);
        let rule = Rule::through([(10_000, 0.01), (160_000, 0.005)]);
        assert!((rule.exponent - 0.25).abs() < 1e-12 && (rule.at(160_000) - 0.005).abs() < 1e-12);
        assert!((rule.at(2_560_000) - 0.0025).abs() < 1e-12);
        let diverged = [(0.001, 3.2), (0.002, 3.0), (0.004, f64::INFINITY), (0.008, f64::INFINITY)];
        assert_eq!(vertex(&diverged), 0.002);
        assert_eq!(Rule::through([(10_000, 0.004), (160_000, 0.005)]).exponent, 0.0);
    }
}
