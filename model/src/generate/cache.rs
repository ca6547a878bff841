//! Keys and values of the tokens that one row has seen in one layer, laid out for one query at a time.
//!
//! Keys lie feature by feature and values token by token, so both passes over them run along memory: no sum crosses lanes.

use crate::kernel::{add_scaled, exponentiate, simd};
use crate::layer::attention::Heads;
use std::ops::Range;

/// Fewest tokens that there is room for.
const ROOM_MIN: usize = 64;

/// Keys and values of one layer.
#[derive(Debug, Clone, Default)]
pub(super) struct KeyValues {
    /// key heads × features × room.
    keys: Vec<f32>,
    /// key heads × room × features.
    values: Vec<f32>,
    room: usize,
    seen: usize,
    /// Memory for the scores of one query.
    scores: Vec<f32>,
}

impl KeyValues {
    /// Remembers the keys (turned, where positions are rotary) and values in a row of queries, keys and values.
    pub(super) fn push(&mut self, heads: Heads, qkv: &[f32]) {
        if self.seen == self.room {
            self.grow(heads);
        }
        let (width, room) = (heads.width, self.room);
        for group in 0..heads.keys {
            let (key, value) = (&qkv[heads.key(group)..][..width], &qkv[heads.value(group)..][..width]);
            let column = self.keys[group * width * room + self.seen..].iter_mut().step_by(room);
            column.zip(key).for_each(|(to, &from)| *to = from);
            self.values[(group * room + self.seen) * width..][..width].copy_from_slice(value);
        }
        self.seen += 1;
    }

    fn grow(&mut self, heads: Heads) {
        let (old, room) = (self.room, (2 * self.room).max(ROOM_MIN));
        let size = heads.keys * heads.width * room;
        let mut keys = vec![0.0; size];
        let mut values = vec![0.0; size];
        if old > 0 {
            let rows = keys.chunks_mut(room).zip(self.keys.chunks(old));
            rows.for_each(|(to, from)| to[..old].copy_from_slice(from));
            let rows = values.chunks_mut(room * heads.width).zip(self.values.chunks(old * heads.width));
            rows.for_each(|(to, from)| to[..from.len()].copy_from_slice(from));
        }
        (self.keys, self.values, self.room) = (keys, values, room);
    }

    /// What one query head takes from the tokens `range`; writes features to `out`. Scores fall by `slope` a token of distance.
    pub(super) fn attend(
        &mut self,
        heads: Heads,
        head: usize,
        query: &[f32],
        (range, slope): (Range<usize>, f32),
        out: &mut [f32],
    ) {
        let Self { keys, values, room, scores, .. } = self;
        let (width, room) = (heads.width, *room);
        let group = head * heads.keys / heads.queries;
        let scale: f32 = heads.scale();
        scores.clear();
        scores.resize(range.len(), 0.0);
        simd(|| {
            let keys = keys[group * width * room..].chunks(room);
            keys.zip(query)
                .for_each(|(keys, &query)| add_scaled(scores, &keys[range.clone()], query * scale));
            if slope != 0.0 {
                let distances = (0..scores.len()).rev();
                scores.iter_mut().zip(distances).for_each(|(score, far)| *score -= slope * far as f32);
            }
            let (_, sum) = exponentiate(scores);
            out.fill(0.0);
            let values = values[(group * room + range.start) * width..].chunks(width);
            values.zip(&*scores).for_each(|(value, &weight)| add_scaled(out, value, weight));
            let inverse = 1.0 / sum;
            out.iter_mut().for_each(|out| *out *= inverse);
        });
    }
}
