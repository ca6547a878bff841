//! How one thread reads the cache of pre-tokens: a block of words at a time, through a front of its own.
//!
//! The table of all words is larger than the caches of a processor; the words of the moment are few. They are kept in a
//! front that fits a near cache. What the front does not know is read from the table for a whole block before anything
//! waits for an answer: a wait for each word would be most of the time.

use super::cache::{Cache, Found, IDS_INLINE, KEY_BYTES_MAX, Key, Table, hash};
use std::sync::Arc;

/// Words of a front, 32 bytes each.
const FRONT: usize = 1 << 12;
const FRONT_SHIFT: u32 = u64::BITS - FRONT.trailing_zeros();
/// Words of a block.
const BLOCK: usize = 256;

/// Up to three ids, and how many; or the place of more of them in the arena, and how many; or the greatest number, and no
/// answer.
pub(super) type Answer = [i32; IDS_INLINE + 1];
const NO_ANSWER: Answer = [0, 0, 0, i32::MAX];

/// A word and its ids. No word has the key 0.
#[derive(Clone, Copy)]
#[repr(align(32))]
struct Front {
    key: Key,
    answer: Answer,
}

/// The cache as one thread knows it.
pub(super) struct View {
    front: Box<[Front; FRONT]>,
    pub(super) table: Arc<Table>,
    answers: Box<[Answer; BLOCK]>,
    /// Hashes and numbers of the words of a block that the front does not know; one more than a block has.
    missed: Box<[(u64, u32); BLOCK + 1]>,
    /// Ids of a block, and room to write a whole answer behind the last.
    ids: Box<[i32; (BLOCK + 1) * IDS_INLINE + 1]>,
}

/// Knows nothing.
impl Default for View {
    fn default() -> Self {
        let front = vec![Front { key: (0, 0), answer: NO_ANSWER }; FRONT].into_boxed_slice().try_into();
        Self {
            front: front.unwrap_or_else(|_| unreachable!("as many as the type says")),
            table: Arc::new(Table::new(1)),
            answers: Box::new([NO_ANSWER; BLOCK]),
            missed: Box::new([(0, 0); BLOCK + 1]),
            ids: Box::new([0; (BLOCK + 1) * IDS_INLINE + 1]),
        }
    }
}

impl View {
    /// Appends the ids of the words of `text` that end at `ends`; `encode` makes those of a word that is new.
    ///
    /// # Errors
    /// Those of `encode`.
    #[inline]
    pub(super) fn encode<E>(
        &mut self,
        cache: &Cache,
        (text, ends): (&[u8], &[u32]),
        out: &mut Vec<i32>,
        mut encode: impl FnMut(&[u8], &mut Vec<i32>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut start = 0;
        for ends in ends.chunks(BLOCK) {
            // A word that is new may bring another table; places in the arena are those of this one.
            let table = Arc::clone(&self.table);
            self.look_up(text, start, ends);
            let mut filled = 0;
            for (at, &end) in ends.iter().enumerate() {
                let answer = self.answers[at];
                let [place, _, _, count] = answer;
                if count <= IDS_INLINE as i32 {
                    self.ids[filled..filled + IDS_INLINE + 1].copy_from_slice(&answer);
                    filled += count as usize;
                } else {
                    out.extend_from_slice(&self.ids[..filled]);
                    filled = 0;
                    if count < i32::MAX {
                        table.list(place as usize, count as usize, out);
                    } else {
                        self.word(cache, (text, start, end as usize), out, &mut encode)?;
                    }
                }
                start = end as usize;
            }
            out.extend_from_slice(&self.ids[..filled]);
        }
        Ok(())
    }

    /// Answers the words of a block that fit a slot.
    #[inline]
    fn look_up(&mut self, text: &[u8], base: usize, ends: &[u32]) {
        let Self { front, table, answers, missed, .. } = self;
        let mut misses = 0;
        let mut start = base;
        for ((number, &end), answer) in (0_u32..).zip(ends).zip(answers.iter_mut()) {
            let key = short_key(text, start, end as usize);
            let hash = hash(key);
            let known = &front[(hash >> FRONT_SHIFT) as usize];
            *answer = known.answer;
            missed[misses] = (hash, number);
            // No branch: which words the front knows is what a processor cannot guess.
            let differs = (known.key.0 ^ key.0) | (known.key.1 ^ key.1);
            misses += usize::from((differs != 0) | (key.1 == 0));
            start = end as usize;
        }
        let missed = &missed[..misses];
        std::hint::black_box(missed.iter().fold(0, |touched, &(hash, _)| touched | table.touch(hash)));
        for &(hash, number) in missed {
            let number = number as usize;
            let start = if number == 0 { base } else { ends[number - 1] as usize };
            let key = short_key(text, start, ends[number] as usize);
            answers[number] = NO_ANSWER;
            if key.1 != 0 {
                match table.find_short(key, hash) {
                    Found::Inline([first, second, third], count) => {
                        let answer = [first, second, third, count as i32];
                        answers[number] = answer;
                        front[(hash >> FRONT_SHIFT) as usize] = Front { key, answer };
                    }
                    // Not for the front: the place is that of this table.
                    Found::Arena(place, count) => answers[number] = [place as i32, 0, 0, count as i32],
                    Found::Empty(_) => {}
                }
            }
        }
    }

    /// Appends the ids of a word that is long, has many ids or is new.
    #[inline(never)]
    fn word<E>(
        &mut self,
        cache: &Cache,
        (text, start, end): (&[u8], usize, usize),
        out: &mut Vec<i32>,
        encode: &mut impl FnMut(&[u8], &mut Vec<i32>) -> Result<(), E>,
    ) -> Result<(), E> {
        let word = &text[start..end];
        let Some(key) = Cache::key(word, || short_key(text, start, end)) else {
            return encode(word, out);
        };
        match self.table.find(key, word) {
            Found::Inline(ids, count) => out.extend_from_slice(&ids[..count]),
            Found::Arena(start, count) => self.table.list(start, count, out),
            Found::Empty(_) => {
                let from = out.len();
                encode(word, out)?;
                cache.insert(self, key, word, &out[from..]);
            }
        }
        Ok(())
    }
}

/// Masks of the first bytes of 16, by how many.
const MASKS: [(u64, u64); 16] = {
    let mut masks = [(0, 0); 16];
    let mut length = 1;
    while length < 16 {
        let mask = u128::MAX >> (128 - 8 * length);
        masks[length] = (mask as u64, (mask >> 64) as u64);
        length += 1;
    }
    masks
};

/// The bytes of the word, the first lowest, and its length in the highest byte; 0 for a word that does not fit.
#[inline]
fn short_key(text: &[u8], start: usize, end: usize) -> Key {
    let length = if end - start > KEY_BYTES_MAX { 0 } else { end - start };
    let (low, high) = match text.get(start..start + 16) {
        // Two loads and a mask, not a copy of an unknown size.
        Some(ahead) => {
            let half = |at: usize| u64::from_le_bytes(ahead[at..at + 8].try_into().expect("eight bytes"));
            (half(0), half(8))
        }
        None => {
            let mut window = [0; 16];
            window[..length].copy_from_slice(&text[start..start + length]);
            let window = u128::from_le_bytes(window);
            (window as u64, (window >> 64) as u64)
        }
    };
    let mask = MASKS[length & 15];
    (low & mask.0, high & mask.1 | (length as u64) << 56)
}
