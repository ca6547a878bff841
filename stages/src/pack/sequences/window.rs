//! Packing one window of pieces into rows of a fixed length.
//!
//! `best_fit` is best-fit decreasing: the longest piece first, each into the row with the least space that still holds
//! it ("Fewer Truncations Improve Language Modeling", arXiv 2404.10830). Rows are found by their free space in an ordered
//! map, so n pieces cost n log n. `concat` lays pieces end to end and cuts where a row is full.

use super::piece::Piece;
use std::collections::BTreeMap;

/// One sequence: pieces whose tokens are at most its length.
pub(super) type Row = Vec<Piece>;

/// Best-fit decreasing. No piece is cut; each must fit a row. Inside a row, pieces keep the order of the window.
pub(super) fn best_fit(pieces: Vec<Piece>, length: usize) -> Vec<Row> {
    let mut longest_first: Vec<usize> = (0..pieces.len()).collect();
    longest_first.sort_by_key(|&at| std::cmp::Reverse(pieces[at].tokens.len()));
    // Rows by free space, those without any left out.
    let mut open: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut rows: Vec<Vec<usize>> = Vec::new();
    for at in longest_first {
        let needed = pieces[at].tokens.len();
        let (row, free) = match open.range_mut(needed..).next() {
            Some((&free, same)) => {
                let row = same.pop().expect("a free space without rows is taken out");
                if same.is_empty() {
                    open.remove(&free);
                }
                (row, free)
            }
            None => {
                rows.push(Vec::new());
                (rows.len() - 1, length)
            }
        };
        rows[row].push(at);
        if free > needed {
            open.entry(free - needed).or_default().push(row);
        }
    }
    let mut pieces: Vec<Option<Piece>> = pieces.into_iter().map(Some).collect();
    let mut take = |at: usize| pieces[at].take().expect("each piece is in one row");
    rows.into_iter()
        .map(|mut row| {
            // Longest first would teach a model that short documents come late in a sequence.
            row.sort_unstable();
            row.into_iter().map(&mut take).collect()
        })
        .collect()
}

/// Appends a piece to the last row, cutting it where a row is full.
pub(super) fn concat(rows: &mut Vec<Row>, mut piece: Piece, length: usize) {
    while !piece.tokens.is_empty() {
        let used = rows.last().map_or(length, |row| row.iter().map(|piece| piece.tokens.len()).sum());
        if used == length {
            rows.push(Row::new());
        }
        let free = if used == length { length } else { length - used };
        let tail = piece.tokens.split_off(piece.tokens.len().min(free));
        let offset = piece.offset + piece.tokens.len() as i32;
        let rest = Piece { document: piece.document.clone(), offset, tokens: tail };
        join(rows.last_mut().expect("a row with space is there"), piece);
        piece = rest;
    }
}

/// Adds a piece to a row; where it goes on from the last piece, the two are one.
fn join(row: &mut Row, piece: Piece) {
    match row.last_mut() {
        Some(last)
            if last.document == piece.document && last.offset + last.tokens.len() as i32 == piece.offset =>
        {
            last.tokens.extend(piece.tokens);
        }
        _ => row.push(piece),
    }
}
