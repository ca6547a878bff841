//! Our own rule: which items a document holds, however they are spaced, punctuated and capitalised.
//!
//! The letters and digits of each question are a *target*; a text without an answer makes one, or one for each 64 words of it. The
//! scan looks at 16 letters from each word start of a document, and compares targets that have such a window letter by letter. A
//! target of up to `words_whole` words must be there whole, from the start of a word to the end of one. Of a longer one `share_min` of
//! the letters must be there in pieces of 16 and more, close together, and half of the last twelve words of a question: a
//! document that only quotes the poem which is asked about has not seen the question.

use super::anchors::{Anchors, Place};
use super::items::{Item, Set};
use super::strength::Strength;
use super::{Find, Finder};
use crate::text::letters::{Letters, PADDING};
use memchr::memmem;
use schemas::hash::FastMap;
use std::ops::Range;

/// Letters of the windows that are looked up.
const WIDE: usize = PADDING;
/// Letters of the windows of targets that have less than [`WIDE`].
const NARROW: usize = 8;
/// Words of a part of a long text.
const PART_WORDS: usize = 64;
/// Every so many words of a long target a window is looked up.
const STRIDE: usize = 4;
/// Targets that may share a window; one that more share is looked up only for a target that has no other.
const SHARED_MAX: u32 = 64;
/// Letters that are compared before a window.
const BACK_MAX: usize = 256;
/// Windows that are looked up for a target that must be there whole.
const WHOLE_ANCHORS: usize = 2;
/// Words at the end of a question of which half must be there.
const TAIL_WORDS: usize = 12;
/// Letters between a question and its answer.
const GOLD_GAP: usize = 48;
/// Letters behind a question in which two of its choices say that it is that question.
const CHOICES_WITHIN: usize = 800;
/// Letters that these choices have together.
const CHOICES_LETTERS: usize = 8;

/// What is looked for.
#[derive(Debug)]
struct Target {
    set: u32,
    item: u32,
    row: Vec<u8>,
    /// Where its words start.
    starts: Vec<u32>,
    strength: Strength,
    /// From where on half must be there; the length of the row where nothing must.
    tail: usize,
    whole: bool,
    /// The right answers and the others, as rows, where an answer is needed.
    golds: Vec<Vec<u8>>,
    others: Vec<Vec<u8>>,
}

/// All targets, ready to be looked for.
#[derive(Debug)]
pub(super) struct Ours {
    targets: Vec<Target>,
    wide: Anchors<WIDE>,
    narrow: Anchors<NARROW>,
    share_min: f64,
    unusable: Vec<u64>,
}

/// A piece of a target in a document: its letters, and where they stand among those of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Piece {
    target: u32,
    at: usize,
    start: usize,
    end: usize,
}

/// The pieces of long targets in a document.
#[derive(Default)]
struct Extended {
    pieces: Vec<Piece>,
    /// Up to which letter of the document each target is compared. What lies before is not compared again, so that a text that
    /// repeats itself takes no more time than another.
    compared: FastMap<u32, usize>,
}

impl Extended {
    /// Extends a window that a target has at `start` and a document at `at`, if it is the same.
    fn take(&mut self, target: u32, row: &[u8], start: usize, document: &[u8], at: usize) {
        if self.compared.get(&target).is_some_and(|end| at < *end) {
            return;
        }
        let same = |(a, b): &(&u8, &u8)| a == b;
        let behind = row[start..].iter().zip(&document[at..]).take_while(same).count();
        if behind < WIDE {
            return;
        }
        let back = row[..start].iter().rev().zip(document[..at].iter().rev()).take(BACK_MAX);
        let before = back.take_while(same).count();
        self.compared.insert(target, at + behind);
        self.pieces.push(Piece { target, at: at - before, start: start - before, end: start + behind });
    }
}

impl Ours {
    /// Makes targets of all items.
    pub(super) fn new(sets: &[Set], words_whole: usize, share_min: f64) -> Self {
        let mut targets = Vec::new();
        let mut unusable = vec![0; sets.len()];
        for (set, Set { items, .. }) in sets.iter().enumerate() {
            for (at, item) in items.iter().enumerate() {
                let before = targets.len();
                add(item, (set as u32, at as u32), words_whole, &mut targets);
                unusable[set] += u64::from(targets.len() == before);
            }
        }
        let (wide, narrow) = (anchors(&targets, WIDE..usize::MAX), anchors(&targets, NARROW..WIDE));
        Self { targets, wide, narrow, share_min, unusable }
    }

    /// The targets that may start or lie at each word start of a document.
    fn candidates(&self, letters: &Letters, mut each: impl FnMut(Place, usize)) {
        let (padded, starts) = (letters.padded(), letters.starts());
        let mut passed = Vec::new();
        self.wide.scan(padded, starts, &mut passed);
        for (at, hash) in &passed {
            self.wide.places(*hash).iter().for_each(|place| each(*place, *at as usize));
        }
        if self.narrow.is_empty() {
            return;
        }
        self.narrow.scan(padded, starts, &mut passed);
        for (at, hash) in &passed {
            self.narrow.places(*hash).iter().for_each(|place| each(*place, *at as usize));
        }
    }

    /// A target that must be there whole, from this place on.
    fn whole(&self, target: &Target, letters: &Letters, start: usize) -> Option<Find> {
        let range = start..start + target.row.len();
        let is_there = letters.row().get(range.clone()) == Some(&target.row[..])
            && letters.is_border(range.start)
            && letters.is_border(range.end);
        let strength = is_there.then(|| strength_here(target, letters, &range))?;
        (strength > Strength::Answer).then(|| find(target, range, 1.0, strength == Strength::Rare))
    }

    /// Joins the pieces of a long target that stand close together.
    fn joined(&self, target: &Target, pieces: &[Piece], out: &mut Vec<Find>) {
        let len = target.row.len();
        let mut first = 0;
        while let Some(piece) = pieces.get(first) {
            let until = piece.at + len + len / 2 - piece.start;
            let near = pieces[first..].partition_point(|other| other.at < until);
            let near = &pieces[first..first + near];
            let mut ranges: Vec<Range<usize>> = near.iter().map(|piece| piece.start..piece.end).collect();
            let covered = cover(&mut ranges, 0..len);
            let tail = target.tail..len;
            if covered as f64 >= self.share_min * len as f64
                && 2 * cover(&mut ranges, tail.clone()) >= tail.len()
            {
                let end =
                    near.iter().map(|piece| piece.at + piece.end - piece.start).max().unwrap_or(piece.at);
                out.push(find(target, piece.at..end, covered as f64 / len as f64, false));
                first += near.len();
            } else {
                first += 1;
            }
        }
    }
}

impl Finder for Ours {
    fn find(&self, text: &str, letters: &mut Letters, out: &mut Vec<Find>) {
        letters.read(text);
        let mut extended = Extended::default();
        self.candidates(letters, |(number, start), at| {
            let target = &self.targets[number as usize];
            let start = start as usize;
            if !target.whole {
                extended.take(number, &target.row, start, letters.row(), at);
            } else if let Some(at) = at.checked_sub(start) {
                out.extend(self.whole(target, letters, at));
            }
        });
        extended.pieces.sort_unstable();
        for pieces in extended.pieces.chunk_by(|a, b| a.target == b.target) {
            self.joined(&self.targets[pieces[0].target as usize], pieces, out);
        }
        if out.is_empty() {
            return;
        }
        let offsets = Letters::offsets(text);
        for find in &mut *out {
            // Up to the last letter, not up to the first of what follows.
            let last = offsets[find.range.end - 1];
            let end = last + text[last..].chars().next().map_or(0, char::len_utf8);
            find.range = offsets[find.range.start]..end;
        }
    }

    fn unusable(&self, set: usize) -> u64 {
        self.unusable[set]
    }
}

/// Adds the targets of an item.
fn add(item: &Item, place: (u32, u32), words_whole: usize, targets: &mut Vec<Target>) {
    let letters = Letters::of(&item.query);
    let words: Vec<&[u8]> = letters.words().collect();
    let is_question = !(item.golds.is_empty() && item.others.is_empty());
    let parts =
        if is_question || words.len() < PART_WORDS * 3 / 2 { 1 } else { words.len().div_ceil(PART_WORDS) };
    for part in 0..parts {
        let words = &words[part * words.len() / parts..(part + 1) * words.len() / parts];
        let row = words.concat();
        if row.len() < NARROW {
            continue;
        }
        let strength = Strength::of(words);
        let whole = words.len() <= words_whole;
        let tail =
            if is_question { words[words.len().saturating_sub(TAIL_WORDS)..].concat().len() } else { 0 };
        let rows = |texts: &[String]| -> Vec<Vec<u8>> {
            let rows = texts.iter().map(|text| Letters::of(text).row().to_vec());
            rows.filter(|row| !row.is_empty() && strength < Strength::Words).collect()
        };
        let (golds, others) = (rows(&item.golds), rows(&item.others));
        let starts = words.iter().scan(0, |next, word| {
            *next += word.len() as u32;
            Some(*next - word.len() as u32)
        });
        let starts = starts.collect();
        let tail = row.len() - tail;
        targets.push(Target {
            set: place.0,
            item: place.1,
            row,
            starts,
            strength,
            tail,
            whole,
            golds,
            others,
        });
    }
}

/// What the words of a target are worth at this place of a document.
fn strength_here(target: &Target, letters: &Letters, range: &Range<usize>) -> Strength {
    if target.strength == Strength::Words {
        return Strength::Words;
    }
    let end = letters.row().len();
    let stands_in = |answer: &[u8], within: Range<usize>| {
        let mut places =
            memmem::find_iter(&letters.row()[within.clone()], answer).map(|at| at + within.start);
        places.any(|at| letters.is_border(at) && letters.is_border(at + answer.len()))
    };
    let choices = range.end..end.min(range.end + CHOICES_WITHIN);
    let mut found: Vec<&Vec<u8>> = target
        .golds
        .iter()
        .chain(&target.others)
        .filter(|answer| stands_in(answer, choices.clone()))
        .collect();
    found.sort_unstable();
    found.dedup();
    if found.len() >= 2 && found.iter().map(|answer| answer.len()).sum::<usize>() >= CHOICES_LETTERS {
        return Strength::Words;
    }
    let gold = target
        .golds
        .iter()
        .find(|gold| stands_in(gold, range.end..end.min(range.end + GOLD_GAP + gold.len())));
    // As many words as the letters of the answer make: five letters a word.
    let with_gold = gold.map(|gold| Strength::with_answer(target.starts.len() + gold.len().div_ceil(5)));
    with_gold.map_or(target.strength, |strength| strength.max(target.strength))
}

/// How much of `within` the ranges cover; sorts them.
fn cover(ranges: &mut [Range<usize>], within: Range<usize>) -> usize {
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let (mut covered, mut from) = (0, within.start);
    for range in ranges {
        let start = range.start.max(from);
        let end = range.end.min(within.end);
        covered += end.saturating_sub(start);
        from = from.max(end);
    }
    covered
}

fn find(target: &Target, range: Range<usize>, share: f64, common: bool) -> Find {
    Find { set: target.set, item: target.item, gram: 0, range, share: share as f32, common }
}

/// The table of windows of the targets whose length is in this range.
fn anchors<const W: usize>(targets: &[Target], lens: Range<usize>) -> Anchors<W> {
    let fits = || targets.iter().enumerate().filter(|(_, target)| lens.contains(&target.row.len()));
    let hash = |target: &Target, at: usize| target.row[at..].first_chunk().map(Anchors::<W>::hash);
    let mut shared: FastMap<u64, u32> = FastMap::default();
    for (_, target) in fits() {
        for hash in starts(target).filter_map(|at| hash(target, at)) {
            *shared.entry(hash).or_default() += 1;
        }
    }
    let mut windows = Vec::new();
    for (number, target) in fits() {
        let all: Vec<(u32, usize, u64)> =
            starts(target).filter_map(|at| hash(target, at).map(|hash| (shared[&hash], at, hash))).collect();
        let rare = all.iter().filter(|(count, ..)| *count <= SHARED_MAX);
        let mut chosen: Vec<&(u32, usize, u64)> =
            if target.whole { rare.take(1).collect() } else { rare.step_by(STRIDE).collect() };
        if target.whole || chosen.is_empty() {
            let mut rarest: Vec<&(u32, usize, u64)> = all.iter().collect();
            rarest.sort_unstable();
            chosen.extend(rarest.into_iter().take(WHOLE_ANCHORS));
        }
        windows.extend(chosen.into_iter().map(|(_, at, hash)| (*hash, (number as u32, *at as u32))));
    }
    Anchors::new(windows)
}

/// Where words start in a target.
fn starts(target: &Target) -> impl Iterator<Item = usize> {
    target.starts.iter().map(|at| *at as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn covers() {
        let check = |ranges: &[Range<usize>], within, expected| {
            assert_eq!(cover(&mut ranges.to_vec(), within), expected, "{ranges:?}");
        };
        check(&[], 0..9, 0);
        check(&[2..4, 0..3, 6..20], 0..9, 7);
        check(&[2..4, 0..3, 6..20], 3..7, 2);
        check(&[0..3, 1..2], 0..9, 3);
    }

    #[test]
    fn each_part_of_a_long_text_is_found_alone() {
        let words: Vec<String> = (0..200).map(|n| format!("w{n}x{}", n * 7919 % 1000)).collect();
        let item = Item { query: words.join(" "), ..Item::default() };
        let ours = Ours::new(&[Set { name: "s".into(), items: vec![item] }], 16, 0.75);
        assert_eq!(ours.targets.len(), 4);
        let mut out = Vec::new();
        for part in words.chunks(50) {
            out.clear();
            ours.find(&format!("one two {} three", part.join(", ")), &mut Letters::default(), &mut out);
            assert_eq!(out.len(), 1, "{part:?}");
            assert_eq!(out[0].range.start, 8);
        }
    }

    #[test]
    fn text_that_repeats_what_is_looked_for_takes_linear_time() {
        let query = "again and again and again and ".repeat(40);
        let item = Item { query: query.clone(), ..Item::default() };
        let ours = Ours::new(&[Set { name: "s".into(), items: vec![item; 50] }], 16, 0.75);
        let mut out = Vec::new();
        ours.find(&query.repeat(50), &mut Letters::default(), &mut out);
        assert!(!out.is_empty());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whole_items_are_found_in_any_form(
            words in prop::collection::vec("[a-z]{3,9}", 8..60),
            gaps in prop::collection::vec("[ ,.!\n–’]{1,3}", 60),
            upper in any::<u64>(),
            at in 0_usize..20,
        ) {
            let item = Item { query: words.join(" "), golds: vec!["x".into()], ..Item::default() };
            let ours = Ours::new(&[Set { name: "s".into(), items: vec![item] }], 16, 0.75);
            let mut text = "before ".repeat(at);
            let start = text.len();
            for (n, (word, gap)) in words.iter().zip(&gaps).enumerate() {
                text += &if upper >> n & 1 == 1 { word.to_uppercase() } else { word.clone() };
                text += gap;
            }
            let end = text.trim_end_matches(|c: char| !c.is_ascii_alphabetic()).len();
            text += "behind";
            let mut out = Vec::new();
            ours.find(&text, &mut Letters::default(), &mut out);
            prop_assert!(!out.is_empty());
            prop_assert!(out.iter().any(|find| find.range == (start..end) && find.share == 1.0), "{:?}", out);
        }
    }
}
