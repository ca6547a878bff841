//! One window: pieces that are held together and packed into rows.
//!
//! Tokens of all pieces lie one behind the other, so that a row is a list of places and nothing is copied until it is
//! written. What of a window does not fill its rows goes on into the next one: so only the last rows of all are padded
//! for want of pieces.

use super::Method;
use super::fit::best_fit;
use super::piece::Piece;
use schemas::hash::Rng;
use std::ops::Range;

/// Part of a window that may go on into the next: one in so many tokens.
const CARRIED: usize = 8;

/// Pieces that wait for their row.
#[derive(Debug, Default)]
pub(super) struct Window {
    tokens: Vec<i32>,
    /// One byte a token, or nothing.
    mask: Vec<u8>,
    ids: String,
    pieces: Vec<Held>,
}

/// A piece in a window.
#[derive(Debug, Clone, Copy)]
struct Held {
    id: usize,
    id_bytes: usize,
    offset: usize,
    start: usize,
    length: usize,
}

/// A piece in a row.
pub(super) struct Laid<'a> {
    pub(super) document: &'a str,
    /// Where in the tokens of its document it starts.
    pub(super) offset: usize,
    pub(super) tokens: &'a [i32],
    /// One byte a token, or nothing.
    pub(super) mask: &'a [u8],
}

impl Window {
    /// Forgets all pieces, keeps the memory, and takes room for so many tokens.
    pub(super) fn clear(&mut self, tokens: usize) {
        self.tokens.clear();
        self.tokens.reserve(tokens);
        self.mask.clear();
        self.ids.clear();
        self.pieces.clear();
    }

    /// Takes the pieces of another window.
    pub(super) fn append(&mut self, other: &Self) {
        other.pieces.iter().for_each(|held| self.copy(&other.laid(*held)));
    }

    pub(super) fn push(&mut self, piece: Piece<'_>) {
        let (id, start) = (self.ids.len(), self.tokens.len());
        self.ids.push_str(piece.document);
        self.tokens.extend(piece.tokens());
        self.mask.extend_from_slice(piece.mask.unwrap_or_default());
        self.pieces.push(Held {
            id,
            id_bytes: piece.document.len(),
            offset: piece.offset as usize,
            start,
            length: piece.len(),
        });
    }

    fn id(&self, held: Held) -> &str {
        &self.ids[held.id..held.id + held.id_bytes]
    }

    fn laid(&self, held: Held) -> Laid<'_> {
        let range = held.start..held.start + held.length;
        Laid {
            document: self.id(held),
            offset: held.offset,
            mask: self.mask.get(range.clone()).unwrap_or_default(),
            tokens: &self.tokens[range],
        }
    }

    fn copy(&mut self, laid: &Laid<'_>) {
        let (id, start) = (self.ids.len(), self.tokens.len());
        self.ids.push_str(laid.document);
        self.tokens.extend_from_slice(laid.tokens);
        self.mask.extend_from_slice(laid.mask);
        let (id_bytes, length) = (laid.document.len(), laid.tokens.len());
        self.pieces.push(Held { id, id_bytes, offset: laid.offset, start, length });
    }

    /// Packs the window into rows of `length` tokens. Where more pieces follow, those of rows with space go on.
    pub(super) fn pack(self, method: Method, length: usize, last: bool) -> (Packed, Self) {
        let mut packed = match method {
            Method::BestFit => self.fitted(length),
            Method::Concat => self.joined(length),
        };
        let mut rest = Self::default();
        if !last {
            packed.split_open(method, length, &mut rest);
        }
        (packed, rest)
    }

    /// Each piece is a row of its own.
    pub(super) fn unpacked(self) -> Packed {
        let rows = (0..self.pieces.len()).map(|at| at..at + 1).collect();
        Packed { placed: self.pieces.clone(), window: self, rows }
    }

    /// Best-fit decreasing. Inside a row, pieces keep the order of the window: longest first would teach a model that short
    /// documents come late in a sequence.
    fn fitted(self, length: usize) -> Packed {
        let lengths: Vec<u32> = self.pieces.iter().map(|piece| piece.length as u32).collect();
        let (row_of, count) = best_fit(&lengths, length);
        let mut ends = vec![0; count];
        row_of.iter().for_each(|&row| ends[row as usize] += 1);
        let mut rows: Vec<Range<usize>> = Vec::with_capacity(count);
        for end in ends {
            let start = rows.last().map_or(0, |row| row.end);
            rows.push(start..start + end);
        }
        let mut next: Vec<usize> = rows.iter().map(|row| row.start).collect();
        let mut placed = self.pieces.clone();
        for (&piece, row) in self.pieces.iter().zip(row_of) {
            placed[next[row as usize]] = piece;
            next[row as usize] += 1;
        }
        Packed { window: self, placed, rows }
    }

    /// Lays pieces end to end and cuts where a row is full.
    fn joined(self, length: usize) -> Packed {
        let mut placed: Vec<Held> = Vec::with_capacity(self.pieces.len());
        let (mut rows, mut first, mut used) = (Vec::new(), 0, 0);
        for &piece in &self.pieces {
            let mut rest = piece;
            while rest.length > 0 {
                let part = Held { length: rest.length.min(length - used), ..rest };
                let goes_on = placed[first..].last().is_some_and(|last: &Held| {
                    last.offset + last.length == part.offset && self.id(*last) == self.id(part)
                });
                match placed.last_mut().filter(|_| goes_on) {
                    Some(last) => last.length += part.length,
                    None => placed.push(part),
                }
                used += part.length;
                (rest.offset, rest.start) = (rest.offset + part.length, rest.start + part.length);
                rest.length -= part.length;
                if used == length {
                    rows.push(first..placed.len());
                    (first, used) = (placed.len(), 0);
                }
            }
        }
        if used > 0 {
            rows.push(first..placed.len());
        }
        Packed { window: self, placed, rows }
    }
}

/// A window in rows.
#[derive(Debug, Default)]
pub(super) struct Packed {
    window: Window,
    placed: Vec<Held>,
    rows: Vec<Range<usize>>,
}

impl Packed {
    /// The window, with its memory.
    pub(super) fn into_window(self) -> Window {
        self.window
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The pieces of a row.
    pub(super) fn row(&self, row: usize) -> impl Iterator<Item = Laid<'_>> {
        self.placed[self.rows[row].clone()].iter().map(|&held| self.window.laid(held))
    }

    pub(super) fn shuffle(&mut self, mut rng: Rng) {
        for at in (1..self.rows.len()).rev() {
            self.rows.swap(at, rng.below(at as u64 + 1) as usize);
        }
    }

    /// Takes rows that are not full into `rest`, those with most space first; of `concat`, only the last one is not.
    fn split_open(&mut self, method: Method, length: usize, rest: &mut Window) {
        let used =
            |row: &Range<usize>| self.placed[row.clone()].iter().map(|piece| piece.length).sum::<usize>();
        let rows = self.rows.iter().map(used).enumerate();
        let mut open: Vec<(usize, usize)> = match method {
            Method::BestFit => rows.collect(),
            Method::Concat => rows.skip(self.rows.len().saturating_sub(1)).collect(),
        };
        open.retain(|(_, used)| *used < length);
        open.sort_by_key(|(row, used)| (*used, *row));
        let most = self.window.tokens.len() / CARRIED;
        let mut tokens = 0;
        open.retain(|(_, used)| {
            tokens += used;
            tokens <= most || method == Method::Concat
        });
        open.sort_unstable();
        for (row, _) in open {
            let row = std::mem::take(&mut self.rows[row]);
            self.placed[row].iter().for_each(|held| rest.copy(&self.window.laid(*held)));
        }
        self.rows.retain(|row| !row.is_empty());
    }
}
