//! `.bin` and `.idx` as Megatron-LM maps them into memory (its `core/datasets/indexed_dataset.py`, read by NeMo and
//! others too).
//!
//! `.bin`: tokens without a head. `.idx`, in little endian: `MMIDIDX` and two zero bytes, version 1 (u64), the type of a
//! token (u8; 8 is u16, 4 is i32), entries (u64), documents and one (u64); then the length of each entry (i32), its first
//! byte in `.bin` (i64), and the entry that begins each document, with one for the end (i64). An entry is a document here.

use super::format::{Entry, Format, Width};
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 9] = b"MMIDIDX\0\0";
const VERSION: u64 = 1;

pub(super) struct Megatron {
    width: Width,
    bin: BufWriter<File>,
    /// Lengths as they come, in a file: there may be more documents than memory has room for.
    lengths: BufWriter<File>,
    lengths_path: PathBuf,
    index: PathBuf,
    entries: u64,
    buffer: Vec<u8>,
}

impl Megatron {
    pub(super) fn create(folder: &Path, split: &str, width: Width) -> io::Result<Self> {
        let lengths_path = folder.join(format!("{split}.lengths"));
        Ok(Self {
            width,
            bin: BufWriter::new(File::create(folder.join(format!("{split}.bin")))?),
            lengths: BufWriter::new(File::create(&lengths_path)?),
            lengths_path,
            index: folder.join(format!("{split}.idx")),
            entries: 0,
            buffer: Vec::new(),
        })
    }
}

impl Format for Megatron {
    fn add(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.width.write(entry.ids, &mut self.buffer, &mut self.bin)?;
        let length = i32::try_from(entry.ids.len()).map_err(io::Error::other)?;
        self.lengths.write_all(&length.to_le_bytes())?;
        self.entries += 1;
        Ok(())
    }

    fn takes_mask(&self) -> bool {
        false
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        let Self { width, mut bin, mut lengths, lengths_path, index, entries, .. } = *self;
        bin.flush()?;
        lengths.flush()?;
        let mut out = BufWriter::new(File::create(index)?);
        out.write_all(MAGIC)?;
        out.write_all(&VERSION.to_le_bytes())?;
        out.write_all(&[match width {
            Width::Two => 8,
            Width::Four => 4,
        }])?;
        out.write_all(&entries.to_le_bytes())?;
        out.write_all(&(entries + 1).to_le_bytes())?;
        io::copy(&mut File::open(&lengths_path)?, &mut out)?;
        let mut read = BufReader::new(File::open(&lengths_path)?);
        let mut pointer = 0_u64;
        for _ in 0..entries {
            out.write_all(&pointer.to_le_bytes())?;
            let mut length = [0; 4];
            read.read_exact(&mut length)?;
            pointer += u64::from(u32::from_le_bytes(length)) * width.bytes();
        }
        (0..=entries).try_for_each(|entry| out.write_all(&entry.to_le_bytes()))?;
        out.flush()?;
        fs::remove_file(lengths_path)
    }
}
