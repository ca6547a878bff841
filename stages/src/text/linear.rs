//! A linear classifier of short texts over hashed n-grams, small enough to live in the binary.
//!
//! Features are runs of 2 to 5 characters, words and pairs of words, each hashed into one of 2^bits buckets (Weinberger
//! et al. 2009, arXiv 0902.2206). The score of a text of N features is `1 / (1 + exp(-z))` with
//! `z = bias + scale · Σ weight[bucket] / √N`, every weight one signed byte; it is logistic regression on vectors of
//! about unit length. Before that the text is lower-cased; addresses and numeric entities vanish, a user name is `@`,
//! a digit is `0`, a character three times in a row counts twice, white space is one space.
//!
//! The file: `GMLIN`, version, then little-endian bits (u32), scale, bias (f32), length of a note (u32), the note, and a
//! zstd frame with the gaps between non-zero buckets (LEB128) followed by their weights.

pub mod rows;
pub mod train;

use std::io::Read as _;

/// What a file of weights begins with; the last byte is the version of features and layout.
const MAGIC: &[u8; 6] = b"GMLIN\x01";
/// Most buckets: 2^24.
const BITS_MAX: u32 = 24;
/// Longest run of characters that is a feature.
const CHARS_MAX: usize = 5;
/// Multiplier of the feature hash: 2^64 over the golden ratio, odd.
const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
/// Sets the hashes of words apart from those of characters.
const WORD: u64 = 0x5851_f42d_4c95_7f2d;

/// The weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    bits: u32,
    scale: f32,
    bias: f32,
    /// How the weights were made.
    pub note: String,
    weights: Vec<i8>,
}

impl Linear {
    /// Reads a file of weights.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("this is no file of weights of this version")?;
        let mut rest = rest;
        let mut number = || {
            let (first, tail) = rest.split_first_chunk::<4>().ok_or("the file of weights is cut off")?;
            rest = tail;
            Ok::<_, String>(u32::from_le_bytes(*first))
        };
        let (bits, scale, bias, note) =
            (number()?, f32::from_bits(number()?), f32::from_bits(number()?), number()?);
        if !(1..=BITS_MAX).contains(&bits) || !scale.is_finite() || !bias.is_finite() {
            return Err("the head of the file of weights is broken".into());
        }
        let (note, frame) = rest.split_at_checked(note as usize).ok_or("the file of weights is cut off")?;
        let note = String::from_utf8(note.to_vec()).map_err(|e| e.to_string())?;
        let mut body = Vec::new();
        let reader = zstd::stream::read::Decoder::new(frame).map_err(|e| e.to_string())?;
        // A bucket takes at most one weight and a gap of four bytes.
        reader.take(5 << bits).read_to_end(&mut body).map_err(|e| e.to_string())?;
        Ok(Self {
            bits,
            scale,
            bias,
            note,
            weights: unpack(&body, 1 << bits).ok_or("the weights are broken")?,
        })
    }

    /// Writes a file of weights.
    pub fn write(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        for number in [self.bits, self.scale.to_bits(), self.bias.to_bits(), self.note.len() as u32] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(self.note.as_bytes());
        let frame =
            zstd::bulk::compress(&pack(&self.weights), 19).expect("compressing in memory cannot fail");
        out.extend_from_slice(&frame);
        out
    }

    /// The score of a text, 0 to 1.
    pub fn score(&self, text: &str, scratch: &mut Scratch) -> f64 {
        let (mut sum, mut count) = (0_i64, 0_u32);
        features(text, self.bits, scratch, |bucket| {
            sum += i64::from(self.weights[bucket]);
            count += 1;
        });
        let z = f64::from(self.bias) + f64::from(self.scale) * sum as f64 / f64::from(count.max(1)).sqrt();
        1.0 / (1.0 + (-z).exp())
    }
}

/// Gaps between the non-zero weights, then the weights.
pub(super) fn pack(weights: &[i8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut last = 0;
    for (bucket, _) in weights.iter().enumerate().filter(|(_, w)| **w != 0) {
        let mut gap = bucket - last;
        last = bucket;
        while gap >= 0x80 {
            out.push(gap as u8 | 0x80);
            gap >>= 7;
        }
        out.push(gap as u8);
    }
    out.extend(weights.iter().filter(|w| **w != 0).map(|w| w.cast_unsigned()));
    out
}

pub(super) fn unpack(body: &[u8], buckets: usize) -> Option<Vec<i8>> {
    // Each bucket has one weight at the end and one last byte of a gap (below 0x80) at the start.
    let mut places = Vec::new();
    let (mut at, mut bucket, mut gap, mut shift) = (0, 0_usize, 0_usize, 0);
    while at + places.len() < body.len() {
        let byte = body[at];
        at += 1;
        gap |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            bucket = bucket.checked_add(gap)?;
            places.push(bucket);
            (gap, shift) = (0, 0);
        } else if shift > 21 {
            return None;
        }
    }
    let mut weights = vec![0; buckets];
    for (place, weight) in places.iter().zip(body.get(at..at + places.len())?) {
        *weights.get_mut(*place)? = weight.cast_signed();
    }
    (at + places.len() == body.len()).then_some(weights)
}

/// Bytes from which a line end, a sentence end and a space end a window, and the bytes that always do.
const WINDOW_BYTES: [usize; 4] = [60, 160, 320, 640];

/// Cuts a text into the pieces that are scored: lines and sentences, the short ones joined, the long ones cut.
pub fn windows(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        let (window, tail) = rest.split_at(window_end(rest));
        rest = tail;
        (!window.is_empty()).then_some(window)
    })
}

fn window_end(text: &str) -> usize {
    let [line, sentence, space, hard] = WINDOW_BYTES;
    let bytes = text.as_bytes();
    // Up to where sentences end a window, only lines do.
    let lines = bytes.get(line..sentence.min(bytes.len())).unwrap_or_default();
    if let Some(at) = lines.iter().position(|byte| *byte == b'\n') {
        return line + at + 1;
    }
    let mut at = text.ceil_char_boundary(sentence);
    while let Some(byte) = bytes.get(at) {
        if byte.is_ascii_graphic() && at < hard {
            at += 1;
            continue;
        }
        let c = text[at..].chars().next().expect("a character starts here");
        let ends = match c {
            '\n' | '。' | '！' | '？' | '।' | '؟' => true,
            c if c.is_whitespace() => at >= space || matches!(bytes[at - 1], b'.' | b'!' | b'?'),
            _ => false,
        };
        if ends || at >= hard {
            return at + c.len_utf8();
        }
        at += c.len_utf8();
    }
    text.len()
}

/// Memory that scoring uses again.
#[derive(Debug, Default)]
pub struct Scratch(Vec<u32>);

/// Calls `each` with the bucket of every feature of the text, in order.
pub fn features(text: &str, bits: u32, scratch: &mut Scratch, mut each: impl FnMut(usize)) {
    normalise(text, &mut scratch.0);
    let chars = &scratch.0;
    let mut bucket = |hash: u64| each((hash >> (64 - bits)) as usize);
    let (mut word, mut last) = (0_u64, 0_u64);
    for (at, &c) in chars.iter().enumerate() {
        let mut hash = mix(0, c);
        for &before in chars[at.saturating_sub(CHARS_MAX - 1)..at].iter().rev() {
            hash = mix(hash, before);
            bucket(hash);
        }
        if c != u32::from(' ') {
            word = mix(word, c);
        } else if word != 0 {
            bucket((word ^ WORD).wrapping_mul(PRIME));
            if last != 0 {
                bucket((word ^ last.rotate_left(29) ^ WORD).wrapping_mul(PRIME));
            }
            last = std::mem::take(&mut word);
        }
    }
}

const fn mix(hash: u64, c: u32) -> u64 {
    (hash.rotate_left(23) ^ (c as u64 + 1)).wrapping_mul(PRIME)
}

/// Writes the text as features see it, with a space at both ends.
fn normalise(text: &str, out: &mut Vec<u32>) {
    out.clear();
    out.push(u32::from(' '));
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let end = match c {
            'h' | 'H' => address(rest),
            '@' => 1 + run(&rest[1..], |b| b.is_ascii_alphanumeric() || b == b'_'),
            '&' => entity(rest),
            _ => 0,
        };
        if end > 0 {
            push(if c == '@' { '@' } else { ' ' }, out);
            rest = &rest[end..];
            continue;
        }
        rest = &rest[c.len_utf8()..];
        if c.is_ascii() {
            let plain = match c {
                '0'..='9' => '0',
                c if c.is_ascii_whitespace() || c.is_ascii_control() => ' ',
                c => c.to_ascii_lowercase(),
            };
            push(plain, out);
        } else if c.is_whitespace() {
            push(' ', out);
        } else {
            c.to_lowercase().for_each(|c| push(c, out));
        }
    }
    push(' ', out);
}

fn push(c: char, out: &mut Vec<u32>) {
    let c = u32::from(c);
    let repeats = match out[..] {
        [.., last] if c == u32::from(' ') => last == c,
        [.., before, last] => last == c && before == c,
        _ => false,
    };
    if !repeats {
        out.push(c);
    }
}

fn run(text: &str, belongs: impl Fn(u8) -> bool) -> usize {
    text.bytes().take_while(|b| belongs(*b)).count()
}

/// Length of a web address at the start.
fn address(text: &str) -> usize {
    let starts = |scheme: &str| text.get(..scheme.len()).is_some_and(|t| t.eq_ignore_ascii_case(scheme));
    if starts("http://") || starts("https://") {
        run(text, |b| b > b' ' && b != b'<' && b != b'"')
    } else {
        0
    }
}

/// Length of a numeric entity at the start.
fn entity(text: &str) -> usize {
    let Some(rest) = text.strip_prefix("&#") else { return 0 };
    let digits = run(rest, |b| b.is_ascii_hexdigit() || b == b'x');
    if (1..8).contains(&digits) && rest[digits..].starts_with(';') { digits + 3 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &str) {
        let mut out = Vec::new();
        normalise(text, &mut out);
        let found: String = out.iter().filter_map(|c| char::from_u32(*c)).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn what_features_see() {
        check("", " ");
        check("RT @some_one: SOOOO\n\tgood 42x", " rt @: soo good 00x ");
        check("see https://t.co/a&#39;b HTTP", " see http ");
        check("a&#128514;b &amp; &#; ÄÄÄ\0\u{a0}", " a b &amp; &#; ää ");
    }

    #[test]
    fn a_file_reads_back_and_a_broken_one_is_told() {
        let mut weights = vec![0; 1 << 12];
        (0..1 << 12).step_by(5).for_each(|at| weights[at] = (at % 251) as i8);
        let linear = Linear { bits: 12, scale: 0.5, bias: -0.1, note: "by hand".into(), weights };
        let bytes = linear.write();
        assert_eq!(Linear::read(&bytes).unwrap(), linear);
        assert!((0..bytes.len()).all(|end| Linear::read(&bytes[..end]).is_err_and(|e| !e.is_empty())));
        assert!(linear.score("", &mut Scratch::default()) < 0.5);
    }

    /// The rule, letter by letter.
    fn plain_end(text: &str) -> usize {
        let [line, sentence, space, hard] = WINDOW_BYTES;
        let mut last = ' ';
        for (at, c) in text.char_indices() {
            let ends = match c {
                '\n' => at >= line,
                '。' | '！' | '？' | '।' | '؟' => at >= sentence,
                c if c.is_whitespace() => at >= space || at >= sentence && matches!(last, '.' | '!' | '?'),
                _ => false,
            };
            if ends || at >= hard {
                return at + c.len_utf8();
            }
            last = c;
        }
        text.len()
    }

    #[test]
    fn windows_end_where_the_rule_says() {
        let letters = ['a', 'b', 'é', '語', '.', '!', ' ', ' ', '\u{a0}', '。', '\n'];
        let mut rng = schemas::hash::Rng::new(7);
        for size in 0..1500 {
            // Texts of few kinds of letters reach every limit.
            let kinds = 2 + size as u64 % (letters.len() as u64 - 1);
            let text: String = (0..size).map(|_| letters[rng.below(kinds) as usize]).collect();
            assert_eq!(window_end(&text), plain_end(&text), "{text:?}");
        }
    }

    #[test]
    fn windows_end_with_sentences_and_lines() {
        let check = |text: &str, sizes: &[usize]| {
            let found: Vec<usize> = windows(text).map(str::len).collect();
            assert_eq!(found, sizes, "{text:?}");
        };
        check("", &[]);
        check(" \n ", &[]);
        check("short. one!", &[11]);
        check(&format!("{}. {}", "a ".repeat(90), "b"), &[182, 1]);
        check(&format!("{}\n{}", "a".repeat(60), "b".repeat(9)), &[61, 9]);
        check(&"é".repeat(400), &[642, 158]);
        check(&"a ".repeat(200), &[322, 78]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_has_features_in_range(text in "\\PC{0,40}|[h@&#;:/ \0\u{301}ß中]{0,40}", bits in 1_u32..=24) {
            let mut all = true;
            features(&text, bits, &mut Scratch::default(), |bucket| all &= bucket < 1 << bits);
            prop_assert!(all);
        }
    }
}
