//! Finds out which records have a key that others have too, before they are sorted.
//!
//! Of the bands, addresses or texts of a set most come once, and a reducer that looks for pairs has nothing to do with these. Two bits a
//! slot tell whether no, one or more records fell into it; a key that comes twice always tells so, one that is alone nearly always
//! that it is alone.
//!
//! ```text
//! keys a, b, a, c  →  a may repeat; b and c do not, unless they share a slot
//! ```

use super::Place;

/// Slots for each record: of the lone keys at most one in eight shares its slot.
const SLOTS: usize = 8;
/// Slots in a word.
const IN_WORD: usize = 32;
/// Multiplier of the slot's hash: 2^64 over the golden ratio, odd.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// Leaves out what has a place whose key no other place of the lists has, as far as that can be told.
pub fn leave_out_lone<T>(lists: &mut [&mut Vec<T>], place: impl Fn(&T) -> &Place + Copy) {
    let mut sieve = Sieve::new(lists.iter().map(|list| list.len()).sum());
    lists.iter().for_each(|list| list.iter().for_each(|entry| sieve.add(place(entry))));
    lists.iter_mut().for_each(|list| list.retain(|entry| sieve.may_repeat(place(entry))));
}

/// Tells keys that may come more than once from those that do not.
struct Sieve {
    words: Vec<u64>,
}

impl Sieve {
    /// For so many records.
    fn new(records: usize) -> Self {
        Self { words: vec![0; (records * SLOTS / IN_WORD).next_power_of_two()] }
    }

    /// Takes a record.
    #[inline]
    fn add(&mut self, place: &Place) {
        let (word, shift) = self.slot(place);
        let once = self.words[word] >> shift & 1;
        self.words[word] |= (1 | once << 1) << shift;
    }

    /// Whether another record that was taken may have the key of this one.
    #[inline]
    fn may_repeat(&self, place: &Place) -> bool {
        let (word, shift) = self.slot(place);
        self.words[word] >> shift & 2 != 0
    }

    /// The word and the lower of the two bits in it. Of longer keys the beginning tells enough: what it does not tell apart is kept.
    #[inline]
    fn slot(&self, place: &Place) -> (usize, u32) {
        let hash = place.beginning().wrapping_mul(MIX);
        let hash = (hash ^ hash >> 32).wrapping_mul(MIX);
        ((hash >> 32) as usize & (self.words.len() - 1), (hash as u32 >> 27) * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::*;
    use crate::hash::Rng;

    #[test]
    fn no_key_that_repeats_is_lost_and_most_lone_ones_are_told() {
        for (count, numbers) in [(0, 1), (1, 1), (2, 1), (5000, 2000), (5000, u64::MAX)] {
            let mut rng = Rng::new(7);
            let mut bytes = Vec::new();
            let keys: Vec<u64> = (0..count).map(|_| rng.below(numbers)).collect();
            let write = |key: &u64| Place::write(&key.to_be_bytes(), Value::New(&[b"v"]), &mut bytes);
            let places: Vec<Place> = keys.iter().map(write).collect();
            let mut sieve = Sieve::new(places.len());
            places.iter().for_each(|place| sieve.add(place));
            let mut times = std::collections::BTreeMap::<u64, usize>::new();
            keys.iter().for_each(|key| *times.entry(*key).or_default() += 1);
            let (mut lone, mut taken_for_more) = (0, 0);
            for (key, place) in keys.iter().zip(&places) {
                if times[key] > 1 {
                    assert!(sieve.may_repeat(place), "{key} of {count}");
                } else {
                    lone += 1;
                    taken_for_more += usize::from(sieve.may_repeat(place));
                }
            }
            assert!(taken_for_more * 6 <= lone, "{taken_for_more} of {lone}");
        }
    }
}
