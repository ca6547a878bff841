//! The edits of DCLM, one pass over all lines after the other, each pass but that on short lines trimming the text.

use super::{Config, Left, Rule, is_counter, is_decimal, share_above};
use crate::text::chars::is_letter_or_number;
use crate::text::lines::is_python_space;
use std::ops::Range;

const COUNTED: &[&str] = &[
    "likes",
    "shares",
    "comments",
    "retweets",
    "reposts",
    "quotes",
    "bookmarks",
    "upvotes",
    "downvotes",
    "downloads",
    "views",
    "followers",
];

/// Runs between ASCII white space that start with a letter or digit.
pub(super) fn words(text: &str) -> usize {
    let space = |c| matches!(c, ' ' | '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\0');
    text.split(space).filter(|word| word.starts_with(is_letter_or_number)).count()
}

/// A line as it is now, and where its parts stand in the text.
struct Line {
    now: String,
    parts: Vec<Range<usize>>,
    /// Where the break behind the line stands.
    end: usize,
}

impl Line {
    /// Takes out bytes of the line as it is now.
    fn remove(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        self.now.replace_range(range.clone(), "");
        let (mut at, mut parts) = (0, Vec::new());
        for part in &self.parts {
            let (start, end) = (at, at + part.len());
            at = end;
            let before = start..end.min(range.start);
            let behind = start.max(range.end)..end;
            for kept in [before, behind] {
                if kept.start < kept.end {
                    parts.push(part.start + kept.start - start..part.start + kept.end - start);
                }
            }
        }
        self.parts = parts;
    }
}

struct Page {
    lines: Vec<Line>,
    counts: [usize; super::RULES],
}

pub(super) fn edit(text: &str, config: &Config) -> Left {
    let mut at = 0;
    let line = |now: &str| {
        let start = at;
        at += now.len() + 1;
        #[expect(
            clippy::single_range_in_vec_init,
            reason = "a line is one part until something is cut out of it"
        )]
        let parts = vec![start..start + now.len()];
        Line { now: now.to_owned(), parts, end: start + now.len() }
    };
    let mut page = Page { lines: text.split('\n').map(line).collect(), counts: [0; super::RULES] };
    page.pass(Rule::Upper, |line| share_above(line, config.upper_max, char::is_uppercase));
    page.trim();
    page.pass(Rule::Numeric, |line| share_above(line, config.numeric_max, is_digit));
    page.trim();
    if config.counters {
        page.pass(Rule::Counter, |line| is_counter(line, COUNTED));
        page.trim();
    }
    page.pass(Rule::Short, |line| !line.is_empty() && python_words(line) < config.words_min as usize);
    if config.phrases {
        for find in [cart, more, sign_in] {
            page.cut(config.phrase_words_max as usize, find);
            page.trim();
        }
    }
    page.left()
}

impl Page {
    fn pass(&mut self, rule: Rule, goes: impl Fn(&str) -> bool) {
        let before = self.lines.len();
        self.lines.retain(|line| !goes(&line.now));
        self.counts[rule as usize] += before - self.lines.len();
    }

    /// Cuts a phrase out of short lines as often as it is found; a line that is blank then goes.
    fn cut(&mut self, words_max: usize, find: fn(&str, Option<usize>) -> Option<Range<usize>>) {
        let mut count = 0;
        self.lines.retain_mut(|line| {
            if line.now.is_empty() || python_words(&line.now) > words_max {
                return true;
            }
            // A line of white space goes too, whatever stands in it.
            let mut from = None;
            while let Some(found) = find(&line.now, from) {
                count += 1;
                from = Some(found.start);
                line.remove(found);
            }
            !line.now.chars().all(is_python_space)
        });
        self.counts[Rule::Phrase as usize] += count;
    }

    /// `strip` of the text: white space at both ends, lines that have nothing else included.
    fn trim(&mut self) {
        let blank = |line: &Line| line.now.chars().all(is_python_space);
        let end = self.lines.iter().rposition(|line| !blank(line)).map_or(0, |last| last + 1);
        self.lines.truncate(end);
        let start = self.lines.iter().position(|line| !blank(line)).unwrap_or(0);
        self.lines.drain(..start);
        if let Some(first) = self.lines.first_mut() {
            let bare = first.now.trim_start_matches(is_python_space).len();
            first.remove(0..first.now.len() - bare);
        }
        if let Some(last) = self.lines.last_mut() {
            let bare = last.now.trim_end_matches(is_python_space).len();
            last.remove(bare..last.now.len());
        }
    }

    fn left(self) -> Left {
        let mut kept: Vec<Range<usize>> = Vec::new();
        let mut keep = |range: Range<usize>| match kept.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ if range.is_empty() => {}
            _ => kept.push(range),
        };
        let count = self.lines.len();
        for (at, line) in self.lines.into_iter().enumerate() {
            line.parts.into_iter().for_each(&mut keep);
            if at + 1 < count {
                keep(line.end..line.end + 1);
            }
        }
        Left { kept, counts: self.counts }
    }
}

fn python_words(line: &str) -> usize {
    line.split(is_python_space).filter(|word| !word.is_empty()).count()
}

/// `isdigit` of Python: decimal digits, and the digits in circles, brackets and above or below the line.
fn is_digit(c: char) -> bool {
    is_decimal(c)
        || matches!(c, '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{1369}'..='\u{1371}' | '\u{19da}' | '\u{2070}' | '\u{2074}'..='\u{2079}'
            | '\u{2080}'..='\u{2089}' | '\u{2460}'..='\u{2468}' | '\u{2474}'..='\u{247c}' | '\u{2488}'..='\u{2490}' | '\u{24ea}'
            | '\u{24f5}'..='\u{24fd}' | '\u{24ff}' | '\u{2776}'..='\u{277e}' | '\u{2780}'..='\u{2788}' | '\u{278a}'..='\u{2792}'
            | '\u{10a40}'..='\u{10a43}' | '\u{10e60}'..='\u{10e68}' | '\u{11052}'..='\u{1105a}' | '\u{1f100}'..='\u{1f10a}')
}

/// The range of a phrase at `at` with one white space before it.
fn with_space(line: &str, at: usize, end: usize) -> Range<usize> {
    let space = line[..at].chars().next_back().filter(|c| is_python_space(*c));
    at - space.map_or(0, char::len_utf8)..end
}

/// The phrase from where the last was cut out, so that what stood on both sides of it makes no new one.
fn cart(line: &str, from: Option<usize>) -> Option<Range<usize>> {
    const PHRASE: &str = "items in cart";
    let from = from.unwrap_or(0);
    let at = (from..line.len())
        .find(|at| line.get(*at..at + PHRASE.len()).is_some_and(|t| t.eq_ignore_ascii_case(PHRASE)))?;
    let found = with_space(line, at, at + PHRASE.len());
    Some(found.start.max(from)..found.end)
}

/// `read more` and any three characters at the end of the line.
fn more(line: &str, from: Option<usize>) -> Option<Range<usize>> {
    const PHRASE: &str = "read more";
    if from.is_some() {
        return None;
    }
    let (last, _) = line.char_indices().rev().nth(2)?;
    let at = last.checked_sub(PHRASE.len())?;
    line.get(at..last).filter(|t| t.eq_ignore_ascii_case(PHRASE)).map(|_| with_space(line, at, line.len()))
}

fn sign_in(line: &str, from: Option<usize>) -> Option<Range<usize>> {
    const PHRASE: &str = "sign-in";
    if from.is_some() {
        return None;
    }
    line.get(..PHRASE.len()).filter(|t| t.eq_ignore_ascii_case(PHRASE))?;
    let space = line[PHRASE.len()..].chars().next().filter(|c| is_python_space(*c));
    Some(0..PHRASE.len() + space.map_or(0, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::super::Dialect;
    use super::super::tests::{check as check_with, reason};
    use super::*;

    fn config() -> Config {
        Config { dialect: Dialect::Dclm, ..Config::default() }
    }

    fn check(text: &str, expected: &str) {
        check_with(&config(), text, expected);
    }

    const MILL: &str = "The mill stands by the river, and the stone turns.";

    /// Worked out by hand from the order of the edits and their expressions.
    #[test]
    fn edits_in_their_order() {
        check(&format!("CLICK HERE\n{MILL}\n123\n3 likes\nHome\n\n{MILL}"), &format!("{MILL}\n\n{MILL}"));
        // Half of the characters may be capitals, and the space counts.
        check(&format!("ABcd\nAB CD\nABC d\n{MILL}"), MILL);
        check(&format!("AB cd ef\n{MILL}"), &format!("AB cd ef\n{MILL}"));
        // No line is special to it.
        check(&format!("# Usage\n---\n- apples\n{MILL}"), &format!("# Usage\n- apples\n{MILL}"));
        check(&format!("{MILL}\n1 like\n2 replies"), &format!("{MILL}\n1 like\n2 replies"));
        // The text is trimmed between the passes: the number is all of its line once the capitals before it are gone.
        check(&format!("GO\n  12\n{MILL}\n  12 13\n "), &format!("{MILL}\n  12 13"));
        // A line of spaces is too short, an empty line is not.
        check(&format!("{MILL}\n  \n\n{MILL}"), &format!("{MILL}\n\n{MILL}"));
    }

    #[test]
    fn phrases() {
        check(&format!("You have 3 items in cart now\n{MILL}"), &format!("You have 3 now\n{MILL}"));
        check(&format!("a b items in cart items in CART c\n{MILL}"), &format!("a b c\n{MILL}"));
        check(&format!("items in items in cart cart\n{MILL}"), &format!("items in cart\n{MILL}"));
        check(&format!("It goes on. Read more...\n{MILL}"), &format!("It goes on.\n{MILL}"));
        check(&format!("It goes on. Read more now\n{MILL}"), &format!("It goes on. Read more now\n{MILL}"));
        check(&format!("It goes on. Read more ok\n{MILL}"), &format!("It goes on.\n{MILL}"));
        check(&format!("Sign-in Sign-in to go\n{MILL}"), &format!("Sign-in to go\n{MILL}"));
        check(&format!("items in cart\nRead more...\n{MILL}"), MILL);
        let eleven = "one two three four five six seven eight items in cart";
        check(&format!("{eleven}\n{MILL}"), &format!("{eleven}\n{MILL}"));
    }

    #[test]
    fn reasons() {
        assert_eq!(reason(&config(), ""), Some("empty"));
        assert_eq!(reason(&config(), "HOME\n12"), Some("empty"));
        assert_eq!(reason(&config(), "... --- ..."), Some("empty"));
        assert_eq!(reason(&config(), &format!("{MILL}\n3 likes")), Some("too_much_removed"));
        assert_eq!(
            reason(&config(), &format!("{}\nHome", MILL.replace('.', "") + " so ".repeat(9).as_str())),
            None
        );
    }

    #[test]
    fn words_start_with_a_letter_or_digit() {
        assert_eq!(words("one (two) 3 é ½ \u{301}x a\u{a0}b\nc"), 6);
    }
}
