//! What every format is given, and the width of its tokens.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};
use std::path::PathBuf;

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

/// A file with a byte a token, 1 where it counts in the loss; made only where there is a mask.
pub(super) struct LateMask {
    path: PathBuf,
    /// Written from the first mask on; what came before counts.
    file: Option<BufWriter<File>>,
    tokens: u64,
}

impl LateMask {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, file: None, tokens: 0 }
    }

    /// Takes the mask of the next tokens, of which there are `length`.
    pub(super) fn add(&mut self, mask: Option<&[bool]>, length: usize) -> io::Result<()> {
        if self.file.is_none() && mask.is_some() {
            let mut file = BufWriter::new(File::create(&self.path)?);
            io::copy(&mut io::repeat(1).take(self.tokens), &mut file)?;
            self.file = Some(file);
        }
        self.tokens += length as u64;
        let Some(file) = &mut self.file else { return Ok(()) };
        match mask {
            Some(mask) => file.write_all(&mask.iter().map(|&counts| u8::from(counts)).collect::<Vec<_>>()),
            None => file.write_all(&vec![1; length]),
        }
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.file.map_or(Ok(()), |mut file| file.flush())
    }
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
