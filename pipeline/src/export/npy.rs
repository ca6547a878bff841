//! A bare array of tokens with a table of documents, as the dolma tools write and OLMo reads them.
//!
//! `.npy` by name alone: u16 or u32 in little endian without the head of NumPy's format, for `numpy.memmap`.
//! `.csv.gz`: a line a document, without a head: first token, token behind the last, id, shard, row. `.label_mask.npy`,
//! only where there is a mask: one byte a token, 1 where it counts.

use super::format::{Entry, Format, LateMask, Width};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const GZIP_LEVEL: u32 = 6;

pub(super) struct Npy {
    width: Width,
    tokens: BufWriter<File>,
    table: GzEncoder<BufWriter<File>>,
    mask: LateMask,
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
            mask: LateMask::new(folder.join(format!("{split}.label_mask.npy"))),
            count: 0,
            buffer: Vec::new(),
        })
    }
}

impl Format for Npy {
    fn add(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.width.write(entry.ids, &mut self.buffer, &mut self.tokens)?;
        self.mask.add(entry.mask, entry.ids.len())?;
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
        self.mask.finish()?;
        self.table.finish()?.flush()
    }
}
