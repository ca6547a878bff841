//! The seal of a cache file: hash and length of what stands before it, written last.
//!
//! A file without its seal, or with one that does not fit, is a missing file: its work is done again. So nothing of the
//! cache is forced to the disk when it is written; what a failure of power tears is known by its seal. Files also get
//! their name only when they are complete, for a run that is killed.

use super::error::RunError;
use super::parent;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Take, Write};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3Default;

/// Counts up with what the files hold: those of another version are missing, and never read as what they are not.
const MAGIC: &[u8; 8] = b"gristml2";
/// Hash, length, magic.
const SEAL_BYTES: u64 = 16 + 8 + 8;
/// Bytes read at once.
const BUFFER_BYTES: usize = 256 << 10;
/// Bytes written at once, of many files at a time.
const WRITE_BYTES: usize = 32 << 10;

/// Who writes a file: two streams of a run can have one key, and each writes a file of its own before the name is given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hand {
    pub(super) node: usize,
    pub(super) stream: usize,
}

/// Writes a file; nothing is seen under `path` before [`SealedWriter::finish`].
pub(super) struct SealedWriter {
    file: BufWriter<File>,
    hash: Xxh3Default,
    length: u64,
    part: PathBuf,
    path: PathBuf,
}

impl SealedWriter {
    pub(super) fn create(path: &Path, hand: Hand) -> Result<Self, RunError> {
        fs::create_dir_all(parent(path)).map_err(RunError::io(parent(path)))?;
        let part = path.with_extension(format!("{}-{}.part", hand.node, hand.stream));
        let file = File::create(&part).map_err(RunError::io(&part))?;
        let file = BufWriter::with_capacity(WRITE_BYTES, file);
        Ok(Self { file, hash: Xxh3Default::new(), length: 0, part, path: path.to_owned() })
    }

    /// The file as it is called until it is finished.
    pub(super) fn part(&self) -> &Path {
        &self.part
    }

    /// Writes the seal and gives the file its name.
    pub(super) fn finish(self) -> Result<(), RunError> {
        let Self { mut file, hash, length, part, path } = self;
        let seal = seal(&hash, length);
        file.write_all(&seal).map_err(RunError::io(&part))?;
        file.into_inner().map_err(|e| RunError::io(&part)(e.into_error()))?;
        fs::rename(&part, &path).map_err(RunError::io(&path))
    }
}

impl Write for SealedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn seal(hash: &Xxh3Default, length: u64) -> [u8; SEAL_BYTES as usize] {
    let mut seal = [0; SEAL_BYTES as usize];
    seal[..16].copy_from_slice(&hash.digest128().to_le_bytes());
    seal[16..24].copy_from_slice(&length.to_le_bytes());
    seal[24..].copy_from_slice(MAGIC);
    seal
}

/// The content of a sealed file, which was found whole before.
pub(super) fn open(path: &Path) -> io::Result<Take<File>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len().saturating_sub(SEAL_BYTES);
    Ok(file.take(length))
}

/// Whether a file is there with a seal of its length: what a cut file has not. Reads the seal alone.
pub(super) fn has_seal(path: &Path) -> Result<bool, RunError> {
    read_seal(path).map(|seal| seal.is_some()).map_err(RunError::io(path))
}

/// Whether a file is there as it was written. Reads all of it.
pub(super) fn is_whole(path: &Path) -> Result<bool, RunError> {
    check(path).map_err(RunError::io(path))
}

fn check(path: &Path) -> io::Result<bool> {
    let Some(found) = read_seal(path)? else { return Ok(false) };
    let mut content = open(path)?;
    let mut hash = Xxh3Default::new();
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut length = 0;
    loop {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            return Ok(seal(&hash, length) == found);
        }
        hash.update(&buffer[..read]);
        length += read as u64;
    }
}

fn read_seal(path: &Path) -> io::Result<Option<[u8; SEAL_BYTES as usize]>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let Some(length) = file.metadata()?.len().checked_sub(SEAL_BYTES) else { return Ok(None) };
    let mut seal = [0; SEAL_BYTES as usize];
    file.seek(SeekFrom::Start(length))?;
    file.read_exact(&mut seal)?;
    let fits = seal[16..24] == length.to_le_bytes() && seal[24..] == *MAGIC;
    Ok(fits.then_some(seal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_and_any_flip_is_found() {
        let folder = std::env::temp_dir().join(format!("gristmill-seal-{}", std::process::id()));
        let path = folder.join("file");
        for content in ["", "content of a file"] {
            let mut writer = SealedWriter::create(&path, Hand { node: 0, stream: 0 }).unwrap();
            writer.write_all(content.as_bytes()).unwrap();
            assert!(!is_whole(&path).unwrap());
            writer.finish().unwrap();
            let mut read = String::new();
            open(&path).unwrap().read_to_string(&mut read).unwrap();
            assert_eq!(
                (read.as_str(), is_whole(&path).unwrap(), has_seal(&path).unwrap()),
                (content, true, true)
            );
            let bytes = fs::read(&path).unwrap();
            for at in 0..bytes.len() {
                fs::write(&path, &bytes[..at]).unwrap();
                assert!(!has_seal(&path).unwrap() && !is_whole(&path).unwrap(), "cut at {at}");
                let mut flipped = bytes.clone();
                flipped[at] ^= 1;
                fs::write(&path, flipped).unwrap();
                assert!(!is_whole(&path).unwrap(), "flipped at {at}");
            }
            fs::remove_file(&path).unwrap();
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
