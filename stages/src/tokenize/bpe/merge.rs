//! Merging: from the symbols of one pre-token to ids, by the rank of pairs.
//!
//! Byte-pair encoding (Sennrich, Haddow and Birch 2016) joins the neighbouring pair of the lowest rank, the leftmost
//! first, until no neighbours are in the table. Short words are searched again for each merge; long ones keep their pairs
//! in a heap, so that a pre-token of megabytes costs n log n.

use super::parts::{Merge, Vocab};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Most symbols of a word that is searched instead of put into a heap.
const SCAN_MAX: usize = 64;
pub(super) const NO_RANK: u32 = u32::MAX;
/// Bits of an id in the table of pairs: two ids and a rank share 64 bits.
const ID_BITS: u32 = 20;
const RANK_BITS: u32 = 64 - 2 * ID_BITS;
/// A pair that no vocabulary has: both ids are the largest, and so is the rank.
const NO_PAIR: u64 = u64::MAX;

/// The symbol that stands for a byte in the JSON of byte-level tokenizers (GPT-2 `encoder.py`, `bytes_to_unicode`):
/// itself where printable, else the next unused code point from 256 on.
pub(super) fn symbols() -> [char; 256] {
    let mut spare = 256;
    std::array::from_fn(|byte| match byte {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => char::from(byte as u8),
        _ => {
            spare += 1;
            char::from_u32(spare - 1).expect("68 code points from 256 on are characters")
        }
    })
}

/// Ranks of pairs, and what they become.
pub(super) struct Pairs {
    /// Left id, right id, rank from the highest bit down, by hash of the pair; a power of two of places.
    table: Box<[u64]>,
    /// One bit by hash of a pair that is there: most pairs are not, and the bits fit a nearer cache than the table.
    sieve: Box<[u64]>,
    merged: Vec<u32>,
}

/// Memory that one word after another uses.
#[derive(Default)]
pub(super) struct Scratch {
    /// Symbols in, ids out.
    pub(super) ids: Vec<u32>,
    next: Vec<u32>,
    previous: Vec<u32>,
    heap: BinaryHeap<Reverse<(u32, u32)>>,
}

impl Pairs {
    /// Makes the table of the merges in their order; `None` where they do not fit it.
    pub(super) fn read(merges: &[Merge], vocab: &Vocab) -> Option<Self> {
        let ids = |&Merge { left, right, merged }: &Merge| {
            (vocab.id_at(left), vocab.id_at(right), vocab.id_at(merged))
        };
        let pairs: Vec<(u32, u32, u32)> = merges.iter().map(ids).collect();
        let fits = |&(left, right, _): &(u32, u32, u32)| left.max(right) >> ID_BITS == 0;
        if pairs.len() >= (1 << RANK_BITS) - 1 || !pairs.iter().all(fits) {
            return None;
        }
        let places = (pairs.len() * 2 + 2).next_power_of_two();
        let bits = (pairs.len() * 8).next_power_of_two().max(64);
        let (table, sieve) = (vec![NO_PAIR; places], vec![0; bits / 64]);
        let merged = pairs.iter().map(|&(_, _, merged)| merged).collect();
        let mut made = Self { table: table.into(), sieve: sieve.into(), merged };
        for (rank, &(left, right, _)) in (0..).zip(&pairs) {
            let pair = pair(left, right);
            let mut at = hash(pair) as usize & (made.table.len() - 1);
            // A pair that stands there twice has the rank of the last.
            while made.table[at] != NO_PAIR && made.table[at] >> RANK_BITS != pair {
                at = (at + 1) & (made.table.len() - 1);
            }
            made.table[at] = pair << RANK_BITS | rank;
            let (word, bit) = made.bit(hash(pair));
            made.sieve[word] |= bit;
        }
        Some(made)
    }

    #[inline]
    fn bit(&self, hash: u64) -> (usize, u64) {
        ((hash >> 38) as usize & (self.sieve.len() - 1), 1 << (hash >> 32 & 63))
    }

    /// The rank of a pair, [`NO_RANK`] where it is none.
    #[inline]
    pub(super) fn rank(&self, left: u32, right: u32) -> u32 {
        let pair = pair(left, right);
        let hash = hash(pair);
        let (word, bit) = self.bit(hash);
        if self.sieve[word] & bit == 0 {
            return NO_RANK;
        }
        let mut at = hash as usize & (self.table.len() - 1);
        loop {
            let found = self.table[at & (self.table.len() - 1)];
            if found >> RANK_BITS == pair {
                return found as u32 & ((1 << RANK_BITS) - 1);
            }
            if found == NO_PAIR {
                return NO_RANK;
            }
            at += 1;
        }
    }

    /// Merges the symbols of `scratch` to ids.
    pub(super) fn merge(&self, scratch: &mut Scratch) {
        if scratch.ids.len() <= SCAN_MAX {
            self.scan(&mut scratch.ids, |at, ids| self.rank(ids[at], ids[at + 1]));
        } else {
            self.heap(scratch);
        }
    }

    /// Merges at most [`SCAN_MAX`] symbols. `first` is the rank of the pair at a place before any merge.
    #[inline]
    pub(super) fn scan(&self, ids: &mut Vec<u32>, first: impl Fn(usize, &[u32]) -> u32) {
        // The rank above the place, so that the least is the next pair, the leftmost of equals. Places stay where they are.
        let mut keys = [NO_RANK; SCAN_MAX];
        let (mut next, mut previous) = ([0_u8; SCAN_MAX], [0_u8; SCAN_MAX]);
        let key = |rank: u32, at: usize| if rank == NO_RANK { NO_RANK } else { rank << 8 | at as u32 };
        let end = ids.len();
        for at in 0..end {
            next[at] = at as u8 + 1;
            previous[at] = (at as u8).wrapping_sub(1);
            if at + 1 < end {
                keys[at] = key(first(at, ids), at);
            }
        }
        let searched = end.next_multiple_of(8);
        loop {
            let least = keys[..searched].iter().copied().min().unwrap_or(NO_RANK);
            if least == NO_RANK {
                break;
            }
            let at = (least & 0xff) as usize;
            let right = next[at] as usize;
            let after = next[right] as usize;
            let merged = self.merged[(least >> 8) as usize];
            ids[at] = merged;
            ids[right] = NO_RANK;
            keys[right] = NO_RANK;
            next[at] = after as u8;
            keys[at] = NO_RANK;
            if after < end {
                previous[after] = at as u8;
                keys[at] = key(self.rank(merged, ids[after]), at);
            }
            if at > 0 {
                let before = previous[at] as usize;
                keys[before] = key(self.rank(ids[before], merged), before);
            }
        }
        ids.retain(|&id| id != NO_RANK);
    }

    fn heap(&self, Scratch { ids, next, previous, heap }: &mut Scratch) {
        const GONE: u32 = u32::MAX;
        let end = ids.len() as u32;
        next.clear();
        next.extend(1..=end);
        previous.clear();
        previous.extend((0..end).map(|at| at.wrapping_sub(1)));
        heap.clear();
        heap.extend(ids.windows(2).zip(0..).filter_map(|(pair, at)| {
            let rank = self.rank(pair[0], pair[1]);
            (rank != NO_RANK).then_some(Reverse((rank, at)))
        }));
        while let Some(Reverse((rank, at))) = heap.pop() {
            let right = next[at as usize];
            if ids[at as usize] == GONE || right == end {
                continue;
            }
            // An entry is stale when one of its two symbols has been merged since.
            if self.rank(ids[at as usize], ids[right as usize]) != rank {
                continue;
            }
            let merged = self.merged[rank as usize];
            ids[at as usize] = merged;
            ids[right as usize] = GONE;
            let after = next[right as usize];
            next[at as usize] = after;
            if after != end {
                previous[after as usize] = at;
                let rank = self.rank(merged, ids[after as usize]);
                heap.extend((rank != NO_RANK).then_some(Reverse((rank, at))));
            }
            let before = previous[at as usize];
            if before != u32::MAX {
                let rank = self.rank(ids[before as usize], merged);
                heap.extend((rank != NO_RANK).then_some(Reverse((rank, before))));
            }
        }
        ids.retain(|&id| id != GONE);
    }
}

#[inline]
const fn pair(left: u32, right: u32) -> u64 {
    (left as u64) << ID_BITS | right as u64
}

#[inline]
const fn hash(pair: u64) -> u64 {
    let product = pair.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ product >> 32
}
