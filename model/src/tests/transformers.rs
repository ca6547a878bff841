//! The same tensors and batches give what `transformers` and PyTorch's AdamW give: golden numbers that
//! `benches/peers/transformers_parity.py` wrote, which says what the models and batches are.

use super::NONE;
use crate::architecture::{Source, Transformer};
use crate::batch::{Batch, Row};
use crate::config::{Architecture, Config};
use crate::optimizer::Optimizer;
use crate::train::gradients;
use schemas::manifest::Tokens;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

const VOCAB: u32 = 23;
const CONTEXT: u32 = 12;
const RATES: [f64; 4] = [0.01, 0.02, 0.02, 0.01];
/// Two batches of rows of pieces: tokens, and whether the piece begins its document.
const BATCHES: [&[&[(u32, bool)]]; 2] =
    [&[&[(7, true), (4, false)], &[(12, true)]], &[&[(1, true), (11, true)], &[(5, false), (6, true)]]];

/// Models that `transformers` has, by their names in the golden numbers. It ties the heads of all but the LLaMA family.
fn models() -> [(&'static str, Config); 7] {
    let of = |architecture, change: fn(&mut Config)| {
        let mut config = super::small(architecture);
        config.tied_head = architecture != Architecture::Llama;
        change(&mut config);
        config
    };
    let (llama, falcon) = (Architecture::Llama, Architecture::Falcon);
    [
        ("llama", of(llama, |_| {})),
        ("gpt", of(Architecture::Gpt, |_| {})),
        ("mistral", of(llama, |c| c.window = Some(4))),
        ("mixtral", of(llama, |c| (c.experts, c.experts_balance, c.experts_z) = (Some(3), 0.0, 0.0))),
        ("falcon", of(falcon, |_| {})),
        ("falcon_groups", of(falcon, |c| c.kv_heads = 2)),
        ("bert", of(Architecture::Bert, |_| {})),
    ]
}

fn golden() -> Value {
    serde_json::from_str(include_str!("transformers.json")).unwrap()
}

fn draw(place: u32, index: u32) -> f32 {
    let mixed = index.wrapping_mul(2_654_435_761).wrapping_add(place * 40_503 + 1);
    let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(2_246_822_519);
    ((mixed ^ (mixed >> 13)) >> 16) as f32 / 65_536.0 - 0.5
}

/// The tiny model of the script; asserts that it has the tensors that `transformers` has.
fn tiny(config: &Config, golden: &Value) -> Transformer<f32> {
    let tokens = Tokens {
        folder: "tokens".into(),
        sequence_length: u64::from(CONTEXT),
        vocab_size: u64::from(VOCAB),
        eos_id: 0,
        train: 1,
        validation: 1,
        tokenizer: String::new(),
    };
    let shape = config.shape(&tokens).unwrap();
    let drawn = Transformer::<f32>::new(shape.clone(), Source::drawn(0)).unwrap();
    let shapes: BTreeMap<String, Vec<usize>> =
        drawn.parameters.iter().map(|p| (p.name().to_owned(), p.value().dims().to_vec())).collect();
    let names: Vec<String> = shapes.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect();
    assert_eq!(serde_json::json!(names), golden["names"]);
    let tensors = shapes.into_iter().zip(0..).map(|((name, shape), place)| {
        let count = u32::try_from(shape.iter().product::<usize>()).unwrap();
        let gain = (name.to_lowercase().contains("norm") || name.contains("ln_")) && name.ends_with("weight");
        let one = if gain { 1.0 } else { 0.0 };
        (name, (shape, (0..count).map(|i| draw(place, i) * 0.5 + one).collect()))
    });
    Transformer::new(shape, Source::read(tensors.collect())).unwrap()
}

fn batch(number: u32) -> Batch {
    let mut place = 0;
    let row = |pieces: &&[(u32, bool)]| {
        let used: u32 = pieces.iter().map(|(length, _)| length).sum();
        let mut ids: Vec<u32> =
            (place..place + used).map(|i| (number * 5 + i * (i + 3) / 2) % VOCAB).collect();
        place += used;
        ids.resize(CONTEXT as usize, 0);
        let (piece_lengths, begins) = pieces.iter().copied().unzip();
        Row { ids, piece_lengths, begins, padding: CONTEXT - used, mask: vec![] }
    };
    Batch::new(&BATCHES[number as usize % 2].iter().map(row).collect::<Vec<_>>(), 0)
}

fn near(name: &str, found: f64, expected: &Value, within: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() < within, "{name}: {found}, transformers has {expected}");
}

/// Lets every token of a BERT see its whole piece.
fn both_sides(architecture: Architecture, mut batch: Batch) -> Batch {
    if architecture == Architecture::Bert {
        for row in 0..batch.ids.len() / batch.length {
            for at in (row * batch.length..(row + 1) * batch.length - 1).rev() {
                if batch.starts[at] == batch.starts[at + 1] {
                    batch.ends[at] = batch.ends[at + 1];
                }
            }
        }
    }
    batch
}

#[test]
fn logits_are_those_of_transformers() {
    let golden = golden();
    for (name, config) in models() {
        let (model, ids) = (tiny(&config, &golden[name]), [3, 1, 4, 1, 5, 9]);
        let batch = both_sides(config.architecture, Batch::piece(&ids, 0));
        let logits = model.all_logits(&batch).unwrap();
        for (at, logits) in logits.chunks(VOCAB as usize).enumerate() {
            let expected = &golden[name]["logits"][at];
            logits.iter().zip(0..).for_each(|(logit, id)| near(name, f64::from(*logit), &expected[id], 3e-6));
        }
        if config.architecture != Architecture::Bert {
            let last = model.next_logits(&ids, &mut model.caches(), 0).unwrap();
            let expected = &golden[name]["logits"][5];
            last.iter().zip(0..).for_each(|(logit, id)| near(name, f64::from(*logit), &expected[id], 3e-6));
        }
    }
}

#[test]
fn four_steps_have_the_losses_of_pytorch() {
    let golden = golden();
    for (name, config) in models() {
        let model = tiny(&config, &golden[name]);
        let optimizer = Optimizer::new(&model.parameters, &config);
        for (number, rate) in (0..).zip(RATES) {
            let batch = Arc::new(both_sides(config.architecture, batch(number)));
            let scale = 1.0 / batch.targets_count() as f64;
            let loss = gradients(&model, &[batch], scale, |_| NONE).unwrap();
            near(name, loss, &golden[name]["losses"][number as usize], 5e-6);
            optimizer.step(number.into(), rate, optimizer.gradient_norm()).unwrap();
        }
    }
}
