//! References to characters: `&amp;`, `&copy`, `&#228;`, `&#xe4;`, as the HTML standard reads them (13.2.5.72 to 13.2.5.80).

use html5ever::data::{C1_REPLACEMENTS, NAMED_ENTITIES};
use html5ever::tendril::StrTendril;
use memchr::memchr;

/// The text with its references read. In the value of an attribute, a name without semicolon before a letter, a digit or
/// an equals sign is none: `?a=b&copy=c` is an address.
pub(crate) fn read(text: &str, is_value: bool) -> StrTendril {
    let mut out = StrTendril::with_capacity(text.len() as u32);
    // What is before `done` is written.
    let (mut done, mut at) = (0, 0);
    while let Some(found) = memchr(b'&', &text.as_bytes()[at..]) {
        let start = at + found;
        at = start + 1;
        let rest = &text[at..];
        let read = match rest.strip_prefix('#') {
            Some(number) => numbered(number).map(|(c, length)| (c, None, length + 1)),
            None if rest.starts_with(|c: char| c.is_ascii_alphanumeric()) => named(rest, is_value),
            None => None,
        };
        if let Some((first, second, length)) = read {
            out.push_slice(&text[done..start]);
            out.push_char(first);
            second.into_iter().for_each(|c| out.push_char(c));
            at += length;
            done = at;
        }
    }
    out.push_slice(&text[done..]);
    out
}

/// Longest name, `CounterClockwiseContourIntegral`.
const NAME_BYTES_MAX: usize = 31;

/// The longest name that stands here: its one or two characters and its length.
fn named(text: &str, is_value: bool) -> Option<(char, Option<char>, usize)> {
    let common = [("amp;", '&'), ("nbsp;", '\u{a0}'), ("quot;", '"'), ("lt;", '<'), ("gt;", '>')];
    if let Some((name, c)) = common.iter().find(|(name, _)| text.starts_with(name)) {
        return Some((*c, None, name.len()));
    }
    // No name goes on behind a semicolon, so one that ends so is the longest.
    let word = text.bytes().take(NAME_BYTES_MAX).take_while(u8::is_ascii_alphanumeric).count();
    if text.as_bytes().get(word) == Some(&b';')
        && let Some(&(first, second)) = NAMED_ENTITIES.get(&text[..=word]).filter(|(first, _)| *first != 0)
    {
        return Some((char::from_u32(first)?, second_of(second), word + 1));
    }
    let mut found = None;
    // The table holds every beginning of a name; those that are no name stand for no character.
    for end in 1..=text.len() {
        let Some(&(first, second)) = text.get(..end).and_then(|name| NAMED_ENTITIES.get(name)) else { break };
        if first != 0 {
            found = Some((end, first, second));
        }
    }
    let (length, first, second) = found?;
    let next = text.as_bytes().get(length);
    let is_open = !text[..length].ends_with(';');
    if is_value && is_open && next.is_some_and(|b| *b == b'=' || b.is_ascii_alphanumeric()) {
        return None;
    }
    Some((char::from_u32(first)?, second_of(second), length))
}

/// The second character of a name that stands for two.
fn second_of(code: u32) -> Option<char> {
    char::from_u32(code).filter(|c| *c != '\0')
}

/// The character of the number behind `&#`, and its length with an `x` and a semicolon.
fn numbered(text: &str) -> Option<(char, usize)> {
    let (radix, from) = if text.starts_with(['x', 'X']) { (16, 1) } else { (10, 0) };
    let mut code = 0_u32;
    let mut end = from;
    while let Some(digit) = text.as_bytes().get(end).and_then(|b| char::from(*b).to_digit(radix)) {
        code = code.saturating_mul(radix).saturating_add(digit);
        end += 1;
    }
    if end == from {
        return None;
    }
    let replaced = code.checked_sub(0x80).and_then(|n| *C1_REPLACEMENTS.get(n as usize)?);
    let c = replaced.or_else(|| char::from_u32(code).filter(|c| *c != '\0'));
    Some((c.unwrap_or('\u{fffd}'), end + usize::from(text[end..].starts_with(';'))))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn references_by_name_and_number() {
        for (text, expected) in [
            ("a&amp;b&lt;&gt;&quot;&apos;&nbsp;", "a&b<>\"'\u{a0}"),
            ("&copy &copyx &copy= &notit; &notin; &unknown; &;", "© ©x ©= ¬it; ∉ &unknown; &;"),
            (
                "&#228;&#xe4;&#XE4 &#128;&#0;&#xd800;&#x110000;&#99999999999;",
                "ää\u{e4} €\u{fffd}\u{fffd}\u{fffd}\u{fffd}",
            ),
            ("&#; &#x; &# & && &&amp;", "&#; &#x; &# & && &&"),
            ("&NotEqualTilde;", "\u{2242}\u{338}"),
            ("&\u{e4};", "&\u{e4};"),
        ] {
            assert_eq!(&*read(text, false), expected, "{text}");
        }
        assert_eq!(&*read("?a&copy=b&copyc&copy;d&copy", true), "?a&copy=b&copyc©d©");
    }
}
