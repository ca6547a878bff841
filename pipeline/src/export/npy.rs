//! A bare array of tokens with a table of documents, as the dolma tools write and OLMo reads them.
//!
//! `.npy` by name alone: u16 or u32 in little endian without the head of NumPy's format, for `numpy.memmap`.
//! `.csv.gz`: a line a document, without a head: first token, token behind the last, id, shard, row. `.label_mask.npy`,
//! only where there is a mask: one byte a token, 1 where it counts.

use super::format::{Entry, Format, Width};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const GZIP_LEVEL: u32 = 6;

pub(super) struct Npy {
    width: Width,
    tokens: BufWriter<File>,
    table: GzEncoder<BufWriter<File>>,
    mask: Option<BufWriter<File>>,
    mask_path: PathBuf,
    count: u64,
    buffer: Vec<u8>,
}

impl Npy {
    pub(super) fn create(folder: &Path, split: &str, width: Width) -> io::Result<Self> {
        let table = BufWriter::new(File::create(folder.join(format!("{split}.csv.gz")))?);
        Ok(Self {
            width,
            tokens: BufWriter::new(File::create(folder.join(format!("{split}.npy")))?),
            table: GzEncoder::new(table, Compression::new(GZIP_LEVEL)),
            mask: None,
            mask_path: folder.join(format!("{split}.label_mask.npy")),
            count: 0,
            buffer: Vec::new(),
        })
    }

    fn mask(&mut self, mask: Option<&[bool]>, length: usize) -> io::Result<()> {
        if self.mask.is_none() && mask.is_some() {
            let mut file = BufWriter::new(File::create(&self.mask_path)?);
            io::copy(&mut io::Read::take(io::repeat(1), self.count), &mut file)?;
            self.mask = Some(file);
        }
        let Some(file) = &mut self.mask else { return Ok(()) };
        match mask {
            Some(mask) => file.write_all(&mask.iter().map(|&counts| u8::from(counts)).collect::<Vec<_>>()),
            None => file.write_all(&vec![1; length]),
        }
    }
}

impl Format for Npy {
    fn add(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.width.write(entry.ids, &mut self.buffer, &mut self.tokens)?;
        self.mask(entry.mask, entry.ids.len())?;
        let (start, end) = (self.count, self.count + entry.ids.len() as u64);
        self.count = end;
        let id = entry.document.map(|id| id.to_string()).unwrap_or_default();
        // Neither an id nor the name of a shard has a comma or a quote in it.
        writeln!(self.table, "{start},{end},{id},{},{}", entry.shard, entry.row)
    }

    fn takes_mask(&self) -> bool {
        true
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.tokens.flush()?;
        if let Some(mask) = &mut self.mask {
            mask.flush()?;
        }
        self.table.finish()?.flush()
    }
}
