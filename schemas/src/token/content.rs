//! What the footer of a token shard tells of its rows: how many, their tokens, and a hash of the ids. Whoever writes rows of a shard
//! tells it by this.

use arrow::array::{Array, AsArray as _, ListArray, RecordBatch};
use arrow::datatypes::Int32Type;
use xxhash_rust::xxh3::Xxh3;

/// Keys of the footer that tell of rows.
const KEYS: [&str; 3] = ["gristmill.rows", "gristmill.tokens", "gristmill.content_xxh3_128"];

/// Counts and hashes the rows of a shard.
///
/// The hash is xxh3-128 over the rows in order, of each the number of its ids (`u32`) and the ids (`i32`), little-endian: it does
/// not depend on encoding, compression or cut into row groups.
#[derive(Default)]
pub struct Content {
    hash: Xxh3,
    rows: u64,
    ids: u64,
    pads: u64,
}

impl Content {
    /// Ids so far, padding included.
    pub fn ids(&self) -> u64 {
        self.ids
    }

    /// Takes rows that have `input_ids`; others count nothing.
    pub fn add(&mut self, batch: &RecordBatch) {
        let lists = batch.column_by_name(super::INPUT_IDS).and_then(|lists| lists.as_list_opt::<i32>());
        let Some(lists) = lists else { return };
        self.rows += lists.len() as u64;
        self.add_ids(lists);
        let pads = batch.column_by_name(super::PAD).and_then(|pads| pads.as_primitive_opt::<Int32Type>());
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

    /// Whether a key of a footer tells of rows, and so is one of [`Content::pairs`].
    pub fn tells(key: &str) -> bool {
        KEYS.contains(&key)
    }

    /// What is written into the footer: keys and values.
    pub fn pairs(&self) -> [(&'static str, String); 3] {
        let [rows, tokens, hash] = KEYS;
        [
            (rows, self.rows.to_string()),
            (tokens, (self.ids - self.pads.min(self.ids)).to_string()),
            (hash, format!("{:032x}", self.hash.digest128())),
        ]
    }
}
