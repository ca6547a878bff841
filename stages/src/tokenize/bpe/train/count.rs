//! Counts words: a table with the short ones inside its slots, cut into shards that grow one by one.

use super::splits::Splitter;

/// Shards of a table. Growing costs the memory of one shard twice, not of all.
const SHARDS: usize = 32;
/// Longest word that lies in its slot.
const SHORT_BYTES_MAX: usize = 15;
/// The last byte of the key of a long word; that of a short one is its length.
const LONG: u8 = u8::MAX;
/// The place of a long word that lies nowhere yet.
const NOWHERE: u64 = 0xff_ffff << 32;
/// Bytes of one piece of the memory for long words.
const PIECE_BYTES: usize = 1 << 18;
const ROOM_MIN: usize = 1 << 6;

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// A short word, zeros, its length. Of a long word: its hash, where it lies, [`LONG`].
    key: [u64; 2],
    /// 0 where the slot is free.
    count: u64,
}

#[derive(Debug, Default)]
struct Shard {
    slots: Vec<Slot>,
    used: usize,
}

/// Words and how often each was seen.
#[derive(Debug)]
pub(crate) struct Counts {
    shards: Vec<Shard>,
    /// Long words, a length in four bytes before each.
    pieces: Vec<Vec<u8>>,
    held: usize,
    /// Room for the ends of pre-tokens.
    ends: Vec<u32>,
}

impl Default for Counts {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Shard::default()).collect();
        Self { shards, pieces: Vec::new(), held: 0, ends: Vec::new() }
    }
}

#[inline]
fn hash(key: [u64; 2]) -> u64 {
    let product = u128::from(key[0] ^ 0x9e37_79b9_7f4a_7c15) * u128::from(key[1] ^ 0xd1b5_4a32_d192_ed03);
    // The halves of a product of two odd-looking numbers depend on all bits of both.
    ((product >> 64) as u64 ^ product as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The key of a short word.
#[inline]
fn short(text: &[u8], start: usize, end: usize) -> [u64; 2] {
    let length = end - start;
    let both = match text.get(start..start + 16) {
        // Sixteen bytes at once and a mask cost less than a copy of a length that is not known.
        Some(bytes) => {
            let bytes = u128::from_le_bytes(bytes.try_into().expect("a slice of sixteen bytes"));
            bytes & ((1_u128 << (8 * length)) - 1)
        }
        None => {
            let mut bytes = [0; 16];
            bytes[..length].copy_from_slice(&text[start..end]);
            u128::from_le_bytes(bytes)
        }
    };
    [both as u64, (both >> 64) as u64 | (length as u64) << 56]
}

impl Shard {
    /// The slot of a key, or the free one where it belongs; `same` compares long words.
    #[inline]
    fn find(&self, key: [u64; 2], hash: u64, same: impl Fn([u64; 2]) -> bool) -> usize {
        let room = self.slots.len();
        // The shard took the low bits of the hash.
        let mut at = ((u128::from(hash) * room as u128) >> 64) as usize;
        loop {
            let slot = &self.slots[at];
            if slot.count == 0 || slot.key == key || (slot.key[0] == key[0] && same(slot.key)) {
                return at;
            }
            at += 1;
            if at == room {
                at = 0;
            }
        }
    }

    /// Makes room for one more; how many bytes that took.
    #[inline]
    fn make_room(&mut self) -> usize {
        if (self.used + 1) * 5 > self.slots.len() * 4 { self.grow() } else { 0 }
    }

    /// Half as much again.
    #[cold]
    fn grow(&mut self) -> usize {
        let room = (self.slots.len() + self.slots.len() / 2).max(ROOM_MIN);
        let more = (room - self.slots.len()) * size_of::<Slot>();
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); room]);
        for slot in old.into_iter().filter(|slot| slot.count > 0) {
            let at = self.find(slot.key, hash_of(slot.key), |_| false);
            self.slots[at] = slot;
        }
        more
    }
}

#[inline]
const fn is_long(key: [u64; 2]) -> bool {
    (key[1] >> 56) as u8 == LONG
}

/// The hash of a key in a slot.
#[inline]
fn hash_of(key: [u64; 2]) -> u64 {
    if is_long(key) { key[0] } else { hash(key) }
}

impl Counts {
    /// Counts the words of a text, those longer than `bytes_max` in parts. Tells how many words there were and how many in
    /// parts.
    pub(crate) fn add_text(&mut self, splitter: &Splitter, text: &str, bytes_max: usize) -> (u64, u64) {
        let (bytes, mut words, mut cut) = (text.as_bytes(), 0, 0);
        let mut ends = std::mem::take(&mut self.ends);
        splitter.each(text, &mut ends, |start, end| {
            words += 1;
            if end - start <= bytes_max {
                self.add(bytes, start, end, 1);
                return;
            }
            cut += 1;
            for part in bytes[start..end].chunks(bytes_max) {
                self.add(part, 0, part.len(), 1);
            }
        });
        self.ends = ends;
        (words, cut)
    }

    /// Counts the word `text[start..end]` so many times more.
    #[inline]
    pub(crate) fn add(&mut self, text: &[u8], start: usize, end: usize, times: u64) {
        if end - start > SHORT_BYTES_MAX {
            return self.add_long(&text[start..end], times);
        }
        let key = short(text, start, end);
        let hash = hash(key);
        let shard = &mut self.shards[hash as usize % SHARDS];
        self.held += shard.make_room();
        let at = shard.find(key, hash, |_| false);
        let slot = &mut shard.slots[at];
        shard.used += usize::from(slot.count == 0);
        slot.key = key;
        slot.count += times;
    }

    fn add_long(&mut self, word: &[u8], times: u64) {
        let hash = xxhash_rust::xxh3::xxh3_64(word);
        let shard = &mut self.shards[hash as usize % SHARDS];
        self.held += shard.make_room();
        let pieces = &self.pieces;
        let key = [hash, u64::from(LONG) << 56 | NOWHERE];
        let at = shard.find(key, hash, |key| is_long(key) && long(pieces, key) == word);
        if shard.slots[at].count == 0 {
            shard.used += 1;
            shard.slots[at].key =
                [hash, u64::from(LONG) << 56 | keep(&mut self.pieces, &mut self.held, word)];
        }
        shard.slots[at].count += times;
    }

    /// Memory that is held, in bytes.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.held
    }

    /// Hands on each word with its count, in no order.
    pub(crate) fn each(&self, mut take: impl FnMut(&[u8], u64)) {
        for slot in self.shards.iter().flat_map(|shard| &shard.slots).filter(|slot| slot.count > 0) {
            take(word(&self.pieces, &slot.key, &mut [0; 16]), slot.count);
        }
    }

    /// Hands on each word with its count in the order of bytes.
    ///
    /// # Errors
    /// Those of `take`.
    pub(crate) fn each_sorted<E>(&self, mut take: impl FnMut(&[u8], u64) -> Result<(), E>) -> Result<(), E> {
        let slots = self.shards.iter().flat_map(|shard| &shard.slots).filter(|slot| slot.count > 0);
        let mut slots: Vec<&Slot> = slots.collect();
        slots.sort_unstable_by(|a, b| {
            word(&self.pieces, &a.key, &mut [0; 16]).cmp(word(&self.pieces, &b.key, &mut [0; 16]))
        });
        slots.into_iter().try_for_each(|slot| take(word(&self.pieces, &slot.key, &mut [0; 16]), slot.count))
    }

    /// Adds all counts of another table.
    pub(crate) fn absorb(&mut self, other: &Self) {
        other.each(|word, count| self.add(word, 0, word.len(), count));
    }
}

/// The bytes of a key.
fn word<'a>(pieces: &'a [Vec<u8>], key: &[u64; 2], short: &'a mut [u8; 16]) -> &'a [u8] {
    if is_long(*key) {
        return long(pieces, *key);
    }
    *short = (u128::from(key[1]) << 64 | u128::from(key[0])).to_le_bytes();
    let length = short[SHORT_BYTES_MAX] as usize;
    &short[..length]
}

/// The bytes of a long word: piece in 24 bits, place in 32.
fn long(pieces: &[Vec<u8>], key: [u64; 2]) -> &[u8] {
    let (piece, start) = (((key[1] >> 32) & 0xff_ffff) as usize, key[1] as u32 as usize);
    let (length, bytes) = pieces[piece][start..].split_first_chunk().expect("a length stands before a word");
    &bytes[..u32::from_le_bytes(*length) as usize]
}

/// Keeps a long word; where it lies.
fn keep(pieces: &mut Vec<Vec<u8>>, held: &mut usize, word: &[u8]) -> u64 {
    let bytes = word.len() + 4;
    if pieces.last().is_none_or(|piece| piece.capacity() - piece.len() < bytes) {
        pieces.push(Vec::with_capacity(PIECE_BYTES.max(bytes)));
        *held += PIECE_BYTES.max(bytes);
    }
    let number = pieces.len() - 1;
    let piece = &mut pieces[number];
    let start = piece.len() as u64;
    piece.extend_from_slice(&u32::try_from(word.len()).expect("words are below 4 GiB").to_le_bytes());
    piece.extend_from_slice(word);
    (number as u64) << 32 | start
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn words_of_all_lengths_are_counted_as_a_map_counts_them() {
        let mut rng = schemas::hash::Rng::new(3);
        let text: Vec<u8> = (0..4000).map(|_| b'a' + rng.below(3) as u8).collect();
        let (mut counts, mut other, mut expected) =
            (Counts::default(), Counts::default(), BTreeMap::<Vec<u8>, u64>::new());
        for n in 0..40_000_u64 {
            let start = rng.below(text.len() as u64 - 1) as usize;
            let end = (start + 1 + rng.below(20) as usize).min(text.len());
            if n % 3 == 0 { &mut other } else { &mut counts }.add(&text, start, end, n % 5 + 1);
            *expected.entry(text[start..end].to_vec()).or_default() += n % 5 + 1;
        }
        counts.absorb(&other);
        let mut found = Vec::new();
        let kept: Result<(), ()> = counts.each_sorted(|word, count| {
            found.push((word.to_vec(), count));
            Ok(())
        });
        kept.unwrap();
        assert_eq!(found, expected.clone().into_iter().collect::<Vec<_>>());
        let mut unsorted = BTreeMap::new();
        counts.each(|word, count| assert!(unsorted.insert(word.to_vec(), count).is_none()));
        assert_eq!(unsorted, expected);
        assert!(counts.held_bytes() > 0);
    }
}
