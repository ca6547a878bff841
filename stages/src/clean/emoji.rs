//! Says emoji in words, takes them out, or lets them be.
//!
//! Covers every sequence of the `emojis` crate (Unicode emoji with CLDR names): joined by ZWJ, flags, keycaps, skin tones, with or
//! without the variation selectors that people leave out. The longest sequence wins. A character that is text unless asked
//! (`©`, `™`, `❤`, digits) becomes an emoji only with U+FE0F, or with `bare`; from U+1F000 on there is no such text, and
//! U+FE0E makes text of any. Sequences that no list has are said part by part.
//!
//! The default is `name`: an emoji carries tone and meaning (irony, thanks, a warning) that `remove` would throw away, and costs
//! a tokenizer up to ten bytes that it rarely sees, while its name is made of words that it knows. The colons keep the name
//! apart from prose, as chat and forge software writes it; where it would touch a word, a colon or another name, a space
//! is put between. The column `emoji_edits` says what stood where, so every text can be had back: `[[at, bytes, "was"], …]`,
//! where `at` and `bytes` count bytes of the text as it is now; null where nothing was changed.
//!
//! ```text
//! "Done 👍🏽"  → "Done :thumbs_up_medium_skin_tone:"
//! "so👏far"   → "so :clapping_hands: far"
//! "5 © ❤"     → unchanged
//! ```

use super::edits::{Edit, EditStage, Edited, Editor};
use schemas::hash::FastMap;
use schemas::{Build, Config as _, Made, Spec, choice, config};

choice! {
    /// What becomes of an emoji.
    pub enum Mode {
        /// Its name between colons.
        Name = "name",
        /// Nothing; of a space on both sides, one goes too.
        Remove = "remove",
        /// It stays.
        Keep = "keep",
    }
}

config! {
    /// Settings of `clean.emoji`.
    pub struct Config {
        /// `name` writes `:thumbs_up:`, `remove` writes nothing, `keep` leaves the emoji.
        mode: Mode = Mode::Name;
        /// Whether characters below U+10000 that are text unless asked (`©`, `™`, `☀`, `❤`) count without U+FE0F too.
        bare: bool = false;
    }
}

const BUILD: Build = |settings| Ok(Made::Stage(Box::new(EditStage(Emoji::new(&settings.parse()?)))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "clean.emoji",
    version: 2,
    summary: "Says emoji in words, takes them out, or lets them be.",
    keys: Config::KEYS,
    reasons: &[],
    build: BUILD,
};

const EMOJI_STYLE: char = '\u{fe0f}';
const TEXT_STYLE: char = '\u{fe0e}';
const KEYCAP: char = '\u{20e3}';

/// A trie over the characters of all sequences.
#[derive(Default)]
struct Emoji {
    mode: Option<Mode>,
    next: FastMap<(u32, char), u32>,
    /// Name of the sequence that ends in a node.
    names: Vec<Option<String>>,
}

impl Emoji {
    fn new(config: &Config) -> Self {
        let mut emoji = Self { mode: Some(config.mode), names: vec![None], ..Self::default() };
        for each in emojis::iter() {
            match each.skin_tones() {
                Some(tones) => tones.for_each(|tone| emoji.learn(tone, config.bare)),
                None => emoji.learn(each, config.bare),
            }
        }
        for (modifier, name) in COMPONENTS {
            emoji.insert(&[*modifier], name);
        }
        for (letter, indicator) in ('a'..='z').zip('\u{1f1e6}'..='\u{1f1ff}') {
            emoji.insert(&[indicator], &format!("regional_indicator_{letter}"));
        }
        emoji
    }

    /// Takes in a sequence as it is listed and as it is written when selectors are left out.
    fn learn(&mut self, emoji: &emojis::Emoji, text_too: bool) {
        let name = colon_name(emoji.name());
        let listed: Vec<char> = emoji.as_str().chars().collect();
        self.insert(&listed, &name);
        let bare: Vec<char> = listed.iter().copied().filter(|c| *c != EMOJI_STYLE).collect();
        if bare.len() == 1 {
            // One character that needs the selector is text without it; one that does not may carry it all the same.
            if listed.len() == 1 {
                self.insert(&[bare[0], EMOJI_STYLE], &name);
            } else if text_too || bare[0] >= '\u{10000}' {
                self.insert(&bare, &name);
            }
            return;
        }
        self.insert(&bare, &name);
        // Minimally qualified: only the first selector is written, or only the last.
        let selectors: Vec<usize> = (0..listed.len()).filter(|at| listed[*at] == EMOJI_STYLE).collect();
        if selectors.len() > 1 {
            for kept in selectors {
                let some = listed.iter().enumerate().filter(|(at, c)| **c != EMOJI_STYLE || *at == kept);
                self.insert(&some.map(|(_, c)| *c).collect::<Vec<_>>(), &name);
            }
        }
    }

    fn insert(&mut self, sequence: &[char], name: &str) {
        let mut node = 0;
        for c in sequence {
            let fresh = self.names.len() as u32;
            node = *self.next.entry((node, *c)).or_insert(fresh);
            if node == fresh {
                self.names.push(None);
            }
        }
        // The first name stays: a listed sequence comes before a shortened form of another.
        self.names[node as usize].get_or_insert_with(|| name.to_owned());
    }

    /// The longest emoji at the start of the text: its bytes, with whatever clings to it, and its name, which is absent
    /// where U+FE0E asks for text.
    fn at_start(&self, text: &str) -> Option<(usize, Option<&str>)> {
        let (mut node, mut found) = (0, None);
        for (at, c) in text.char_indices() {
            let Some(child) = self.next.get(&(node, c)) else { break };
            node = *child;
            if let Some(name) = &self.names[node as usize] {
                found = Some((at + c.len_utf8(), name.as_str()));
            }
        }
        let (end, name) = found?;
        let rest = &text[end..];
        if rest.starts_with(TEXT_STYLE) {
            return Some((end + TEXT_STYLE.len_utf8(), None));
        }
        Some((end + rest.len() - rest.trim_start_matches(clings).len(), Some(name)))
    }
}

/// Marks that mean nothing without the emoji before them; left behind, they could make an emoji of what then stands there.
fn clings(c: char) -> bool {
    matches!(c, EMOJI_STYLE | KEYCAP | '\u{200d}' | '\u{e0020}'..='\u{e007f}')
}

/// Bytes looked at in one step.
const LANES: usize = 32;

/// Whether three bytes can be the first of an emoji, or of the mark that makes a keycap: some that cannot are let through.
///
/// Without branches, so that a step over [`LANES`] bytes is a few vector instructions.
const fn is_mark(a: u8, b: u8, c: u8) -> bool {
    // U+00A9, U+00AE | U+203C, U+2049, from U+20C0 on | U+3030, U+303D, U+3297, U+3299 | U+1F000 to U+1FFFF
    ((a == 0xc2) & ((b == 0xa9) | (b == 0xae)))
        | ((a == 0xe2) & ((b == 0x81) | (b > 0x82) | (c == 0xbc)))
        | ((a == 0xe3) & (((b == 0x80) & (c >= 0xb0)) | (b == 0x8a)))
        | ((a == 0xf0) & (b == 0x9f))
}

/// The first place from `at` on where an emoji or the mark of a keycap can stand.
fn next_mark(bytes: &[u8], mut at: usize) -> Option<usize> {
    while let Some(window) = bytes.get(at..at + LANES + 2) {
        let (a, b, c) = (&window[..LANES], &window[1..=LANES], &window[2..]);
        let any = (0..LANES).fold(false, |any, n| any | is_mark(a[n], b[n], c[n]));
        if any {
            break;
        }
        at += LANES;
    }
    let byte = |n: usize| bytes.get(n).copied().unwrap_or_default();
    (at..bytes.len()).find(|n| is_mark(bytes[*n], byte(n + 1), byte(n + 2)))
}

/// Where the keycap starts whose U+20E3 stands at `at`.
fn keycap_start(text: &str, at: usize) -> Option<usize> {
    let head = &text[..at];
    let head = head.strip_suffix(EMOJI_STYLE).unwrap_or(head);
    head.ends_with(['#', '*', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']).then(|| head.len() - 1)
}

/// Whether a name beside the character needs a space between.
fn touches(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | ':')
}

/// Skin tones and hair that stand alone.
const COMPONENTS: &[(char, &str)] = &[
    ('\u{1f3fb}', "light_skin_tone"),
    ('\u{1f3fc}', "medium_light_skin_tone"),
    ('\u{1f3fd}', "medium_skin_tone"),
    ('\u{1f3fe}', "medium_dark_skin_tone"),
    ('\u{1f3ff}', "dark_skin_tone"),
    ('\u{1f9b0}', "red_hair"),
    ('\u{1f9b1}', "curly_hair"),
    ('\u{1f9b2}', "bald"),
    ('\u{1f9b3}', "white_hair"),
];

/// Lower case, with `_` for every run of what is neither letter nor digit: "flag: St. Lucia" → `flag_st_lucia`.
fn colon_name(name: &str) -> String {
    let name = name.replace('#', "hash").replace('*', "asterisk").to_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.join("_")
}

impl Editor for Emoji {
    const COLUMN: &'static str = "emoji_edits";
    const SIGNAL: &'static str = "emoji";

    fn edit(&self, text: &str, _language: Option<&str>) -> Option<(String, Vec<Edit>)> {
        let mode = self.mode.filter(|mode| *mode != Mode::Keep)?;
        let (mut edited, mut at) = (Edited::new(text), 0);
        while let Some(mark) = next_mark(text.as_bytes(), at) {
            let start = if text[mark..].starts_with(KEYCAP) { keycap_start(text, mark) } else { Some(mark) };
            // The digit of a keycap may be part of the sequence before.
            let found = start
                .filter(|start| *start >= at)
                .and_then(|start| Some((start, self.at_start(&text[start..])?)));
            let Some((start, (bytes, name))) = found else {
                at = mark + text[mark..].chars().next().map_or(1, char::len_utf8);
                continue;
            };
            at = start + bytes;
            let Some(name) = name else { continue };
            edited.copy_to(start);
            if mode == Mode::Name {
                let before = if edited.now.ends_with(touches) { " :" } else { ":" };
                let after = if text[at..].starts_with(touches) { ": " } else { ":" };
                edited.replace(start..at, &[before, name, after]);
            } else {
                let doubled = text[at..].starts_with(' ')
                    && (edited.now.is_empty() || edited.now.ends_with([' ', '\n']));
                at += usize::from(doubled);
                edited.replace(start..at, &[]);
            }
        }
        edited.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clean::edits::restore;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::LazyLock;

    fn check(mode: Mode, text: &str, expected: &str) {
        let stage = Emoji::new(&Config { mode, ..Config::default() });
        let (now, edits) = stage.edit(text, None).unwrap_or_else(|| (text.to_owned(), Vec::new()));
        assert_eq!(now, expected, "{text:?}");
        assert_eq!(restore(&now, &edits).as_deref(), Some(text), "{edits:?}");
        assert_eq!(stage.edit(expected, None), None, "{expected:?} is edited again");
    }

    #[test]
    fn sequences_are_named_whole() {
        check(Mode::Name, "Done 👍🏽!", "Done :thumbs_up_medium_skin_tone:!");
        check(Mode::Name, "👨‍👩‍👧‍👦🇫🇷", ":family_man_woman_girl_boy: :flag_france:");
        check(Mode::Name, "1️⃣ #⃣ 🏴󠁧󠁢󠁳󠁣󠁴󠁿", ":keycap_1: :keycap_hash: :flag_scotland:");
        check(Mode::Name, "🏳‍🌈 🏳️‍🌈 😀\u{fe0f}", ":rainbow_flag: :rainbow_flag: :grinning_face:");
        check(Mode::Name, "❤️ ☝🏽", ":red_heart: :index_pointing_up_medium_skin_tone:");
    }

    #[test]
    fn sequences_of_no_list_are_named_by_part() {
        check(Mode::Name, "🐻‍🦀", ":bear: :crab:");
        check(Mode::Name, "🏽 🇫x", ":medium_skin_tone: :regional_indicator_f: x");
    }

    #[test]
    fn a_name_touches_no_word() {
        check(Mode::Name, "so👏far:😀_1😀é", "so :clapping_hands: far: :grinning_face: _1 :grinning_face: é");
        check(Mode::Name, "(😀)\n😀, 漢😀字", "(:grinning_face:)\n:grinning_face:, 漢 :grinning_face: 字");
        check(Mode::Name, "11️⃣2", "1 :keycap_1: 2");
    }

    #[test]
    fn text_is_untouched() {
        check(Mode::Name, "5 © ™ ❤ ☀ # * 1\u{20e0} → ✓", "5 © ™ ❤ ☀ # * 1\u{20e0} → ✓");
        check(Mode::Name, "😀\u{fe0e}", "😀\u{fe0e}");
        check(Mode::Keep, "😀", "😀");
        check(Mode::Name, "漢字 ‘quotes’ — \u{200d}", "漢字 ‘quotes’ — \u{200d}");
    }

    #[test]
    fn removed_emoji_take_a_double_space_along() {
        check(Mode::Remove, "a 😀 b😀c", "a bc");
        check(Mode::Remove, "😀 a\n😀 b", "a\nb");
        check(Mode::Remove, "#😀\u{fe0f}\u{20e3}", "#");
    }

    /// Whether the text is one emoji to the stage.
    fn name_of(stage: &Emoji, text: &str) -> Option<String> {
        let (now, edits) = stage.edit(text, None)?;
        assert_eq!(restore(&now, &edits).unwrap(), text);
        let name = now.strip_prefix(':')?.strip_suffix(':')?.to_owned();
        (edits.len() == 1 && !name.contains([':', ' '])).then_some(name)
    }

    #[test]
    fn every_emoji_of_the_list_is_replaced_whole_by_a_name_of_its_own() {
        let (stage, bare) =
            (Emoji::new(&Config::default()), Emoji::new(&Config { bare: true, ..Config::default() }));
        let mut names = BTreeMap::new();
        for each in emojis::iter().flat_map(|e| {
            let tones: Vec<_> = e.skin_tones().map_or(vec![e], Iterator::collect);
            tones
        }) {
            let name = name_of(&stage, each.as_str()).unwrap();
            assert_eq!(name, colon_name(each.name()), "{each:?}");
            assert_eq!(
                name_of(&bare, &each.as_str().replace(EMOJI_STYLE, "")).as_ref(),
                Some(&name),
                "{each:?}"
            );
            assert_eq!(names.insert(name, each.as_str()), None, "two emoji share the name of {each:?}");
        }
        assert!(names.len() > 3500, "{} emoji", names.len());
    }

    #[test]
    fn every_row_of_the_emoji_test_of_unicode_is_one_emoji() {
        let (stage, bare) =
            (Emoji::new(&Config::default()), Emoji::new(&Config { bare: true, ..Config::default() }));
        let (mut rows, mut text) = (0, 0);
        for row in
            include_str!("../../assets/emoji-test-15.0.txt").lines().filter(|row| !row.starts_with('#'))
        {
            let code = |hex: &str| char::from_u32(u32::from_str_radix(hex, 16).unwrap()).unwrap();
            let emoji: String = row.split(' ').map(code).collect();
            rows += 1;
            let name = name_of(&bare, &emoji);
            assert!(name.is_some(), "{row}");
            match name_of(&stage, &emoji) {
                None => {
                    assert!(emoji.len() <= 3 && emoji.chars().count() == 1, "{row}");
                    text += 1;
                }
                found => assert_eq!(found, name, "{row}"),
            }
        }
        assert_eq!((rows, text), (4733, TEXT_UNLESS_ASKED));
    }

    /// Characters below U+10000 that Unicode shows as text unless U+FE0F follows.
    const TEXT_UNLESS_ASKED: usize = 110;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn twice_is_once(text in "[#1a ❤👍👩🏽🇫🇷🏴\u{200d}\u{fe0f}\u{fe0e}\u{20e3}\u{e0067}\n]{0,20}") {
            static STAGES: LazyLock<[Emoji; 2]> =
                LazyLock::new(|| [Mode::Name, Mode::Remove].map(|mode| Emoji::new(&Config { mode, ..Config::default() })));
            for stage in STAGES.iter() {
                let Some((once, edits)) = stage.edit(&text, None) else { continue };
                prop_assert_eq!(restore(&once, &edits), Some(text.clone()));
                prop_assert_eq!(stage.edit(&once, None), None);
            }
        }
    }
}
