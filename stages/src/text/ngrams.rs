//! Repeated n-grams without a string per n-gram.
//!
//! All words stand one behind the other in one buffer, so an n-gram is a slice of it; it is known by its 64-bit xxh3.
//! Two different n-grams of one document share a hash with a chance below 1e-6 even at a million words.

use xxhash_rust::xxh3::xxh3_64;

/// The words of one document joined into one buffer.
pub struct Joined {
    bytes: Vec<u8>,
    /// Where each word starts in `bytes`, and the end of the last, separator included.
    starts: Vec<usize>,
    /// Characters before each word, separators included.
    chars: Vec<usize>,
    separator: usize,
}

impl Joined {
    /// Joins the words with one space, or with nothing between.
    pub fn new(words: &[&str], spaced: bool) -> Self {
        let mut joined =
            Self { bytes: Vec::new(), starts: vec![0], chars: vec![0], separator: usize::from(spaced) };
        let mut chars = 0;
        for word in words {
            joined.bytes.extend_from_slice(word.as_bytes());
            chars += word.chars().count() + joined.separator;
            if spaced {
                joined.bytes.push(b' ');
            }
            joined.starts.push(joined.bytes.len());
            joined.chars.push(chars);
        }
        joined
    }

    /// How many n-grams there are.
    fn count(&self, n: usize) -> usize {
        self.starts.len().saturating_sub(n)
    }

    fn hash(&self, at: usize, n: usize) -> u64 {
        xxh3_64(&self.bytes[self.starts[at]..self.starts[at + n] - self.separator])
    }

    fn chars(&self, at: usize, n: usize) -> usize {
        self.chars[at + n] - self.chars[at] - self.separator
    }

    /// Characters of the most frequent n-gram times its occurrences; of equally frequent ones the first seen.
    ///
    /// A count of 1 counts too, as in datatrove. 0 when there are fewer than `n` words.
    pub fn top_chars(&self, n: usize, counts: &mut Counts) -> usize {
        if self.count(n) == 0 {
            return 0;
        }
        counts.sift((0..self.count(n)).map(|at| self.hash(at, n)));
        for at in 0..self.count(n) {
            let hash = counts.hashes[at];
            if counts.may_repeat(hash) {
                counts.add(hash, at as u32);
            }
        }
        // The first n-gram stands for all that occur once.
        let (count, first) = counts.top().filter(|(count, _)| *count > 1).unwrap_or((1, 0));
        count * self.chars(first, n)
    }

    /// Characters of the n-grams that were seen before, left to right, without counting a character twice.
    pub fn repeated_chars(&self, n: usize, seen: &mut Counts) -> usize {
        seen.sift((0..self.count(n)).map(|at| self.hash(at, n)));
        let (mut at, mut chars) = (0, 0);
        while at < self.count(n) {
            let hash = seen.hashes[at];
            if seen.may_repeat(hash) && seen.add(hash, at as u32) > 1 {
                chars += self.chars(at, n);
                at += n;
            } else {
                at += 1;
            }
        }
        chars
    }

    /// Calls `each` with the place of every n-gram, left to right, and how often it occurred up to there.
    pub fn walk(&self, n: usize, counts: &mut Counts, mut each: impl FnMut(usize, u32)) {
        counts.sift((0..self.count(n)).map(|at| self.hash(at, n)));
        for at in 0..self.count(n) {
            let hash = counts.hashes[at];
            each(at, if counts.may_repeat(hash) { counts.add(hash, at as u32) } else { 1 });
        }
    }

    /// Characters of an n-gram without its separators.
    pub fn run_chars(&self, at: usize, n: usize) -> usize {
        self.chars[at + n] - self.chars[at] - n * self.separator
    }
}

#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u64,
    count: u32,
    first: u32,
}

/// Occurrences by hash: open addressing with linear probing; grows with what is distinct, not with what is added.
///
/// Most n-grams of real text occur once. Two bits a place, small enough for the cache, sift them out first, so the table sees
/// only those that may repeat.
#[derive(Default)]
pub struct Counts {
    slots: Vec<Slot>,
    used: usize,
    hashes: Vec<u64>,
    once: Vec<u64>,
    twice: Vec<u64>,
}

impl Counts {
    /// Slots of an empty table.
    const SLOTS_MIN: usize = 1024;
    /// Bits a hash in the sieve: one unique n-gram in 16 is taken for a repeated one, which costs time and nothing else.
    const SIEVE_BITS: usize = 16;

    /// Forgets everything, takes in the hashes, and marks the places that more than one of them has.
    fn sift(&mut self, hashes: impl Iterator<Item = u64>) {
        self.clear();
        self.hashes.clear();
        self.hashes.extend(hashes);
        let words = (self.hashes.len() * Self::SIEVE_BITS / 64).next_power_of_two().max(2);
        for sieve in [&mut self.once, &mut self.twice] {
            sieve.clear();
            sieve.resize(words, 0);
        }
        for hash in &self.hashes {
            let (word, bit) = place(*hash, words);
            self.twice[word] |= self.once[word] & bit;
            self.once[word] |= bit;
        }
    }

    fn may_repeat(&self, hash: u64) -> bool {
        let (word, bit) = place(hash, self.twice.len());
        self.twice[word] & bit != 0
    }

    /// Forgets everything; the space is kept for the next use.
    pub fn clear(&mut self) {
        self.slots.fill(Slot::default());
        self.used = 0;
    }

    /// Counts one occurrence; answers how many there are with it.
    pub fn add(&mut self, hash: u64, at: u32) -> u32 {
        if self.used * 2 >= self.slots.len() {
            self.grow();
        }
        let slot = Self::find(&mut self.slots, hash);
        if slot.count == 0 {
            (slot.hash, slot.first) = (hash, at);
            self.used += 1;
        }
        slot.count = slot.count.saturating_add(1);
        slot.count
    }

    /// How often the n-gram at this place occurs in all, once [`Joined::walk`] went over them.
    pub fn total(&self, at: usize) -> u32 {
        let hash = self.hashes[at];
        if self.may_repeat(hash) { self.of(hash) } else { 1 }
    }

    /// How often the hash was added.
    pub fn of(&self, hash: u64) -> u32 {
        let Some(mask) = self.slots.len().checked_sub(1) else { return 0 };
        let mut at = hash as usize & mask;
        while self.slots[at].count > 0 && self.slots[at].hash != hash {
            at = (at + 1) & mask;
        }
        self.slots[at].count
    }

    /// The greatest count and where its hash was first seen; the earliest of equals.
    fn top(&self) -> Option<(usize, usize)> {
        let filled = self.slots.iter().filter(|slot| slot.count > 0);
        let top = filled.max_by_key(|slot| (slot.count, std::cmp::Reverse(slot.first)))?;
        Some((top.count as usize, top.first as usize))
    }

    fn find(slots: &mut [Slot], hash: u64) -> &mut Slot {
        let mask = slots.len() - 1;
        let mut at = hash as usize & mask;
        while slots[at].count > 0 && slots[at].hash != hash {
            at = (at + 1) & mask;
        }
        &mut slots[at]
    }

    fn grow(&mut self) {
        let mut slots = vec![Slot::default(); (self.slots.len() * 2).max(Self::SLOTS_MIN)];
        for slot in self.slots.iter().filter(|slot| slot.count > 0) {
            *Self::find(&mut slots, slot.hash) = *slot;
        }
        self.slots = slots;
    }
}

/// Word and bit of a hash in a sieve. The table goes by the low bits, the sieve by the high ones.
const fn place(hash: u64, words: usize) -> (usize, u64) {
    ((hash >> 32) as usize & (words - 1), 1 << (hash >> 58))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(words: &str, n: usize, top: usize, repeated: usize) {
        let words: Vec<&str> = words.split(' ').filter(|w| !w.is_empty()).collect();
        let mut counts = Counts::default();
        assert_eq!(Joined::new(&words, true).top_chars(n, &mut counts), top, "top {n} of {words:?}");
        assert_eq!(
            Joined::new(&words, false).repeated_chars(n, &mut counts),
            repeated,
            "dup {n} of {words:?}"
        );
    }

    #[test]
    fn top_and_repeated() {
        check("", 2, 0, 0);
        check("a", 2, 0, 0);
        check("aa b", 2, 4, 0);
        check("a b a b a b", 2, 9, 4);
        check("é b é b", 2, 6, 2);
        // Without a separator "ab c" and "a bc" are one key.
        check("ab c a bc", 2, 4, 3);
    }
}
