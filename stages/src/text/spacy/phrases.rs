//! Words in a row that spell a special case.
//!
//! Where the rules alone would cut a special case, its words are a *phrase*: `):` is `)` and `:`. Wherever the words of a text
//! are those of a phrase, they become the special case. Of phrases that overlap the longest counts, then the first; a phrase
//! whose words are parted by a space changes nothing, but takes part in this choice.

use super::tables::{Tables, length, pair};
use super::{Scan, affix, infix, url};

/// The phrases of all special cases, ascending. One word is no phrase: it would become itself.
pub(super) fn find(tables: &Tables, specials: &[&'static str]) -> Vec<Vec<&'static str>> {
    let words = specials.iter().map(|text| by_rules(tables, text));
    let mut phrases: Vec<Vec<&str>> = words.filter(|words| words.len() > 1).collect();
    phrases.sort_unstable();
    phrases
}

/// The words of a chunk without special cases.
fn by_rules<'a>(tables: &Tables, chunk: &'a str) -> Vec<&'a str> {
    let (mut words, mut suffixes) = (Vec::new(), Vec::new());
    let mut rest = chunk;
    while !rest.is_empty() {
        let prefix = affix::prefix(tables, rest);
        let suffix = affix::suffix(tables, &rest[prefix..]);
        if prefix + suffix == 0 {
            break;
        }
        let end = rest.len() - suffix;
        words.extend(Some(&rest[..prefix]).filter(|mark| !mark.is_empty()));
        suffixes.extend(Some(&rest[end..]).filter(|mark| !mark.is_empty()));
        rest = &rest[prefix..end];
    }
    if url::is_url(tables, rest) {
        words.push(rest);
    } else {
        infix::cut(tables, rest, &mut words);
    }
    words.extend(suffixes.into_iter().rev());
    words
}

/// A phrase in a text: first word and count.
#[derive(Clone, Copy)]
struct Match {
    start: usize,
    len: usize,
}

impl Match {
    const fn end(self) -> usize {
        self.start + self.len
    }
}

/// Joins the words of phrases in place.
pub(super) fn join<'a>(tables: &'static Tables, text: &'a str, tokens: &mut Vec<&'a str>) {
    let mut matches: Vec<Match> = Vec::new();
    for start in 0..tokens.len().saturating_sub(1) {
        let (word, next) = (tokens[start], tokens[start + 1]);
        let (Some(&last), Some(&second)) = (word.as_bytes().last(), next.as_bytes().first()) else {
            continue;
        };
        let lengths = tables.seams[pair(last, second)];
        if lengths & tables.starts[pair(word.as_bytes()[0], second)] & length(word) != 0 {
            starting_at(&tables.phrases, tokens, start, &mut matches);
        }
    }
    if !matches.is_empty() {
        let chosen = choose(matches);
        *tokens = replaced(tables, text, tokens, &chosen);
    }
}

fn starting_at(phrases: &[Vec<&str>], tokens: &[&str], start: usize, matches: &mut Vec<Match>) {
    let tokens = &tokens[start..];
    let from = phrases.partition_point(|phrase| phrase[..2] < tokens[..2]);
    for phrase in phrases[from..].iter().take_while(|phrase| phrase[..2] == tokens[..2]) {
        if tokens.starts_with(phrase) {
            matches.push(Match { start, len: phrase.len() });
        }
    }
}

/// Those that count, in the order of the text.
fn choose(mut matches: Vec<Match>) -> Vec<Match> {
    matches.sort_unstable_by_key(|m| (std::cmp::Reverse(m.len), m.start));
    let mut taken = std::collections::BTreeSet::new();
    matches.retain(|m| {
        let free = !taken.contains(&m.start) && !taken.contains(&(m.end() - 1));
        taken.extend(m.start..m.end());
        free
    });
    matches.sort_unstable_by_key(|m| m.start);
    matches
}

fn replaced<'a>(
    tables: &'static Tables,
    text: &'a str,
    tokens: &[&'a str],
    chosen: &[Match],
) -> Vec<&'a str> {
    let mut scan = Scan { tables, tokens: Vec::with_capacity(tokens.len()), suffixes: Vec::new() };
    let place = |token: &str| token.as_ptr().addr() - text.as_ptr().addr();
    let mut at = 0;
    for m in chosen {
        scan.tokens.extend_from_slice(&tokens[at..m.start]);
        at = m.end();
        let words = &tokens[m.start..m.end()];
        let last = words[words.len() - 1];
        let whole = &text[place(words[0])..place(last) + last.len()];
        match tables.special(whole) {
            Some(cuts) => scan.cut(whole, cuts),
            None => scan.tokens.extend_from_slice(words),
        }
    }
    scan.tokens.extend_from_slice(&tokens[at..]);
    scan.tokens
}
