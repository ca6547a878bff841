//! Makes misspellings that no list has: slips of words, each where its word is by far the likeliest to be meant.
//!
//! How likely a slip is at a place is learned from a list of misspellings (`slips`). Times how often its word occurs, that is the *weight*
//! of a wrong form. A form stays when
//! - its weight is one or more: rare words have likely slips alone, common ones unlikely ones too;
//! - it would pass as an entry of a list (`fit`), and a list that has it names the word among its corrections;
//! - its weight is twenty times that of any other word of lists and texts one slip away, and outweighs common ones two edits away;
//! - it is likelier a misspelling than a word that nobody has listed: the text would have fewer of its like if it were full of
//!   made-up words (`likeness`);
//! - no letter is put before the word, as in names of code, and no affix, compound or old spelling explains it.
//!
//! The numbers below were chosen on prose that was kept out of the text and on the test sets of `docs/quality.md`: fewest wrong changes
//! first, then most misspellings known.

use super::fit::{Knowledge, LONG, differ_by, distance, single};
use super::is_plain;
use super::likeness::Likeness;
use super::slips::{Kind, Slip, Slips};
use std::collections::{BTreeMap, BTreeSet};

/// Letters of a word that slips are made of.
const LETTERS: std::ops::RangeInclusive<usize> = LONG..=24;
/// Least weight of a form.
const WEIGHT_MIN: f64 = 1.0;
/// How many times the weight of any rival a form has.
const RIVAL_FACTOR: f64 = 20.0;
/// Chance of a slip that makes a rival, at least, and how often a word occurs that no text has.
const RIVAL_CHANCE_MIN: f64 = 1e-4;
const RIVAL_OFTEN: f64 = 0.3;
/// Letters of a form for which words two edits away are looked at, how often these occur, and what share of that is to be outweighed.
const NEAR_MAX: usize = 8;
const NEAR_OFTEN: u32 = 500;
const NEAR_SHARE: f64 = 0.003;
/// How often a word occurs that affixes are put to, and each part of a compound.
const STEM_OFTEN: u32 = 5;
const PART_OFTEN: u32 = 100;
/// Least letters of these.
const STEM_LETTERS: usize = 3;
#[rustfmt::skip]
const SUFFIXES: &[&str] = &[
    "a", "able", "al", "d", "ed", "en", "er", "ers", "es", "ful", "ian", "ic", "ie", "ing", "ish", "ism", "ist", "ists", "less", "like", "ly", "ment", "ness",
    "o", "or", "ors", "s", "y",
];
#[rustfmt::skip]
const PREFIXES: &[&str] = &["co", "de", "dis", "in", "mis", "non", "out", "over", "pre", "re", "sub", "un"];
/// Endings of old spelling, and of ours.
const OLD_ENDINGS: &[(&str, &str)] = &[("in", "en"), ("en", "in"), ("t", ""), ("red", "ered")];

/// What forms are held against.
struct Judge<'a> {
    known: &'a Knowledge,
    pairs: &'a BTreeMap<String, BTreeSet<String>>,
    slips: Slips,
    likeness: Likeness,
    /// Words of the text, with those met twice.
    tokens: f64,
    /// Words that occur often, by their first letter.
    near: BTreeMap<u8, Vec<(&'a str, u32)>>,
}

/// Wrong forms of words, each with its word: what slips make of words of the text. Names are left alone. The pairs are of a wrong
/// word and its corrections; slips are learned from those with one.
pub fn generate(known: &Knowledge, pairs: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, String> {
    let judge = Judge::new(known, pairs);
    let mut heaviest: BTreeMap<String, (f64, &str)> = BTreeMap::new();
    let mut wrong = String::new();
    for (right, often) in &known.english {
        if !LETTERS.contains(&right.len()) || !known.small.contains(right) {
            continue;
        }
        // A letter before a word makes names: `ccache`, `etext`.
        for slip in Slip::all(right).filter(|slip| slip.kind != Kind::Put || slip.at > 0) {
            let weight = judge.slips.chance(&slip) * f64::from(*often);
            if weight < WEIGHT_MIN {
                continue;
            }
            slip.write(right, &mut wrong);
            match heaviest.get_mut(&wrong) {
                Some(kept) if kept.0 >= weight => {}
                Some(kept) => *kept = (weight, right),
                None => drop(heaviest.insert(wrong.clone(), (weight, right))),
            }
        }
    }
    heaviest.retain(|wrong, (weight, right)| judge.admits(wrong, right, *weight));
    heaviest.into_iter().map(|(wrong, (_, right))| (wrong, right.to_owned())).collect()
}

impl<'a> Judge<'a> {
    fn new(known: &'a Knowledge, pairs: &'a BTreeMap<String, BTreeSet<String>>) -> Self {
        let plain = single(pairs).filter(|(wrong, right)| is_plain(wrong) && is_plain(right));
        let mut near: BTreeMap<u8, Vec<(&str, u32)>> = BTreeMap::new();
        for (word, often) in known.english.iter().filter(|(_, often)| **often >= NEAR_OFTEN) {
            near.entry(word.as_bytes()[0]).or_default().push((word, *often));
        }
        Self {
            known,
            pairs,
            slips: Slips::learn(plain),
            likeness: Likeness::learn(known.words.iter().chain(&known.foreign).map(String::as_str)),
            tokens: known.english.values().map(|often| f64::from(*often)).sum(),
            near,
        }
    }

    /// Whether a wrong form of that weight is safe.
    fn admits(&self, wrong: &str, right: &str, weight: f64) -> bool {
        self.known.supports(wrong, right)
            && self.pairs.get(wrong).is_none_or(|rights| rights.contains(right))
            && weight >= self.tokens * self.likeness.share(wrong)
            && !is_old(wrong, right)
            && !self.is_derived(wrong, right)
            && !self.is_compound(wrong)
            && !self.has_near(wrong, right, weight)
            && !self.has_rival(wrong, right, weight)
    }

    fn often(&self, word: &str) -> u32 {
        self.known.english.get(word).copied().unwrap_or_default()
    }

    /// Whether another word of lists or texts is one slip away, and not rare enough.
    fn has_rival(&self, wrong: &str, right: &str, weight: f64) -> bool {
        let mut word = String::new();
        // Slips lead back the way that they came.
        Slip::all(wrong).any(|back| {
            back.write(wrong, &mut word);
            let often = self.known.english.get(&word);
            if word == right || often.is_none() && !self.known.words.contains(&word) {
                return false;
            }
            let chance = Slip::between(wrong, &word).map_or(0.0, |slip| self.slips.chance(&slip));
            let often = f64::from(often.copied().unwrap_or_default()) + RIVAL_OFTEN;
            weight < RIVAL_FACTOR * chance.max(RIVAL_CHANCE_MIN) * often
        })
    }

    /// Whether a common word is two edits from a short form.
    fn has_near(&self, wrong: &str, right: &str, weight: f64) -> bool {
        let near = self.near.get(&wrong.as_bytes()[0]).map_or(&[][..], Vec::as_slice);
        wrong.len() <= NEAR_MAX
            && near.iter().any(|(word, often)| {
                weight < NEAR_SHARE * f64::from(*often)
                    && *word != right
                    && word.len().abs_diff(wrong.len()) <= 2
                    && distance(wrong.as_bytes(), word.as_bytes()) <= 2
            })
    }

    fn is_stem(&self, word: &str, often: u32) -> bool {
        word.len() >= STEM_LETTERS && self.often(word) >= often && self.known.words.contains(word)
    }

    /// Whether a stem and an affix explain the form: `inliner` is no misspelling of `inline`. Where the right word is that stem and
    /// that suffix too, they do not: `outputing`.
    fn is_derived(&self, wrong: &str, right: &str) -> bool {
        let suffixed = SUFFIXES.iter().any(|suffix| {
            let Some(stem) = wrong.strip_suffix(suffix) else { return false };
            let before_vowel = suffix.starts_with(['a', 'e', 'i', 'o', 'u', 'y']);
            let whole = before_vowel.then(|| format!("{stem}e"));
            let single = without_twin(stem).filter(|_| before_vowel);
            let explains = |stem: &str| {
                let same = right.ends_with(suffix) && right.starts_with(stem.trim_end_matches(['e', 'y']));
                !same && self.is_stem(stem, STEM_OFTEN)
            };
            explains(stem) || whole.is_some_and(|stem| explains(&stem)) || single.is_some_and(explains)
        });
        let prefixed = PREFIXES
            .iter()
            .filter(|prefix| !right.starts_with(*prefix))
            .any(|prefix| wrong.strip_prefix(prefix).is_some_and(|stem| self.is_stem(stem, STEM_OFTEN)));
        suffixed || prefixed
    }

    fn is_compound(&self, wrong: &str) -> bool {
        (STEM_LETTERS..wrong.len())
            .any(|at| self.is_stem(&wrong[..at], PART_OFTEN) && self.is_stem(&wrong[at..], PART_OFTEN))
    }
}

/// A stem that ends in two of a letter, with one of them.
fn without_twin(stem: &str) -> Option<&str> {
    let [.., a, b] = stem.as_bytes() else { return None };
    (a == b).then(|| &stem[..stem.len() - 1])
}

/// Whether a form is one of old spelling that entries of lists seldom have: `bushells`, `smocke`, `kitchin`.
fn is_old(wrong: &str, right: &str) -> bool {
    let doubled = || {
        let (wrong, right) = (wrong.strip_suffix('s')?, right.strip_suffix('s')?);
        Some(wrong.strip_prefix(right)? == &right[right.len().checked_sub(1)?..])
    };
    let ends = OLD_ENDINGS.iter().any(|endings| differ_by(wrong, right, endings));
    doubled().unwrap_or(false) || wrong.replace("cke", "ke") == right || ends
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known of a few words, each as often as it says.
    fn knowledge() -> Knowledge {
        let mut known = Knowledge::default();
        let words = [
            ("believe", 300),
            ("believer", 1),
            ("receive", 400),
            ("separate", 300),
            ("inline", 300),
            ("kitchen", 300),
            ("station", 600),
            ("statin", 0),
            ("their", 900),
            ("there", 900),
            ("the", 5000),
            ("Venice", 900),
        ];
        for (word, often) in words {
            known.list(word);
            known.prose(&format!("{word} ").repeat(often));
        }
        known
    }

    fn check(pairs: &[(&str, &[&str])], expected: &[&str], unexpected: &[&str]) {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let pairs = pairs.iter().map(|(wrong, rights)| ((*wrong).to_owned(), own(rights))).collect();
        let made = generate(&knowledge(), &pairs);
        let has =
            |pair: &str| pair.split_once(' ').is_some_and(|(w, r)| made.get(w).is_some_and(|made| made == r));
        assert!(expected.iter().all(|pair| has(pair)), "{expected:?} of {made:?}");
        assert!(unexpected.iter().all(|wrong| !made.contains_key(*wrong)), "{unexpected:?} of {made:?}");
    }

    #[test]
    fn nothing_comes_of_no_pairs() {
        assert!(generate(&knowledge(), &BTreeMap::new()).is_empty());
    }

    #[test]
    fn slips_of_one_word_are_made_of_another() {
        check(&[("decieve", &["deceive"])], &["recieve receive", "thier their"], &["beleive", "vencie"]);
        check(&[("desparate", &["desperate"])], &["saparate separate"], &["beleive"]);
    }

    #[test]
    fn a_form_that_others_explain_is_not_made() {
        let pair: (&str, &[&str]) = ("decieve", &["deceive"]);
        check(&[pair, ("recieve", &["receive", "relieve"])], &["recieve receive"], &[]);
        check(&[pair, ("recieve", &["relieve"])], &[], &["recieve"]);
    }

    #[test]
    fn affixes_compounds_and_old_spelling_are_told() {
        let known = knowledge();
        let (pairs, derived) = (BTreeMap::new(), |judge: &Judge<'_>, word| judge.is_derived(word, "inline"));
        let judge = Judge::new(&known, &pairs);
        assert!(derived(&judge, "inliner") && derived(&judge, "stationless") && derived(&judge, "unstation"));
        assert!(!derived(&judge, "inlne") && !judge.is_compound("inlne") && judge.is_compound("thestation"));
        for (wrong, right, expected) in [
            ("bushells", "bushels", true),
            ("smocke", "smoke", true),
            ("kitchin", "kitchen", true),
            ("flowred", "flowered", true),
            ("recieve", "receive", false),
        ] {
            assert_eq!(is_old(wrong, right), expected, "{wrong} {right}");
        }
    }
}
