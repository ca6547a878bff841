//! The same tensors and batches give what `transformers` and PyTorch's AdamW give: golden numbers that
//! `benches/peers/transformers_parity.py` wrote, which says what the models and batches are.

use super::NONE;
use crate::architecture::{Source, Transformer};
use crate::batch::{Batch, Row};
use crate::config::{Architecture, Config};
use crate::optimizer::Optimizer;
use crate::train::gradients;
use candle_core::Device;
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

fn golden(architecture: Architecture) -> Value {
    let all: Value = serde_json::from_str(include_str!("transformers.json")).unwrap();
    all[if architecture == Architecture::Llama { "llama" } else { "gpt" }].clone()
}

fn draw(place: u32, index: u32) -> f32 {
    let mixed = index.wrapping_mul(2_654_435_761).wrapping_add(place * 40_503 + 1);
    let mixed = (mixed ^ (mixed >> 15)).wrapping_mul(2_246_822_519);
    ((mixed ^ (mixed >> 13)) >> 16) as f32 / 65_536.0 - 0.5
}

fn config(architecture: Architecture) -> Config {
    // `transformers` ties the head of a GPT-2 and leaves that of a LLaMA alone.
    Config { tied_head: architecture == Architecture::Gpt, ..super::small(architecture) }
}

/// The tiny model of the script; asserts that it has the tensors that `transformers` has.
fn tiny(architecture: Architecture) -> Transformer<f32> {
    let tokens = Tokens {
        folder: "tokens".into(),
        sequence_length: u64::from(CONTEXT),
        vocab_size: u64::from(VOCAB),
        eos_id: 0,
        train: 1,
        validation: 1,
        tokenizer: String::new(),
    };
    let shape = config(architecture).shape(&tokens).unwrap();
    let drawn = Transformer::<f32>::new(shape.clone(), Source::drawn(0, &Device::Cpu)).unwrap();
    let shapes: BTreeMap<String, Vec<usize>> =
        drawn.parameters.iter().map(|p| (p.name().to_owned(), p.value().dims().to_vec())).collect();
    let names: Vec<String> = shapes.iter().map(|(name, shape)| format!("{name} {shape:?}")).collect();
    assert_eq!(serde_json::json!(names), golden(architecture)["names"]);
    let tensors = shapes.into_iter().zip(0..).map(|((name, shape), place)| {
        let count = u32::try_from(shape.iter().product::<usize>()).unwrap();
        let gain = (name.contains("norm") || name.contains("ln_")) && name.ends_with("weight");
        let one = if gain { 1.0 } else { 0.0 };
        (name, (shape, (0..count).map(|i| draw(place, i) * 0.5 + one).collect()))
    });
    Transformer::new(shape, Source::read(tensors.collect(), &Device::Cpu)).unwrap()
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

fn near(found: f64, expected: &Value, within: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() < within, "{found}, transformers has {expected}");
}

#[test]
fn logits_are_those_of_transformers() {
    for architecture in [Architecture::Llama, Architecture::Gpt] {
        let (model, ids) = (tiny(architecture), [3, 1, 4, 1, 5, 9]);
        for end in 1..=ids.len() {
            let logits = model.next_logits(&ids[..end], &mut model.caches(), 0).unwrap();
            let expected = &golden(architecture)["logits"][end - 1];
            logits.iter().enumerate().for_each(|(at, logit)| near(f64::from(*logit), &expected[at], 3e-6));
        }
    }
}

#[test]
fn four_steps_have_the_losses_of_pytorch() {
    for architecture in [Architecture::Llama, Architecture::Gpt] {
        let model = tiny(architecture);
        let optimizer = Optimizer::of(&model, &config(architecture));
        for (number, rate) in (0..).zip(RATES) {
            let batch = Arc::new(batch(number));
            let scale = 1.0 / batch.targets_count() as f64;
            let loss = gradients(&model, &[batch], scale, |_| NONE).unwrap();
            near(loss, &golden(architecture)["losses"][number as usize], 5e-6);
            optimizer.step(number.into(), rate, optimizer.gradient_norm()).unwrap();
        }
    }
}
