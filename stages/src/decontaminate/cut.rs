//! Cuts finds out of a text with what stands around them.

use std::ops::Range;

/// Marks up to which a cut reaches, so that no half sentence is left.
const SENTENCE_ENDS: [char; 3] = ['.', '!', '?'];

/// How a text is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Characters that go on each side of a find; the cut then reaches to the end of a sentence.
    pub(super) margin: usize,
    /// Fewest characters of a piece that stays.
    pub(super) piece_min: usize,
}

impl Cut {
    /// The pieces that stay and the number of cuts; `finds` ascend.
    ///
    /// A find inside an earlier cut makes none of its own.
    pub(super) fn pieces(&self, text: &str, finds: &[Range<usize>]) -> (Vec<Range<usize>>, usize) {
        let (mut pieces, mut cuts, mut from) = (Vec::new(), 0, 0);
        for find in finds.iter().filter(|find| find.start < find.end) {
            if find.end <= from {
                continue;
            }
            cuts += 1;
            let before = from..self.before(text, find.start).max(from);
            pieces.push(before);
            from = self.behind(text, find.end);
        }
        pieces.push(from..text.len());
        pieces.retain(|piece| text[piece.clone()].trim().chars().count() >= self.piece_min.max(1));
        (pieces, cuts)
    }

    /// Where the text before a find ends.
    fn before(&self, text: &str, start: usize) -> usize {
        let margin = text[..start].char_indices().rev().take(self.margin).last().map_or(start, |(at, _)| at);
        text[..margin].rfind(SENTENCE_ENDS).map_or(0, |at| at + 1)
    }

    /// Where the text behind a find begins.
    fn behind(&self, text: &str, end: usize) -> usize {
        let margin = text[end..].char_indices().nth(self.margin).map_or(text.len(), |(at, _)| end + at);
        text[margin..].find(SENTENCE_ENDS).map_or(text.len(), |at| margin + at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, finds: &[&str], expected: &[&str], cuts: usize) {
        let cut = Cut { margin: 2, piece_min: 3 };
        let ranges: Vec<Range<usize>> = finds
            .iter()
            .map(|find| text.find(find).map(|at| at..at + find.len()).expect("the find is in the text"))
            .collect();
        let (pieces, count) = cut.pieces(text, &ranges);
        let found: Vec<&str> = pieces.into_iter().map(|piece| &text[piece]).collect();
        assert_eq!((found.as_slice(), count), (expected, cuts), "{text:?}");
    }

    #[test]
    fn a_cut_reaches_to_the_ends_of_sentences() {
        check("One. Two XX three. Four.", &["XX"], &["One.", " Four."], 1);
        check("One. Two XX three", &["XX"], &["One."], 1);
        check("XX", &["XX"], &[], 1);
        check("Two XX three. Four!", &["XX"], &[" Four!"], 1);
        check("One. é XX. Four. YY, a? Six.", &["XX", "YY"], &["One.", " Six."], 2);
        check("One. A XX b YY c. Six.", &["XX", "YY"], &["One.", " Six."], 1);
        check("No find.", &[], &["No find."], 0);
        check("A. XX.", &["XX"], &[], 1);
    }
}
