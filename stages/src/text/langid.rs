//! Tells languages apart: the script first, then a linear model over hashed runs of letters.
//!
//! A script that one language is written in decides at once. For the others (Latin, Cyrillic, Arabic, Devanagari, Hebrew)
//! there is a table of runs of letters: one row of weights a run, one signed byte a language, and only languages of that
//! script take part. A run is 2 to 5 letters of a word, its ends counted as letters, or a whole longer word; it is known by
//! a 32-bit hash, of which the upper bits name its slot and 13 others must agree, so what was not met in training adds
//! (nearly) nothing. With `n` runs known, the logit of a language is `scale · Σ weight / √n`, sharpened by `a·n^b`, which
//! was fitted on held-out text; the score is its soft-max. A lane `und` (other languages) takes part but never wins.
//!
//! Reading stops as soon as the best language is [`STOP`] ahead of the second.
//!
//! The file: `GMLID`, version, length of a note (u32), the note, and a zstd frame: number of groups (u8), then for each
//! script (u8), bits (u8), scale, a, b (f32), labels (u8 count, three letters each), rows (u32), slots as gaps (LEB128), tags
//! (u16), and the weights, language by language. Numbers are little-endian.

pub mod codes;
mod file;
pub mod script;
pub mod train;

use codes::UND;
use script::{Letter, Letters, SCRIPTS, Script};
use std::borrow::Cow;
use unicode_normalization::UnicodeNormalization as _;

/// Lanes of a row of weights: for Latin, and for the other scripts.
const LANES: [usize; 2] = [56, 8];
/// Longest run of letters, ends of the word included.
const RUN: usize = 5;
/// Letters read between two looks at the sums; a word is not cut unless it is four times as long.
const STRIDE: usize = 40;
/// Logits that the best language must be ahead by for the rest of a text to go unread.
const STOP: f32 = 9.0;
/// Multiplier of the hash of runs: 2^64 over the golden ratio, odd.
const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
/// The hash of the end of a word.
const END: u64 = 0x2545_f491_4f6c_dd1d;
/// Sets the hashes of whole words apart.
const WORD: u64 = 0x5851_f42d_4c95_7f2d;
/// Bits of a table's entry that name the row; the others hold the tag.
const ROW_BITS: u32 = 18;
/// Values of a tag; 0 is an empty slot's.
const TAGS: u32 = 0x1fff;
/// Weight of a letter against one of an alphabet: a character of these scripts is a syllable or a word.
const DENSE: u32 = 3;

/// The tables.
#[derive(Debug, Clone)]
pub struct Model {
    letters: Letters,
    groups: Vec<Group>,
    /// Languages that take part, by code; empty for all.
    among: Vec<&'static str>,
    /// How the weights were made.
    pub note: String,
}

/// The table of a script.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    script: Script,
    labels: Vec<&'static str>,
    bits: u32,
    scale: f32,
    /// Factor and exponent by which the logits are sharpened.
    sharpen: [f32; 2],
    /// For every slot its tag and row.
    slots: Vec<u32>,
    /// Row after row, [`LANES`] each.
    weights: Vec<i8>,
}

/// Memory that detection uses again.
#[derive(Debug, Default)]
pub struct Scratch {
    letters: Vec<Letter>,
    rows: Vec<u32>,
    /// What the pieces of the last document were found to be, with their bytes.
    pub pieces: Vec<(Found, usize)>,
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// ISO 639-3 code.
    pub language: &'static str,
    /// Probability, 0 to 1.
    pub score: f64,
}

/// Sums of weights, a lane each, and how many rows went into them.
type Sums = ([i32; LANES[0]], usize);

impl Model {
    /// The same for texts that are in one of these languages for sure: no other takes part.
    #[must_use]
    pub fn among(mut self, languages: &[&'static str]) -> Self {
        self.groups = self.groups.iter().filter_map(|group| group.among(languages)).collect();
        self.among = languages.to_vec();
        self
    }

    /// The language of a script that has one; Chinese becomes Japanese where one character in twenty is kana.
    fn decided(&self, script: Script, counts: &[u32; SCRIPTS]) -> Found {
        let [kana, han] = [Script::Kana, Script::Han].map(|s| counts[s as usize]);
        let only = codes::only(script).unwrap_or(UND);
        let likely = match script {
            Script::Han if kana * 20 > kana + han => ["jpn", only],
            Script::Han => [only, "jpn"],
            _ => [only, UND],
        };
        // Where all take part, the likelier of the two.
        let found = likely.into_iter().find(|l| self.among.is_empty() || self.among.contains(l));
        match found {
            Some(language) if language != UND => Found { language, score: 1.0 },
            _ => Found { language: UND, score: 0.0 },
        }
    }

    /// The language of a document, given in pieces; `None` without letters. Leaves what each piece is in `scratch.pieces`.
    pub fn detect<'a>(
        &self,
        pieces: impl IntoIterator<Item = &'a str>,
        scratch: &mut Scratch,
    ) -> Option<Found> {
        let (mut counts, mut totals) = ([0; SCRIPTS], [const { None::<Sums> }; codes::GROUPS.len()]);
        scratch.pieces.clear();
        for piece in pieces {
            let here = self.read_letters(piece, scratch);
            counts.iter_mut().zip(here).for_each(|(all, n)| *all += n);
            let Some((script, share)) = main_script(&here) else { continue };
            let found = match self.groups.iter().position(|g| g.script == script) {
                Some(at) => {
                    let group = &self.groups[at];
                    let (sums, met) = group.read(scratch);
                    let total = totals[at].get_or_insert(([0; LANES[0]], 0));
                    total.0.iter_mut().zip(sums).for_each(|(all, n)| *all += n);
                    total.1 += met;
                    group.best(&sums, met)
                }
                None => self.decided(script, &here),
            };
            scratch.pieces.push((Found { score: found.score * share, ..found }, piece.len()));
        }
        if let [(found, _)] = scratch.pieces[..] {
            return Some(found);
        }
        let (script, share) = main_script(&counts)?;
        let group = self.groups.iter().zip(&totals).find(|(g, _)| g.script == script);
        let found = match group {
            Some((group, Some((sums, met)))) => group.best(sums, *met),
            // The script has the most letters without the most in any piece.
            Some((_, None)) => scratch.pieces.first()?.0,
            None => self.decided(script, &counts),
        };
        Some(Found { score: found.score * share, ..found })
    }

    /// Fills the scratch with the letters and counts them by script.
    fn read_letters(&self, text: &str, scratch: &mut Scratch) -> [u32; SCRIPTS] {
        let mut counts = [0; SCRIPTS];
        let text = &*composed(text);
        // There are at most as many letters as bytes.
        scratch.letters.clear();
        scratch.letters.resize(text.len(), Letter::NONE);
        let mut places = scratch.letters.iter_mut();
        for (c, place) in text.chars().zip(&mut places) {
            *place = self.letters.get(c);
            counts[place.script() % SCRIPTS] += 1;
        }
        let rest = places.len();
        scratch.letters.truncate(text.len() - rest);
        counts
    }
}

/// The text with its letters and accents in one, as the weights know them.
fn composed(text: &str) -> Cow<'_, str> {
    // The bytes that U+0300 to U+036F begin with.
    match memchr::memchr2(0xcc, 0xcd, text.as_bytes()) {
        Some(_) => Cow::Owned(text.nfc().collect()),
        None => Cow::Borrowed(text),
    }
}

/// The script with the most letters, and its share of them.
fn main_script(counts: &[u32; SCRIPTS]) -> Option<(Script, f64)> {
    let mut counts = *counts;
    counts[Script::None as usize] = 0;
    let east = [Script::Kana, Script::Han].map(|s| std::mem::take(&mut counts[s as usize]));
    counts[Script::Han as usize] = east.iter().sum::<u32>() * DENSE;
    counts[Script::Hangul as usize] *= DENSE;
    let (all, best) = (counts.iter().sum::<u32>(), *counts.iter().max()?);
    let at = counts.iter().position(|n| *n == best).filter(|_| best > 0)?;
    Some((Script::ALL[at], f64::from(best) / f64::from(all)))
}

impl Group {
    /// The table with the lanes of some languages alone, that of other languages among them; `None` where none of them is in it.
    fn among(&self, languages: &[&'static str]) -> Option<Self> {
        let named = self.labels.iter().enumerate();
        let kept: Vec<usize> = named
            .filter(|(_, label)| **label == UND || languages.contains(label))
            .map(|(lane, _)| lane)
            .collect();
        let labels: Vec<&'static str> = kept.iter().map(|lane| self.labels[*lane]).collect();
        if labels.iter().all(|label| *label == UND) {
            return None;
        }
        let row = |row: &[i8]| {
            let mut out = vec![0; row.len()];
            out.iter_mut().zip(&kept).for_each(|(place, lane)| *place = row[*lane]);
            out
        };
        let weights = self.weights.chunks_exact(self.lanes()).flat_map(row).collect();
        Some(Self { labels, weights, slots: self.slots.clone(), ..*self })
    }

    const fn lanes(&self) -> usize {
        lanes(self.script)
    }

    /// Reads the letters until one language is far enough ahead.
    fn read(&self, scratch: &mut Scratch) -> Sums {
        let (mut sums, mut met) = ([0; LANES[0]], 0);
        let mut letters = &scratch.letters[..];
        while !letters.is_empty() {
            let (head, tail) = letters.split_at(stride(letters, self.script));
            letters = tail;
            self.rows(head, &mut scratch.rows);
            met += scratch.rows.len();
            if self.lanes() == LANES[0] {
                add::<{ LANES[0] }>(&self.weights, &scratch.rows, &mut sums);
            } else {
                add::<{ LANES[1] }>(&self.weights, &scratch.rows, &mut sums);
            }
            if !letters.is_empty() && self.gap(&sums, met) > STOP {
                break;
            }
        }
        (sums, met)
    }

    /// The rows of the runs that the table knows.
    fn rows(&self, letters: &[Letter], rows: &mut Vec<u32>) {
        // One run of each size ends at a letter or an end of a word, of which there are at most two, and a word.
        let most = letters.len() * (RUN + 1) + 2 * RUN;
        if rows.len() < most {
            rows.resize(most, 0);
        }
        let mut met = 0;
        let (slots, shift) = (&self.slots[..], 32 - self.bits);
        runs(letters, self.script, |hash| {
            let entry = slots[(hash >> shift) as usize];
            rows[met] = entry & ((1 << ROW_BITS) - 1);
            met += usize::from(entry >> ROW_BITS == tag(hash));
        });
        rows.truncate(met);
    }

    /// What a sum counts for when so many runs were known.
    fn factor(&self, met: usize) -> f32 {
        let n = met.max(1) as f32;
        self.scale * self.sharpen[0] * n.powf(self.sharpen[1] - 0.5)
    }

    /// By how much the best language is ahead of all others.
    fn gap(&self, sums: &[i32], met: usize) -> f32 {
        let (mut first, mut second) = (i32::MIN, i32::MIN);
        for sum in &sums[..self.labels.len()] {
            second = second.max(first.min(*sum));
            first = first.max(*sum);
        }
        self.factor(met) * (first - second) as f32
    }

    fn best(&self, sums: &[i32], met: usize) -> Found {
        let sums = &sums[..self.labels.len()];
        let named = self.labels.iter().zip(sums).filter(|(label, _)| **label != UND);
        // The first of equals, as codes are sorted.
        let (language, best) = named.rev().max_by_key(|(_, sum)| **sum).expect("a group has languages");
        let factor = self.factor(met);
        let behind = sums.iter().map(|sum| factor * (sum - best) as f32);
        let all: f32 = behind.filter(|logit| *logit > -16.0).map(f32::exp).sum();
        Found { language, score: f64::from(1.0 / all) }
    }
}

const fn lanes(script: Script) -> usize {
    if matches!(script, Script::Latin) { LANES[0] } else { LANES[1] }
}

const fn tag(hash: u32) -> u32 {
    hash % TAGS + 1
}

/// Letters up to the end of a word behind [`STRIDE`].
fn stride(letters: &[Letter], script: Script) -> usize {
    let rest = letters.get(STRIDE..).unwrap_or_default();
    let word = rest.iter().take(3 * STRIDE).take_while(|l| l.of(script).is_some()).count();
    letters.len().min(STRIDE + word)
}

/// Adds the rows to the sums.
fn add<const W: usize>(weights: &[i8], rows: &[u32], sums: &mut [i32]) {
    let (table, _) = weights.as_chunks::<W>();
    // 250 bytes fit a 16-bit sum.
    for some in rows.chunks(250) {
        let mut part = [0_i16; W];
        for row in some {
            let row = &table[*row as usize];
            for (sum, weight) in part.iter_mut().zip(row) {
                *sum += i16::from(*weight);
            }
        }
        for (sum, part) in sums.iter_mut().zip(part) {
            *sum += i32::from(part);
        }
    }
}

/// Calls `each` with the hash of every run, in order.
fn runs(letters: &[Letter], script: Script, mut each: impl FnMut(u32)) {
    let mut word = Runs::default();
    for letter in letters {
        match letter.of(script) {
            Some(c) => word.push(c, &mut each),
            None => word.end(&mut each),
        }
    }
    word.end(&mut each);
}

/// The runs that end at a letter.
#[derive(Debug, Default)]
struct Runs {
    /// Letters of the word so far.
    letters: usize,
    /// Hashes of the last 1, 2, … letters, the start of the word counted as one.
    hashes: [u64; RUN],
    word: u64,
}

impl Runs {
    fn push(&mut self, c: u32, each: &mut impl FnMut(u32)) {
        if self.letters == 0 {
            self.hashes = [END, 0, 0, 0, 0];
            self.word = WORD;
        }
        self.letters += 1;
        self.word = mix(self.word, c);
        self.step(c, each);
    }

    fn end(&mut self, each: &mut impl FnMut(u32)) {
        if self.letters > 0 {
            self.step(0, each);
            if self.letters + 2 > RUN {
                each(upper(self.word));
            }
            self.letters = 0;
        }
    }

    fn step(&mut self, c: u32, each: &mut impl FnMut(u32)) {
        let [one, two, three, four, _] = self.hashes;
        self.hashes = [mix(0, c), mix(one, c), mix(two, c), mix(three, c), mix(four, c)];
        // The start of the word is a letter too: after k letters there are runs of up to k + 1.
        for size in 1..RUN.min(self.letters + 1 + usize::from(c == 0)) {
            each(upper(self.hashes[size]));
        }
    }
}

const fn mix(hash: u64, c: u32) -> u64 {
    (hash.rotate_left(23) ^ (c as u64 + 1)).wrapping_mul(PRIME)
}

const fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WEIGHTS: &[u8] = include_bytes!("../../assets/language.bin");

    #[test]
    fn scripts_decide_without_weights() {
        let model = Model::new(String::new(), Vec::new());
        let check = |text: &str, expected: Option<&str>| {
            let found = model.detect([text], &mut Scratch::default());
            assert_eq!(found.map(|f| f.language), expected, "{text}");
        };
        check("Καλημέρα κόσμε", Some("ell"));
        check("私はガラスを食べられます", Some("jpn"));
        check("我能吞下玻璃而不伤身体", Some("cmn"));
        check("나는 유리를 먹을 수 있어요 ok", Some("kor"));
        check("ฉันกินกระจกได้", Some("tha"));
        check("12 — !", None);
    }

    #[test]
    fn accents_of_their_own_are_those_of_letters() {
        let model = Model::read(WEIGHTS).unwrap();
        for text in ["Příliš žluťoučký kůň úpěl ďábelské ódy", "Café au lait, résumé", "Tiếng Việt"]
        {
            let found = [text.nfc().collect::<String>(), text.nfd().collect()]
                .map(|text| model.detect([&*text], &mut Scratch::default()));
            assert_eq!(found[0], found[1], "{text}");
        }
    }

    #[test]
    fn a_file_reads_back_and_a_broken_one_is_told() {
        let model = Model::read(WEIGHTS).unwrap();
        assert!(model.memory() <= 8 << 20, "{}", model.memory());
        assert!(Model::read(&WEIGHTS[..WEIGHTS.len() / 2]).is_err_and(|e| !e.is_empty()));
        assert!((0..300).all(|end| Model::read(&WEIGHTS[..end]).is_err()));
        for group in &model.groups {
            assert_eq!(codes::GROUPS.iter().find(|(s, _)| *s == group.script).unwrap().1, group.labels);
        }
    }

    #[test]
    fn runs_are_those_of_words() {
        let letters = Letters::default();
        let count = |text: &str| {
            let letters: Vec<Letter> = text.chars().map(|c| letters.get(c)).collect();
            let mut hashes = Vec::new();
            runs(&letters, Script::Latin, |hash| hashes.push(hash));
            hashes
        };
        // _a a_ _a_ · _a ab _ab b_ ab_ _ab_
        assert_eq!((count("a").len(), count("ab").len(), count("").len()), (3, 6, 0));
        assert_eq!(count("Ab 1 ab"), [count("ab"), count("AB")].concat());
        // Longer words are a run of their own.
        assert_eq!(count("abcd").len(), count("abc").len() + 5);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_has_a_score(text in "\\PC{0,90}|[a-zéßжשא中のक ]{0,400}") {
            let model = Model::read(WEIGHTS).unwrap();
            if let Some(found) = model.detect([text.as_str()], &mut Scratch::default()) {
                prop_assert!((0.0..=1.0).contains(&found.score));
            }
        }
    }
}
