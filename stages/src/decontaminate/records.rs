//! The records of decontamination as bytes that sort: item, document, place.

use super::Find;
use schemas::{DocId, Push, StageError};

/// Finds of one document that are kept; a document that holds more holds nothing else.
pub(super) const FINDS_MAX: usize = 1024;

/// Reads an id.
///
/// # Errors
/// `Invalid` when it is not 32 hexadecimal digits: ids are made by the house.
pub(super) fn id_bytes(id: &str) -> Result<[u8; ID_BYTES], StageError> {
    let wrong = || StageError::Invalid(format!("`{id}` is not a document id"));
    DocId::parse(id).map(DocId::to_bytes).ok_or_else(wrong)
}

/// The id at the start of a record.
///
/// # Panics
/// When the bytes are too few: records are written here.
pub(super) fn doc_id(bytes: &[u8]) -> DocId {
    DocId::from_bytes(*bytes.first_chunk().expect("the record holds an id"))
}

/// Bytes of a document id.
pub(super) const ID_BYTES: usize = 16;
/// Bytes of the numbers of set and item.
pub(super) const ITEM_BYTES: usize = 8;
/// Bytes of an item and its place in a document.
pub(super) const FIND_BYTES: usize = ITEM_BYTES + 20;

/// Start, end and share, so that they sort by place.
pub(super) fn place_bytes(find: &Find) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes[..8].copy_from_slice(&(find.range.start as u64).to_be_bytes());
    bytes[8..16].copy_from_slice(&(find.range.end as u64).to_be_bytes());
    bytes[16..].copy_from_slice(&find.share.to_be_bytes());
    bytes
}

/// Reads what [`place_bytes`] wrote.
pub(super) fn read_place(set: u32, item: u32, bytes: &[u8]) -> Find {
    let number =
        |from: usize| u64::from_be_bytes(*bytes[from..].first_chunk().expect("map wrote it")) as usize;
    let share = f32::from_be_bytes(*bytes[16..].first_chunk().expect("map wrote it"));
    Find { set, item, gram: 0, range: number(0)..number(8), share, common: false }
}

/// The numbers of set and item.
pub(super) fn numbers(bytes: &[u8]) -> [u32; 2] {
    let words = bytes.as_chunks::<4>().0;
    [u32::from_be_bytes(words[0]), u32::from_be_bytes(words[1])]
}

/// The documents that hold one of the words that count only if few do.
#[derive(Default)]
pub(super) struct Group {
    max: usize,
    counts_documents: bool,
    key: Vec<u8>,
    values: Vec<Vec<u8>>,
    count: usize,
}

impl Group {
    /// At most `max` may have it; a document counts once, or each time.
    pub(super) fn new(max: usize, counts_documents: bool) -> Self {
        Self { max, counts_documents, ..Self::default() }
    }

    /// Takes the next record.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8], out: &mut dyn Push) -> Result<(), StageError> {
        if self.key != key {
            self.end(out)?;
            self.key = key.to_vec();
        }
        let again = self.values.last().is_some_and(|last| last[..ID_BYTES] == value[..ID_BYTES]);
        self.count += usize::from(!(self.counts_documents && again));
        if self.count <= self.max {
            self.values.push(value.to_vec());
        } else {
            self.values.clear();
        }
        Ok(())
    }

    /// Writes the values, or one that is empty where there were too many.
    pub(super) fn end(&mut self, out: &mut dyn Push) -> Result<(), StageError> {
        if self.count > self.max {
            out.push(&self.key, &[])?;
        }
        for value in self.values.drain(..) {
            out.push(&self.key, &value)?;
        }
        self.count = 0;
        Ok(())
    }
}
