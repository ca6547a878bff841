//! Keeps one of the documents that say nearly the same.
//!
//! Similarity is the Jaccard index of the sets of word n-grams (lower-cased, without accents, digits as 0; a Han or Thai character is a word). Candidates
//! are documents that share a band of their MinHash signature; a pair of similarity J is one with probability
//! 1 - (1 - J^rows)^bands, for the default 21 × 6: 0.92 at J = 0.7, 0.998 at 0.8, 1.000 at 0.9. FineWeb's 14 × 8 finds
//! 0.92 at 0.8; as each candidate is measured, more of them cost time, not documents. A pair is measured by a sketch
//! of 256 bytes and counts from `similarity_min` on. Documents are then visited from the best
//! to the worst by `keep`, and one goes only if a document that stays is similar to it: its twin. The result depends on
//! the set of documents alone, not on order, splits or threads.
//!
//! A document of fewer than `ngram` words is compared by all its words; one without words is kept.
//!
//! Each document takes (350 + its place in the source) × `bands` bytes on disk while sorted; in memory it takes one bit,
//! and only if another is similar to it.
//!
//! `dialect = "datatrove-0.10"` drops the documents that datatrove 0.10.1 drops from the same files with FineWeb's settings, 5 words and
//! 14 × 8: it measures nothing, and of the documents that pairs join it keeps one, also where others of them have none like them left. The
//! other keys have no part in it.
//!
//! ```text
//! "one two three four five six" and "One two three four five, six!"  → one goes as near_duplicate (1, limit 0.8)
//! ```

pub mod datatrove;

use super::cluster::{Twin, cover};
use super::keep::{Keep, Ranker, doc_id, rank_id, split_rank};
use super::signature::{SKETCH_BYTES, WORDS, bands, signature, similarity, sketch};
use crate::text::shingles::shingles;
use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, SchemaRef};
use schemas::{
    Build, Config as _, Global, House, Judge, KeyError, Made, Note, Notes, Outcome, Push, Reason, Records,
    Settled, Sorted, Spec, StageError, Verdict, choice, column, config,
};
use std::sync::Arc;

/// The document that stands for a group of near-duplicates: its own id where there is no other. Utf8.
const CLUSTER: &str = "cluster";
/// How many documents the kept one stands for, itself included. Int64.
const CLUSTER_SIZE: &str = "cluster_size";

/// Most documents of one bucket that later ones of it are compared with, the best ones; equal ones count once.
///
/// It bounds the work on text that thousands of otherwise different pages share.
const LEADERS_MAX: usize = 256;
/// Similar documents of a bucket before one, after which it leads no others.
///
/// It bounds the pairs of a large group: each document of it is paired with the best few, not with all.
const SIMILAR_MAX: usize = 8;

choice! {
    /// Whose rules are meant.
    pub enum Dialect {
        /// The house's own.
        Ours = "gristmill",
        /// Those of datatrove 0.10.1.
        Datatrove = "datatrove-0.10",
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
        /// Least similarity of duplicates.
        similarity_min: f64 = 0.8, in 0.0..=1.0;
        /// Which document stays.
        keep: Keep = Keep::Longest;
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
    Ok(Made::Global(Box::new(MinHash(config))))
};

/// The registry line.
pub const SPEC: Spec = Spec {
    kind: "dedup.minhash",
    version: 3,
    summary: "Keeps one of the documents that say nearly the same.",
    keys: Config::KEYS,
    reasons: REASONS,
    build: BUILD,
};

fn columns(input: &SchemaRef) -> Result<SchemaRef, StageError> {
    column::require(input, column::ID, &DataType::Utf8)?;
    let cluster = Field::new(CLUSTER, DataType::Utf8, false);
    let size = Field::new(CLUSTER_SIZE, DataType::Int64, false);
    Ok(column::with(input, [cluster, size]))
}

struct MinHash(Config);

/// Key of a record: band index and band hash. Value: rank, 16 bits of every band hash, sketch.
impl Global for MinHash {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::TEXT, &DataType::Utf8)?;
        columns(input)
    }

    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<(), StageError> {
        let texts = column::utf8(batch, column::TEXT)?;
        let ranker = Ranker::new(self.0.keep, batch)?;
        let (count, rows) = (self.0.bands as usize, self.0.rows as usize);
        let (mut hashes, mut value) = (Vec::new(), Vec::new());
        for row in (0..texts.len()).filter(|row| texts.is_valid(*row)) {
            shingles(texts.value(row), self.0.ngram as usize, &mut hashes);
            if hashes.is_empty() {
                continue;
            }
            let signature = signature(&hashes);
            value.clear();
            ranker.write(row, &mut value)?;
            bands(&signature, count, rows).for_each(|band| value.extend_from_slice(&tag(band)));
            value.extend_from_slice(&sketch(&hashes));
            for (index, band) in bands(&signature, count, rows).enumerate() {
                let mut key = [index as u8; 9];
                key[1..].copy_from_slice(&band.to_be_bytes());
                out.push(&key, &value);
            }
        }
        Ok(())
    }

    fn reduce(&self, sorted: &mut dyn Sorted, out: &mut dyn Push) -> Result<(), StageError> {
        let mut bucket = Bucket { limit: self.0.similarity_min, key: Vec::new(), leaders: Vec::new() };
        while let Some(record) = sorted.next()? {
            if bucket.key != record.key {
                bucket.key = record.key.to_vec();
                bucket.leaders.clear();
            }
            bucket.take(record.value, out)?;
        }
        Ok(())
    }

    fn settle(
        &self,
        reduced: &mut dyn Sorted,
        house: &dyn House,
        notes: &mut dyn Notes,
    ) -> Result<Settled, StageError> {
        cover(reduced, house, |worse, twin| {
            notes.note(worse, &gone(&twin))?;
            notes.note(twin.id, STAYS)
        })?;
        Ok(Settled::default())
    }

    fn judge(&self, _settled: &Settled) -> Result<Box<dyn Judge>, StageError> {
        Ok(Box::new(Clusters { reason: Drop::NearDuplicate, limit: self.0.similarity_min }))
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
    Some(Twin { id: doc_id(id), similarity: f32::from_be_bytes(*similarity) })
}

/// The 16 bits by which two documents know whether they share every band.
fn tag(band: u64) -> [u8; 2] {
    (band as u16).to_le_bytes()
}

/// The documents that share one band, met from the best to the worst.
struct Bucket {
    limit: f64,
    key: Vec<u8>,
    leaders: Vec<Vec<u8>>,
}

impl Bucket {
    /// Writes the similar pairs of a document and those before it. Key: worse rank. Value: similarity, better rank.
    ///
    /// A pair that shares several bands is written in each bucket where the better one leads: whether it led in
    /// another is not known here.
    fn take(&mut self, value: &[u8], out: &mut dyn Push) -> Result<(), StageError> {
        let (rank, content) = split_rank(value);
        let sketch = &content[content.len() - SKETCH_BYTES..];
        let (mut is_new, mut similar) = (true, 0);
        for leader in &self.leaders {
            let (better, leader_content) = split_rank(leader);
            // What is equal in every band and bin has the same similar documents, so one of them can lead.
            is_new &= leader_content != content;
            if rank_id(better) == rank_id(rank) {
                continue;
            }
            let found = similarity(sketch, &leader_content[leader_content.len() - SKETCH_BYTES..]);
            if found >= self.limit {
                similar += 1;
                out.push(rank, &[&(found as f32).to_be_bytes(), better].concat())?;
            }
        }
        if is_new && similar < SIMILAR_MAX && self.leaders.len() < LEADERS_MAX {
            self.leaders.push(value.to_vec());
        }
        Ok(())
    }
}

/// Drops the documents that have a twin, and tells of the others how many they stand for.
struct Clusters {
    reason: Drop,
    limit: f64,
}

impl Judge for Clusters {
    fn judge(&self, batch: &RecordBatch, notes: &[Option<Note>]) -> Result<Outcome, StageError> {
        let ids = column::utf8(batch, column::ID)?;
        let mut verdicts = Vec::with_capacity(notes.len());
        let mut sizes = Vec::with_capacity(notes.len());
        for note in notes {
            verdicts.push(match note.as_ref().and_then(twin) {
                Some(Twin { id, similarity }) => Verdict::Dropped {
                    reason: self.reason.name(),
                    value: f64::from(similarity),
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
mod tests {
    use super::*;
    use crate::dedup::driver::{self, batch, build, id};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn check(rows: &[(&str, &str)], expected: &str) {
        assert_eq!(driver::check(&SPEC, &[], column::TEXT, rows), expected);
    }

    fn words(from: usize, to: usize) -> String {
        (from..to)
            .map(|n| format!("w{}", char::from(b'a' + (n % 26) as u8).to_string().repeat(1 + n / 26)))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn form_does_not_count_and_short_texts_are_compared_whole() {
        check(
            &[
                ("a", "one two three four five six"),
                ("b", "One two three four five, six!"),
                ("c", "one two"),
                ("d", "two one"),
                ("e", ""),
            ],
            "a near_duplicate 1 of 0.8 (b), b kept, c kept, d kept, e kept",
        );
        check(&[("a", "one two"), ("b", "One-two")], "a kept, b near_duplicate 1 of 0.8 (a)");
        check(&[("a", "..."), ("b", "...")], "a kept, b kept");
    }

    #[test]
    fn half_of_a_text_is_not_a_duplicate() {
        let (whole, most, half) = (words(0, 200), words(0, 196), words(0, 100));
        let found = driver::check(&SPEC, &[], column::TEXT, &[("a", &half), ("b", &most), ("c", &whole)]);
        assert!(
            found.starts_with("a kept, b near_duplicate 0.9") && found.ends_with("(c), c kept"),
            "{found}"
        );
    }

    #[test]
    fn a_kept_document_tells_how_many_it_stands_for() {
        let input =
            batch(column::TEXT, &[("a", "one two"), ("b", "other"), ("c", "one two"), ("c", "one two")]);
        let global = build(&SPEC, &[]);
        let outcome = &driver::run(global.as_ref(), std::slice::from_ref(&input), 2).unwrap()[0];
        let kept = outcome.select(&input, &global.output(&input.schema()).unwrap()).unwrap();
        let sizes: &Int64Array = kept.column_by_name(CLUSTER_SIZE).unwrap().as_any().downcast_ref().unwrap();
        assert_eq!(sizes.values(), &[2, 1]);
        assert_eq!(column::utf8(&kept, CLUSTER).unwrap().value(0), id("a"));
    }

    /// The value of a record as `map` writes it.
    fn value(number: u64, tags: [u16; 2], shingles: &[u64]) -> Vec<u8> {
        let mut value = [&number.to_be_bytes()[..], &[0], &u128::from(number).to_be_bytes()].concat();
        tags.iter().for_each(|tag| value.extend_from_slice(&tag.to_le_bytes()));
        value.extend_from_slice(&sketch(shingles));
        value
    }

    #[test]
    fn a_pair_that_a_full_bucket_did_not_compare_is_compared_in_the_next() {
        let many = LEADERS_MAX as u64;
        let shingles = |n: u64| (0..50).map(|k| schemas::hash::Rng::new(n).at(k)).collect::<Vec<_>>();
        let (p, q) = (value(many, [7, 8], &shingles(many)), value(many + 1, [7, 8], &shingles(many)));
        let pairs = |band: u8, values: &[Vec<u8>]| {
            let mut bucket = Bucket { limit: 0.8, key: vec![band; 9], leaders: Vec::new() };
            let mut out = Records::default();
            values.iter().for_each(|value| bucket.take(value, &mut out).unwrap());
            out.len()
        };
        let mut crowd: Vec<_> = (0..many).map(|n| value(n, [7, n as u16], &shingles(n))).collect();
        crowd.extend([p.clone(), q.clone()]);
        assert_eq!(pairs(0, &crowd), 0);
        assert_eq!(pairs(1, &[p, q]), 1);
    }

    #[test]
    fn too_many_words_are_a_mistake_of_the_recipe() {
        let set = |key: &str, value: i64| (key.to_owned(), schemas::Value::from(value));
        let settings = schemas::Settings::new(vec![set("bands", 20), set("rows", 7)]);
        let errors = (SPEC.build)(&settings).err().unwrap();
        assert_eq!(
            errors[0].to_string(),
            "`bands`: 20 bands of 7 rows take more than 128 words; lower `bands` or `rows`"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn order_batches_and_partitions_do_not_matter(
            cuts in prop::collection::vec((0_usize..12, 40_usize..60), 2..24),
            seed in 0_u64..1000,
            size in 1_usize..9,
        ) {
            let rows: Vec<(String, String)> =
                cuts.iter().enumerate().map(|(n, (from, to))| (format!("d{n:02}"), words(*from, *to))).collect();
            let run = |rows: &[(String, String)], size: usize, partitions: usize| {
                let parts: Vec<RecordBatch> = rows.chunks(size).map(|part| {
                    let part: Vec<(&str, &str)> = part.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
                    batch(column::TEXT, &part)
                }).collect();
                let outcomes = driver::run(build(&SPEC, &[]).as_ref(), &parts, partitions).unwrap();
                let verdicts = outcomes.into_iter().flat_map(|o| o.verdicts);
                rows.iter().map(|(name, _)| name.clone()).zip(verdicts).collect::<BTreeMap<_, _>>()
            };
            let expected = run(&rows, rows.len(), 1);
            for verdict in expected.values() {
                if let Verdict::Dropped { twin: Some(twin), .. } = verdict {
                    let kept = expected.iter().find(|(name, _)| id(name) == twin.to_string()).unwrap().1;
                    prop_assert_eq!(kept, &Verdict::Kept);
                }
            }
            let mut shuffled = rows.clone();
            shuffled.sort_by_key(|(name, _)| schemas::hash::seed(seed, name, 0));
            prop_assert_eq!(run(&shuffled, size, 4), expected);
        }
    }
}
