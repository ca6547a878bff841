//! Counts the words of files: JSON lines, Parquet and plain texts, read once, on all threads.
//!
//! One thread reads and unpacks, the others parse, split and count, each into a table of its own. A table that outgrows
//! its share of the memory goes to disk as a sorted run. What is counted does not depend on any of that.

use super::count::Counts;
use super::pieces::{self, Piece};
use super::spill::Spill;
use super::splits::{Split, Splitter};
use crate::source::object::Wanted;
use arrow::array::Array as _;
use schemas::{Observer, StageError};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};

/// Longest word that is counted whole; a longer one is counted in parts.
pub(in super::super) const WORD_BYTES_MAX: usize = 1 << 20;
/// Least memory of the table of one thread.
const TABLE_BYTES_MIN: usize = 1 << 18;
/// Pieces that wait for each thread.
const PIECES_WAITING: usize = 2;

/// Which texts are counted, and how.
pub struct Reading<'a> {
    /// Files, folders and patterns.
    pub paths: &'a [String],
    /// Field or column of the text.
    pub text_field: &'a str,
    /// The split into words.
    pub split: Split,
    /// Threads that count; 0 for one a core.
    pub threads: usize,
    /// Memory that tables may take, all together.
    pub table_bytes: usize,
    /// A folder for runs; made when one is needed, and removed.
    pub folder: &'a Path,
    /// Is told of progress.
    pub observer: &'a dyn Observer,
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Files.
    pub files: u64,
    /// Documents whose words were counted.
    pub documents: u64,
    /// Lines and rows without a text, or with one that is not UTF-8.
    pub rows_bad: u64,
    /// Bytes of text.
    pub text_bytes: u64,
    /// Words, each as often as it was seen.
    pub words: u64,
    /// Words longer than 1 MiB, which were counted in parts.
    pub words_cut: u64,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.files += other.files;
        self.documents += other.documents;
        self.rows_bad += other.rows_bad;
        self.text_bytes += other.text_bytes;
        self.words += other.words;
        self.words_cut += other.words_cut;
    }
}

/// Words with their counts, in memory or on disk.
pub(in super::super) enum Counted {
    Held(Counts),
    Spilled(Spill),
}

impl Counted {
    pub(super) const fn is_spilled(&self) -> bool {
        matches!(self, Self::Spilled(_))
    }

    /// Hands on each word once.
    pub(in super::super) fn each(&self, take: &mut dyn FnMut(&[u8], u64)) -> Result<(), StageError> {
        match self {
            Self::Held(counts) => {
                counts.each(take);
                Ok(())
            }
            Self::Spilled(spill) => spill.each(take),
        }
    }
}

/// Reads and counts.
///
/// # Errors
/// A file that is not there, cannot be read or is broken, by name; `Io` of the folder for runs.
pub(in super::super) fn count(reading: &Reading<'_>) -> Result<(Counted, Tally), StageError> {
    let threads = match reading.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let share = (reading.table_bytes / threads).max(TABLE_BYTES_MIN);
    let spill = Mutex::new(Spill::new(reading.folder));
    let (sender, receiver) = sync_channel(PIECES_WAITING * threads);
    let failed = AtomicBool::new(false);
    let (read, counted) = std::thread::scope(|scope| {
        // It is the workers' alone: with the last of them it goes, and the reader waits for nobody.
        let receiver = Arc::new(Mutex::new(receiver));
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                let (receiver, spill, failed) = (Arc::clone(&receiver), &spill, &failed);
                scope.spawn(move || worker(reading, &receiver, share, spill, failed))
            })
            .collect();
        drop(receiver);
        let read =
            pieces::read(reading, &|piece| !failed.load(Ordering::Relaxed) && sender.send(piece).is_ok());
        drop(sender);
        let counted: Vec<_> =
            workers.into_iter().map(|worker| worker.join().expect("no thread that counts panics")).collect();
        (read, counted)
    });
    let mut tally = read?;
    let mut tables = Vec::new();
    for counted in counted {
        let (table, of_thread) = counted?;
        tally.add(&of_thread);
        tables.push(table);
    }
    let mut spill = spill.into_inner().expect("no thread that counts panics");
    if spill.runs() == 0 {
        let mut all = tables.pop().unwrap_or_default();
        for table in tables {
            all.absorb(&table);
        }
        return Ok((Counted::Held(all), tally));
    }
    for table in tables {
        spill.push(&table)?;
    }
    spill.merge(|_, _| {})?;
    Ok((Counted::Spilled(spill), tally))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread that counts panics")
}

/// Counts pieces until there are none, or until another thread has failed.
fn worker(
    reading: &Reading<'_>,
    receiver: &Mutex<Receiver<Piece>>,
    share: usize,
    spill: &Mutex<Spill>,
    failed: &AtomicBool,
) -> Result<(Counts, Tally), StageError> {
    let mut counter = Counter {
        splitter: reading.split.splitter(),
        wanted: Wanted::new([reading.text_field], &[]),
        counts: Counts::default(),
        tally: Tally::default(),
    };
    loop {
        let piece = locked(receiver).recv();
        let Ok(piece) = piece else { break };
        // Pieces are taken to the end: the reader may wait for room.
        if failed.load(Ordering::Relaxed) {
            continue;
        }
        counter.piece(&piece);
        if counter.counts.held_bytes() > share {
            let spilled = locked(spill).push(&counter.counts);
            counter.counts = Counts::default();
            if let Err(error) = spilled {
                failed.store(true, Ordering::Relaxed);
                while locked(receiver).recv().is_ok() {}
                return Err(error);
            }
        }
    }
    Ok((counter.counts, counter.tally))
}

struct Counter<'a> {
    splitter: Splitter,
    wanted: Wanted<'a, 1>,
    counts: Counts,
    tally: Tally,
}

impl Counter<'_> {
    fn piece(&mut self, piece: &Piece) {
        match piece {
            Piece::Lines(lines) => {
                for line in lines.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
                    let json = std::str::from_utf8(line).ok();
                    let fields = json.and_then(|json| self.wanted.read(json).ok());
                    match fields.as_ref().and_then(|fields| fields.roles[0].text()) {
                        Some(text) => self.document(text),
                        None => self.tally.rows_bad += 1,
                    }
                }
            }
            Piece::Rows(texts) => {
                for row in (0..texts.len()).filter(|&row| texts.is_valid(row)) {
                    self.document(texts.value(row));
                }
            }
            Piece::Text { text, begins } => {
                let before = self.tally.documents;
                self.document(text);
                // The parts of one text are one document.
                self.tally.documents = before + u64::from(*begins && self.tally.documents > before);
            }
        }
    }

    fn document(&mut self, text: &str) {
        let (words, cut) = self.counts.add_text(&self.splitter, text, WORD_BYTES_MAX);
        self.tally.words += words;
        self.tally.words_cut += cut;
        self.tally.documents += 1;
        self.tally.text_bytes += text.len() as u64;
    }
}
