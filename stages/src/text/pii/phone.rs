//! Phone numbers: by the shapes in which they are written, and looser shapes only beside a word that says "phone".
//!
//! | shape | example | needs |
//! |---|---|---|
//! | international (E.164) | `+41 (0)71 526 99 04`, `001-518-640-0854` | a country code that exists |
//! | North American (NANP) | `(579) 888-3058`, `555.867.5309` | area and exchange from 2, a mark other than spaces |
//! | trunk zero | `020 7946 0958`, `03.93.92.16.85`, `(08) 8747 6301` | 9 to 12 digits in usual groups |
//! | any other | `467 3395`, `9498777106` | a word such as "phone:" before it or "fax" after it |
//!
//! Dates, ISBNs, versions, grouped thousands and parts of longer codes are none of these.

use super::{after, before, context_after, context_before, says_at};
use std::ops::Range;

/// Most groups of digits in one number.
const GROUPS_MAX: usize = 8;
/// Most characters between two groups: `) - `.
const GAP_BYTES_MAX: usize = 3;

const CUES: &[&str] = &[
    "phone",
    "phones",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "cellphone",
    "fax",
    "telefax",
    "whatsapp",
    "sms",
    "hotline",
    "helpline",
    "landline",
    "ph",
    "tlf",
    "telefon",
    "telefono",
    "teléfono",
    "téléphone",
    "telefone",
    "handy",
    "mobil",
    "móvil",
    "celular",
    "portable",
    "phone number",
    "contact number",
];
/// Words with other meanings: the number must come at once and look like one.
const WEAK_CUES: &[&str] = &[
    "call",
    "dial",
    "desk",
    "office",
    "ring",
    "contact",
    "my number is",
    "call me at",
    "call me on",
    "call us at",
    "call us on",
    "call at",
    "call back at",
    "text me at",
    "reach me at",
    "reach me on",
    "reach us at",
    "contact me at",
    "contact us at",
];
/// Words that label the number before them at the end of a line.
const LABELS: &[&str] = &["mobile", "fax", "office", "cell", "phone", "tel", "desk", "home", "work"];

/// One number as it is written.
struct Shape {
    range: Range<usize>,
    plus: bool,
    /// The digits of each group.
    groups: Vec<String>,
    /// What stands between the groups, and a parenthesis before the first.
    marks: String,
}

pub(super) fn find(text: &str, runs: &[super::Run]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut done = 0;
    for run in runs.iter().filter(|run| run.ahead >= 7).map(|run| run.start) {
        if run < done {
            continue;
        }
        let start = lead(text, run, done);
        let Some(shape) = read(text, start) else { continue };
        done = shape.range.end;
        if !opens(text, start) {
            continue;
        }
        let end = extension(text, shape.range.end);
        if closes(text, end) && is_number(text, &shape) {
            done = end;
            found.push(start..end);
        } else if let Some(space) = text[run..done].find(' ') {
            // "since 2019 555-867-5309": what stands behind the first space may be one by itself.
            done = run + space;
        }
    }
    found
}

/// Takes in a plus and a parenthesis before the first digit.
fn lead(text: &str, run: usize, floor: usize) -> usize {
    let head = &text[floor..run];
    let head = head.strip_suffix('(').unwrap_or(head);
    floor + head.strip_suffix('+').unwrap_or(head).len()
}

fn opens(text: &str, start: usize) -> bool {
    let refused = ['.', '-', '_', '/', '=', '#', '$', '€', '£', '%', '&', '@', '^', '\\', '+', '*', ','];
    match before(text, start) {
        Some(':') => !before(text, start - 1).is_some_and(|c| c.is_ascii_digit()),
        Some(c) => !c.is_alphanumeric() && !refused.contains(&c),
        None => true,
    }
}

fn closes(text: &str, end: usize) -> bool {
    match after(text, end) {
        Some('.' | ',' | '-' | ':' | '/' | '–') => {
            let mark = after(text, end).map_or(0, char::len_utf8);
            !after(text, end + mark).is_some_and(char::is_alphanumeric)
        }
        Some(c) => !c.is_alphanumeric() && !matches!(c, '_' | '%' | '°' | '=' | '@' | '*' | '^' | '€' | '$'),
        None => true,
    }
}

fn is_mark(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '\u{a0}' | '\u{2010}' | '\u{2011}')
}

/// Reads groups of digits and the marks between them; `None` when there are too many for a phone number.
fn read(text: &str, start: usize) -> Option<Shape> {
    let lead = &text[start..];
    let mut shape =
        Shape { range: start..start, plus: lead.starts_with('+'), groups: Vec::new(), marks: String::new() };
    let mut at = start + usize::from(shape.plus);
    if text[at..].starts_with('(') {
        shape.marks.push('(');
        at += 1;
    }
    loop {
        let rest = &text[at..];
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        shape.groups.push(rest[..digits].to_owned());
        at += digits;
        shape.range.end = at;
        let rest = &rest[digits..];
        let gap = rest.char_indices().take(GAP_BYTES_MAX + 1).find(|(_, c)| !is_mark(*c));
        match gap {
            // A parenthesis holds an area code or a trunk zero, so a later one opens another number.
            Some((bytes, c))
                if bytes > 0
                    && c.is_ascii_digit()
                    && !(shape.groups.len() > 1 && rest[..bytes].contains('(')) =>
            {
                shape.marks.push_str(&rest[..bytes]);
                at += bytes;
            }
            _ => break,
        }
        if shape.groups.len() > GROUPS_MAX {
            return Some(shape);
        }
    }
    Some(shape)
}

/// Where an extension such as `x123` or ` ext. 45` ends.
fn extension(text: &str, end: usize) -> usize {
    let rest = &text[end..];
    let trimmed = rest.trim_start_matches(' ');
    let Some(word) = ["extension", "ext.", "ext", "x"]
        .into_iter()
        .find(|word| trimmed.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)))
    else {
        return end;
    };
    let digits = trimmed[word.len()..].trim_start_matches([' ', '.', ':']);
    let count = digits.bytes().take(7).take_while(u8::is_ascii_digit).count();
    if matches!(count, 1..=6) && rest.len() - trimmed.len() <= 2 {
        text.len() - digits.len() + count
    } else {
        end
    }
}

fn is_number(text: &str, shape: &Shape) -> bool {
    let digits: String = shape.groups.concat();
    let n = digits.len();
    if !(7..=17).contains(&n)
        || shape.groups.len() > GROUPS_MAX
        || digits.bytes().all(|b| b == digits.as_bytes()[0])
    {
        return false;
    }
    if shape.plus {
        return (8..=16).contains(&n)
            && country(&digits)
            && (shape.groups.len() > 1 || n >= 10 || cued(text, shape));
    }
    if is_date(shape) || n == 13 && (digits.starts_with("978") || digits.starts_with("979")) {
        return false;
    }
    is_dialled_abroad(shape, &digits)
        || is_nanp(shape)
        || is_national(shape, &digits)
        || n <= 15 && cued(text, shape)
}

/// Country calling codes that ITU has given out (E.164 list of 2016), by their first digits.
fn country(digits: &str) -> bool {
    let at = |n: usize| digits.get(..n).and_then(|d| d.parse::<u32>().ok()).unwrap_or(0);
    let three = at(3);
    match at(1) {
        1 | 7 => true,
        2 => {
            matches!(at(2), 20 | 27)
                || !matches!(three, 210 | 214 | 215 | 217 | 219 | 259 | 270..=289 | 292..=296)
        }
        3 | 4 => !matches!(three, 384 | 388 | 422 | 424..=429),
        5 => true,
        6 => !matches!(three, 684 | 693..=699),
        8 => {
            matches!(at(2), 81 | 82 | 84 | 86)
                || matches!(
                    three,
                    800 | 808 | 850 | 852 | 853 | 855 | 856 | 870 | 878 | 880..=883 | 886 | 888
                )
        }
        9 => !matches!(three, 969 | 978 | 990 | 991 | 997 | 999),
        _ => false,
    }
}

/// Day, month and year in any usual order.
fn is_date(shape: &Shape) -> bool {
    let lengths: Vec<usize> = shape.groups.iter().map(String::len).collect();
    let value = |at: usize| shape.groups[at].parse::<u32>().unwrap_or(0);
    let day = |at: usize| (1..=31).contains(&value(at));
    match lengths[..] {
        [4, 1 | 2, 1 | 2, ..] => day(1) && day(2),
        [1 | 2, 1 | 2, 4, ..] => day(0) && day(1),
        [4, 4] => [value(0), value(1)].iter().all(|year| (1000..2100).contains(year)),
        // An unbroken year, month and day.
        [8] => {
            matches!(&shape.groups[0][..2], "19" | "20") && ("01"..="12").contains(&&shape.groups[0][4..6])
        }
        _ => false,
    }
}

fn is_dialled_abroad(shape: &Shape, digits: &str) -> bool {
    let prefix = ["00", "011"].into_iter().find(|prefix| digits.starts_with(prefix));
    let abroad = prefix
        .is_some_and(|prefix| country(&digits[prefix.len()..]) && !digits[prefix.len()..].starts_with('0'));
    abroad
        && (11..=17).contains(&digits.len())
        && (3..=7).contains(&shape.groups.len())
        && shape.groups[0].len() >= 2
        && shape.groups.iter().skip(2).all(|group| group.len() >= 2)
        && !shape.marks.contains(['.', '/'])
}

/// Area code, exchange and line: 3, 3 and 4 digits, the first two from 2 (North American Numbering Plan).
fn is_nanp(shape: &Shape) -> bool {
    let groups = match &shape.groups[..] {
        [one, rest @ ..] if one == "1" => rest,
        all => all,
    };
    let [area, exchange, line] = groups else { return false };
    let plan = |group: &str| group.len() == 3 && !group.starts_with(['0', '1']);
    plan(area)
        && plan(exchange)
        && line.len() == 4
        && !shape.marks.contains('/')
        && shape.marks.contains(['-', '.', '('])
}

/// A trunk zero and the groups that follow it in most of Europe and Oceania.
fn is_national(shape: &Shape, digits: &str) -> bool {
    let lengths: Vec<usize> = shape.groups.iter().map(String::len).collect();
    if !digits.starts_with('0') || digits.starts_with("00") || !(9..=12).contains(&digits.len()) {
        return false;
    }
    let values: Vec<u32> = shape.groups.iter().filter_map(|group| group.parse().ok()).collect();
    let counting = values.windows(2).all(|pair| pair[1] == pair[0] + 1);
    let even = shape.marks.chars().all(|c| shape.marks.starts_with(c));
    match lengths[..] {
        [2, 2, 2, 2, 2] => even && !counting,
        [2..=5, 3..=6, 3..=6] | [5, 6] | [4, 7] | [3..=5, 2..=4, 2..=4, 2..=4] => {
            !shape.marks.contains(['.', '/'])
        }
        [2..=5, 6..=8] => shape.marks.contains('('),
        _ => false,
    }
}

/// Whether a word before or after says that this is a phone number.
fn cued(text: &str, shape: &Shape) -> bool {
    let digits: usize = shape.groups.iter().map(String::len).sum();
    let dotted = shape.marks.contains('.') && shape.groups.iter().any(|group| group.len() < 2);
    let zeroes = shape.groups.len() > 1 && shape.groups[1..].iter().all(|group| group == "000");
    if dotted || zeroes {
        return false;
    }
    let context = context_before(text, shape.range.start, 40);
    let gap = |cue: &&str| {
        // The full stop of "tel." is part of the word.
        let gap = context[says_at(&context, cue)?..].trim_start_matches('.');
        let near = !gap.contains(|c: char| c.is_ascii_digit() || matches!(c, '<' | ';' | ',' | '?'))
            && !gap.contains(". ");
        near.then_some(gap.len())
    };
    if CUES.iter().filter_map(gap).any(|bytes| bytes <= 22) {
        return true;
    }
    let formed = shape.groups.len() > 1 && !shape.marks.contains('/') || digits >= 10;
    if formed && WEAK_CUES.iter().filter_map(gap).any(|bytes| bytes <= 3) {
        return true;
    }
    let line = context_after(text, shape.range.end, 16);
    let label = line.split('\n').next().unwrap_or_default().trim().trim_matches(['(', ')']);
    formed && LABELS.contains(&label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        super::super::check_found(find(text, &super::super::runs(text)), text, expected);
    }

    #[test]
    fn numbers_that_show_what_they_are() {
        check("+1-984-182-0190, +46 (0)8 928 571 38", &["+1-984-182-0190", "+46 (0)8 928 571 38"]);
        check("+447700677662 or 001-518-640-0854.", &["+447700677662", "001-518-640-0854"]);
        check("(579)888-3058 (555) 867-5309 x12", &["(579)888-3058", "(555) 867-5309 x12"]);
        check("1-800-356-9377, 555.867.5309", &["1-800-356-9377", "555.867.5309"]);
        check(
            "03.93.92.16.85; 020 7946 0958; (08) 8747 6301",
            &["03.93.92.16.85", "020 7946 0958", "(08) 8747 6301"],
        );
        check("+1-903-140-4508x769", &["+1-903-140-4508x769"]);
    }

    #[test]
    fn numbers_that_a_word_shows() {
        check("Phone:\n467 3395\n", &["467 3395"]);
        check("Fax: 9498777106", &["9498777106"]);
        check("my phone number is 60-56-85-91", &["60-56-85-91"]);
        check("call 555 123 4567 now", &["555 123 4567"]);
        check("You can reach me at 712 3456.", &["712 3456"]);
        check("my licence number is 2270-66-1551", &[]);
        check("416 60 039 office\n930.167.3943 fax", &["416 60 039", "930.167.3943"]);
        check("Tel. 99 577450", &["99 577450"]);
    }

    #[test]
    fn other_numbers() {
        for text in [
            "467 3395",
            "9498777106",
            "2020-01-02",
            "12.05.2020",
            "1914-1918",
            "phone: 2020-01-02",
            "1.2.3.4",
            "10 000 000",
            "978-0-306-40615-7",
            "550e8400-e29b-41d4-a716-446655440000",
            "3.14159265358979",
            "12:34:56.789012",
            "$1 234 567 890",
            "id=5558675309",
            "call 1000000 times",
            "01 02 03 04 05",
            "0.1.2.3",
            "+1",
            "+12345678",
            "-555-867-5309",
            "1234567890123456789",
            "00 01 02 03 04 05 06 07",
            "rows 123 456 7890",
            "0000000000",
            "see RFC 2119, 3986 and 4291",
            "2024-11-24T15:20:05",
            "<PHONE> 467 3395",
            "phone: <PHONE>\n467 3395",
            "£020 7946 0958",
            "v1.10.0-555-867",
            "1,234,567,890",
        ] {
            check(text, &[]);
        }
    }
}
