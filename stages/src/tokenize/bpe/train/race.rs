//! The race of pairs: the most frequent one becomes a token, and its neighbours' counts change.
//!
//! The race goes in rounds. At the start of a round all pairs are counted, and the most frequent ones get a list of their
//! places: as many as fit into a bound. The round goes on while the first pair of the race is one of them; pairs that
//! are rarer than the rarest of them cannot win before, so nothing need be known of them. A round may end at any
//! merge, for its state is the cells alone: memory is bounded, and the result does not depend on where rounds end.

use super::cells::{Cell, Words};
use super::pairs::{Pairs, ids, key};
use schemas::hash::FastSet;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// What one side of a merged pair gains and loses, by the id of the neighbour.
#[derive(Clone, Copy, Default)]
struct Side {
    gained: u64,
    lost: u64,
    /// Places of the pair with the new token.
    places: u32,
    /// Where its list is written to.
    cursor: u32,
}

/// The neighbours of a merged pair.
#[derive(Default)]
struct Around {
    /// Left and right side of each id: `2 * id + side`.
    sides: Vec<Side>,
    touched: Vec<u32>,
    /// Side and place of each new pair, in the order of places.
    places: Vec<(u32, u32)>,
}

impl Around {
    #[inline]
    fn note(&mut self, side: u32, count: u64, place: u32) {
        let entry = &mut self.sides[side as usize];
        if entry.lost == 0 && entry.gained == 0 {
            self.touched.push(side);
        }
        entry.gained += count;
        entry.lost += count;
        entry.places += 1;
        self.places.push((side, place));
    }
}

/// A race in one round.
pub(super) struct Race<C> {
    words: Words<C>,
    pairs: Pairs,
    /// The places of all pairs of the round.
    places: Vec<u32>,
    places_max: usize,
    queue: BinaryHeap<(u64, Reverse<u64>)>,
    /// Pairs that are rarer have no list in this round.
    least: u64,
    around: Around,
    /// What the merged places of a pair counted. Where the pair comes up again, as the parts of a token that another
    /// pair makes too, the `BpeTrainer` of the tokenizers crate goes on from that number; so does this race.
    merged: BTreeMap<u64, u64>,
    /// Pairs that may not become a token.
    closed: FastSet<u64>,
    min_frequency: u64,
}

impl<C: Cell> Race<C> {
    /// Starts the first round; `places_max` bounds the places that are listed at once.
    pub(super) fn new(words: Words<C>, min_frequency: u64, places_max: usize) -> Self {
        let mut race = Self {
            words,
            pairs: Pairs::with_room(0),
            places: Vec::new(),
            places_max,
            queue: BinaryHeap::new(),
            least: u64::MAX,
            around: Around::default(),
            merged: BTreeMap::new(),
            closed: FastSet::default(),
            min_frequency: min_frequency.max(1),
        };
        race.round();
        race
    }

    /// The most frequent pair, of those the smallest; `None` when no pair is frequent enough.
    pub(super) fn first(&mut self) -> Option<(u32, u32)> {
        loop {
            let Some((count, Reverse(key))) = self.queue.pop() else {
                if self.least <= self.min_frequency {
                    return None;
                }
                self.round();
                if self.queue.is_empty() {
                    return None;
                }
                continue;
            };
            // Counts only fall while a pair waits.
            let current = self.pairs.get_mut(key).map_or(0, |pair| pair.count);
            if current == count {
                return Some(ids(key));
            }
            if current >= self.least {
                self.queue.push((current, Reverse(key)));
            }
        }
    }

    /// Takes the pair out of the race.
    pub(super) fn close(&mut self, (left, right): (u32, u32)) {
        self.closed.insert(key(left, right));
        self.pairs.entry(key(left, right)).count = 0;
    }

    /// Makes the pair the token `id` wherever it is; `is_new` says that no word has the token yet.
    pub(super) fn merge(&mut self, (left, right): (u32, u32), id: u32, is_new: bool) {
        let pair = self.pairs.entry(key(left, right));
        let list = pair.start as usize..(pair.start + pair.places) as usize;
        pair.count = 0;
        self.around.sides.resize(self.around.sides.len().max(2 * (id as usize + 1)), Side::default());
        let (first, second, token) = (C::of(left), C::of(right), C::of(id));
        let mut merged = 0;
        for at in list {
            let place = self.places[at];
            if self.words.cells[place as usize] != first {
                continue;
            }
            let other = self.words.next(place);
            if self.words.cells[other as usize] != second {
                continue;
            }
            let count = self.words.count(place);
            merged += count;
            let before = self.words.previous(place);
            let neighbour = self.words.cells[before as usize];
            if neighbour != C::END {
                self.around.note(2 * neighbour.id(), count, before);
            }
            let neighbour = self.words.cells[self.words.next(other) as usize];
            if neighbour != C::END {
                self.around.note(2 * neighbour.id() + 1, count, place);
            }
            self.words.cells[place as usize] = token;
            self.words.cells[other as usize] = C::GAP;
        }
        *self.merged.entry(key(left, right)).or_default() += merged;
        self.settle((left, right), id);
        // Where the token is not new, pairs with it may be in no list although they have become frequent.
        if !is_new || self.places.len() > 2 * self.places_max {
            self.round();
        }
    }

    /// Carries what happened around a merged pair into the table, and lists the new pairs.
    fn settle(&mut self, (left, right): (u32, u32), id: u32) {
        let Around { sides, touched, places } = &mut self.around;
        // In a run, the new token got a right neighbour that was then merged itself.
        let undone = std::mem::take(&mut sides[2 * id as usize].lost);
        let side = &mut sides[2 * left as usize + 1];
        side.gained = side.gained.saturating_sub(undone);
        for &side in &*touched {
            let (neighbour, is_right) = (side / 2, side % 2 == 1);
            let (old, new) = if is_right {
                (key(right, neighbour), key(id, neighbour))
            } else {
                (key(neighbour, left), key(neighbour, id))
            };
            let entry = &mut sides[side as usize];
            if entry.lost > 0
                && let Some(pair) = self.pairs.get_mut(old)
            {
                pair.count = pair.count.saturating_sub(entry.lost);
            }
            entry.cursor = u32::MAX;
            if entry.gained >= self.least.max(1) {
                entry.cursor = self.places.len() as u32;
                self.places.resize(self.places.len() + entry.places as usize, 0);
                let pair = self.pairs.entry(new);
                (pair.count, pair.start, pair.places) = (entry.gained, entry.cursor, entry.places);
                self.queue.push((entry.gained, Reverse(new)));
            }
        }
        for (side, place) in places.drain(..) {
            let cursor = &mut sides[side as usize].cursor;
            if *cursor != u32::MAX {
                self.places[*cursor as usize] = place;
                *cursor += 1;
            }
        }
        for side in touched.drain(..) {
            sides[side as usize] = Side::default();
        }
    }

    /// Counts all pairs and lists the places of the most frequent ones.
    fn round(&mut self) {
        self.places = Vec::new();
        self.words.squeeze();
        let mut all = Pairs::with_room(1 << 12);
        self.words.each_pair(|_, left, right, count| {
            let pair = all.entry(key(left, right));
            pair.count += count;
            pair.places = pair.places.saturating_add(1);
        });
        for (&key, count) in &self.merged {
            if let Some(pair) = all.get_mut(key) {
                pair.count += count;
            }
        }
        let mut frequent: Vec<(u64, Reverse<u64>, u32)> = all
            .iter()
            .filter(|pair| pair.count >= self.min_frequency && !self.closed.contains(&pair.key))
            .map(|pair| (pair.count, Reverse(pair.key), pair.places))
            .collect();
        drop(all);
        frequent.sort_unstable_by(|a, b| b.cmp(a));
        let (mut places, mut kept) = (0, 0);
        self.least = self.min_frequency;
        while let Some(&(count, _, of_pair)) = frequent.get(kept) {
            // All pairs of one count are in or out, and one count at least is in.
            let rarer = kept.checked_sub(1).map(|before| frequent[before].0).filter(|&before| count < before);
            if let Some(before) = rarer
                && places + of_pair as usize > self.places_max
            {
                self.least = before;
                break;
            }
            places += of_pair as usize;
            kept += 1;
        }
        frequent.truncate(kept);
        self.list(&frequent, places);
    }

    /// Makes table, lists and queue of the pairs of a round.
    fn list(&mut self, frequent: &[(u64, Reverse<u64>, u32)], places: usize) {
        let mut pairs = Pairs::with_room(frequent.len() * 2);
        let mut start = 0;
        for &(count, Reverse(key), of_pair) in frequent {
            let pair = pairs.entry(key);
            (pair.count, pair.start) = (count, start);
            start += of_pair;
        }
        let mut list = vec![0; places];
        self.words.each_pair(|place, left, right, _| {
            if let Some(pair) = pairs.get_mut(key(left, right)) {
                list[(pair.start + pair.places) as usize] = place;
                pair.places += 1;
            }
        });
        self.queue = frequent.iter().map(|&(count, key, _)| (count, key)).collect();
        (self.pairs, self.places) = (pairs, list);
    }
}
