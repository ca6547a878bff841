//! The law of the loss: fitted to small trainings, read at a larger one.
//!
//! ```text
//! L(N, D) = E + A ÷ N^α + B ÷ D^β        N parameters without the embedding, D tokens; loss in nats per token
//! ```
//! Fitted as in Chinchilla (arXiv 2203.15556, approach 3): the sum of Huber losses, δ = 10⁻³, of log L̂ − log L, by BFGS from a grid of
//! starts, of which the best end counts. Exponents are positive, as exponentials of what is fitted. Where all trainings share their
//! tokens per parameter, N and D say the same and the term of D is left out.

use super::minimum::minimise;
use schemas::hash::{Rng, seed};
use serde::Serialize;

/// Where the Huber loss turns from square to straight.
const DELTA: f64 = 1e-3;
/// Draws of the bootstrap.
const DRAWS: usize = 200;
/// Part of the draws in the interval.
const COVERAGE: f64 = 0.9;
/// Exponents that the search starts from, and parts of the least loss that cannot be learned.
const EXPONENTS: [f64; 3] = [0.15, 0.4, 1.0];
const FLOORS: [f64; 3] = [0.3, 0.6, 0.9];

/// A training: its size and the loss it came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Parameters without the embedding.
    pub parameters: f64,
    /// Tokens.
    pub tokens: f64,
    /// Held-out loss, nats per token.
    pub loss: f64,
}

/// The fitted law.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Law {
    /// Loss that no size and no number of tokens takes away.
    pub e: f64,
    /// Factor of the term of the parameters.
    pub a: f64,
    /// Its exponent.
    pub alpha: f64,
    /// Factor of the term of the tokens; 0 where it is left out.
    pub b: f64,
    /// Its exponent.
    pub beta: f64,
}

/// A law with what it says of a larger training.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Parameters of the larger model, without the embedding.
    pub parameters: f64,
    /// Its tokens.
    pub tokens: f64,
    /// Predicted held-out loss, nats per token.
    pub loss: f64,
    /// Least and greatest loss of nine in ten draws: fits to the law with its residuals drawn anew, and one more residual on top.
    pub interval: [f64; 2],
    /// The largest model of the ladder as the smaller ones predict it, divided by what it reached, less 1; the greatest over its trainings.
    pub backtest: Option<f64>,
}

impl Law {
    /// Fits a law; `joint` with a term of the tokens.
    pub fn fit(points: &[Point], joint: bool) -> Self {
        let least = points.iter().map(|point| point.loss).fold(f64::INFINITY, f64::min);
        let mut best: Option<(Vec<f64>, f64)> = None;
        for floor in FLOORS {
            for alpha in EXPONENTS {
                for beta in EXPONENTS.iter().take(if joint { EXPONENTS.len() } else { 1 }) {
                    let found = descend(points, &start(points, least * floor, (alpha, *beta), joint));
                    if best.as_ref().is_none_or(|(_, value)| found.1 < *value) {
                        best = Some(found);
                    }
                }
            }
        }
        Self::of(&best.expect("the grid of starts is not empty").0)
    }

    /// From what is fitted: log E, log A, log α, and log B, log β where there is a term of the tokens.
    fn of(x: &[f64]) -> Self {
        let (b, beta) = if x.len() > 3 { (x[3].exp(), x[4].exp()) } else { (0.0, 1.0) };
        Self { e: x[0].exp(), a: x[1].exp(), alpha: x[2].exp(), b, beta }
    }

    fn fitted(&self, joint: bool) -> Vec<f64> {
        let logs = [self.e, self.a, self.alpha, self.b, self.beta].map(f64::ln);
        logs[..if joint { 5 } else { 3 }].to_vec()
    }

    /// The loss of a size.
    pub fn loss(&self, parameters: f64, tokens: f64) -> f64 {
        self.e + self.a / parameters.powf(self.alpha) + self.b / tokens.powf(self.beta)
    }

    /// What the law says of a size, with an interval and a backtest; the same points give the same numbers.
    pub fn predict(&self, points: &[Point], joint: bool, (parameters, tokens): (f64, f64)) -> Prediction {
        let residual = |point: &Point| point.loss.ln() - self.loss(point.parameters, point.tokens).ln();
        // A fit takes up as many degrees of freedom as it has numbers: its residuals are too small by that.
        let free = points.len().saturating_sub(if joint { 5 } else { 3 }).max(1) as f64;
        let inflate = (points.len() as f64 / free).sqrt();
        let residuals: Vec<f64> = points.iter().map(|point| residual(point) * inflate).collect();
        let mut rng = Rng::new(seed(0, "bootstrap of a scaling law", 0));
        let mut draw = || residuals[rng.below(residuals.len() as u64) as usize];
        let fitted = self.fitted(joint);
        let mut losses: Vec<f64> = (0..DRAWS)
            .map(|_| {
                let drawn = |point: &Point, residual: f64| Point {
                    loss: self.loss(point.parameters, point.tokens) * residual.exp(),
                    ..*point
                };
                let drawn: Vec<Point> = points.iter().map(|point| drawn(point, draw())).collect();
                let law = Self::of(&descend(&drawn, &fitted).0);
                law.loss(parameters, tokens) * draw().exp()
            })
            .collect();
        losses.sort_unstable_by(f64::total_cmp);
        let at = |part: f64| losses[((losses.len() - 1) as f64 * part).round() as usize];
        Prediction {
            parameters,
            tokens,
            loss: self.loss(parameters, tokens),
            interval: [at((1.0 - COVERAGE) / 2.0), at(f64::midpoint(1.0, COVERAGE))],
            backtest: backtest(points, joint),
        }
    }
}

/// How far the smaller models miss the largest one.
fn backtest(points: &[Point], joint: bool) -> Option<f64> {
    let largest = points.iter().map(|point| point.parameters).fold(0.0, f64::max);
    let (last, rest): (Vec<Point>, Vec<Point>) = points.iter().partition(|p| p.parameters == largest);
    if rest.len() < if joint { 6 } else { 4 } {
        return None;
    }
    let law = Law::fit(&rest, joint);
    let miss = |point: &Point| law.loss(point.parameters, point.tokens) / point.loss - 1.0;
    last.iter().map(miss).max_by(|a, b| a.abs().total_cmp(&b.abs()))
}

/// A start of the search whose terms share what is left above the floor.
fn start(points: &[Point], floor: f64, (alpha, beta): (f64, f64), joint: bool) -> Vec<f64> {
    let mean = |of: &dyn Fn(&Point) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let rest = (mean(&|point| point.loss) - floor).max(1e-3);
    let share = if joint { rest / 2.0 } else { rest };
    let mut start = vec![floor.ln(), share.ln() + alpha * mean(&|point| point.parameters.ln()), alpha.ln()];
    if joint {
        start.extend([share.ln() + beta * mean(&|point| point.tokens.ln()), beta.ln()]);
    }
    start
}

fn descend(points: &[Point], start: &[f64]) -> (Vec<f64>, f64) {
    let joint = start.len() > 3;
    // Factors are fitted at the middle of the sizes: far from it, factor and exponent would pull at each other.
    let mean = |of: &dyn Fn(&Point) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (n, d) = (mean(&|point| point.parameters.ln()), mean(&|point| point.tokens.ln()));
    let shift = |x: &mut [f64], sign: f64| {
        x[1] += sign * x[2].exp() * n;
        if joint {
            x[3] += sign * x[4].exp() * d;
        }
    };
    let mut centred = start.to_vec();
    shift(&mut centred, -1.0);
    let value = |x: &[f64], gradient: &mut [f64]| {
        gradient.fill(0.0);
        points.iter().map(|point| huber(point, x, (n, d), gradient)).sum()
    };
    let (mut x, value) = minimise(value, &centred);
    shift(&mut x, 1.0);
    (x, value)
}

/// The Huber loss of a point, in units of δ²; its gradient is added.
fn huber(point: &Point, x: &[f64], (n, d): (f64, f64), gradient: &mut [f64]) -> f64 {
    let (log_n, log_d) = (point.parameters.ln() - n, point.tokens.ln() - d);
    let mut terms = [x[0], x[1] - x[2].exp() * log_n, f64::NEG_INFINITY];
    if x.len() > 3 {
        terms[2] = x[3] - x[4].exp() * log_d;
    }
    let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = terms.iter().map(|term| (term - top).exp()).sum();
    let residual = (top + sum.ln() - point.loss.ln()) / DELTA;
    let (value, slope) = if residual.abs() <= 1.0 {
        (residual * residual / 2.0, residual)
    } else {
        (residual.abs() - 0.5, residual.signum())
    };
    let weight = terms.map(|term| slope / DELTA * (term - top).exp() / sum);
    gradient[0] += weight[0];
    gradient[1] += weight[1];
    gradient[2] -= weight[1] * x[2].exp() * log_n;
    if x.len() > 3 {
        gradient[3] += weight[2];
        gradient[4] -= weight[2] * x[4].exp() * log_d;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(law: &Law, (noise, seed): (f64, u64)) -> Vec<Point> {
        let mut rng = Rng::new(seed);
        let mut points = Vec::new();
        for n in 0..5 {
            for d in 0..3 {
                let (parameters, tokens) = (2e4 * f64::from(1 << n), 2.5e5 * f64::from(1 << d));
                let loss = law.loss(parameters, tokens) * (noise * (rng.next_f64() - 0.5)).exp();
                points.push(Point { parameters, tokens, loss });
            }
        }
        points
    }

    #[test]
    fn a_law_is_found_again() {
        let law = Law { e: 1.7, a: 400.0, alpha: 0.5, b: 900.0, beta: 0.45 };
        let exact = points(&law, (0.0, 0));
        let found = Law::fit(&exact, true);
        let at = (2.56e6, 1e6);
        assert!((found.loss(at.0, at.1) / law.loss(at.0, at.1) - 1.0).abs() < 1e-4, "{found:?}");
        let told = |seed| {
            let noisy = points(&law, (0.01, seed));
            Law::fit(&noisy, true).predict(&noisy, true, at)
        };
        let all: Vec<Prediction> = (0..3).map(told).collect();
        let expected = law.loss(at.0, at.1);
        assert!(all.iter().all(|told| (told.loss / expected - 1.0).abs() < 0.03), "{all:#?}");
        assert!(all.iter().all(|told| told.backtest.unwrap().abs() < 0.03), "{all:#?}");
        let covered = all.iter().filter(|told| told.interval[0] < expected && expected < told.interval[1]);
        assert!(covered.count() >= 2, "{expected} {all:#?}");
        assert_eq!(told(2), all[2]);
    }

    #[test]
    fn of_one_variable() {
        let law = Law { e: 2.0, a: 60.0, alpha: 0.35, b: 0.0, beta: 1.0 };
        let points: Vec<Point> = (0..5)
            .map(|n| 2e4 * f64::from(1 << n))
            .map(|n| Point { parameters: n, tokens: 20.0 * n, loss: law.loss(n, 1.0) })
            .collect();
        let found = Law::fit(&points, false);
        assert!((found.loss(2.56e6, 1.0) / law.loss(2.56e6, 1.0) - 1.0).abs() < 1e-4, "{found:?}");
    }

    #[test]
    fn the_gradient_of_the_fit_is_the_numeric_one() {
        let points = points(&Law { e: 1.7, a: 400.0, alpha: 0.5, b: 900.0, beta: 0.45 }, (0.02, 7));
        let x = [0.4, 0.3, -0.8, 0.2, -0.6];
        let value = |x: &[f64], gradient: &mut [f64]| -> f64 {
            points.iter().map(|point| huber(point, x, (11.0, 13.0), gradient)).sum()
        };
        let mut gradient = [0.0; 5];
        value(&x, &mut gradient);
        for (at, expected) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut x = x;
                x[at] += by;
                value(&x, &mut [0.0; 5])
            };
            let found = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{at}: {found} {expected}");
        }
    }
}
