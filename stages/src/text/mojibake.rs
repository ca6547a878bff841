//! Repairs UTF-8 that was read as Windows-1252 or Latin-1: `cafÃ©` → `café`, `donâ€™t` → `don’t`.
//!
//! The idea that such damage can be seen and undone is ftfy's (Speer 2019); the rule here is our own. A *sequence* is a run of
//! characters whose Windows-1252 bytes are one UTF-8 character. Real text holds a few by chance (`IRMÃ”`, `CAFÉ…`, `Spaß“`), so
//! each is weighed by what stands around it:
//!
//! - *strong*: what chance does not write. Four bytes; `Â` before a sign; `Ã` before a sign that no sentence puts there; `â€`, `áº` and
//!   their kin; a capital inside a word (`zaÅ¼`); two neighbours of one foreign script (`Ð¿Ñ€`).
//! - *weak*: everything else. Undone only in a line that has a strong one and no other character beyond ASCII.
//!
//! Damage done twice needs a second pass; the caller repeats until nothing changes.

use std::borrow::Cow;

/// What Windows-1252 shows for the bytes 0x80 to 0x9F; the five that it leaves open are as in Latin-1.
pub const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', //
    '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The byte that one of the two encodings shows as this character.
fn byte(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ 0x80..=0xff => Some(code as u8),
        0..0x80 => None,
        _ => WINDOWS_1252.iter().position(|shown| *shown == c).map(|at| 0x80 + at as u8),
    }
}

struct Sequence {
    start: usize,
    end: usize,
    /// The bytes that the characters stand for, and how many.
    bytes: [u8; 4],
    length: usize,
    decoded: char,
}

/// The sequence that starts with the character at `start`.
fn sequence(line: &str, start: usize) -> Option<Sequence> {
    let mut chars = line[start..].char_indices();
    let (_, lead) = chars.next()?;
    let lead = u8::try_from(u32::from(lead)).ok()?;
    let length = match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let mut bytes = [lead, 0, 0, 0];
    for slot in &mut bytes[1..length] {
        *slot = byte(chars.next()?.1).filter(|b| (0x80..0xc0).contains(b))?;
    }
    let end = chars.next().map_or(line.len(), |(at, _)| start + at);
    let decoded = std::str::from_utf8(&bytes[..length]).ok()?.chars().next()?;
    Some(Sequence { start, end, bytes, length, decoded })
}

/// Bytes that sentences put behind a letter: quotes, dashes, ellipsis, bullet, trade mark, no-break space, guillemets.
const fn ends_a_word(byte: u8) -> bool {
    matches!(byte, 0x82 | 0x84 | 0x85 | 0x8b | 0x91..=0x97 | 0x99 | 0x9b | 0xa0 | 0xab | 0xbb)
}

/// Scripts and blocks, roughly: neighbours of one are a word.
const fn script(c: char) -> u32 {
    match c as u32 {
        0x100..=0x24f => 1,
        0x370..=0x3ff => 2,
        0x400..=0x52f => 3,
        0x590..=0x5ff => 4,
        0x600..=0x6ff => 5,
        0x900..=0xdff => 6,
        0xe00..=0xeff => 7,
        0x10a0..=0x10ff => 8,
        0x3000..=0x9fff | 0xff00..=0xffef => 9,
        0xac00..=0xd7af => 10,
        0x1e00..=0x1eff => 11,
        _ => 0,
    }
}

fn is_quote(c: Option<char>) -> bool {
    matches!(c, Some('"' | '\'' | '`' | '“' | '”' | '‘' | '’' | '«' | '»' | '„'))
}

/// Whether chance does not write this: `before` is the text so far, repaired; `next` the sequence that follows at once.
fn is_strong(
    found: &Sequence,
    before: Option<char>,
    after: Option<char>,
    next: Option<&Sequence>,
    last: Option<char>,
) -> bool {
    let lower = |c: Option<char>| c.is_some_and(char::is_lowercase);
    let upper = before.is_some_and(char::is_uppercase);
    // Someone writes about the damage itself.
    if is_quote(before) && is_quote(after) {
        return false;
    }
    let kin = |c: Option<char>| script(found.decoded) > 0 && c.map(script) == Some(script(found.decoded));
    let trailing = found.bytes[1..found.length].iter().all(|b| ends_a_word(*b));
    let by_itself = match (found.bytes[0], found.bytes[1]) {
        (0xf0..=0xf4, _) => true,
        (0xc2, 0xa0..=0xbf) => !upper,
        (0xc3, _) if trailing => lower(before) || after.is_some_and(|c| c.is_ascii_lowercase()),
        (0xc3, _) => true,
        (0xc4 | 0xc5, _) => lower(before),
        // The letters of Vietnamese, and signs.
        (0xe1, 0xb8..=0xbb) | (0xe2, 0x80..=0xaf) => !trailing,
        (0xef, 0xbb..=0xbf | 0xac) => !trailing,
        _ => false,
    };
    by_itself || kin(next.map(|n| n.decoded)) || kin(last)
}

/// The sequences of a line, and whether it has other characters beyond ASCII.
fn scan(line: &str) -> (Vec<Sequence>, bool) {
    let (mut found, mut others) = (Vec::new(), false);
    let mut at = 0;
    while let Some(c) = line[at..].chars().next() {
        match (!c.is_ascii()).then(|| sequence(line, at)).flatten() {
            Some(sequence) => {
                at = sequence.end;
                found.push(sequence);
            }
            None => {
                others |= !c.is_ascii();
                at += c.len_utf8();
            }
        }
    }
    (found, others)
}

/// Which sequences are strong, in order.
fn weigh(line: &str, found: &[Sequence]) -> Vec<bool> {
    let mut strong: Vec<bool> = Vec::with_capacity(found.len());
    for (at, each) in found.iter().enumerate() {
        let neighbour = at.checked_sub(1).map(|left| &found[left]).filter(|left| left.end == each.start);
        let last = neighbour.map(|left| left.decoded);
        let repaired = last.filter(|_| strong.last() == Some(&true));
        let before = repaired.or_else(|| line[..each.start].chars().next_back());
        let next = found.get(at + 1).filter(|next| next.start == each.end);
        let after = line[each.end..].chars().next();
        strong.push(is_strong(each, before, after, next, last));
    }
    strong
}

/// The text with one layer of damage undone.
pub fn repair(text: &str) -> Cow<'_, str> {
    // Every lead character, U+00C2 to U+00F4, has this first byte in UTF-8.
    if memchr::memchr(0xc3, text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut copied = 0;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let (found, others) = scan(line);
        let strong = weigh(line, &found);
        let whole = !others && strong.contains(&true);
        for (sequence, strong) in found.iter().zip(strong) {
            if strong || whole {
                out.push_str(&text[copied..start + sequence.start]);
                out.push(sequence.decoded);
                copied = start + sequence.end;
            }
        }
        start += line.len();
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(repair(text), expected, "{text:?}");
    }

    /// Reads the UTF-8 of a text as Windows-1252.
    fn damage(text: &str) -> String {
        text.bytes()
            .map(
                |b| {
                    if (0x80..0xa0).contains(&b) {
                        WINDOWS_1252[usize::from(b - 0x80)]
                    } else {
                        char::from(b)
                    }
                },
            )
            .collect()
    }

    #[test]
    fn damage_is_undone() {
        check("cafÃ© donâ€™t â€œquotesâ€\u{9d} â€” 5Â°", "café don’t “quotes” — 5°");
        check("ðŸ˜€", "😀");
        check("zaÅ¼Ã³Å‚Ä‡", "zażółć");
        check("Tiáº¿ng Viá»‡t", "Tiếng Việt");
        check("Ð¿Ñ€Ð¸Ð²ÐµÑ‚", "привет");
        check("ï»¿Title", "\u{feff}Title");
        check("Ã\u{89}tude", "Étude");
        for text in [
            "Ελλάδα",
            "日本語",
            "עברית",
            "नमस्ते",
            "© 2020 Müller & Söhne",
            "naïve façade",
            "1 € – 2 £",
            "Straße",
            "ÄÖÜ äöü",
        ] {
            check(&damage(text), text);
        }
    }

    #[test]
    fn real_text_stays() {
        for text in [
            "IRMÃ”",
            "“IRMÃ…”",
            "AMANHÃ — SÃO PAULO",
            "CAFÉ… CAFÉ” «CAFÉ»",
            "Spaß“ sagte er",
            "l’été… et “café”…",
            "ROMÂNIA",
            "â€ shows up",
            "the bytes “â€™” appear",
            "Ângela",
            "PÃO",
            "É—",
            "À «",
            "Đà Nẵng",
            "ça va",
            "20 °C",
            "Ã",
            "naïve",
            "Ñ“",
            "½ Ü… Ö–",
            "señor” “niño…”",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn real_text_beside_damage_stays() {
        check("CAFÉ… costs 5 â‚¬ – cafÃ©", "CAFÉ… costs 5 € – café");
    }
}
