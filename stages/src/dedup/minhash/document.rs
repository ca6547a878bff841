//! What the house sorts for `dedup.minhash`: the bytes of its records.
//!
//! ```text
//! map      band hash (8 bytes)  →  rank
//!          id (16 bytes)        →  SET, length of the rank (u32), rank, hashes of the shingles (u32 each); goes past reducing
//! reduce   id                   →  SEAT, band hash, what the document does in that bucket
//! settle   rank                 →  number of seats (u8), seats, hashes of the shingles
//! ```

use crate::dedup::keep::{IdBytes, rank_id};
use schemas::Records;

/// First byte of a value: a place in one bucket.
const SEAT: u8 = 0;
/// First byte of a value: the shingles of a document, behind its seats.
const SET: u8 = 1;

/// A document leads in a bucket: later ones of it are compared with it.
pub(in crate::dedup) const LEADS: u8 = 1;
/// A document looks: it is compared with those that lead.
pub(in crate::dedup) const LOOKS: u8 = 2;

/// Bytes of a band hash.
pub(in crate::dedup) const BAND_BYTES: usize = 8;
/// Band hash and what the document does.
const SEAT_BYTES: usize = BAND_BYTES + 1;

/// Writes the record of a set, which goes past reducing. `bytes` is memory for the hashes.
pub(in crate::dedup) fn push_set(rank: &[u8], shingles: &[u32], bytes: &mut Vec<u8>, out: &mut Records) {
    let length = u32::try_from(rank.len()).expect("ranks are below 4 GiB");
    bytes.resize(size_of_val(shingles), 0);
    for (to, shingle) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(shingles) {
        *to = shingle.to_le_bytes();
    }
    out.push_past(&rank_id(rank), &[&[SET], &length.to_le_bytes(), rank, bytes]);
}

/// Writes the value of a seat.
pub(in crate::dedup) fn write_seat(band: &[u8], does: u8, out: &mut Vec<u8>) {
    out.clear();
    out.push(SEAT);
    out.extend_from_slice(band);
    out.push(does);
}

/// Gathers the reduced records of one document.
#[derive(Default)]
pub(in crate::dedup) struct Gathered {
    /// Whether the sets of documents without a seat are wanted too.
    wants_all: bool,
    id: Vec<u8>,
    set: Vec<u8>,
    seats: Vec<u8>,
    value: Vec<u8>,
}

impl Gathered {
    /// `wants_all`: the sets of documents that share no bucket, too.
    pub(in crate::dedup) fn new(wants_all: bool) -> Self {
        Self { wants_all, ..Self::default() }
    }

    /// Whether a record is of this document.
    pub(in crate::dedup) fn is_of(&self, id: &[u8]) -> bool {
        self.id == id
    }

    /// Starts with the document of this id.
    pub(in crate::dedup) fn start(&mut self, id: &[u8]) {
        self.id.clear();
        self.id.extend_from_slice(id);
        self.set.clear();
        self.seats.clear();
    }

    /// Takes the value of a record. A document that was read twice has one set.
    pub(in crate::dedup) fn take(&mut self, value: &[u8]) {
        match value.split_first().expect("a value has its kind") {
            (&SET, set) if self.set.is_empty() && (self.wants_all || !self.seats.is_empty()) => {
                self.set.extend_from_slice(set);
            }
            (&SET, _) => {}
            (_, seat) => self.seats.extend_from_slice(seat),
        }
    }

    /// The record of the document by its rank; `None` when it shares no bucket.
    pub(in crate::dedup) fn ranked(&mut self) -> Option<(&[u8], &[u8])> {
        if self.seats.is_empty() {
            return None;
        }
        let (length, rest) =
            self.set.split_first_chunk().expect("the set of a document comes behind its seats");
        let (rank, shingles) = rest.split_at(u32::from_le_bytes(*length) as usize);
        write_ranked(&self.seats, shingles, &mut self.value);
        Some((rank, &self.value))
    }

    /// Its key.
    pub(in crate::dedup) fn id(&self) -> &[u8] {
        &self.id
    }

    /// Its seats as they came.
    pub(in crate::dedup) fn seats(&self) -> &[u8] {
        &self.seats
    }

    /// The hashes of its shingles, repeats included.
    pub(in crate::dedup) fn shingles(&self) -> impl ExactSizeIterator<Item = u32> {
        let rest = self.set.split_first_chunk().map_or(&[][..], |(length, rest)| {
            rest.get(u32::from_le_bytes(*length) as usize..).unwrap_or_default()
        });
        rest.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes))
    }
}

/// Writes the record of a document by its rank.
pub(in crate::dedup) fn write_ranked(seats: &[u8], shingles: &[u8], out: &mut Vec<u8>) {
    out.clear();
    out.push((seats.len() / SEAT_BYTES) as u8);
    out.extend_from_slice(seats);
    out.extend_from_slice(shingles);
}

/// A document that shares a bucket with another, read from its record by rank.
#[derive(Clone, Copy)]
pub(in crate::dedup) struct Ranked<'a> {
    pub(in crate::dedup) id: IdBytes,
    seats: &'a [[u8; SEAT_BYTES]],
    shingles: &'a [[u8; 4]],
}

impl<'a> Ranked<'a> {
    pub(in crate::dedup) fn new(rank: &[u8], value: &'a [u8]) -> Self {
        let (count, rest) = value.split_first().expect("the value starts with the number of seats");
        let (seats, shingles) = rest.split_at(usize::from(*count) * SEAT_BYTES);
        Self { id: rank_id(rank), seats: seats.as_chunks().0, shingles: shingles.as_chunks().0 }
    }

    /// The buckets in which it does this.
    pub(in crate::dedup) fn buckets(&self, does: u8) -> impl Iterator<Item = u64> + use<'a> {
        let seats = self.seats.iter().filter(move |seat| seat[BAND_BYTES] & does != 0);
        seats.map(|seat| u64::from_be_bytes(*seat.first_chunk().expect("a seat starts with its band")))
    }

    /// The hashes of its shingles, repeats included.
    pub(in crate::dedup) fn shingles(&self) -> impl ExactSizeIterator<Item = u32> + use<'a> {
        self.shingles.iter().map(|bytes| u32::from_le_bytes(*bytes))
    }
}
