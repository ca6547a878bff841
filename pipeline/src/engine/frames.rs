//! Files of record batches: an Arrow stream under zstd, sealed. Batches come back as they were written.

use super::error::RunError;
use super::seal::{self, Hand, SealedWriter};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use std::fs::{self, File};
use std::io::{BufReader, Take};
use std::path::{Path, PathBuf};

/// Compression of what lies in the cache: speed counts, size hardly.
const ZSTD_LEVEL: i32 = 1;

/// Writes batches; nothing is seen under `path` before [`FrameWriter::finish`].
pub(super) struct FrameWriter {
    stream: StreamWriter<zstd::Encoder<'static, SealedWriter>>,
    part: PathBuf,
}

impl FrameWriter {
    pub(super) fn create(path: &Path, hand: Hand, schema: &SchemaRef) -> Result<Self, RunError> {
        let file = SealedWriter::create(path, hand)?;
        let part = file.part().to_owned();
        let zstd = zstd::Encoder::new(file, ZSTD_LEVEL).map_err(RunError::io(&part))?;
        let stream = StreamWriter::try_new(zstd, schema).map_err(RunError::arrow(&part))?;
        Ok(Self { stream, part })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), RunError> {
        self.stream.write(batch).map_err(RunError::arrow(&self.part))
    }

    pub(super) fn finish(self) -> Result<(), RunError> {
        let Self { stream, part } = self;
        let zstd = stream.into_inner().map_err(RunError::arrow(&part))?;
        zstd.finish().map_err(RunError::io(&part))?.finish()
    }
}

/// Reads the batches of a file.
pub(super) struct FrameReader {
    stream: StreamReader<zstd::Decoder<'static, BufReader<Take<File>>>>,
    path: PathBuf,
}

impl FrameReader {
    pub(super) fn open(path: &Path) -> Result<Self, RunError> {
        let file = seal::open(path).map_err(RunError::io(path))?;
        let zstd = zstd::Decoder::new(file).map_err(RunError::io(path))?;
        let stream = StreamReader::try_new(zstd, None).map_err(RunError::arrow(path))?;
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
