//! The bytes of an archive with its compression undone, and where each of them stands.
//!
//! A WARC file is plain, or a gzip member for each record, or one gzip stream around everything. A [`Stream`] reads all
//! three, never shows bytes of two members at once, and finds the next member that begins a record behind a broken one.
//!
//! ```text
//! gzip(A) gzip(BB)  →  "A" at 0, "BB" at 21      plain "ABB"  →  "ABB" at 0      gzip(ABB): "BB" at 0+1
//! ```

use crate::source::open::GZIP;
use flate2::bufread::GzDecoder;
use std::fmt;
use std::io::{self, BufRead, Read, Seek, SeekFrom};

const BUFFER_BYTES: usize = 64 << 10;
/// Bytes decompressed first in a member. A decoder that meets an error gives nothing of what it made in that call, so
/// this piece is small: it holds the head of the record, and with it the name of what is broken.
const FIRST_BYTES: usize = 2 << 10;
/// How far behind the place of an error the search for the next member starts: a broken member can be read far into
/// those behind it before the error shows. Bounded, so that hostile bytes are not searched again and again.
const SEARCH_BACK_BYTES: u64 = 64 << 10;

/// Where a byte stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Offset in the file of its gzip member; `None` in a plain file.
    pub member: Option<u64>,
    /// Offset in the member, or in the plain file.
    pub inner: u64,
}

impl Position {
    /// Offset in the file of the member or of the byte itself.
    pub const fn in_file(&self) -> u64 {
        match self.member {
            Some(member) => member,
            None => self.inner,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { member: None, inner } => write!(f, "{inner}"),
            Self { member: Some(member), inner: 0 } => write!(f, "{member}"),
            Self { member: Some(member), inner } => write!(f, "{member}+{inner}"),
        }
    }
}

/// A file with its own buffer, so that a few bytes can be looked at whatever the buffer holds.
#[derive(Debug)]
struct Input<R> {
    file: R,
    buffer: Vec<u8>,
    start: usize,
    /// Offset in the file of the byte after the buffer.
    end_offset: u64,
}

impl<R: Read + Seek> Input<R> {
    fn new(mut file: R, offset: u64) -> io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self { file, buffer: Vec::new(), start: 0, end_offset: offset })
    }

    const fn offset(&self) -> u64 {
        self.end_offset - (self.buffer.len() - self.start) as u64
    }

    fn seek_to(&mut self, offset: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(offset))?;
        self.buffer.clear();
        (self.start, self.end_offset) = (0, offset);
        Ok(())
    }

    /// At least `count` bytes, fewer only at the end of the file.
    fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.buffer.len() - self.start < count {
            self.buffer.drain(..self.start);
            self.start = 0;
            let filled = self.buffer.len();
            self.buffer.resize(BUFFER_BYTES.max(count), 0);
            let read = read_retrying(&mut self.file, &mut self.buffer[filled..]);
            self.buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
            match read? {
                0 => break,
                n => self.end_offset += n as u64,
            }
        }
        Ok(&self.buffer[self.start..])
    }
}

impl<R: Read + Seek> Read for Input<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.peek(1)?.read(out)?;
        self.start += n;
        Ok(n)
    }
}

impl<R: Read + Seek> BufRead for Input<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.peek(1)
    }
    fn consume(&mut self, count: usize) {
        self.start += count;
    }
}

fn read_retrying(from: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    loop {
        match from.read(out) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[derive(Debug)]
enum State<R> {
    Plain(Input<R>),
    Inside(Box<GzDecoder<Input<R>>>),
    Between(Input<R>),
    /// Only while one state is made of another.
    Moving,
}

/// The decompressed bytes of an archive.
#[derive(Debug)]
pub struct Stream<R> {
    state: State<R>,
    buffer: Vec<u8>,
    start: usize,
    position: Position,
    /// An error behind the bytes that are in the buffer.
    pending: Option<io::Error>,
}

impl<R: Read + Seek> Stream<R> {
    /// Reads from an offset, where a record or a gzip member begins.
    ///
    /// # Errors
    /// As the file.
    pub fn new(file: R, offset: u64) -> io::Result<Self> {
        let mut input = Input::new(file, offset)?;
        let gzip = input.peek(2)?.starts_with(GZIP);
        let (state, position) = if gzip {
            (State::Between(input), Position { member: Some(offset), inner: 0 })
        } else {
            (State::Plain(input), Position { member: None, inner: offset })
        };
        Ok(Self { state, buffer: Vec::new(), start: 0, position, pending: None })
    }

    /// Where the next byte stands. Exact after [`Stream::fill`], which may enter the next member.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Bytes that come next, all of one member; none at the end.
    ///
    /// # Errors
    /// The file cannot be read or its compression is broken.
    pub fn fill(&mut self) -> io::Result<&[u8]> {
        while self.start == self.buffer.len() {
            self.start = 0;
            self.buffer.clear();
            if let Some(error) = self.pending.take() {
                return Err(error);
            }
            if !self.refill()? {
                break;
            }
        }
        Ok(&self.buffer[self.start..])
    }

    /// Like [`Stream::fill`], with at least `count` bytes unless the member ends or breaks before.
    ///
    /// # Errors
    /// As [`Stream::fill`].
    pub fn peek(&mut self, count: usize) -> io::Result<&[u8]> {
        self.fill()?;
        while self.buffer.len() - self.start < count && self.pending.is_none() {
            match self.read_more() {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => self.pending = Some(error),
            }
        }
        Ok(&self.buffer[self.start..])
    }

    /// Gives the error again when the bytes before it are consumed.
    pub fn postpone(&mut self, error: io::Error) {
        self.pending = Some(error);
    }

    /// Whether the next bytes are those of another member than that of `position`, or of none.
    pub fn is_behind(&self, position: Position) -> bool {
        matches!(self.state, State::Between(_)) || self.position.member != position.member
    }

    /// Passes over bytes that [`Stream::fill`] showed.
    pub const fn consume(&mut self, count: usize) {
        self.start += count;
        self.position.inner += count as u64;
    }

    /// Puts back the last bytes of one member.
    pub fn unread(&mut self, bytes: &[u8]) {
        self.buffer.splice(..self.start, bytes.iter().copied());
        self.start = 0;
        self.position.inner -= (bytes.len() as u64).min(self.position.inner);
    }

    /// Fills an empty buffer; `false` at the end of the file, `true` also when only the state changed.
    fn refill(&mut self) -> io::Result<bool> {
        if let State::Between(input) = &mut self.state {
            if !at_member(input)? {
                return Ok(false);
            }
            self.position = Position { member: Some(input.offset()), inner: 0 };
            let State::Between(input) = std::mem::replace(&mut self.state, State::Moving) else {
                unreachable!("the state was looked at above")
            };
            self.state = State::Inside(Box::new(GzDecoder::new(input)));
        }
        if self.read_more()? > 0 {
            return Ok(true);
        }
        match std::mem::replace(&mut self.state, State::Moving) {
            State::Inside(decoder) => {
                self.state = State::Between(decoder.into_inner());
                Ok(true)
            }
            other => {
                self.state = other;
                Ok(false)
            }
        }
    }

    /// Adds bytes of the same member to the buffer.
    fn read_more(&mut self) -> io::Result<usize> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let filled = self.buffer.len();
        let fresh = self.position.inner == 0 && filled == 0;
        self.buffer.resize(filled + if fresh { FIRST_BYTES } else { BUFFER_BYTES }, 0);
        let out = &mut self.buffer[filled..];
        let read = match &mut self.state {
            State::Plain(input) => read_retrying(input, out),
            State::Inside(decoder) => read_retrying(decoder.as_mut(), out),
            State::Between(_) | State::Moving => Ok(0),
        };
        self.buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Goes to the next gzip member whose content satisfies `begins`, behind one that cannot be read. Plain files are
    /// never broken in this sense: they stay where they are.
    ///
    /// # Errors
    /// As the file.
    pub fn next_member(&mut self, begins: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        let mut from = match &self.state {
            State::Plain(_) => return Ok(()),
            State::Inside(decoder) => (self.position.member.unwrap_or(0) + 1)
                .max(decoder.get_ref().offset().saturating_sub(SEARCH_BACK_BYTES)),
            State::Between(input) => input.offset(),
            State::Moving => unreachable!("no state is left half made"),
        };
        loop {
            let mut input = match std::mem::replace(&mut self.state, State::Moving) {
                State::Inside(decoder) => decoder.into_inner(),
                State::Between(input) | State::Plain(input) => input,
                State::Moving => unreachable!("no state is left half made"),
            };
            self.buffer.clear();
            self.start = 0;
            self.pending = None;
            input.seek_to(from)?;
            let found = find_magic(&mut input)?;
            from = input.offset() + 1;
            self.state = State::Between(input);
            if !found {
                return Ok(());
            }
            if self.peek(BUFFER_BYTES.min(1024)).is_ok_and(&begins) {
                return Ok(());
            }
        }
    }

    /// Goes back to an offset of a plain file; `false` where the file is compressed.
    ///
    /// # Errors
    /// As the file.
    pub fn seek_plain(&mut self, offset: u64) -> io::Result<bool> {
        let State::Plain(input) = &mut self.state else { return Ok(false) };
        input.seek_to(offset)?;
        self.buffer.clear();
        (self.start, self.position.inner) = (0, offset);
        Ok(true)
    }
}

/// Whether a member follows. Zero bytes up to the end of the file are padding (tapes, block devices), not an error.
fn at_member<R: Read + Seek>(input: &mut Input<R>) -> io::Result<bool> {
    if input.peek(2)?.starts_with(GZIP) {
        return Ok(true);
    }
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let zeros = bytes.iter().take_while(|b| **b == 0).count();
        if zeros < bytes.len() {
            input.consume(zeros);
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a gzip member"));
        }
        input.consume(zeros);
    }
}

/// Moves to the next bytes that begin a gzip member with deflate; `false` at the end of the file.
fn find_magic<R: Read + Seek>(input: &mut Input<R>) -> io::Result<bool> {
    const MAGIC: &[u8] = &[0x1f, 0x8b, 8];
    loop {
        let bytes = input.peek(MAGIC.len())?;
        if let Some(at) = memchr::memmem::find(bytes, MAGIC) {
            input.consume(at);
            return Ok(true);
        }
        if bytes.len() < MAGIC.len() {
            let rest = bytes.len();
            input.consume(rest);
            return Ok(false);
        }
        let passed = bytes.len() - (MAGIC.len() - 1);
        input.consume(passed);
    }
}
