//! A micro-batch in the memory of the GPU: one copy of all its lists.

use super::gpu::{Gpu, Memory, TILE};
use crate::architecture::Transformer;
use crate::batch::{Batch, NO_TARGET};
use candle_core::{Result, bail};

/// Most tokens of one row of a table that one block adds up.
pub(super) const PIECE: usize = 64;
/// Most rows of a batch: blocks of a launch in its third direction.
const ROWS_MAX: usize = 65_535;

/// The tokens of each row of a table, to add up what they send back.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scatter {
    /// Tokens, those of one row one after the other.
    pub(super) tokens: u64,
    /// Up to [`PIECE`] of them each: (begin, end, row, slot of the sum or −1).
    pub(super) pieces: (u64, usize),
    /// Rows of more than one piece: (first slot, end, row, 0).
    pub(super) rows: (u64, usize),
    /// Slots.
    pub(super) parts: usize,
}

/// Addresses of the lists of a batch, each with one entry a token where nothing else is said; 0 where there is none.
#[derive(Debug, Default)]
pub(super) struct Upload {
    pub(super) tokens: usize,
    pub(super) length: usize,
    pub(super) ids: u64,
    pub(super) positions: u64,
    pub(super) languages: u64,
    /// The keys of its row that a query sees, but for what an order hides.
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) ranks: u64,
    pub(super) limits: u64,
    /// A range of keys for each tile of queries, and of queries for each tile of keys.
    pub(super) keys: u64,
    pub(super) askers: u64,
    /// Tokens that have a target; empty where all have, in their order.
    pub(super) chosen: u64,
    /// Targets and weights of the chosen ones.
    pub(super) targets: u64,
    pub(super) weights: u64,
    pub(super) target_count: usize,
    /// Of ids, positions, languages and segments.
    pub(super) scatters: [Scatter; 4],
}

/// Lists that become one copy.
#[derive(Default)]
struct Lists(Vec<u32>);

impl Lists {
    /// Puts a list behind the others; where it begins, in words.
    fn put(&mut self, words: impl IntoIterator<Item = u32>) -> usize {
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        let at = self.0.len();
        self.0.extend(words);
        at
    }

    fn put_scatter(&mut self, rows: &[u32]) -> (Scatter, [usize; 3]) {
        let mut tokens: Vec<u32> = (0..).zip(rows).map(|(token, _)| token).collect();
        tokens.sort_by_key(|&token| rows[token as usize]);
        let (mut pieces, mut long, mut begin, mut slots) = (vec![], vec![], 0, 0);
        for run in tokens.chunk_by(|a, b| rows[*a as usize] == rows[*b as usize]) {
            let row = rows[run[0] as usize];
            let count = run.len().div_ceil(PIECE);
            if count > 1 {
                long.push([slots, slots + word(count), row, 0]);
            }
            for piece in run.chunks(PIECE) {
                let slot = if count > 1 { slots } else { u32::MAX };
                pieces.push([begin, begin + word(piece.len()), row, slot]);
                begin += word(piece.len());
                slots += u32::from(count > 1);
            }
        }
        let scatter =
            Scatter { tokens: 0, pieces: (0, pieces.len()), rows: (0, long.len()), parts: slots as usize };
        let at = [self.put(tokens), self.put(pieces.concat()), self.put(long.concat())];
        (scatter, at)
    }
}

/// Memory that a batch is copied to, as large as the largest yet.
#[derive(Debug, Default)]
pub(super) struct Slot(Option<Memory>);

impl Slot {
    /// Copies a batch for a model.
    ///
    /// # Errors
    /// A token is beyond the vocabulary.
    pub(super) fn put(&mut self, gpu: &Gpu, model: &Transformer<f32>, batch: &Batch) -> Result<Upload> {
        let tokens = batch.ids.len();
        if let Some(id) = batch.ids.iter().find(|id| **id as usize >= model.shape.vocab) {
            bail!("token {id} is not below the vocabulary's size {}", model.shape.vocab);
        }
        let beyond = |target: &&u32| **target != NO_TARGET && **target as usize >= model.shape.vocab;
        if let Some(target) = batch.targets.iter().find(beyond) {
            bail!("target {target} is not below the vocabulary's size {}", model.shape.vocab);
        }
        if tokens / batch.length.max(1) > ROWS_MAX {
            bail!("a GPU takes {ROWS_MAX} rows at once; lower `batch_sequences` and raise `accumulate`");
        }
        let mut lists = Lists::default();
        let ids = lists.put(batch.ids.iter().copied());
        let positions = lists.put(batch.positions.iter().copied());
        let languages =
            model.embedding.languages.as_ref().map(|_| lists.put(batch.languages.iter().copied()));
        let seen = Seen::of(batch, model.shape.window);
        let (low, high) = (lists.put(seen.low.iter().copied()), lists.put(seen.high.iter().copied()));
        let order = batch.order.as_ref();
        let ranks = order.map(|order| lists.put(order.ranks.iter().copied()));
        let limits = order.map(|order| lists.put(order.limits.iter().copied()));
        let (keys, askers) = (lists.put(seen.keys()), lists.put(seen.askers()));
        let with_target: Vec<usize> = (0..tokens).filter(|&at| batch.targets[at] != NO_TARGET).collect();
        let chosen = (with_target.len() < tokens).then(|| lists.put(with_target.iter().map(|&at| word(at))));
        let targets = lists.put(with_target.iter().map(|&at| batch.targets[at]));
        let weights = (!batch.weights.is_empty())
            .then(|| lists.put(with_target.iter().map(|&at| batch.weight(at).to_bits())));
        let embedding = &model.embedding;
        let first = vec![0; tokens];
        let tables = [
            Some(&batch.ids),
            embedding.positions.as_ref().map(|_| &batch.positions),
            embedding.languages.as_ref().map(|_| &batch.languages),
            embedding.segments.as_ref().map(|_| &first),
        ];
        let scatters = tables.map(|rows| rows.map(|rows| lists.put_scatter(rows)));
        let bytes = 4 * lists.0.len();
        if self.0.as_ref().is_none_or(|memory| memory.bytes() < bytes) {
            self.0 = None;
            self.0 = Some(gpu.allocate(bytes)?);
        }
        let base = self.0.as_ref().map_or(0, Memory::at);
        gpu.write(base, &lists.0)?;
        let at = |words: usize| base + 4 * words as u64;
        let maybe = |words: Option<usize>| words.map_or(0, at);
        Ok(Upload {
            tokens,
            length: batch.length,
            ids: at(ids),
            positions: at(positions),
            languages: maybe(languages),
            low: at(low),
            high: at(high),
            ranks: maybe(ranks),
            limits: maybe(limits),
            keys: at(keys),
            askers: at(askers),
            chosen: maybe(chosen),
            targets: at(targets),
            weights: maybe(weights),
            target_count: with_target.len(),
            scatters: scatters.map(|scatter| {
                scatter.map_or_else(Scatter::default, |(scatter, [tokens, pieces, rows])| Scatter {
                    tokens: at(tokens),
                    pieces: (at(pieces), scatter.pieces.1),
                    rows: (at(rows), scatter.rows.1),
                    parts: scatter.parts,
                })
            }),
        })
    }
}

/// Who sees whom, without an order.
struct Seen {
    length: usize,
    low: Vec<u32>,
    high: Vec<u32>,
}

impl Seen {
    fn of(batch: &Batch, window: Option<usize>) -> Self {
        let (mut low, mut high) = (batch.starts.clone(), batch.ends.clone());
        if let Some(window) = window {
            for (at, (low, high)) in low.iter_mut().zip(&mut high).enumerate() {
                let query = at % batch.length;
                *low = (*low).max(word((query + 1).saturating_sub(window)));
                *high = (*high).min(word(query + window)).max(*low);
            }
        }
        Self { length: batch.length, low, high }
    }

    fn rows(&self) -> impl Iterator<Item = (&[u32], &[u32])> {
        self.low.chunks(self.length.max(1)).zip(self.high.chunks(self.length.max(1)))
    }

    /// From the first key to the last that a query of each tile sees; (0, 0) where none sees any.
    fn keys(&self) -> Vec<u32> {
        let mut found = vec![];
        for (low, high) in self.rows() {
            for (low, high) in low.chunks(TILE).zip(high.chunks(TILE)) {
                let seeing = || low.iter().zip(high).filter(|(low, high)| low < high);
                found.push(seeing().map(|(low, _)| *low).min().unwrap_or(0));
                found.push(seeing().map(|(_, high)| *high).max().unwrap_or(0));
            }
        }
        found
    }

    /// From the first query to the last that sees a key of each tile; (0, 0) where none does.
    fn askers(&self) -> Vec<u32> {
        let tiles = self.length.div_ceil(TILE);
        let mut found = vec![];
        for (low, high) in self.rows() {
            let mut ranges = vec![[u32::MAX, 0]; tiles];
            for (query, (&low, &high)) in
                low.iter().zip(high).enumerate().filter(|(_, (low, high))| low < high)
            {
                let seen = low as usize / TILE..=(high as usize - 1) / TILE;
                for range in &mut ranges[seen] {
                    *range = [range[0].min(word(query)), range[1].max(word(query + 1))];
                }
            }
            found.extend(
                ranges.into_iter().flat_map(|[first, end]| if end == 0 { [0, 0] } else { [first, end] }),
            );
        }
        found
    }
}

fn word(at: usize) -> u32 {
    u32::try_from(at).expect("a place in a batch")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_span_what_is_seen() {
        let mut batch = Batch { length: 130, ..Batch::default() };
        batch.starts = (0..130).map(|at| if at < 70 { 0 } else { 70 }).collect();
        batch.ends = (0..130).map(|at| if at == 3 { 0 } else { at + 1 }).collect();
        let seen = Seen::of(&batch, None);
        assert_eq!(seen.keys(), [0, 64, 0, 128, 70, 130]);
        assert_eq!(seen.askers(), [0, 70, 64, 130, 128, 130]);
        let near = Seen::of(&batch, Some(2));
        assert_eq!(near.keys(), [0, 64, 63, 128, 127, 130]);
        assert_eq!(near.askers(), [0, 65, 64, 129, 128, 130]);
    }

    #[test]
    fn what_a_row_is_sent_is_added_in_pieces() {
        let rows: Vec<u32> = (0..200).map(|at| if at % 2 == 0 { 7 } else { at % 5 }).collect();
        let mut lists = Lists::default();
        let (scatter, [tokens, pieces, long]) = lists.put_scatter(&rows);
        let pieces: Vec<_> =
            lists.0[pieces..][..4 * scatter.pieces.1].chunks(4).map(<[u32]>::to_vec).collect();
        let mut seen = vec![0; 200];
        for piece in &pieces {
            for &token in &lists.0[tokens..][piece[0] as usize..piece[1] as usize] {
                assert_eq!(rows[token as usize], piece[2]);
                seen[token as usize] += 1;
            }
            assert_eq!(piece[3] == u32::MAX, piece[2] != 7, "{piece:?}");
        }
        assert!(seen.iter().all(|times| *times == 1));
        assert_eq!((scatter.parts, &lists.0[long..][..4]), (2, &[0, 2, 7, 0][..]));
    }
}
