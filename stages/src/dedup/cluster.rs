//! Which of the documents with a near-duplicate stay.
//!
//! The cover: documents are visited from the best to the worst, and one goes if a document that stays is similar to it. What
//! goes always has a twin that stays, and no two that stay were compared and found similar. Components of the graph of similar
//! pairs would keep less: in a chain a–b–c of which a and c are not similar, the best alone would stay for three.
//!
//! Only documents that stay are compared with, so a quarter of a million nearly equal documents cost one comparison each. Those that stay and may
//! still be asked for are held in memory with their shingles, up to what the house lends; what then is
//! neither dropped nor held goes on to the next pass, in which the best of it is held. So memory is bounded, the number of passes is the
//! size of what stays over the memory, and the result is that of a single pass whatever the memory.

use super::minhash::document::{LEADS, LOOKS, Ranked};
use super::minhash::probe::Probe;
use super::signature::Identity;
use schemas::{DocId, House, Record, Sorted, Sorter, StageError};
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// The document that stays in the place of another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Twin {
    pub(super) id: DocId,
    pub(super) similarity: f64,
}

/// Bytes that a bucket or a document takes beside its shingles, at most.
const ENTRY_BYTES: usize = 48;
/// No link follows.
const END: u32 = u32::MAX;

/// The documents that later ones are compared with.
#[derive(Default)]
struct Leaders {
    ids: Vec<DocId>,
    /// Where the shingles of each end; they are distinct.
    ends: Vec<usize>,
    hashes: Vec<u32>,
    /// The last leader of each bucket, as a place in `links`.
    buckets: HashMap<u64, u32, BuildHasherDefault<Identity>>,
    /// A leader and the link before it in its bucket.
    links: Vec<(u32, u32)>,
}

impl Leaders {
    /// Bytes that are held, at most.
    fn bytes(&self) -> usize {
        // A vector may be twice as long as what is in it.
        2 * (size_of_val(self.hashes.as_slice()) + (self.ids.len() + self.links.len()) * ENTRY_BYTES)
    }

    fn add(&mut self, document: Ranked<'_>, distinct: &[u32]) {
        let number = self.ids.len() as u32;
        self.ids.push(DocId::from_bytes(document.id));
        self.hashes.extend_from_slice(distinct);
        self.ends.push(self.hashes.len());
        for bucket in document.buckets(LEADS) {
            let link = self.links.len() as u32;
            let before = self.buckets.insert(bucket, link).unwrap_or(END);
            self.links.push((number, before));
        }
    }

    fn hashes(&self, leader: u32) -> &[u32] {
        let leader = leader as usize;
        let start = leader.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.hashes[start..self.ends[leader]]
    }

    /// The leaders of the buckets in which a document looks, from the best, each once.
    fn of(&self, document: Ranked<'_>, out: &mut Vec<u32>) {
        out.clear();
        for bucket in document.buckets(LOOKS) {
            let mut link = self.buckets.get(&bucket).copied().unwrap_or(END);
            while link != END {
                let (leader, before) = self.links[link as usize];
                out.push(leader);
                link = before;
            }
        }
        out.sort_unstable();
        out.dedup();
    }
}

/// Visits documents from the best and tells of each that goes with the best kept one that is similar to it.
///
/// # Errors
/// `Io` from the streams; whatever `goes` returns.
pub(super) fn cover<'h>(
    mut ranked: Box<dyn Sorted + 'h>,
    house: &'h dyn House,
    limit: f64,
    mut goes: impl FnMut(DocId, Twin) -> Result<(), StageError>,
) -> Result<(), StageError> {
    let (mut probe, mut candidates) = (Probe::default(), Vec::new());
    loop {
        let mut leaders = Leaders::default();
        let mut rest: Option<Box<dyn Sorter + '_>> = None;
        while let Some(Record { key, value }) = ranked.next()? {
            let document = Ranked::new(key, value);
            leaders.of(document, &mut candidates);
            let mut is_filled = false;
            let mut similar = candidates.iter().filter_map(|&leader| {
                if !std::mem::replace(&mut is_filled, true) {
                    probe.fill(document.shingles());
                }
                Some((leader, probe.jaccard(leaders.hashes(leader), limit)?))
            });
            if let Some((leader, similarity)) = similar.next() {
                let id = leaders.ids[leader as usize];
                goes(DocId::from_bytes(document.id), Twin { id, similarity })?;
            } else if let Some(rest) = &mut rest {
                rest.push(key, value)?;
            } else if document.buckets(LEADS).next().is_some() {
                if !leaders.ids.is_empty() && leaders.bytes() > house.memory_bytes() {
                    rest.insert(house.sorter()?).push(key, value)?;
                    continue;
                }
                if !is_filled {
                    probe.fill(document.shingles());
                }
                leaders.add(document, probe.distinct());
            }
        }
        match rest {
            Some(rest) => ranked = rest.sorted()?,
            None => return Ok(()),
        }
    }
}

/// Tells of each document that is not the best of its component with that best one, and with how similar it is to the
/// document through which it was first found to belong.
///
/// Takes 28 bytes of memory for each document that shares a bucket.
///
/// # Errors
/// As [`cover`].
pub(super) fn components<'h>(
    mut ranked: Box<dyn Sorted + 'h>,
    house: &'h dyn House,
    limit: f64,
    mut goes: impl FnMut(DocId, Twin) -> Result<(), StageError>,
) -> Result<(), StageError> {
    let (mut probe, mut candidates, mut forest) = (Probe::default(), Vec::new(), Forest::default());
    let mut held = 0;
    loop {
        let mut leaders = Leaders::default();
        let mut rest: Option<Box<dyn Sorter + '_>> = None;
        let mut number = held;
        while let Some(Record { key, value }) = ranked.next()? {
            let document = Ranked::new(key, value);
            forest.grow(number, DocId::from_bytes(document.id));
            leaders.of(document, &mut candidates);
            probe.fill(document.shingles());
            for &leader in &candidates {
                // What belongs together already needs no measuring.
                if let Some(roots) = forest.apart(held + leader as usize, number)
                    && let Some(similarity) = probe.jaccard(leaders.hashes(leader), limit)
                {
                    forest.join(roots, [held + leader as usize, number], similarity);
                }
            }
            if rest.is_none() && (leaders.ids.is_empty() || leaders.bytes() <= house.memory_bytes()) {
                leaders.add(document, probe.distinct());
            } else {
                let rest = match &mut rest {
                    Some(rest) => rest,
                    None => rest.insert(house.sorter()?),
                };
                rest.push(key, value)?;
            }
            number += 1;
        }
        held += leaders.ids.len();
        match rest {
            Some(rest) => ranked = rest.sorted()?,
            None => break,
        }
    }
    for number in 0..forest.ids.len() {
        let root = forest.root(number);
        if root != number {
            goes(forest.ids[number], Twin { id: forest.ids[root], similarity: forest.similarities[number] })?;
        }
    }
    Ok(())
}

/// Components of documents, numbered from the best; the best is the root.
#[derive(Default)]
struct Forest {
    ids: Vec<DocId>,
    parents: Vec<u32>,
    similarities: Vec<f64>,
}

impl Forest {
    fn grow(&mut self, number: usize, id: DocId) {
        if number == self.ids.len() {
            self.ids.push(id);
            self.parents.push(number as u32);
            self.similarities.push(0.0);
        }
    }

    fn root(&mut self, mut number: usize) -> usize {
        while self.parents[number] as usize != number {
            let above = self.parents[number] as usize;
            self.parents[number] = self.parents[above];
            number = self.parents[number] as usize;
        }
        number
    }

    /// The roots of two documents, where they are not the same.
    fn apart(&mut self, a: usize, b: usize) -> Option<[usize; 2]> {
        let (a, b) = (self.root(a), self.root(b));
        (a != b).then_some([a.min(b), a.max(b)])
    }

    fn join(&mut self, [better, worse]: [usize; 2], documents: [usize; 2], similarity: f64) {
        self.parents[worse] = better as u32;
        for document in documents {
            if self.similarities[document] == 0.0 {
                self.similarities[document] = similarity;
            }
        }
    }
}
