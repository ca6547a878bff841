//! Trains the weights of a [`Linear`]: logistic regression with an L2 penalty by AdaGrad (Duchi, Hazan, Singer 2011),
//! one example at a time, in an order that is a function of the seed; then the weights that matter least are cut, the
//! others trained on, and rounded to a byte. The same rows give the same bytes.
//!
//! Rows weigh so that in each source and language both labels count the same, and a source counts by the square root of
//! its rows: a large source speaks louder than a small one, but does not drown it.
//!
//! Rows that are held out (see [`super::rows`]) are never trained on.

use super::rows::Row;
use super::{Linear, Scratch, features};
use schemas::hash::{Rng, seed};
use std::collections::BTreeMap;

/// How to train.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Two to this power buckets.
    pub bits: u32,
    /// Weights kept.
    pub weights_max: usize,
    /// Fewest rows that a bucket must be met in.
    pub rows_min: u32,
    /// Passes over the rows; a third as many follow after the cut.
    pub epochs: u64,
    /// Step of AdaGrad.
    pub rate: f32,
    /// L2 penalty.
    pub penalty: f32,
    /// Seed of the order.
    pub seed: u64,
    /// What the file tells of how it was made.
    pub note: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            bits: 20,
            weights_max: 280_000,
            rows_min: 3,
            epochs: 6,
            rate: 0.3,
            penalty: 2e-5,
            seed: 1,
            note: "gristmill fit filter.toxicity".into(),
        }
    }
}

/// An example as the learner sees it.
struct Example {
    start: usize,
    end: usize,
    label: f32,
    weight: f32,
}

/// All examples with their features in one list.
struct Examples {
    buckets: Vec<u32>,
    list: Vec<Example>,
}

/// Trains on the rows that are not held out.
pub fn train(rows: &[Row], plan: &Plan) -> Linear {
    let examples = examples(rows, plan);
    let mut counts = vec![0_u32; 1 << plan.bits];
    for example in &examples.list {
        let mut met = examples.buckets[example.start..example.end].to_vec();
        met.sort_unstable();
        met.dedup();
        met.iter().for_each(|b| counts[*b as usize] += 1);
    }
    let mut learner = Learner {
        weights: vec![0.0; 1 << plan.bits],
        squares: vec![1e-4; 1 << plan.bits],
        live: counts.iter().map(|n| *n >= plan.rows_min).collect(),
        bias: 0.0,
        bias_squares: 1e-4,
    };
    (0..plan.epochs).for_each(|epoch| learner.pass(&examples, plan, epoch));
    learner.cut(&counts, plan.weights_max);
    (plan.epochs..plan.epochs + plan.epochs / 3).for_each(|epoch| learner.pass(&examples, plan, epoch));
    learner.round(plan)
}

fn examples(rows: &[Row], plan: &Plan) -> Examples {
    let mut out = Examples { buckets: Vec::new(), list: Vec::new() };
    let mut cells: BTreeMap<(&str, bool), f32> = BTreeMap::new();
    let rows: Vec<&Row> = rows.iter().filter(|r| !r.held_out).collect();
    rows.iter().for_each(|r| *cells.entry((&r.group, r.label)).or_default() += 1.0);
    let size = |group: &str, label: bool| cells.get(&(group, label)).copied().unwrap_or_default();
    let weight = |r: &Row| {
        let both = size(&r.group, true) + size(&r.group, false);
        both.sqrt() / size(&r.group, r.label)
    };
    let mean = rows.iter().map(|r| weight(r)).sum::<f32>() / rows.len().max(1) as f32;
    let mut scratch = Scratch::default();
    for row in rows {
        let start = out.buckets.len();
        features(&row.text, plan.bits, &mut scratch, |bucket| out.buckets.push(bucket as u32));
        let label = if row.label { 1.0 } else { 0.0 };
        out.list.push(Example { start, end: out.buckets.len(), label, weight: weight(row) / mean });
    }
    out
}

struct Learner {
    weights: Vec<f32>,
    squares: Vec<f32>,
    live: Vec<bool>,
    bias: f32,
    bias_squares: f32,
}

impl Learner {
    fn pass(&mut self, examples: &Examples, plan: &Plan, epoch: u64) {
        let mut order: Vec<usize> = (0..examples.list.len()).collect();
        let mut rng = Rng::new(seed(plan.seed, "classifier", epoch));
        for at in (1..order.len()).rev() {
            order.swap(at, rng.below(at as u64 + 1) as usize);
        }
        order.iter().for_each(|at| self.step(examples, &examples.list[*at], plan));
    }

    fn step(&mut self, examples: &Examples, example: &Example, plan: &Plan) {
        let buckets = &examples.buckets[example.start..example.end];
        let length = (buckets.len().max(1) as f32).sqrt();
        let sum: f32 = buckets.iter().map(|b| self.weights[*b as usize]).sum();
        let score = 1.0 / (1.0 + (-(self.bias + sum / length)).exp());
        let error = (score - example.label) * example.weight;
        for bucket in buckets.iter().map(|b| *b as usize).filter(|b| self.live[*b]) {
            let gradient = error / length + plan.penalty * self.weights[bucket];
            self.squares[bucket] += gradient * gradient;
            self.weights[bucket] -= plan.rate * gradient / self.squares[bucket].sqrt();
        }
        self.bias_squares += error * error;
        self.bias -= plan.rate * error / self.bias_squares.sqrt();
    }

    /// Keeps the weights that move scores most: size times the root of the rows that have it.
    fn cut(&mut self, counts: &[u32], weights_max: usize) {
        let force = |at: usize| self.weights[at].abs() * (counts[at] as f32).sqrt();
        let mut order: Vec<usize> = (0..counts.len()).filter(|at| self.weights[*at] != 0.0).collect();
        order.sort_by(|a, b| force(*b).total_cmp(&force(*a)).then(a.cmp(b)));
        for at in order.split_off(weights_max.min(order.len())) {
            self.weights[at] = 0.0;
            self.live[at] = false;
        }
    }

    /// One byte a weight; the few largest are cut, so that the many small ones keep their differences.
    fn round(&self, plan: &Plan) -> Linear {
        let mut sizes: Vec<f32> = self.weights.iter().filter(|w| **w != 0.0).map(|w| w.abs()).collect();
        sizes.sort_by(f32::total_cmp);
        let largest = sizes.get(sizes.len() * 999 / 1000).copied().unwrap_or(1.0);
        let scale = largest / 127.0;
        let weights = self.weights.iter().map(|w| (w / scale).round().clamp(-127.0, 127.0) as i8).collect();
        Linear { bits: plan.bits, scale, bias: self.bias, note: plan.note.clone(), weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learns_what_sets_two_classes_apart_and_repeats_itself() {
        let rows: Vec<Row> = (0..400)
            .map(|n| {
                let label = n % 2 == 0;
                let text = format!(
                    "{} thing number {}",
                    if label { "bad" } else { "good" },
                    ["one", "two", "three"][n % 3]
                );
                Row {
                    text: format!("{text} {}", "x".repeat(n / 100)),
                    label,
                    group: "made".into(),
                    held_out: false,
                }
            })
            .collect();
        let plan = Plan { bits: 12, weights_max: 500, ..Plan::default() };
        let linear = train(&rows, &plan);
        let mut scratch = Scratch::default();
        assert!(linear.score("a bad day", &mut scratch) > 0.8);
        assert!(linear.score("a good day", &mut scratch) < 0.2);
        assert_eq!(train(&rows, &plan).write(), linear.write());
    }
}
