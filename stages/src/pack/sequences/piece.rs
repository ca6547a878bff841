//! A piece of a document on its way through the shuffle: its bytes in a record, and back.
//!
//! Key: folder (1 byte), hash of the seed and what is shuffled (16), number of the piece in its document (4), all
//! big-endian. Value: length of the document id (4), id, offset of the first token in the document (4), tokens (4 each),
//! all little-endian.

use schemas::{Record, StageError};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Consecutive tokens of one document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) document: String,
    /// Where the tokens start in the document.
    pub(super) offset: i32,
    pub(super) tokens: Vec<i32>,
}

/// The key of piece `number`. `scatter` gives each piece its own place; else a document stays together, in order.
pub(super) fn key(folder: u8, seed: u64, document: &str, number: u32, scatter: bool) -> [u8; 21] {
    let mut name = document.as_bytes().to_vec();
    if scatter {
        name.extend_from_slice(&number.to_be_bytes());
    }
    let mut key = [0; 21];
    key[0] = folder;
    key[1..17].copy_from_slice(&xxh3_128_with_seed(&name, seed).to_be_bytes());
    key[17..].copy_from_slice(&number.to_be_bytes());
    key
}

/// Writes the value of a record over `out`.
pub(super) fn write(document: &str, offset: usize, tokens: &[i32], out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&(document.len() as u32).to_le_bytes());
    out.extend_from_slice(document.as_bytes());
    out.extend_from_slice(&(offset as u32).to_le_bytes());
    out.extend(tokens.iter().flat_map(|token| token.to_le_bytes()));
}

/// Reads a record.
///
/// # Errors
/// `Invalid` when the bytes are not those of [`write`].
pub(super) fn read(record: Record<'_>) -> Result<Piece, StageError> {
    parse(record.value).ok_or_else(|| StageError::Invalid("a record of packing is not whole".to_owned()))
}

fn parse(value: &[u8]) -> Option<Piece> {
    let (length, rest) = value.split_first_chunk()?;
    let (document, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let (offset, tokens) = rest.split_first_chunk()?;
    let (tokens, []) = tokens.as_chunks() else { return None };
    Some(Piece {
        document: String::from_utf8(document.to_vec()).ok()?,
        offset: i32::from_le_bytes(*offset),
        tokens: tokens.iter().map(|token| i32::from_le_bytes(*token)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_reads_back_and_a_broken_one_is_an_error() {
        let mut value = Vec::new();
        write("d", 7, &[1, 70_000], &mut value);
        let read_back = |value: &[u8]| read(Record { key: b"", value });
        let piece = Piece { document: "d".into(), offset: 7, tokens: vec![1, 70_000] };
        assert_eq!(read_back(&value).unwrap(), piece);
        for end in [0, 3, 4, 8, value.len() - 1] {
            assert!(read_back(&value[..end]).is_err(), "{end}");
        }
    }
}
