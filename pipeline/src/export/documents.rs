//! Documents out of training sequences: pieces of one document may lie in any rows of any shards.
//!
//! Pieces are scattered into buckets by the leading digits of the id of their document; each bucket is sorted by id and
//! offset, and its documents are written. So documents come in the order of their ids, which is a function of the documents alone,
//! whatever shards and rows they lie in. Memory: one bucket, of [`BUCKET_BYTES`] as long as the dataset is below
//! [`BUCKETS_MAX`] times that, and more in proportion beyond. What fits one bucket never leaves memory.

use super::format::{Entry, Format};
use super::read::{Row, Shards};
use super::{InspectError, Split};
use schemas::DocId;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Bytes of pieces that are sorted together.
const BUCKET_BYTES: u64 = 64 << 20;
/// Files that are open at once.
const BUCKETS_MAX: u64 = 512;
/// Id, offset, tokens, shard, row, and whether there is a mask and whether it is of a mix.
const HEAD_BYTES: usize = 16 + 4 + 4 + 4 + 8 + 1;

/// Where pieces wait.
enum Buckets {
    Memory(Vec<u8>),
    Files(Vec<(PathBuf, BufWriter<File>)>),
}

/// Writes all documents of a split; `scratch` lies in the folder of the format.
pub(super) fn write(
    shards: &Shards<'_>,
    scratch: &Path,
    format: &mut dyn Format,
) -> Result<Split, InspectError> {
    let count = (shards.tokens * 4).div_ceil(BUCKET_BYTES).clamp(1, BUCKETS_MAX);
    write_by(shards, scratch, format, count)
}

/// The same, in so many buckets.
pub(super) fn write_by(
    shards: &Shards<'_>,
    scratch: &Path,
    format: &mut dyn Format,
    count: u64,
) -> Result<Split, InspectError> {
    let buckets = scatter(shards, scratch, count)?;
    let folder = scratch.parent().unwrap_or(scratch);
    let mut split = Split::default();
    match buckets {
        Buckets::Memory(bytes) => bucket(&bytes, shards, folder, format, &mut split)?,
        Buckets::Files(files) => {
            for (path, file) in files {
                file.into_inner().map_err(|error| InspectError::io(&path)(error.into_error()))?;
                let bytes = fs::read(&path).map_err(InspectError::io(&path))?;
                fs::remove_file(&path).map_err(InspectError::io(&path))?;
                bucket(&bytes, shards, folder, format, &mut split)?;
            }
            fs::remove_dir(scratch).map_err(InspectError::io(scratch))?;
        }
    }
    Ok(split)
}

fn scatter(shards: &Shards<'_>, scratch: &Path, count: u64) -> Result<Buckets, InspectError> {
    let mut buckets = Buckets::Memory(Vec::new());
    if count > 1 {
        fs::create_dir_all(scratch).map_err(InspectError::io(scratch))?;
        let open = |number: u64| {
            let path = scratch.join(format!("{number:03}"));
            let file = File::create(&path).map_err(InspectError::io(&path))?;
            Ok((path, BufWriter::new(file)))
        };
        buckets = Buckets::Files((0..count).map(open).collect::<Result<_, InspectError>>()?);
    }
    let mut record = Vec::new();
    shards.rows(&mut |row| {
        for number in 0..row.pieces.len() {
            let id = encode(&row, number, &mut record);
            match &mut buckets {
                Buckets::Memory(bytes) => bytes.extend_from_slice(&record),
                Buckets::Files(files) => {
                    let mut leading = [0; 8];
                    leading.copy_from_slice(&id.to_bytes()[..8]);
                    let at = (u128::from(u64::from_be_bytes(leading)) * u128::from(count)) >> 64;
                    let (path, file) = &mut files[at as usize];
                    file.write_all(&record).map_err(InspectError::io(path))?;
                }
            }
        }
        Ok(())
    })?;
    Ok(buckets)
}

pub(super) fn encode(row: &Row<'_>, number: usize, record: &mut Vec<u8>) -> DocId {
    let piece = &row.pieces[number];
    record.clear();
    record.extend(piece.document.to_bytes());
    record.extend(piece.offset.to_le_bytes());
    record.extend((piece.tokens.len() as u32).to_le_bytes());
    record.extend((row.shard_number as u32).to_le_bytes());
    record.extend(row.number.to_le_bytes());
    record.push(u8::from(row.mask.is_some()) | u8::from(row.mixed) << 1);
    record.extend(row.ids[piece.tokens.clone()].iter().flat_map(|id| id.to_le_bytes()));
    if let Some(mask) = row.mask {
        record.extend(mask[piece.tokens.clone()].iter().map(|&counts| u8::from(counts)));
    }
    piece.document
}

/// A piece in a bucket; what it has lies in the bytes behind its head.
struct Stored {
    id: DocId,
    offset: u32,
    shard: u32,
    row: u64,
    tokens: Range<usize>,
    mask: Option<Range<usize>>,
    mixed: bool,
}

fn stored(bytes: &[u8]) -> Vec<Stored> {
    let mut all = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let four = |from: usize| u32::from_le_bytes(bytes[at + from..][..4].try_into().expect("four bytes"));
        let id = DocId::from_bytes(bytes[at..][..16].try_into().expect("sixteen bytes"));
        let row = u64::from_le_bytes(bytes[at + 28..][..8].try_into().expect("eight bytes"));
        let (offset, count, shard) = (four(16), four(20) as usize, four(24));
        let start = at + HEAD_BYTES;
        let tokens = start..start + 4 * count;
        let flags = bytes[at + 36];
        let mask = (flags & 1 == 1).then(|| tokens.end..tokens.end + count);
        at = mask.as_ref().map_or(tokens.end, |mask| mask.end);
        all.push(Stored { id, offset, shard, row, tokens, mask, mixed: flags & 2 == 2 });
    }
    all.sort_by_key(|piece| (piece.id, piece.offset, piece.shard, piece.row));
    all
}

/// Writes the documents of a bucket in a format in `folder`.
pub(super) fn bucket(
    bytes: &[u8],
    shards: &Shards<'_>,
    folder: &Path,
    format: &mut dyn Format,
    split: &mut Split,
) -> Result<(), InspectError> {
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for pieces in stored(bytes).chunk_by(|a, b| a.id == b.id) {
        for copy in copies(pieces, shards)? {
            ids.clear();
            mask.clear();
            for piece in &copy {
                let four = |four: &[u8]| u32::from_le_bytes(four.try_into().expect("four bytes"));
                ids.extend(bytes[piece.tokens.clone()].chunks_exact(4).map(four));
                if let Some(range) = piece.mask.clone() {
                    mask.extend(bytes[range].iter().map(|&counts| counts == 1));
                }
            }
            let entry = Entry {
                ids: &ids,
                mask: (!ids.is_empty() && mask.len() == ids.len()).then_some(mask.as_slice()),
                shard: shards.name(copy[0].shard as usize),
                row: copy[0].row,
                document: Some(copy[0].id),
            };
            split.add(&entry, format);
            format.add(&entry).map_err(InspectError::io(folder))?;
        }
    }
    Ok(())
}

/// Joins the pieces of a document, sorted by offset: once, or as often as a mix has it. A mix ends where its budget ends, so it
/// may have a part of a document, which is an entry then; elsewhere a gap is damage.
fn copies<'a>(pieces: &'a [Stored], shards: &Shards<'_>) -> Result<Vec<Vec<&'a Stored>>, InspectError> {
    let mut copies: Vec<(usize, Vec<&Stored>)> = Vec::new();
    // Where each copy ends, and its place in the list: of several that end in one place the first is joined.
    let mut ends: BTreeSet<(usize, usize)> = BTreeSet::new();
    for piece in pieces {
        let (start, length) = (piece.offset as usize, piece.tokens.len() / 4);
        let is_first = copies.is_empty();
        let before = ends.range((start, 0)..=(start, usize::MAX)).next().copied().filter(|_| start > 0);
        match before {
            Some((end, at)) => {
                ends.remove(&(end, at));
                ends.insert((end + length, at));
                copies[at].0 += length;
                copies[at].1.push(piece);
            }
            None if piece.mixed || start == 0 && is_first => {
                ends.insert((start + length, copies.len()));
                copies.push((start + length, vec![piece]));
            }
            None => {
                let before = copies.last().map_or(0, |(end, _)| *end);
                let message = format!(
                    "document {} has a piece at token {start}, and {before} tokens before it",
                    piece.id
                );
                let help = "`gristmill verify DATASET` tells what differs; build it again";
                return Err(InspectError::format(&shards.path(piece.shard as usize), message, help));
            }
        }
    }
    Ok(copies.into_iter().map(|(_, copy)| copy).collect())
}
