//! Reads files in pieces of about a megabyte that can be counted one by one.
//!
//! A name ending in `.parquet` is Parquet, one in `.jsonl`, `.ndjson` or `.json` (also `.gz`, `.zst`) JSON lines; anything
//! else is one text. A text is cut only between a letter and white space, where no split into words has a word.

use super::files::{Reading, Tally};
use crate::source::files::list;
use crate::source::jsonl;
use crate::source::open::{Line, Lines, decompressed};
use crate::source::parquet::{Config, Parquet};
use arrow::array::{Array as _, StringArray};
use schemas::source::DOCUMENT_BYTES_MAX;
use schemas::{Context, Event, FilePaths, Intake, Source as _, SourceError, StageError, Verdict, column};
use std::io::Read as _;
use std::path::Path;

/// A piece is handed on when it has this many bytes.
const PIECE_BYTES: usize = 1 << 20;
/// What progress is told in.
const UNIT_BYTES: u64 = 1 << 20;
const LINES: [&str; 3] = [".jsonl", ".ndjson", ".json"];
/// Files that are looked for in folders, beside those of JSON lines.
const ENDINGS: [&str; 5] = [".parquet", ".txt", ".txt.gz", ".txt.zst", ".md"];

/// Something to count.
pub(super) enum Piece {
    /// JSON objects, one a line.
    Lines(Vec<u8>),
    /// Texts, null where a row has none.
    Rows(StringArray),
    /// A part of a text.
    Text { text: String, begins: bool },
}

/// Where pieces go; `false` when nobody takes them any more. That is no error here: the one who failed tells it.
pub(super) type Send<'a> = &'a dyn Fn(Piece) -> bool;

fn failed(error: SourceError) -> StageError {
    match error {
        SourceError::Io { path, error } => StageError::Io { path, error },
        other => StageError::Invalid(other.to_string()),
    }
}

/// Reads all files.
pub(super) fn read(reading: &Reading<'_>, send: Send<'_>) -> Result<Tally, StageError> {
    let found = list(Path::new(""), reading.paths, &[jsonl::ENDINGS, &ENDINGS].concat()).map_err(failed)?;
    let length = |path: &Path| std::fs::metadata(path).map(|meta| meta.len()).map_err(StageError::io(path));
    let lengths = found.iter().map(|file| length(&file.path)).collect::<Result<Vec<u64>, _>>()?;
    let total = lengths.iter().sum::<u64>() / UNIT_BYTES;
    reading.observer.event(Event::Phase { name: "count words", total });
    let (mut tally, mut done) = (Tally::default(), 0);
    for (file, length) in found.iter().zip(lengths) {
        tally.files += 1;
        let name = file.name.to_ascii_lowercase();
        let plain = name.trim_end_matches(".gz").trim_end_matches(".zst");
        if plain.ends_with(".parquet") {
            tally.rows_bad += rows(reading, &file.path, send)?;
        } else if LINES.iter().any(|ending| plain.ends_with(ending)) {
            tally.rows_bad += lines(&file.path, send)?;
        } else {
            text(&file.path, send)?;
        }
        let before = done / UNIT_BYTES;
        done += length;
        reading.observer.event(Event::Advance { units: done / UNIT_BYTES - before });
    }
    Ok(tally)
}

/// Sends the lines of a file; how many were too long.
fn lines(path: &Path, send: Send<'_>) -> Result<u64, StageError> {
    let mut lines = Lines::new(decompressed(path).map_err(failed)?, 0, DOCUMENT_BYTES_MAX);
    let (mut piece, mut too_long) = (Vec::with_capacity(PIECE_BYTES), 0);
    loop {
        match lines.next_line().map_err(StageError::io(path))? {
            Line::End => break,
            Line::TooLong { .. } => too_long += 1,
            Line::Whole { offset } => {
                let line = lines.line.as_slice();
                let bom = if offset == 0 { "\u{feff}".as_bytes() } else { &[] };
                piece.extend_from_slice(line.strip_prefix(bom).unwrap_or(line));
                piece.push(b'\n');
            }
        }
        if piece.len() >= PIECE_BYTES {
            let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE_BYTES));
            if !send(Piece::Lines(full)) {
                break;
            }
        }
    }
    send(Piece::Lines(piece));
    Ok(too_long)
}

/// Sends the texts of a Parquet file; how many rows have none.
fn rows(reading: &Reading<'_>, path: &Path, send: Send<'_>) -> Result<u64, StageError> {
    let text = reading.text_field.to_owned();
    let paths = FilePaths(vec![path.to_string_lossy().into_owned()]);
    let config = Config { paths, text_column: text.clone(), columns: vec![text], ..Config::default() };
    let source = Parquet { config };
    let folder = Path::new("");
    let context = Context { base: folder, archive: folder, observer: reading.observer };
    let mut bad = 0;
    for split in source.splits(&context).map_err(failed)? {
        for intake in source.read(&split).map_err(failed)? {
            let Intake { batch, verdicts } = intake.map_err(failed)?;
            let texts = column::utf8(&batch, column::TEXT)?;
            let whole = |(text, verdict): (Option<&str>, &Verdict)| match verdict {
                Verdict::Dropped { .. } => None,
                _ => text.map(str::to_owned),
            };
            let texts: StringArray = texts.iter().zip(&verdicts).map(whole).collect();
            bad += texts.null_count() as u64;
            if !send(Piece::Rows(texts)) {
                return Ok(bad);
            }
        }
    }
    Ok(bad)
}

/// Sends a text in parts.
fn text(path: &Path, send: Send<'_>) -> Result<(), StageError> {
    let mut file = decompressed(path).map_err(failed)?;
    let (mut bytes, mut sent, mut begins) = (Vec::new(), 0, true);
    loop {
        let known = bytes.len();
        let more =
            file.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut bytes).map_err(StageError::io(path))?;
        let end = if more == 0 { bytes.len() } else { cut(&bytes, known) };
        let rest = bytes.split_off(end);
        let length = bytes.len();
        let text = String::from_utf8(std::mem::replace(&mut bytes, rest)).map_err(|error| {
            let at = sent + error.utf8_error().valid_up_to();
            StageError::Invalid(format!("{}: is no text: the byte at {at} is not UTF-8", path.display()))
        })?;
        let sends = length > 0 || (more == 0 && begins);
        let taken = !sends || send(Piece::Text { text, begins });
        begins &= !sends;
        sent += length;
        if more == 0 || !taken {
            return Ok(());
        }
    }
}

/// Where a text may be cut: behind a letter, before white space; the first `known` bytes have no such place.
/// A text without one waits until it is as long as a document may be.
fn cut(bytes: &[u8], known: usize) -> usize {
    let start = known.saturating_sub(1);
    let is_border = |pair: &[u8]| pair[0].is_ascii_alphabetic() && matches!(pair[1], b' ' | b'\n');
    if let Some(at) = bytes[start..].windows(2).rposition(is_border) {
        return start + at + 1;
    }
    if bytes.len() < DOCUMENT_BYTES_MAX {
        return 0;
    }
    // A character has at most three bytes behind its first.
    (bytes.len() - 3..bytes.len()).rev().find(|&at| bytes[at] & 0xc0 != 0x80).unwrap_or(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_no_word_is() {
        for (text, expected) in [
            ("", 0),
            ("one two", 3),
            ("one two three", 7),
            ("one  two ", 8),
            ("1 ", 0),
            ("a", 0),
            ("a\nb", 1),
        ] {
            assert_eq!(cut(text.as_bytes(), 0), expected, "{text:?}");
        }
        let mut long = "é".repeat(DOCUMENT_BYTES_MAX / 2 + 1).into_bytes();
        assert_eq!(cut(&long, 0) % 2, 0);
        long.pop();
        assert_eq!(cut(&long, 0), long.len() - 1);
    }
}
