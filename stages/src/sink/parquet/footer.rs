//! What the footer of a token shard tells of its rows: how many, their tokens, and a hash of the ids.

use arrow::array::{Array, AsArray as _, ListArray, RecordBatch};
use arrow::datatypes::Int32Type;
use parquet::file::metadata::KeyValue;
use schemas::token;
use xxhash_rust::xxh3::Xxh3;

/// Counts and hashes the rows of a shard.
///
/// The hash is xxh3-128 over the rows in order, of each the number of its ids (`u32`) and the ids (`i32`), little-endian: it does
/// not depend on encoding, compression or cut into row groups.
#[derive(Default)]
pub(super) struct Content {
    hash: Xxh3,
    rows: u64,
    ids: u64,
    pads: u64,
}

impl Content {
    /// Ids so far, padding included.
    pub(super) fn ids(&self) -> u64 {
        self.ids
    }

    /// Takes rows that have `input_ids`; others count nothing.
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        let lists = batch.column_by_name(token::INPUT_IDS).and_then(|lists| lists.as_list_opt::<i32>());
        let Some(lists) = lists else { return };
        self.rows += lists.len() as u64;
        self.add_ids(lists);
        let pads = batch.column_by_name(token::PAD).and_then(|pads| pads.as_primitive_opt::<Int32Type>());
        let pads = pads.into_iter().flat_map(|pads| pads.values().iter());
        self.pads += pads.map(|&pad| u64::from(pad.unsigned_abs())).sum::<u64>();
    }

    fn add_ids(&mut self, lists: &ListArray) {
        let Some(ids) = lists.values().as_primitive_opt::<Int32Type>() else { return };
        for ends in lists.value_offsets().windows(2) {
            let ids = &ids.values()[ends[0] as usize..ends[1] as usize];
            self.ids += ids.len() as u64;
            self.hash.update(&(ids.len() as u32).to_le_bytes());
            for some in ids.chunks(256) {
                let mut bytes = [[0; 4]; 256];
                bytes.iter_mut().zip(some).for_each(|(bytes, id)| *bytes = id.to_le_bytes());
                self.hash.update(bytes[..some.len()].as_flattened());
            }
        }
    }

    /// What is written into the footer.
    pub(super) fn pairs(&self) -> [KeyValue; 3] {
        let pair = |key: &str, value: String| KeyValue::new(format!("gristmill.{key}"), value);
        [
            pair("rows", self.rows.to_string()),
            pair("tokens", (self.ids - self.pads.min(self.ids)).to_string()),
            pair("content_xxh3_128", format!("{:032x}", self.hash.digest128())),
        ]
    }
}
