//! Files of record batches: an Arrow stream under zstd. Batches come back as they were written.

use super::error::RunError;
use super::parent;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Compression of what lies in the cache: speed counts, size hardly.
const ZSTD_LEVEL: i32 = 1;

/// Writes batches; nothing is seen under `path` before [`FrameWriter::finish`].
pub(super) struct FrameWriter {
    stream: StreamWriter<zstd::Encoder<'static, BufWriter<File>>>,
    part: PathBuf,
    path: PathBuf,
}

static PARTS: AtomicU64 = AtomicU64::new(0);

/// A name beside `path` that no other writer of this process has. A run removes what a killed one left.
fn part_path(path: &Path) -> PathBuf {
    path.with_extension(format!("{}.part", PARTS.fetch_add(1, Ordering::Relaxed)))
}

impl FrameWriter {
    pub(super) fn create(path: &Path, schema: &SchemaRef) -> Result<Self, RunError> {
        fs::create_dir_all(parent(path)).map_err(RunError::io(parent(path)))?;
        let part = part_path(path);
        let file = File::create(&part).map_err(RunError::io(&part))?;
        let zstd = zstd::Encoder::new(BufWriter::new(file), ZSTD_LEVEL).map_err(RunError::io(&part))?;
        let stream = StreamWriter::try_new(zstd, schema).map_err(RunError::arrow(&part))?;
        Ok(Self { stream, part, path: path.to_owned() })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<(), RunError> {
        self.stream.write(batch).map_err(RunError::arrow(&self.part))
    }

    pub(super) fn finish(self) -> Result<(), RunError> {
        let Self { stream, part, path } = self;
        let zstd = stream.into_inner().map_err(RunError::arrow(&part))?;
        let file = zstd.finish().map_err(RunError::io(&part))?;
        file.into_inner().map_err(|e| RunError::io(&part)(e.into_error()))?;
        fs::rename(&part, &path).map_err(RunError::io(&path))
    }
}

/// Reads the batches of a file.
pub(super) struct FrameReader {
    stream: StreamReader<zstd::Decoder<'static, BufReader<File>>>,
    path: PathBuf,
}

impl FrameReader {
    pub(super) fn open(path: &Path) -> Result<Self, RunError> {
        let file = File::open(path).map_err(RunError::io(path))?;
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
