//! Slips: what one stroke makes of a word, and how likely, learned from pairs of a wrong and a right word.
//!
//! A slip leaves a letter out, puts one in, changes one or swaps two neighbours. Its chance at a place is how often pairs have it
//! there by how often their right words have the place; a place is known by its neighbours, and what is seldom seen with
//! these leans on the letter alone, that on the kind of slip.

use super::{prefix, suffix};
use std::collections::BTreeMap;

/// How many places weigh as much as what is known of the wider class of places.
const LEAN_ON_LETTER: f64 = 20.0;
const LEAN_ON_KIND: f64 = 50.0;
const LEAN_ON_NOTHING: f64 = 1000.0;
/// Letters that can be put in or take the place of another.
const CHOICES: f64 = 25.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Drop,
    Put,
    Change,
    Swap,
}

/// One slip of a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slip {
    pub(super) kind: Kind,
    /// Where: the first letter that it touches, or stands before.
    pub(super) at: usize,
    before: u8,
    letter: u8,
    after: u8,
    /// The letter that comes in, or zero.
    put: u8,
}

/// A class of places: the kind of slip and the letters around, zero for any.
type Site = (Kind, u8, u8, u8);

impl Slip {
    fn new(kind: Kind, word: &str, at: usize, put: u8) -> Self {
        let letter = |n: usize| word.as_bytes().get(n).copied().unwrap_or(b'$');
        let before = at.checked_sub(1).map_or(b'^', letter);
        Self { kind, at, before, letter: letter(at), after: letter(at + 1), put }
    }

    /// The slip that makes one word of another, if one does. Of equal letters in a row the first is left out, and one is put
    /// in behind the others.
    pub(super) fn between(wrong: &str, right: &str) -> Option<Self> {
        let head = prefix(wrong, right);
        let tail = suffix(&wrong[head..], &right[head..]);
        let (put, gone) =
            (&wrong.as_bytes()[head..wrong.len() - tail], &right.as_bytes()[head..right.len() - tail]);
        match (put, gone) {
            ([], [letter]) => {
                let row = right.as_bytes()[..head].iter().rev().take_while(|b| *b == letter).count();
                Some(Self::new(Kind::Drop, right, head - row, 0))
            }
            ([put], []) => Some(Self::new(Kind::Put, right, head, *put)),
            ([put], [_]) => Some(Self::new(Kind::Change, right, head, *put)),
            ([a, b], [c, d]) if a == d && b == c => Some(Self::new(Kind::Swap, right, head, 0)),
            _ => None,
        }
    }

    /// Where each kind of slip is possible in a word, without the letter that comes in.
    fn places(word: &str) -> impl Iterator<Item = Self> {
        let kinds = [Kind::Drop, Kind::Put, Kind::Change, Kind::Swap];
        let places = (0..=word.len()).flat_map(move |at| kinds.map(|kind| Self::new(kind, word, at, 0)));
        places.filter(Self::is_possible)
    }

    /// All slips of a word of small letters, each with another result.
    pub(super) fn all(word: &str) -> impl Iterator<Item = Self> {
        Self::places(word).flat_map(|place| {
            let puts = if matches!(place.kind, Kind::Put | Kind::Change) { b'a'..=b'z' } else { 0..=0 };
            puts.filter(move |put| *put != place.letter).map(move |put| Self { put, ..place })
        })
    }

    const fn is_possible(&self) -> bool {
        match self.kind {
            Kind::Put => true,
            Kind::Drop => self.letter != b'$' && self.letter != self.before,
            Kind::Change => self.letter != b'$',
            Kind::Swap => self.letter != b'$' && self.after != b'$' && self.letter != self.after,
        }
    }

    /// Writes what the slip makes of its word.
    pub(super) fn write(&self, word: &str, wrong: &mut String) {
        wrong.clear();
        wrong.push_str(&word[..self.at]);
        let rest = match self.kind {
            Kind::Drop => self.at + 1,
            Kind::Put | Kind::Change => {
                wrong.push(char::from(self.put));
                self.at + usize::from(self.kind == Kind::Change)
            }
            Kind::Swap => {
                wrong.extend([char::from(self.after), char::from(self.letter)]);
                self.at + 2
            }
        };
        wrong.push_str(&word[rest..]);
    }

    /// The classes of its place, from narrow to wide.
    const fn sites(&self) -> [Site; 3] {
        let Self { kind, before, letter, after, .. } = *self;
        let (narrow, wide) = match kind {
            Kind::Drop | Kind::Change => ((kind, before, letter, after), (kind, 0, letter, 0)),
            Kind::Put => ((kind, before, letter, 0), (kind, before, 0, 0)),
            Kind::Swap => ((kind, before, letter, after), (kind, 0, letter, after)),
        };
        [narrow, wide, (kind, 0, 0, 0)]
    }

    /// Whether it makes two of a letter or one of two.
    const fn is_twin(&self) -> bool {
        match self.kind {
            Kind::Put => self.put == self.before,
            Kind::Drop => self.letter == self.after,
            Kind::Change | Kind::Swap => false,
        }
    }

    /// What happens there, as it is counted in each class: by letter, in the widest only whether of twins.
    const fn outcomes(&self) -> [u8; 3] {
        [self.put, self.put, self.is_twin() as u8]
    }
}

/// How likely slips are.
#[derive(Debug, Default)]
pub(super) struct Slips {
    places: BTreeMap<Site, u32>,
    seen: BTreeMap<(Site, u8), u32>,
}

impl Slips {
    /// Learns from pairs of a wrong and a right word; those that more than a slip parts teach nothing.
    pub(super) fn learn<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut slips = Self::default();
        for (wrong, right) in pairs {
            let Some(slip) = Slip::between(wrong, right) else { continue };
            for (site, outcome) in slip.sites().into_iter().zip(slip.outcomes()) {
                *slips.seen.entry((site, outcome)).or_default() += 1;
            }
            for site in Slip::places(right).flat_map(|place| place.sites()) {
                *slips.places.entry(site).or_default() += 1;
            }
        }
        slips
    }

    /// The chance of a slip where a word is misspelled.
    pub(super) fn chance(&self, slip: &Slip) -> f64 {
        let ([narrow, wide, kind], [put, _, twin]) = (slip.sites(), slip.outcomes());
        let places = |site| f64::from(self.places.get(&site).copied().unwrap_or_default());
        let seen = |site, outcome| f64::from(self.seen.get(&(site, outcome)).copied().unwrap_or_default());
        let one_of_many = matches!(slip.kind, Kind::Put | Kind::Change) && !slip.is_twin();
        let base =
            seen(kind, twin) / (places(kind) + LEAN_ON_NOTHING) / if one_of_many { CHOICES } else { 1.0 };
        let base = (seen(wide, put) + LEAN_ON_KIND * base) / (places(wide) + LEAN_ON_KIND);
        (seen(narrow, put) + LEAN_ON_LETTER * base) / (places(narrow) + LEAN_ON_LETTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_slip_is_found_between_its_words() {
        for word in ["receive", "accommodate", "aab", "a"] {
            let (mut wrong, mut all) = (String::new(), BTreeSet::new());
            for slip in Slip::all(word) {
                slip.write(word, &mut wrong);
                assert_eq!(Slip::between(&wrong, word), Some(slip), "{wrong} {word}");
                assert!(all.insert(wrong.clone()), "{wrong} comes twice");
            }
        }
        for (wrong, right) in [("same", "same"), ("abcd", "badc"), ("", "ab"), ("abc", "cab")] {
            assert_eq!(Slip::between(wrong, right), None, "{wrong} {right}");
        }
    }

    #[test]
    fn what_pairs_have_is_likely() {
        let pairs = [
            ("recieve", "receive"),
            ("beleive", "believe"),
            ("decieve", "deceive"),
            ("begining", "beginning"),
        ];
        let slips = Slips::learn(pairs.into_iter());
        let chance = |wrong, right| slips.chance(&Slip::between(wrong, right).unwrap());
        assert!(chance("percieve", "perceive") > 10.0 * chance("preceive", "perceive"));
        assert!(chance("runing", "running") > 10.0 * chance("ruaning", "running"));
        assert!((0.0..=1.0).contains(&chance("recieve", "receive")));
        assert_eq!(Slips::default().chance(&Slip::between("recieve", "receive").unwrap()), 0.0);
    }
}
