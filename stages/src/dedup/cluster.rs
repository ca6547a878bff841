//! Which of the documents with a near-duplicate stay: a greedy cover.
//!
//! Documents are visited from the best to the worst. One goes if a document that stays is similar to it, so what goes
//! always has a twin that stays. Components of the graph of similar pairs would keep less: in a chain a–b–c of which a and c are
//! not similar, the best alone would stay for three.
//!
//! Pairs are sorted three times on disk, so that only one bit for each document that has a pair is held in memory:
//!
//! 1. by the worse rank, as they come: each worse document gets a number, in the order of ranks;
//! 2. by the better rank: each document gets a place, in the order of ranks;
//! 3. by the number of the worse: what became of the better one, at its place, is known by then.

use super::keep::{doc_id, rank_id};
use schemas::{DocId, House, Push, Record, Sorted, StageError};

/// The document that stays in the place of another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Twin {
    pub(super) id: DocId,
    pub(super) similarity: f32,
}

/// First byte of a value: a document's own record, which sorts before those of its pairs.
const OWN: u8 = 0;
/// First byte of a value: one pair.
const PAIR: u8 = 1;

/// Visits the pairs and tells of each document that goes with the kept document that is most similar to it.
///
/// Key of a pair: rank of the worse document. Value: similarity (`f32`, big-endian), rank of the better. Pairs may come
/// more than once. Of equally similar twins the better one counts.
///
/// # Errors
/// `Io` from the streams; whatever `goes` returns.
pub(super) fn cover(
    pairs: &mut dyn Sorted,
    house: &dyn House,
    mut goes: impl FnMut(DocId, Twin) -> Result<(), StageError>,
) -> Result<(), StageError> {
    let mut by_better = house.sorter()?;
    number(pairs, by_better.as_mut())?;
    let mut by_worse = house.sorter()?;
    place(by_better.sorted()?.as_mut(), by_worse.as_mut())?;
    let mut by_worse = by_worse.sorted()?;
    let (mut gone, mut open) = (Bits::default(), Open::default());
    while let Some(Record { value, .. }) = by_worse.next()? {
        let (place, rest) = split_number(&value[1..]);
        if value[0] == OWN {
            open.close(&mut gone, &mut goes)?;
            open = Open { place, id: Some(doc_id(rest)), twin: None };
            continue;
        }
        let (similarity, id) = rest.split_first_chunk().expect("a pair holds its similarity");
        let similarity = f32::from_be_bytes(*similarity);
        // Better ones come first, so an equal one does not replace them.
        if !gone.get(place) && open.twin.is_none_or(|twin| twin.similarity < similarity) {
            open.twin = Some(Twin { id: doc_id(id), similarity });
        }
    }
    open.close(&mut gone, &mut goes)
}

/// Numbers the worse documents. Key out: rank. Values: own number, or number of the worse and similarity.
fn number(pairs: &mut dyn Sorted, out: &mut dyn Push) -> Result<(), StageError> {
    let (mut worse, mut last, mut number) = (Vec::new(), Vec::new(), 0_u64);
    while let Some(Record { key, value }) = pairs.next()? {
        if worse != key {
            worse = key.to_vec();
            last.clear();
            number += 1;
            out.push(key, &[&[OWN], &number.to_be_bytes()[..]].concat())?;
        }
        if last != value {
            last = value.to_vec();
            let (similarity, better) = value.split_at(size_of::<f32>());
            out.push(better, &[&[PAIR], &number.to_be_bytes()[..], similarity].concat())?;
        }
    }
    Ok(())
}

/// Places all documents. Key out: number of the worse. Values: own place and id, or place, similarity and id of the better.
fn place(ranks: &mut dyn Sorted, out: &mut dyn Push) -> Result<(), StageError> {
    let (mut rank, mut place) = (Vec::new(), 0_u64);
    while let Some(Record { key, value }) = ranks.next()? {
        if rank != key {
            rank = key.to_vec();
            place += 1;
        }
        let (number, similarity) = value[1..].split_at(size_of::<u64>());
        let value = [&value[..1], &place.to_be_bytes()[..], similarity, &rank_id(key)].concat();
        out.push(number, &value)?;
    }
    Ok(())
}

fn split_number(value: &[u8]) -> (u64, &[u8]) {
    let (number, rest) = value.split_first_chunk().expect("the value holds a place");
    (u64::from_be_bytes(*number), rest)
}

/// The document whose pairs are read.
#[derive(Default)]
struct Open {
    place: u64,
    id: Option<DocId>,
    twin: Option<Twin>,
}

impl Open {
    fn close(
        &self,
        gone: &mut Bits,
        goes: &mut impl FnMut(DocId, Twin) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let Some((id, twin)) = self.id.zip(self.twin) else { return Ok(()) };
        gone.set(self.place);
        goes(id, twin)
    }
}

/// One bit a place; those that were never set are not.
#[derive(Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn get(&self, at: u64) -> bool {
        self.0.get((at / 64) as usize).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    fn set(&mut self, at: u64) {
        let word = (at / 64) as usize;
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (at % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::Records;
    use schemas::memory::{InMemory, Stream};

    fn rank(number: u32) -> Vec<u8> {
        [&u64::from(number).to_be_bytes()[..], &[0], &u128::from(number).to_be_bytes()].concat()
    }

    /// Twin of each document; edges are (better, worse, similarity).
    fn check(edges: &[(u32, u32, f32)], expected: &[(u32, u32)]) {
        let mut pairs = Records::default();
        for (better, worse, similarity) in edges {
            pairs.push(&rank(*worse), &[&similarity.to_be_bytes()[..], &rank(*better)].concat());
        }
        let mut found = Vec::new();
        let number = |id: DocId| u128::from_be_bytes(id.to_bytes()) as u32;
        cover(&mut Stream::sorted(pairs), &InMemory, |worse, twin| {
            found.push((number(worse), number(twin.id)));
            Ok(())
        })
        .unwrap();
        assert_eq!(found, expected, "{edges:?}");
    }

    #[test]
    fn what_goes_has_a_twin_that_stays() {
        check(&[], &[]);
        check(&[(0, 1, 0.9)], &[(1, 0)]);
        check(&[(0, 1, 0.9), (1, 2, 0.9)], &[(1, 0)]);
        check(&[(1, 2, 0.9), (0, 2, 0.8)], &[(2, 1)]);
        check(&[(1, 2, 0.9), (0, 2, 0.9)], &[(2, 0)]);
        check(&[(0, 1, 0.9), (1, 2, 0.99), (0, 2, 0.8), (2, 3, 1.0), (2, 3, 1.0)], &[(1, 0), (2, 0)]);
        let chain: Vec<(u32, u32, f32)> = (0..200).map(|n| (n, n + 1, 0.9)).collect();
        let odd: Vec<(u32, u32)> = (0..100).map(|n| (2 * n + 1, 2 * n)).collect();
        check(&chain, &odd);
    }
}
