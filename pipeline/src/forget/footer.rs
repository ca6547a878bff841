//! What the footer of a token shard tells of its rows, made anew when rows go: how many, their tokens, a hash of the ids.
//!
//! A shard that tells nothing of it tells nothing afterwards. The hash is that of the sink: xxh3-128 over the rows in order, of
//! each the number of its ids (u32) and the ids (i32), in little endian.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use parquet::file::metadata::KeyValue;
use schemas::token;
use xxhash_rust::xxh3::Xxh3;

const ROWS: &str = "gristmill.rows";
const TOKENS: &str = "gristmill.tokens";
const CONTENT: &str = "gristmill.content_xxh3_128";

/// Whether a key-value tells of rows, and so is made anew.
pub(super) fn is_ours(key: &str) -> bool {
    [ROWS, TOKENS, CONTENT].contains(&key)
}

/// Counts and hashes the rows of a shard.
#[derive(Default)]
pub(super) struct Content {
    hash: Xxh3,
    rows: u64,
    ids: u64,
    pads: u64,
}

impl Content {
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        let lists = batch.column_by_name(token::INPUT_IDS).and_then(|lists| lists.as_list_opt::<i32>());
        let Some(lists) = lists else { return };
        let Some(ids) = lists.values().as_primitive_opt::<Int32Type>() else { return };
        let mut bytes = Vec::new();
        for ends in lists.value_offsets().windows(2) {
            let ids = &ids.values()[ends[0] as usize..ends[1] as usize];
            bytes.clear();
            bytes.extend((ids.len() as u32).to_le_bytes());
            bytes.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
            self.hash.update(&bytes);
            self.ids += ids.len() as u64;
        }
        self.rows += lists.len() as u64;
        let pads = batch.column_by_name(token::PAD).and_then(|pads| pads.as_primitive_opt::<Int32Type>());
        let pads = pads.into_iter().flat_map(|pads| pads.values().iter());
        self.pads += pads.map(|&pad| u64::from(pad.unsigned_abs())).sum::<u64>();
    }

    /// The value of a key that is made anew.
    pub(super) fn pair(&self, key: &str) -> KeyValue {
        let value = match key {
            ROWS => self.rows.to_string(),
            TOKENS => (self.ids - self.pads.min(self.ids)).to_string(),
            _ => format!("{:032x}", self.hash.digest128()),
        };
        KeyValue::new(key.to_owned(), value)
    }
}
