//! Rows of token shards on their way into a batch.

use super::window::Packed;
use arrow::array::{ArrayRef, BooleanArray, Int32Array, ListArray, RecordBatch, StringArray, StringBuilder};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, SchemaRef};
use schemas::{Emit, StageError, token};
use std::sync::Arc;

/// Most tokens in one batch of rows.
const BATCH_TOKENS_MAX: usize = 1 << 20;

/// Collects rows and hands them on as batches of a schema.
pub(super) struct Rows<'a> {
    schema: SchemaRef,
    /// Tokens that a row is padded to; 0 leaves rows as they are.
    length: usize,
    emit: &'a mut Emit<'a>,
    /// Tokens of each row, and pieces of each row.
    sizes: [Vec<usize>; 2],
    input_ids: Vec<i32>,
    mask: Vec<bool>,
    lens: Vec<i32>,
    ids: StringBuilder,
    offsets: Vec<i32>,
    sources: Vec<&'a str>,
    pads: Vec<i32>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(schema: SchemaRef, length: usize, emit: &'a mut Emit<'a>) -> Self {
        Self {
            schema,
            length,
            emit,
            sizes: Default::default(),
            input_ids: Vec::new(),
            mask: Vec::new(),
            lens: Vec::new(),
            ids: StringBuilder::new(),
            offsets: Vec::new(),
            sources: Vec::new(),
            pads: Vec::new(),
        }
    }

    /// Adds a row, whose documents are of `source` where the rows tell one.
    pub(super) fn push(&mut self, packed: &Packed, row: usize, source: &'a str) -> Result<(), StageError> {
        if self.input_ids.capacity() == 0 {
            self.input_ids.reserve(BATCH_TOKENS_MAX + self.length);
        }
        let (start, pieces) = (self.input_ids.len(), self.lens.len());
        let masked = self.schema.column_with_name(token::LOSS_MASK).is_some();
        for laid in packed.row(row) {
            self.input_ids.extend_from_slice(laid.tokens);
            if masked {
                self.mask.extend(laid.mask.iter().map(|&learned| learned != 0));
                self.mask.resize(self.input_ids.len(), false);
            }
            self.lens.push(laid.tokens.len() as i32);
            self.ids.append_value(laid.document);
            self.offsets.push(laid.offset as i32);
        }
        let used = self.input_ids.len() - start;
        let length = if self.length == 0 { used } else { self.length };
        self.input_ids.resize(start + length, 0);
        self.mask.resize(if masked { start + length } else { 0 }, false);
        self.pads.push((length - used) as i32);
        self.sources.push(source);
        self.sizes[0].push(length);
        self.sizes[1].push(self.lens.len() - pieces);
        if self.input_ids.len() + length > BATCH_TOKENS_MAX { self.flush() } else { Ok(()) }
    }

    /// Hands on what is held.
    pub(super) fn flush(&mut self) -> Result<(), StageError> {
        if self.pads.is_empty() {
            return Ok(());
        }
        let numbers =
            |values: &mut Vec<i32>| -> ArrayRef { Arc::new(Int32Array::from(std::mem::take(values))) };
        let [lengths, pieces] = std::mem::take(&mut self.sizes);
        let mut columns: Vec<ArrayRef> = Vec::new();
        for field in self.schema.fields() {
            columns.push(match field.name().as_str() {
                token::INPUT_IDS => list(&lengths, numbers(&mut self.input_ids))?,
                token::LOSS_MASK => {
                    list(&lengths, Arc::new(BooleanArray::from(std::mem::take(&mut self.mask))))?
                }
                token::DOC_LENS => list(&pieces, numbers(&mut self.lens))?,
                token::DOC_IDS => list(&pieces, Arc::new(self.ids.finish()))?,
                token::DOC_OFFSETS => list(&pieces, numbers(&mut self.offsets))?,
                token::SOURCE => Arc::new(StringArray::from(std::mem::take(&mut self.sources))),
                _ => numbers(&mut self.pads),
            });
        }
        self.sources.clear();
        (self.emit)(RecordBatch::try_new(self.schema.clone(), columns)?)
    }
}

fn list(lengths: &[usize], values: ArrayRef) -> Result<ArrayRef, StageError> {
    let item = Arc::new(Field::new("item", values.data_type().clone(), false));
    let offsets = OffsetBuffer::from_lengths(lengths.iter().copied());
    Ok(Arc::new(ListArray::try_new(item, offsets, values, None)?))
}
