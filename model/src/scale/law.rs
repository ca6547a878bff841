//! The law of the loss: fitted to small trainings, read at a larger one.
//!
//! ```text
//! L(N) = E + A ÷ N^α        N parameters without embedding and head; loss in nats per token, at the tokens that all trainings had, or had by N
//! ```
//! Fitted like approach 3 of Chinchilla (arXiv 2203.15556): the sum of Huber losses of log L̂ − log L by BFGS from a grid of starts, of which the
//! best end counts. δ is a hundredth: that much do the seed and the shape of small models move a loss, and sizes over a factor of sixteen then tell
//! exponents of .1 and .3 hardly apart. So the exponent is held near Chinchilla's .34, which was found for a law of this form, by a prior of log α
//! whose deviation is a factor of 1.45. A size weighs by the root of its parameters: the smallest models are the furthest from
//! what is asked, and from the law. There is no term of the tokens, for all trainings
//! have those of the larger model: shorter ones of the same sizes, which such a term needs, are still in the first fall of the loss where no law holds.

use super::minimum::minimise;
use schemas::hash::{Rng, seed};
use serde::Serialize;

/// Deviation of a loss by seed and shape, and where the Huber loss turns from square to straight.
const DELTA: f64 = 0.01;
/// The exponent that is likely (Chinchilla's), and the deviation of its logarithm.
const ALPHA: f64 = 0.34;
const ALPHA_DEVIATION: f64 = 0.375;
/// Draws of the bootstrap.
const DRAWS: usize = 200;
/// Part of the draws in the interval.
const COVERAGE: f64 = 0.9;
/// Exponents that the search starts from, and parts of the least loss that cannot be learned.
const EXPONENTS: [f64; 4] = [0.08, 0.2, 0.45, 1.0];
const FLOORS: [f64; 3] = [0.3, 0.6, 0.9];
/// How a size weighs: its parameters to this power.
const WEIGHT: f64 = 0.5;
/// How much larger the model of the backtest is than those that predict it, about: shapes only come near the sizes of a ladder.
const BACKTEST_FACTOR: f64 = 4.0;
const BACKTEST_SLACK: f64 = 1.2;
/// Models that predict it, at least.
const BACKTEST_SIZES_MIN: usize = 4;

/// A training: its size and the loss it came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// Parameters without embedding and head.
    pub parameters: f64,
    /// Tokens.
    pub tokens: f64,
    /// Held-out loss, nats per token.
    pub loss: f64,
}

/// The fitted law.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Law {
    /// Loss that no size takes away.
    pub e: f64,
    /// Factor of the term of the parameters.
    pub a: f64,
    /// Its exponent.
    pub alpha: f64,
}

/// A law with what it says of a larger training.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    /// Parameters of the larger model, without embedding and head.
    pub parameters: f64,
    /// Its tokens.
    pub tokens: f64,
    /// Predicted held-out loss, nats per token.
    pub loss: f64,
    /// Least and greatest loss of nine in ten draws: fits to the law with its residuals and the likely exponent drawn anew, and one more residual on
    /// top.
    pub interval: [f64; 2],
    /// The largest model of the ladder as those about four times smaller and more predict it, divided by what it reached, less 1; absent where these
    /// are too few.
    pub backtest: Option<f64>,
}

impl Law {
    /// Fits a law.
    pub fn fit(points: &[Point]) -> Self {
        let least = points.iter().map(|point| point.loss).fold(f64::INFINITY, f64::min);
        let starts = FLOORS.iter().flat_map(|floor| EXPONENTS.map(|alpha| (least * floor, alpha)));
        let ends = starts.map(|(floor, alpha)| descend(points, &start(points, floor, alpha), ALPHA));
        let best = ends.min_by(|a, b| a.1.total_cmp(&b.1));
        Self::of(&best.expect("the grid of starts is not empty").0)
    }

    /// From what is fitted: log E, log A, log α.
    fn of(x: &[f64]) -> Self {
        Self { e: x[0].exp(), a: x[1].exp(), alpha: x[2].exp() }
    }

    fn fitted(&self) -> [f64; 3] {
        [self.e, self.a, self.alpha].map(f64::ln)
    }

    /// The loss of a size.
    pub fn loss(&self, parameters: f64) -> f64 {
        self.e + self.a / parameters.powf(self.alpha)
    }

    /// What the law says of a size, with an interval and a backtest; the same points give the same numbers.
    pub fn predict(&self, points: &[Point], (parameters, tokens): (f64, f64)) -> Prediction {
        let largest = largest(points);
        // Small models are further from the law, as their weight says: residuals are drawn as those of the largest, and grow back.
        let spread = |point: &Point| weight(point, largest).sqrt();
        let residual = |point: &Point| (point.loss.ln() - self.loss(point.parameters).ln()) * spread(point);
        // A fit takes up as many degrees of freedom as it has numbers: its residuals are too small by that.
        let free = points.len().saturating_sub(self.fitted().len()).max(1) as f64;
        let inflate = (points.len() as f64 / free).sqrt();
        let residuals: Vec<f64> = points.iter().map(|point| residual(point) * inflate).collect();
        let mut rng = Rng::new(seed(0, "bootstrap of a scaling law", 0));
        let mut normal = Rng::new(seed(0, "exponent of a scaling law", 0));
        let mut likely = std::iter::repeat_with(|| ALPHA * (ALPHA_DEVIATION * normal_of(&mut normal)).exp());
        let mut draw = || residuals[rng.below(residuals.len() as u64) as usize];
        let fitted = self.fitted();
        let mut losses: Vec<f64> = (0..DRAWS)
            .map(|_| {
                let drawn = |point: &Point, residual: f64| Point {
                    loss: self.loss(point.parameters) * (residual / spread(point)).exp(),
                    ..*point
                };
                let drawn: Vec<Point> = points.iter().map(|point| drawn(point, draw())).collect();
                let more = draw();
                let law = Self::of(&descend(&drawn, &fitted, likely.next().unwrap_or(ALPHA)).0);
                law.loss(parameters) * more.exp()
            })
            .collect();
        losses.sort_unstable_by(f64::total_cmp);
        let at = |part: f64| losses[((losses.len() - 1) as f64 * part).round() as usize];
        Prediction {
            parameters,
            tokens,
            loss: self.loss(parameters),
            interval: [at((1.0 - COVERAGE) / 2.0), at(f64::midpoint(1.0, COVERAGE))],
            backtest: backtest(points),
        }
    }
}

/// How far models that are much smaller miss the largest one.
fn backtest(points: &[Point]) -> Option<f64> {
    let last = points.iter().max_by(|a, b| a.parameters.total_cmp(&b.parameters))?;
    let most = last.parameters * BACKTEST_SLACK / BACKTEST_FACTOR;
    let rest: Vec<Point> = points.iter().filter(|point| point.parameters <= most).copied().collect();
    (rest.len() >= BACKTEST_SIZES_MIN).then(|| Law::fit(&rest).loss(last.parameters) / last.loss - 1.0)
}

/// A start of the search, whose term is what is left above the floor.
fn start(points: &[Point], floor: f64, alpha: f64) -> [f64; 3] {
    let mean = |of: &dyn Fn(&Point) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let rest = (mean(&|point| point.loss) - floor).max(1e-3);
    [floor.ln(), rest.ln() + alpha * mean(&|point| point.parameters.ln()), alpha.ln()]
}

/// Walks down to the best fit where `likely` is the likely exponent.
fn descend(points: &[Point], start: &[f64; 3], likely: f64) -> (Vec<f64>, f64) {
    // The factor is fitted at the middle of the sizes: far from it, factor and exponent would pull at each other.
    let middle = points.iter().map(|point| point.parameters.ln()).sum::<f64>() / points.len() as f64;
    let largest = largest(points);
    let shift = |x: &mut [f64], sign: f64| x[1] += sign * x[2].exp() * middle;
    let mut centred = start.to_vec();
    shift(&mut centred, -1.0);
    let value = |x: &[f64], gradient: &mut [f64]| {
        gradient.fill(0.0);
        let fit: f64 = points.iter().map(|point| huber(point, x, (middle, largest), gradient)).sum();
        let off = (x[2] - likely.ln()) / ALPHA_DEVIATION;
        gradient[2] += off / ALPHA_DEVIATION;
        fit + off * off / 2.0
    };
    let (mut x, value) = minimise(value, &centred);
    shift(&mut x, 1.0);
    (x, value)
}

/// A draw of the normal distribution (Box and Muller 1958).
fn normal_of(rng: &mut Rng) -> f64 {
    let (u, v) = (1.0 - rng.next_f64(), rng.next_f64());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

fn largest(points: &[Point]) -> f64 {
    points.iter().map(|point| point.parameters).fold(0.0, f64::max)
}

/// How much a point counts beside one of the largest size.
fn weight(point: &Point, largest: f64) -> f64 {
    (point.parameters / largest).powf(WEIGHT)
}

/// The weighted Huber loss of a point, in units of δ²; its gradient is added.
fn huber(point: &Point, x: &[f64], (middle, largest): (f64, f64), gradient: &mut [f64]) -> f64 {
    let log_n = point.parameters.ln() - middle;
    let terms = [x[0], x[1] - x[2].exp() * log_n];
    let top = terms[0].max(terms[1]);
    let sum: f64 = terms.iter().map(|term| (term - top).exp()).sum();
    let residual = (top + sum.ln() - point.loss.ln()) / DELTA;
    let (value, slope) = if residual.abs() <= 1.0 {
        (residual * residual / 2.0, residual)
    } else {
        (residual.abs() - 0.5, residual.signum())
    };
    let weight = weight(point, largest);
    let pull = terms.map(|term| weight * slope / DELTA * (term - top).exp() / sum);
    gradient[0] += pull[0];
    gradient[1] += pull[1];
    gradient[2] -= pull[1] * x[2].exp() * log_n;
    weight * value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nine sizes, each the root of two larger than the one before.
    fn points(law: &Law, (noise, seed): (f64, u64)) -> Vec<Point> {
        let mut rng = Rng::new(seed);
        let sizes = (0..9).map(|n| 2e4 * 2_f64.powf(f64::from(n) / 2.0));
        let mut noisy = |n: f64| law.loss(n) * (noise * (rng.next_f64() - 0.5)).exp();
        sizes.map(|n| Point { parameters: n, tokens: 1e6, loss: noisy(n) }).collect()
    }

    #[test]
    fn a_law_is_found_again() {
        for law in [
            Law { e: 1.7, a: 140.0, alpha: 0.42 },
            Law { e: 1.7, a: 60.0, alpha: 0.35 },
            Law { e: 1.5, a: 24.0, alpha: 0.27 },
        ] {
            let found = Law::fit(&points(&law, (0.0, 0)));
            let at = 2.56e6;
            assert!((found.loss(at) / law.loss(at) - 1.0).abs() < 0.02, "{law:?} {found:?}");
            let told = |seed| {
                let noisy = points(&law, (0.01, seed));
                Law::fit(&noisy).predict(&noisy, (at, 1e6))
            };
            let all: Vec<Prediction> = (0..20).map(told).collect();
            let expected = law.loss(at);
            assert!(all.iter().all(|told| (told.loss / expected - 1.0).abs() < 0.03), "{all:#?}");
            let covered =
                all.iter().filter(|told| told.interval[0] < expected && expected < told.interval[1]);
            assert!(covered.count() >= 14, "{expected} {all:#?}");
            assert_eq!(told(2), all[2]);
        }
    }

    #[test]
    fn models_four_times_smaller_predict_the_largest() {
        let mut all = points(&Law { e: 1.7, a: 60.0, alpha: 0.35 }, (0.0, 0));
        assert!(backtest(&all).unwrap().abs() < 0.01);
        all[8].loss *= 1.1;
        assert!((backtest(&all).unwrap() * 1.1 + 0.1).abs() < 0.012, "{:?}", backtest(&all));
        assert_eq!(backtest(&all[2..]), None);
    }

    #[test]
    fn the_gradient_of_the_fit_is_the_numeric_one() {
        let points = points(&Law { e: 1.7, a: 400.0, alpha: 0.5 }, (0.02, 7));
        let x = [0.4, 0.3, -0.8];
        let value = |x: &[f64], gradient: &mut [f64]| -> f64 {
            points.iter().map(|point| huber(point, x, (11.0, 3.2e5), gradient)).sum()
        };
        let mut gradient = [0.0; 3];
        value(&x, &mut gradient);
        for (at, expected) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut x = x;
                x[at] += by;
                value(&x, &mut [0.0; 3])
            };
            let found = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{at}: {found} {expected}");
        }
    }
}
