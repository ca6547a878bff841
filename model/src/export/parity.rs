//! A dump by which another program proves that it computes the same: ids, logits of every place, greedy continuations, texts.
//!
//! ```text
//! input_ids  I64 [rows, length]      logits  F32 [rows, length, vocab]      greedy_ids  I64 [rows, ahead]      metadata: texts
//! ```
//! Every text is one that the tokenizer turns into exactly its row.

use crate::architecture::Transformer;
use crate::batch::{Batch, Row};
use crate::error::TrainError;
use crate::folder;
use crate::generate::{Request, Sampling, continue_rows};
use crate::parts::Architecture;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use std::path::Path;
use tokenizers::Tokenizer;

/// Places of a row at most, and numbers of all logits.
const LENGTH_MAX: usize = 64;
const NUMBERS_MAX: usize = 64 << 20;
/// Greedy ids of a row at most; half of the context where that is less.
const AHEAD_MAX: usize = 16;
/// Rows at most.
const ROWS_MAX: usize = 8;

/// What is fed where no other texts are given: prose, code, figures, letters and signs outside ASCII.
const TEXTS: [&str; 6] = [
    "It is a truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a wife. However little known the feelings or views of such a man may be on his first entering a neighbourhood, this truth is so well fixed in the minds of the surrounding families, that he is considered as the rightful property of some one or other of their daughters.",
    "fn main() {\n    let numbers: Vec<u64> = (1..=10).map(|n| n * n).collect();\n    for (at, number) in numbers.iter().enumerate() {\n        println!(\"{at}: {number}\");\n    }\n    assert_eq!(numbers.iter().sum::<u64>(), 385);\n}\n\n#[test]\nfn sums_are_right() {\n    assert_eq!(2 + 2, 4);\n}\n",
    "In 1969, 600 million people watched; 384,400 km away, at 20:17:40 UTC on July 20th, the Eagle landed. It weighed 15,103 kg, cost about $2.2 billion (1969), and had used 98.7 % of its descent fuel. A day later, 21.55 kg of rock went up with it, and on the 24th, at 16:50:35, the three men came down in the Pacific.",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich. Voix ambiguë d’un cœur qui, au zéphyr, préfère les jattes de kiwis. Žluťoučký kůň příliš úpěl ďábelské ódy. Съешь же ещё этих мягких французских булок, да выпей чаю. いろはにほへと ちりぬるを — 天地玄黃，宇宙洪荒。",
    "# Notes\n\n- A list of things, each on its own line.\n- *Emphasis* and `code`, [a link](https://example.org/a?b=c&d=1).\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n\tIndented by a tab.   Three spaces.  Two.\n\n> Quoted, then said again: \"don't\", 'we'll', \"I'VE\".\n\nThe end of the notes comes here, after a last sentence.",
    "The mill stood by the river, and the river stood by nothing at all: it ran. All day long the wheel went round, the stones went round, and the miller went round with his broom and swept up what the stones had let fall. In the evening the children came and asked him what the water was saying, and he told them that it said what it had said the day before.",
];

/// The rows that stand in a dump.
struct Rows {
    ids: Vec<Vec<u32>>,
    texts: Vec<String>,
}

/// Writes a dump of a model over `texts`, or over texts of its own where there are none.
///
/// # Errors
/// No text that the tokenizer turns into a row and back; a file that cannot be written.
pub(super) fn write(
    model: &Transformer<f32>,
    tokenizer: &Tokenizer,
    texts: &[String],
    path: &Path,
) -> Result<(), TrainError> {
    let own: Vec<String> = TEXTS.iter().map(|&text| text.to_owned()).collect();
    let rows = rows(model, tokenizer, if texts.is_empty() { &own } else { texts })?;
    let (count, length, ahead) = (rows.ids.len(), rows.ids[0].len(), ahead(model));
    let mut logits = Vec::with_capacity(count * length * model.shape.vocab);
    for ids in &rows.ids {
        logits.extend(all_logits(model, ids)?);
    }
    let wide = |ids: &[Vec<u32>]| -> Vec<u8> {
        ids.iter().flatten().flat_map(|&id| i64::from(id).to_le_bytes()).collect()
    };
    let (inputs, greedy) = (wide(&rows.ids), wide(&greedy(model, &rows.ids)?));
    let logits: Vec<u8> = logits.iter().flat_map(|logit: &f32| logit.to_le_bytes()).collect();
    let mut views = vec![
        ("input_ids", Dtype::I64, vec![count, length], &inputs),
        ("logits", Dtype::F32, vec![count, length, model.shape.vocab], &logits),
    ];
    if !greedy.is_empty() {
        views.push(("greedy_ids", Dtype::I64, vec![count, ahead], &greedy));
    }
    let views = views
        .into_iter()
        .map(|(name, dtype, shape, bytes)| TensorView::new(dtype, shape, bytes).map(|view| (name, view)));
    let views = views.collect::<Result<Vec<_>, _>>().map_err(candle_core::Error::wrap)?;
    let texts = serde_json::to_string(&rows.texts).expect("texts are JSON");
    let metadata = std::iter::once(("texts".to_owned(), texts)).collect();
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(candle_core::Error::wrap)?;
    folder::write(path, &bytes)
}

/// The logits of every place: ids × vocabulary. A token of a model that fills gaps sees the whole row.
fn all_logits(model: &Transformer<f32>, ids: &[u32]) -> candle_core::Result<Vec<f32>> {
    if model.shape.architecture != Architecture::Bert {
        return model.logits(&model.hidden(ids)?);
    }
    let length = u32::try_from(ids.len()).expect("a row is no longer than a context");
    let row = Row {
        ids: ids.to_vec(),
        piece_lengths: vec![length],
        begins: vec![true],
        padding: 0,
        mask: Vec::new(),
    };
    let batch = Batch::whole([&row]);
    let hidden = model.walk(&batch, &mut |_, _, qkv, out| {
        model.attention(&batch).forward(qkv, out);
        Ok(())
    })?;
    model.logits(&hidden)
}

fn ahead(model: &Transformer<f32>) -> usize {
    AHEAD_MAX.min(model.shape.context / 2).max(1)
}

/// The likeliest ids behind each row; none of a model that fills gaps.
fn greedy(model: &Transformer<f32>, rows: &[Vec<u32>]) -> Result<Vec<Vec<u32>>, TrainError> {
    if model.shape.architecture == Architecture::Bert {
        return Ok(Vec::new());
    }
    let sampling = Sampling { tokens_max: ahead(model) as u64, temperature: 0.0, ..Sampling::default() };
    let vocab = model.shape.vocab;
    continue_rows(&Request { model, vocab, prompts: rows, sampling: &sampling, stops: &[] })
}

/// Rows of one length, each the start of a text that the tokenizer turns into it and back.
fn rows(model: &Transformer<f32>, tokenizer: &Tokenizer, texts: &[String]) -> Result<Rows, TrainError> {
    let wrong = |error: tokenizers::Error| TrainError::Tokenizer(error.to_string());
    let room = model.shape.context.saturating_sub(ahead(model)).max(1);
    let fits = NUMBERS_MAX / model.shape.vocab / texts.len().clamp(1, ROWS_MAX);
    let longest = LENGTH_MAX.min(room).min(fits.max(1));
    for length in (1..=longest).rev() {
        let (mut ids, mut kept) = (Vec::new(), Vec::new());
        for text in texts.iter().take(ROWS_MAX) {
            let encoded = tokenizer.encode(text.as_str(), false).map_err(wrong)?;
            let Some(row) = encoded.get_ids().get(..length) else { continue };
            let text = tokenizer.decode(row, false).map_err(wrong)?;
            if tokenizer.encode(text.as_str(), false).map_err(wrong)?.get_ids() == row {
                ids.push(row.to_vec());
                kept.push(text);
            }
        }
        // Half of the texts at this length are more worth than all at a shorter one.
        if 2 * ids.len() >= texts.len().min(ROWS_MAX) {
            return Ok(Rows { ids, texts: kept });
        }
    }
    let message = "no text is long enough, or the tokenizer turns none into ids and back".to_owned();
    Err(TrainError::Tokenizer(message))
}
