//! Chooses the entries of a list of misspellings that are safe: unambiguous, no word, and supported by how often words occur.
//!
//! An entry stays when
//! - it has one correction, and both are ASCII letters;
//! - the wrong word is in no list of words and in no text, English or foreign: what occurs in clean prose is no error;
//! - the right word is in a list of words and at least twice in the English text;
//! - they are at most two edits apart (a swap of neighbours is one);
//! - the wrong word has five letters or more, or is a swap of two letters of a word that occurs a thousand times;
//! - it is not the right word cut off at an end, run together with a common one, or short of vowels alone, as names in code are;
//! - it does not differ as old spelling does: a final `e`, a doubled last consonant, `y` for `i`, `v` for `u`, `-ick`, `-cion`.

use super::{Misspellings, WORD_BYTES, is_plain};
use std::collections::{BTreeMap, BTreeSet};

/// Least times that a right word occurs in the text.
const RIGHT_MIN: u32 = 2;
/// Letters of a wrong word that needs no other support, and times that the right one of a shorter one occurs.
pub(super) const LONG: usize = 5;
const COMMON: u32 = 1000;
/// Most edits between a wrong and a right word.
const EDITS_MAX: usize = 2;

/// What is known of words.
#[derive(Debug, Default)]
pub struct Knowledge {
    /// Words of lists, in lower case.
    pub words: BTreeSet<String>,
    /// Those of them that a list has in small letters: the others are names.
    pub small: BTreeSet<String>,
    /// How often a word occurs in English text, in lower case.
    pub english: BTreeMap<String, u32>,
    /// Words that occur in text of other languages, in lower case.
    pub foreign: BTreeSet<String>,
}

impl Knowledge {
    /// Takes in the words of a list, one a line.
    pub fn list(&mut self, text: &str) {
        let words = text.lines().map(str::trim).filter(|word| !word.is_empty());
        self.words.extend(words.clone().map(str::to_lowercase));
        self.small.extend(words.filter(|word| is_plain(word)).map(str::to_owned));
    }

    /// Takes in English text.
    pub fn prose(&mut self, text: &str) {
        for word in words(text) {
            *self.english.entry(word).or_default() += 1;
        }
    }

    /// Takes in text of another language.
    pub fn other(&mut self, text: &str) {
        self.foreign.extend(words(text));
    }

    /// Whether an entry is safe.
    pub fn supports(&self, wrong: &str, right: &str) -> bool {
        let plain = |word: &str| WORD_BYTES.contains(&word.len()) && is_plain(word);
        let often = self.english.get(right).copied().unwrap_or_default();
        let swapped = is_swap(wrong.as_bytes(), right.as_bytes());
        plain(wrong)
            && plain(right)
            && often >= RIGHT_MIN
            && self.words.contains(right)
            && !self.words.contains(wrong)
            && !self.english.contains_key(wrong)
            && !self.foreign.contains(wrong)
            && (wrong.len() >= LONG || swapped && often >= COMMON)
            && distance(wrong.as_bytes(), right.as_bytes()) <= EDITS_MAX
            && !is_cut(wrong, right)
            && !self.is_joined(wrong, right)
            && !is_old(wrong, right)
    }

    /// Whether the wrong word is the right one run together with a common one.
    fn is_joined(&self, wrong: &str, right: &str) -> bool {
        let rest = wrong.strip_prefix(right).or_else(|| wrong.strip_suffix(right));
        rest.is_some_and(|rest| {
            rest.len() > 1 && self.english.get(rest).is_some_and(|often| *often >= COMMON)
        })
    }

    /// The safe entries among pairs of a wrong word and its corrections, and others, which were made: also of pairs with several corrections,
    /// where one is by far the likeliest.
    pub fn choose(
        &self,
        pairs: &BTreeMap<String, BTreeSet<String>>,
        others: &BTreeMap<String, String>,
    ) -> Misspellings {
        let mut all: BTreeMap<&str, &str> =
            others.iter().map(|(wrong, right)| (wrong.as_str(), right.as_str())).collect();
        all.extend(single(pairs).filter(|(wrong, right)| self.supports(wrong, right)));
        Misspellings::new(all)
    }
}

/// The pairs that have one correction.
pub(super) fn single(pairs: &BTreeMap<String, BTreeSet<String>>) -> impl Iterator<Item = (&str, &str)> {
    let one = pairs.iter().filter(|(_, rights)| rights.len() == 1);
    one.flat_map(|(wrong, rights)| rights.iter().map(move |right| (wrong.as_str(), right.as_str())))
}

/// The words of a text: runs of letters, in lower case.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// Adds the pairs of a list: `wrong,right,…` a line, or the table of the crate `typos-dict` as it is published.
///
/// # Errors
/// A line that is no pair.
pub fn pairs(text: &str, all: &mut BTreeMap<String, BTreeSet<String>>) -> Result<(), String> {
    if text.contains("dictgen::Map") {
        for entry in text.split("InsensitiveStr::Ascii(").skip(1) {
            let entry = entry.split(']').next().unwrap_or_default();
            // What stands between quotes is every second part.
            let mut quoted = entry.split('"').skip(1).step_by(2);
            let wrong = quoted.next().ok_or("an entry of the table has no word")?;
            all.entry(wrong.to_owned()).or_default().extend(quoted.map(str::to_owned));
        }
        return Ok(());
    }
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut fields = line.split(',').map(|field| field.trim().to_lowercase());
        let (wrong, rights) = (fields.next().unwrap_or_default(), fields.collect::<Vec<_>>());
        if wrong.is_empty() || rights.is_empty() {
            return Err(format!("line {} is not `wrong,right`", number + 1));
        }
        all.entry(wrong).or_default().extend(rights);
    }
    Ok(())
}

/// Whether two words differ by the order of two neighbours alone.
fn is_swap(a: &[u8], b: &[u8]) -> bool {
    let differ: Vec<usize> = (0..a.len().min(b.len())).filter(|n| a[*n] != b[*n]).collect();
    let [first, second] = differ[..] else { return false };
    a.len() == b.len() && second == first + 1 && a[first] == b[second] && a[second] == b[first]
}

/// Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours.
pub(super) fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut rows: [Vec<usize>; 3] = [Vec::new(), Vec::new(), (0..=b.len()).collect()];
    for i in 1..=a.len() {
        rows.rotate_left(1);
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (rows[1][j] + 1).min(row[j - 1] + 1).min(rows[1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[0][j - 2] + 1);
            }
        }
        rows[2] = row;
    }
    rows[2][b.len()]
}

/// Whether the wrong word is a piece of the right one, or a short one with vowels left out.
fn is_cut(wrong: &str, right: &str) -> bool {
    let vowel = |c: char| matches!(c, 'a' | 'e' | 'i' | 'o' | 'u');
    let bones = |word: &str| word.chars().filter(|c| !vowel(*c)).collect::<String>();
    right.starts_with(wrong)
        || right.ends_with(wrong)
        || wrong.len() < right.len() && wrong.len() <= LONG && bones(wrong) == bones(right)
}

/// Whether two words differ by their endings alone.
pub(super) fn differ_by(wrong: &str, right: &str, (old, new): &(&str, &str)) -> bool {
    wrong.strip_suffix(old).zip(right.strip_suffix(new)).is_some_and(|(wrong, right)| wrong == right)
}

/// Whether the words differ as spelling of the 17th century does from ours.
fn is_old(wrong: &str, right: &str) -> bool {
    let doubled = |word: &str| {
        let last = word.chars().next_back().unwrap_or_default();
        let once = word.strip_suffix(last).filter(|once| once.ends_with(last));
        once == Some(right)
    };
    let letters = |word: &str| word.replace('y', "i").replace(['v', 'w'], "u").replace("ie", "i");
    // Final e's alone, also before the s of a plural.
    let bare = |word: &str| word.strip_suffix('s').unwrap_or(word).trim_end_matches('e').to_owned();
    bare(wrong) == bare(right)
        || doubled(wrong)
        || doubled(wrong.trim_end_matches('e'))
        || letters(wrong) == letters(right)
        || [
            ("ick", "ic"),
            ("icke", "ic"),
            ("cion", "tion"),
            ("cions", "tions"),
            ("our", "or"),
            ("or", "our"),
            ("t", "ed"),
            ("able", "eable"),
            ("eable", "able"),
        ]
        .iter()
        .any(|endings| differ_by(wrong, right, endings))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knowledge() -> Knowledge {
        let mut known = Knowledge::default();
        known.list("receive\nseparate\nThe\nagain\nstop\nindex\nmagic\npublic\nresult\nresolution\nhouse\ntodo\nobvious\nmesage");
        let text = "receive separate again stop index magic public result resolution house obvious message occurence ";
        known.prose(&text.repeat(2));
        known.prose(&"the ".repeat(1000));
        known.other("die Kategorie obvius");
        known
    }

    fn check(wrong: &str, right: &str, expected: bool) {
        assert_eq!(knowledge().supports(wrong, right), expected, "{wrong} {right}");
    }

    #[test]
    fn what_is_safe() {
        check("recieve", "receive", true);
        check("seperate", "separate", true);
        check("hte", "the", true);
        check("resolutoin", "resolution", true);
    }

    #[test]
    fn what_is_not() {
        for (wrong, right) in [
            ("teh", "ten"),
            ("tha", "the"),
            ("againe", "again"),
            ("stopp", "stop"),
            ("stoppe", "stop"),
            ("houses", "house"),
            ("magick", "magic"),
            ("publicke", "public"),
            ("resul", "result"),
            ("esult", "result"),
            ("indx", "index"),
            ("resolucion", "resolution"),
            ("mesage", "message"),
            ("occurence", "occurrence"),
            ("obvius", "obvious"),
            ("rexxixe", "receive"),
            ("résult", "result"),
            ("aggain", "against"),
            ("againthe", "again"),
            ("to do", "todo"),
        ] {
            check(wrong, right, false);
        }
    }

    #[test]
    fn lists_of_both_forms_and_a_broken_one() {
        let mut all = BTreeMap::new();
        pairs("Hte,the\n\nrecieve,receive,relieve\n", &mut all).unwrap();
        pairs(
            "dictgen::Map {\n (dictgen::InsensitiveStr::Ascii(\n \"wrok\"\n), &[\"work\", \"wok\"]),",
            &mut all,
        )
        .unwrap();
        let found: Vec<String> = all.iter().map(|(w, r)| format!("{w}:{}", r.len())).collect();
        assert_eq!(found, ["hte:1", "recieve:2", "wrok:2"]);
        assert_eq!(pairs("a,b\nc", &mut all).unwrap_err(), "line 2 is not `wrong,right`");
        let other = BTreeMap::from(
            [("hte", "the"), ("recieve", "receive")].map(|(w, r)| (w.to_owned(), r.to_owned())),
        );
        assert_eq!(knowledge().choose(&all, &BTreeMap::new()).len(), 1);
        assert_eq!(knowledge().choose(&all, &other).len(), 2);
    }

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("abc", "acb", 1), ("abc", "abxc", 1), ("abcd", "badc", 2), ("abc", "", 3)]
        {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
        }
    }
}
