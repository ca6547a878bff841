//! Opens plain, gzip and zstd files alike and reads lines in bounded memory.
//!
//! What a file is follows from its first bytes, not from its name: `1f 8b` is gzip (RFC 1952, any number of members),
//! `28 b5 2f fd` is Zstandard (RFC 8878, any number of frames), anything else is plain.
//!
//! ```text
//! limit = 4   "ab\r\nabcdef\n"  →  Line at 0 "ab", TooLong at 4 (6 bytes), End
//! ```

use flate2::bufread::MultiGzDecoder;
use schemas::SourceError;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

const BUFFER_BYTES: usize = 256 << 10;
/// Bytes decompressed at once: a decoder that meets an error gives nothing of what it made in that call.
const DECODED_BYTES: usize = 32 << 10;
/// First bytes of a gzip member.
pub const GZIP: &[u8] = &[0x1f, 0x8b];
/// First bytes of a Zstandard frame.
pub const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// Whether a file is compressed.
///
/// # Errors
/// `Io`.
pub fn is_compressed(path: &Path) -> Result<bool, SourceError> {
    let mut first = [0; 4];
    let mut file = File::open(path).map_err(SourceError::io(path))?;
    let mut filled = 0;
    while filled < first.len() {
        match file.read(&mut first[filled..]).map_err(SourceError::io(path))? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(first.starts_with(GZIP) || first == *ZSTD)
}

/// Opens a file and undoes its compression.
///
/// # Errors
/// `Io`.
pub fn decompressed(path: &Path) -> Result<Box<dyn BufRead + Send>, SourceError> {
    let file = File::open(path).map_err(SourceError::io(path))?;
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
    let first = reader.fill_buf().map_err(SourceError::io(path))?;
    if first.starts_with(GZIP) {
        let decoder = MultiGzDecoder::new(reader);
        return Ok(Box::new(BufReader::with_capacity(DECODED_BYTES, decoder)));
    }
    if first.starts_with(ZSTD) {
        let decoder = zstd::Decoder::with_buffer(reader).map_err(SourceError::io(path))?;
        return Ok(Box::new(BufReader::with_capacity(DECODED_BYTES, decoder)));
    }
    Ok(Box::new(reader))
}

/// Whether an error of a decoder means that the bytes are broken, not that the system refused to give them.
pub fn is_broken(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

/// What [`Lines::next`] found. Offsets count bytes after decompression.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A line without its end is in the buffer.
    Whole {
        /// Where it starts.
        offset: u64,
    },
    /// The beginning of a line longer than the limit is in the buffer.
    TooLong {
        /// Where it starts.
        offset: u64,
        /// Length without the line feed.
        bytes: u64,
    },
    /// No line is left.
    End,
}

/// Splits a stream at line feeds.
pub struct Lines<R> {
    reader: R,
    offset: u64,
    limit: usize,
    /// The last line, without CR or LF at its end.
    pub line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Reads from a stream whose first byte has `offset`; lines longer than `limit` bytes are skipped but for
    /// their beginning.
    pub const fn new(reader: R, offset: u64, limit: usize) -> Self {
        Self { reader, offset, limit, line: Vec::new() }
    }

    /// Where the next line starts.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Reads the next line into [`Lines::line`].
    ///
    /// # Errors
    /// As the stream; what was read of the line is in [`Lines::line`].
    pub fn next_line(&mut self) -> io::Result<Line> {
        self.line.clear();
        // The memory of one giant line is not kept for all the others.
        self.line.shrink_to(BUFFER_BYTES);
        let offset = self.offset;
        let mut bytes = 0_u64;
        loop {
            let available = match self.reader.fill_buf() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            let end = memchr::memchr(b'\n', available);
            let piece = &available[..end.unwrap_or(available.len())];
            bytes += piece.len() as u64;
            // One more than the limit, so that CR before LF does not count.
            let room = (self.limit + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(&piece[..piece.len().min(room)]);
            let consumed = piece.len() + usize::from(end.is_some());
            let at_end = consumed == 0;
            self.reader.consume(consumed);
            self.offset += consumed as u64;
            if end.is_some() || at_end {
                if at_end && bytes == 0 {
                    return Ok(Line::End);
                }
                return Ok(self.ended(offset, bytes));
            }
        }
    }

    fn ended(&mut self, offset: u64, bytes: u64) -> Line {
        if bytes == self.line.len() as u64 && self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        if self.line.len() > self.limit {
            self.line.truncate(super::batch::REJECT_BYTES_MAX);
            return Line::TooLong { offset, bytes };
        }
        Line::Whole { offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], limit: usize, expected: &[(Option<&str>, u64)]) {
        for capacity in [1, 3, 64] {
            let mut lines = Lines::new(BufReader::with_capacity(capacity, bytes), 0, limit);
            let mut found = Vec::new();
            loop {
                match lines.next_line().unwrap() {
                    Line::Whole { offset } => {
                        found.push((Some(String::from_utf8(lines.line.clone()).unwrap()), offset));
                    }
                    Line::TooLong { offset, bytes: _ } => found.push((None, offset)),
                    Line::End => break,
                }
            }
            let found: Vec<(Option<&str>, u64)> = found.iter().map(|(l, o)| (l.as_deref(), *o)).collect();
            assert_eq!(found, expected, "{bytes:?}");
        }
    }

    #[test]
    fn lines_end_at_line_feeds() {
        check(b"", 9, &[]);
        check(b"a", 9, &[(Some("a"), 0)]);
        check(b"a\n", 9, &[(Some("a"), 0)]);
        check(b"\n\nb\r\n", 9, &[(Some(""), 0), (Some(""), 1), (Some("b"), 2)]);
        check(b"a\rb\n", 9, &[(Some("a\rb"), 0)]);
    }

    #[test]
    fn a_line_longer_than_the_limit_is_skipped() {
        check(
            b"abc\r\nabcd\nabcde\nx",
            4,
            &[(Some("abc"), 0), (Some("abcd"), 5), (None, 10), (Some("x"), 16)],
        );
        check(b"abcd\r\n", 4, &[(Some("abcd"), 0)]);
    }
}
