//! Tensors by their names in llama.cpp, with rows in the order that it computes with.

use super::file::{Kind, Tensor};
use crate::architecture::Shape;
use crate::folder::Named;
use crate::layer::attention::Heads;
use crate::parts::Architecture;

/// How a tensor changes on its way.
#[derive(Clone, Copy)]
enum Change {
    None,
    /// in × out → out × in.
    Transposed,
    /// Rows of so many heads from halves, as they are turned here, to pairs.
    Pairs(usize),
    /// Rows from groups of queries, key and value to all queries, all keys, all values.
    Ungrouped,
}
use Change::{None as Kept, Pairs, Transposed, Ungrouped};

/// Names in a layer, and how their tensors change.
fn layer(shape: &Shape) -> Vec<(&'static str, &'static str, Change)> {
    let Heads { queries, keys, .. } = shape.heads;
    match shape.architecture {
        Architecture::Llama => vec![
            ("input_layernorm", "attn_norm", Kept),
            ("self_attn.q_proj", "attn_q", Pairs(queries)),
            ("self_attn.k_proj", "attn_k", Pairs(keys)),
            ("self_attn.v_proj", "attn_v", Kept),
            ("self_attn.o_proj", "attn_output", Kept),
            ("post_attention_layernorm", "ffn_norm", Kept),
            ("mlp.gate_proj", "ffn_gate", Kept),
            ("mlp.up_proj", "ffn_up", Kept),
            ("mlp.down_proj", "ffn_down", Kept),
            ("block_sparse_moe.gate", "ffn_gate_inp", Kept),
        ],
        Architecture::Gpt => vec![
            ("ln_1", "attn_norm", Kept),
            ("attn.c_attn", "attn_qkv", Transposed),
            ("attn.c_proj", "attn_output", Transposed),
            ("ln_2", "ffn_norm", Kept),
            ("mlp.c_fc", "ffn_up", Transposed),
            ("mlp.c_proj", "ffn_down", Transposed),
        ],
        Architecture::Falcon => vec![
            ("input_layernorm", "attn_norm", Kept),
            ("self_attention.query_key_value", "attn_qkv", Ungrouped),
            ("self_attention.dense", "attn_output", Kept),
            ("mlp.dense_h_to_4h", "ffn_up", Kept),
            ("mlp.dense_4h_to_h", "ffn_down", Kept),
        ],
        Architecture::Bert => vec![],
    }
}

/// Names outside the layers.
const OUTSIDE: [(&str, &str); 7] = [
    ("model.embed_tokens", "token_embd"),
    ("model.norm", "output_norm"),
    ("transformer.wte", "token_embd"),
    ("transformer.wpe", "position_embd"),
    ("transformer.word_embeddings", "token_embd"),
    ("transformer.ln_f", "output_norm"),
    ("lm_head", "output"),
];

/// Every tensor of a model, the outer ones first.
///
/// # Errors
/// A tensor that llama.cpp has no name for.
pub(super) fn of(shape: &Shape, mut named: Named, kind: Kind) -> Result<Vec<Tensor>, String> {
    let mut made = Vec::new();
    let mut take = |from: String, to: String, change: Change| {
        for part in ["weight", "bias"] {
            if let Some((dims, numbers)) = named.remove(&format!("{from}.{part}")) {
                made.push(tensor(format!("{to}.{part}"), shape.heads, dims, numbers, kind, change));
            }
        }
    };
    for (from, to) in OUTSIDE {
        take(from.to_owned(), to.to_owned(), Kept);
    }
    let layers = shape.architecture.names().layers;
    for index in 0..shape.layers {
        for (from, to, change) in layer(shape) {
            take(format!("{layers}.{index}.{from}"), format!("blk.{index}.{to}"), change);
        }
    }
    made.extend(experts(shape, &mut named, kind));
    match named.keys().next() {
        None => Ok(made),
        Some(left) => Err(format!("llama.cpp has no place for the tensor `{left}`")),
    }
}

fn tensor(
    name: String,
    heads: Heads,
    shape: Vec<usize>,
    numbers: Vec<f32>,
    kind: Kind,
    change: Change,
) -> Tensor {
    let columns = if shape.len() > 1 { shape[1] } else { 1 };
    let (shape, numbers) = match change {
        Kept => (shape, numbers),
        Transposed if shape.len() < 2 => (shape, numbers),
        Transposed => {
            let (rows, columns) = (shape[0], shape[1]);
            let at = |i: usize| numbers[i % rows * columns + i / rows];
            (vec![columns, rows], (0..numbers.len()).map(at).collect())
        }
        Pairs(count) => {
            let numbers = reordered(&numbers, columns, &pairs(count, heads.width));
            (shape, numbers)
        }
        Ungrouped => {
            let numbers = reordered(&numbers, columns, &ungrouped(heads));
            (shape, numbers)
        }
    };
    Tensor { kind: kind_of(&name, &shape, kind), name, shape, numbers }
}

/// What is added to sums or multiplied into them stays exact, as llama.cpp asks.
fn kind_of(name: &str, shape: &[usize], kind: Kind) -> Kind {
    let is_matrix = shape.len() > 1 && !name.starts_with("position_embd") && !name.contains("ffn_gate_inp");
    match shape.last() {
        Some(width) if is_matrix => kind.for_rows(*width),
        _ => Kind::F32,
    }
}

fn reordered(numbers: &[f32], columns: usize, order: &[usize]) -> Vec<f32> {
    order.iter().flat_map(|row| &numbers[row * columns..(row + 1) * columns]).copied().collect()
}

/// For each row of the result, its row here: features i and i + d/2 of a head come to stand side by side.
fn pairs(heads: usize, width: usize) -> Vec<usize> {
    let half = width / 2;
    let head = |head: usize| (0..width).map(move |at| head * width + at % 2 * half + at / 2);
    (0..heads).flat_map(head).collect()
}

fn ungrouped(heads: Heads) -> Vec<usize> {
    let starts = (0..heads.queries).map(|head| heads.query(head));
    let starts = starts.chain((0..heads.keys).map(|group| heads.key(group)));
    let starts = starts.chain((0..heads.keys).map(|group| heads.value(group)));
    starts.flat_map(|start| start..start + heads.width).collect()
}

/// The experts of each layer, stacked.
fn experts(shape: &Shape, named: &mut Named, kind: Kind) -> Vec<Tensor> {
    let mut made = Vec::new();
    let Some(experts) = shape.experts else { return made };
    let names = shape.architecture.names();
    for index in 0..shape.layers {
        for (part, to) in names.expert.iter().zip(["ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"]) {
            let (mut stacked, mut dims) = (Vec::new(), Vec::new());
            for expert in 0..experts.count {
                let from = format!("{}.{index}.{}.{expert}.{part}.weight", names.layers, names.experts);
                if let Some((shape, numbers)) = named.remove(&from) {
                    dims = shape;
                    stacked.extend(numbers);
                }
            }
            dims.insert(0, experts.count);
            let name = format!("blk.{index}.{to}.weight");
            made.push(Tensor { kind: kind_of(&name, &dims, kind), name, shape: dims, numbers: stacked });
        }
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_become_pairs_head_by_head() {
        assert_eq!(pairs(2, 4), [0, 2, 1, 3, 4, 6, 5, 7]);
        assert_eq!(pairs(1, 6), [0, 3, 1, 4, 2, 5]);
    }
}
