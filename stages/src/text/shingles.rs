//! Hashes of all runs of `n` words of a text.
//!
//! A word is a maximal run of letters, numbers and underscores of the text in NFC and lower case: what `re.findall(r"\w+",
//! unicodedata.normalize("NFC", text).lower())` finds in Python, so anyone can repeat what is compared. A text of fewer
//! than `n` words has one shingle, all its words; a text of no words has none. Accents and digits count: two addresses, two releases or
//! two tables that differ in their numbers alone are not the same text.
//!
//! Han, kana, Thai, Lao, Khmer and Myanmar are written without spaces, and a word of the rule above would be a whole clause. In a
//! text of which they are more than half of the bytes each of their letters is a word of its own.
//!
//! ```text
//! n = 2, "Café no. 1,5!"  →  hashes of "café no", "no 1", "1 5"
//! ```
//!
//! How: 64 bytes at a time are lower-cased and turned into a bit a byte, set in words. The ends of words are where bits
//! change; a word of up to 16 bytes is two loads and one 128-bit multiply. Text with letters outside of Latin-1 is
//! normalised first, by the tables of Unicode.

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

/// Bytes that are classified together: a bit of a mask each.
const BLOCK: usize = 64;
/// Bytes behind the text that a word may be loaded with.
const PADDING: usize = 16;
/// What the first and second half of a word are mixed with: digits of pi behind the point, as are the next two.
const HALVES: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7344];
/// A shingle is a number whose digits are the hashes of its words, to this base.
const BASE: u64 = 0xa409_3822_299f_31d1;
const LAST: u64 = 0x3f84_d5b5_b547_0917;

/// Writes the hash of every run of `n` words into `out`, in the order of the text, repeats included.
///
/// The upper 32 bits of a hash are as good as all 64.
pub fn shingles(text: &str, n: usize, out: &mut Vec<u64>) {
    Shingler::default().shingles(text, n, out);
}

/// Makes shingles of one text after the other in the same memory.
#[derive(Debug, Default)]
pub struct Shingler {
    /// The text in lower case, and at least [`PADDING`] bytes of any kind.
    lower: Vec<u8>,
    /// A bit for each byte of `lower`.
    words: Vec<u64>,
}

impl Shingler {
    /// As the function [`shingles`].
    pub fn shingles(&mut self, text: &str, n: usize, out: &mut Vec<u64>) {
        out.clear();
        let is_ascii = pulp::Arch::new().dispatch(|| self.classify(text.as_bytes()));
        if !is_ascii && !self.classify_simple(text) {
            self.normalise(text, out);
        } else {
            self.hash_words(text.len(), out);
        }
        combine(out, n.max(1));
    }

    /// Lower-cases ASCII and marks its words; `false` when there are other bytes, which are left as they are.
    #[inline(always)]
    fn classify(&mut self, text: &[u8]) -> bool {
        let length = text.len().next_multiple_of(BLOCK) + PADDING;
        if self.lower.len() < length {
            self.lower.resize(length, 0);
        }
        self.words.clear();
        let mut high = 0;
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        for (block, lower) in blocks.iter().zip(self.lower.as_chunks_mut::<BLOCK>().0) {
            self.words.push(classify_block(block, lower, &mut high));
        }
        if !rest.is_empty() {
            let mut block = [0; BLOCK];
            block[..rest.len()].copy_from_slice(rest);
            let at = blocks.len() * BLOCK;
            let lower = self.lower[at..].first_chunk_mut().expect("the buffer ends with a whole block");
            self.words.push(classify_block(&block, lower, &mut high));
        }
        high & 0x80 == 0
    }

    /// Marks the words of characters beyond ASCII that need no tables; `false` when there is one that does.
    fn classify_simple(&mut self, text: &str) -> bool {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(skipped) = next_high(&bytes[at..]) {
            at += skipped;
            let is_word = match bytes[at..] {
                // Dashes, quotes, spaces, arrows, signs and boxes: no words, no case, and nothing that composes.
                [0xe2, 0x80 | 0x87..=0x90 | 0x94..=0x9c, ..]
                // Behind these stand raised numbers.
                | [0xe2, 0x81, 0x80..=0xaf, ..]
                | [0xe2, 0x86, 0x90..=0xbf, ..] => false,
                [0xc2, second, ..] => matches!(second, 0xaa | 0xb2 | 0xb3 | 0xb5 | 0xb9 | 0xba | 0xbc..=0xbe),
                [0xc3, second, ..] => {
                    let is_letter = second != 0x97 && second != 0xb7;
                    if is_letter && second < 0x9f {
                        self.lower[at + 1] = second + 0x20;
                    }
                    is_letter
                }
                _ => return false,
            };
            let width = if bytes[at] == 0xe2 { 3 } else { 2 };
            if is_word {
                self.mark(at, width);
            }
            at += width;
        }
        true
    }

    /// Normalises by the tables of Unicode and hashes the words.
    fn normalise(&mut self, text: &str, out: &mut Vec<u64>) {
        let lower = match is_nfc_quick(text.chars()) {
            IsNormalized::Yes => text.to_lowercase(),
            _ => text.nfc().collect::<String>().to_lowercase(),
        };
        pulp::Arch::new().dispatch(|| self.classify(lower.as_bytes()));
        let mut apart = 0;
        let mut at = 0;
        while let Some(skipped) = next_high(&lower.as_bytes()[at..]) {
            at += skipped;
            let c = lower[at..].chars().next().expect("a character starts at a byte that is no ASCII");
            if is_word(c) {
                self.mark(at, c.len_utf8());
                apart += if stands_alone(c) { c.len_utf8() } else { 0 };
            }
            at += c.len_utf8();
        }
        if 2 * apart > lower.len() {
            hash_apart(&lower, out);
        } else {
            self.hash_words(lower.len(), out);
        }
    }

    /// Marks bytes as parts of a word.
    fn mark(&mut self, start: usize, width: usize) {
        for at in start..start + width {
            self.words[at / BLOCK] |= 1 << (at % BLOCK);
        }
    }

    /// Hashes the words that are marked.
    fn hash_words(&self, length: usize, out: &mut Vec<u64>) {
        let (mut start, mut inside) = (0, 0_u64);
        for (block, &mask) in self.words.iter().enumerate() {
            // A bit where a byte is in a word and the one before is not, or the other way round.
            let mut edges = mask ^ (mask << 1 | inside);
            inside = mask >> 63;
            while edges != 0 {
                let at = block * BLOCK + edges.trailing_zeros() as usize;
                if mask >> (at % BLOCK) & 1 == 1 {
                    start = at;
                } else {
                    out.push(self.word(start, at));
                }
                edges &= edges - 1;
            }
        }
        if inside == 1 {
            out.push(self.word(start, length.next_multiple_of(BLOCK)));
        }
    }

    #[inline(always)]
    fn word(&self, start: usize, end: usize) -> u64 {
        const KEPT: [[u64; 2]; PADDING + 1] = kept();
        let load = |at: usize| u64::from_le_bytes(*self.lower[at..].first_chunk().expect("padding follows"));
        let length = end - start;
        if length > PADDING {
            return hash_long(&self.lower[start..end]);
        }
        // A word has no zero byte, so zeros in place of what follows it tell words apart.
        let [first, second] = KEPT[length];
        mix(load(start) & first, load(start + 8) & second)
    }
}

/// The bits of the first bytes, for each length, in two halves.
const fn kept() -> [[u64; 2]; PADDING + 1] {
    let mut all = [[0; 2]; PADDING + 1];
    let mut length = 1;
    while length <= PADDING {
        let first = if length < 8 { length } else { 8 };
        all[length] =
            [u64::MAX >> (64 - 8 * first), if length > 8 { u64::MAX >> (64 - 8 * (length - 8)) } else { 0 }];
        length += 1;
    }
    all
}

/// Lower-cases 64 bytes and marks those that are in words; gathers the highest bits.
#[inline(always)]
fn classify_block(block: &[u8; BLOCK], lower: &mut [u8; BLOCK], high: &mut u8) -> u64 {
    let mut flags = [0_u8; BLOCK];
    for ((flag, to), &byte) in flags.iter_mut().zip(lower.iter_mut()).zip(block) {
        let is_upper = byte.wrapping_sub(b'A') < 26;
        *to = byte | u8::from(is_upper) << 5;
        let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
        *flag = u8::from(is_letter | (byte.wrapping_sub(b'0') < 10) | (byte == b'_'));
        *high |= byte;
    }
    let mut mask = 0;
    for (at, eight) in flags.as_chunks::<8>().0.iter().enumerate() {
        // The product has the flag of byte k as bit 56 + k.
        mask |= (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at);
    }
    mask
}

/// Where the first byte beyond ASCII is.
fn next_high(bytes: &[u8]) -> Option<usize> {
    let (eights, rest) = bytes.as_chunks::<8>();
    let high = |eight: &[u8; 8]| u64::from_le_bytes(*eight) & 0x8080_8080_8080_8080;
    match eights.iter().position(|eight| high(eight) != 0) {
        Some(at) => Some(8 * at + high(&eights[at]).trailing_zeros() as usize / 8),
        None => rest.iter().position(|byte| !byte.is_ascii()).map(|at| 8 * eights.len() + at),
    }
}

/// Hashes of words where each letter of a script without spaces is one.
fn hash_apart(lower: &str, out: &mut Vec<u64>) {
    let mut word = String::new();
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            out.push(hash(word.as_bytes()));
            word.clear();
        }
    };
    for c in lower.chars() {
        if stands_alone(c) {
            end(&mut word);
            word.push(c);
            end(&mut word);
        } else if is_word(c) {
            word.push(c);
        } else {
            end(&mut word);
        }
    }
    end(&mut word);
}

fn hash(word: &[u8]) -> u64 {
    if word.len() > PADDING {
        return hash_long(word);
    }
    let [first, second] = halves(word);
    mix(first, second)
}

fn hash_long(word: &[u8]) -> u64 {
    word.chunks(PADDING).fold(0, |all, part| {
        let [first, second] = halves(part);
        mix(all ^ first, second)
    })
}

/// Up to 16 bytes, and zeros behind them.
fn halves(bytes: &[u8]) -> [u64; 2] {
    let mut both = [0; PADDING];
    both[..bytes.len()].copy_from_slice(bytes);
    let both = u128::from_le_bytes(both);
    [both as u64, (both >> 64) as u64]
}

#[inline(always)]
const fn mix(first: u64, second: u64) -> u64 {
    let product = (first ^ HALVES[0]) as u128 * (second ^ HALVES[1]) as u128;
    product as u64 ^ (product >> 64) as u64
}

/// Replaces word hashes by hashes of `n` words in a row, in place.
fn combine(hashes: &mut Vec<u64>, n: usize) {
    if hashes.is_empty() {
        return;
    }
    let count = hashes.len().saturating_sub(n) + 1;
    if n == FIVE && hashes.len() >= n {
        pulp::Arch::new().dispatch(|| combine_five(hashes, count));
    } else {
        for at in 0..count {
            let words = &hashes[at..hashes.len().min(at + n)];
            hashes[at] =
                last(words.iter().fold(0, |sum: u64, word| sum.wrapping_mul(BASE).wrapping_add(*word)));
        }
    }
    hashes.truncate(count);
}

/// Words of a shingle that there is a fast way for.
const FIVE: usize = 5;

/// The same for five words: of two pairs and one, so with three multiplications, and many shingles at once.
#[inline(always)]
fn combine_five(hashes: &mut [u64], count: usize) {
    const SQUARE: u64 = BASE.wrapping_mul(BASE);
    const STRIDE: usize = 64;
    let (mut pairs, mut done) = ([0_u64; STRIDE + 2], [0_u64; STRIDE]);
    // What is written is read no more: blocks go through a buffer, so that the loops have no dependence.
    for start in (0..count).step_by(STRIDE) {
        let length = STRIDE.min(count - start);
        let words = &hashes[start..start + length + FIVE - 1];
        for ((pair, first), second) in pairs.iter_mut().zip(words).zip(&words[1..]) {
            *pair = first.wrapping_mul(BASE).wrapping_add(*second);
        }
        let fours = pairs.iter().zip(&pairs[2..]).map(|(a, b)| a.wrapping_mul(SQUARE).wrapping_add(*b));
        for ((to, four), word) in done.iter_mut().zip(fours).zip(&words[FIVE - 1..]) {
            *to = last(four.wrapping_mul(BASE).wrapping_add(*word));
        }
        hashes[start..start + length].copy_from_slice(&done[..length]);
    }
}

/// Every bit of the sum counts in the upper half of the hash.
#[inline(always)]
const fn last(sum: u64) -> u64 {
    let mixed = (sum ^ (sum >> 32)).wrapping_mul(LAST);
    mixed ^ (mixed >> 29)
}

/// Letters and numbers, as `\w` of Python has them; ASCII is not asked for.
fn is_word(c: char) -> bool {
    matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
}

/// Letters of scripts that are written without spaces.
fn stands_alone(c: char) -> bool {
    matches!(c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3041}'..='\u{30ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
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

    /// The words by their definition, one character after the other.
    fn words(text: &str) -> Vec<String> {
        let lower = text.nfc().collect::<String>().to_lowercase();
        let split = lower.split(|c: char| !(is_word(c) || c == '_'));
        split.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    #[test]
    fn form_does_not_count() {
        check_same("The quick, brown fox -- 42 times!", "the QUICK brown\nfox (42) times…");
        check_same("Café ÉCOLE", "cafe\u{301} école");
        check_same("ΟΔΟΣ ΣΑΣ", "οδος σας");
        check_same("“a”—b\u{a0}c", "A b C");
        assert_ne!(of("x⁴", 1), of("x", 1));
        check_same("中文字", "中 文 字");
        for (a, b) in [("cafe", "café"), ("a_b", "a b"), ("1.5", "15"), ("9", "10"), ("ab", "a b")] {
            assert_ne!(of(a, 1), of(b, 1), "{a:?} and {b:?}");
        }
        assert_ne!(of("a b", 2), of("b a", 2));
        // A few letters of another script do not part: the words around them are those of the rule.
        check_same("the word 中文 here", "The word (中文) here");
        assert_eq!(of("the word 中文 here", 1).len(), 4);
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
            ("中文字典里有", 5, 2),
        ] {
            assert_eq!(of(text, n).len(), count, "{text:?} by {n}");
        }
    }

    #[test]
    fn many_words_are_hashed_as_few_are() {
        let text = (0..1000).map(|n| format!("w{n}")).collect::<Vec<_>>();
        let whole = of(&text.join(" "), 5);
        for at in [0, 1, 58, 59, 60, 61, 63, 64, 65, 500, 995] {
            assert_eq!(of(&text[at..at + 5].join("-"), 5), [whole[at]], "{at}");
        }
        // Two words are the digits of a number to the base, as five are.
        let one = |word: &str| hash(word.as_bytes());
        assert_eq!(of("Two words", 5), [last(one("two").wrapping_mul(BASE).wrapping_add(one("words")))]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn words_are_those_of_the_definition(text in "([a-zA-Z0-9_ ,.\u{e0}\u{c9}ßİΣ\u{301}“—²½中й]|[a-z]{5,40}|\\PC){0,90}") {
            let alone = text.chars().filter(|c| stands_alone(*c)).map(char::len_utf8).sum::<usize>();
            prop_assume!(2 * alone < text.len());
            let expected: Vec<u64> = words(&text).iter().map(|word| hash(word.as_bytes())).collect();
            let mut found = Vec::new();
            let mut shingler = Shingler::default();
            // What is left from a longer text must not be seen.
            shingler.shingles(&"Z".repeat(500), 1, &mut found);
            shingler.shingles(&text, 1, &mut found);
            prop_assert_eq!(found, expected.iter().map(|word| last(*word)).collect::<Vec<_>>());
        }
    }
}
