//! From logits to one token.

use super::Sampling;
use crate::kernel::softmax;
use std::cmp::Ordering;

/// Chooses a token by a draw from [0, 1). `logits` are used up; equal ones are taken in the order of their ids.
pub(super) fn choose(logits: &mut [f32], sampling: &Sampling, draw: f64) -> u32 {
    if sampling.temperature == 0.0 {
        return greatest(logits);
    }
    let order = |logits: &[f32], a: u32, b: u32| -> Ordering {
        logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b))
    };
    let vocab = u32::try_from(logits.len()).expect("a vocabulary is counted by u32");
    let mut ids: Vec<u32> = (0..vocab).collect();
    let top_k = usize::try_from(sampling.top_k).unwrap_or(usize::MAX);
    if (1..ids.len()).contains(&top_k) {
        // The few greatest first, so that only they are sorted.
        ids.select_nth_unstable_by(top_k, |&a, &b| order(logits, a, b));
        ids.truncate(top_k);
    }
    ids.sort_unstable_by(|&a, &b| order(logits, a, b));
    logits.iter_mut().for_each(|logit| *logit /= sampling.temperature as f32);
    let mut weights: Vec<f32> = ids.iter().map(|&id| logits[id as usize]).collect();
    softmax(&mut weights);
    let mut sum = 0.0;
    let nucleus = weights.iter().position(|&weight| {
        sum += f64::from(weight);
        sum >= sampling.top_p
    });
    let kept = nucleus.map_or(weights.len(), |at| at + 1);
    let total: f64 = weights[..kept].iter().map(|&weight| f64::from(weight)).sum();
    let mut left = draw * total;
    for (&id, &weight) in ids[..kept].iter().zip(&weights) {
        left -= f64::from(weight);
        if left < 0.0 {
            return id;
        }
    }
    ids[kept - 1]
}

/// The first id of the greatest logit.
fn greatest(logits: &[f32]) -> u32 {
    let best = logits.iter().zip(0..).fold((f32::NEG_INFINITY, None), |(best, id), (&logit, at)| {
        if id.is_none() || logit > best { (logit, Some(at)) } else { (best, id) }
    });
    best.1.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sampling: &Sampling, draw: f64, expected: u32) {
        // Probabilities 0.1, 0.2, 0.4, 0.3.
        let mut logits = [0.1_f32, 0.2, 0.4, 0.3].map(f32::ln);
        assert_eq!(choose(&mut logits, sampling, draw), expected, "{sampling:?} at {draw}");
    }

    #[test]
    fn limits_cut_the_unlikely_tokens() {
        let all = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, ..Sampling::default() };
        check(&all, 0.0, 2);
        check(&all, 0.39, 2);
        check(&all, 0.41, 3);
        check(&all, 0.71, 1);
        check(&all, 0.999, 0);
        check(&Sampling { top_k: 2, ..all.clone() }, 0.999, 3);
        check(&Sampling { top_p: 0.5, ..all.clone() }, 0.999, 3);
        check(&Sampling { top_p: 0.0, ..all.clone() }, 0.999, 2);
        check(&Sampling { temperature: 0.0, ..all.clone() }, 0.999, 2);
        check(&Sampling { temperature: 0.01, ..all.clone() }, 0.99, 2);
        check(&Sampling { temperature: 100.0, ..all.clone() }, 0.99, 0);
        // One candidate, more than there are, a nucleus that one token fills to the last bit, and none that can be filled.
        check(&Sampling { top_k: 1, ..all.clone() }, 0.999, 2);
        check(&Sampling { top_k: 1000, ..all.clone() }, 0.999, 0);
        check(&Sampling { top_p: 0.4, ..all.clone() }, 0.999, 2);
        check(&Sampling { top_p: 1e-300, ..all.clone() }, 0.999, 2);
        check(&Sampling { top_k: 3, top_p: 0.999_999, ..all.clone() }, 0.999, 1);
        check(&all, 1.0 - f64::EPSILON / 2.0, 0);
    }

    #[test]
    fn equal_logits_are_taken_in_the_order_of_their_ids() {
        let greedy = Sampling { temperature: 0.0, ..Sampling::default() };
        let one = Sampling { top_k: 1, ..Sampling::default() };
        for sampling in [greedy, one] {
            assert_eq!(choose(&mut [1.0, 2.0, 2.0, 2.0], &sampling, 0.9), 1);
            assert_eq!(choose(&mut [f32::NEG_INFINITY, f32::NEG_INFINITY, -3e38], &sampling, 0.9), 2);
            assert_eq!(choose(&mut [f32::NEG_INFINITY; 3], &sampling, 0.9), 0);
        }
    }
}
