//! What an edit changed, line by line.
//!
//! Equal lines at both ends are set aside, then the longest common subsequence of the rest is found by dynamic
//! programming; a middle of more than [`CELLS_MAX`] pairs of lines is told as one change.

use serde::Serialize;
use std::ops::Range;

/// Pairs of lines compared at most: 16 MiB of table.
const CELLS_MAX: usize = 4 << 20;

/// Lines that went and lines that came in their place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where in the text before, lines counted from 1.
    pub line: usize,
    /// Lines that went.
    pub removed: Vec<String>,
    /// Lines that came.
    pub added: Vec<String>,
}

/// The changes that make `after` of `before`, in order.
pub fn changes(before: &str, after: &str) -> Vec<Change> {
    let (a, b): (Vec<&str>, Vec<&str>) = (before.split('\n').collect(), after.split('\n').collect());
    let head = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let rest = a[head..].iter().rev().zip(b[head..].iter().rev());
    let tail = rest.take_while(|(x, y)| x == y).count();
    let (a_middle, b_middle) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let lines = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect();
    let pairs = ranges(a_middle, b_middle).into_iter();
    pairs
        .map(|(removed, added)| Change {
            line: head + removed.start + 1,
            removed: lines(&a_middle[removed]),
            added: lines(&b_middle[added]),
        })
        .collect()
}

/// Runs of lines without a partner.
fn ranges(a: &[&str], b: &[&str]) -> Vec<(Range<usize>, Range<usize>)> {
    if a.is_empty() && b.is_empty() {
        return Vec::new();
    }
    if a.is_empty() || b.is_empty() || a.len().saturating_mul(b.len()) > CELLS_MAX {
        return vec![(0..a.len(), 0..b.len())];
    }
    let common = common_lengths(a, b);
    let width = b.len() + 1;
    let (mut i, mut j, mut from) = (0, 0, (0, 0));
    let mut found = Vec::new();
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            if from != (i, j) {
                found.push((from.0..i, from.1..j));
            }
            (i, j) = (i + 1, j + 1);
            from = (i, j);
        } else if common[(i + 1) * width + j] >= common[i * width + j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    if from != (a.len(), b.len()) {
        found.push((from.0..a.len(), from.1..b.len()));
    }
    found
}

/// Length of the longest common subsequence of `a[i..]` and `b[j..]`, at `i * (b.len() + 1) + j`.
fn common_lengths(a: &[&str], b: &[&str]) -> Vec<u32> {
    let width = b.len() + 1;
    let mut common = vec![0_u32; (a.len() + 1) * width];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i * width + j] = if a[i] == b[j] {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: &str, after: &str, expected: &str) {
        let shown = changes(before, after).iter().fold(String::new(), |out, c| {
            out + &format!("{}-{}+{};", c.line, c.removed.join("|"), c.added.join("|"))
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn only_what_differs_is_told() {
        check("a", "a", "");
        check("a\nb\nc", "a\nx\nc", "2-b+x;");
        check("a\nb\nc\nd\ne", "a\nc\nd\nf\ne", "2-b+;5-+f;");
        check("", "a", "1-+a;");
        check("a\na\na", "a", "2-a|a+;");
        check("one\nmenu\ntwo\nfooter\nthree", "one\ntwo\nthree", "2-menu+;4-footer+;");
    }

    #[test]
    fn a_huge_middle_is_one_change() {
        let lines = |word: &str| (0..3_000).map(|n| format!("{word}{n}")).collect::<Vec<_>>().join("\n");
        assert_eq!(changes(&lines("a"), &lines("b")).len(), 1);
    }
}
