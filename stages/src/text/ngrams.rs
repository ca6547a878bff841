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
        counts.clear();
        for at in 0..self.count(n) {
            counts.add(self.hash(at, n), at as u32);
        }
        counts.top().map_or(0, |(count, first)| count * self.chars(first, n))
    }

    /// Characters of the n-grams that were seen before, left to right, without counting a character twice.
    pub fn repeated_chars(&self, n: usize, seen: &mut Counts) -> usize {
        seen.clear();
        let (mut at, mut chars) = (0, 0);
        while at < self.count(n) {
            if seen.add(self.hash(at, n), at as u32) > 1 {
                chars += self.chars(at, n);
                at += n;
            } else {
                at += 1;
            }
        }
        chars
    }
}

#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u64,
    count: u32,
    first: u32,
}

/// Occurrences by hash: open addressing with linear probing; grows with what is distinct, not with what is added.
#[derive(Default)]
pub struct Counts {
    slots: Vec<Slot>,
    used: usize,
}

impl Counts {
    /// Slots of an empty table.
    const SLOTS_MIN: usize = 1024;

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
