//! `.ds` files as datatrove writes and nanotron reads them.
//!
//! `.ds`: tokens without a head, u16 or u32 in little endian. `.ds.index`: where each document ends, in tokens (u64).
//! `.ds.loss`, only where there is a mask: one byte a token, 1 where it counts. `.ds.metadata`, text: tokenizer and bytes
//! of a token with `|` between them, the count of tokens, the same for people.

use super::format::{Entry, Format, LateMask, Width};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

pub(super) struct Datatrove {
    width: Width,
    tokens: BufWriter<File>,
    index: BufWriter<File>,
    loss: LateMask,
    metadata: PathBuf,
    tokenizer: String,
    count: u64,
    buffer: Vec<u8>,
}

impl Datatrove {
    pub(super) fn create(folder: &Path, split: &str, width: Width, tokenizer: &str) -> io::Result<Self> {
        let named = |ending: &str| folder.join(format!("{split}.ds{ending}"));
        Ok(Self {
            width,
            tokens: BufWriter::new(File::create(named(""))?),
            index: BufWriter::new(File::create(named(".index"))?),
            loss: LateMask::new(named(".loss")),
            metadata: named(".metadata"),
            tokenizer: format!("tokenizer.json blake3 {tokenizer}"),
            count: 0,
            buffer: Vec::new(),
        })
    }
}

impl Format for Datatrove {
    fn add(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        self.width.write(entry.ids, &mut self.buffer, &mut self.tokens)?;
        self.loss.add(entry.mask, entry.ids.len())?;
        self.count += entry.ids.len() as u64;
        self.index.write_all(&self.count.to_le_bytes())
    }

    fn takes_mask(&self) -> bool {
        true
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.tokens.flush()?;
        self.index.flush()?;
        self.loss.finish()?;
        let lines =
            format!("{}|{}\n{}\n{}", self.tokenizer, self.width.bytes(), self.count, people(self.count));
        std::fs::write(self.metadata, lines)
    }
}

/// Three digits and a unit: `1.52 MT`.
fn people(count: u64) -> String {
    let (mut value, mut unit) = (count as f64, "");
    for next in ["k", "M", "G", "T"] {
        if value < 1000.0 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    let decimals = match value {
        v if v < 10.0 => 2,
        v if v < 100.0 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}T")
}

#[cfg(test)]
mod tests {
    use super::people;

    #[test]
    fn counts_for_people() {
        let all = [0, 15, 1_520, 99_949, 123_456, 1_520_000, 2_000_000_000].map(people);
        assert_eq!(all, ["0.00 T", "15.0 T", "1.52 kT", "99.9 kT", "123 kT", "1.52 MT", "2.00 GT"]);
    }
}
