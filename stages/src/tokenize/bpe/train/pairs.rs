//! A table of pairs of ids: how often each is seen, and the list of its places. Open addressing, a slot a pair.

/// A pair of ids in one number that sorts as the pair does.
#[inline]
pub(super) const fn key(left: u32, right: u32) -> u64 {
    (left as u64) << 32 | right as u64
}

/// The ids of a key.
#[inline]
pub(super) const fn ids(key: u64) -> (u32, u32) {
    ((key >> 32) as u32, key as u32)
}

/// What is known of a pair.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pair {
    /// [`key`]; 0 where the slot is free: the id 0 is that of the special token, which is in no pair.
    pub(super) key: u64,
    /// How often the pair is seen in all words.
    pub(super) count: u64,
    /// Its places: the first in the list of all.
    pub(super) start: u32,
    /// How many places there are.
    pub(super) places: u32,
}

/// The table.
pub(super) struct Pairs {
    slots: Vec<Pair>,
    used: usize,
}

impl Pairs {
    /// A table that holds so many pairs before it grows.
    pub(super) fn with_room(pairs: usize) -> Self {
        Self { slots: vec![Pair::default(); (pairs * 3 / 2).next_power_of_two().max(64)], used: 0 }
    }

    #[inline]
    fn slot(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        // The upper half of a product by an odd constant depends on every bit below.
        let hash = (key ^ (key >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut at = (hash >> 32) as usize & mask;
        while self.slots[at].key != key && self.slots[at].key != 0 {
            at = (at + 1) & mask;
        }
        at
    }

    /// The pair, where it is known.
    #[inline]
    pub(super) fn get_mut(&mut self, key: u64) -> Option<&mut Pair> {
        let at = self.slot(key);
        Some(&mut self.slots[at]).filter(|slot| slot.key != 0)
    }

    /// The pair, made where it is not known.
    #[inline]
    pub(super) fn entry(&mut self, key: u64) -> &mut Pair {
        let mut at = self.slot(key);
        if self.slots[at].key == 0 {
            if (self.used + 1) * 4 > self.slots.len() * 3 {
                self.grow();
                at = self.slot(key);
            }
            self.used += 1;
            self.slots[at].key = key;
        }
        &mut self.slots[at]
    }

    fn grow(&mut self) {
        let larger = vec![Pair::default(); self.slots.len() * 2];
        for pair in std::mem::replace(&mut self.slots, larger) {
            if pair.key != 0 {
                let at = self.slot(pair.key);
                self.slots[at] = pair;
            }
        }
    }

    /// All pairs, in no order that matters.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.slots.iter().filter(|slot| slot.key != 0)
    }
}
