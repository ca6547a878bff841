//! The exact Jaccard index of one set with many, one after the other.

/// Hashes that are looked up before it is asked again whether the sets can still be similar.
const STRIDE: usize = 64;
/// Slots for each hash of the set: few collisions make branches that are guessed well.
const SLOTS_EACH: usize = 4;

/// One set of hashes, in a table that is filled anew for the next without being cleared.
#[derive(Default)]
pub(in crate::dedup) struct Probe {
    /// Generation and hash; slots of other generations are empty.
    slots: Vec<u64>,
    generation: u32,
    /// The hashes without repeats, in the order in which they came.
    distinct: Vec<u32>,
}

impl Probe {
    /// Takes a set in the place of the one before.
    pub(in crate::dedup) fn fill(&mut self, hashes: impl ExactSizeIterator<Item = u32>) {
        let slots = (SLOTS_EACH * hashes.len().max(1)).next_power_of_two();
        self.generation = self.generation.wrapping_add(1);
        if slots > self.slots.len() || self.generation == 0 {
            self.slots = vec![0; slots.max(self.slots.len())];
            self.generation = 1;
        }
        self.distinct.clear();
        for hash in hashes {
            let (slot, is_there) = self.find(hash);
            if !is_there {
                self.slots[slot] = self.entry(hash);
                self.distinct.push(hash);
            }
        }
    }

    /// The hashes of the set, each once.
    pub(in crate::dedup) fn distinct(&self) -> &[u32] {
        &self.distinct
    }

    /// The Jaccard index with a set of distinct hashes; `None` when it is below `limit`.
    pub(in crate::dedup) fn jaccard(&self, other: &[u32], limit: f64) -> Option<f64> {
        let (a, b) = (self.distinct.len(), other.len());
        let total = (a + b) as f64;
        // i / (a + b - i) >= limit needs i >= limit (a + b) / (1 + limit); one less, for rounding.
        let needed = (limit * total / (1.0 + limit)) as usize;
        let needed = needed.saturating_sub(1);
        if a.min(b) < needed {
            return None;
        }
        let (mut shared, mut left) = (0, b);
        for part in other.chunks(STRIDE) {
            shared += part.iter().map(|hash| usize::from(self.find(*hash).1)).sum::<usize>();
            left -= part.len();
            if shared + left < needed {
                return None;
            }
        }
        let jaccard = match a + b - shared {
            0 => return None,
            union => shared as f64 / union as f64,
        };
        (jaccard >= limit).then_some(jaccard)
    }

    #[inline(always)]
    fn entry(&self, hash: u32) -> u64 {
        u64::from(self.generation) << 32 | u64::from(hash)
    }

    /// The slot of a hash, or the empty one that it would take.
    #[inline(always)]
    fn find(&self, hash: u32) -> (usize, bool) {
        let mask = self.slots.len() - 1;
        let entry = self.entry(hash);
        let mut slot = hash as usize & mask;
        loop {
            let found = self.slots[slot];
            if found == entry {
                return (slot, true);
            }
            if found >> 32 != u64::from(self.generation) {
                return (slot, false);
            }
            slot = (slot + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn it_is_the_jaccard_index(
            sets in prop::collection::vec(prop::collection::vec(0_u32..300, 0..400), 2..6),
            spread in 1_u32..20_000_000,
            limit in 0.0_f64..1.0,
        ) {
            let mut probe = Probe::default();
            let sets: Vec<Vec<u32>> =
                sets.into_iter().map(|set| set.into_iter().map(|n| n.wrapping_mul(spread)).collect()).collect();
            for a in &sets {
                probe.fill(a.iter().copied());
                let a: BTreeSet<u32> = a.iter().copied().collect();
                prop_assert_eq!(&probe.distinct().iter().copied().collect::<BTreeSet<_>>(), &a);
                for b in &sets {
                    let b: BTreeSet<u32> = b.iter().copied().collect();
                    let (shared, union) = (a.intersection(&b).count(), a.union(&b).count());
                    let expected = shared as f64 / union as f64;
                    let b: Vec<u32> = b.into_iter().collect();
                    prop_assert_eq!(probe.jaccard(&b, limit), Some(expected).filter(|j| *j >= limit));
                }
            }
        }
    }
}
