//! Spaces as Python sees them: the peers whose numbers are met split and strip by these.

/// Whether Python's `str.isspace` holds: the White_Space of Unicode and the four separators of ASCII.
pub(crate) const fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// Python's `str.strip`.
pub(crate) fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Python's `str.rstrip`.
pub(crate) fn strip_end(text: &str) -> &str {
    text.trim_end_matches(is_space)
}

/// Python's `str.split()`.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// Pieces between runs of spaces, empty ones at the edges included: Python's `re.split(r"\s+", text)`.
pub(crate) fn pieces_count(text: &str) -> usize {
    let starts = text
        .char_indices()
        .filter(|&(at, c)| is_space(c) && !text[..at].chars().next_back().is_some_and(is_space));
    starts.count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_are_those_of_python() {
        assert_eq!(split(" a\u{1c}b\u{a0}\u{2028}c\u{200b} ").collect::<Vec<_>>(), ["a", "b", "c\u{200b}"]);
        assert_eq!(strip("\u{1f} a \u{85}"), "a");
        assert_eq!(strip_end(" a \n"), " a");
        let counts = ["", " ", "a", " a", "a  b", " a \n b "].map(pieces_count);
        assert_eq!(counts, [1, 2, 1, 2, 2, 4]);
    }
}
