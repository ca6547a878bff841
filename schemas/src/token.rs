//! Token shards: one row, one training sequence.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

/// Token ids: `List<Int32>`, exactly the sequence length.
pub const INPUT_IDS: &str = "input_ids";
/// Tokens of each piece: `List<Int32>`, sums to the sequence length less `pad`.
pub const DOC_LENS: &str = "doc_lens";
/// Document of each piece: `List<Utf8>`.
pub const DOC_IDS: &str = "doc_ids";
/// Where each piece starts in the tokens of its document: `List<Int32>`.
pub const DOC_OFFSETS: &str = "doc_offsets";
/// Padding tokens at the end of the row: Int32.
pub const PAD: &str = "pad";

/// The columns of a token shard. The trainer shifts labels itself and masks padding by [`PAD`].
pub fn schema() -> SchemaRef {
    let list = |name, of| Field::new(name, DataType::List(Arc::new(Field::new("item", of, false))), false);
    Arc::new(Schema::new(vec![
        list(INPUT_IDS, DataType::Int32),
        list(DOC_LENS, DataType::Int32),
        list(DOC_IDS, DataType::Utf8),
        list(DOC_OFFSETS, DataType::Int32),
        Field::new(PAD, DataType::Int32, false),
    ]))
}
