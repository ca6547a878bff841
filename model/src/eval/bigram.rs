//! What two neighbouring tokens tell: the loss that a model of any objective has to beat.
//!
//! A bigram model is counted on the training rows, forwards and backwards, and predicts the same targets as the model from the same batch:
//! from the token before where the target's place sees it, else from the token behind, else from the frequency of tokens. Counts are
//! smoothed by Kneser and Ney's method, interpolated, with one discount from the counts themselves (Chen and Goodman 1999):
//!
//! ```text
//! p(w | h) = (c(h w) − D)⁺ ÷ c(h) + D · N(h ·) ÷ c(h) · N(· w) ÷ N(· ·);   D = n₁ ÷ (n₁ + 2 n₂);   N counts distinct pairs
//! ```
//! Where a hidden token's place holds something other than the mask, it is the token itself as often as not (10 % stay, 10 %
//! are random), and the bigram model knows that too.

use super::perplexity::Evaluation;
use crate::batch::{Batch, NO_TARGET};
use crate::data::{Dataset, Rows};
use crate::error::TrainError;
use crate::objective::Program;
use schemas::hash::FastMap;

/// Training tokens that are counted at most: more change no digit of a table and take memory.
const TOKENS_MAX: u64 = 1 << 26;
/// Sequences of one batch, as many as when a model is measured.
const BATCH: usize = 8;
/// Of hidden tokens that are not replaced by the mask, those that stay.
const STAY: f64 = 0.5;

/// Counts of pairs of neighbours.
#[derive(Debug)]
pub(crate) struct Bigram {
    /// Of the token before and the one behind it.
    forwards: Pairs,
    backwards: Pairs,
    /// Probability of each token alone.
    alone: Vec<f64>,
}

/// Conditional probabilities in one direction.
#[derive(Debug)]
struct Pairs {
    /// Count of (given token, token) as one number.
    counts: FastMap<u64, u32>,
    /// Of each given token: how often it stands there, and with how many others.
    given: Vec<(u64, u64)>,
    discount: f64,
    /// Share of each token among the distinct pairs.
    continuation: Vec<f64>,
}

const fn pair(given: u32, token: u32) -> u64 {
    (given as u64) << 32 | token as u64
}

/// Shares of counts, mixed with an even share by the count of tokens that were seen (Witten and Bell 1991), so that none is 0.
fn shares(counts: &[u64]) -> Vec<f64> {
    let (total, seen) = (counts.iter().sum::<u64>(), counts.iter().filter(|&&count| count > 0).count());
    let whole = (total + seen as u64).max(1) as f64;
    let even = if total == 0 { 1.0 } else { seen as f64 / whole } / counts.len() as f64;
    counts.iter().map(|&count| count as f64 / whole + even).collect()
}

impl Pairs {
    fn new(counts: FastMap<u64, u32>, vocab: usize) -> Self {
        let mut given = vec![(0, 0); vocab];
        let mut continuation = vec![0; vocab];
        let (mut once, mut twice) = (0_u64, 0_u64);
        #[expect(clippy::iter_over_hash_type, reason = "sums of whole numbers do not depend on the order")]
        for (&pair, &count) in &counts {
            let (before, token) = ((pair >> 32) as usize, (pair & u64::from(u32::MAX)) as usize);
            given[before].0 += u64::from(count);
            given[before].1 += 1;
            continuation[token] += 1;
            once += u64::from(count == 1);
            twice += u64::from(count == 2);
        }
        // No pair stands alone in a tiny text: then half a count is taken off.
        let discount = if once == 0 { 0.5 } else { once as f64 / (once + 2 * twice) as f64 };
        Self { counts, given, discount, continuation: shares(&continuation) }
    }

    fn probability(&self, given: u32, token: u32) -> f64 {
        let lower = self.continuation[token as usize];
        let (count, distinct) = self.given[given as usize];
        if count == 0 {
            return lower;
        }
        let seen = self.counts.get(&pair(given, token)).copied().unwrap_or(0);
        let kept = (f64::from(seen) - self.discount).max(0.0);
        (kept + self.discount * distinct as f64 * lower) / count as f64
    }
}

impl Bigram {
    /// Counts the training rows of a dataset, from the first on.
    ///
    /// # Errors
    /// A shard is missing or damaged.
    pub(crate) fn count(dataset: &Dataset) -> Result<Self, TrainError> {
        let tokens = &dataset.tokens;
        let limit = TOKENS_MAX.div_ceil(tokens.sequence_length.max(1));
        let vocab = usize::try_from(tokens.vocab_size)
            .map_err(|error| TrainError::Config { message: error.to_string() })?;
        let (mut forwards, mut backwards): (FastMap<u64, u32>, FastMap<u64, u32>) = Default::default();
        let mut alone = vec![0; vocab];
        for rows in dataset.train.in_order(limit) {
            let batch = Batch::new(&rows?, tokens.eos_id);
            for (&before, &token) in
                batch.ids.iter().zip(&batch.targets).filter(|(_, token)| **token != NO_TARGET)
            {
                alone[token as usize] += 1;
                *forwards.entry(pair(before, token)).or_default() += 1;
                *backwards.entry(pair(token, before)).or_default() += 1;
            }
        }
        let [forwards, backwards] = [forwards, backwards].map(|counts| Pairs::new(counts, vocab));
        Ok(Self { forwards, backwards, alone: shares(&alone) })
    }

    /// The loss of a program's targets in all rows, by these counts.
    ///
    /// # Errors
    /// A shard is missing or damaged.
    pub(crate) fn measure(&self, program: &Program, rows: &Rows) -> Result<Evaluation, TrainError> {
        let mut sums = Evaluation::default();
        for chunk in rows.held_out(u64::MAX) {
            for samples in chunk?.chunks(BATCH) {
                let batch = program.batch(samples);
                for (at, &target) in
                    batch.targets.iter().enumerate().filter(|(_, target)| **target != NO_TARGET)
                {
                    sums.nats -= self.predict(program, &batch, at, target).ln();
                    sums.tokens += 1;
                }
            }
        }
        Ok(sums)
    }

    fn predict(&self, program: &Program, batch: &Batch, at: usize, target: u32) -> f64 {
        if program.is_next_token() {
            return self.forwards.probability(batch.ids[at], target);
        }
        let position = batch.positions[at];
        let before = position.checked_sub(1).and_then(|position| visible(program, batch, at, position));
        let chance = match (before, visible(program, batch, at, position + 1)) {
            (Some(before), _) => self.forwards.probability(before, target),
            (None, Some(behind)) => self.backwards.probability(behind, target),
            (None, None) => self.alone[target as usize],
        };
        if batch.ids[at] == program.mask() {
            return chance;
        }
        STAY * f64::from(u8::from(batch.ids[at] == target)) + (1.0 - STAY) * chance
    }
}

/// The token that stands at a position of the same text and is seen from `at`, where it is none of the hidden ones.
fn visible(program: &Program, batch: &Batch, at: usize, position: u32) -> Option<u32> {
    let row = at / batch.length * batch.length;
    let is_seen = |key: &usize| {
        let limit = batch.order.as_ref().map(|order| (&order.ranks, order.limits[at]));
        batch.positions[*key] == position && limit.is_none_or(|(ranks, limit)| ranks[*key] < limit)
    };
    // A pair has each position twice; of a query token and its content, both lie in one text.
    let language = |key: &usize| batch.languages.is_empty() || batch.languages[*key] == batch.languages[at];
    let keys = batch.seen(at).map(|key| row + key).filter(is_seen).filter(language);
    let nearest = keys.min_by_key(|key| key.abs_diff(at))?;
    let id = batch.ids[nearest];
    (id != program.mask() && (id as u64) < u64::from(program.vocab)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Row;
    use crate::config::Objective;
    use crate::objective::Sample;
    use crate::objective::tests::{program, samples};

    fn counts(pairs: &[(u32, u32, u32)], vocab: usize) -> Pairs {
        Pairs::new(pairs.iter().map(|&(given, token, count)| (pair(given, token), count)).collect(), vocab)
    }

    #[test]
    fn probabilities_sum_to_one() {
        let pairs = counts(&[(0, 1, 5), (0, 2, 1), (1, 2, 2), (2, 2, 1), (3, 0, 9)], 6);
        for given in 0..6 {
            let sum: f64 = (0..6).map(|token| pairs.probability(given, token)).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{given}: {sum}");
        }
        assert!((shares(&[3, 0, 1]).iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(shares(&[0, 0]) == [0.5, 0.5]);
        // n₁ = 2, n₂ = 1: D = 2 ÷ 4. Token 2 stands in 3 of 5 distinct pairs.
        let lower = 3.0 / 8.0 + 3.0 / 8.0 / 6.0;
        let found = pairs.probability(0, 2);
        assert!((found - (0.5 + 0.5 * 2.0 * lower) / 6.0).abs() < 1e-12, "{found}");
    }

    /// What is told of a target comes from where its objective may look.
    #[test]
    fn neighbours_are_those_that_the_target_sees() {
        let row = Row {
            ids: vec![1, 2, 3, 4, 5, 6],
            piece_lengths: vec![3, 3],
            begins: vec![true, true],
            padding: 0,
            mask: vec![],
        };
        let program = program(Objective::Masked);
        let mut batch = Batch::whole([&row]);
        let told = |batch: &Batch, at: usize, position: u32| visible(&program, batch, at, position);
        assert_eq!((told(&batch, 1, 0), told(&batch, 1, 2)), (Some(1), Some(3)));
        // Of another document nothing is told.
        assert_eq!((told(&batch, 2, 3), told(&batch, 3, 0)), (None, Some(4)));
        batch.ids[0] = program.mask();
        assert_eq!(told(&batch, 1, 0), None);
        batch.ends[1] = 2;
        assert_eq!(told(&batch, 1, 2), None);
        // Of a permutation, tokens that come before in its order.
        let program = crate::objective::tests::program(Objective::Permutation);
        let batch = program.batch(&samples(6, 2));
        let order = batch.order.as_ref().unwrap();
        let mut hidden = 0;
        for at in (0..batch.ids.len()).filter(|&at| batch.targets[at] != NO_TARGET) {
            let (row, position) = (at / batch.length * batch.length, batch.positions[at]);
            let behind = row + batch.starts[at] as usize + position as usize + 1;
            let inside = behind < row + batch.ends[at] as usize;
            let seen = inside && order.ranks[behind] < order.limits[at];
            hidden += u32::from(inside && !seen);
            let expected = seen.then(|| batch.ids[behind]);
            assert_eq!(visible(&program, &batch, at, position + 1), expected);
        }
        assert!(hidden > 0);
    }

    #[test]
    fn a_pair_that_always_comes_is_nearly_certain() {
        let pairs = counts(&[(0, 1, 100), (1, 0, 100)], 2);
        let alone = vec![0.5; 2];
        let bigram = Bigram { forwards: pairs, backwards: counts(&[(0, 1, 100), (1, 0, 100)], 2), alone };
        let ids: Vec<u32> = (0..10).map(|at| at % 2).collect();
        let row = Row { ids, piece_lengths: vec![10], begins: vec![true], padding: 0, mask: vec![] };
        let sample = Sample { row, key: 1, languages: vec![] };
        let causal = Program::causal(1, 2);
        let batch = causal.batch(std::slice::from_ref(&sample));
        let loss = |at: usize| -bigram.predict(&causal, &batch, at, batch.targets[at]).ln();
        assert!((0..10).all(|at| loss(at) < 0.01));
    }
}
