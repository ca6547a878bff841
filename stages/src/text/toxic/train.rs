//! Trains the weights of a [`Toxic`]: logistic regression with an L2 penalty by AdaGrad (Duchi, Hazan, Singer 2011),
//! one example at a time, in an order that is a function of the seed; then the weights that matter least are cut, the
//! others trained on, and rounded to a byte. The same rows give the same bytes.

use super::{CLASS_BITS, Toxic, WORD_BITS, Word, blank, class_features, key, own_features, pairs, scan};
use crate::text::linear::rows::Row;
use schemas::hash::{FastMap, Rng, seed};
use std::collections::BTreeMap;

/// How to train.
#[derive(Debug, Clone)]
pub struct Plan {
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
    /// Groups of rows whose names begin so, and how many times they count.
    pub emphasis: &'static [(&'static str, f32)],
    /// Seed of the order.
    pub seed: u64,
}

/// English sets whose labels ask for insult and hate itself are small beside those of other languages and topics; the made sentences keep the names
/// of groups harmless beside them.
const EMPHASIS: &[(&str, f32)] = &[("davidson", 5.0), ("surge", 5.0), ("made", 2.0)];

impl Default for Plan {
    fn default() -> Self {
        Self {
            weights_max: 600_000,
            rows_min: 2,
            epochs: 8,
            rate: 0.04,
            penalty: 1e-4,
            emphasis: EMPHASIS,
            seed: 1,
        }
    }
}

struct Example {
    words: std::ops::Range<usize>,
    classes: std::ops::Range<usize>,
    label: f32,
    weight: f32,
}

struct Examples {
    buckets: Vec<u32>,
    list: Vec<Example>,
}

/// Learns from the rows that are not held out.
pub fn train(rows: &[Row], mut toxic: Toxic, plan: &Plan) -> Toxic {
    let kept: Vec<&Row> = rows.iter().filter(|r| !r.held_out).collect();
    let benign = kept.iter().filter(|r| !r.label && !r.group.starts_with("made"));
    let lower: Vec<String> = benign.map(|r| r.text.to_lowercase()).collect();
    let met = lower.iter().flat_map(|t| t.split(|c: char| !c.is_alphabetic())).filter(|w| !w.is_empty());
    toxic.exceptions = toxic.lexicon.except(met);
    let examples = examples(&kept, &toxic, plan);
    let mut learner = Learner::new(&examples, plan);
    (0..plan.epochs).for_each(|epoch| learner.pass(&examples, plan, epoch));
    learner.words.cut(plan.weights_max);
    (plan.epochs..plan.epochs + plan.epochs / 3).for_each(|epoch| learner.pass(&examples, plan, epoch));
    learner.finish(toxic)
}

fn examples(rows: &[&Row], toxic: &Toxic, plan: &Plan) -> Examples {
    let mut cells: BTreeMap<(&str, bool), f32> = BTreeMap::new();
    rows.iter().for_each(|r| *cells.entry((&r.group, r.label)).or_default() += 1.0);
    let size = |group: &str, label: bool| cells.get(&(group, label)).copied().unwrap_or_default();
    let emphasis = |group: &str| {
        plan.emphasis.iter().find(|(start, _)| group.starts_with(start)).map_or(1.0, |(_, n)| *n)
    };
    let weight = |r: &Row| {
        let both = size(&r.group, true) + size(&r.group, false);
        emphasis(&r.group) * both.sqrt() / size(&r.group, r.label)
    };
    let mean = rows.iter().map(|r| weight(r)).sum::<f32>() / rows.len().max(1) as f32;
    let mut out = Examples { buckets: Vec::new(), list: Vec::new() };
    let mut reader = Reader::default();
    for row in rows {
        let start = out.buckets.len();
        let (words, classes) = reader.read(&row.text, toxic);
        out.buckets.extend(words);
        let middle = out.buckets.len();
        out.buckets.extend(classes);
        out.list.push(Example {
            words: start..middle,
            classes: middle..out.buckets.len(),
            label: if row.label { 1.0 } else { 0.0 },
            weight: weight(row) / mean,
        });
    }
    out
}

/// Finds the features of rows.
#[derive(Default)]
struct Reader {
    words: Vec<Word>,
    known: FastMap<u64, (Word, Vec<u32>)>,
}

impl Reader {
    fn read(&mut self, text: &str, toxic: &Toxic) -> (Vec<u32>, Vec<u32>) {
        let Self { words, known } = self;
        let (mut letters, mut chars) = (String::new(), Vec::new());
        let signs = scan(text, &toxic.lexicon, words, |raw| {
            let key = key(raw);
            let found = known.entry(key).or_insert_with(|| {
                let word = blank(raw, &toxic.lexicon, &mut letters);
                let mut own = Vec::new();
                own_features(&letters, word.token, word.class, &mut chars, |b| own.push(b as u32));
                (word, own)
            });
            // The sums are free in training: they lead back to the list of features.
            Word { own: ((key >> 32) as i32, key as u32), ..found.0 }
        });
        let mut out = Vec::new();
        for word in words.iter() {
            let key = u64::from(word.own.0 as u32) << 32 | u64::from(word.own.1);
            if let Some((_, own)) = known.get(&key) {
                out.extend_from_slice(own);
            }
        }
        pairs(words, |b| out.push(b as u32));
        let mut classes = Vec::new();
        class_features(words, signs, |b| classes.push(b as u32));
        (out, classes)
    }
}

/// One table of weights in training.
struct Part {
    weights: Vec<f32>,
    squares: Vec<f32>,
    counts: Vec<u32>,
    live: Vec<bool>,
}

impl Part {
    fn new<'a>(bits: u32, examples: impl Iterator<Item = &'a [u32]>, rows_min: u32) -> Self {
        let mut counts = vec![0_u32; 1 << bits];
        for buckets in examples {
            let mut met = buckets.to_vec();
            met.sort_unstable();
            met.dedup();
            met.iter().for_each(|b| counts[*b as usize] += 1);
        }
        Self {
            weights: vec![0.0; 1 << bits],
            squares: vec![1e-4; 1 << bits],
            live: counts.iter().map(|n| *n >= rows_min).collect(),
            counts,
        }
    }

    fn sum(&self, buckets: &[u32]) -> f32 {
        buckets.iter().map(|b| self.weights[*b as usize]).sum::<f32>() / root(buckets)
    }

    fn step(&mut self, buckets: &[u32], error: f32, plan: &Plan) {
        let error = error / root(buckets);
        for bucket in buckets.iter().map(|b| *b as usize).filter(|b| self.live[*b]) {
            let gradient = error + plan.penalty * self.weights[bucket];
            self.squares[bucket] += gradient * gradient;
            self.weights[bucket] -= plan.rate * gradient / self.squares[bucket].sqrt();
        }
    }

    /// Keeps the weights that move scores most: size times the root of the rows that have it.
    fn cut(&mut self, weights_max: usize) {
        let force = |at: usize| self.weights[at].abs() * (self.counts[at] as f32).sqrt();
        let mut order: Vec<usize> = (0..self.counts.len()).filter(|at| self.weights[*at] != 0.0).collect();
        order.sort_by(|a, b| force(*b).total_cmp(&force(*a)).then(a.cmp(b)));
        for at in order.split_off(weights_max.min(order.len())) {
            self.weights[at] = 0.0;
            self.live[at] = false;
        }
    }

    /// One byte a weight; the few largest are cut, so that the many small ones keep their differences.
    fn round(&self) -> (f32, Vec<i8>) {
        let mut sizes: Vec<f32> = self.weights.iter().filter(|w| **w != 0.0).map(|w| w.abs()).collect();
        sizes.sort_by(f32::total_cmp);
        let scale = sizes.get(sizes.len() * 998 / 1000).copied().unwrap_or(1.0) / 127.0;
        let byte = |w: &f32| (w / scale).round().clamp(-127.0, 127.0) as i8;
        (scale, self.weights.iter().map(byte).collect())
    }
}

fn root(buckets: &[u32]) -> f32 {
    (buckets.len().max(1) as f32).sqrt()
}

struct Learner {
    words: Part,
    classes: Part,
    bias: f32,
    bias_squares: f32,
}

impl Learner {
    fn new(examples: &Examples, plan: &Plan) -> Self {
        let of = |range: &std::ops::Range<usize>| &examples.buckets[range.clone()];
        Self {
            words: Part::new(WORD_BITS, examples.list.iter().map(|e| of(&e.words)), plan.rows_min),
            classes: Part::new(CLASS_BITS, examples.list.iter().map(|e| of(&e.classes)), plan.rows_min),
            bias: 0.0,
            bias_squares: 1e-4,
        }
    }

    fn pass(&mut self, examples: &Examples, plan: &Plan, epoch: u64) {
        let mut order: Vec<usize> = (0..examples.list.len()).collect();
        let mut rng = Rng::new(seed(plan.seed, "classifier", epoch));
        for at in (1..order.len()).rev() {
            order.swap(at, rng.below(at as u64 + 1) as usize);
        }
        order.iter().for_each(|at| self.step(examples, &examples.list[*at], plan));
    }

    fn step(&mut self, examples: &Examples, example: &Example, plan: &Plan) {
        let words = &examples.buckets[example.words.clone()];
        let classes = &examples.buckets[example.classes.clone()];
        let z = self.bias + self.words.sum(words) + self.classes.sum(classes);
        let error = (1.0 / (1.0 + (-z).exp()) - example.label) * example.weight;
        self.words.step(words, error, plan);
        self.classes.step(classes, error, plan);
        self.bias_squares += error * error;
        self.bias -= plan.rate * error / self.bias_squares.sqrt();
    }

    fn finish(self, mut toxic: Toxic) -> Toxic {
        (toxic.scale, toxic.weights) = self.words.round();
        (toxic.class_scale, toxic.class_weights) = self.classes.round();
        toxic.bias = self.bias;
        toxic
    }
}
