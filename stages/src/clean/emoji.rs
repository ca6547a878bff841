//! Says emoji in words, takes them out, or lets them be.
//!
//! Covers every sequence of the `emojis` crate (Unicode emoji with CLDR names): joined by ZWJ, flags, keycaps, skin tones, with or
//! without the variation selectors that people leave out. The longest sequence wins. A character that is text unless asked
//! (`©`, `™`, `❤`, digits) becomes an emoji only with U+FE0F, and U+FE0E makes text of any. Sequences that no list has are said
//! part by part.
//!
//! The default is `name`: an emoji carries tone and meaning (irony, thanks, a warning) that `remove` would throw away, and costs
//! a tokenizer up to ten bytes that it rarely sees, while its name is made of words that it knows. The colons keep the name
//! apart from prose, as chat and forge software writes it; every emoji has a name of its own, so nothing is lost.
//!
//! ```text
//! "Done 👍🏽"  → "Done :thumbs_up_medium_skin_tone:"
//! "5 © ❤"     → unchanged
//! ```

use schemas::hash::FastMap;
use schemas::{Build, Config as _, Made, Rewrite, RewriteStage, Spec, choice, config};
use std::borrow::Cow;

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
    }
}

const BUILD: Build = |settings| Ok(Made::Stage(Box::new(RewriteStage(Emoji::new(&settings.parse()?)))));

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "clean.emoji",
    version: 1,
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
                Some(tones) => tones.for_each(|tone| emoji.learn(tone)),
                None => emoji.learn(each),
            }
        }
        for (modifier, name) in SKIN_TONES {
            emoji.insert(&[*modifier], name);
        }
        for (letter, indicator) in ('a'..='z').zip('\u{1f1e6}'..='\u{1f1ff}') {
            emoji.insert(&[indicator], &format!("regional_indicator_{letter}"));
        }
        emoji
    }

    /// Takes in a sequence as it is listed and as it is written when selectors are left out.
    fn learn(&mut self, emoji: &emojis::Emoji) {
        let name = colon_name(emoji.name());
        let listed: Vec<char> = emoji.as_str().chars().collect();
        self.insert(&listed, &name);
        let bare: Vec<char> = listed.iter().copied().filter(|c| *c != EMOJI_STYLE).collect();
        if bare.len() == 1 {
            // One character that needs the selector is text without it; one that does not may carry it all the same.
            if listed.len() == 1 {
                self.insert(&[bare[0], EMOJI_STYLE], &name);
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

/// Whether an emoji can start with the character: spares a look-up for almost all text.
fn may_start(c: char) -> bool {
    matches!(c, '#' | '*' | '0'..='9' | '©' | '®' | '\u{203c}'..='\u{3299}' | '\u{1f000}'..='\u{1faff}')
}

const SKIN_TONES: &[(char, &str)] = &[
    ('\u{1f3fb}', "light_skin_tone"),
    ('\u{1f3fc}', "medium_light_skin_tone"),
    ('\u{1f3fd}', "medium_skin_tone"),
    ('\u{1f3fe}', "medium_dark_skin_tone"),
    ('\u{1f3ff}', "dark_skin_tone"),
];

/// Lower case, with `_` for every run of what is neither letter nor digit: "flag: St. Lucia" → `flag_st_lucia`.
fn colon_name(name: &str) -> String {
    let name = name.replace('#', "hash").replace('*', "asterisk").to_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    words.join("_")
}

impl Rewrite for Emoji {
    fn rewrite<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(mode) = self.mode.filter(|mode| *mode != Mode::Keep) else { return Cow::Borrowed(text) };
        // ASCII has no emoji: a keycap needs its U+20E3.
        if text.is_ascii() {
            return Cow::Borrowed(text);
        }
        let mut out = String::new();
        let (mut copied, mut at) = (0, 0);
        while let Some(c) = text[at..].chars().next() {
            let Some((bytes, name)) = may_start(c).then(|| self.at_start(&text[at..])).flatten() else {
                at += c.len_utf8();
                continue;
            };
            let Some(name) = name else {
                at += bytes;
                continue;
            };
            out.push_str(&text[copied..at]);
            at += bytes;
            match mode {
                Mode::Name => out.extend([":", name, ":"]),
                _ if text[at..].starts_with(' ') && (out.is_empty() || out.ends_with([' ', '\n'])) => at += 1,
                _ => {}
            }
            copied = at;
        }
        if copied == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[copied..]);
        Cow::Owned(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::sync::LazyLock;

    fn check(mode: Mode, text: &str, expected: &str) {
        let stage = Emoji::new(&Config { mode });
        assert_eq!(stage.rewrite(text), expected, "{text:?}");
        assert!(matches!(stage.rewrite(expected), Cow::Borrowed(_)), "{expected:?} is rewritten again");
    }

    #[test]
    fn sequences_are_named_whole() {
        check(Mode::Name, "Done 👍🏽!", "Done :thumbs_up_medium_skin_tone:!");
        check(Mode::Name, "👨‍👩‍👧‍👦🇫🇷", ":family_man_woman_girl_boy::flag_france:");
        check(Mode::Name, "1️⃣ #⃣ 🏴󠁧󠁢󠁳󠁣󠁴󠁿", ":keycap_1: :keycap_hash: :flag_scotland:");
        check(Mode::Name, "🏳‍🌈 🏳️‍🌈 😀\u{fe0f}", ":rainbow_flag: :rainbow_flag: :grinning_face:");
        check(Mode::Name, "❤️ ☝🏽", ":red_heart: :index_pointing_up_medium_skin_tone:");
    }

    #[test]
    fn sequences_of_no_list_are_named_by_part() {
        check(Mode::Name, "🐻‍🦀", ":bear::crab:");
        check(Mode::Name, "🏽 🇫x", ":medium_skin_tone: :regional_indicator_f:x");
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

    #[test]
    fn every_emoji_of_the_list_is_replaced_whole_by_a_name_of_its_own() {
        let stage = Emoji::new(&Config::default());
        let mut names = BTreeMap::new();
        for each in emojis::iter().flat_map(|e| {
            let tones: Vec<_> = e.skin_tones().map_or(vec![e], Iterator::collect);
            tones
        }) {
            let named = stage.rewrite(each.as_str()).into_owned();
            assert_eq!(named, format!(":{}:", colon_name(each.name())), "{each:?}");
            assert_eq!(names.insert(named, each.as_str()), None, "two emoji share the name of {each:?}");
        }
        assert!(names.len() > 3500, "{} emoji", names.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn twice_is_once(text in "[#1a ❤👍👩🏽🇫🇷🏴\u{200d}\u{fe0f}\u{fe0e}\u{20e3}\u{e0067}\n]{0,20}") {
            static STAGES: LazyLock<[Emoji; 2]> =
                LazyLock::new(|| [Mode::Name, Mode::Remove].map(|mode| Emoji::new(&Config { mode })));
            for stage in STAGES.iter() {
                let once = stage.rewrite(&text).into_owned();
                prop_assert_eq!(stage.rewrite(&once), once.as_str());
            }
        }
    }
}
