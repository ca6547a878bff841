//! Tables whose keys are numbers that a hash has already made.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A hasher that only spreads the bits of its number: the table looks at the lowest and the highest.
#[derive(Debug, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = (key ^ (key >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}

/// A map by such numbers.
pub(crate) type KeyMap<V> = HashMap<u64, V, BuildHasherDefault<Spread>>;
/// A set of such numbers.
pub(crate) type KeySet = HashSet<u64, BuildHasherDefault<Spread>>;
