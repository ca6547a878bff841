//! Token shards: one row, one training sequence (or one document, where the shards are laid out so).

mod content;

pub use content::Content;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// Raised when the columns of token shards change; every shard tells its own in the footer.
pub const VERSION: u32 = 1;

/// Token ids: `List<Int32>`, exactly the sequence length.
pub const INPUT_IDS: &str = "input_ids";
/// Which tokens are learned: `List<Boolean>`, as long as [`INPUT_IDS`]. Documents have it beside their tokens, and shards
/// where the documents have it; padding is false.
pub const LOSS_MASK: &str = "loss_mask";
/// Tokens of each piece: `List<Int32>`, sums to the sequence length less `pad`.
pub const DOC_LENS: &str = "doc_lens";
/// Document of each piece: `List<Utf8>`.
pub const DOC_IDS: &str = "doc_ids";
/// Where each piece starts in the tokens of its document: `List<Int32>`.
pub const DOC_OFFSETS: &str = "doc_offsets";
/// Source of a mix that all documents of the row are from: Utf8. Only in mixed shards.
pub const SOURCE: &str = "source";
/// Padding tokens at the end of the row: Int32.
pub const PAD: &str = "pad";

/// The columns of a token shard. The trainer shifts labels itself and masks padding by [`PAD`].
pub fn schema() -> SchemaRef {
    schema_with(false, false)
}

/// The columns of a token shard, with [`LOSS_MASK`] and [`SOURCE`] where it has them.
pub fn schema_with(loss_mask: bool, source: bool) -> SchemaRef {
    let list = |name, of| Field::new(name, DataType::List(Arc::new(Field::new("item", of, false))), false);
    let mut fields = vec![list(INPUT_IDS, DataType::Int32)];
    fields.extend(loss_mask.then(|| list(LOSS_MASK, DataType::Boolean)));
    fields.extend([
        list(DOC_LENS, DataType::Int32),
        list(DOC_IDS, DataType::Utf8),
        list(DOC_OFFSETS, DataType::Int32),
    ]);
    fields.extend(source.then(|| Field::new(SOURCE, DataType::Utf8, false)));
    fields.push(Field::new(PAD, DataType::Int32, false));
    Arc::new(Schema::new(fields))
}
