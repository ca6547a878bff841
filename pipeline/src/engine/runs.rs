//! Records one behind the other in a file: length of key, length of value, key, value.

use schemas::Record;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Take, Write};
use std::path::Path;

const WRITE_BYTES: usize = 64 << 10;
/// Bytes of the two lengths.
const LENGTHS: usize = 8;

/// Writes a record.
pub(super) fn write_record(out: &mut impl Write, Record { key, value }: Record<'_>) -> io::Result<()> {
    out.write_all(&(key.len() as u64 | (value.len() as u64) << 32).to_le_bytes())?;
    out.write_all(key)?;
    out.write_all(value)
}

/// Bytes that a record takes in a file.
pub(super) fn record_bytes(record: Record<'_>) -> u64 {
    (LENGTHS + record.key.len() + record.value.len()) as u64
}

/// Writes a run.
pub(super) struct RunWriter {
    file: BufWriter<File>,
    written: u64,
}

impl RunWriter {
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self { file: BufWriter::with_capacity(WRITE_BYTES, File::create(path)?), written: 0 })
    }

    pub(super) fn write(&mut self, record: Record<'_>) -> io::Result<()> {
        self.written += record_bytes(record);
        write_record(&mut self.file, record)
    }

    /// Bytes so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Ends the file; its length.
    pub(super) fn finish(self) -> io::Result<u64> {
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(self.written)
    }
}

/// Reads records.
pub(super) struct RunReader {
    file: BufReader<Take<File>>,
    bytes: Vec<u8>,
    key: usize,
}

impl RunReader {
    /// The records between two bytes of a file, read by so many bytes.
    pub(super) fn open(path: &Path, start: u64, end: u64, bytes: usize) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(start))?;
        Ok(Self::of(file.take(end - start), bytes))
    }

    pub(super) fn of(file: Take<File>, bytes: usize) -> Self {
        Self { file: BufReader::with_capacity(bytes, file), bytes: Vec::new(), key: 0 }
    }

    /// Moves to the next record; `false` at the end.
    pub(super) fn advance(&mut self) -> io::Result<bool> {
        // Nearly every record lies in the buffer as a whole.
        if let Some((record, _)) = split_record(self.file.buffer()) {
            let bytes = record_bytes(record) as usize;
            self.key = record.key.len();
            self.bytes.clear();
            self.bytes.extend_from_slice(&self.file.buffer()[LENGTHS..bytes]);
            self.file.consume(bytes);
            return Ok(true);
        }
        let mut lengths = [0; LENGTHS];
        match self.file.read_exact(&mut lengths[..1]) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            other => other?,
        }
        self.file.read_exact(&mut lengths[1..])?;
        let (key, value) = lengths_of(lengths);
        self.key = key;
        self.bytes.resize(key + value, 0);
        self.file.read_exact(&mut self.bytes)?;
        Ok(true)
    }

    pub(super) fn record(&self) -> Record<'_> {
        let (key, value) = self.bytes.split_at(self.key);
        Record { key, value }
    }
}

/// Splits the first record off; `None` when the bytes are too few.
pub(super) fn split_record(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let (lengths, rest) = bytes.split_first_chunk()?;
    let (key, value) = lengths_of(*lengths);
    let (key, rest) = rest.split_at_checked(key)?;
    let (value, rest) = rest.split_at_checked(value)?;
    Some((Record { key, value }, rest))
}

fn lengths_of(bytes: [u8; LENGTHS]) -> (usize, usize) {
    let both = u64::from_le_bytes(bytes);
    (both as u32 as usize, (both >> 32) as usize)
}
