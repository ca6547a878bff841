//! Log-probabilities of given continuations: what evaluation, alignment and export ask of a model.
//!
//! ```text
//! score = Σ ln p(continuation[i] | context, continuation[..i])      greedy: each of them is the most likely token
//! ```
//! Requests are scored together: what several of them begin with goes through the model once (`forest`, `tree`), so the choices
//! of a question cost little more than the question. Logits are `f32` as in training; sums are taken in `f64`. The bits of a score depend
//! on the requests that it is scored with and on nothing else.

mod forest;
mod text;
mod tree;
mod write;

pub use text::Scorer;

use crate::architecture::Transformer;
use crate::error::TrainError;
use crate::kernel::{Matrix, MatrixMut, Real, exponentiate, multiply, simd};
use forest::Kept;
use rayon::prelude::*;
use std::collections::BTreeMap;
use tree::Sequence;

/// Outputs of one task of the head, which packs the head anew.
const HEAD_ROWS: usize = 128;

/// A continuation to be scored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Request {
    /// Tokens before it, at least one.
    pub context: Vec<u32>,
    /// Its tokens.
    pub continuation: Vec<u32>,
}

/// What a model thinks of a continuation.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Score {
    /// Sum of the log-probabilities of its tokens, in nats.
    pub sum: f64,
    /// The log-probability of each token.
    pub tokens: Vec<f64>,
    /// Whether every token is the most likely one at its place; the first of equals counts.
    pub greedy: bool,
}

/// Scores requests. Context and continuation longer than `length_max` + 1 tokens together lose tokens on the left: the model reads
/// all but the last one, so `length_max` at most.
///
/// # Errors
/// A context is empty, a continuation is longer than `length_max`, or a token is beyond the vocabulary.
pub(crate) fn score<T: Real>(
    model: &Transformer<T>,
    requests: &[Request],
    length_max: usize,
) -> Result<Vec<Score>, TrainError> {
    let asked: Vec<usize> = (0..requests.len()).filter(|&at| !requests[at].continuation.is_empty()).collect();
    let sequences =
        asked.iter().map(|&at| sequence(&requests[at], length_max)).collect::<Result<Vec<_>, _>>()?;
    let empty = Score { greedy: true, ..Score::default() };
    let mut scores = vec![empty; requests.len()];
    let mut kept = Kept::default();
    // A recurrence reads each sequence from its start.
    let shares = model.mixes_by_attention();
    let plans =
        if shares { tree::plan(&sequences) } else { sequences.iter().enumerate().map(tree::alone).collect() };
    for plan in plans {
        let hidden =
            if shares { plan.pass.hidden(model, &mut kept)? } else { model.hidden(&plan.pass.ids)? };
        // Each output once, with every token that is asked for there.
        let mut wanted: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
        for (sequence, tokens) in &plan.outputs {
            let places = tokens.iter().enumerate().map(|(at, &token)| (token, (asked[*sequence], at)));
            places.for_each(|(token, place)| wanted.entry(token).or_default().push(place));
        }
        let outputs: Vec<(usize, Vec<u32>)> = wanted
            .iter()
            .map(|(&token, places)| {
                (token, places.iter().map(|&(at, n)| requests[at].continuation[n]).collect())
            })
            .collect();
        for (at, _) in &plan.outputs {
            scores[asked[*at]].tokens = vec![0.0; requests[asked[*at]].continuation.len()];
        }
        for (found, places) in head(model, &hidden, &outputs)?.into_iter().zip(wanted.values()) {
            for (&(logarithm, greedy), &(at, n)) in found.iter().zip(places) {
                scores[at].tokens[n] = logarithm;
                scores[at].greedy &= greedy;
            }
        }
    }
    scores.iter_mut().for_each(|score| score.sum = score.tokens.iter().sum());
    if scores.iter().any(|score| score.sum.is_nan()) {
        return Err(TrainError::NotANumber);
    }
    Ok(scores)
}

fn sequence(request: &Request, length_max: usize) -> Result<Sequence, TrainError> {
    let Request { context, continuation } = request;
    let wrong = |message: String| Err(TrainError::Config { message });
    if context.is_empty() {
        return wrong("a continuation is scored behind at least one token".into());
    }
    if continuation.len() > length_max {
        return wrong(format!(
            "a continuation of {} tokens is longer than the model's context of {length_max}",
            continuation.len()
        ));
    }
    let mut ids = [context.as_slice(), continuation].concat();
    ids.drain(..ids.len().saturating_sub(length_max + 1));
    ids.pop();
    Ok(Sequence { wanted: ids.len() - continuation.len(), ids })
}

/// For each asked row of `hidden`, the log-probability of each of its targets and whether it is the most likely token.
fn head<T: Real>(
    model: &Transformer<T>,
    hidden: &[T],
    outputs: &[(usize, Vec<u32>)],
) -> Result<Vec<Vec<(f64, bool)>>, TrainError> {
    let vocab = model.shape.vocab;
    if let Some(id) = outputs.iter().flat_map(|(_, targets)| targets).find(|id| **id as usize >= vocab) {
        let message = format!("token {id} is not below the vocabulary's size {vocab}");
        return Err(TrainError::Config { message });
    }
    let rows: Vec<usize> = outputs.iter().map(|(token, _)| *token).collect();
    logits(model, hidden, &rows, |at, logits| row(logits, &outputs[at].1))
}

/// What `of` makes of the number and the logits of each asked row of `hidden`.
fn logits<T: Real, R: Send>(
    model: &Transformer<T>,
    hidden: &[T],
    rows: &[usize],
    of: impl Fn(usize, &mut [T]) -> R + Sync,
) -> Result<Vec<R>, TrainError> {
    let (width, vocab) = (model.shape.width, model.shape.vocab);
    let bias = model.head_bias.as_ref().map(|bias| bias.read(<[T]>::to_vec)).transpose()?;
    let found = model.head.read(|weight| {
        let weight = Matrix::new(weight, vocab, width, width).transposed();
        let task = |(task, rows): (usize, &[usize])| {
            let x: Vec<T> = rows.iter().flat_map(|row| &hidden[row * width..][..width]).copied().collect();
            let mut logits = vec![T::ZERO; rows.len() * vocab];
            let x = Matrix::new(&x, rows.len(), width, width);
            if let Some(bias) = &bias {
                logits.chunks_mut(vocab).for_each(|row| row.copy_from_slice(bias));
            }
            multiply(
                MatrixMut::new(&mut logits, rows.len(), vocab, vocab),
                bias.is_some(),
                x,
                weight,
                T::ONE,
            );
            let each = logits.chunks_mut(vocab).enumerate();
            simd(|| each.map(|(at, logits)| of(task * HEAD_ROWS + at, logits)).collect::<Vec<R>>())
        };
        rows.par_chunks(HEAD_ROWS).enumerate().map(task).collect::<Vec<_>>()
    })?;
    Ok(found.into_iter().flatten().collect())
}

#[inline(always)]
fn row<T: Real>(logits: &mut [T], targets: &[u32]) -> Vec<(f64, bool)> {
    let wanted: Vec<T> = targets.iter().map(|&id| logits[id as usize]).collect();
    let first = |top: T, logits: &[T]| logits.iter().position(|&logit| logit == top);
    let top = crate::kernel::max(logits);
    let best = first(top, logits);
    let (top, sum) = exponentiate(logits);
    let normaliser = top.to_f64() + sum.to_f64().ln();
    let found = |(&id, logit): (&u32, &T)| (logit.to_f64() - normaliser, best == Some(id as usize));
    targets.iter().zip(&wanted).map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{Batch, NO_TARGET, Row};
    use crate::config::{Architecture, Config};
    use crate::tests::{compositions, model, small};

    const CONTEXT: u64 = 90;

    /// The training pass, token by token.
    fn expected(model: &Transformer<f64>, request: &Request) -> Vec<f64> {
        let Sequence { ids, wanted } = sequence(request, CONTEXT as usize).unwrap();
        let token = |(at, &target): (usize, &u32)| {
            let row = Row {
                ids: ids.clone(),
                piece_lengths: vec![ids.len() as u32],
                begins: vec![true],
                padding: 0,
                mask: vec![],
            };
            let mut batch = Batch::new(&[row], 0);
            batch.ids.copy_from_slice(&ids);
            batch.targets.fill(NO_TARGET);
            batch.targets[wanted + at] = target;
            -model.loss(&batch).unwrap()
        };
        request.continuation.iter().enumerate().map(token).collect()
    }

    fn requests() -> Vec<Request> {
        let mut rng = schemas::hash::Rng::new(3);
        let mut draw = |count: u64| (0..count).map(|_| rng.below(23) as u32).collect::<Vec<_>>();
        let stem = draw(70);
        let mut all = Vec::new();
        for (shared, own) in [(70, 3), (70, 9), (12, 40), (0, 1), (0, 120), (65, 60)] {
            let context = [&stem[..shared], &draw(own)].concat();
            for length in [1, 4, 1, 2, 0, 30] {
                all.push(Request { context: context.clone(), continuation: draw(length) });
            }
        }
        all.push(all[1].clone());
        all
    }

    #[test]
    fn shared_prefixes_give_what_each_request_gives_alone() {
        // Neither the loss of both sides nor that of rows that weigh on each other is one of next tokens.
        for (name, config) in
            compositions().into_iter().filter(|(name, _)| !["bert", "batch norm"].contains(name))
        {
            let model = model::<f64>(&Config { layers: 3, ..config }, CONTEXT);
            let requests = requests();
            for (score, request) in score(&model, &requests, CONTEXT as usize).unwrap().iter().zip(&requests)
            {
                let expected = expected(&model, request);
                assert_eq!(score.tokens.len(), expected.len());
                let near = score.tokens.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9);
                assert!(near, "{name}: {request:?}: {:?}, alone {expected:?}", score.tokens);
                assert!((score.sum - expected.iter().sum::<f64>()).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_continuation_is_greedy_where_generation_would_write_it() {
        let model = model::<f32>(&small(Architecture::Llama), CONTEXT);
        let context: Vec<u32> = vec![3, 1, 4, 1, 5];
        let mut ids = context.clone();
        for _ in 0..4 {
            let logits = model.next_logits(&ids, &mut model.caches(), 0).unwrap();
            let best = (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
            ids.push(u32::try_from(best).unwrap());
        }
        let continuation = ids[5..].to_vec();
        let mut other = continuation.clone();
        other[3] = (other[3] + 1) % 23;
        let ask = |continuation| Request { context: context.clone(), continuation };
        let scores = score(&model, &[ask(continuation), ask(other)], CONTEXT as usize).unwrap();
        assert_eq!(scores.iter().map(|score| score.greedy).collect::<Vec<_>>(), [true, false]);
    }

    #[test]
    fn threads_change_no_bit() {
        let model = model::<f32>(&small(Architecture::Gpt), CONTEXT);
        let of = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| score(&model, &requests(), CONTEXT as usize).unwrap())
        };
        assert_eq!(of(1), of(3));
    }

    #[test]
    fn requests_that_cannot_be_scored_are_told() {
        let model = model::<f32>(&small(Architecture::Gpt), CONTEXT);
        let told = |context: &[u32], continuation: &[u32]| {
            let request = Request { context: context.to_vec(), continuation: continuation.to_vec() };
            score(&model, &[request], 3).unwrap_err().to_string()
        };
        assert!(told(&[], &[1]).contains("behind at least one token"));
        assert!(told(&[1], &[1, 2, 3, 4]).contains("4 tokens is longer than the model's context of 3"));
        assert!(told(&[23], &[1]).contains("token 23 is not below"));
        assert!(told(&[1], &[23]).contains("token 23 is not below"));
    }
}
