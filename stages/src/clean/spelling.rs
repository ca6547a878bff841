//! Corrects misspellings of English that can mean one word only.
//!
//! The list that ships has about 209,000 entries. 70,000 are of the `typos-dict` crate (MIT OR Apache-2.0): those with one correction, whose
//! wrong form is in no list of words and in no text of ours, English or foreign, and whose right form is common enough there; old and
//! British spelling, abbreviations and pieces of words are left out (`text::misspellings::fit`). The others are made: slips as that crate
//! has them, of words of our text, where the word is by far the likeliest to be meant (`text::misspellings::generate`). Even then a word is
//! changed only where it is prose:
//!
//! - the token is the entry as a whole, in small letters; a capital only at the start of a sentence, for names have one elsewhere, and
//!   not behind a short word with a capital and a dot (`Mr.`, `J.`);
//! - it is in no code (fence, indented block, between backticks, a line that reads as code), quotation or block quote, and no part
//!   of an address, a path or an identifier;
//! - its paragraph is English by its common words, and not of the age of *thou* and *hath*; with a column `language`, only rows
//!   that are `eng` are looked at.
//!
//! The column `spelling_edits` says what stood where, as in `clean.emoji`. `gristmill fit clean.spelling` makes another list.
//!
//! ```text
//! "They recieve it seperately."        → "They receive it separately."
//! "`recieve`, \"recieve\", recieve()"  → unchanged
//! ```

mod fit;

use super::edits::{Edit, EditStage, Edited, Editor};
use crate::text::lines::{Stretch, stretches};
use crate::text::misspellings::{Found, Misspellings};
use schemas::{Build, Config as _, FilePath, KeyError, Made, Spec, config};
use std::ops::Range;

pub use fit::FIT;

/// The list that ships.
const LIST: &[u8] = include_bytes!("../../assets/spelling.bin");
/// Letters of a misspelling that is corrected with a capital too: shorter ones are names too often.
const CAPITAL_MIN: usize = 7;
/// Bytes of a title or an initial before a name, at most.
const TITLE_MAX: usize = 3;
/// Words of a paragraph from which on it shows its language, and one in how many then must be a common one.
const PARAGRAPH_WORDS: usize = 6;
const COMMON_SHARE: usize = 10;
/// Words that English has at every turn and other languages hardly.
#[rustfmt::skip]
const COMMON: &[&str] = &[
    "the", "of", "and", "to", "that", "it", "for", "are", "with", "this", "from", "you", "have", "not", "but", "they", "we", "or", "by", "be", "if",
    "can", "will", "which", "has", "is", "a", "i", "at", "my", "your", "our", "their", "when", "there", "were", "been", "its", "these", "should",
];
/// Words that only old English has.
#[rustfmt::skip]
const OLD: &[&str] = &["thou", "thee", "thy", "thine", "hath", "doth", "hast", "dost", "ye", "unto", "shalt", "wilt", "hither", "whence", "wherefore", "forsooth"];
/// What a line of code has and a line of prose has not.
const CODE: &[&str] =
    &["();", "){", ") {", "->", "=>", "==", "!=", " = ", "::", "</", "/>", "&&", "||", "$(", "${"];

config! {
    /// Settings of `clean.spelling`.
    pub struct Config {
        /// A list made by `gristmill fit clean.spelling`; empty for the one that ships.
        weights: FilePath = FilePath::default();
    }
}

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    let wrong = |message| vec![KeyError { key: "weights".into(), message, help: None }];
    let list = if config.weights.is_empty() {
        Misspellings::read(LIST).expect("the list that ships is whole")
    } else {
        let path = settings.resolve(&config.weights);
        let bytes = std::fs::read(&path).map_err(|e| wrong(format!("{}: {e}", path.display())))?;
        Misspellings::read(&bytes).map_err(wrong)?
    };
    Ok(Made::Stage(Box::new(EditStage(Spelling(list)))))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "clean.spelling",
    version: 2,
    summary: "Corrects misspellings of English that can mean one word only.",
    keys: Config::KEYS,
    reasons: &[],
    build: BUILD,
};

/// Corrects by a list.
#[derive(Debug)]
pub struct Spelling(pub Misspellings);

impl Spelling {
    /// With the list that ships.
    pub fn shipped() -> Self {
        Self(Misspellings::read(LIST).expect("the list that ships is whole"))
    }
}

impl Editor for Spelling {
    const COLUMN: &'static str = "spelling_edits";
    const SIGNAL: &'static str = "misspellings";

    fn edit(&self, text: &str, language: Option<&str>) -> Option<(String, Vec<Edit>)> {
        if language.is_some_and(|language| language != "eng") {
            return None;
        }
        let mut edited = Edited::new(text);
        let mut place = None;
        self.0.find(text, |found| {
            let place = place.get_or_insert_with(|| Place::new(&self.0, text));
            if let Some(capital) = form(text, &found)
                && edges_are_prose(text, &found.range)
                && place.is_prose(found.range.start)
                && (!capital || starts_sentence(&text[place.paragraph.start..found.range.start]))
            {
                let (first, rest) = found.right.split_at(1);
                let first = if capital { first.to_ascii_uppercase() } else { first.to_owned() };
                edited.replace(found.range, &[&first, rest]);
            }
        });
        edited.finish()
    }
}

/// Whether the misspelling has a capital; `None` for a form that is never corrected.
fn form(text: &str, found: &Found<'_>) -> Option<bool> {
    let (first, rest) = text[found.range.clone()].split_at(1);
    let small = |part: &str| part.bytes().all(|b| b.is_ascii_lowercase());
    (small(rest) && (small(first) || found.range.len() >= CAPITAL_MIN)).then(|| !small(first))
}

/// Whether what touches the token belongs to prose. Beyond ASCII it is part of the token.
fn edges_are_prose(text: &str, range: &Range<usize>) -> bool {
    let (before, after) = (text[..range.start].chars().next_back(), &text[range.end..]);
    let mut after = after.chars();
    let closes = match after.next() {
        Some('.' | ',' | ':' | ';' | '!' | '?' | ')' | ']') => {
            after.next().is_none_or(|c| !c.is_alphanumeric() && !matches!(c, ':' | '/' | '('))
        }
        Some(c) => c.is_whitespace() || c == '*',
        None => true,
    };
    closes && before.is_none_or(|c| c.is_whitespace() || matches!(c, '(' | '[' | '*'))
}

/// Whether a sentence starts behind the head of its paragraph. A dot behind a short word with a capital ends none: such are titles
/// and initials, and a name follows.
fn starts_sentence(head: &str) -> bool {
    let end = head.trim_end_matches(['(', '[', '*']);
    let before = end.trim_end();
    let ends = before.strip_suffix('.').map_or(before.ends_with(['!', '?']), |before| !is_title(before));
    before.is_empty() || before.len() < end.len() && ends
}

/// Whether the last word is as short as `Mr`, `St` or `J`, with a capital.
fn is_title(head: &str) -> bool {
    let word = head.rsplit(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    word.len() <= TITLE_MAX && word.starts_with(|c: char| c.is_ascii_uppercase())
}

/// What is known of the places of a text, met from front to back: each is looked at once.
struct Place<'a> {
    list: &'a Misspellings,
    text: &'a str,
    /// Fenced code.
    code: Vec<Range<usize>>,
    paragraph: Range<usize>,
    is_english: bool,
    line: Range<usize>,
    is_prose: bool,
    /// How far quotation marks of the paragraph are read, and what is open there.
    read: usize,
    open: Open,
}

/// Quotation marks and backticks that wait for their end.
#[derive(Default)]
struct Open {
    straight: bool,
    curly: usize,
    backticks: usize,
}

impl<'a> Place<'a> {
    fn new(list: &'a Misspellings, text: &'a str) -> Self {
        let mut at = 0;
        let mut code = Vec::new();
        for stretch in stretches(text) {
            let (Stretch::Prose(part) | Stretch::Code(part)) = stretch;
            if stretch == Stretch::Code(part) {
                code.push(at..at + part.len());
            }
            at += part.len();
        }
        let open = Open::default();
        Self {
            list,
            text,
            code,
            paragraph: 0..0,
            is_english: false,
            line: 0..0,
            is_prose: false,
            read: 0,
            open,
        }
    }

    /// Whether the place, which is not before the last one, is in English prose.
    fn is_prose(&mut self, at: usize) -> bool {
        if at >= self.paragraph.end {
            self.paragraph = around(self.text, at, "\n\n", self.paragraph.end);
            self.is_english = is_english(&self.text[self.paragraph.clone()], self.list);
            (self.read, self.open) = (self.paragraph.start, Open::default());
        }
        if at >= self.line.end {
            self.line = around(self.text, at, "\n", self.line.end);
            self.is_prose = is_prose(&self.text[self.line.clone()]);
        }
        self.open.read(&self.text[self.read..at]);
        self.read = at;
        let behind = self.code.partition_point(|code| code.end <= at);
        let in_code = self.code.get(behind).is_some_and(|code| code.start <= at);
        self.is_english && self.is_prose && !in_code && !self.open.any()
    }
}

/// The piece around a place between two marks; none stands between `floor` and the piece that ended there.
fn around(text: &str, at: usize, mark: &str, floor: usize) -> Range<usize> {
    let start = text[floor..at].rfind(mark).map_or(floor, |mark_at| floor + mark_at + mark.len());
    start..text[at..].find(mark).map_or(text.len(), |end| at + end)
}

impl Open {
    fn read(&mut self, text: &str) {
        let mut before = ' ';
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                // Behind a digit it is a sign of inches.
                '"' => self.straight ^= !before.is_ascii_digit() || self.straight,
                '“' | '„' | '«' => self.curly += 1,
                '”' | '»' => self.curly = self.curly.saturating_sub(1),
                '`' => {
                    let mut run = 1;
                    while chars.next_if_eq(&'`').is_some() {
                        run += 1;
                    }
                    if self.backticks == 0 {
                        self.backticks = run;
                    } else if self.backticks == run {
                        self.backticks = 0;
                    }
                }
                _ => {}
            }
            before = c;
        }
    }

    const fn any(&self) -> bool {
        self.straight || self.curly > 0 || self.backticks > 0
    }
}

/// Whether a line is neither indented code, nor a quotation, nor code by its marks.
fn is_prose(line: &str) -> bool {
    let indented = line.starts_with("    ") || line.starts_with('\t');
    let end = line.trim_end();
    !indented
        && !line.trim_start().starts_with('>')
        && !end.ends_with([';', '{', '}', '\\'])
        && !CODE.iter().any(|mark| end.contains(mark))
}

/// Whether a paragraph is in the English of our time; a few words show nothing.
fn is_english(paragraph: &str, list: &Misspellings) -> bool {
    let (mut words, mut common, mut old) = (0, 0, false);
    let tokens = paragraph.split(|c: char| !c.is_alphanumeric() && !matches!(c, '\'' | '’'));
    for token in tokens.filter(|token| !token.is_empty()) {
        let token = token.to_ascii_lowercase();
        // A misspelling counts as what it is meant to be, so that a correction changes no verdict.
        let word = list.correction(&token).unwrap_or(&token);
        words += 1;
        common += usize::from(COMMON.contains(&word));
        old |= OLD.contains(&word);
    }
    !old && (words < PARAGRAPH_WORDS || common * COMMON_SHARE >= words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clean::edits::restore;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static STAGE: LazyLock<Spelling> = LazyLock::new(Spelling::shipped);

    fn check(text: &str, expected: &str) {
        let (now, edits) = STAGE.edit(text, None).unwrap_or_else(|| (text.to_owned(), Vec::new()));
        assert_eq!(now, expected, "{text:?}");
        assert_eq!(restore(&now, &edits).as_deref(), Some(text));
        assert_eq!(STAGE.edit(expected, None), None, "{expected:?} is corrected again");
    }

    #[test]
    fn misspellings_of_prose_are_corrected() {
        check("recieve", "receive");
        check("They recieve it seperately.", "They receive it separately.");
        check("Seperately, and (definately) *neccessary*:", "Separately, and (definitely) *necessary*:");
        check("It works. Definately! Completly all.", "It works. Definitely! Completely all.");
        check(
            "a \"quote\" that has occured, 5\" wide and `code` occured",
            "a \"quote\" that has occurred, 5\" wide and `code` occurred",
        );
    }

    #[test]
    fn names_code_quotations_and_addresses_stay() {
        for text in [
            "",
            "Mr Recieve came",
            "RECIEVE",
            "by Acheive",
            "for Mr. Acheive and J. Acheive came",
            "it is recieve() or x.recieve or recieve.x or recieve_it or re-recieve",
            "see https://x.org/recieve?recieve=recieve#recieve and a/recieve, recieve@x.org, $recieve",
            "so `recieve` and ``a recieve b`` and \"to recieve it\" and “we recieve”",
            "> they recieve",
            "text\n\n    they recieve\n\n\tthey recieve",
            "```\nthey recieve\n```",
            "let recieve = 5",
            "they recieve it;",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn other_languages_and_old_english_stay() {
        let german = "Das Wort recieve kommt hier nur als Beispiel vor, weil wir es brauchen";
        check(german, german);
        check("thou shalt recieve it", "thou shalt recieve it");
        check(
            &format!("{german}\n\nThey recieve it in the mail"),
            &format!("{german}\n\nThey receive it in the mail"),
        );
        assert_eq!(STAGE.edit("recieve", Some("deu")), None);
        assert!(STAGE.edit("recieve", Some("eng")).is_some());
    }

    #[test]
    fn a_long_line_of_misspellings_takes_linear_time() {
        let text = "to recieve \"it\" and `x` ".repeat(40_000);
        assert_eq!(STAGE.edit(&text, None).unwrap().1.len(), 40_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn twice_is_once(text in "(hte|recieve|Seperately|the|und|weil|thou| |\\. |\n|\n\n|\"|`|“|”|>|é|\\(|;|5){0,40}") {
            if let Some((once, edits)) = STAGE.edit(&text, None) {
                prop_assert_eq!(restore(&once, &edits), Some(text));
                prop_assert_eq!(STAGE.edit(&once, None), None);
            }
        }
    }
}
