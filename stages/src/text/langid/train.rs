//! Trains the tables of a [`Model`]: multinomial logistic regression by AdaGrad (Duchi, Hazan, Singer 2011), one step a
//! text, in an order that is a function of the seed. The same rows give the same bytes.
//!
//! The runs of a script's texts are counted, language by language as shares, and those that tell most are candidates (the
//! Kullback-Leibler part of each in the mutual information of run and language). After the first passes over three
//! times as many as fit, those that move the sums most are kept and trained on; then they are rounded to a byte, and the
//! sharpening is fitted on texts that are held out.

use super::codes::{GROUPS, UND};
use super::script::Script;
use super::{Group, Model, ROW_BITS, Scratch, lanes, main_script, runs, tag};
use schemas::hash::{FastMap, Rng, seed};
use xxhash_rust::xxh3::xxh3_64;

/// A text with its language.
#[derive(Debug, Clone)]
pub struct Row {
    /// The text.
    pub text: String,
    /// ISO 639-3 code, or `und`.
    pub label: &'static str,
    /// How often a pass shows it.
    pub repeats: u32,
    /// Whether it is kept out of training.
    pub held_out: bool,
}

/// How to train.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Runs kept for Latin; the other scripts have a quarter.
    pub rows_max: usize,
    /// Passes before the cut and after it.
    pub epochs: [u64; 2],
    /// Step of AdaGrad.
    pub rate: f32,
    /// Share of a weight that a step on it takes away.
    pub decay: f32,
    /// Fewest texts that a run must be met in.
    pub met_min: u16,
    /// Seed of the order.
    pub seed: u64,
    /// Sharpening of each group; empty to fit it on the texts that are held out.
    pub sharpen: Vec<[f32; 2]>,
    /// What the file tells of how it was made.
    pub note: String,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rows_max: 100_000,
            epochs: [2, 3],
            rate: 0.5,
            decay: 1e-6,
            met_min: 4,
            seed: 1,
            sharpen: Vec::new(),
            note: "gristmill fit filter.language".into(),
        }
    }
}

/// Whether a text is kept out of training: one in five, by a hash of its letters.
pub fn is_held_out(text: &str) -> bool {
    let letters: String = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect();
    xxh3_64(letters.as_bytes()).is_multiple_of(5)
}

/// Trains the tables of all scripts on the rows that are not held out.
pub fn train(rows: &[Row], plan: &Plan) -> Model {
    let empty = Model::new(plan.note.clone(), Vec::new());
    let mut texts: Vec<Vec<Text>> = GROUPS.iter().map(|_| Vec::new()).collect();
    let mut scratch = Scratch::default();
    for row in rows {
        let counts = empty.read_letters(&row.text, &mut scratch);
        let Some((script, _)) = main_script(&counts) else { continue };
        let Some(group) = GROUPS.iter().position(|(s, _)| *s == script) else { continue };
        let Some(label) = GROUPS[group].1.iter().position(|l| *l == row.label) else { continue };
        let mut hashes = Vec::new();
        runs(&scratch.letters, script, |hash| hashes.push(hash));
        texts[group].push(Text { hashes, label, repeats: row.repeats, held_out: row.held_out });
    }
    let tables = GROUPS.iter().zip(&texts).filter(|(_, texts)| !texts.is_empty());
    let groups =
        tables.map(|((script, labels), texts)| Learner::new(*script, labels, texts, plan).learn(texts));
    Model::new(plan.note.clone(), groups.collect())
}

/// The sharpening of every script of [`GROUPS`], for [`Plan::sharpen`].
pub fn sharpening(model: &Model) -> Vec<[f32; 2]> {
    let of = |script| model.groups.iter().find(|g| g.script == script).map_or([1.0, 0.0], |g| g.sharpen);
    GROUPS.iter().map(|(script, _)| of(*script)).collect()
}

/// A text as the learner sees it.
struct Text {
    hashes: Vec<u32>,
    label: usize,
    repeats: u32,
    held_out: bool,
}

/// Runs with weights.
struct Learner<'a> {
    plan: &'a Plan,
    script: Script,
    labels: &'a [&'static str],
    bits: u32,
    rows_max: usize,
    /// Runs by hash.
    rows: FastMap<u32, u32>,
    hashes: Vec<u32>,
    /// How many texts have the run.
    met: Vec<u32>,
    /// Row after row, a weight for each lane.
    weights: Vec<f32>,
    squares: Vec<f32>,
}

impl<'a> Learner<'a> {
    fn new(script: Script, labels: &'a [&'static str], texts: &[Text], plan: &'a Plan) -> Self {
        let rows_max = if script == Script::Latin { plan.rows_max } else { plan.rows_max / 4 };
        let bits = (rows_max * 5 / 2).next_power_of_two().trailing_zeros().min(ROW_BITS);
        let chosen = candidates(texts, labels.len(), plan.met_min, rows_max * 3);
        let rows = chosen.iter().zip(0..).map(|((hash, _), row)| (*hash, row)).collect();
        let (hashes, met): (Vec<u32>, Vec<u32>) = chosen.into_iter().unzip();
        let count = hashes.len();
        let weights = vec![0.0; count * lanes(script)];
        Self { plan, script, labels, bits, rows_max, rows, hashes, met, weights, squares: vec![1e-3; count] }
    }

    fn learn(mut self, texts: &[Text]) -> Group {
        let [before, after] = self.plan.epochs;
        self.passes(texts, 0..before);
        self.cut();
        self.passes(texts, before..before + after);
        let mut group = self.round();
        let at = GROUPS.iter().position(|(script, _)| *script == self.script).unwrap_or_default();
        group.sharpen = self.plan.sharpen.get(at).copied().unwrap_or_else(|| sharpen(&group, texts));
        group
    }

    fn passes(&mut self, texts: &[Text], epochs: std::ops::Range<u64>) {
        if lanes(self.script) == super::LANES[0] {
            self.passes_of::<{ super::LANES[0] }>(texts, epochs);
        } else {
            self.passes_of::<{ super::LANES[1] }>(texts, epochs);
        }
    }

    fn passes_of<const W: usize>(&mut self, texts: &[Text], epochs: std::ops::Range<u64>) {
        let known: Vec<Vec<u32>> = texts
            .iter()
            .map(|text| text.hashes.iter().filter_map(|hash| self.rows.get(hash).copied()).collect())
            .collect();
        let shown = texts.iter().enumerate().filter(|(_, text)| !text.held_out);
        let mut order: Vec<usize> =
            shown.flat_map(|(at, text)| std::iter::repeat_n(at, text.repeats as usize)).collect();
        let last = self.plan.epochs.iter().sum::<u64>() as f32;
        for epoch in epochs {
            let mut rng = Rng::new(seed(self.plan.seed, "language", epoch));
            for at in (1..order.len()).rev() {
                order.swap(at, rng.below(at as u64 + 1) as usize);
            }
            let rate = self.plan.rate * (1.0 - 0.8 * epoch as f32 / last);
            order.iter().for_each(|at| self.step::<W>(&known[*at], texts[*at].label, rate));
        }
    }

    fn step<const W: usize>(&mut self, rows: &[u32], label: usize, rate: f32) {
        let (table, _) = self.weights.as_chunks_mut::<W>();
        let mut logits = [0.0_f32; W];
        for row in rows {
            let row = &table[*row as usize];
            logits.iter_mut().zip(row).for_each(|(sum, weight)| *sum += weight);
        }
        let length = (rows.len().max(1) as f32).sqrt();
        let count = self.labels.len();
        logits.iter_mut().for_each(|logit| *logit /= length);
        logits[count..].fill(f32::NEG_INFINITY);
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut errors = logits.map(|logit| (logit - most).exp());
        let all: f32 = errors.iter().sum();
        errors.iter_mut().for_each(|error| *error /= all);
        errors[label] -= 1.0;
        errors.iter_mut().for_each(|error| *error /= length);
        let square: f32 = errors.iter().map(|e| e * e).sum();
        let keep = 1.0 - self.plan.decay;
        for row in rows.iter().map(|row| *row as usize) {
            self.squares[row] += square;
            let step = rate / self.squares[row].sqrt();
            for (weight, error) in table[row].iter_mut().zip(errors) {
                *weight = *weight * keep - step * error;
            }
        }
    }

    /// Keeps the runs that move the sums most, each the first of its slot.
    fn cut(&mut self) {
        let lanes = lanes(self.script);
        let force = |row: usize| {
            let weights = &self.weights[row * lanes..][..self.labels.len()];
            let mean = weights.iter().sum::<f32>() / weights.len() as f32;
            let spread: f32 = weights.iter().map(|w| (w - mean) * (w - mean)).sum();
            spread * self.met[row] as f32
        };
        let forces: Vec<f32> = (0..self.hashes.len()).map(force).collect();
        let mut order: Vec<usize> = (0..self.hashes.len()).collect();
        order.sort_by(|a, b| forces[*b].total_cmp(&forces[*a]).then(a.cmp(b)));
        let mut taken = vec![false; 1 << self.bits];
        order.retain(|at| {
            let slot = (self.hashes[*at] >> (32 - self.bits)) as usize;
            !std::mem::replace(&mut taken[slot], true)
        });
        order.truncate(self.rows_max);
        order.sort_by_key(|at| self.hashes[*at]);
        self.weights = order.iter().flat_map(|at| self.weights[at * lanes..][..lanes].to_vec()).collect();
        self.squares = order.iter().map(|at| self.squares[*at]).collect();
        self.met = order.iter().map(|at| self.met[*at]).collect();
        self.hashes = order.iter().map(|at| self.hashes[*at]).collect();
        self.rows = self.hashes.iter().zip(0..).map(|(hash, row)| (*hash, row)).collect();
    }

    /// One byte a weight; the few largest are cut, so that the many small ones keep their differences.
    fn round(&self) -> Group {
        let mut sizes: Vec<f32> = self.weights.iter().filter(|w| **w != 0.0).map(|w| w.abs()).collect();
        sizes.sort_by(f32::total_cmp);
        let largest = sizes.get(sizes.len() * 9995 / 10_000).copied().unwrap_or(1.0);
        let scale = largest / 127.0;
        let weights = self.weights.iter().map(|w| (w / scale).round().clamp(-127.0, 127.0) as i8).collect();
        let mut slots = vec![0; 1 << self.bits];
        for (hash, row) in self.hashes.iter().zip(0..) {
            slots[(hash >> (32 - self.bits)) as usize] = tag(*hash) << ROW_BITS | row;
        }
        let labels = self.labels.to_vec();
        Group { script: self.script, labels, bits: self.bits, scale, sharpen: [1.0, 0.0], slots, weights }
    }
}

/// The runs that tell most, with the number of times each was met, in the order of their hashes.
fn candidates(texts: &[Text], labels: usize, met_min: u16, count: usize) -> Vec<(u32, u32)> {
    let learned = || texts.iter().filter(|text| !text.held_out);
    let mut sieve = vec![0_u16; 1 << 26];
    for hash in learned().flat_map(|text| &text.hashes) {
        let cell = &mut sieve[(hash >> 6) as usize];
        *cell = cell.saturating_add(1);
    }
    let (mut places, mut hashes): (FastMap<u32, u32>, Vec<u32>) = Default::default();
    let (mut met, mut totals) = (Vec::new(), vec![0.0_f32; labels]);
    for text in learned() {
        totals[text.label] += (text.hashes.len() * text.repeats as usize) as f32;
        for hash in text.hashes.iter().filter(|hash| sieve[(**hash >> 6) as usize] >= met_min) {
            let place = *places.entry(*hash).or_insert_with(|| {
                hashes.push(*hash);
                met.resize(met.len() + labels, 0.0_f32);
                hashes.len() as u32 - 1
            });
            met[place as usize * labels + text.label] += text.repeats as f32;
        }
    }
    let worth = |place: usize| {
        let shares: Vec<f32> = met[place * labels..][..labels]
            .iter()
            .zip(&totals)
            .map(|(n, total)| n / total.max(1.0))
            .collect();
        let mean = shares.iter().sum::<f32>() / labels as f32;
        shares.iter().filter(|s| **s > 0.0).map(|s| s * (s / mean).ln()).sum::<f32>()
    };
    let worths: Vec<f32> = (0..hashes.len()).map(worth).collect();
    let mut order: Vec<usize> = (0..hashes.len()).collect();
    order.sort_by(|a, b| worths[*b].total_cmp(&worths[*a]).then(hashes[*a].cmp(&hashes[*b])));
    order.truncate(count);
    let sum = |place: usize| met[place * labels..][..labels].iter().sum::<f32>() as u32;
    let mut chosen: Vec<(u32, u32)> = order.into_iter().map(|place| (hashes[place], sum(place))).collect();
    chosen.sort_unstable();
    chosen
}

/// The factor and the exponent under which held-out texts are most likely.
fn sharpen(group: &Group, texts: &[Text]) -> [f32; 2] {
    let judged: Vec<(f32, Vec<f32>, usize)> = texts
        .iter()
        .filter(|text| text.held_out && group.labels[text.label] != UND)
        .map(|text| {
            let (sums, met) = group.sums(&text.hashes);
            (met.max(1) as f32, sums, text.label)
        })
        .collect();
    let loss = |[a, b]: [f32; 2]| -> f64 {
        let each = judged.iter().map(|(met, sums, label)| {
            let factor = group.scale * a * met.powf(b - 0.5);
            let most = sums.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let all: f32 = sums.iter().map(|sum| (factor * (sum - most)).exp()).sum();
            f64::from(all.ln() - factor * (sums[*label] - most))
        });
        each.sum()
    };
    let grid = (0..12).flat_map(|a| (0..7).map(move |b| [0.5 * 1.2_f32.powi(a), 0.1 * b as f32 - 0.1]));
    let best = grid.map(|at| (loss(at), at)).min_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|_| !judged.is_empty()).map_or([1.0, 0.0], |(_, at)| at)
}

impl Group {
    /// The sums of a text for each label, and how many of its runs are known.
    fn sums(&self, hashes: &[u32]) -> (Vec<f32>, usize) {
        let (mut sums, mut met) = (vec![0.0; self.labels.len()], 0);
        for hash in hashes {
            let entry = self.slots[(hash >> (32 - self.bits)) as usize];
            if entry >> ROW_BITS != tag(*hash) {
                continue;
            }
            met += 1;
            let row = (entry & ((1 << ROW_BITS) - 1)) as usize * self.lanes();
            sums.iter_mut().zip(&self.weights[row..]).for_each(|(sum, weight)| *sum += f32::from(*weight));
        }
        (sums, met)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learns_what_sets_languages_apart_and_repeats_itself() {
        let rows: Vec<Row> = (0..300)
            .map(|n| {
                let label = ["eng", "fra", "rus", "ukr"][n % 4];
                let words =
                    [["the", "and", "of"], ["les", "et", "une"], ["что", "это", "они"], ["що", "це", "вони"]]
                        [n % 4];
                let text = format!("{} {} {}", words[n % 3], words[n / 3 % 3], words[n / 9 % 3]);
                Row { text, label, repeats: 1, held_out: n % 7 == 0 }
            })
            .collect();
        let plan = Plan { rows_max: 400, ..Plan::default() };
        let model = train(&rows, &plan);
        let mut scratch = Scratch::default();
        let mut told = |text: &str| model.detect([text], &mut scratch).map(|f| f.language);
        assert_eq!(
            [told("the of"), told("une et"), told("они"), told("вони")],
            ["eng", "fra", "rus", "ukr"].map(Some)
        );
        assert_eq!(train(&rows, &plan).write(), model.write());
        let again = Model::read(&model.write()).unwrap();
        assert_eq!(again.groups, model.groups);
    }
}
