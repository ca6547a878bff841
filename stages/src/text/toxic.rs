//! The classifier of `filter.toxicity`: logistic regression over hashed words, runs of letters inside words, and the
//! order of classes of words.
//!
//! A window is words (see [`words`]), each with a class (see [`lexicon`]). Features, each hashed to a bucket: the word;
//! runs of 3 to 5 letters in it; the word with the one before, the one before that and the one before that; three words in a row.
//! They form one sum, divided by the root of their number. A second sum, by its own root, has the features of classes:
//! the class, its order among the last three classed words, and every pair of classes in the window.
//! The score is `1 / (1 + exp(-bias - scale · Σ/√n - class_scale · Σ'/√n'))`, every weight a signed byte.
//!
//! What a word has for itself is kept in a small table between texts, so that of common words only the pairs are looked up.

pub mod grammar;
pub mod lexicon;
pub mod train;
pub mod words;

use self::lexicon::{Class, IDEOGRAPHS_MAX, Lexicon, hash};
use self::words::{GROUP, Signs, Word, ideographs, is_ideograph, normal, raw_words};
use super::linear::{pack, unpack};
use std::io::Read as _;

/// What a file of weights begins with; the last byte is the version of features and layout.
const MAGIC: &[u8; 6] = b"GMTOX\x01";
/// Two to this power buckets of words, and of classes.
pub const WORD_BITS: u32 = 21;
/// Two to this power buckets of classes.
pub const CLASS_BITS: u32 = 16;
/// Multiplier of the feature hash: 2^64 over the golden ratio, odd.
const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
/// Words remembered, two to this power: nearly all that come twice in tens of megabytes of text, in 2 MiB.
const MEMORY_BITS: u32 = 16;
/// Longest word whose runs of letters are features.
const LETTERS_MAX: usize = 24;

/// The weights and the words they go with.
#[derive(Debug, Clone)]
pub struct Toxic {
    lexicon: Lexicon,
    /// Disguises that are words of their own.
    exceptions: Vec<u64>,
    bias: f32,
    scale: f32,
    class_scale: f32,
    weights: Vec<i8>,
    class_weights: Vec<i8>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    key: u64,
    word: Word,
}

/// Memory that scoring uses again. It changes no score.
#[derive(Debug)]
pub struct Scratch {
    known: Vec<Known>,
    words: Vec<Word>,
    chars: Vec<char>,
    letters: String,
}

impl Default for Scratch {
    fn default() -> Self {
        let word = Word { token: 0, class: Class::None, own: (0, 0), single: '\0' };
        Self {
            known: vec![Known { key: 0, word }; 1 << MEMORY_BITS],
            words: Vec::new(),
            chars: Vec::new(),
            letters: String::new(),
        }
    }
}

/// What a window was found to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// The logarithm of the odds that the score stands for.
    pub log_odds: f64,
    /// The score, 0 to 1.
    pub score: f64,
    /// One bit for each class met.
    pub classes: u32,
}

impl Toxic {
    /// Weights that are all zero, to be trained.
    pub fn blank(lexicon: Lexicon) -> Self {
        Self {
            lexicon,
            exceptions: Vec::new(),
            bias: 0.0,
            scale: 0.0,
            class_scale: 0.0,
            weights: vec![0; 1 << WORD_BITS],
            class_weights: vec![0; 1 << CLASS_BITS],
        }
    }

    /// Reads a file of weights; `lexicon` is the text of the words they were trained with.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn read(bytes: &[u8], lexicon: &str) -> Result<Self, String> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("this is no file of weights of this version")?;
        let mut body = Vec::new();
        let reader = zstd::stream::read::Decoder::new(rest).map_err(|e| e.to_string())?;
        reader.take(5 << (WORD_BITS + 1)).read_to_end(&mut body).map_err(|e| e.to_string())?;
        let mut rest = body.as_slice();
        let mut number = || {
            let (first, tail) = rest.split_first_chunk::<4>().ok_or("the file of weights is cut off")?;
            rest = tail;
            Ok::<_, String>(u32::from_le_bytes(*first))
        };
        let mark = number()?;
        if mark != hash(lexicon) as u32 {
            return Err("the weights were trained with another file of words".into());
        }
        let [bias, scale, class_scale] = [number()?, number()?, number()?].map(f32::from_bits);
        if ![bias, scale, class_scale].iter().all(|n| n.is_finite()) {
            return Err("the head of the file of weights is broken".into());
        }
        let exceptions = (0..number()?)
            .map(|_| Ok(u64::from(number()?) | u64::from(number()?) << 32))
            .collect::<Result<Vec<u64>, String>>()?;
        let words_len = number()? as usize;
        let (words, classes) = rest.split_at_checked(words_len).ok_or("the file of weights is cut off")?;
        let broken = || "the weights are broken".to_owned();
        let mut lexicon = Lexicon::read(lexicon)?;
        lexicon.except_hashes(&exceptions);
        Ok(Self {
            lexicon,
            exceptions,
            bias,
            scale,
            class_scale,
            weights: unpack(words, 1 << WORD_BITS).ok_or_else(broken)?,
            class_weights: unpack(classes, 1 << CLASS_BITS).ok_or_else(broken)?,
        })
    }

    /// Writes a file of weights.
    pub fn write(&self, lexicon: &str) -> Vec<u8> {
        let mut body = Vec::new();
        let number = |n: u32, body: &mut Vec<u8>| body.extend_from_slice(&n.to_le_bytes());
        number(hash(lexicon) as u32, &mut body);
        [self.bias, self.scale, self.class_scale].iter().for_each(|n| number(n.to_bits(), &mut body));
        number(self.exceptions.len() as u32, &mut body);
        for word in &self.exceptions {
            number(*word as u32, &mut body);
            number((word >> 32) as u32, &mut body);
        }
        let words = pack(&self.weights);
        number(words.len() as u32, &mut body);
        body.extend_from_slice(&words);
        body.extend_from_slice(&pack(&self.class_weights));
        let frame = zstd::bulk::compress(&body, 19).expect("compressing in memory cannot fail");
        [MAGIC.as_slice(), &frame].concat()
    }

    /// The score of a window.
    pub fn score(&self, text: &str, scratch: &mut Scratch) -> Found {
        let Scratch { known, words, chars, letters } = scratch;
        let signs = scan(text, &self.lexicon, words, |raw| {
            let key = key(raw);
            let slot = (key >> (64 - MEMORY_BITS)) as usize;
            if known[slot].key != key {
                let mut word = blank(raw, &self.lexicon, letters);
                own_features(letters, word.token, word.class, chars, |bucket| {
                    word.own.0 += i32::from(self.weights[bucket]);
                    word.own.1 += 1;
                });
                known[slot] = Known { key, word };
            }
            known[slot].word
        });
        let (mut sum, mut count) = (0_i32, 0_u32);
        for word in words.iter() {
            sum += word.own.0;
            count += word.own.1;
        }
        pairs(words, |bucket| {
            sum += i32::from(self.weights[bucket]);
            count += 1;
        });
        let (mut class_sum, mut class_count) = (0_i32, 0_u32);
        let classes = class_features(words, signs, |bucket| {
            class_sum += i32::from(self.class_weights[bucket]);
            class_count += 1;
        });
        let share = |sum: i32, count: u32| sum as f32 / (count.max(1) as f32).sqrt();
        let z = self.bias + self.scale * share(sum, count) + self.class_scale * share(class_sum, class_count);
        let log_odds = f64::from(z);
        Found { log_odds, score: probability(log_odds), classes }
    }
}

/// The probability of log-odds.
pub fn probability(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// The key of a raw word, never 0.
fn key(raw: &str) -> u64 {
    let bytes = raw.as_bytes();
    let (long, _) = bytes.as_chunks::<8>();
    let mut hash = (bytes.len() as u64).wrapping_mul(PRIME);
    for piece in long {
        hash = (hash ^ u64::from_le_bytes(*piece)).wrapping_mul(PRIME).rotate_left(31);
    }
    hash = (hash ^ tail(bytes)).wrapping_mul(PRIME);
    (hash ^ (hash >> 29)).wrapping_mul(PRIME) | 1
}

/// The last bytes of a word: eight, or all of a shorter one. With the length they tell it from others.
fn tail(bytes: &[u8]) -> u64 {
    if let Some(last) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*last);
    }
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32
        }
        _ => bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    }
}

/// A word without weights; its letters stay in `letters`.
fn blank(raw: &str, lexicon: &Lexicon, letters: &mut String) -> Word {
    let (token, class) = normal(raw, lexicon, letters);
    let mut chars = letters.chars();
    let single = chars.next().filter(|_| chars.next().is_none()).unwrap_or_default();
    Word { token, class, own: (0, 0), single }
}

/// Fills `words` with the words of a text, known by `look`; single letters and ideographs are joined to words.
fn scan(text: &str, lexicon: &Lexicon, words: &mut Vec<Word>, mut look: impl FnMut(&str) -> Word) -> Signs {
    words.clear();
    let (mut singles, mut most) = (0, 0);
    let signs = raw_words(text, |raw| {
        let word = look(raw);
        singles = if word.single == '\0' { 0 } else { singles + 1 };
        most = most.max(singles);
        words.push(word);
    });
    if most > 1 {
        join(words, lexicon, look);
    }
    signs
}

/// Joins runs of three and more single letters to a word, and gives ideographs the class of the word they spell.
fn join(words: &mut Vec<Word>, lexicon: &Lexicon, mut look: impl FnMut(&str) -> Word) {
    let singles: Vec<char> = words.iter().map(|w| w.single).collect();
    let mut out = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        let letters = singles[at..].iter().take_while(|c| c.is_ascii_alphabetic()).count();
        if letters >= 3 {
            let word: String = singles[at..at + letters].iter().collect();
            out.push(look(&word));
            at += letters;
            continue;
        }
        let run = singles[at..].iter().take(IDEOGRAPHS_MAX).take_while(|c| is_ideograph(**c)).count();
        if let Some((many, class)) = ideographs(&singles[at..at + run], lexicon) {
            let from = out.len();
            out.extend_from_slice(&words[at..at + many]);
            if class == Class::Group {
                out.truncate(from + 1);
                out[from] = Word { token: GROUP, class, own: (0, 0), single: '\0' };
            } else {
                out[from].class = class;
            }
            at += many;
            continue;
        }
        out.push(words[at]);
        at += 1;
    }
    *words = out;
}

const fn bucket(hash: u64) -> usize {
    (hash.wrapping_mul(PRIME) >> (64 - WORD_BITS)) as usize
}

/// The features that a word has for itself: the word, and the runs of 3 to 5 of its letters with its borders.
fn own_features(letters: &str, token: u64, class: Class, chars: &mut Vec<char>, mut each: impl FnMut(usize)) {
    if class == Class::Group {
        return;
    }
    each(bucket(token));
    chars.clear();
    chars.push('^');
    chars.extend(letters.chars().take(LETTERS_MAX));
    chars.push('$');
    for at in 0..chars.len() {
        let mut hash = 0_u64;
        for (many, c) in chars[at..].iter().take(5).enumerate() {
            hash = (hash.rotate_left(23) ^ (u64::from(u32::from(*c)) + 1)).wrapping_mul(PRIME);
            if many >= 2 && many + 1 < chars.len() {
                each(bucket(hash));
            }
        }
    }
}

/// The features of words together.
#[inline(always)]
fn pairs(words: &[Word], mut each: impl FnMut(usize)) {
    let (mut a, mut b, mut c) = (0_u64, 1_u64, 2_u64);
    for word in words {
        let d = word.token;
        each(bucket(c.rotate_left(29) ^ d));
        each(bucket(b.rotate_left(37) ^ d));
        each(bucket(a.rotate_left(43) ^ d));
        each(bucket((b.rotate_left(29) ^ c).wrapping_mul(PRIME).rotate_left(29) ^ d));
        (a, b, c) = (b, c, d);
    }
}

/// The features of classes; gives the classes met.
#[inline(always)]
fn class_features(words: &[Word], signs: Signs, mut each: impl FnMut(usize)) -> u32 {
    let mut met = 0_u32;
    let mut place = |kind: u64, a: u64, b: u64, c: u64| {
        let hash = (((kind << 8 | a) << 8 | b) << 8 | c).wrapping_mul(PRIME);
        each((hash >> (64 - CLASS_BITS)) as usize);
    };
    let (mut before, mut last) = ((0_u64, 0_usize), (0_u64, 0_usize));
    for (at, word) in words.iter().enumerate().filter(|(_, w)| w.class != Class::None) {
        let class = word.class as u64;
        met |= 1 << class;
        let near = |from: usize| (at - from).min(3) as u64;
        place(1, class, 0, 0);
        place(2, last.0, class, near(last.1));
        place(3, before.0, class, 0);
        place(4, before.0, last.0, class);
        (before, last) = (last, (class, at));
    }
    for (on, class) in
        [(signs.quote, Class::Quote), (signs.question, Class::Question), (signs.shout, Class::Shout)]
    {
        met |= u32::from(on) << class as u32;
    }
    let mut rest = met;
    while rest != 0 {
        let a = rest.trailing_zeros();
        rest &= rest - 1;
        place(5, u64::from(a), 0, 0);
        let mut other = rest;
        while other != 0 {
            place(6, u64::from(a), u64::from(other.trailing_zeros()), 0);
            other &= other - 1;
        }
    }
    met
}
