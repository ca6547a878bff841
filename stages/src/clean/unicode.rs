//! Makes Unicode plain: NFC, mojibake repaired, control and invisible characters gone.
//!
//! | found | becomes |
//! |---|---|
//! | UTF-8 read as Windows-1252 or Latin-1, also twice | the text that it was |
//! | anything not in Normalization Form C (UAX 15) | NFC |
//! | CR, CRLF, VT, FF, U+2028, U+2029 | LF |
//! | terminal escape sequences (ECMA-48 CSI, OSC) | nothing |
//! | C1 controls | the Windows-1252 character of that byte, as HTML reads them; else nothing |
//! | other control characters, noncharacters | nothing; tab and LF stay |
//! | zero-width space, BOM, soft hyphen, word joiner, stray tags | by `zero_width` |
//! | bidirectional controls | by `bidi` |
//! | private use | by `private_use`: icon fonts fill pages with them |
//! | U+FFFD | by `replacement`: it says honestly that a character was lost |
//!
//! ZWJ and ZWNJ stay beside a character beyond ASCII, where they shape Persian, Indic scripts and emoji; so do the Mongolian vowel separator behind
//! its letters and the zero-width space between letters of Thai, Lao, Myanmar and Khmer, where it tells words apart. Fenced code keeps its characters, save
//! controls and noncharacters, which no language allows.
//!
//! ```text
//! "cafÃ©\u{200b} e\u{301}t\u{e9}\u{7}"  → "café été"
//! ```

use crate::text::chars::TABLE_CHARS;
use crate::text::lines::{Stretch, stretches};
use crate::text::mojibake::{WINDOWS_1252, repair};
use schemas::{Build, Config as _, Made, Rewrite, RewriteStage, Spec, choice, config};
use std::borrow::Cow;
use std::sync::LazyLock;
use unicode_normalization::char::canonical_combining_class;
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

choice! {
    /// What becomes of a kind of character.
    pub enum Policy {
        /// It goes.
        Remove = "remove",
        /// It stays.
        Keep = "keep",
    }
}

config! {
    /// Settings of `clean.unicode`.
    pub struct Config {
        /// Whether text that was decoded wrongly is decoded again.
        mojibake: bool = true;
        /// Zero-width and other invisible characters: `remove` or `keep`.
        zero_width: Policy = Policy::Remove;
        /// Controls of writing direction: `remove` or `keep`.
        bidi: Policy = Policy::Remove;
        /// Characters without a meaning outside one font: `remove` or `keep`.
        private_use: Policy = Policy::Remove;
        /// The replacement character U+FFFD: `remove` or `keep`.
        replacement: Policy = Policy::Keep;
    }
}

const BUILD: Build = |settings| Ok(Made::Stage(Box::new(RewriteStage(Unicode(settings.parse()?)))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "clean.unicode",
    version: 3,
    summary: "Makes Unicode plain: NFC, mojibake repaired, control and invisible characters gone.",
    keys: Config::KEYS,
    reasons: &[],
    build: BUILD,
};

struct Unicode(Config);

/// Most passes over one text; damage nests as deep as its length halves, so real text needs three.
const PASSES_MAX: usize = 32;
/// Longest terminal escape sequence.
const ESCAPE_BYTES_MAX: usize = 4096;

/// Bytes that are looked at together.
const BLOCK: usize = 64;
/// No step touches the character: it is shown, is of no one font, and in Normalization Form C, save for the order of marks.
const AT_REST: u8 = 1;
/// What the first byte of a character beyond ASCII looks like where UTF-8 was read as another encoding.
const LEAD: u8 = 2;
/// What its other bytes look like.
const TRAIL: u8 = 4;

/// Flags and the canonical combining class of each character below [`TABLE_CHARS`].
static TABLE: LazyLock<Box<[(u8, u8)]>> =
    LazyLock::new(|| (0..TABLE_CHARS).map(|code| char::from_u32(code).map_or((0, 0), asked)).collect());

fn asked(c: char) -> (u8, u8) {
    let normal = is_nfc_quick(std::iter::once(c)) == IsNormalized::Yes;
    let shown = u8::try_from(c).is_ok_and(is_plain_byte) || !c.is_ascii() && !c.is_control();
    let judged = is_invisible(c)
        || matches!(c, '\u{61c}' | '\u{200c}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let flag = |is: bool, flag: u8| if is { flag } else { 0 };
    let flags = flag(normal && shown && !judged, AT_REST)
        | flag(matches!(c, '\u{c2}'..='\u{f4}'), LEAD)
        | flag(matches!(c, '\u{80}'..='\u{bf}') || WINDOWS_1252.contains(&c), TRAIL);
    (flags, canonical_combining_class(c))
}

/// ASCII without controls.
const fn is_plain_byte(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e | 0x9 | 0xa)
}

/// Whether it is plain at a glance that nothing has to be done.
fn is_plain(text: &str) -> bool {
    let bytes = text.as_bytes();
    let table = &**TABLE;
    let (mut at, mut after_lead, mut last_class) = (0, false, 0);
    while at < bytes.len() {
        let block = &bytes[at..bytes.len().min(at + BLOCK)];
        if block.iter().fold(true, |plain, byte| plain & is_plain_byte(*byte)) {
            (at, after_lead, last_class) = (at + block.len(), false, 0);
            continue;
        }
        let end = at + block.len();
        for c in text[at..].chars() {
            let (flags, class) = match c {
                // Han, Hangul, full width and pictures.
                '\u{4e00}'..='\u{9fa5}'
                | '\u{ac00}'..='\u{d7a3}'
                | '\u{ff01}'..='\u{ff5e}'
                | '\u{1f300}'..='\u{1f6d0}' => (AT_REST, 0),
                c => table.get(c as usize).copied().unwrap_or((0, 0)),
            };
            if flags & AT_REST == 0 || after_lead && flags & TRAIL != 0 || class > 0 && class < last_class {
                return false;
            }
            (after_lead, last_class) = (flags & LEAD != 0, class);
            at += c.len_utf8();
            if at >= end {
                break;
            }
        }
    }
    true
}

impl Rewrite for Unicode {
    fn rewrite<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if is_plain(text) {
            return Cow::Borrowed(text);
        }
        // What one step takes out can bring together what another step looks for, so the steps are repeated until all rest.
        let mut current = Cow::Borrowed(text);
        for _ in 0..PASSES_MAX {
            let next = self.pass(&current);
            if next == current {
                break;
            }
            current = Cow::Owned(next);
        }
        current
    }
}

impl Unicode {
    fn pass(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for stretch in stretches(text) {
            match stretch {
                Stretch::Code(code) => strip(code, &mut out, |_, _, _| Verdict::Keep),
                // What is done is done within lines, so those at rest can be copied.
                Stretch::Prose(prose) => {
                    for line in prose.split_inclusive('\n') {
                        if is_plain(line) {
                            out.push_str(line);
                        } else {
                            self.line(line, &mut out);
                        }
                    }
                }
            }
        }
        out
    }

    fn line(&self, line: &str, out: &mut String) {
        let repaired = if self.0.mojibake { repair(line) } else { Cow::Borrowed(line) };
        let from = out.len();
        strip(&repaired, out, |before, c, after| self.judge(before, c, after));
        if is_nfc_quick(out[from..].chars()) != IsNormalized::Yes {
            let normal: String = out[from..].nfc().collect();
            out.replace_range(from.., &normal);
        }
    }

    fn judge(&self, before: Option<char>, c: char, after: Option<char>) -> Verdict {
        let policy = match c {
            '\u{200c}' | '\u{200d}' => {
                let shapes = |c: Option<char>| c.is_some_and(|c| !c.is_ascii() && !is_invisible(c));
                return if shapes(before) || shapes(after) {
                    Verdict::Keep
                } else {
                    self.0.zero_width.into()
                };
            }
            // Parts a vowel from its word in Mongolian, and words where they are set without spaces.
            '\u{180e}' if is_mongolian(before) => Policy::Keep,
            '\u{200b}' if is_solid(before) && is_solid(after) => Policy::Keep,
            // Tags spell the flags of regions behind a black flag.
            '\u{e0020}'..='\u{e007f}' if matches!(before, Some('\u{1f3f4}' | '\u{e0020}'..='\u{e007e}')) => {
                Policy::Keep
            }
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                self.0.bidi
            }
            c if is_invisible(c) => self.0.zero_width,
            '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10fffd}' => self.0.private_use,
            '\u{fffd}' => self.0.replacement,
            _ => Policy::Keep,
        };
        policy.into()
    }
}

impl From<Policy> for Verdict {
    fn from(policy: Policy) -> Self {
        match policy {
            Policy::Keep => Self::Keep,
            Policy::Remove => Self::Drop,
        }
    }
}

/// Characters that are seen nowhere: zero-width space, word joiner, BOM, soft hyphen, Mongolian vowel separator, invisible
/// operators, deprecated format characters, interlinear marks, tags. ZWJ and ZWNJ are judged by their neighbours.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0001}' | '\u{e0020}'..='\u{e007f}'
    )
}

fn is_mongolian(c: Option<char>) -> bool {
    matches!(c, Some('\u{1820}'..='\u{18aa}'))
}

/// Thai, Lao, Myanmar, Khmer: a zero-width space tells their words apart.
fn is_solid(c: Option<char>) -> bool {
    matches!(
        c,
        Some(
            '\u{e01}'..='\u{e4e}' | '\u{e81}'..='\u{ecd}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17d3}',
        )
    )
}

const fn is_noncharacter(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || c as u32 & 0xfffe == 0xfffe
}

/// What becomes of one character.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Keep,
    Drop,
}

/// Copies the text without escapes, controls and noncharacters, and without what `judge` drops.
fn strip(text: &str, out: &mut String, judge: impl Fn(Option<char>, char, Option<char>) -> Verdict) {
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        // Runs of plain ASCII are copied whole.
        let plain = rest.bytes().take_while(|b| is_plain_byte(*b)).count();
        if plain > 0 {
            out.push_str(&rest[..plain]);
            before = rest[..plain].chars().next_back();
            rest = &rest[plain..];
            continue;
        }
        let tail = &rest[c.len_utf8()..];
        rest = match c {
            '\u{1b}' => &tail[escape(tail)..],
            '\r' if tail.starts_with('\n') => tail,
            '\r' | '\u{b}' | '\u{c}' | '\u{2028}' | '\u{2029}' => {
                out.push('\n');
                tail
            }
            '\u{80}'..='\u{9f}' => {
                out.extend(Some(WINDOWS_1252[c as usize - 0x80]).filter(|shown| !shown.is_control()));
                tail
            }
            c if c.is_control() || is_noncharacter(c) => tail,
            c => {
                if judge(before, c, tail.chars().next()) == Verdict::Keep {
                    out.push(c);
                }
                tail
            }
        };
        before = Some(c);
    }
}

/// How long the escape sequence is whose ESC came before: CSI, OSC, or the choice of a character set. 0 for a stray ESC.
fn escape(tail: &str) -> usize {
    let bytes = &tail.as_bytes()[..tail.len().min(ESCAPE_BYTES_MAX)];
    match bytes {
        [b'[', body @ ..] => {
            let parameters = body.iter().take_while(|b| (0x20..0x40).contains(*b)).count();
            let closed = body.get(parameters).is_some_and(|b| (0x40..0x7f).contains(b));
            if closed { parameters + 2 } else { 0 }
        }
        [b']', body @ ..] => {
            let end = body.iter().position(|b| matches!(b, 0x7 | 0x1b | b'\n'));
            match end.map(|end| (end, body[end], body.get(end + 1))) {
                Some((end, 0x7, _)) => end + 2,
                Some((end, 0x1b, Some(b'\\'))) => end + 3,
                _ => 0,
            }
        }
        [b'(' | b')', set, ..] if set.is_ascii_alphanumeric() => 2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, expected: &str) {
        check_with(Config::default(), text, expected);
    }

    fn check_with(config: Config, text: &str, expected: &str) {
        let stage = Unicode(config);
        assert_eq!(stage.rewrite(text), expected, "{text:?}");
        assert!(matches!(stage.rewrite(expected), Cow::Borrowed(_)), "{expected:?} is rewritten again");
    }

    #[test]
    fn plain_text_is_untouched() {
        for text in [
            "",
            "a\tb\n",
            "é 漢字 😀 👩\u{200d}👩",
            "می\u{200c}خواهم",
            "ᠬᠠᠨ\u{180e}ᠠ",
            "ភាសា\u{200b}ខ្មែរ",
            "ภาษา\u{200b}ไทย",
            "🏴\u{e0067}\u{e0062}\u{e007f}",
            "\u{301}",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn forms_line_ends_and_controls() {
        check("cafÃ©\u{200b} e\u{301}t\u{e9}\u{7}", "café été");
        check("a\r\nb\rc\u{2028}d\u{c}e", "a\nb\nc\nd\ne");
        check("a\0b\u{7f}\u{fdd0}\u{10ffff}", "ab");
        check("don\u{92}t\u{81}", "don’t");
        check("\u{1b}[31;1mred\u{1b}[0m \u{1b}]0;title\u{7}x\u{1b}(By\u{1b}z", "red xyz");
        check("A\u{30a} Å", "Å Å");
    }

    #[test]
    fn damage_twice_and_damage_hidden() {
        check("donÃ¢â‚¬â„¢t", "don’t");
        check("Ã\u{200b}©", "é");
    }

    #[test]
    fn invisible_characters_by_policy() {
        check("\u{feff}so\u{ad}ft a\u{200d}b \u{202e}x\u{2066} \u{e000}\u{fffd}", "soft ab x \u{fffd}");
        let keep = Config {
            zero_width: Policy::Keep,
            bidi: Policy::Keep,
            private_use: Policy::Keep,
            ..Config::default()
        };
        check_with(keep, "so\u{ad}ft\u{202e}\u{e000}", "so\u{ad}ft\u{202e}\u{e000}");
        let replaced = Config { replacement: Policy::Remove, ..Config::default() };
        check_with(replaced, "a\u{fffd}b", "ab");
        check_with(Config { mojibake: false, ..Config::default() }, "cafÃ©", "cafÃ©");
    }

    #[test]
    fn fenced_code_keeps_its_characters() {
        let code = "```\ne\u{301} Ã© \u{200b}\u{202e}\n```\n";
        check(code, code);
        check("```\na\u{0}\r\n```", "```\na\n```");
    }

    #[test]
    fn what_is_plain_at_a_glance_comes_through_the_steps_as_it_is() {
        let stage = Unicode(Config { replacement: Policy::Remove, ..Config::default() });
        let mut plain = 0;
        for c in '\0'..=char::MAX {
            for text in [
                format!("{c}"),
                format!("aé{c}é"),
                format!("Ã{c}"),
                format!("か{c}가{c}"),
                format!("ท\u{e38}{c}\u{e48}ก"),
            ] {
                if is_plain(&text) {
                    plain += 1;
                    let mut out = String::new();
                    stage.line(&text, &mut out);
                    assert_eq!(out, text, "{c:?}");
                }
            }
        }
        assert!(plain > 4 * 40_000, "{plain}");
        let long = "Ein Satz mit Ärger über das Glück. ".repeat(9);
        assert!(is_plain(&long) && is_plain("Привет, мир!") && is_plain("naïve–x") && !is_plain("naÃ¯ve"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn plain_is_at_rest(text in "([a-z .]{0,70}|[aÃÂâ©€™é가か漢ーท\u{e38}\u{e48}\u{93c}\u{94d}\u{5b0}\u{301}\u{11a8}\u{3099}😀\u{fe0f}“`]{1,4}){0,4}") {
            let mut out = String::new();
            Unicode(Config::default()).line(&text, &mut out);
            prop_assert!(!is_plain(&text) || out == text);
        }

        #[test]
        fn what_is_done_is_done_within_lines(text in "[aÃÂâ©€™ð\u{9f}e\u{301}\u{327}\u{200b}\u{200d}می\u{202e}\u{2028}\r\n\u{1b}\\[\\]m\u{7}1]{0,30}") {
            let stage = Unicode(Config::default());
            let mut whole = String::new();
            stage.line(&text, &mut whole);
            prop_assert_eq!(stage.pass(&text), whole);
        }

        #[test]
        fn twice_is_once(text in "[aÃÂâ©€™ŸÅ¼ðÐ¿\u{9f}\u{98}\u{80}e\u{301}\u{327}\u{200b}\u{200d}\u{202e}\r\n\u{1b}\\[m`\u{e000}1]{0,30}") {
            let stage = Unicode(Config::default());
            let once = stage.rewrite(&text).into_owned();
            prop_assert_eq!(stage.rewrite(&once), once.as_str());
        }

        #[test]
        fn any_text_is_safe(text in ".{0,40}") {
            let stage = Unicode(Config::default());
            let once = stage.rewrite(&text).into_owned();
            prop_assert_eq!(stage.rewrite(&once), once.as_str());
        }
    }
}
