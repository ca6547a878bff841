//! Keeps one of the documents that say nearly the same.
//!
//! Similarity is the Jaccard index of the sets of word n-grams (`text::shingles`: runs of letters, numbers and `_` of the text in NFC and
//! lower case). Candidates are documents that share a band of their MinHash signature; a pair of similarity J is one with probability
//! 1 - (1 - J^rows)^bands, for the default 21 × 6: 0.92 at J = 0.7, 0.998 at 0.8, 1.000 at 0.9. FineWeb's 14 × 8 finds
//! 0.92 at 0.8. Every candidate is measured on the sets themselves, so more of them cost time, not documents.
//!
//! With `clusters = "cover"` documents are visited from the best to the worst by `keep`, and one goes only if a document that stays
//! is similar to it: its twin, the best such. With `"components"` the best of each connected component of the graph of similar pairs stays alone,
//! though some of what goes may be unlike it. The result depends on the set of documents alone, not on order, splits, threads or memory.
//!
//! In a bucket, which is all documents that share a band, those of the first 256 ranks that stay are compared with every other; further ones only by the
//! other buckets that they share. This bounds the work on text that thousands of otherwise different pages share.
//!
//! A document of fewer than `ngram` words is compared by all its words; one without words is kept.
//!
//! On disk, while sorted, a document takes `bands` times 36 bytes and the length of its rank's policy, and 4 bytes a
//! shingle. In memory it takes nothing; the house lends a fixed piece for what is compared with.
//!
//! A finished set can leave an `index` beside its dataset. A later build that names it in `against` drops what is a near-duplicate of a document
//! there, at the cost of reading the bands of the index once; nothing of the older set is worked on again.
//!
//! `dialect = "datatrove-0.10"` drops the documents that datatrove 0.10.1 drops from the same files with FineWeb's settings, 5 words and
//! 14 × 8: it measures nothing, and of the documents that pairs join it keeps one, also where others of them have none like them left. The
//! other keys have no part in it.
//!
//! ```text
//! "one two three four five six" and "One two three four five, six!"  → one goes as near_duplicate (1, limit 0.8)
//! ```

pub mod datatrove;
pub(super) mod document;
mod index;
pub(super) mod probe;

use self::document::{BAND_BYTES, Gathered, LEADS, LOOKS, push_set, write_seat};
use self::index::{Cursors, Elder, Index, NEW};
use self::probe::Probe;
use super::cluster::{Twin, components, cover};
use super::keep::{Keep, QUALITY, Ranker, doc_id, rank_id};
use super::signature::{Family, WORDS, bands, signature};
use crate::text::shingles::Shingler;
use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, SchemaRef};
use schemas::{
    Build, Config as _, DocId, FilePaths, Global, House, Judge, KeyError, Made, Note, Notes, Outcome, Push,
    Reason, Records, Settled, Sorted, Sorter, Spec, StageError, Verdict, choice, column, config,
};
use std::sync::Arc;

/// The document that stands for a group of near-duplicates: its own id where there is no other. Utf8.
const CLUSTER: &str = "cluster";
/// How many documents the kept one stands for, itself included. Int64.
const CLUSTER_SIZE: &str = "cluster_size";

/// Documents of one bucket that later ones of it are compared with, the best ones, as far as they stay.
const LEADERS_MAX: usize = 256;

choice! {
    /// Whose rules are meant.
    pub enum Dialect {
        /// The house's own.
        Ours = "gristmill",
        /// Those of datatrove 0.10.1.
        Datatrove = "datatrove-0.10",
    }
}

choice! {
    /// What near-duplicates of near-duplicates are.
    pub enum Clusters {
        /// A document goes only if one that stays is similar to it.
        Cover = "cover",
        /// One document stays of each connected component.
        Components = "components",
    }
}

config! {
    /// Settings of `dedup.minhash`.
    pub struct Config {
        /// Whose signatures and rule of what stays.
        dialect: Dialect = Dialect::Ours;
        /// Words of a shingle.
        ngram: u64 = 5, in 1..=50;
        /// Bands of the signature; `bands` × `rows` is at most 128.
        bands: u64 = 21, in 1..=128;
        /// Words of the signature in a band.
        rows: u64 = 6, in 1..=128;
        /// Hash functions of the signature.
        family: Family = Family::Mul32;
        /// Least similarity of duplicates.
        similarity_min: f64 = 0.8, in 0.0..=1.0;
        /// Which documents belong together.
        clusters: Clusters = Clusters::Cover;
        /// Which document stays.
        keep: Keep = Keep::Longest;
        /// Column of quality that `keep` may ask for: numbers, the highest is best.
        quality_column: String = QUALITY.into();
        /// Name of the index that is left beside the dataset for `against` of later ones, such as `minhash.index`. Empty: none.
        index: String = String::new();
        /// Indexes of earlier datasets, or the folders of these: what is a near-duplicate of a document there goes, with its id as the twin.
        against: FilePaths = FilePaths::default();
    }
}

/// Why `dedup.minhash` drops a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// A document that is kept is at least as similar as `similarity_min`.
    NearDuplicate,
    /// In the dialect of datatrove: another document of the cluster is kept.
    SameCluster,
}

impl Drop {
    const fn name(self) -> &'static str {
        match self {
            Self::NearDuplicate => "near_duplicate",
            Self::SameCluster => "same_cluster",
        }
    }
}

const REASONS: &[Reason] = &[
    Reason {
        name: Drop::NearDuplicate.name(),
        doc: "A document that is kept is similar to it by `similarity_min` or more.",
    },
    Reason {
        name: Drop::SameCluster.name(),
        doc: "datatrove-0.10: another of its cluster is kept; the value is the size of the cluster.",
    },
];

const BUILD: Build = |settings| {
    let config: Config = settings.parse()?;
    if config.dialect == Dialect::Datatrove {
        let without_part = settings.pairs().iter().filter(|(key, _)| key != "dialect");
        let errors: Vec<KeyError> = without_part.map(|(key, _)| datatrove::without_part(key)).collect();
        return if errors.is_empty() {
            Ok(Made::Global(Box::new(datatrove::Datatrove)))
        } else {
            Err(errors)
        };
    }
    if config.bands * config.rows > WORDS as u64 {
        let message = format!("{} bands of {} rows take more than {WORDS} words", config.bands, config.rows);
        return Err(vec![KeyError {
            key: "bands".into(),
            message,
            help: Some("lower `bands` or `rows`".into()),
        }]);
    }
    if !config.index.is_empty() && !index::is_name(&config.index) {
        let help = format!("write a plain name such as `minhash{}`", index::ENDING);
        return Err(vec![KeyError {
            key: "index".into(),
            message: format!("`{}` is not a name for an index", config.index),
            help: Some(help),
        }]);
    }
    let elders = index::open(&config, settings)?;
    Ok(Made::Global(Box::new(MinHash { config, elders })))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "dedup.minhash",
    version: 5,
    summary: "Keeps one of the documents that say nearly the same.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

/// The columns of the input, and those of clusters.
fn with_cluster(input: &SchemaRef) -> SchemaRef {
    let cluster = Field::new(CLUSTER, DataType::Utf8, false);
    let size = Field::new(CLUSTER_SIZE, DataType::Int64, false);
    column::with(input, [cluster, size])
}

struct MinHash {
    config: Config,
    /// What earlier datasets left.
    elders: Vec<Index>,
}

impl MinHash {
    fn keeps_index(&self) -> bool {
        !self.config.index.is_empty()
    }

    /// Hands a new document on by its rank, behind those of indexes, if it shares a bucket.
    fn push_ranked(&self, document: &mut Gathered, ranked: &mut dyn Sorter) -> Result<(), StageError> {
        match document.ranked() {
            Some((rank, value)) if self.elders.is_empty() => ranked.push(rank, value),
            Some((rank, value)) => ranked.push(&[&[NEW], rank].concat(), value),
            None => Ok(()),
        }
    }
}

impl Global for MinHash {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::TEXT, &DataType::Utf8)?;
        column::require(input, column::ID, &DataType::Utf8)?;
        self.config.keep.check(input, &self.config.quality_column)?;
        Ok(with_cluster(input))
    }

    /// A band of one document says something where an index may have it too.
    fn reads_lone_keys(&self) -> bool {
        !self.elders.is_empty()
    }

    fn judges_text(&self) -> bool {
        false
    }

    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<(), StageError> {
        let Config { ngram, bands: count, rows, family, keep, quality_column, .. } = &self.config;
        let texts = column::utf8(batch, column::TEXT)?;
        let ranker = Ranker::new(*keep, quality_column, batch)?;
        let mut shingler = Shingler::default();
        let (mut long, mut shingles, mut rank, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for row in (0..texts.len()).filter(|row| texts.is_valid(*row)) {
            shingler.shingles(texts.value(row), *ngram as usize, &mut long);
            if long.is_empty() {
                continue;
            }
            shingles.clear();
            shingles.extend(long.iter().map(|hash| (hash >> 32) as u32));
            rank.clear();
            ranker.write(row, &mut rank)?;
            push_set(&rank, &shingles, &mut bytes, out);
            let signature = signature(*family, &shingles);
            let bands = bands(&signature, *count as usize, *rows as usize);
            out.push_keys(bands.map(u64::to_be_bytes), &rank);
        }
        Ok(())
    }

    fn reduce(&self, sorted: &mut dyn Sorted, out: &mut dyn Push) -> Result<(), StageError> {
        let mut bucket = Bucket::new(&self.elders);
        while let Some(record) = sorted.next()? {
            bucket.take(record.key, record.value, out)?;
        }
        bucket.close(out)
    }

    fn settle(
        &self,
        reduced: &mut dyn Sorted,
        house: &dyn House,
        notes: &mut dyn Notes,
    ) -> Result<Settled, StageError> {
        let (mut ranked, mut sets) =
            (house.sorter()?, self.keeps_index().then(|| house.sorter()).transpose()?);
        let mut document = Gathered::new(self.keeps_index());
        let (mut value, mut probe) = (Vec::new(), Probe::default());
        loop {
            let record = reduced.next()?;
            if record.is_none_or(|record| !document.is_of(record.key)) {
                if let Some(elder) = Elder::of(document.id()) {
                    let rank = elder.ranked(&self.elders, document.seats(), &mut value)?;
                    ranked.push(&rank, &value)?;
                } else if !document.id().is_empty() {
                    if let Some(sets) = &mut sets {
                        probe.fill(document.shingles());
                        value.clear();
                        probe.distinct().iter().for_each(|hash| value.extend_from_slice(&hash.to_le_bytes()));
                        sets.push(document.id(), &value)?;
                    }
                    self.push_ranked(&mut document, ranked.as_mut())?;
                }
                document.start(record.map_or(&[], |record| record.key));
            }
            match record {
                Some(record) => document.take(record.value),
                None => break,
            }
        }
        // Sorted before anything else is, so that it waits on disk.
        let mut sets = sets.map(Sorter::sorted).transpose()?;
        let mut out = house.sorter()?;
        let goes = |worse: DocId, twin: Twin| {
            if sets.is_some() {
                out.push(&worse.to_bytes(), &[])?;
            }
            notes.note(worse, &gone(&twin))?;
            notes.note(twin.id, STAYS)
        };
        match self.config.clusters {
            Clusters::Cover => cover(ranked.sorted()?, house, self.config.similarity_min, goes)?,
            Clusters::Components => components(ranked.sorted()?, house, self.config.similarity_min, goes)?,
        }
        if let Some(sets) = &mut sets {
            index::write(&self.config, sets.as_mut(), out.sorted()?.as_mut(), house)?;
        }
        Ok(Settled::default())
    }

    fn judge(&self, _settled: &Settled) -> Result<Box<dyn Judge>, StageError> {
        Ok(Box::new(Kept { reason: Drop::NearDuplicate, limit: self.config.similarity_min }))
    }
}

/// The documents that share one band, met from the best to the worst.
struct Bucket<'a> {
    elders: Cursors<'a>,
    band: Vec<u8>,
    /// Rank of the last one, which is told of when it is known whether another follows.
    last: Vec<u8>,
    /// How many there are before it.
    before: usize,
    value: Vec<u8>,
}

impl<'a> Bucket<'a> {
    fn new(elders: &'a [Index]) -> Self {
        let (band, last, value) = (Vec::new(), Vec::new(), Vec::new());
        Self { elders: Cursors::new(elders), band, last, before: 0, value }
    }

    fn take(&mut self, band: &[u8], rank: &[u8], out: &mut dyn Push) -> Result<(), StageError> {
        debug_assert_eq!(band.len(), BAND_BYTES, "sets go past");
        if self.band != band {
            self.close(out)?;
            self.band.extend_from_slice(band);
            self.seat_elders(out)?;
        } else if self.last == rank {
            // A document that is read twice is its own twin: not a duplicate of another.
            return Ok(());
        } else {
            let leads = if self.before < LEADERS_MAX { LEADS } else { 0 };
            let looks = if self.before > 0 { LOOKS } else { 0 };
            self.tell(leads | looks, out)?;
            self.before += 1;
        }
        self.last.clear();
        self.last.extend_from_slice(rank);
        Ok(())
    }

    /// The documents of indexes that have the band lead in it.
    fn seat_elders(&mut self, out: &mut dyn Push) -> Result<(), StageError> {
        let Self { elders, band, before, value, .. } = self;
        write_seat(band, LEADS, value);
        elders.find(band, |elder| {
            if *before < LEADERS_MAX {
                *before += 1;
                out.push(elder.key(), value)?;
            }
            Ok(())
        })
    }

    /// Ends the bucket. Nothing is told of one with a single document.
    fn close(&mut self, out: &mut dyn Push) -> Result<(), StageError> {
        if self.before > 0 {
            self.tell(LOOKS, out)?;
        }
        self.before = 0;
        self.band.clear();
        self.last.clear();
        Ok(())
    }

    fn tell(&mut self, does: u8, out: &mut dyn Push) -> Result<(), StageError> {
        write_seat(&self.band, does, &mut self.value);
        out.push(&rank_id(&self.last), &self.value)
    }
}

/// What is noted of a document that stays, once for each that goes because of it.
const STAYS: &[u8] = &[1];

/// What is noted of a document that goes: a zero, the similarity, the twin. It sorts before [`STAYS`].
fn gone(twin: &Twin) -> Vec<u8> {
    [&[0], &twin.similarity.to_be_bytes()[..], &twin.id.to_bytes()].concat()
}

/// The twin in a note; `None` in that of a document that stays.
fn twin(note: &Note) -> Option<Twin> {
    let rest = note.value.strip_prefix(&[0])?;
    let (similarity, id) = rest.split_first_chunk().expect("settle wrote the similarity");
    Some(Twin { id: doc_id(id), similarity: f64::from_be_bytes(*similarity) })
}

/// Drops the documents that have a twin, and tells of the others how many they stand for.
struct Kept {
    reason: Drop,
    limit: f64,
}

impl Judge for Kept {
    fn judge(&self, batch: &RecordBatch, notes: &[Option<Note>]) -> Result<Outcome, StageError> {
        let ids = column::utf8(batch, column::ID)?;
        let mut verdicts = Vec::with_capacity(notes.len());
        let mut sizes = Vec::with_capacity(notes.len());
        for note in notes {
            verdicts.push(match note.as_ref().and_then(twin) {
                Some(Twin { id, similarity }) => Verdict::Dropped {
                    reason: self.reason.name(),
                    value: similarity,
                    limit: self.limit,
                    twin: Some(id),
                },
                None => Verdict::Kept,
            });
            sizes.push(1 + note.as_ref().map_or(0, |note| note.times as i64));
        }
        let cluster: ArrayRef = Arc::new(StringArray::from_iter_values(ids.iter().flatten()));
        let columns = vec![
            (CLUSTER.to_owned(), cluster),
            (CLUSTER_SIZE.to_owned(), Arc::new(Int64Array::from(sizes)) as _),
        ];
        Ok(Outcome { verdicts, columns, signals: Vec::new() })
    }
}

#[cfg(test)]
mod tests;
