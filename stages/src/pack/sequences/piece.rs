//! A piece of a document on its way through the shuffle: its bytes in a record, and back.
//!
//! Key: folder (1 byte), source (2), pass over the source (2), hash of the seed and what is shuffled (16), number of the piece
//! in its document (4), all big-endian. Value: length of the document id (4), id, offset of the first token in the document
//! (4), whether there is a mask (1), tokens (4 each), mask (1 each). Records never leave the machine, so numbers of the value
//! have its byte order.

use schemas::{Record, Records, StageError};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 25;

/// What decides where a piece comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) folder: u8,
    pub(super) source: u16,
    pub(super) pass: u16,
    /// Seed of the order in the pass.
    pub(super) seed: u64,
    pub(super) document: &'a str,
    /// Number of the piece in its document.
    pub(super) number: u32,
    /// Gives each piece its own place; else a document stays together, in order.
    pub(super) scatter: bool,
}

/// Consecutive tokens of one document, borrowed from a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) document: &'a str,
    /// Where the tokens start in the document.
    pub(super) offset: u32,
    tokens: &'a [u8],
    /// One byte a token, or none.
    pub(super) mask: Option<&'a [u8]>,
}

impl<'a> Piece<'a> {
    /// A piece of tokens in the byte order of the machine.
    pub(super) fn new(document: &'a str, offset: u32, tokens: &'a [u8], mask: Option<&'a [u8]>) -> Self {
        Self { document, offset, tokens, mask }
    }

    /// How many tokens there are.
    pub(super) fn len(self) -> usize {
        self.tokens.len() / 4
    }

    /// The token ids.
    pub(super) fn tokens(self) -> impl Iterator<Item = i32> {
        self.tokens.as_chunks().0.iter().map(|token| i32::from_ne_bytes(*token))
    }
}

/// The key of a piece; `name` is a buffer.
pub(super) fn key(place: Place<'_>, name: &mut Vec<u8>) -> [u8; KEY_BYTES] {
    name.clear();
    name.extend_from_slice(place.document.as_bytes());
    if place.scatter {
        name.extend_from_slice(&place.number.to_be_bytes());
    }
    let mut key = [0; KEY_BYTES];
    key[0] = place.folder;
    key[1..3].copy_from_slice(&place.source.to_be_bytes());
    key[3..5].copy_from_slice(&place.pass.to_be_bytes());
    key[5..21].copy_from_slice(&xxh3_128_with_seed(name, place.seed).to_be_bytes());
    key[21..].copy_from_slice(&place.number.to_be_bytes());
    key
}

/// The source in a key.
pub(super) fn source(key: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([key[1], key[2]]))
}

/// Adds the record of a piece.
pub(super) fn push(key: &[u8], piece: Piece<'_>, out: &mut Records) {
    let length = (piece.document.len() as u32).to_ne_bytes();
    let (offset, masked) = (piece.offset.to_ne_bytes(), [u8::from(piece.mask.is_some())]);
    let mask = piece.mask.unwrap_or_default();
    out.push_parts(key, &[&length, piece.document.as_bytes(), &offset, &masked, piece.tokens, mask]);
}

/// Reads a record.
///
/// # Errors
/// `Invalid` when the bytes are not those of [`push`].
pub(super) fn read(record: Record<'_>) -> Result<Piece<'_>, StageError> {
    parse(record.value).ok_or_else(|| StageError::Invalid("a record of packing is not whole".to_owned()))
}

fn parse(value: &[u8]) -> Option<Piece<'_>> {
    let (length, rest) = value.split_first_chunk()?;
    let (document, rest) = rest.split_at_checked(u32::from_ne_bytes(*length) as usize)?;
    let (offset, rest) = rest.split_first_chunk()?;
    let (&masked, rest) = rest.split_first()?;
    let token_bytes = match masked {
        0 if rest.len().is_multiple_of(4) => rest.len(),
        1 if rest.len().is_multiple_of(5) => rest.len() / 5 * 4,
        _ => return None,
    };
    let (tokens, mask) = rest.split_at(token_bytes);
    let document = std::str::from_utf8(document).ok()?;
    Some(Piece { document, offset: u32::from_ne_bytes(*offset), tokens, mask: (masked == 1).then_some(mask) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_reads_back_and_a_broken_one_is_an_error() {
        let bytes = [1_i32, 70_000].map(i32::to_ne_bytes);
        for mask in [None, Some(&[1_u8, 0][..])] {
            let mut records = Records::default();
            push(b"k", Piece::new("d", 7, bytes.as_flattened(), mask), &mut records);
            let record = records.iter().next().unwrap();
            let piece = read(record).unwrap();
            assert_eq!((piece.document, piece.offset, piece.mask, piece.len()), ("d", 7, mask, 2));
            assert_eq!(piece.tokens().collect::<Vec<_>>(), [1, 70_000]);
            for end in [0, 3, 4, 8, record.value.len() - 1] {
                let broken = Record { key: b"k", value: &record.value[..end] };
                assert!(read(broken).is_err(), "{end}");
            }
        }
    }

    #[test]
    fn a_key_sorts_by_folder_source_pass_and_then_by_hash() {
        let place = |folder, source, pass, document: &'static str| Place {
            folder,
            source,
            pass,
            seed: 3,
            document,
            number: 1,
            scatter: true,
        };
        let key = |place| key(place, &mut Vec::new());
        let (first, last) = (key(place(0, 0, 1, "a")), key(place(0, 1, 0, "a")));
        assert!(key(place(0, 0, 0, "a")) < first && first < last && last < key(place(1, 0, 0, "a")));
        assert_eq!(source(&last), 1);
        assert_ne!(key(place(0, 0, 0, "a"))[5..21], key(place(0, 0, 0, "b"))[5..21]);
    }
}
