//! The exact cache of pre-tokens: word to ids, so that only words that are new cost a merge.
//!
//! Natural text repeats itself: in English about one pre-token in a hundred is new to a warm cache. One table serves all
//! threads. A word of up to 15 bytes lives in its slot with up to three ids, and a hit reads one line of memory and
//! takes no lock; longer words and lists of ids lie in an arena beside the slots. Slots are written once, under a lock
//! that nobody waits for: who finds it taken leaves the word for the next time. The cache answers what the merges
//! would, so it can be lost, full or late without a change in output.

use super::view::View;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use xxhash_rust::xxh3::xxh3_64;

/// Longest word kept in a slot.
pub(super) const KEY_BYTES_MAX: usize = 15;
/// Longest word kept at all: longer ones are seldom seen twice.
const WORD_BYTES_MAX: usize = 256;
/// Most ids of a word that is kept.
const IDS_MAX: usize = 1024;
pub(super) const IDS_INLINE: usize = 3;
/// Slots of an empty table and of the largest: 32 bytes each, and 8 more in the arena, so 160 MiB at most.
const SLOTS_MIN: usize = 1 << 14;
const SLOTS_MAX: usize = 1 << 22;
/// Words that a full table turned away before it is emptied: the text has become another one.
const REFUSED_MAX: usize = SLOTS_MAX / 4;
/// Marks the key of a word that does not fit a slot.
const LONG: u64 = 0xff << 56;

/// Two words of key, two of ids. The second word of the key is 0 where the slot is empty, and is written last.
#[repr(align(32))]
struct Slot([AtomicU64; 4]);

pub(super) type Key = (u64, u64);

pub(super) struct Table {
    slots: Box<[Slot]>,
    arena: Box<[AtomicU32]>,
}

struct State {
    table: Arc<Table>,
    words: usize,
    arena_used: usize,
    refused: usize,
}

/// Words that were seen and their ids. Shared by threads, each of which reads through a [`View`].
pub(super) struct Cache(Mutex<State>);

/// What a slot holds: the ids, or where they are.
#[derive(Clone, Copy)]
pub(super) enum Found {
    /// Three places and how many of them are ids.
    Inline([i32; IDS_INLINE], usize),
    /// Start in the arena and number of ids.
    Arena(usize, usize),
    /// The empty slot where the word belongs.
    Empty(usize),
}

impl Default for Cache {
    fn default() -> Self {
        let table = Arc::new(Table::new(SLOTS_MIN));
        Self(Mutex::new(State { table, words: 0, arena_used: 0, refused: 0 }))
    }
}

impl Cache {
    /// The key of a word, `short` where it fits a slot; `None` where the word is too long to be kept.
    #[inline]
    pub(super) fn key(word: &[u8], short: impl FnOnce() -> Key) -> Option<Key> {
        if word.len() <= KEY_BYTES_MAX {
            return Some(short());
        }
        (word.len() <= WORD_BYTES_MAX).then(|| (xxh3_64(word), LONG | word.len() as u64))
    }

    /// Keeps a word that was not found through `view`, which is brought up to date.
    pub(super) fn insert(&self, view: &mut View, key: Key, word: &[u8], ids: &[i32]) {
        if ids.len() > IDS_MAX {
            return;
        }
        let Ok(mut state) = self.0.try_lock() else { return };
        let long = if word.len() > KEY_BYTES_MAX { word } else { &[] };
        let inline = long.is_empty() && ids.len() <= IDS_INLINE;
        let spilled = if inline { 0 } else { long.len().div_ceil(4) + ids.len() };
        if !state.make_room(spilled) {
            return;
        }
        view.table = Arc::clone(&state.table);
        if let Found::Empty(at) = state.table.find(key, word) {
            state.table.write(at, key, (state.arena_used, long), ids);
            state.arena_used += spilled;
            state.words += 1;
        }
    }

    /// Brings a view of this cache, or an empty one, up to date.
    pub(super) fn renew(&self, view: &mut View) {
        view.table = Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner).table);
    }
}

impl State {
    /// Makes room for a word and `spilled` places of the arena; whether there is any.
    fn make_room(&mut self, spilled: usize) -> bool {
        let slots = self.table.slots.len();
        if self.words * 2 < slots && self.arena_used + spilled <= self.table.arena.len() {
            return true;
        }
        if slots < SLOTS_MAX {
            self.table = Arc::new(self.table.grown((slots * 4).min(SLOTS_MAX), self.arena_used));
            return true;
        }
        self.refused += 1;
        if self.refused > REFUSED_MAX {
            *self = Self { table: Arc::new(Table::new(SLOTS_MAX)), words: 0, arena_used: 0, refused: 0 };
        }
        self.refused == 0
    }
}

impl Table {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots: (0..slots).map(|_| Slot([const { AtomicU64::new(0) }; 4])).collect(),
            arena: (0..slots * 2).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// A larger table with the same words.
    fn grown(&self, slots: usize, arena_used: usize) -> Self {
        let grown = Self::new(slots);
        for (new, old) in grown.arena.iter().zip(&self.arena[..arena_used]) {
            new.store(old.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        for Slot(old) in &self.slots {
            let [low, high, ids, more] = std::array::from_fn(|n| old[n].load(Ordering::Relaxed));
            if high != 0 {
                let mut at = grown.place(hash((low, high)));
                while grown.slots[at].0[1].load(Ordering::Relaxed) != 0 {
                    at = (at + 1) & (slots - 1);
                }
                for (new, old) in grown.slots[at].0.iter().zip([low, high, ids, more]) {
                    new.store(old, Ordering::Relaxed);
                }
            }
        }
        grown
    }

    /// Reads the line where a key of this hash would be, so that it is near.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u64 {
        self.slots[self.place(hash)].0[1].load(Ordering::Relaxed)
    }

    /// Appends a list of ids of the arena.
    pub(super) fn list(&self, start: usize, count: usize, out: &mut Vec<i32>) {
        out.extend(self.arena[start..start + count].iter().map(|id| id.load(Ordering::Relaxed) as i32));
    }

    /// Where a key of this hash is looked for first.
    #[inline]
    fn place(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    #[inline]
    pub(super) fn find_short(&self, key: Key, hash: u64) -> Found {
        let mut at = self.place(hash);
        loop {
            let Slot(slot) = &self.slots[at & (self.slots.len() - 1)];
            let high = slot[1].load(Ordering::Acquire);
            if high == key.1 && slot[0].load(Ordering::Relaxed) == key.0 {
                return found(slot);
            }
            if high == 0 {
                return Found::Empty(at);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    pub(super) fn find(&self, key: Key, word: &[u8]) -> Found {
        if key.1 < LONG {
            return self.find_short(key, hash(key));
        }
        let mut at = self.place(hash(key));
        loop {
            let Slot(slot) = &self.slots[at];
            let high = slot[1].load(Ordering::Acquire);
            if high == 0 {
                return Found::Empty(at);
            }
            if high == key.1 && slot[0].load(Ordering::Relaxed) == key.0 {
                let ids = slot[2].load(Ordering::Relaxed) as usize;
                let kept = &self.arena[ids - word.len().div_ceil(4)..ids];
                if quads(word).zip(kept).all(|(quad, kept)| kept.load(Ordering::Relaxed) == quad) {
                    return found(slot);
                }
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Fills an empty slot; what does not fit it goes to the arena from `from` on.
    fn write(&self, at: usize, key: Key, (from, long): (usize, &[u8]), ids: &[i32]) {
        let (first, count) = (from + long.len().div_ceil(4), (ids.len() as u64) << 32);
        let ids = ids.iter().map(|&id| id as u32);
        let (low, high) = if long.is_empty() && ids.len() <= IDS_INLINE {
            let mut inline = [0; IDS_INLINE];
            inline.iter_mut().zip(ids).for_each(|(place, id)| *place = u64::from(id));
            (inline[0] | inline[1] << 32, inline[2] | count)
        } else {
            for (place, value) in self.arena[from..].iter().zip(quads(long).chain(ids)) {
                place.store(value, Ordering::Relaxed);
            }
            (first as u64, u64::from(u32::MAX) | count)
        };
        let Slot(slot) = &self.slots[at];
        slot[2].store(low, Ordering::Relaxed);
        slot[3].store(high, Ordering::Relaxed);
        slot[0].store(key.0, Ordering::Relaxed);
        slot[1].store(key.1, Ordering::Release);
    }
}

/// What a full slot holds. `u32::MAX` is no id: it marks a list in the arena.
#[inline]
fn found(slot: &[AtomicU64; 4]) -> Found {
    let (low, high) = (slot[2].load(Ordering::Relaxed), slot[3].load(Ordering::Relaxed));
    let count = (high >> 32) as usize;
    if high as u32 == u32::MAX {
        return Found::Arena(low as usize, count);
    }
    Found::Inline([low as i32, (low >> 32) as i32, high as i32], count)
}

/// Four bytes at a time, the last filled up with zeros.
fn quads(word: &[u8]) -> impl Iterator<Item = u32> {
    word.chunks(4).map(|chunk| {
        let mut quad = [0; 4];
        quad[..chunk.len()].copy_from_slice(chunk);
        u32::from_le_bytes(quad)
    })
}

#[inline]
pub(super) fn hash((low, high): Key) -> u64 {
    let product = u128::from(low ^ 0x9e37_79b9_7f4a_7c15) * u128::from(high ^ 0xd1b5_4a32_d192_ed03);
    product as u64 ^ (product >> 64) as u64
}
