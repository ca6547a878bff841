//! Which source each held-out piece counts to: the documents that its shard names, looked up among the documents of the dataset.
//!
//! The largest sources keep their names, those behind them are one, `other`. A document that the dataset does not tell of is `unknown`.

use crate::data::{Dataset, Document};
use crate::error::TrainError;
use schemas::hash::FastMap;
use std::collections::BTreeMap;

/// Sources that keep their names.
const SOURCES_MAX: usize = 12;
/// What the sources behind them are called together.
const OTHER: &str = "other";
/// A document that the dataset does not tell of.
const UNKNOWN: &str = "unknown";

/// The sources of held-out rows. Memory: a byte a piece.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// Names, the one with the most held-out tokens first.
    names: Vec<String>,
    /// Pieces before each row, and of all.
    before: Vec<usize>,
    /// The source of each piece, by its place among the names.
    of: Vec<u8>,
}

impl Sources {
    /// Looks up the held-out documents of a dataset. Without documents, or without a source of any, there are no names.
    ///
    /// # Errors
    /// A shard is missing or damaged.
    pub(crate) fn open(dataset: &Dataset) -> Result<Self, TrainError> {
        // Ids are held as hashes: of a collision, once in 2^64 documents, a few tokens would count to another source.
        let mut held_out: FastMap<u128, u32> = FastMap::default();
        let mut pieces: Vec<(u64, u32, u32)> = Vec::new();
        dataset.validation.each_piece(|row, piece| {
            let next = u32::try_from(held_out.len()).expect("held-out documents are numbered by u32");
            let document = *held_out.entry(key(&piece.document)).or_insert(next);
            pieces.push((row, document, piece.tokens));
        })?;
        let mut names: BTreeMap<String, u32> = BTreeMap::new();
        let mut source_of: Vec<Option<u32>> = vec![None; held_out.len()];
        dataset.documents(|document: Document<'_>| {
            let Some(&number) = held_out.get(&key(document.id)) else { return };
            let Some(source) = document.source() else { return };
            let next = u32::try_from(names.len()).expect("sources are fewer than documents");
            let source = match names.get(source) {
                Some(&known) => known,
                None => *names.entry(source.to_owned()).or_insert(next),
            };
            source_of[number as usize] = Some(source);
        })?;
        if names.is_empty() {
            return Ok(Self::default());
        }
        let unknown = names.len() as u32;
        names.entry(UNKNOWN.to_owned()).or_insert(unknown);
        let sources = pieces.iter().map(|(_, document, _)| source_of[*document as usize].unwrap_or(unknown));
        let mut sizes = vec![0_u64; names.len().max(unknown as usize + 1)];
        sources.clone().zip(&pieces).for_each(|(source, piece)| sizes[source as usize] += u64::from(piece.2));
        let (names, place) = ranked(names, &sizes);
        let mut before = Vec::new();
        for (at, (row, ..)) in pieces.iter().enumerate() {
            // A row of padding alone has no piece.
            before.resize(*row as usize + 1, at);
        }
        before.resize(usize::try_from(dataset.validation.count()).unwrap_or(0) + 1, pieces.len());
        let of = sources.map(|source| place[source as usize]).collect();
        Ok(Self { names, before, of })
    }

    /// The names of the sources; none where they are not known.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The sources of the pieces of a row, by their place among the names; empty where they are not known.
    pub(crate) fn of(&self, row: usize) -> &[u8] {
        match (self.before.get(row), self.before.get(row + 1)) {
            (Some(&first), Some(&end)) => &self.of[first..end],
            _ => &[],
        }
    }
}

fn key(id: &str) -> u128 {
    xxhash_rust::xxh3::xxh3_128(id.as_bytes())
}

/// Names by size, and for each number of a source its place among them.
fn ranked(names: BTreeMap<String, u32>, sizes: &[u64]) -> (Vec<String>, Vec<u8>) {
    let mut all: Vec<(String, u32)> = names.into_iter().filter(|(_, n)| sizes[*n as usize] > 0).collect();
    all.sort_by(|a, b| sizes[b.1 as usize].cmp(&sizes[a.1 as usize]).then_with(|| a.0.cmp(&b.0)));
    let mut place = vec![0; sizes.len()];
    for (at, (_, number)) in all.iter().enumerate() {
        place[*number as usize] = u8::try_from(at.min(SOURCES_MAX)).expect("a few sources have names");
    }
    let more = all.len() > SOURCES_MAX;
    let mut names: Vec<String> = all.into_iter().take(SOURCES_MAX).map(|(name, _)| name).collect();
    names.extend(more.then(|| OTHER.to_owned()));
    (names, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_keep_their_names() {
        let names = (0..15).map(|n| (format!("s{n:02}"), n)).collect();
        let sizes: Vec<u64> = (0..15).map(|n| if n == 3 { 0 } else { 100 - n % 2 }).collect();
        let (names, place) = ranked(names, &sizes);
        assert_eq!(names[..3], ["s00", "s02", "s04"]);
        assert_eq!(names.len(), SOURCES_MAX + 1);
        assert_eq!((names[SOURCES_MAX].as_str(), place[13], place[11]), (OTHER, 12, 12));
        assert_eq!((place[0], place[1]), (0, 8));
    }
}
