//! The order of places: by key, then by value.
//!
//! Most keys begin with a hash, so their first byte parts a list into 256 groups of much the same length, and the second parts these.
//! Groups are made in place, by swapping each place into its group (McIlroy, Bostic, McIlroy, Engineering Radix Sort, 1993);
//! what is left of a group is small and compared.

use super::{HEAD, Place};

/// Places that are compared and not grouped any more: groups of fewer cost more than they save.
const COMPARED_MAX: usize = 256;
/// Groups of one pass.
const GROUPS: usize = 256;

/// Sorts what has places by [`Place::order`].
pub fn sort_places<T: Copy>(list: &mut [T], place: impl Fn(&T) -> &Place + Copy, bytes: &[u8]) {
    sort_from(list, place, bytes, 0);
}

/// Sorts what has the first `at` bytes of its key in common.
fn sort_from<T: Copy>(list: &mut [T], place: impl Fn(&T) -> &Place + Copy, bytes: &[u8], at: usize) {
    if list.len() <= COMPARED_MAX || at == HEAD {
        return list.sort_unstable_by(|a, b| place(a).order(place(b), bytes));
    }
    let ends = group(list, |entry| place(entry).head[at]);
    let mut start = 0;
    for end in ends {
        sort_from(&mut list[start..end], place, bytes, at + 1);
        start = end;
    }
}

/// Brings a list into the order of its groups; where each ends.
pub fn group<T: Copy>(list: &mut [T], of: impl Fn(&T) -> u8) -> [usize; GROUPS] {
    let mut ends = [0; GROUPS];
    list.iter().for_each(|entry| ends[usize::from(of(entry))] += 1);
    let mut next = [0; GROUPS];
    let mut sum = 0;
    for (next, end) in next.iter_mut().zip(&mut ends) {
        *next = sum;
        sum += *end;
        *end = sum;
    }
    for at in 0..GROUPS {
        while next[at] < ends[at] {
            let its = usize::from(of(&list[next[at]]));
            // Its own group too: then it stays where it is.
            list.swap(next[at], next[its]);
            next[its] += 1;
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::super::Value;
    use super::*;
    use crate::hash::Rng;

    /// Sorts records of these keys, and of equal keys the values.
    fn check(keys: impl Iterator<Item = Vec<u8>>) {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        let mut rng = Rng::new(9);
        let places = keys.map(|key| {
            let value = [rng.below(3) as u8];
            let place = Place::write(&key, Value::New(&[&value]), &mut bytes);
            expected.push((key, value.to_vec()));
            place
        });
        let mut places: Vec<Place> = places.collect();
        sort_places(&mut places, |place| place, &bytes);
        let told = |place: &Place| (place.record(&bytes).key.to_vec(), place.record(&bytes).value.to_vec());
        let found: Vec<_> = places.iter().map(told).collect();
        expected.sort_unstable();
        assert!(found == expected, "{} records", found.len());
    }

    #[test]
    fn any_keys_come_into_their_order() {
        let mut rng = Rng::new(3);
        let mut hash = || rng.below(u64::MAX).to_be_bytes();
        check(std::iter::empty());
        check((0..5000).map(|_| hash().to_vec()));
        let mut few = Rng::new(4);
        // Many of one head, of several lengths; zeros at the end of a key tell it from a shorter one.
        check((0..5000).map(|n| {
            let key = [few.below(3).to_be_bytes(), few.below(2).to_be_bytes()].concat();
            key[..n % 17].to_vec()
        }));
        let words = (0..3000).map(|n| format!("https://example.org/{}", n * 7919 % 1000).into_bytes());
        check(words);
    }
}
