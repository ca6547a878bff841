//! Repeated n-grams without a string per n-gram.
//!
//! All words stand one behind the other in one buffer, so an n-gram is a slice of it; it is known by a hash of 64 bits.
//! Two different n-grams of one document share a hash with a chance below 1e-6 even at a million words.

use xxhash_rust::xxh3::xxh3_64;

/// Bytes that are hashed at once, and zeros behind the buffer, so that they can be read anywhere in it.
const BLOCK: usize = 16;
/// Bytes that two long n-grams of one text share at least, or they differ: as many as five ideographs have.
const PREFIX_BYTES: usize = 15;
/// Words of a long n-gram, at least.
pub const LONG_WORDS: usize = 5;

/// The words of one document joined into one buffer.
pub struct Joined {
    /// The words, then [`BLOCK`] zeros.
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
        let separator = usize::from(spaced);
        let len: usize = words.iter().map(|word| word.len() + separator).sum();
        let mut bytes = Vec::with_capacity(len + BLOCK);
        let (mut starts, mut chars) =
            (Vec::with_capacity(words.len() + 1), Vec::with_capacity(words.len() + 1));
        let mut before = 0;
        for word in words {
            starts.push(bytes.len());
            chars.push(before);
            bytes.extend_from_slice(word.as_bytes());
            bytes.extend_from_slice(&b" "[..separator]);
            before += char_count(word) + separator;
        }
        starts.push(bytes.len());
        chars.push(before);
        bytes.resize(len + BLOCK, 0);
        Self { bytes, starts, chars, separator }
    }

    /// How many n-grams there are.
    fn count(&self, n: usize) -> usize {
        self.starts.len().saturating_sub(n)
    }

    #[inline(always)]
    fn hash(&self, at: usize, n: usize) -> u64 {
        let (start, end) = (self.starts[at], self.starts[at + n] - self.separator);
        if end - start > BLOCK {
            xxh3_64(&self.bytes[start..end])
        } else {
            self.short_hash(start, end - start)
        }
    }

    /// At most [`BLOCK`] bytes as a number.
    #[inline(always)]
    fn block(&self, start: usize, len: usize) -> u128 {
        let block = self.bytes[start..].first_chunk().expect("zeros stand behind the words");
        u128::from_le_bytes(*block) & u128::MAX.checked_shr(8 * (BLOCK - len) as u32).unwrap_or(0)
    }

    /// The hash of at most [`BLOCK`] bytes.
    #[inline(always)]
    fn short_hash(&self, start: usize, len: usize) -> u64 {
        // The fraction of pi.
        const SEEDS: [u64; 3] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344, 0xa409_3822_299f_31d1];
        let block = self.block(start, len);
        let fold = |a: u64, b: u64| {
            let wide = u128::from(a) * u128::from(b);
            wide as u64 ^ (wide >> 64) as u64
        };
        fold(fold(block as u64 ^ SEEDS[0], SEEDS[1]) ^ (block >> 64) as u64, SEEDS[2] ^ len as u64)
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
        for place in 0..counts.places.len() {
            let at = counts.places[place];
            counts.add(counts.hashes[at as usize], at);
        }
        // The first n-gram stands for all that occur once.
        let (count, first) = counts.top().filter(|(count, _)| *count > 1).unwrap_or((1, 0));
        count * self.chars(first, n)
    }

    /// Where long n-grams start that may be there twice: those that share their first bytes with another, or have few.
    pub fn suspects(&self, counts: &mut Counts) -> Vec<u32> {
        let all = self.count(LONG_WORDS);
        counts.sift(self.starts[..all].iter().map(|start| self.short_hash(*start, PREFIX_BYTES)));
        let is_short = |at: usize| self.starts[at + LONG_WORDS] - self.starts[at] < PREFIX_BYTES;
        (0..all)
            .filter(|at| counts.may_repeat(counts.hashes[*at]) || is_short(*at))
            .map(|at| at as u32)
            .collect()
    }

    /// Characters of the n-grams that were seen before, left to right, without counting a character twice.
    ///
    /// `n` is at least [`LONG_WORDS`].
    pub fn repeated_chars(&self, n: usize, suspects: &[u32], seen: &mut Counts) -> usize {
        let suspects = &suspects[..suspects.partition_point(|at| (*at as usize) < self.count(n))];
        seen.sift(suspects.iter().map(|at| self.hash(*at as usize, n)));
        let (mut past, mut chars) = (0, 0);
        for place in 0..seen.places.len() {
            let nth = seen.places[place] as usize;
            let at = suspects[nth];
            if at >= past && seen.add(seen.hashes[nth], at) > 1 {
                chars += self.chars(at as usize, n);
                past = at + n as u32;
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
    /// Those of the hashes that may repeat.
    places: Vec<u32>,
    once: Vec<u64>,
    twice: Vec<u64>,
}

impl Counts {
    /// Slots of an empty table.
    const SLOTS_MIN: usize = 64;
    /// Bits a hash in the sieve: one unique n-gram in 16 is taken for a repeated one, which costs time and nothing else.
    const SIEVE_BITS: usize = 16;

    /// Forgets everything, takes in the hashes, and finds the places that share their bit of the sieve with another.
    fn sift(&mut self, hashes: impl Iterator<Item = u64>) {
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
        self.places.clear();
        self.places.resize(self.hashes.len(), 0);
        let mut found = 0;
        for (at, hash) in self.hashes.iter().enumerate() {
            let (word, bit) = place(*hash, words);
            self.places[found] = at as u32;
            found += usize::from(self.twice[word] & bit != 0);
        }
        self.places.truncate(found);
        self.clear();
    }

    fn may_repeat(&self, hash: u64) -> bool {
        let (word, bit) = place(hash, self.twice.len());
        self.twice[word] & bit != 0
    }

    /// Forgets everything; the space is kept for the next use.
    pub fn clear(&mut self) {
        self.slots.clear();
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
        let slots = std::mem::take(&mut self.slots);
        self.slots.resize((slots.len() * 4).max(Self::SLOTS_MIN), Slot::default());
        for slot in slots.iter().filter(|slot| slot.count > 0) {
            *Self::find(&mut self.slots, slot.hash) = *slot;
        }
    }
}

/// `word.chars().count()`, for words.
fn char_count(word: &str) -> usize {
    let mut count = 0;
    for byte in word.bytes() {
        count += usize::from(byte.cast_signed() >= -0x40);
    }
    count
}

/// Word and bit of a hash in a sieve. The table goes by the low bits, the sieve by the high ones.
const fn place(hash: u64, words: usize) -> (usize, u64) {
    ((hash >> 32) as usize & (words - 1), 1 << (hash >> 58))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(words: &str, n: usize, top: usize, repeated: usize) {
        let words: Vec<&str> = words.split(' ').filter(|w| !w.is_empty()).collect();
        let mut counts = Counts::default();
        assert_eq!(Joined::new(&words, true).top_chars(n, &mut counts), top, "top {n} of {words:?}");
        let tight = Joined::new(&words, false);
        let all: Vec<u32> = (0..words.len() as u32).collect();
        assert_eq!(tight.repeated_chars(n, &all, &mut counts), repeated, "dup {n} of {words:?}");
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

    proptest! {
        /// What the rules say, with a string an n-gram.
        #[test]
        fn hashes_stand_for_strings(words in "(a|bb|é|中|文|internationalization){0,40}", n in 2_usize..11) {
            let words: Vec<&str> = words.split_inclusive(['a', 'b', 'é', '中', '文', 'n']).collect();
            let grams = |between: &str| -> Vec<String> { words.windows(n).map(|gram| gram.join(between)).collect() };
            let mut counts = Counts::default();

            let spaced = grams(" ");
            let occurrences = |gram: &String| spaced.iter().filter(|other| *other == gram).count();
            let top = spaced.iter().rev().max_by_key(|gram| occurrences(gram));
            let expected = top.map_or(0, |gram| gram.chars().count() * occurrences(gram));
            prop_assert_eq!(Joined::new(&words, true).top_chars(n, &mut counts), expected);

            if n >= LONG_WORDS {
                let (grams, mut seen, mut at, mut repeated) = (grams(""), Vec::new(), 0, 0);
                while let Some(gram) = grams.get(at) {
                    let is_repeated = seen.contains(&gram);
                    repeated += if is_repeated { gram.chars().count() } else { 0 };
                    at += if is_repeated { n } else { 1 };
                    seen.push(gram);
                }
                let tight = Joined::new(&words, false);
                let suspects = tight.suspects(&mut counts);
                prop_assert_eq!(tight.repeated_chars(n, &suspects, &mut counts), repeated);
            }
        }
    }
}
