//! Added tokens: names that are found in a text before it is normalised and split.
//!
//! The tokenizers crate looks for the names of all added tokens from left to right, the longest first: those that are not
//! to be normalised in the text, the others in what is left between them. A token may ask to be a word of its own, or
//! take the white space beside it along. Special tokens are passed over where the text is not to be parsed; other added
//! tokens are found always.

use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;
use schemas::hash::FastSet;
use serde_json::Value;
use std::ops::Range;
use std::sync::LazyLock;

static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\w$").expect("the pattern is a constant"));

/// Part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Range<usize>),
    Token(i32),
}

/// The added tokens of a tokenizer.
#[derive(Default)]
pub(super) struct Added {
    raw: Option<Names>,
    normalised: Option<Names>,
}

struct Names {
    finder: AhoCorasick,
    tokens: Vec<Token>,
}

struct Token {
    id: i32,
    /// Found and then left as text.
    passed_over: bool,
    single_word: bool,
    strips_left: bool,
    strips_right: bool,
}

impl Added {
    /// Reads the `added_tokens` of a tokenizer.json; `None` where they are found in normalised text or not told apart.
    ///
    /// `parse` makes special tokens of their names, `normalises` tells whether the tokenizer has a normaliser, `id` gives
    /// the id that the tokenizers crate gives to a name.
    pub(super) fn read(
        json: &Value,
        (parse, normalises): (bool, bool),
        id: impl Fn(&str) -> Option<u32>,
    ) -> Option<Self> {
        let all = json.as_array().map_or(&[][..], Vec::as_slice);
        let named = || all.iter().filter_map(|token| Some((token, token["content"].as_str()?)));
        let named = || named().filter(|(_, name)| !name.is_empty());
        let names: FastSet<&str> = named().map(|(_, name)| name).collect();
        let ids: FastSet<u32> = named().filter_map(|(_, name)| id(name)).collect();
        if names.len() != named().count() || ids.len() != names.len() {
            return None;
        }
        let read = |normalised: bool| {
            let mut names = Vec::new();
            let mut tokens = Vec::new();
            for (token, name) in named().filter(|(token, _)| is_set(token, "normalized") == normalised) {
                names.push(name);
                tokens.push(Token {
                    id: id(name)? as i32,
                    passed_over: !parse && is_set(token, "special"),
                    single_word: is_set(token, "single_word"),
                    strips_left: is_set(token, "lstrip"),
                    strips_right: is_set(token, "rstrip"),
                });
            }
            if tokens.iter().all(|token| token.passed_over) {
                return Some(None);
            }
            let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(names).ok()?;
            Some(Some(Names { finder, tokens }))
        };
        let made = Self { raw: read(false)?, normalised: read(true)? };
        (!normalises || made.normalised.is_none()).then_some(made)
    }

    /// Gives the pieces of a text in order, none of them empty text.
    ///
    /// # Errors
    /// Those of `each`.
    pub(super) fn pieces<E>(
        &self,
        text: &str,
        mut each: impl FnMut(Piece) -> Result<(), E>,
    ) -> Result<(), E> {
        found(self.raw.as_ref(), text, 0, &mut |piece| match piece {
            Piece::Text(range) => {
                found(self.normalised.as_ref(), &text[range.clone()], range.start, &mut each)
            }
            token => each(token),
        })
    }
}

/// Gives the pieces of a text that begins at `base` of the whole.
fn found<E>(
    names: Option<&Names>,
    text: &str,
    base: usize,
    each: &mut impl FnMut(Piece) -> Result<(), E>,
) -> Result<(), E> {
    let mut done = 0;
    if let Some(Names { finder, tokens }) = names {
        for found in finder.find_iter(text) {
            let token = &tokens[found.pattern().as_usize()];
            let (before, behind) = (&text[..found.start()], &text[found.end()..]);
            if token.passed_over
                || (token.single_word
                    && (is_word(before.chars().next_back()) || is_word(behind.chars().next())))
            {
                continue;
            }
            let (mut start, mut end) = (found.start(), found.end());
            if token.strips_left {
                // White space that the token before took is taken.
                start = before.trim_end().len().max(done);
            }
            if token.strips_right {
                end += behind.len() - behind.trim_start().len();
            }
            if done < start {
                each(Piece::Text(base + done..base + start))?;
            }
            each(Piece::Token(token.id))?;
            done = end;
        }
    }
    if done < text.len() { each(Piece::Text(base + done..base + text.len())) } else { Ok(()) }
}

fn is_set(token: &Value, key: &str) -> bool {
    token[key] == true
}

fn is_word(c: Option<char>) -> bool {
    c.is_some_and(|c| WORD.is_match(c.encode_utf8(&mut [0; 4])))
}
