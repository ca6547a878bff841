//! The lines of a text that is being written, each behind the signs of the blocks around it: quotes, items of lists.

/// Most blocks around a line that are shown; what is deeper stands at that level. Each costs characters in every line.
const AROUND_MAX: usize = 12;
/// Most bytes of their signs for each byte of text, beyond the first: a page of a megabyte would become a text of a
/// hundred. Where they are more, lines stand without.
const SIGNS_SHARE_MAX: usize = 8;
const SIGNS_MIN: usize = 1 << 16;

/// A block around the current line.
#[derive(Debug)]
struct Around {
    end: usize,
    /// Before its first line.
    first: String,
    /// Before every other line.
    rest: String,
    begun: bool,
}

/// What has been written.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    out: String,
    around: Vec<Around>,
    /// Line ends wanted before the next line.
    pub(crate) gap: usize,
    /// Bytes of signs.
    signs: usize,
}

impl Lines {
    /// Whether there is no line.
    pub(crate) const fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// How many blocks are around the next line.
    pub(crate) const fn depth(&self) -> usize {
        self.around.len()
    }

    /// Whether the innermost block has a line, or there is none.
    pub(crate) fn is_begun(&self) -> bool {
        self.around.last().is_none_or(|around| around.begun)
    }

    /// Begins a block that lasts until node `end`.
    pub(crate) fn surround(&mut self, end: usize, first: &str, rest: &str) {
        if self.around.len() < AROUND_MAX && !self.is_mostly_signs() {
            let (first, rest) = (first.to_owned(), rest.to_owned());
            self.around.push(Around { end, first, rest, begun: false });
        }
    }

    /// Ends the blocks that end at or before node `at`.
    pub(crate) fn leave(&mut self, at: usize) {
        while self.around.last().is_some_and(|a| a.end <= at) {
            self.around.pop();
            self.gap = self.gap.max(1);
        }
    }

    /// Goes on with the last line.
    pub(crate) fn join(&mut self, words: &str) {
        self.out.push(' ');
        self.out.push_str(words);
    }

    /// Adds a line as it is.
    pub(crate) fn put(&mut self, line: &str) {
        if self.is_mostly_signs() {
            self.around.clear();
        }
        let before = self.out.len();
        if before > 0 {
            self.out.push('\n');
            if self.gap > 1 {
                // The blank line belongs to the blocks that are already open.
                for around in self.around.iter().filter(|a| a.begun) {
                    self.out.push_str(&around.rest);
                }
                self.trim_line();
                self.out.push('\n');
            }
        }
        for around in &mut self.around {
            self.out.push_str(if around.begun { &around.rest } else { &around.first });
            around.begun = true;
        }
        if line.is_empty() {
            self.trim_line();
        }
        self.signs += self.out.len() - before;
        self.out.push_str(line);
    }

    /// The text.
    pub(crate) fn finish(mut self) -> String {
        self.out.truncate(self.out.trim_end().len());
        self.out
    }

    const fn is_mostly_signs(&self) -> bool {
        self.signs > SIGNS_MIN + SIGNS_SHARE_MAX * (self.out.len() - self.signs)
    }

    fn trim_line(&mut self) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_do_not_outgrow_the_text() {
        let mut lines = Lines::default();
        for _ in 0..2 * AROUND_MAX {
            lines.surround(usize::MAX, "999999999. ", "           ");
        }
        assert_eq!(lines.depth(), AROUND_MAX);
        let begun = std::iter::repeat_n("x", 100_000);
        begun.for_each(|line| lines.put(line));
        assert_eq!(lines.depth(), 0);
        assert!(lines.finish().len() < 2 * SIGNS_MIN + 100_000 * 2);
    }

    #[test]
    fn blank_lines_end_without_spaces() {
        let mut lines = Lines::default();
        lines.surround(9, "- ", "  ");
        ["a", "", "b"].iter().for_each(|line| lines.put(line));
        lines.leave(9);
        lines.put("c");
        assert_eq!(lines.finish(), "- a\n\n  b\nc");
    }
}
