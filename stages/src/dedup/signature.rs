//! What a document is compared by: a MinHash signature for finding candidates, a sketch for measuring them.
//!
//! The signature is the type of the crate `minhash-rs`, 128 words of 32 bits, cut into bands outside of it: two
//! documents of similarity J share a band of r words with probability J^r (Broder 1997; Leskovec, Rajaraman, Ullman,
//! Mining of Massive Datasets, 3.4).
//!
//! A band travels alone through the sort, so what measures a pair must travel with it and be small. The sketch is a
//! one-permutation hash (Li, Owen, Zhang 2012): shingles fall into 512 bins, each bin remembers the smallest hash, of
//! which four bits are kept (b-bit minwise hashing, Li and König 2010): 256 bytes, with zero for an empty bin. Of the bins
//! that at least one document fills, the share that agrees estimates J, once the one in 15 that agree by chance is taken
//! off. Its error is about sqrt(J(1-J)/512) for long documents, 0.018 at J = 0.8, and less for short ones, whose
//! shingles hardly ever meet in a bin; the four-bit signature of the same size would have half the words of it.

use minhash_rs::prelude::{Hasher, MinHash};
use schemas::hash::Rng;
use std::hash::Hasher as StdHasher;
use xxhash_rust::xxh3::xxh3_64;

/// Words of a signature.
pub(super) const WORDS: usize = 128;
/// Bins of a sketch.
const BINS: usize = 512;
/// Bytes of a sketch: two bins a byte.
pub(super) const SKETCH_BYTES: usize = BINS / 2;
/// Values of a bin that is not empty: 1 to 15.
const VALUES: u64 = 15;

/// Shingles are hashed already, so their 64 bits pass through.
pub(super) struct Hashed;

impl Hasher for Hashed {
    type Concrete = Identity;

    fn build() -> Identity {
        Identity(0)
    }
}

/// The hasher that returns the one number that it is given.
pub(super) struct Identity(u64);

impl StdHasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }
}

/// The signature of a document.
pub(super) type Signature = MinHash<u32, WORDS, Hashed, u32>;

/// The signature of shingles; their order and repeats do not matter.
pub(super) fn signature(shingles: &[u64]) -> Signature {
    shingles.iter().copied().collect()
}

/// The hash of each band of `rows` words.
pub(super) fn bands(signature: &Signature, bands: usize, rows: usize) -> impl Iterator<Item = u64> {
    signature.as_words().chunks_exact(rows).take(bands).map(|words| {
        let mut bytes = [0; 4 * WORDS];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        xxh3_64(&bytes[..4 * words.len()])
    })
}

/// The sketch of shingles; their order and repeats do not matter.
pub(super) fn sketch(shingles: &[u64]) -> [u8; SKETCH_BYTES] {
    let mut smallest = [u64::MAX; BINS];
    for shingle in shingles {
        // Mixed anew, or the sketch would err where the signature does.
        let hash = Rng::new(*shingle).at(0);
        let bin = &mut smallest[(hash >> 55) as usize];
        *bin = (*bin).min(hash << 9 >> 9);
    }
    let value = |bin: u64| if bin == u64::MAX { 0 } else { 1 + (bin & 0xffff_ffff) % VALUES };
    let mut out = [0; SKETCH_BYTES];
    for (byte, pair) in out.iter_mut().zip(smallest.chunks_exact(2)) {
        *byte = (value(pair[0]) | value(pair[1]) << 4) as u8;
    }
    out
}

/// The Jaccard similarity of two documents as their sketches tell it.
pub(super) fn similarity(a: &[u8], b: &[u8]) -> f64 {
    let (mut filled, mut both, mut equal) = (0_u32, 0_u32, 0_u32);
    for (x, y) in a.iter().zip(b) {
        for (x, y) in [(x & 15, y & 15), (x >> 4, y >> 4)] {
            filled += u32::from(x | y != 0);
            both += u32::from(x != 0) & u32::from(y != 0);
            equal += u32::from(x == y) & u32::from(x != 0);
        }
    }
    if filled == 0 {
        return 0.0;
    }
    let by_chance = f64::from(both - equal) / (VALUES - 1) as f64;
    ((f64::from(equal) - by_chance) / f64::from(filled)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minhash_rs::prelude::MinHasher as _;

    fn set(from: u64, to: u64) -> Vec<u64> {
        (from..to).map(|n| Rng::new(42).at(n)).collect()
    }

    #[test]
    fn collecting_equals_inserting() {
        for n in [0, 1, 2, 63, 64, 65, 500] {
            let shingles = set(0, n);
            let mut one_by_one = Signature::new();
            for shingle in &shingles {
                one_by_one.insert(*shingle);
            }
            assert_eq!(signature(&shingles).as_words(), one_by_one.as_words(), "{n}");
        }
    }

    #[test]
    fn similarity_is_near_the_truth() {
        for size in [20, 100, 400, 2_000, 20_000] {
            for percent in [0, 30, 60, 80, 90, 100] {
                // Two sets of `size` that share `common`: J = common / (2 size - common).
                let j = percent as f64 / 100.0;
                let common = (2.0 * size as f64 * j / (1.0 + j)).round() as u64;
                let truth = common as f64 / (2 * size - common) as f64;
                let found =
                    similarity(&sketch(&set(0, size)), &sketch(&set(size - common, 2 * size - common)));
                assert!((found - truth).abs() < 0.075, "{size} shingles: {found} for {truth}");
            }
        }
    }

    #[test]
    fn equal_sets_are_equal_and_empty_ones_are_nothing() {
        let mut shingles = set(0, 300);
        let sorted = sketch(&shingles);
        shingles.reverse();
        shingles.extend(set(0, 9));
        assert_eq!(sketch(&shingles), sorted);
        assert!(similarity(&sorted, &sorted) == 1.0);
        assert!(similarity(&sketch(&[]), &sketch(&[])) == 0.0);
    }
}
