//! A table of windows of letters: which targets have such a window, and where.
//!
//! The scan asks once a word. Two bits of one word of a small filter let about one in a hundred windows through that is none; what
//! passes is looked up by its hash. Whoever asks compares the letters themselves.

/// Bits of the filter for each window, at least.
const FILTER_BITS: usize = 12;
/// Fewest words of the filter.
const FILTER_WORDS_MIN: usize = 64;

/// Where a window stands: number of the target and byte in it.
pub(super) type Place = (u32, u32);

/// Windows of `W` bytes: 8 or 16.
#[derive(Debug)]
pub(super) struct Anchors<const W: usize> {
    filter: Vec<u64>,
    shift: u32,
    /// Hash, first place and count of places, by the high bits of the hash; no places is a free slot.
    slots: Vec<(u64, u32, u32)>,
    slot_shift: u32,
    places: Vec<Place>,
}

impl<const W: usize> Anchors<W> {
    /// Makes the table of windows with their places.
    pub(super) fn new(mut windows: Vec<(u64, Place)>) -> Self {
        windows.sort_unstable();
        windows.dedup();
        let words = (windows.len() * FILTER_BITS / 64).next_power_of_two().max(FILTER_WORDS_MIN);
        let shift = 64 - words.trailing_zeros();
        let mut filter = vec![0; words];
        let groups = windows.chunk_by(|a, b| a.0 == b.0);
        let slots = (2 * groups.clone().count()).next_power_of_two().max(2);
        let slot_shift = 64 - slots.trailing_zeros();
        let mut slots = vec![(0, 0, 0); slots];
        let mut first = 0;
        for group in groups {
            let (hash, count) = (group[0].0, group.len() as u32);
            filter[(hash >> shift) as usize] |= bits(hash);
            let mut slot = (hash >> slot_shift) as usize;
            while slots[slot].2 > 0 {
                slot = (slot + 1) % slots.len();
            }
            slots[slot] = (hash, first, count);
            first += count;
        }
        let places = windows.into_iter().map(|(_, place)| place).collect();
        Self { filter, shift, slots, slot_shift, places }
    }

    /// Whether no window is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether a window may be in the table.
    #[inline]
    fn may_hold(&self, hash: u64) -> bool {
        let bits = bits(hash);
        self.filter[(hash >> self.shift) as usize] & bits == bits
    }

    /// The places of windows with this hash.
    pub(super) fn places(&self, hash: u64) -> &[Place] {
        let mut slot = (hash >> self.slot_shift) as usize;
        loop {
            match self.slots[slot] {
                (_, _, 0) => return &[],
                (found, first, count) if found == hash => {
                    return &self.places[first as usize..(first + count) as usize];
                }
                _ => slot = (slot + 1) % self.slots.len(),
            }
        }
    }

    /// The windows at these starts that may be in the table, with their hashes.
    pub(super) fn scan(&self, padded: &[u8], starts: &[u32], out: &mut Vec<(u32, u64)>) {
        out.clear();
        for start in starts {
            let window = padded[*start as usize..].first_chunk().expect("the row is padded");
            let hash = Self::hash(window);
            if self.may_hold(hash) {
                out.push((*start, hash));
            }
        }
    }

    /// Hashes a window.
    #[inline]
    pub(super) fn hash(window: &[u8; W]) -> u64 {
        let mut hash = 0_u64;
        for word in window.as_chunks::<8>().0 {
            hash = (hash.rotate_left(32) ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        // The high bits choose the word of the filter and the low ones its bits: both must depend on every letter.
        (hash ^ (hash >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
    }
}

/// Two bits of a word.
#[inline]
const fn bits(hash: u64) -> u64 {
    1 << (hash >> 20 & 63) | 1 << (hash >> 26 & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_table_is_found_and_little_else_passes() {
        let window = |n: u64| {
            let mut window = *b"abcdefgh........";
            window[8..].copy_from_slice(&n.to_le_bytes());
            Anchors::<16>::hash(&window)
        };
        let table = Anchors::<16>::new((0..5000).map(|n| (window(n / 2), (n as u32, 7))).collect());
        for n in 0..2500 {
            assert!(table.may_hold(window(n)));
            assert_eq!(table.places(window(n)), [(2 * n as u32, 7), (2 * n as u32 + 1, 7)]);
        }
        let passed = (2500..102_500).filter(|n| table.may_hold(window(*n))).count();
        assert!(passed < 4000, "{passed} of 100000 passed");
        assert!((2500..102_500).all(|n| table.places(window(n)).is_empty()));
        assert!(Anchors::<8>::new(Vec::new()).is_empty());
    }
}
