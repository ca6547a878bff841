//! Continues a batch of prompts: rows step together, and a waiting prompt takes the place of a row that has ended.

use super::Sampling;
use super::choose::choose;
use super::decoder::{Decoder, Seen, Work};
use crate::architecture::Transformer;
use crate::error::TrainError;
use rayon::prelude::*;
use schemas::hash::{Rng, seed};

/// Rows that step together at most: their keys and values are what a batch needs memory for.
const ROWS_MAX: usize = 32;

/// What to continue, and how.
pub(crate) struct Request<'a> {
    pub(crate) model: &'a Transformer<f32>,
    /// Ids below this are drawn; no more than the model has.
    pub(crate) vocab: usize,
    pub(crate) prompts: &'a [Vec<u32>],
    pub(crate) sampling: &'a Sampling,
    /// Ids that end a continuation and are no part of it.
    pub(crate) stops: &'a [u32],
}

/// A row under way.
struct Row {
    index: usize,
    /// The prompt, and what followed.
    ids: Vec<u32>,
    /// Tokens of the prompt.
    begun: usize,
    seen: Seen,
    /// Ids that the model has not read.
    pending: Vec<u32>,
    rng: Rng,
}

/// The ids that follow each prompt.
///
/// # Errors
/// Those of [`Sampler::continue_ids`](super::Sampler::continue_ids).
pub(crate) fn continue_rows(request: &Request<'_>) -> Result<Vec<Vec<u32>>, TrainError> {
    continue_each(request, |_, _| true)
}

/// The same; a row also ends when `each`, which is told of every row and id, returns false.
///
/// # Errors
/// Those of [`continue_rows`].
pub(crate) fn continue_each(
    request: &Request<'_>,
    each: impl FnMut(usize, u32) -> bool + Send,
) -> Result<Vec<Vec<u32>>, TrainError> {
    // On a thread of the pool, so that a task that forks does not wait for one.
    rayon::scope(|_| work(request, each))
}

fn work(
    request: &Request<'_>,
    mut each: impl FnMut(usize, u32) -> bool,
) -> Result<Vec<Vec<u32>>, TrainError> {
    let decoder = Decoder::new(request.model)?;
    let mut ended: Vec<Vec<u32>> = vec![Vec::new(); request.prompts.len()];
    let (mut waiting, mut active, mut memory) = (0..request.prompts.len(), Vec::new(), Work::default());
    loop {
        let free = ROWS_MAX - active.len();
        active.extend(waiting.by_ref().take(free).map(|index| Row::begin(request, &decoder, index)));
        if active.is_empty() {
            return Ok(ended);
        }
        let logits = next_logits(request, &decoder, &mut active, &mut memory)?;
        let ids = active.par_iter().zip(logits.par_chunks_mut(request.model.shape.vocab));
        let ids = ids.map(|(row, logits)| row.draw(request, logits)).collect::<Result<Vec<_>, _>>()?;
        let mut ids = ids.into_iter();
        active.retain_mut(|row| {
            let goes_on = ids.next().flatten().is_some_and(|id| row.push((request, &decoder), id, &mut each));
            if !goes_on {
                ended[row.index] = row.ids.split_off(row.begun);
            }
            goes_on
        });
    }
}

/// The logits of every row, in order: rows × vocabulary.
fn next_logits<'a>(
    request: &Request<'_>,
    decoder: &Decoder<'_>,
    active: &mut [Row],
    memory: &'a mut Work,
) -> Result<&'a mut [f32], TrainError> {
    let is_step = |row: &Row| row.pending.len() == 1;
    let vocab = request.model.shape.vocab;
    let whole =
        |row: &mut Row| (!is_step(row)).then(|| decoder.read(&row.pending, &mut row.seen)).transpose();
    let read = active.par_iter_mut().map(whole).collect::<candle_core::Result<Vec<_>>>()?;
    let stepping = active.iter_mut().filter(|row| is_step(row));
    let mut steps: Vec<(&mut Seen, u32)> = stepping.map(|row| (&mut row.seen, row.pending[0])).collect();
    decoder.step(&mut steps, memory)?;
    if read.iter().any(Option::is_some) {
        let mut stepped = std::mem::take(&mut memory.logits).into_iter();
        for row in read {
            match row {
                Some(logits) => memory.logits.extend(logits),
                None => memory.logits.extend(stepped.by_ref().take(vocab)),
            }
        }
    }
    Ok(&mut memory.logits)
}

/// Most tokens of a prompt that are read: one more must fit behind them.
pub(super) fn prompt_max(context: usize) -> usize {
    context.saturating_sub(1).max(1)
}

impl Row {
    fn begin(request: &Request<'_>, decoder: &Decoder<'_>, index: usize) -> Self {
        let mut ids = request.prompts[index].clone();
        if ids.is_empty() {
            ids.push(request.model.shape.eos);
        }
        let pending = last(&ids, prompt_max(request.model.shape.context)).to_vec();
        let rng = Rng::new(seed(request.sampling.seed, "generate", index as u64));
        Self { index, begun: ids.len(), ids, seen: decoder.begin(), pending, rng }
    }

    /// The next id; none where it ends the row.
    fn draw(&self, request: &Request<'_>, logits: &mut [f32]) -> Result<Option<u32>, TrainError> {
        let logits = &mut logits[..request.vocab.clamp(1, request.model.shape.vocab)];
        if logits.iter().any(|logit| logit.is_nan()) {
            return Err(TrainError::NotANumber);
        }
        let at = (self.ids.len() - self.begun) as u64;
        let draw = (self.rng.at(at) >> 11) as f64 / (1_u64 << 53) as f64;
        let id = choose(logits, request.sampling, draw);
        Ok((!request.stops.contains(&id)).then_some(id))
    }

    /// Takes an id; returns whether the row goes on.
    fn push(
        &mut self,
        (request, decoder): (&Request<'_>, &Decoder<'_>),
        id: u32,
        each: &mut impl FnMut(usize, u32) -> bool,
    ) -> bool {
        self.ids.push(id);
        let context = request.model.shape.context;
        self.pending.clear();
        if self.seen.count < context {
            self.pending.push(id);
        } else {
            // A text that outgrows the context goes on from its last half.
            self.seen = decoder.begin();
            self.pending.extend_from_slice(last(&self.ids, (context / 2).max(1)));
        }
        each(self.index, id) && ((self.ids.len() - self.begun) as u64) < request.sampling.tokens_max
    }
}

fn last(ids: &[u32], count: usize) -> &[u32] {
    &ids[ids.len().saturating_sub(count)..]
}
