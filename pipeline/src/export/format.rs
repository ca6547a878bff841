//! What every format is given, and the width of its tokens.

use std::io::{self, Write};

/// Greatest vocabulary whose ids fit two bytes.
const VOCAB_OF_TWO_BYTES: u64 = 1 << 16;

/// How a token is written, in little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    Two,
    Four,
}

impl Width {
    /// The least that every id below `vocab` fits.
    pub(super) const fn of(vocab: u64) -> Self {
        if vocab <= VOCAB_OF_TWO_BYTES { Self::Two } else { Self::Four }
    }

    pub(super) const fn bytes(self) -> u64 {
        match self {
            Self::Two => 2,
            Self::Four => 4,
        }
    }

    /// Writes tokens, each of which is below the vocabulary.
    pub(super) fn write(self, ids: &[u32], buffer: &mut Vec<u8>, out: &mut dyn Write) -> io::Result<()> {
        buffer.clear();
        match self {
            Self::Two => buffer.extend(ids.iter().flat_map(|&id| (id as u16).to_le_bytes())),
            Self::Four => buffer.extend(ids.iter().flat_map(|id| id.to_le_bytes())),
        }
        out.write_all(buffer)
    }
}

/// A document, or a training sequence.
pub(super) struct Entry<'a> {
    pub(super) ids: &'a [u32],
    /// Whether each token counts in the loss; absent where all do.
    pub(super) mask: Option<&'a [bool]>,
    /// Shard that has it, or its first piece.
    pub(super) shard: &'a str,
    /// Row in the shard.
    pub(super) row: u64,
    /// Id of the document; absent of a training sequence.
    pub(super) document: Option<schemas::DocId>,
}

/// Files of a format, for one split.
pub(super) trait Format {
    /// Writes an entry.
    fn add(&mut self, entry: &Entry<'_>) -> io::Result<()>;
    /// Whether a loss mask has a place in it.
    fn takes_mask(&self) -> bool;
    /// Writes what stands at the end, or in front.
    fn finish(self: Box<Self>) -> io::Result<()>;
}
