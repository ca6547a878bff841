//! A row of a token shard in words: its pieces, the document of each, and the text of each token.

use super::{Dataset, InspectError, Table, Vocabulary, find};
use schemas::{column, token};
use serde::Serialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// A training sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenRow {
    /// Number of the row.
    pub row: u64,
    /// The pieces of documents in it, in order.
    pub pieces: Vec<TokenView>,
    /// Padding tokens at its end.
    pub pad: u64,
}

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TokenView {
    /// The document.
    pub id: String,
    /// Its address, where the documents have one.
    pub url: Option<String>,
    /// Where in the tokens of the document the piece starts.
    pub offset: i64,
    /// Token ids.
    pub ids: Vec<i64>,
    /// What each token stands for; bytes that are only part of a character are written `\xE2`.
    pub texts: Vec<String>,
    /// Whether the model learns to predict each token; `None` where the shards have no mask, and it learns all.
    pub learned: Option<Vec<bool>>,
}

/// Reads row `row` of the token shards in `table`.
///
/// # Errors
/// There is no such row, or the table has not the columns of token shards.
pub fn token_row(
    table: &Table,
    row: u64,
    vocabulary: &Vocabulary,
    dataset: Option<&Dataset>,
) -> Result<TokenRow, InspectError> {
    for name in [token::INPUT_IDS, token::DOC_LENS, token::DOC_IDS, token::DOC_OFFSETS, token::PAD] {
        if table.schema().field_with_name(name).is_err() {
            let message = format!("these rows are no training sequences: they have no column `{name}`");
            return Err(InspectError::question(message, "give a dataset, or a file of its `tokens` folder"));
        }
    }
    let grid = table.read(&[row])?;
    let cells: BTreeMap<&str, &Json> =
        grid.columns.iter().map(|c| c.name.as_str()).zip(&grid.rows[0]).collect();
    let numbers = |name: &str| -> Vec<i64> {
        cells[name].as_array().into_iter().flatten().filter_map(Json::as_i64).collect()
    };
    let ids = numbers(token::INPUT_IDS);
    let mask: Option<Vec<bool>> = cells.get(token::LOSS_MASK).and_then(|mask| mask.as_array()).map(|mask| {
        mask.iter().map(|cell| cell.as_bool().unwrap_or_else(|| cell.as_f64() != Some(0.0))).collect()
    });
    let (lens, offsets) = (numbers(token::DOC_LENS), numbers(token::DOC_OFFSETS));
    let docs = cells[token::DOC_IDS].as_array().into_iter().flatten().filter_map(Json::as_str);
    let mut pieces = Vec::new();
    let mut start = 0;
    for ((len, offset), id) in lens.iter().zip(offsets).zip(docs) {
        let end = (start + usize::try_from(*len).unwrap_or(0)).min(ids.len());
        let ids = ids[start..end].to_vec();
        let texts = ids.iter().map(|id| shown(vocabulary, *id)).collect();
        let learned = mask.as_ref().map(|mask| mask[start.min(mask.len())..end.min(mask.len())].to_vec());
        pieces.push(TokenView { id: id.to_owned(), url: None, offset, ids, texts, learned });
        start = end;
    }
    if let Some(dataset) = dataset {
        name_urls(dataset, &mut pieces)?;
    }
    let pad = cells[token::PAD].as_u64().unwrap_or(0);
    Ok(TokenRow { row, pieces, pad })
}

fn name_urls(dataset: &Dataset, pieces: &mut [TokenView]) -> Result<(), InspectError> {
    for part in &Table::open(&dataset.documents())?.parts {
        let wanted = |id: &str| pieces.iter().any(|p| p.id == id);
        let columns = [column::ID, column::URL];
        for (_, row) in find::rows_where(part, column::ID, &wanted, Some(&columns))? {
            let url = row.get(column::URL).and_then(Json::as_str);
            pieces
                .iter_mut()
                .filter(|p| row[column::ID] == p.id)
                .for_each(|p| p.url = url.map(str::to_owned));
        }
    }
    Ok(())
}

/// The text of a token.
fn shown(vocabulary: &Vocabulary, id: i64) -> String {
    let Some(bytes) = u32::try_from(id).ok().and_then(|id| vocabulary.piece(id)) else {
        return format!("⟨{id}?⟩");
    };
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\x{byte:02X}")));
    }
    out
}
