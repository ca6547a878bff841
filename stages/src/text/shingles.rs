//! Hashes of all runs of `n` words of a text, after a normalisation under which small edits of form do not count.
//!
//! The normalisation is that of datatrove (`reference`: FineWeb's MinHash), made fit for all scripts: lower case;
//! canonical decomposition without nonspacing marks; a run of decimal digits, with one decimal part, is the word `0`
//! or a `0` inside a word; all that is no letter, digit or mark stands between words. A Han, kana, Thai, Lao, Khmer or
//! Myanmar character is a word of its own, for these scripts set no spaces. A text of fewer than `n` words has one
//! shingle, all its words; a text of no words has none.
//!
//! ```text
//! n = 2, "Café no. 1,5!"  →  hashes of "cafe no", "no 0"
//! ```

use unicode_normalization::char::decompose_canonical;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory as _};
use xxhash_rust::xxh3::xxh3_64;

/// Multiplier of the combination of word hashes: 2^64 over the golden ratio, odd.
const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;

/// Writes the hash of every run of `n` words into `out`, in the order of the text, repeats included.
pub fn shingles(text: &str, n: usize, out: &mut Vec<u64>) {
    out.clear();
    let mut words = Words { word: Vec::with_capacity(64), hashes: std::mem::take(out) };
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = rest.bytes().position(|b| !b.is_ascii()).unwrap_or(rest.len());
        words.ascii(&rest.as_bytes()[..ascii]);
        rest = &rest[ascii..];
        let other = rest.bytes().position(|b| b.is_ascii()).unwrap_or(rest.len());
        rest[..other].chars().for_each(|c| words.other(c));
        rest = &rest[other..];
    }
    words.end();
    *out = words.hashes;
    combine(out, n.max(1));
}

/// Replaces word hashes by hashes of `n` words in a row, in place.
fn combine(hashes: &mut Vec<u64>, n: usize) {
    let hash = |words: &[u64]| {
        let mixed = words.iter().fold(0_u64, |all, word| (all.rotate_left(5) ^ word).wrapping_mul(PRIME));
        mixed ^ (mixed >> 32)
    };
    if hashes.is_empty() {
        return;
    }
    let count = hashes.len().saturating_sub(n) + 1;
    for at in 0..count {
        let end = hashes.len().min(at + n);
        hashes[at] = hash(&hashes[at..end]);
    }
    hashes.truncate(count);
}

/// The word that is being read and the hashes of those before it.
struct Words {
    word: Vec<u8>,
    hashes: Vec<u64>,
}

impl Words {
    fn end(&mut self) {
        if !self.word.is_empty() {
            self.hashes.push(xxh3_64(&self.word));
            self.word.clear();
        }
    }

    fn ascii(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            at += 1;
            if byte.is_ascii_alphabetic() {
                self.word.push(byte | 0x20);
            } else if byte.is_ascii_digit() {
                at += digits(&bytes[at..]);
                if let [b'.' | b',', b'0'..=b'9', ..] = &bytes[at..] {
                    at += 1 + digits(&bytes[at + 1..]);
                }
                self.word.push(b'0');
            } else {
                self.end();
            }
        }
    }

    fn other(&mut self, c: char) {
        if stands_alone(c) {
            self.end();
            self.letter(c);
            self.end();
        } else if c.general_category() == GeneralCategory::DecimalNumber {
            if self.word.last() != Some(&b'0') {
                self.word.push(b'0');
            }
        } else if c.is_alphanumeric() || is_mark(c) {
            for lower in c.to_lowercase() {
                decompose_canonical(lower, |part| self.letter(part));
            }
        } else {
            self.end();
        }
    }

    fn letter(&mut self, c: char) {
        if c.general_category() != GeneralCategory::NonspacingMark {
            self.word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|b| b.is_ascii_digit()).count()
}

fn is_mark(c: char) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark, SpacingMark};
    matches!(c.general_category(), NonspacingMark | SpacingMark | EnclosingMark)
}

/// Letters of scripts that are written without spaces.
fn stands_alone(c: char) -> bool {
    let script = matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3041}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}');
    script && c.is_alphabetic()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str, n: usize) -> Vec<u64> {
        let mut out = vec![7];
        shingles(text, n, &mut out);
        out
    }

    fn check_same(a: &str, b: &str) {
        assert_eq!(of(a, 1), of(b, 1), "{a:?} and {b:?}");
    }

    #[test]
    fn form_does_not_count() {
        check_same("The quick, brown fox -- 42 times!", "the QUICK brown\nfox 7 times");
        check_same("Café ÉCOLE", "cafe\u{301} école");
        check_same("cafe", "café");
        check_same("1,234.5", "9 9");
        check_same("v1.2 ١٢", "v9 5");
        check_same("中文", "中 文");
        check_same("a_b", "a b");
        assert_ne!(of("ab", 1), of("a b", 1));
        assert_ne!(of("a b", 2), of("b a", 2));
    }

    #[test]
    fn counts() {
        for (text, n, count) in [
            ("", 5, 0),
            ("...", 5, 0),
            ("\u{301}", 5, 0),
            ("a b", 5, 1),
            ("a b c d e", 5, 1),
            ("a b c d e f", 5, 2),
        ] {
            assert_eq!(of(text, n).len(), count, "{text:?} by {n}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shared_run_of_words_is_a_shared_shingle(words in prop::collection::vec("[a-zäß中0-9]{1,5}", 3..9), tail in "\\PC{0,20}") {
            let text = words.join(" ");
            let longer = format!("{text} {tail}");
            prop_assert_eq!(of(&text, 2)[0], of(&longer, 2)[0]);
        }
    }
}
