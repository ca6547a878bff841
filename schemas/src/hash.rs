//! Hashing that is the same in every run: xxh3 for tables and seeds, blake3 for identity.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;

/// The hasher of tables in memory. Not for identity: use blake3 there.
pub type FastHash = BuildHasherDefault<xxhash_rust::xxh3::Xxh3Default>;
/// A hash map with [`FastHash`].
pub type FastMap<K, V> = HashMap<K, V, FastHash>;
/// A hash set with [`FastHash`].
pub type FastSet<K> = HashSet<K, FastHash>;

/// The seed of everything random in (run seed, name, position): xxh3 over the three, length of the name included.
pub fn seed(run: u64, name: &str, position: u64) -> u64 {
    let mut bytes = Vec::with_capacity(24 + name.len());
    bytes.extend_from_slice(&run.to_le_bytes());
    bytes.extend_from_slice(&(name.len() as u64).to_le_bytes());
    bytes.extend_from_slice(name.as_bytes());
    bytes.extend_from_slice(&position.to_le_bytes());
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

/// A counter-based generator: number `n` of stream `key` needs no state, so it does not depend on threads or order.
///
/// SplitMix64 (Steele, Lea and Flood 2014) read as a function of its counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rng {
    key: u64,
    counter: u64,
}

impl Rng {
    /// The stream of a seed, at its start.
    pub const fn new(key: u64) -> Self {
        Self { key, counter: 0 }
    }

    /// Number `n` of the stream.
    pub const fn at(&self, n: u64) -> u64 {
        let mut z = self.key.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number.
    pub const fn next_u64(&mut self) -> u64 {
        self.counter += 1;
        self.at(self.counter - 1)
    }

    /// The next number in [0, 1), 53 bits.
    pub const fn next_f64(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The next number below `end`, without bias that matters (128-bit multiply).
    pub const fn below(&mut self, end: u64) -> u64 {
        ((self.next_u64() as u128 * end as u128) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_a_function_of_seed_and_position() {
        let mut rng = Rng::new(seed(7, "shuffle", 3));
        let first: Vec<u64> = (0..3).map(|_| rng.next_u64()).collect();
        assert_eq!(first, (0..3).map(|n| Rng::new(seed(7, "shuffle", 3)).at(n)).collect::<Vec<_>>());
        assert_ne!(seed(7, "a", 0), seed(7, "a", 1));
        assert!((0..1000).all(|_| rng.below(10) < 10));
    }
}
