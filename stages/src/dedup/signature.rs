//! MinHash signatures: 128 words of 32 bits, each the smallest value of one hash function over the shingles of a document.
//!
//! Two documents of similarity J have equal words with probability J, and share a band of r words with probability J^r
//! (Broder 1997; Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, 3.4).
//!
//! ```text
//! mul32        word k = min over shingles s of (s xor a_k) · b_k mod 2^32, b_k odd
//! minhash-rs   word k = min over shingles s of xorshift^(k+1)(mix(mix(s))), the bits of the crate minhash-rs
//! ```
//!
//! `mul32` takes a third of the time: its functions need one another's values for nothing, so that all words of a signature are
//! in registers while the shingles pass by once. `s` is the upper half of a shingle's hash. In the second family the crate owns the type, and
//! tells in a test what the loop below has to give.

use minhash_rs::prelude::{Hasher, MinHash};
use schemas::choice;
use schemas::hash::Rng;
use std::hash::Hasher as StdHasher;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Words of a signature.
pub(super) const WORDS: usize = 128;
/// Seed of the functions of `mul32`.
const SEED: u64 = 1;
/// Words that one pass over the shingles works on: what AVX-512 has registers for.
const PASS: usize = 128;
/// Shingles that `minhash-rs` works on at once.
const CHUNK: usize = 64;
/// Words of a vector.
const LANES: usize = 16;

choice! {
    /// A family of hash functions.
    pub enum Family {
        /// One exclusive or and one multiplication of 32 bits.
        Mul32 = "mul32",
        /// The functions of the crate minhash-rs with words and stream of 32 bits.
        MinhashRs = "minhash-rs",
    }
}

/// Shingles are hashed already, so their bits pass through.
pub(super) struct Hashed;

impl Hasher for Hashed {
    type Concrete = Identity;

    fn build() -> Identity {
        Identity(0)
    }
}

/// The hasher that returns the one number that it is given.
#[derive(Default)]
pub(super) struct Identity(u64);

impl StdHasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u32(&mut self, digest: u32) {
        self.0 = u64::from(digest);
    }

    fn write_u64(&mut self, digest: u64) {
        self.0 = digest;
    }
}

/// The signature of a document.
pub(super) type Signature = MinHash<u32, WORDS, Hashed, u32, u32>;

/// The signature of shingles; their order and repeats do not matter.
pub(super) fn signature(family: Family, shingles: &[u32]) -> Signature {
    let mut words = [u32::MAX; WORDS];
    match family {
        Family::Mul32 => pulp::Arch::new().dispatch(|| mul32(shingles, &mut words)),
        Family::MinhashRs => pulp::Arch::new().dispatch(|| xorshift(shingles, &mut words)),
    }
    Signature::from_words(words)
}

/// The functions: what shingles are xored with, and odd factors.
const FUNCTIONS: ([u32; WORDS], [u32; WORDS]) = functions();

const fn functions() -> ([u32; WORDS], [u32; WORDS]) {
    let (mut masks, mut factors) = ([0; WORDS], [0; WORDS]);
    let mut at = 0;
    while at < WORDS {
        let both = Rng::new(SEED).at(at as u64);
        masks[at] = (both >> 32) as u32;
        factors[at] = both as u32 | 1;
        at += 1;
    }
    (masks, factors)
}

#[inline(always)]
fn mul32(shingles: &[u32], words: &mut [u32; WORDS]) {
    for (pass, words) in words.as_chunks_mut::<PASS>().0.iter_mut().enumerate() {
        let masks: &[u32; PASS] = &FUNCTIONS.0.as_chunks().0[pass];
        let factors: &[u32; PASS] = &FUNCTIONS.1.as_chunks().0[pass];
        let mut smallest = *words;
        for shingle in shingles {
            for k in 0..PASS {
                smallest[k] = smallest[k].min((shingle ^ masks[k]).wrapping_mul(factors[k]));
            }
        }
        *words = smallest;
    }
}

#[inline(always)]
fn xorshift(shingles: &[u32], words: &mut [u32; WORDS]) {
    let mut smallest = [[u32::MAX; LANES]; WORDS];
    for chunk in shingles.chunks(CHUNK) {
        // A chunk is filled up with its first shingle, which changes no minimum.
        let mut states = [mixed(chunk[0]); CHUNK];
        states.iter_mut().zip(chunk).for_each(|(state, shingle)| *state = mixed(*shingle));
        for word in &mut smallest {
            for part in states.as_chunks_mut::<LANES>().0 {
                for (state, smallest) in part.iter_mut().zip(word.iter_mut()) {
                    *state ^= *state << 13;
                    *state ^= *state >> 17;
                    *state ^= *state << 5;
                    *smallest = (*smallest).min(*state);
                }
            }
        }
    }
    for (word, lanes) in words.iter_mut().zip(&smallest) {
        *word = lanes.iter().fold(u32::MAX, |all, lane| all.min(*lane));
    }
}

/// Two rounds of lowbias32 (Wellons 2018); zero, which xorshift would not leave, becomes one.
#[inline(always)]
const fn mixed(shingle: u32) -> u32 {
    let mut z = shingle;
    let mut round = 0;
    while round < 2 {
        z = (z ^ (z >> 16)).wrapping_mul(0x7feb_352d);
        z = (z ^ (z >> 15)).wrapping_mul(0x846c_a68b);
        z ^= z >> 16;
        round += 1;
    }
    if z == 0 { 1 } else { z }
}

/// The hash of each band of `rows` words, which tells bands of other places apart.
pub(super) fn bands(signature: &Signature, bands: usize, rows: usize) -> impl Iterator<Item = u64> {
    let mut bytes = [0; 4 * WORDS];
    for (to, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(signature.as_words()) {
        *to = word.to_le_bytes();
    }
    (0..bands).map(move |place| {
        let words = &bytes[4 * rows * place..4 * rows * (place + 1)];
        xxh3_64_with_seed(words, place as u64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use schemas::hash::Rng;

    fn set(key: u64, from: u64, to: u64) -> Vec<u32> {
        (from..to).map(|n| (Rng::new(key).at(n) >> 32) as u32).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn the_crate_gives_the_same_words(length in 0_u64..2000, key in any::<u64>()) {
            let mut shingles = set(key, 0, length);
            shingles.extend([0, 1, u32::MAX].iter().take(key as usize % 4));
            let by_the_crate: Signature = shingles.iter().copied().collect();
            let ours = signature(Family::MinhashRs, &shingles);
            prop_assert_eq!(ours.as_words(), by_the_crate.as_words());
        }

        #[test]
        fn mul32_is_its_formula(length in 0_u64..300, key in any::<u64>()) {
            let shingles = set(key, 0, length);
            let words = signature(Family::Mul32, &shingles);
            for (k, word) in words.as_words().iter().enumerate() {
                let both = Rng::new(SEED).at(k as u64);
                let (a, b) = ((both >> 32) as u32, both as u32 | 1);
                let smallest = shingles.iter().map(|s| (s ^ a).wrapping_mul(b)).min();
                prop_assert_eq!(*word, smallest.unwrap_or(u32::MAX));
            }
        }
    }

    #[test]
    fn words_agree_as_often_as_sets_overlap() {
        for family in [Family::Mul32, Family::MinhashRs] {
            for size in [20, 100, 600, 3000] {
                let (mut squares, mut sum) = (0.0, 0.0);
                const TRIALS: u64 = 200;
                // Not from the seed of the functions, or shingles would be their masks.
                for key in 1000..1000 + TRIALS {
                    // Two sets of 9/10 of the union each share 8/10 of it.
                    let (a, b) = (set(key, 0, size / 10 * 9), set(key, size / 10, size));
                    let (a, b) = (signature(family, &a), signature(family, &b));
                    let equal = a.as_words().iter().zip(b.as_words()).filter(|(a, b)| a == b).count();
                    let error = equal as f64 / WORDS as f64 - 0.8;
                    squares += error * error;
                    sum += error;
                }
                let deviation = (squares / TRIALS as f64).sqrt();
                let expected = (0.8_f64 * 0.2 / WORDS as f64).sqrt();
                assert!((0.8..1.2).contains(&(deviation / expected)), "{family:?}, {size}: {deviation}");
                assert!(
                    (sum / TRIALS as f64).abs() < 0.012,
                    "{family:?}, {size}: bias {}",
                    sum / TRIALS as f64
                );
            }
        }
    }
}
