//! `dialect = "datatrove-0.10"`: the MinHash of datatrove 0.10.1 with FineWeb's numbers, to the bit.
//!
//! - Words are the tokens of spaCy in the simplified text; a shingle is five of them, joined by spaces, as xxHash64. A text of fewer
//!   words has no signature and is always kept.
//! - Of 112 functions `(x·a + b mod 2^64) mod (2^61 - 1)` the least value over the shingles is taken. The `a`, then the `b`, are
//!   drawn from a Mersenne twister with seed 1.
//! - Eight values in a row are a bucket. The documents that agree in one stand in the order of file and row; each is paired with
//!   the one before it. Nothing is measured.
//! - Pairs are joined bucket by bucket, in the order of the values; of two groups the larger gives the root, of equal ones that of the
//!   earlier document of the pair. The root stays, whether it is the best or not.
//!
//! File and row are those of the column `source`; documents without one come first, in the order of their ids. While pairs are sorted each
//! document takes 14 records of about 120 bytes and the length of its file's name on disk; in memory it takes 24 bytes, and only if it
//! has a pair.

use super::{Drop, Kept, STAYS, gone};
use crate::dedup::cluster::Twin;
use crate::dedup::keep::{doc_id, id_bytes};
use crate::text::datatrove::Words;
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use schemas::{
    DocId, Global, House, Judge, KeyError, Notes, Push, Record, Records, Settled, Sorted, StageError, column,
};
use std::sync::LazyLock;

/// Words of a shingle.
const NGRAM: usize = 5;
/// Buckets of a signature.
pub const BUCKETS: usize = 14;
/// Values of a bucket.
pub const ROWS: usize = 8;
/// Values of a signature.
const VALUES: usize = BUCKETS * ROWS;
/// Seed of the functions.
const SEED: u32 = 1;
/// The prime that values are reduced by; its bits are all ones.
const PRIME: u64 = (1 << 61) - 1;

/// The least value of each function over the shingles of a text.
pub type Signature = [u64; VALUES];

/// The functions: every `a`, every `b`.
static FUNCTIONS: LazyLock<[Signature; 2]> = LazyLock::new(|| {
    let mut twister = Twister::new(SEED);
    [1, 0].map(|least| std::array::from_fn(|_| least + twister.at_most(PRIME - 1 - least)))
});

/// The signature of a text; `None` if it has fewer than five words.
pub fn signature(text: &str) -> Option<Signature> {
    let [a, b] = &*FUNCTIONS;
    let mut least = None;
    for x in Words::of(text).ngram_hashes(NGRAM) {
        let least = least.get_or_insert([PRIME; VALUES]);
        for ((least, a), b) in least.iter_mut().zip(a).zip(b) {
            *least = reduce(x.wrapping_mul(*a).wrapping_add(*b)).min(*least);
        }
    }
    least
}

/// The remainder by [`PRIME`].
fn reduce(value: u64) -> u64 {
    // 2^61 is 1 here, so the three highest bits count as ones.
    let folded = (value & PRIME) + (value >> 61);
    if folded >= PRIME { folded - PRIME } else { folded }
}

/// The buckets of a signature.
pub fn buckets(signature: &Signature) -> impl Iterator<Item = &[u64; ROWS]> {
    signature.as_chunks::<ROWS>().0.iter()
}

/// The root of each document by its place in the list, which is the order of files and rows; `None` for one that no other agrees with.
///
/// A document is kept if it has no root or is its own.
pub fn clusters(signatures: &[Option<Signature>]) -> Vec<Option<usize>> {
    let mut groups = Groups::default();
    groups.resize(signatures.len());
    let mut paired = vec![false; signatures.len()];
    for bucket in 0..BUCKETS {
        let values = |(at, signature): (usize, &Option<Signature>)| {
            Some((signature.as_ref()?.as_chunks::<ROWS>().0[bucket], at))
        };
        let mut order: Vec<([u64; ROWS], usize)> = signatures.iter().enumerate().filter_map(values).collect();
        order.sort_unstable();
        for pair in order.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
            let (before, this) = (pair[0].1, pair[1].1);
            (paired[before], paired[this]) = (true, true);
            groups.join(before as u32, this as u32);
        }
    }
    let root = |at: usize, groups: &mut Groups| groups.root(at as u32) as usize;
    (0..signatures.len()).map(|at| paired[at].then(|| root(at, &mut groups))).collect()
}

/// Groups that are joined: a forest with the size of each tree at its root.
#[derive(Default)]
struct Groups {
    parent: Vec<u32>,
    size: Vec<u32>,
}

impl Groups {
    /// Adds groups of one up to this many members.
    fn resize(&mut self, members: usize) {
        self.parent.extend(self.parent.len() as u32..members as u32);
        self.size.resize(members, 1);
    }

    fn root(&mut self, member: u32) -> u32 {
        let mut root = member;
        while self.parent[root as usize] != root {
            root = self.parent[root as usize];
        }
        let mut at = member;
        while at != root {
            at = std::mem::replace(&mut self.parent[at as usize], root);
        }
        root
    }

    /// Joins the groups of two members: the root of the larger one stays, of equal ones that of `a`.
    fn join(&mut self, a: u32, b: u32) {
        let (mut a, mut b) = (self.root(a), self.root(b));
        if a == b {
            return;
        }
        if self.size[a as usize] < self.size[b as usize] {
            (a, b) = (b, a);
        }
        self.parent[b as usize] = a;
        self.size[a as usize] += self.size[b as usize];
    }
}

/// What is said of a key that the dialect does not read.
pub(super) fn without_part(key: &str) -> KeyError {
    KeyError {
        key: key.to_owned(),
        message: "it has no part in the dialect `datatrove-0.10`".to_owned(),
        help: Some("remove it, or the dialect".to_owned()),
    }
}

/// The dialect at work.
pub(super) struct Datatrove;

/// Key of a record: bucket, its values. Value: place, id.
impl Global for Datatrove {
    fn output(&self, input: &SchemaRef) -> Result<SchemaRef, StageError> {
        column::require(input, column::TEXT, &DataType::Utf8)?;
        column::require(input, column::ID, &DataType::Utf8)?;
        Ok(super::with_cluster(input))
    }

    fn reads_lone_keys(&self) -> bool {
        false
    }

    fn judges_text(&self) -> bool {
        false
    }

    fn map(&self, batch: &RecordBatch, out: &mut Records) -> Result<(), StageError> {
        let (texts, ids) = (column::utf8(batch, column::TEXT)?, column::utf8(batch, column::ID)?);
        let sources =
            batch.column_by_name(column::SOURCE).map(|_| column::utf8(batch, column::SOURCE)).transpose()?;
        let (mut key, mut value) = (Vec::new(), Vec::new());
        for row in (0..texts.len()).filter(|row| texts.is_valid(*row)) {
            let Some(signature) = signature(texts.value(row)) else { continue };
            value.clear();
            let source = sources.filter(|sources| sources.is_valid(row)).map_or("", |all| all.value(row));
            write_place(source, &mut value);
            value.extend_from_slice(&id_bytes(ids, row)?);
            for (index, bucket) in buckets(&signature).enumerate() {
                key.clear();
                key.push(index as u8);
                bucket.iter().for_each(|value| key.extend_from_slice(&value.to_be_bytes()));
                out.push(&key, &value);
            }
        }
        Ok(())
    }

    /// Writes the pairs. Key: that of both and the place of the later one, which is the order in which pairs are joined. Value: the earlier.
    fn reduce(&self, sorted: &mut dyn Sorted, out: &mut dyn Push) -> Result<(), StageError> {
        let (mut key, mut before) = (Vec::new(), Vec::new());
        while let Some(record) = sorted.next()? {
            if key == record.key {
                out.push(&[record.key, record.value].concat(), &before)?;
            } else {
                record.key.clone_into(&mut key);
            }
            record.value.clone_into(&mut before);
        }
        Ok(())
    }

    fn settle(
        &self,
        reduced: &mut dyn Sorted,
        house: &dyn House,
        notes: &mut dyn Notes,
    ) -> Result<Settled, StageError> {
        // Sorted by place, the documents of the pairs get numbers; sorted back, the pairs are joined by number.
        let mut by_place = house.sorter()?;
        let mut order = 0_u64;
        while let Some(Record { key, value }) = reduced.next()? {
            by_place.push(value, &[&order.to_be_bytes()[..], &[0]].concat())?;
            by_place.push(&key[KEY_BYTES..], &[&order.to_be_bytes()[..], &[1]].concat())?;
            order += 1;
        }
        let mut by_order = house.sorter()?;
        let ids = number(by_place.sorted()?.as_mut(), by_order.as_mut())?;
        let mut groups = Groups::default();
        groups.resize(ids.len());
        join(by_order.sorted()?.as_mut(), &mut groups)?;
        for (at, id) in (0_u32..).zip(&ids) {
            let root = groups.root(at);
            if root != at {
                let kept = ids[root as usize];
                let size = f64::from(groups.size[root as usize]);
                notes.note(*id, &gone(&Twin { id: kept, similarity: size }))?;
                notes.note(kept, STAYS)?;
            }
        }
        Ok(Settled::default())
    }

    fn judge(&self, _settled: &Settled) -> Result<Box<dyn Judge>, StageError> {
        // One document of a cluster stays, so the size of the cluster is held against 1.
        Ok(Box::new(Kept { reason: Drop::SameCluster, limit: 1.0 }))
    }
}

/// Bytes of a key that `map` writes.
const KEY_BYTES: usize = 1 + ROWS * size_of::<u64>();

/// Numbers the documents in the order of their places: their ids. Key out: order of the pair and side. Value: number.
fn number(places: &mut dyn Sorted, out: &mut dyn Push) -> Result<Vec<DocId>, StageError> {
    let (mut ids, mut last) = (Vec::new(), Vec::new());
    while let Some(Record { key, value }) = places.next()? {
        if last != key {
            key.clone_into(&mut last);
            ids.push(doc_id(&key[key.len() - size_of::<u128>()..]));
        }
        let number = u32::try_from(ids.len() - 1).map_err(|_| {
            StageError::Invalid("more than 4,294,967,295 documents have a pair; split the source".to_owned())
        })?;
        out.push(value, &number.to_be_bytes())?;
    }
    Ok(ids)
}

fn join(sides: &mut dyn Sorted, groups: &mut Groups) -> Result<(), StageError> {
    let mut before = 0;
    while let Some(Record { key, value }) = sides.next()? {
        let number = u32::from_be_bytes(value.try_into().expect("a side holds the number of its document"));
        if key.ends_with(&[0]) {
            before = number;
        } else {
            groups.join(before, number);
        }
    }
    Ok(())
}

/// Writes a place `file:row`, or `file:row+row` of what lies in a gzip stream, so that it sorts by file, then by rows as numbers. A zero byte
/// ends a file's name; those in it are left out.
fn write_place(source: &str, out: &mut Vec<u8>) {
    let numbered = source.rsplit_once(':').and_then(|(file, row)| {
        let (row, inner) = row.split_once('+').unwrap_or((row, "0"));
        Some((file, row.parse::<u64>().ok()?, inner.parse::<u64>().ok()?))
    });
    let (file, row, inner) = numbered.unwrap_or((source, 0, 0));
    out.extend(file.bytes().filter(|byte| *byte != 0));
    out.push(0);
    out.extend_from_slice(&row.to_be_bytes());
    out.extend_from_slice(&inner.to_be_bytes());
}

/// The generator MT19937 (Matsumoto and Nishimura 1998), seeded as its `init_genrand` does.
struct Twister {
    state: [u32; Self::WORDS],
    next: usize,
}

impl Twister {
    const WORDS: usize = 624;
    const MIDDLE: usize = 397;

    fn new(seed: u32) -> Self {
        let mut state = [seed; Self::WORDS];
        for at in 1..Self::WORDS {
            let last = state[at - 1];
            state[at] = 1_812_433_253_u32.wrapping_mul(last ^ last >> 30).wrapping_add(at as u32);
        }
        Self { state, next: Self::WORDS }
    }

    fn twist(&mut self) {
        for at in 0..Self::WORDS {
            let word = self.state[at] & 1 << 31 | self.state[(at + 1) % Self::WORDS] & !(1 << 31);
            let odd = if word & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[at] = self.state[(at + Self::MIDDLE) % Self::WORDS] ^ word >> 1 ^ odd;
        }
        self.next = 0;
    }

    fn draw(&mut self) -> u32 {
        if self.next == Self::WORDS {
            self.twist();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= word << 7 & 0x9d2c_5680;
        word ^= word << 15 & 0xefc6_0000;
        word ^ word >> 18
    }

    /// A number from 0 to `most`: 64 bits, the first 32 drawn on top, cut to the length of `most` and drawn again while greater.
    fn at_most(&mut self, most: u64) -> u64 {
        let mask = u64::MAX >> most.leading_zeros();
        loop {
            let number = (u64::from(self.draw()) << 32 | u64::from(self.draw())) & mask;
            if number <= most {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::driver;
    use crate::dedup::minhash::SPEC;
    use arrow::array::{ArrayRef, StringArray};
    use schemas::Verdict;
    use sha2::{Digest as _, Sha256};
    use std::sync::Arc;

    fn sha(words: impl IntoIterator<Item = u64>) -> String {
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn functions_are_those_of_numpy() {
        let [a, b] = &*FUNCTIONS;
        assert_eq!(a[..3], [775_169_054_918_279_404, 1_758_426_461_858_698_313, 2_109_959_069_025_162]);
        assert_eq!(b[..3], [1_062_448_801_025_099_917, 1_324_811_268_927_594_100, 1_217_488_311_597_731_462]);
        assert_eq!((a[111], b[111]), (223_865_076_026_037_746, 1_097_409_548_522_419_201));
        assert_eq!(
            sha(a.iter().chain(b).copied()),
            "3b8ce0e5ff06d6950b72f62ef5ff619cfa984cd0c52ce62b94ae10ded4e80c8d"
        );
    }

    #[test]
    fn the_signature_of_a_sentence() {
        let text = "The quick brown fox jumps over the lazy dog, 42 times on Monday.";
        let signature = signature(text).unwrap();
        assert_eq!(signature[..2], [85_330_943_174_081_874, 184_339_147_761_722_157]);
        assert_eq!(sha(signature), "d9d4e15cf7453d79a3ed336a16fe7cc912e2cbb98959f12e1da4bd41a48b10b2");
        assert_eq!(super::signature("one two, three four!"), None);
        assert!(super::signature("one two three four five").is_some());
    }

    #[test]
    fn remainders() {
        for value in [0, 1, PRIME - 1, PRIME, PRIME + 1, 2 * PRIME, 7 * PRIME + 6, u64::MAX - 1, u64::MAX] {
            assert_eq!(reduce(value), value % PRIME, "{value}");
        }
    }

    /// A signature with a value of its own in each bucket but those that are given.
    fn made(own: u64, shared: &[(usize, u64)]) -> Option<Signature> {
        let mut signature = [own; VALUES];
        shared.iter().for_each(|(bucket, value)| signature[bucket * ROWS..][..ROWS].fill(*value));
        Some(signature)
    }

    #[test]
    fn the_larger_group_gives_the_root_and_the_earlier_pair_among_equals() {
        let check = |signatures: &[Option<Signature>], expected: &[Option<usize>]| {
            assert_eq!(clusters(signatures), expected);
        };
        check(&[], &[]);
        check(&[made(10, &[]), None, made(11, &[])], &[None, None, None]);
        check(&[made(10, &[(0, 5)]), None, made(11, &[(0, 5)])], &[Some(0), None, Some(0)]);
        // 1 and 2 are joined first and outweigh 0.
        let three = [made(10, &[(3, 5)]), made(11, &[(1, 6)]), made(12, &[(1, 6), (3, 5)])];
        check(&three, &[Some(1), Some(1), Some(1)]);
        // Two pairs of one bucket, joined later through their second members: the pair of the earlier document wins.
        let four = [
            made(10, &[(0, 9)]),
            made(11, &[(0, 2), (1, 7)]),
            made(12, &[(0, 9), (1, 7)]),
            made(13, &[(0, 2)]),
        ];
        check(&four, &[Some(1), Some(1), Some(1), Some(1)]);
    }

    #[test]
    fn places_sort_as_files_and_numbers() {
        let place = |source: &str| {
            let mut out = Vec::new();
            write_place(source, &mut out);
            out
        };
        let order = ["", "a", "a:9", "a:10", "a:10+3", "a:10+20", "a-b:1", "b:x"];
        assert!(order.windows(2).all(|pair| place(pair[0]) < place(pair[1])));
    }

    fn batch(rows: &[(&str, &str, &str)]) -> RecordBatch {
        let column = |pick: fn(&(&str, &str, &str)) -> String| {
            Arc::new(StringArray::from_iter_values(rows.iter().map(pick))) as ArrayRef
        };
        RecordBatch::try_from_iter([
            (column::ID, column(|row| driver::id(row.0))),
            (column::SOURCE, column(|row| row.1.to_owned())),
            (column::TEXT, column(|row| row.2.to_owned())),
        ])
        .unwrap()
    }

    #[test]
    fn the_order_of_files_and_rows_decides_and_not_that_of_batches() {
        let text = "one two three four five six";
        let rows = [("x", "a:10", text), ("y", "a:9", text), ("z", "b:1", text), ("w", "b:2", "one two")];
        let set = [("dialect", schemas::Value::from("datatrove-0.10"))];
        for partitions in [1, 4] {
            let batches = [batch(&rows[2..]), batch(&rows[..2])];
            let outcomes = driver::run(driver::build(&SPEC, &set).as_ref(), &batches, partitions).unwrap();
            let gone = |outcome: usize, row: usize| match &outcomes[outcome].verdicts[row] {
                Verdict::Dropped { reason, value, limit, twin } => {
                    Some((*reason, *value, *limit, twin.unwrap().to_string()))
                }
                _ => None,
            };
            let dropped = Some(("same_cluster", 3.0, 1.0, driver::id("y")));
            assert_eq!(
                [gone(0, 0), gone(0, 1), gone(1, 0), gone(1, 1)],
                [dropped.clone(), None, dropped, None]
            );
        }
    }
}
