//! The file of a [`Model`]: reading and writing.

use super::codes::{self, UND};
use super::script::{Letters, Script};
use super::{Group, Model, ROW_BITS, TAGS, lanes};
use std::io::Read as _;

/// What a file of weights begins with; the last byte is the version of features and layout.
const MAGIC: &[u8; 6] = b"GMLID\x01";
/// Most slots of a table: 2^20.
const BITS_MAX: u32 = 20;
/// Most bytes that a file may unpack to.
const BYTES_MAX: u64 = 1 << 25;

impl Model {
    /// Joins tables.
    pub(super) fn new(note: String, groups: Vec<Group>) -> Self {
        Self { letters: Letters::default(), groups, among: Vec::new(), note }
    }

    /// Reads a file of weights.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut head = Bytes(bytes.strip_prefix(MAGIC).ok_or("this is no file of weights of this version")?);
        let note = head.number().and_then(|n| head.take(n as usize)).ok_or(CUT)?;
        let note = String::from_utf8(note.to_vec()).map_err(|e| e.to_string())?;
        let mut body = Vec::new();
        let reader = zstd::stream::read::Decoder::new(head.0).map_err(|e| e.to_string())?;
        reader.take(BYTES_MAX).read_to_end(&mut body).map_err(|e| e.to_string())?;
        let mut body = Bytes(&body);
        let count = body.byte().ok_or(CUT)?;
        let groups: Vec<Group> =
            (0..count).map(|_| read_group(&mut body).ok_or(CUT)).collect::<Result<_, _>>()?;
        let is_known = |at: usize| {
            let script = groups[at].script;
            codes::GROUPS.iter().any(|(s, _)| *s == script)
                && !groups[..at].iter().any(|g| g.script == script)
        };
        if !(0..groups.len()).all(is_known) {
            return Err(CUT.into());
        }
        if body.0.is_empty() {
            Ok(Self::new(note, groups))
        } else {
            Err("the file of weights is too long".into())
        }
    }

    /// Writes a file of weights.
    pub fn write(&self) -> Vec<u8> {
        let mut body = vec![self.groups.len() as u8];
        self.groups.iter().for_each(|group| write_group(group, &mut body));
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&(self.note.len() as u32).to_le_bytes());
        out.extend_from_slice(self.note.as_bytes());
        out.extend_from_slice(&zstd::bulk::compress(&body, 19).expect("compressing in memory cannot fail"));
        out
    }

    /// Bytes that the tables take in memory.
    pub fn memory(&self) -> usize {
        self.groups.iter().map(|g| g.slots.len() * 4 + g.weights.len()).sum()
    }
}

const CUT: &str = "the file of weights is cut off or broken";

/// Bytes not read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(count)?;
        self.0 = tail;
        Some(head)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|b| b[0])
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|b| u32::from_le_bytes(*b))
    }

    fn float(&mut self) -> Option<f32> {
        self.number().map(f32::from_bits).filter(|f| f.is_finite())
    }

    fn gap(&mut self) -> Option<usize> {
        let mut gap = 0;
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            gap |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(gap);
            }
        }
        None
    }
}

fn read_group(body: &mut Bytes<'_>) -> Option<Group> {
    let script = *Script::ALL.get(usize::from(body.byte()?))?;
    let bits = u32::from(body.byte()?);
    if !(1..=BITS_MAX).contains(&bits) {
        return None;
    }
    let (scale, sharpen) = (body.float()?, [body.float()?, body.float()?]);
    let known = codes::all();
    let count = body.byte()?;
    let labels: Option<Vec<_>> = (0..count)
        .map(|_| {
            let code = body.take(3)?;
            known.iter().chain([&UND]).copied().find(|label| label.as_bytes() == code)
        })
        .collect();
    let labels = labels.filter(|l| l.len() <= lanes(script) && l.iter().any(|l| *l != UND))?;
    let rows = body.number().filter(|rows| *rows <= 1 << bits && *rows < 1 << ROW_BITS)?;
    let (mut at, mut places) = (0_usize, Vec::new());
    for _ in 0..rows {
        at += body.gap()?;
        places.push(at);
    }
    let mut slots = vec![0; 1 << bits];
    for (row, at) in (0..rows).zip(places) {
        let tag = u32::from(u16::from_le_bytes(*body.take(2)?.first_chunk()?));
        *slots.get_mut(at)? = tag.min(TAGS) << ROW_BITS | row;
    }
    let (rows, lanes) = (rows as usize, lanes(script));
    let mut weights = vec![0; rows * lanes];
    for lane in 0..labels.len() {
        for (row, weight) in body.take(rows)?.iter().enumerate() {
            weights[row * lanes + lane] = weight.cast_signed();
        }
    }
    Some(Group { script, labels, bits, scale, sharpen, slots, weights })
}

fn write_group(group: &Group, out: &mut Vec<u8>) {
    out.extend([group.script as u8, group.bits as u8]);
    for number in [group.scale, group.sharpen[0], group.sharpen[1]] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.push(group.labels.len() as u8);
    group.labels.iter().for_each(|label| out.extend_from_slice(label.as_bytes()));
    let used: Vec<(usize, u32)> = group.slots.iter().copied().enumerate().filter(|(_, e)| *e != 0).collect();
    out.extend_from_slice(&(used.len() as u32).to_le_bytes());
    let mut last = 0;
    for (at, _) in &used {
        let mut gap = at - last;
        last = *at;
        while gap >= 0x80 {
            out.push(gap as u8 | 0x80);
            gap >>= 7;
        }
        out.push(gap as u8);
    }
    used.iter().for_each(|(_, e)| out.extend_from_slice(&((e >> ROW_BITS) as u16).to_le_bytes()));
    let (rows, _) = group.weights.as_chunks::<1>();
    for lane in 0..group.labels.len() {
        out.extend(used.iter().map(|(_, e)| {
            let row = (e & ((1 << ROW_BITS) - 1)) as usize;
            rows[row * group.lanes() + lane][0].cast_unsigned()
        }));
    }
}
