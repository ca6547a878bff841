//! The house's own rules: a line goes only where it is plain text that means nothing beside its neighbours.

use super::{Config, Left, Rule, is_counter, is_decimal, share_above};
use crate::text::lines::{Fence, Place};
use crate::text::words::Splitter;
use std::ops::Range;

/// What sites count under a text.
#[rustfmt::skip]
const COUNTED: &[&str] = &[
    "like", "likes", "dislike", "dislikes", "share", "shares", "comment", "comments", "retweet", "retweets", "repost", "reposts", "quote",
    "quotes", "bookmark", "bookmarks", "upvote", "upvotes", "downvote", "downvotes", "download", "downloads", "view", "views",
    "follower", "followers", "reply", "replies", "reaction", "reactions", "vote", "votes", "subscriber", "subscribers", "claps", "favorites",
    "favourites", "plays", "listens", "reads", "pins", "tweets",
];

/// Characters of a line under which a single word is the end of a wrapped paragraph.
const WRAPPED_CHARS_MIN: usize = 40;

pub(super) fn words(text: &str) -> usize {
    Splitter::Uax29.words(text).len()
}

pub(super) fn edit(text: &str, config: &Config) -> Left {
    let mut left = Left::default();
    let mut fence = Fence::default();
    let mut above = "";
    let mut at = 0;
    for whole in text.split_inclusive('\n') {
        let (start, end) = (at, at + whole.len());
        at = end;
        let line = whole.trim_end_matches(['\n', '\r']);
        if fence.take(line) != Place::Outside {
            left.keep(start..end);
            above = "";
            continue;
        }
        let kept = left.judge(line, above, config);
        let Some(kept) = kept else { continue };
        above = &line[kept.clone()];
        left.keep(start + kept.start..start + kept.end);
        left.keep(start + line.len()..end);
    }
    // The break before lines that went at the end goes with them.
    if let Some(last) = left.kept.last_mut()
        && last.end < text.len()
        && text[..last.end].ends_with('\n')
    {
        last.end -= if text[..last.end].ends_with("\r\n") { 2 } else { 1 };
    }
    left.kept.retain(|kept| !kept.is_empty());
    left
}

impl Left {
    fn keep(&mut self, range: Range<usize>) {
        match self.kept.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.kept.push(range),
        }
    }

    fn count(&mut self, rule: Rule) {
        self.counts[rule as usize] += 1;
    }

    /// The part of the line that stays; `None` when the line goes.
    fn judge(&mut self, line: &str, above: &str, config: &Config) -> Option<Range<usize>> {
        let mut kept = 0..line.len();
        if line.trim().is_empty() {
            return Some(kept);
        }
        if config.phrases {
            let cut = cut(line, config.phrase_words_max as usize);
            if cut != kept {
                self.count(Rule::Phrase);
                if line[cut.clone()].trim().is_empty() {
                    return None;
                }
                kept = cut;
            }
        }
        let rest = &line[kept.clone()];
        match rule(rest, above, config) {
            Some(rule) => {
                self.count(rule);
                None
            }
            None => Some(kept),
        }
    }
}

/// The rule that takes the whole line out.
fn rule(line: &str, above: &str, config: &Config) -> Option<Rule> {
    let bare = line.trim();
    if config.counters && bare.len() <= COUNTER_BYTES_MAX && is_counter(bare, COUNTED) {
        return Some(Rule::Counter);
    }
    // A colon says that the line belongs to what follows, as the name of a speaker does.
    if is_markdown(line) || bare.ends_with([':', '：']) {
        return None;
    }
    if share_above(bare, config.upper_max, char::is_uppercase) {
        return Some(Rule::Upper);
    }
    if share_above(bare, config.numeric_max, is_decimal) {
        return Some(Rule::Numeric);
    }
    let wrapped =
        !above.trim_end().ends_with(['.', '!', '?']) && above.chars().nth(WRAPPED_CHARS_MIN - 1).is_some();
    if !wrapped && config.words_min > 1 && is_short(bare, config.words_min as usize) {
        return Some(Rule::Short);
    }
    None
}

/// Longest counter.
const COUNTER_BYTES_MAX: usize = 100;

/// At least one word, but fewer than `min`: a line of marks alone (a break, an underline) is no word that was left behind.
fn is_short(line: &str, min: usize) -> bool {
    // A look at the spaces spares most lines the cut into words.
    line.split_whitespace().take(min + 2).count() < min + 2 && (1..min).contains(&words(line))
}

/// Whether Markdown gives the line a meaning: heading, list item, table row, quote, image or link alone, rule, formula, indented code.
fn is_markdown(line: &str) -> bool {
    if line.starts_with("    ") || line.starts_with('\t') {
        return true;
    }
    let line = line.trim_start();
    let digits = line.len() - line.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let numbered = (1..=9).contains(&digits)
        && line[digits..]
            .strip_prefix(['.', ')'])
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    let listed = ["- ", "* ", "+ "].iter().any(|mark| line.starts_with(mark));
    numbered || listed || line.starts_with(['#', '|', '>', '$', '[', '!', '`', '~', '<'])
}

/// What stays of a short line when the phrases at its ends, or alone in it, are cut out.
fn cut(line: &str, words_max: usize) -> Range<usize> {
    let (mut start, mut end) = (0, line.len());
    loop {
        let rest = &line[start..end];
        let trimmed = rest.trim_end();
        let (from, to) = if let Some(more) = more(trimmed) {
            (start, start + more)
        } else if starts_with(rest, "sign-in") && !rest["sign-in".len()..].starts_with(char::is_alphanumeric)
        {
            let rest = &rest["sign-in".len()..];
            (end - rest.trim_start_matches(' ').len(), end)
        } else if let Some(at) = cart(trimmed) {
            (start, start + at)
        } else {
            break;
        };
        if rest.split_whitespace().take(words_max + 1).count() > words_max {
            break;
        }
        (start, end) = (from, to);
    }
    // A line that would be read as the mark of a fence stays as it is.
    if line[start..end].trim_start().starts_with(['`', '~']) { 0..line.len() } else { start..end }
}

fn starts_with(text: &str, lower: &str) -> bool {
    text.get(..lower.len()).is_some_and(|head| head.eq_ignore_ascii_case(lower))
}

fn strip_end<'a>(text: &'a str, lower: &str) -> Option<&'a str> {
    let at = text.len().checked_sub(lower.len())?;
    text.get(at..).filter(|tail| tail.eq_ignore_ascii_case(lower)).map(|_| &text[..at])
}

/// Where "read more..." begins that ends the line, the space before it included.
fn more(line: &str) -> Option<usize> {
    let head = ["...", "…"].iter().find_map(|dots| strip_end(line, dots))?;
    let head = strip_end(head.trim_end(), "read more")?;
    (!head.ends_with(char::is_alphanumeric)).then(|| head.trim_end().len())
}

/// Where "(3) items in cart" begins that ends the line: number and brackets go too.
fn cart(line: &str) -> Option<usize> {
    let head = ["items in cart", "item in cart", "items in your cart", "item in your cart"]
        .iter()
        .find_map(|phrase| strip_end(line, phrase))?;
    let head =
        head.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, ' ' | '(' | ')' | '[' | ']' | ':'));
    Some(head.len())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, reason};
    use super::super::{Dialect, Lines};
    use super::*;
    use proptest::prelude::*;

    const MILL: &str = "The mill stands by the river, and the stone turns slowly in the wind.";

    fn ours(text: &str, expected: &str) {
        check(&Config::default(), text, expected);
    }

    #[test]
    fn lines_that_go() {
        for line in [
            "CLICK HERE TO SUBSCRIBE",
            "12345",
            "3 likes",
            "1 like",
            "1.2K views",
            "• 15 Replies •",
            "Home",
            "Home ›",
            "3 items in cart",
            "Read more...",
            "READ MORE…",
            "Sign-in",
            "Cart (0) items in your cart",
        ] {
            let text = format!("{MILL}\n\n{line}\n\n{MILL}");
            ours(&text, &format!("{MILL}\n\n\n{MILL}"));
            ours(&format!("{line}\n{MILL}\n"), &format!("{MILL}\n"));
            ours(&format!("{MILL}\n{line}\n"), MILL.trim());
        }
        ours(&format!("{MILL}\r\n3 likes\r\n"), MILL);
        ours("Home\nAbout\nContact", "");
    }

    #[test]
    fn phrases_are_cut_out_of_short_lines() {
        ours("The miller was old and tired. Read more...", "The miller was old and tired.");
        ours("Sign-in to see the mill", "to see the mill");
        ours(&format!("{MILL} Read more..."), &format!("{MILL} Read more..."));
        ours("He read more and more...", "He read more and more...");
        ours("Sign-ins are counted here", "Sign-ins are counted here");
        ours("Please read more", "Please read more");
    }

    #[test]
    fn what_markdown_gives_a_meaning_stays() {
        let page = format!(
            "# USAGE\n\n## Notes\n\n- apples\n- PEARS\n1. One\n\n| A | 1 |\n|---|---|\n| B | 22 |\n\n> Quote\n\n    INDENTED\n\n---\n\n{MILL}\n***\n\n\
             ```sh\nLS\n3 likes\n42\n```\n\n$$x$$\n\nROMEO:\n{MILL}\n"
        );
        ours(&page, &page);
    }

    #[test]
    fn the_end_of_a_wrapped_paragraph_stays() {
        ours(&format!("{MILL} It is\nold.\n\nHome\n"), &format!("{MILL} It is\nold.\n"));
        ours("A short line\nend\n", "A short line");
    }

    #[test]
    fn documents_that_lose_too_much_go() {
        let long = format!("{MILL} ").repeat(4);
        assert_eq!(reason(&Config::default(), &format!("{long}\n3 likes")), None);
        assert_eq!(reason(&Config::default(), &format!("{MILL}\n3 likes")), Some("too_much_removed"));
        assert_eq!(reason(&Config::default(), "Home\nAbout"), Some("too_much_removed"));
        assert_eq!(reason(&Config::default(), ""), None);
        assert_eq!(reason(&Config { removed_max: 1.0, ..Config::default() }, "Home"), None);
    }

    #[test]
    fn each_rule_can_be_switched_off() {
        let off = Config {
            upper_max: 1.0,
            numeric_max: 1.0,
            counters: false,
            words_min: 0,
            phrases: false,
            ..Config::default()
        };
        let text = "CLICK HERE\n12345\n3 likes\nHome\nRead more...";
        check(&off, text, text);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn twice_is_once(
            text in "(CLICK |12345|3 likes|Home|Read more\\.\\.\\.|Sign-in |items in cart|the mill |```| |\n|\r\n|- |# |…|é|a very long line of a page that goes on ){0,14}"
        ) {
            let stage = Lines(Config { removed_max: 1.0, dialect: Dialect::Ours, ..Config::default() });
            let once = stage.judge(&text).edited.map_or(text, |(now, _)| now);
            let twice = stage.judge(&once).edited.map_or(once.clone(), |(now, _)| now);
            prop_assert_eq!(twice, once);
        }
    }
}
