//! Reads the records of a WARC file (0.17, 0.18, 1.0, 1.1; ISO 28500) or an ARC file one after another.
//!
//! A record that is broken is given with its [`Fault`] and what could be read of it; the next one is found behind it:
//! in the next gzip member that begins a record, or at the next line that does. A wrong `Content-Length` shows in
//! that no record begins where this one ends; where a block took in the records behind it, it is cut before them.
//!
//! ```text
//! for record in Reader::new(file, 0)? { record.kind(), record.url(), record.block … }
//! let one = read_at(path, offset)?;           // random access, by an offset of CDXJ
//! ```

use super::stream::{Position, Stream};
use crate::source::open::is_broken;
use schemas::SourceError;
use schemas::source::DOCUMENT_BYTES_MAX;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

/// Longest header line read.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Longest head of a record.
const HEAD_BYTES_MAX: usize = 1 << 20;
/// Bytes looked at to see whether a record begins.
const PEEK_BYTES: usize = 4096;
/// The line ends after a block and the record behind it.
const EMBEDDED: &[u8] = b"\r\n\r\nWARC/";
const LINE_ENDS: usize = 4;

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No record head, or one without a length.
    BadHeader,
    /// The file, the gzip member or the block ends before or behind the length that is told.
    Truncated,
    /// Longer than a document may be; the block holds its beginning.
    TooLarge,
}

/// Names with values, in the order of the file. Names are compared without case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Adds a line `Name: value` or the continuation of the line before; a line that is neither is passed over.
    pub fn add(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        if line.first().is_some_and(|b| matches!(b, b' ' | b'\t')) {
            if let Some((_, value)) = self.0.last_mut() {
                value.push(' ');
                value.push_str(text.trim());
            }
        } else if let Some((name, value)) = text.split_once(':') {
            self.0.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Where it begins.
    pub position: Position,
    /// First line: `WARC/1.0`, or `ARC`.
    pub version: String,
    /// Named fields of the head. Those of ARC have the names of WARC.
    pub headers: Headers,
    /// Length of the block as the head tells it.
    pub length: u64,
    /// The block; of a broken record, what could be read.
    pub block: Vec<u8>,
    /// What is wrong with it.
    pub fault: Option<Fault>,
}

impl Record {
    /// `WARC-Type`, in lower case.
    pub fn kind(&self) -> String {
        self.headers.get("WARC-Type").unwrap_or_default().to_ascii_lowercase()
    }

    /// `WARC-Target-URI` without the angle brackets of old writers, spaces percent-encoded.
    pub fn url(&self) -> Option<String> {
        let written = self.headers.get("WARC-Target-URI")?;
        let bare = written.strip_prefix('<').and_then(|u| u.strip_suffix('>')).unwrap_or(written);
        Some(bare.replace(' ', "%20"))
    }

    /// `WARC-Date`.
    pub fn date(&self) -> Option<&str> {
        self.headers.get("WARC-Date")
    }

    const fn empty(position: Position) -> Self {
        let headers = Headers(Vec::new());
        Self { position, version: String::new(), headers, length: 0, block: Vec::new(), fault: None }
    }
}

/// The records of a file.
#[derive(Debug)]
pub struct Reader<R> {
    stream: Stream<R>,
    /// The next record has to be searched for.
    lost: bool,
}

/// The record at an offset, `None` at the end of the file.
///
/// # Errors
/// The file cannot be read.
pub fn read_at(path: &Path, offset: u64) -> Result<Option<Record>, SourceError> {
    let file = File::open(path).map_err(SourceError::io(path))?;
    Reader::new(file, offset).and_then(|mut r| r.next_record()).map_err(SourceError::io(path))
}

impl<R: Read + Seek> Reader<R> {
    /// Reads from an offset, where a record begins.
    ///
    /// # Errors
    /// As the file.
    pub fn new(file: R, offset: u64) -> io::Result<Self> {
        Ok(Self { stream: Stream::new(file, offset)?, lost: false })
    }

    /// The next record, broken or not; `None` at the end.
    ///
    /// # Errors
    /// The system refuses to read on; a broken file is a record with a fault.
    pub fn next_record(&mut self) -> io::Result<Option<Record>> {
        if self.lost {
            self.find_record()?;
            self.lost = false;
        }
        let mut record = Record::empty(Position::default());
        match self.read_record(&mut record) {
            Ok(true) => Ok(Some(record)),
            Ok(false) => Ok(None),
            Err(error) if is_broken(&error) => {
                self.lost = true;
                self.stream.next_member(begins_record)?;
                let cut = !record.version.is_empty() || error.kind() == io::ErrorKind::UnexpectedEof;
                record.fault = Some(if cut { Fault::Truncated } else { Fault::BadHeader });
                Ok(Some(record))
            }
            Err(error) => Err(error),
        }
    }

    fn read_record(&mut self, record: &mut Record) -> io::Result<bool> {
        record.position = self.stream.position();
        self.skip_line_ends()?;
        if self.stream.fill()?.is_empty() {
            return Ok(false);
        }
        record.position = self.stream.position();
        if let Err(fault) = self.read_head(record)? {
            record.fault = Some(fault);
            self.lost = true;
            return Ok(true);
        }
        let block_start = self.stream.position().inner;
        let complete = self.read_block(record)?;
        if record.length > DOCUMENT_BYTES_MAX as u64 {
            record.fault = Some(Fault::TooLarge);
        }
        let block_end = self.stream.position();
        let line_ends = match self.skip_line_ends() {
            // What is wrong there is wrong with the next record.
            Err(error) if complete && is_broken(&error) && self.stream.is_behind(block_end) => {
                self.stream.postpone(error);
                return Ok(true);
            }
            other => other?,
        };
        let next = self.stream.peek(PEEK_BYTES)?;
        let ends_here = line_ends > 0 || next.is_empty() || begins_record(next);
        if complete && ends_here {
            return Ok(true);
        }
        record.fault = Some(Fault::Truncated);
        self.cut_before_next(record, block_start, line_ends)?;
        Ok(true)
    }

    /// Reads the first line and the named fields.
    fn read_head(&mut self, record: &mut Record) -> io::Result<Result<(), Fault>> {
        let first = self.read_line()?;
        if first.starts_with(b"WARC/") {
            record.version = String::from_utf8_lossy(&first).into_owned();
        } else if let Some((headers, length)) = arc_head(&first) {
            (record.version, record.headers, record.length) = ("ARC".into(), headers, length);
            return Ok(Ok(()));
        } else {
            record.block = first;
            return Ok(Err(Fault::BadHeader));
        }
        let mut head_bytes = 0;
        loop {
            if self.stream.peek(5)?.starts_with(b"WARC/") {
                return Ok(Err(Fault::BadHeader));
            }
            if self.stream.fill()?.is_empty() {
                return Ok(Err(Fault::Truncated));
            }
            let line = self.read_line()?;
            if line.is_empty() {
                break;
            }
            head_bytes += line.len();
            if line.len() >= LINE_BYTES_MAX || head_bytes > HEAD_BYTES_MAX {
                return Ok(Err(Fault::BadHeader));
            }
            record.headers.add(&line);
        }
        match record.headers.get("Content-Length").and_then(|n| n.parse().ok()) {
            Some(length) => record.length = length,
            None => return Ok(Err(Fault::BadHeader)),
        }
        Ok(Ok(()))
    }

    /// Reads the block, keeping no more than a document may have; `false` when it ends early.
    fn read_block(&mut self, record: &mut Record) -> io::Result<bool> {
        let mut left = record.length;
        while left > 0 {
            let member = self.stream.position().member;
            if self.stream.fill()?.is_empty() {
                return Ok(false);
            }
            // Where each record has a member of its own, the next one may begin before this one has its length.
            let entered = self.stream.position().member != member && record.position.inner == 0;
            if entered && self.stream.peek(5)?.starts_with(b"WARC/") {
                return Ok(false);
            }
            let bytes = self.stream.fill()?;
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let room = DOCUMENT_BYTES_MAX - record.block.len();
            record.block.extend_from_slice(&bytes[..count.min(room)]);
            self.stream.consume(count);
            left -= count as u64;
        }
        Ok(true)
    }

    /// After a record whose length is wrong: cuts the block where another record begins in it and goes back there.
    fn cut_before_next(&mut self, record: &mut Record, block_start: u64, line_ends: usize) -> io::Result<()> {
        self.lost = true;
        let Some(at) = memchr::memmem::find(&record.block, EMBEDDED) else { return Ok(()) };
        let mut rest = record.block.split_off(at);
        let next = block_start + (at + LINE_ENDS) as u64;
        let all_kept = record.length <= DOCUMENT_BYTES_MAX as u64;
        if !self.stream.seek_plain(next)? && all_kept {
            rest.extend(std::iter::repeat_n(b'\n', line_ends));
            self.stream.unread(&rest[LINE_ENDS..]);
        }
        Ok(())
    }

    fn skip_line_ends(&mut self) -> io::Result<usize> {
        let mut skipped = 0;
        loop {
            let bytes = self.stream.fill()?;
            let ends = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
            if ends == 0 {
                return Ok(skipped);
            }
            self.stream.consume(ends);
            skipped += ends;
        }
    }

    /// Moves to the next bytes that begin a record.
    fn find_record(&mut self) -> io::Result<()> {
        loop {
            let moved = match self.stream.peek(PEEK_BYTES) {
                Ok(bytes) if bytes.is_empty() || begins_record(bytes) => return Ok(()),
                Ok(_) => self.read_line().map(|_| ()),
                Err(error) => Err(error),
            };
            match moved {
                Err(error) if is_broken(&error) => self.stream.next_member(begins_record)?,
                other => other?,
            }
        }
    }

    /// The next line without its end; of a longer one the first `LINE_BYTES_MAX` bytes.
    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let bytes = self.stream.fill()?;
            let end = memchr::memchr(b'\n', bytes);
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            line.extend_from_slice(&piece[..piece.len().min(LINE_BYTES_MAX - line.len())]);
            let count = piece.len() + usize::from(end.is_some());
            self.stream.consume(count);
            if end.is_some() || count == 0 {
                line.truncate(line.strip_suffix(b"\r").map_or(line.len(), <[u8]>::len));
                return Ok(line);
            }
        }
    }
}

fn begins_record(bytes: &[u8]) -> bool {
    if let Some(version) = bytes.strip_prefix(b"WARC/") {
        return version.first().is_some_and(u8::is_ascii_digit);
    }
    let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
    arc_head(&bytes[..end]).is_some()
}

/// Reads the head of an ARC record: `URL IP date type length`, or ten fields with the date third as well (version 2;
/// archive.org/web/researcher/ArcFileFormat.php). The URL may hold spaces in version 1, so it is read from the end.
fn arc_head(line: &[u8]) -> Option<(Headers, u64)> {
    // Every record of a WARC is asked too, so what cannot be a head goes first.
    if !line.last().is_some_and(|b| b.is_ascii_digit() || *b == b'\r') {
        return None;
    }
    let line = std::str::from_utf8(line).ok()?.trim_end();
    let fields: Vec<&str> = line.split(' ').collect();
    let date_at = |n: usize| fields.get(n).filter(|d| d.len() == 14 && d.bytes().all(|b| b.is_ascii_digit()));
    let count = fields.len();
    let (date, kind, url) = if count >= 5 && date_at(count - 3).is_some() {
        (date_at(count - 3)?, fields[count - 2], fields[..count - 4].join(" "))
    } else {
        (date_at(2).filter(|_| count == 10)?, fields[3], fields[0].to_owned())
    };
    let length = fields.last()?.parse().ok()?;
    let scheme = url.split_once(':')?.0;
    let record_kind = if scheme == "filedesc" { "warcinfo" } else { "response" };
    let d = |from: usize, to: usize| date.get(from..to).unwrap_or_default();
    let rfc3339 = format!("{}-{}-{}T{}:{}:{}Z", d(0, 4), d(4, 6), d(6, 8), d(8, 10), d(10, 12), d(12, 14));
    let pairs = [
        ("WARC-Type", record_kind),
        ("WARC-Target-URI", &url),
        ("WARC-Date", &rfc3339),
        ("ARC-Content-Type", kind),
    ];
    Some((Headers(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()), length))
}
