//! The hand-written words that `filter.toxicity` knows beforehand, by class; see `assets/lexicon.txt`.
//!
//! Every name of a group of people is one and the same word to the classifier, so none of them can weigh for itself.
//! Other classes stand beside the word: their order in a sentence ("name, should, harm") is a feature of its own.
//! Words of the classes that are disguised are also found with one letter missing or two letters swapped.

use crate::text::keys::KeyMap;
use aho_corasick::{AhoCorasick, AhoCorasickKind};
use schemas::hash::{FastMap, FastSet};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64;

/// What a word does in a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[repr(u8)]
#[expect(missing_docs, reason = "the file of words tells what each class is")]
pub enum Class {
    #[default]
    None,
    Group,
    Slur,
    Insult,
    Profanity,
    Sexual,
    Violence,
    Beast,
    Expel,
    Bad,
    Good,
    Counter,
    Negation,
    Report,
    You,
    We,
    Thing,
    Hate,
    Person,
    All,
    Should,
    Be,
    Reclaim,
    Slang,
    Quote,
    Question,
    Shout,
}

/// Classes by the name that a line of the file begins with.
const NAMES: &[(&str, Class)] = &[
    ("group", Class::Group),
    ("slang", Class::Slang),
    ("slur", Class::Slur),
    ("insult", Class::Insult),
    ("profanity", Class::Profanity),
    ("sexual", Class::Sexual),
    ("violence", Class::Violence),
    ("beast", Class::Beast),
    ("expel", Class::Expel),
    ("bad", Class::Bad),
    ("good", Class::Good),
    ("counter", Class::Counter),
    ("negation", Class::Negation),
    ("report", Class::Report),
    ("you", Class::You),
    ("we", Class::We),
    ("thing", Class::Thing),
    ("hate", Class::Hate),
    ("person", Class::Person),
    ("all", Class::All),
    ("should", Class::Should),
    ("be", Class::Be),
    ("reclaim", Class::Reclaim),
];

/// Fewest letters of a word that is found in disguise.
const DISGUISED_LETTERS_MIN: usize = 5;
/// Longest word in a script without spaces, in characters.
pub const IDEOGRAPHS_MAX: usize = 4;

/// The words by hash of their letters.
#[derive(Debug, Clone, Default)]
pub struct Lexicon {
    words: KeyMap<Class>,
    disguised: KeyMap<u64>,
    /// Finds what makes an insult of any word around it.
    stems: Option<AhoCorasick>,
    spelled: FastMap<u64, String>,
    /// First characters of words, in order, and how many characters the longest of these words has.
    starts: Vec<(char, usize)>,
    /// Words of which `*` may stand for letters, by length, then in order.
    masked: Vec<String>,
}

impl Lexicon {
    /// Reads the file of words: `class: word, word`; `stem:` lists what makes an insult of any word around it.
    ///
    /// # Errors
    /// The line that is none of these.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut out = Self::default();
        let mut stems: Vec<&str> = Vec::new();
        let mut starts = BTreeMap::new();
        for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.is_empty() && !l.starts_with('#')) {
            let wrong = || format!("lexicon:{}: expected `class: word, word`", number + 1);
            let (name, words) = line.split_once(':').ok_or_else(wrong)?;
            let words = words.split(',').map(str::trim).filter(|w| !w.is_empty());
            if name == "stem" {
                stems.extend(words);
                continue;
            }
            let class = NAMES.iter().find(|(n, _)| *n == name).ok_or_else(wrong)?.1;
            for word in words {
                out.words.entry(hash(word)).or_insert(class);
                out.spelled.entry(hash(word)).or_insert_with(|| word.to_owned());
                if let Some(first) = word.chars().next() {
                    let longest = starts.entry(first).or_default();
                    *longest = word.chars().count().max(*longest);
                }
            }
        }
        let stems = AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(stems);
        out.stems = Some(stems.map_err(|error| format!("lexicon: {error}"))?);
        out.starts = starts.into_iter().collect();
        out.disguise();
        out.mask();
        Ok(out)
    }

    fn disguise(&mut self) {
        let hidden = [Class::Group, Class::Slang, Class::Slur, Class::Insult, Class::Profanity];
        let mut plain: Vec<(&u64, &String)> = self.spelled.iter().collect();
        plain.sort_unstable();
        let mut disguised = KeyMap::default();
        for (own, word) in plain {
            if !word.is_ascii() || word.len() < DISGUISED_LETTERS_MIN || !hidden.contains(&self.words[own]) {
                continue;
            }
            for form in forms(word) {
                let form = hash(&form);
                if !self.words.contains_key(&form) {
                    disguised.entry(form).or_insert(*own);
                }
            }
        }
        self.disguised = disguised;
    }

    /// Forgets the disguises that are words of their own, and tells which were.
    pub fn except<'a>(&mut self, words: impl Iterator<Item = &'a str>) -> Vec<u64> {
        let met: FastSet<u64> = words.map(hash).filter(|w| self.disguised.contains_key(w)).collect();
        let mut met: Vec<u64> = met.into_iter().collect();
        met.sort_unstable();
        self.except_hashes(&met);
        met
    }

    /// Forgets disguises by hash.
    pub fn except_hashes(&mut self, hashes: &[u64]) {
        self.disguised.retain(|form, _| hashes.binary_search(form).is_err());
    }

    /// The word as the file spells it (a hash of its letters) and its class.
    pub fn find(&self, word: &str) -> (u64, Class) {
        let own = hash(word);
        if let Some(class) = self.words.get(&own) {
            return (own, *class);
        }
        let endings: [(&str, &str); 4] = [("'s", ""), ("s", ""), ("es", ""), ("ies", "y")];
        for (ending, instead) in endings {
            let Some(base) = word.strip_suffix(ending).filter(|b| b.len() >= 3) else { continue };
            let class = match instead {
                "" => self.words.get(&hash(base)),
                _ => self.words.get(&hash(&format!("{base}{instead}"))),
            };
            let class = class
                .filter(|c| **c as u8 <= Class::Beast as u8 || matches!(c, Class::Person | Class::Slang));
            if let Some(class) = class {
                return (own, *class);
            }
        }
        if let Some(plain) = self.disguised.get(&own) {
            return (*plain, self.words[plain]);
        }
        if word.len() >= 5 && self.stems.as_ref().is_some_and(|stems| stems.is_match(word)) {
            return (own, Class::Insult);
        }
        (own, Class::None)
    }

    /// How many characters the longest word of the file has that starts with this one; 0 when there is none.
    pub fn longest(&self, first: char) -> usize {
        self.starts.binary_search_by_key(&first, |(start, _)| *start).map_or(0, |at| self.starts[at].1)
    }

    /// The class of a word that the file has.
    pub fn class(&self, word: &str) -> Option<Class> {
        self.words.get(&hash(word)).copied()
    }

    fn mask(&mut self) {
        let hidden = [Class::Slur, Class::Slang, Class::Insult, Class::Profanity];
        let words = self.spelled.iter().filter(|(hash, _)| hidden.contains(&self.words[*hash]));
        self.masked = words.map(|(_, word)| word.clone()).collect();
        self.masked.sort_by(|a, b| a.len().cmp(&b.len()).then_with(|| a.cmp(b)));
    }

    /// The first word that fits where `*` stands for a letter.
    pub fn starred(&self, word: &str) -> Option<&str> {
        let from = self.masked.partition_point(|plain| plain.len() < word.len());
        let as_long = self.masked[from..].iter().take_while(|plain| plain.len() == word.len());
        let fits = |plain: &&str| plain.bytes().zip(word.bytes()).all(|(p, w)| w == b'*' || w == p);
        as_long.map(String::as_str).find(fits)
    }
}

/// The hash of the letters of a word.
pub fn hash(word: &str) -> u64 {
    xxh3_64(word.as_bytes())
}

/// A word with a letter missing (not the first), or two letters swapped.
fn forms(word: &str) -> Vec<String> {
    let mut out = Vec::new();
    for at in 1..word.len() {
        out.push(format!("{}{}", &word[..at], &word[at + 1..]));
        if at + 1 < word.len() {
            let (a, b) = (&word[at..=at], &word[at + 1..at + 2]);
            out.push(format!("{}{b}{a}{}", &word[..at], &word[at + 2..]));
        }
    }
    out
}
