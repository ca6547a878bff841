//! Files of record batches: an Arrow stream, plain or under zstd, sealed. Batches come back as they were written.
//!
//! Which of the two a file is follows from its first bytes, so files of both kinds may lie side by side.

use super::error::RunError;
use super::seal::{self, Hand, SealedWriter};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Take, Write};
use std::path::{Path, PathBuf};

/// Compression of what lies in the cache: speed counts, size hardly.
const ZSTD_LEVEL: i32 = 1;
/// First bytes of a Zstandard frame; a plain stream begins with four bytes of ones.
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BUFFER_BYTES: usize = 128 << 10;

/// How bytes lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// As they are.
    Plain,
    /// Under zstd.
    Zstd,
}

impl Codec {
    /// Plain up to so many bytes of input: beyond, less disk counts for more than time.
    pub(super) fn of(input_bytes: u64, plain_bytes_max: u64) -> Self {
        if input_bytes <= plain_bytes_max { Self::Plain } else { Self::Zstd }
    }
}

/// What is written by a codec.
pub(super) enum Body<W: Write> {
    Plain(W),
    Zstd(zstd::Encoder<'static, W>),
}

impl<W: Write> Body<W> {
    pub(super) fn new(codec: Codec, out: W) -> io::Result<Self> {
        Ok(match codec {
            Codec::Plain => Self::Plain(out),
            Codec::Zstd => Self::Zstd(zstd::Encoder::new(out, ZSTD_LEVEL)?),
        })
    }

    /// Ends what is compressed. Left to the drop, an error of that would be nobody's.
    pub(super) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Body<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}

/// What a [`Body`] wrote.
pub(super) enum Content<R: BufRead> {
    Plain(R),
    Zstd(zstd::Decoder<'static, R>),
}

impl<R: Read> Content<BufReader<R>> {
    pub(super) fn new(file: R) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
        Ok(match reader.fill_buf()?.starts_with(ZSTD) {
            true => Self::Zstd(zstd::Decoder::with_buffer(reader)?),
            false => Self::Plain(reader),
        })
    }
}

impl<R: BufRead> Read for Content<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(bytes),
            Self::Zstd(decoder) => decoder.read(bytes),
        }
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Plain(reader) => reader.read_exact(bytes),
            Self::Zstd(decoder) => decoder.read_exact(bytes),
        }
    }
}

/// Writes batches; nothing is seen under `path` before [`FrameWriter::finish`].
pub(super) struct FrameWriter {
    stream: StreamWriter<Body<SealedWriter>>,
    part: PathBuf,
}

impl FrameWriter {
    pub(super) fn create(
        path: &Path,
        hand: Hand,
        codec: Codec,
        schema: &SchemaRef,
    ) -> Result<Self, RunError> {
        let file = SealedWriter::create(path, hand)?;
        let part = file.part().to_owned();
        let body = Body::new(codec, file).map_err(RunError::io(&part))?;
        let stream = StreamWriter::try_new(body, schema).map_err(RunError::arrow(&part))?;
        Ok(Self { stream, part })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), RunError> {
        self.stream.write(batch).map_err(RunError::arrow(&self.part))
    }

    pub(super) fn finish(self) -> Result<(), RunError> {
        let Self { stream, part } = self;
        let body = stream.into_inner().map_err(RunError::arrow(&part))?;
        body.finish().map_err(RunError::io(&part))?.finish()
    }
}

/// Reads the batches of a file.
pub(super) struct FrameReader {
    stream: StreamReader<Content<BufReader<Take<File>>>>,
    path: PathBuf,
}

impl FrameReader {
    pub(super) fn open(path: &Path) -> Result<Self, RunError> {
        let content = seal::open(path).and_then(Content::new).map_err(RunError::io(path))?;
        let stream = StreamReader::try_new(content, None).map_err(RunError::arrow(path))?;
        Ok(Self { stream, path: path.to_owned() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Iterator for FrameReader {
    type Item = Result<RecordBatch, RunError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.stream.next().map(|batch| batch.map_err(RunError::arrow(&self.path)))
    }
}

/// Removes unfinished files below `folder`.
pub(super) fn remove_parts(folder: &Path) -> Result<(), RunError> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry.map_err(RunError::io(folder))?.path();
        if path.is_dir() {
            remove_parts(&path)?;
        } else if path.extension().is_some_and(|e| e == "part") {
            fs::remove_file(&path).map_err(RunError::io(&path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, StringArray};
    use std::sync::Arc;

    #[test]
    fn batches_come_back_by_any_codec() {
        let folder = std::env::temp_dir().join(format!("gristmill-frames-{}", std::process::id()));
        let batch = |text: &str| {
            let texts: ArrayRef = Arc::new(StringArray::from(vec![text; 100]));
            RecordBatch::try_from_iter([("text", texts)]).unwrap()
        };
        let batches = [batch("one"), batch(&"long ".repeat(2000)), batch("")];
        for (codec, name) in [(Codec::Plain, "plain"), (Codec::Zstd, "zstd")] {
            for batches in [&[][..], &batches[..]] {
                let path = folder.join(name);
                let hand = Hand { node: 0, stream: 0 };
                let mut file = FrameWriter::create(&path, hand, codec, &batch("").schema()).unwrap();
                batches.iter().for_each(|batch| file.write(batch).unwrap());
                file.finish().unwrap();
                assert!(seal::is_whole(&path).unwrap());
                let found: Vec<RecordBatch> =
                    FrameReader::open(&path).unwrap().collect::<Result<_, _>>().unwrap();
                assert_eq!(found, batches, "{name}");
            }
        }
        let bytes = |name| fs::metadata(folder.join(name)).unwrap().len();
        assert!(bytes("zstd") < bytes("plain"));
        fs::remove_dir_all(folder).unwrap();
    }
}
