//! The folder of one crawl: archive files, log, and what is written when it is complete.
//!
//! Opening repairs what a kill or a power cut left: half a record behind the last one that the log knows is cut off,
//! and records written since the last sync are read again whole; the log forgets those that are damaged, so that
//! their addresses are fetched again.

use super::journal::{self, Line, Replay};
use super::settings::Settings;
use crate::source::warc::write::{self, Place, Writer};
use flate2::bufread::GzDecoder;
use schemas::SourceError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const JOURNAL: &str = "frontier.log";
const COMPLETE: &str = "complete";
const INDEX: &str = "index.cdxj";
const REFUSED: &str = "refused.jsonl";
/// Key of the marker with the time limit under which the crawl ended.
const DURATION: &str = "duration_s_max";
/// Records and seconds after which everything is forced to the disk.
const SYNC_RECORDS: u64 = 256;
const SYNC_AFTER: Duration = Duration::from_secs(10);
/// How long a lock is waited for.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(3);

/// Where a crawl with these settings is kept.
pub(super) fn folder(root: &Path, settings: &Settings) -> PathBuf {
    root.join(settings.hash())
}

/// Whether the crawl in the folder has nothing left to do.
///
/// One that its time limit ended goes on when the limit was raised.
pub(super) fn is_complete(folder: &Path, settings: &Settings) -> bool {
    let Ok(bytes) = fs::read(folder.join(COMPLETE)) else { return false };
    let marker: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let number = |name: &str| marker[name].as_u64().unwrap_or(0);
    let limit = marker[DURATION].as_u64().unwrap_or(u64::MAX);
    number("left") == 0 || settings.config.duration_s_max <= limit
}

/// The index of a complete crawl.
pub(super) fn index_path(folder: &Path) -> PathBuf {
    folder.join(INDEX)
}

/// Why an address was not fetched, as `refused.jsonl` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The address.
    pub url: String,
    /// Name of the reason.
    pub reason: String,
    /// More about it, where there is more.
    pub detail: String,
}

/// Looks an address up among those that the last finished crawl below `root` refused.
///
/// # Errors
/// A file cannot be read.
pub fn refusal(root: &Path, url: &str) -> io::Result<Option<Refused>> {
    if !root.is_dir() {
        return Ok(None);
    }
    let mut last = None;
    for crawl in fs::read_dir(root)? {
        let folder = crawl?.path();
        if let Ok(ended) = fs::metadata(folder.join(COMPLETE)).and_then(|marker| marker.modified()) {
            last = last.max(Some((ended, folder)));
        }
    }
    let Some((_, folder)) = last else { return Ok(None) };
    for line in BufReader::new(File::open(folder.join(REFUSED))?).lines() {
        // A line that is no refusal is of no crawl of ours.
        if let Ok(refused) = serde_json::from_str::<Refused>(&line?)
            && refused.url == url
        {
            return Ok(Some(refused));
        }
    }
    Ok(None)
}

/// An open archive. No other process writes to it.
pub(super) struct Archive {
    folder: PathBuf,
    journal: File,
    journal_path: PathBuf,
    journal_bytes: u64,
    writer: Writer,
    end: (u32, u64),
    unsynced: u64,
    synced_at: Instant,
}

impl Archive {
    /// Opens the folder, making it where it is not there, and says what is known.
    ///
    /// # Errors
    /// `Io` with the file, `Refused` when another process holds it.
    pub(super) fn open(folder: &Path, settings: &Settings) -> Result<(Self, Replay), SourceError> {
        std::fs::create_dir_all(folder).map_err(SourceError::io(folder))?;
        let path = folder.join(JOURNAL);
        let io = |error| SourceError::Io { path: path.clone(), error };
        let journal = OpenOptions::new().create(true).read(true).append(true).open(&path).map_err(io)?;
        lock(&journal, folder, &path)?;
        let journal_bytes = cut_half_line(&journal).map_err(io)?;
        let mut replay = Replay::read(&path, (u32::MAX, u64::MAX)).map_err(io)?;
        let good = good_end(folder, replay.synced, replay.end)?;
        if good < replay.end {
            let forgotten = forget(&path, good).map_err(io)?;
            drop(journal);
            std::fs::rename(&forgotten, &path).map_err(io)?;
            return Self::open(folder, settings);
        }
        replay.end = good;
        remove_files_after(folder, good.0)?;
        let info = format!(
            "software: gristmill/{}\r\nformat: WARC File Format 1.1\r\nrobots: classic\r\n\
             conformsTo: http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/\r\n\
             http-header-user-agent: {}\r\n",
            env!("CARGO_PKG_VERSION"),
            settings.config.user_agent
        );
        let writer = Writer::resume(folder, info, settings.config.warc_bytes_max, good).map_err(failed)?;
        let archive = Self {
            folder: folder.to_owned(),
            journal,
            journal_path: path,
            journal_bytes,
            writer,
            end: good,
            unsynced: 0,
            synced_at: Instant::now(),
        };
        Ok((archive, replay))
    }

    /// Appends the records of one exchange.
    ///
    /// # Errors
    /// `Io` with the file.
    pub(super) fn append(&mut self, members: &[u8], date: &str) -> Result<Place, SourceError> {
        let place = self.writer.append(members, date).map_err(failed)?;
        self.end = (place.file, place.end);
        self.unsynced += 1;
        Ok(place)
    }

    /// Appends lines to the log.
    ///
    /// # Errors
    /// `Io` with the file; half written lines are cut off where that is possible.
    pub(super) fn log(&mut self, lines: &str) -> Result<(), SourceError> {
        if let Err(error) = self.journal.write_all(lines.as_bytes()) {
            // The half line would be cut off at the next start anyway.
            let _ = self.journal.set_len(self.journal_bytes);
            return Err(SourceError::Io { path: self.journal_path.clone(), error });
        }
        self.journal_bytes += lines.len() as u64;
        if self.unsynced >= SYNC_RECORDS || (self.unsynced > 0 && self.synced_at.elapsed() > SYNC_AFTER) {
            self.sync()?;
        }
        Ok(())
    }

    /// Forces everything to the disk.
    ///
    /// # Errors
    /// `Io` with the file.
    pub(super) fn sync(&mut self) -> Result<(), SourceError> {
        self.writer.sync().map_err(failed)?;
        self.journal.sync_data().map_err(SourceError::io(&self.journal_path))?;
        (self.unsynced, self.synced_at) = (0, Instant::now());
        self.log(&journal::synced(self.end))
    }

    /// Writes index, refusals and the marker of a complete crawl; gives the count of refusals by reason.
    ///
    /// # Errors
    /// `Io` with the file.
    pub(super) fn finish(
        mut self,
        settings: &Settings,
        left: usize,
    ) -> Result<BTreeMap<String, u64>, SourceError> {
        self.sync()?;
        let mut index = Vec::new();
        let (mut pages, mut refused, mut reasons) = (0_u64, Vec::new(), BTreeMap::new());
        journal::each_line(&self.journal_path, |line| {
            match line {
                Line::Archived { state, index: line, .. } => {
                    index.push(line.to_owned());
                    pages += u64::from(state == journal::State::Page);
                }
                Line::Refused { reason, url, detail } => {
                    *reasons.entry(reason.to_owned()).or_default() += 1;
                    refused.push(json!({"url": url, "reason": reason, "detail": detail}).to_string());
                }
                Line::Known(_) | Line::Synced(_) => {}
            }
            Ok(())
        })
        .map_err(SourceError::io(&self.journal_path))?;
        index.sort_unstable();
        write_whole(&self.folder.join(INDEX), &index)?;
        write_whole(&self.folder.join(REFUSED), &refused)?;
        let marker = json!({
            "settings": settings.hash(),
            "pages": pages,
            "responses": index.len(),
            "refused": refused.len(),
            "left": left,
            DURATION: settings.config.duration_s_max,
        });
        write_whole(&self.folder.join(COMPLETE), &[marker.to_string()])?;
        Ok(reasons)
    }
}

/// Takes the lock, waiting a little: a killed process holds its own until its last write is on the disk.
fn lock(journal: &File, folder: &Path, path: &Path) -> Result<(), SourceError> {
    let start = Instant::now();
    loop {
        match journal.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_WAIT_MAX => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(TryLockError::WouldBlock) => {
                let message = format!("{}: another process crawls into this folder", folder.display());
                return Err(SourceError::Refused(message));
            }
            Err(TryLockError::Error(error)) => return Err(SourceError::io(path)(error)),
        }
    }
}

/// Removes archive files that the log knows nothing of.
fn remove_files_after(folder: &Path, last: u32) -> Result<(), SourceError> {
    for number in last + 1.. {
        let path = folder.join(write::file_name(number));
        match std::fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => break,
            Err(error) => return Err(SourceError::Io { path, error }),
        }
    }
    Ok(())
}

fn failed((path, error): (PathBuf, io::Error)) -> SourceError {
    SourceError::Io { path, error }
}

/// Writes lines to a file that is there whole or not at all.
fn write_whole(path: &Path, lines: &[String]) -> Result<(), SourceError> {
    let temporary = path.with_extension("tmp");
    let write = || -> io::Result<()> {
        let mut out = BufWriter::new(File::create(&temporary)?);
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.into_inner()?.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(SourceError::io(path))
}

/// Cuts what stands behind the last line end; the length that is left.
fn cut_half_line(mut file: &File) -> io::Result<u64> {
    let mut whole = 0;
    let mut buffer = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::new(file);
    while reader.read_until(b'\n', &mut buffer)? > 0 && buffer.ends_with(b"\n") {
        whole += buffer.len() as u64;
        buffer.clear();
    }
    file.set_len(whole)?;
    file.seek(SeekFrom::End(0))?;
    Ok(whole)
}

/// The last place at or before `end` up to which the archive is sound, read from `synced` on.
fn good_end(folder: &Path, synced: (u32, u64), end: (u32, u64)) -> Result<(u32, u64), SourceError> {
    let mut good = synced;
    for number in synced.0..=end.0 {
        let path = folder.join(write::file_name(number));
        let start = if number == synced.0 { synced.1 } else { 0 };
        let stop = if number == end.0 { Some(end.1) } else { None };
        let (at, whole) = match File::open(&path) {
            Ok(file) => sound(&file, start, stop).map_err(SourceError::io(&path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (0, end.1 == 0),
            Err(error) => return Err(SourceError::Io { path, error }),
        };
        good = (number, at);
        if !whole {
            break;
        }
    }
    Ok(good)
}

/// Where the sound members from `start` on end, and whether that is at `stop` or at the end of the file.
fn sound(mut file: &File, start: u64, stop: Option<u64>) -> io::Result<(u64, bool)> {
    let length = file.metadata()?.len();
    if length < start {
        return Ok((0, false));
    }
    let stop = stop.unwrap_or(length);
    file.seek(SeekFrom::Start(start))?;
    let mut reader = CountingReader { inner: BufReader::new(file), read: start };
    while reader.read < stop {
        let before = reader.read;
        if io::copy(&mut GzDecoder::new(&mut reader), &mut io::sink()).is_err() {
            return Ok((before, false));
        }
    }
    Ok((reader.read, reader.read == stop))
}

/// Counts what is consumed, so that the borders of gzip members are known.
pub(super) struct CountingReader<R> {
    pub(super) inner: R,
    pub(super) read: u64,
}

impl<R: BufRead> io::Read for CountingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

impl<R: BufRead> BufRead for CountingReader<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
        self.read += count as u64;
    }
}

/// Copies the log without what it says of places behind `good`.
fn forget(path: &Path, good: (u32, u64)) -> io::Result<PathBuf> {
    let copy = path.with_extension("tmp");
    let mut out = BufWriter::new(File::create(&copy)?);
    for line in BufReader::new(File::open(path)?).lines() {
        let line = line?;
        let place = match Line::parse(&line) {
            Some(Line::Archived { place, .. } | Line::Synced(place)) => place,
            _ => (0, 0),
        };
        if place <= good {
            writeln!(out, "{line}")?;
        }
    }
    out.into_inner()?.sync_all()?;
    Ok(copy)
}
