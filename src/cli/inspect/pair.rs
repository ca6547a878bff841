//! `gristmill inspect DATASET --pair DOCUMENT`: a dropped duplicate beside the document that stays, with the shingles that they share.
//!
//! A text is cut into pieces at white space, or around every letter where these are words of their own. The words of a piece are those that the
//! node compares, so a piece is shared when all its words are in shingles of both texts.

use super::View;
use pipeline::inspect::layout::{Ink, Style, cells, cut, number, one_line, thousands};
use pipeline::inspect::{Dataset, InspectError, Pair, PairSide, changes, pair};
use serde_json::json;
use stages::text::datatrove::Words;
use stages::text::shingles::shingles;
use std::collections::BTreeSet;
use std::ops::Range;

/// Words of a shingle where the node has no such setting.
const NGRAM: usize = 5;
/// Pieces shown at each end of a run that both texts have; the middle of a longer one is counted.
const ENDS: usize = 12;
/// What the node measured and what the texts have in common differ by no more than this where no later node edited the text that stays.
const EQUAL: f64 = 1e-3;
/// Multiplier of the combination of word hashes: 2^64 over the golden ratio, odd.
const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
/// Cells between the columns.
const GAP: &str = " │ ";

pub(super) fn show(dataset: &Dataset, document: &str, style: &Style) -> Result<View, InspectError> {
    let pair = pair(dataset, document)?;
    let ngram = pair.bands.map_or(NGRAM, |bands| bands.ngram as usize);
    let mut texts = [&pair.kept, &pair.dropped].map(|side| Text::new(&side.text, ngram, pair.datatrove));
    let shared: BTreeSet<u64> = texts[0].shingles.intersection(&texts[1].shingles).copied().collect();
    let [kept, dropped] = texts.each_ref().map(|text| text.shingles.len());
    let all = kept + dropped - shared.len();
    texts.iter_mut().for_each(|text| text.mark(&shared));
    let likeness = if all == 0 { 0.0 } else { shared.len() as f64 / all as f64 };
    let mut json = serde_json::to_value(&pair).unwrap_or_default();
    json["shingles"] =
        json!({ "kept": kept, "dropped": dropped, "shared": shared.len(), "jaccard": likeness });
    json["kept"]["shared"] = json!(texts[0].ranges(&pair.kept.text, true));
    json["dropped"]["shared"] = json!(texts[1].ranges(&pair.dropped.text, true));
    let counts = format!(
        "{} and {} shingles of {ngram} words, {} shared: Jaccard {likeness:.4}",
        thousands(kept as u64),
        thousands(dropped as u64),
        thousands(shared.len() as u64)
    );
    let told = pair.step.value.filter(|_| pair.bands.is_some() && !pair.datatrove);
    let edited = told.is_some_and(|told| (told - likeness).abs() > EQUAL);
    let counts = if edited { format!("{counts}; nodes behind it edited the text") } else { counts };
    Ok(View { text: lay(&pair, &texts, &counts, style), json })
}

/// A text in pieces.
struct Text<'a> {
    pieces: Vec<Piece<'a>>,
    /// The hashes of its words, in order.
    words: Vec<u64>,
    ngram: usize,
    shingles: BTreeSet<u64>,
}

struct Piece<'a> {
    text: &'a str,
    words: Range<usize>,
    shared: bool,
}

impl<'a> Text<'a> {
    fn new(text: &'a str, ngram: usize, datatrove: bool) -> Self {
        let hashes = |text: &str| match datatrove {
            true => Words::of(text).ngram_hashes(1).collect(),
            false => {
                let mut hashes = Vec::new();
                shingles(text, 1, &mut hashes);
                hashes
            }
        };
        let cut = |letters: bool| {
            let (mut pieces, mut words) = (Vec::new(), Vec::new());
            for piece in cut_up(text, letters) {
                let start = words.len();
                words.extend(hashes(piece));
                pieces.push(Piece { text: piece, words: start..words.len(), shared: false });
            }
            (pieces, words)
        };
        // Whether letters of scripts without spaces are words depends on the text as a whole.
        let (mut pieces, mut words) = cut(true);
        if words != hashes(text) {
            (pieces, words) = cut(false);
        }
        let mut made = Self { pieces, words, ngram, shingles: BTreeSet::new() };
        made.shingles = made.runs().map(|(_, hash)| hash).collect();
        made
    }

    /// Every run of `ngram` words by its first word; a text of fewer has one, as far as it has words.
    fn runs(&self) -> impl Iterator<Item = (usize, u64)> {
        let length = self.ngram.min(self.words.len()).max(1);
        self.words.windows(length).enumerate().map(|(at, run)| {
            (at, run.iter().fold(0, |all: u64, word| (all.rotate_left(5) ^ word).wrapping_mul(PRIME)))
        })
    }

    fn mark(&mut self, shared: &BTreeSet<u64>) {
        let mut covered = vec![false; self.words.len()];
        for (at, hash) in self.runs().collect::<Vec<_>>() {
            if shared.contains(&hash) {
                let end = (at + self.ngram).min(covered.len());
                covered[at..end].fill(true);
            }
        }
        let is_covered = |piece: &Piece<'_>| covered[piece.words.clone()].iter().all(|covered| *covered);
        let mut last = self.pieces.iter().find(|piece| !piece.words.is_empty()).is_some_and(is_covered);
        for piece in &mut self.pieces {
            // What has no word goes with what stands before it, or behind it at the start.
            if !piece.words.is_empty() {
                last = is_covered(piece);
            }
            piece.shared = last;
        }
    }

    /// Byte ranges of the runs of pieces that are shared, or of those that are not.
    fn ranges(&self, text: &str, shared: bool) -> Vec<(usize, usize)> {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        let mut open = false;
        for piece in &self.pieces {
            if piece.shared == shared {
                let start = piece.text.as_ptr() as usize - text.as_ptr() as usize;
                let end = start + piece.text.len();
                match ranges.last_mut().filter(|_| open) {
                    Some(last) => last.1 = end,
                    None => ranges.push((start, end)),
                }
            }
            open = piece.shared == shared;
        }
        ranges
    }
}

/// Cuts a text at white space, and where `letters` are words, before each of a script without spaces.
fn cut_up(text: &str, letters: bool) -> Vec<&str> {
    let alone = |c: char| {
        let script = matches!(c,
            '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{a4cf}'
            | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}');
        letters && script && c.is_alphabetic()
    };
    let mut pieces = Vec::new();
    for word in text.split_whitespace() {
        let mut start = 0;
        for (at, _) in word.char_indices().filter(|(at, c)| *at > 0 && alone(*c)) {
            pieces.push(&word[start..at]);
            start = at;
        }
        pieces.push(&word[start..]);
    }
    pieces
}

fn lay(pair: &Pair, texts: &[Text<'_>; 2], counts: &str, style: &Style) -> String {
    let said = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    let step = &pair.step;
    let mut out = style.rule(&format!("{}: a pair", one_line(&step.node)));
    let reason = step.reason.as_deref().unwrap_or("dropped");
    out += &format!("{reason}: {}, limit {}; {counts}\n", said(step.value), said(step.limit));
    let width = (style.width.saturating_sub(GAP.chars().count()) / 2).max(16);
    let name = |side: &PairSide| one_line(side.url.as_deref().unwrap_or(&side.id));
    let heads = [("kept", &pair.kept, Ink::Green), ("dropped", &pair.dropped, Ink::Red)];
    let heads = heads.map(|(word, side, ink)| (cut(&format!("{word} {}", name(side)), width), ink));
    let head = heads.map(|(text, ink)| style.paint(ink, &pad(&text, width)));
    out += &format!("{}\n", head.join(GAP).trim_end());
    for (left, right) in segments(texts) {
        let sides = [(left, &texts[0]), (right, &texts[1])];
        let [left, right] = sides.map(|(segment, text)| lines(&segment, text, width, style));
        for at in 0..left.len().max(right.len()) {
            let side = |lines: &[(String, usize)]| match lines.get(at) {
                Some((line, cells)) => format!("{line}{}", " ".repeat(width.saturating_sub(*cells))),
                None => " ".repeat(width),
            };
            out += format!("{}{GAP}{}", side(&left), side(&right)).trim_end();
            out.push('\n');
        }
    }
    let legend = if style.colour {
        "green: in a shingle that both have; red: in none"
    } else {
        "⟦in brackets⟧: in no shingle that both have"
    };
    out + &format!("{}\n\n", style.paint(Ink::Dim, legend))
}

/// A stretch of one text.
enum Segment {
    Pieces(Range<usize>),
    /// So many pieces that both texts have are not shown.
    Skipped(usize),
}

/// Stretches of both texts that belong beside each other.
fn segments(texts: &[Text<'_>; 2]) -> Vec<(Segment, Segment)> {
    // Lines of words by their hashes: form does not count.
    let keys = texts.each_ref().map(|text| {
        let key = |piece: &Piece<'_>| match &text.words[piece.words.clone()] {
            [] => piece.text.replace('\n', " "),
            words => words.iter().map(|word| format!("{word:x} ")).collect(),
        };
        text.pieces.iter().map(key).collect::<Vec<_>>().join("\n")
    });
    let ends = texts.each_ref().map(|text| text.pieces.len());
    let mut found = Vec::new();
    let (mut left, mut right) = (0, 0);
    let alike = |left: Range<usize>, right: Range<usize>, found: &mut Vec<(Segment, Segment)>| {
        let many = left.len();
        if many > 2 * ENDS + ENDS / 2 {
            found.push((
                Segment::Pieces(left.start..left.start + ENDS),
                Segment::Pieces(right.start..right.start + ENDS),
            ));
            found.push((Segment::Skipped(many - 2 * ENDS), Segment::Skipped(many - 2 * ENDS)));
            found.push((
                Segment::Pieces(left.end - ENDS..left.end),
                Segment::Pieces(right.end - ENDS..right.end),
            ));
        } else if many > 0 {
            found.push((Segment::Pieces(left), Segment::Pieces(right)));
        }
    };
    for change in changes(&keys[0], &keys[1]) {
        let start = (change.line - 1).min(ends[0]);
        let same = start.saturating_sub(left);
        alike(left..start, right..right + same, &mut found);
        right += same;
        // A text without a piece is one empty line.
        let (from, to) = (start + change.removed.len(), right + change.added.len());
        let (from, to) = (from.min(ends[0]), to.min(ends[1]));
        found.push((Segment::Pieces(start..from), Segment::Pieces(right..to)));
        (left, right) = (from, to);
    }
    alike(left..ends[0], right..ends[1], &mut found);
    found
}

/// The lines of a stretch, each with the cells that it takes.
fn lines(segment: &Segment, text: &Text<'_>, width: usize, style: &Style) -> Vec<(String, usize)> {
    let range = match segment {
        Segment::Skipped(many) => {
            let line = cut(&format!("… {} words alike …", thousands(*many as u64)), width);
            return vec![(style.paint(Ink::Dim, &line), cells(&line))];
        }
        Segment::Pieces(range) => range.clone(),
    };
    let mut lines: Vec<(String, usize)> = Vec::new();
    let pieces = &text.pieces[range];
    for (at, piece) in pieces.iter().enumerate() {
        let mut shown = one_line(piece.text);
        if !style.colour && !piece.shared {
            let edge = |other: Option<&Piece<'_>>| other.is_none_or(|other| other.shared);
            let (first, last) = (edge(at.checked_sub(1).map(|at| &pieces[at])), edge(pieces.get(at + 1)));
            shown = format!("{}{shown}{}", if first { "⟦" } else { "" }, if last { "⟧" } else { "" });
        }
        let shown = cut(&shown, width);
        let ink = if piece.shared { Ink::Green } else { Ink::Red };
        let painted = style.paint(ink, &shown);
        match lines.last_mut() {
            Some((line, used)) if *used + 1 + cells(&shown) <= width => {
                *line += &format!(" {painted}");
                *used += 1 + cells(&shown);
            }
            _ => lines.push((painted, cells(&shown))),
        }
    }
    lines
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(cells(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(a: &str, b: &str, ngram: usize) -> (String, String) {
        let mut texts = [a, b].map(|text| Text::new(text, ngram, false));
        let shared = texts[0].shingles.intersection(&texts[1].shingles).copied().collect();
        texts.iter_mut().for_each(|text| text.mark(&shared));
        let style = Style { width: 200, colour: false };
        let line = |text: &Text<'_>| {
            let all = Segment::Pieces(0..text.pieces.len());
            lines(&all, text, 200, &style).into_iter().map(|(line, _)| line).collect::<Vec<_>>().join("\n")
        };
        (line(&texts[0]), line(&texts[1]))
    }

    #[test]
    fn what_no_shared_shingle_covers_stands_in_brackets() {
        let (a, b) = marked("One two, three -- four five six", "one two three FOUR 5 six", 3);
        assert_eq!(
            (a.as_str(), b.as_str()),
            ("One two, three -- four ⟦five six⟧", "one two three FOUR ⟦5 six⟧")
        );
        let (a, b) = marked("我们 去", "我们去", 2);
        assert_eq!((a.as_str(), b.as_str()), ("我 们 去", "我 们 去"));
        let (a, b) = marked("one", "two", 5);
        assert_eq!((a.as_str(), b.as_str()), ("⟦one⟧", "⟦two⟧"));
    }

    #[test]
    fn stretches_cover_both_texts_in_order() {
        let words =
            |from: usize, to: usize| (from..to).map(|n| format!("w{}", "x".repeat(n))).collect::<Vec<_>>();
        let mut left = words(0, 60);
        let mut right = left.clone();
        left.insert(50, "only here".into());
        right.splice(3..5, ["other".to_owned()]);
        let (left, right) = (left.join(" "), right.join(" "));
        for (a, b) in [
            (&left, &right),
            (&right, &left),
            (&left, &left),
            (&left, &String::new()),
            (&String::new(), &left),
        ] {
            let texts = [a, b].map(|text| Text::new(text, 5, false));
            let mut at = [0, 0];
            for (x, y) in segments(&texts) {
                for (side, segment) in [x, y].into_iter().enumerate() {
                    match segment {
                        Segment::Pieces(range) => {
                            assert_eq!(range.start, at[side]);
                            at[side] = range.end;
                        }
                        Segment::Skipped(many) => at[side] += many,
                    }
                }
            }
            assert_eq!(at, [texts[0].pieces.len(), texts[1].pieces.len()]);
        }
    }
}
