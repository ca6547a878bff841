//! What a tape holds: bytes for estimates of memory, activations for those who look at them.

use super::{Activations, Between, Tape};
use crate::layer::feed_forward::bytes_of;

impl<T> Tape<T> {
    /// Bytes held between passes, but for those of the loss.
    pub(crate) fn bytes(&self) -> usize {
        let Between { residual, branch, second, inside, ff } = &self.between;
        let single = [&self.looked_up, &self.embedded, &self.d_hidden];
        let single = single.into_iter().chain([residual, branch, second, inside]).chain(&self.borders);
        single.map(bytes_of).sum::<usize>()
            + self.blocks.iter().map(Activations::bytes).sum::<usize>()
            + self.last.bytes()
            + ff.bytes()
    }

    /// What the last pass left, by part of the model: output of the embedding, of the last attention and block, and what the head is given.
    pub(crate) fn parts(&self) -> Vec<(&'static str, &[T])> {
        let last = self.blocks.last();
        let mixed = last.map(|kept| ("attention", &kept.mixed[..]));
        let residual = last.map(|kept| ("residual", &kept.out[..]));
        let first = std::iter::once(("embedding", &self.embedded[..]));
        first.chain(mixed).chain(residual).chain([("features", &self.last.hidden[..])]).collect()
    }
}

impl<T> Activations<T> {
    /// Bytes of all buffers.
    fn bytes(&self) -> usize {
        let Self { attention_norm, qkv, inside, mixed, middle, ff_norm, ff, out } = self;
        let all = [attention_norm, qkv, inside, mixed, middle, ff_norm, out];
        all.map(bytes_of).iter().sum::<usize>() + ff.bytes()
    }
}
