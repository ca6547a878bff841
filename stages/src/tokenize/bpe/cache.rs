//! The exact cache of pre-tokens: word to ids, so that only words that are new cost a merge.
//!
//! Natural text repeats itself: in English about one pre-token in a hundred is new to a warm cache. Keys of up to 15
//! bytes live inside the table as one 128-bit number (bytes, then length), with up to three ids beside them: a hit is
//! one line of memory. Longer words, and longer lists of ids, are spilled. The cache answers what the merges would, so it
//! can be lost, full or shared without a change in output.

use schemas::hash::FastMap;

/// Longest word kept in the table itself.
const KEY_BYTES_MAX: usize = 15;
/// Longest word kept at all: longer ones are seldom seen twice.
const WORD_BYTES_MAX: usize = 256;
/// Most words of each sort; a full cache takes no more. 32 bytes a slot: 64 MiB at most, and as much for the rest.
const WORDS_MAX: usize = 1 << 20;
const SLOTS_MIN: usize = 1 << 12;
const IDS_INLINE: usize = 3;

#[derive(Clone, Copy, Default)]
struct Slot {
    /// 0 where empty; a word has a length, so its key is never 0.
    key: u128,
    count: u32,
    /// The ids, or where they start in `ids`.
    ids: [i32; IDS_INLINE],
}

/// Words that were seen and their ids.
pub(super) struct Cache {
    slots: Vec<Slot>,
    used: usize,
    ids: Vec<i32>,
    long: FastMap<Box<[u8]>, (u32, u32)>,
}

impl Default for Cache {
    fn default() -> Self {
        Self { slots: vec![Slot::default(); SLOTS_MIN], used: 0, ids: Vec::new(), long: FastMap::default() }
    }
}

impl Cache {
    /// Appends the ids of `bytes[start..end]`, which `encode` makes where the word is new.
    #[inline]
    pub(super) fn encode(
        &mut self,
        bytes: &[u8],
        (start, end): (usize, usize),
        out: &mut Vec<i32>,
        encode: impl FnOnce(&[u8], &mut Vec<i32>),
    ) {
        if end - start > KEY_BYTES_MAX {
            return self.encode_long(&bytes[start..end], out, encode);
        }
        let key = key(bytes, start, end);
        let at = self.find(key);
        let Slot { key: found, count, ids } = self.slots[at];
        if found == 0 {
            let from = out.len();
            encode(&bytes[start..end], out);
            self.insert(at, key, &out[from..]);
        } else if count as usize <= IDS_INLINE {
            out.extend_from_slice(&ids[..count as usize]);
        } else {
            out.extend_from_slice(&self.ids[ids[0] as usize..ids[0] as usize + count as usize]);
        }
    }

    fn encode_long(&mut self, word: &[u8], out: &mut Vec<i32>, encode: impl FnOnce(&[u8], &mut Vec<i32>)) {
        if let Some(&(start, count)) = self.long.get(word) {
            out.extend_from_slice(&self.ids[start as usize..(start + count) as usize]);
            return;
        }
        let from = out.len();
        encode(word, out);
        if word.len() <= WORD_BYTES_MAX && self.long.len() < WORDS_MAX {
            let place = (self.spill(&out[from..]) as u32, (out.len() - from) as u32);
            self.long.insert(word.into(), place);
        }
    }

    /// The slot of the key, or the empty one where it belongs.
    #[inline]
    fn find(&self, key: u128) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = hash(key) as usize & mask;
        while self.slots[at].key != key && self.slots[at].key != 0 {
            at = (at + 1) & mask;
        }
        at
    }

    fn insert(&mut self, at: usize, key: u128, ids: &[i32]) {
        if self.used >= WORDS_MAX {
            return;
        }
        let mut slot = Slot { key, count: ids.len() as u32, ids: [0; IDS_INLINE] };
        if ids.len() <= IDS_INLINE {
            slot.ids[..ids.len()].copy_from_slice(ids);
        } else {
            slot.ids[0] = self.spill(ids);
        }
        self.slots[at] = slot;
        self.used += 1;
        if self.used * 2 > self.slots.len() {
            let grown = vec![Slot::default(); self.slots.len() * 2];
            for slot in std::mem::replace(&mut self.slots, grown) {
                if slot.key != 0 {
                    let at = self.find(slot.key);
                    self.slots[at] = slot;
                }
            }
        }
    }

    /// Keeps ids outside the table. At most 2 Mi words of at most 256 ids each: the place fits an `i32`.
    fn spill(&mut self, ids: &[i32]) -> i32 {
        self.ids.extend_from_slice(ids);
        (self.ids.len() - ids.len()) as i32
    }
}

/// The bytes of the word, the first lowest, and its length in the highest byte.
#[inline]
fn key(bytes: &[u8], start: usize, end: usize) -> u128 {
    let length = end - start;
    let mut window = [0; 16];
    match bytes.get(start..start + 16) {
        // One load of a known size and a mask, not a copy of an unknown size.
        Some(ahead) => window.copy_from_slice(ahead),
        None => window[..length].copy_from_slice(&bytes[start..end]),
    }
    let mask = (1_u128 << (length * 8)) - 1;
    u128::from_le_bytes(window) & mask | (length as u128) << 120
}

#[inline]
fn hash(key: u128) -> u64 {
    let low = (key as u64 ^ 0x9e37_79b9_7f4a_7c15) as u128;
    let high = ((key >> 64) as u64 ^ 0xd1b5_4a32_d192_ed03) as u128;
    let product = low * high;
    product as u64 ^ (product >> 64) as u64
}
