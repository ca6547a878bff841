//! Laws of the whole trainer: gradients are right, documents do not leak, micro-batches add up, a resume changes no bit.

mod compositions;
mod export;
mod faults;
pub(crate) mod gradients;
mod sampling;
mod transformers;

use crate::architecture::{Source, Transformer};
use crate::batch::{Batch, Row};
use crate::config::{Architecture, Config};
use crate::kernel::Real;
use crate::layer::dropout::Dropout;
use crate::objective::Program;
use crate::progress::{Silent, TrainEvent, TrainObserver};
use crate::testing::{Folder, dataset, rows};
use crate::train::{gradients, run};
use schemas::manifest::Tokens;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) use compositions::compositions;

const NONE: Dropout = Dropout::NONE;

pub(crate) fn small(architecture: Architecture) -> Config {
    let kv_heads = if architecture == Architecture::Llama { 2 } else { 0 };
    Config { architecture, layers: 2, width: 16, heads: 4, kv_heads, ff_width: 24, ..Config::default() }
}

pub(crate) fn model<T: Real>(config: &Config, length: u64) -> Transformer<T> {
    model_with(config, length, Program::causal(0, 23))
}

pub(crate) fn model_with<T: Real>(config: &Config, length: u64, program: Program) -> Transformer<T> {
    let tokenizer = String::new();
    let tokens = Tokens {
        folder: "tokens".into(),
        sequence_length: length,
        vocab_size: 23,
        eos_id: 0,
        train: 1,
        validation: 1,
        tokenizer,
    };
    let shape = config.shape(&tokens).unwrap().with(program);
    Transformer::new(shape, Source::drawn(config.seed)).unwrap()
}

#[test]
fn a_document_does_not_see_the_one_before_it() {
    for ((name, config), begins) in compositions().into_iter().flat_map(|c| [(c.clone(), true), (c, false)]) {
        let model: Transformer<f64> = model(&config, 12);
        let loss = |first: u32| {
            let mut ids = vec![first; 5];
            ids.extend([3, 1, 4, 1, 5, 9, 2]);
            let row =
                Row { ids, piece_lengths: vec![5, 7], begins: vec![true, begins], padding: 0, mask: vec![] };
            let mut batch = Batch::new(&[row], 0);
            batch.targets[..5].fill(crate::batch::NO_TARGET);
            model.loss(&Arc::new(batch)).unwrap()
        };
        // Experts are given other rows beside theirs, which may change the order of a sum.
        let near = if config.experts.is_some() { 1e-12 } else { 0.0 };
        assert!((loss(7) - loss(20)).abs() <= near, "{name}: {} {}", loss(7), loss(20));
        let ids = vec![3, 1, 4, 1, 5, 9, 2];
        let alone = Row { ids, piece_lengths: vec![7], begins: vec![begins], padding: 0, mask: vec![] };
        let alone = model.loss(&Arc::new(Batch::new(&[alone], 0))).unwrap();
        assert!((alone - loss(7)).abs() < 1e-9);
    }
}

/// The loss and all gradients of batches in turn.
fn passed(model: &Transformer<f32>, batches: &[Arc<Batch>], dropout: f64) -> (f64, Vec<f32>) {
    let targets: usize = batches.iter().map(|batch| batch.targets_count()).sum();
    model.parameters.iter().for_each(|p| p.clear());
    let dropout = |micro| Dropout { probability: dropout, seed: 40 + micro };
    let loss = gradients(model, batches, 1.0 / targets as f64, dropout).unwrap();
    let of = |p: &crate::parameter::Shared<f32>| p.gradient(|g| g.unwrap().to_vec());
    (loss, model.parameters.iter().flat_map(of).collect())
}

#[test]
fn micro_batches_add_up_to_one_batch() {
    for architecture in [Architecture::Llama, Architecture::Gpt] {
        let mut model: Transformer<f32> = model(&small(architecture), 16);
        model.terms = crate::objective::cross_entropy::Terms { smoothing: 0.1, z: 1e-3 };
        let all = rows(12, 16, 23, 9);
        let of = |size: usize| {
            let batches: Vec<_> = all.chunks(size).map(|rows| Arc::new(Batch::new(rows, 0))).collect();
            passed(&model, &batches, 0.0)
        };
        let one = of(12);
        // As many micro-batches of one size, and a last one that is shorter.
        for size in [6, 4, 3, 1, 5] {
            let found = of(size);
            assert!((one.0 - found.0).abs() < 1e-6, "{architecture:?} {size}");
            assert!(one.1.iter().zip(&found.1).all(|(a, b)| (a - b).abs() < 1e-6), "{architecture:?} {size}");
        }
    }
}

#[test]
fn recomputed_blocks_give_the_same_bits() {
    for (name, config) in compositions() {
        for layers in [1, 2, 5] {
            let mut model: Transformer<f32> = model(&Config { layers, ..config.clone() }, 16);
            let batch = |seed| Arc::new(Batch::new(&rows(3, 16, 23, seed), 0));
            let batches = [batch(1), batch(2)];
            let kept = passed(&model, &batches, 0.2);
            for recompute in [1, 2, 3, 5, 8] {
                model.recompute = recompute;
                assert!(passed(&model, &batches, 0.2) == kept, "{name} {layers} {recompute}");
                // An evaluation between steps uses the same memory.
                model.loss(&batch(3)).unwrap();
            }
        }
    }
}

#[test]
fn cached_generation_agrees_with_the_whole_sequence() {
    for (name, config) in compositions() {
        let model: Transformer<f32> = model(&config, 12);
        let ids = [3, 1, 4, 1, 5, 9];
        let whole = model.next_logits(&ids, &mut model.caches(), 0).unwrap();
        let mut caches = model.caches();
        let mut last = model.next_logits(&ids[..2], &mut caches, 0).unwrap();
        for at in 2..ids.len() {
            last = model.next_logits(&ids[at..=at], &mut caches, at).unwrap();
        }
        assert!(whole.iter().zip(&last).all(|(a, b)| (a - b).abs() < 1e-5), "{name}");
        // And with the training pass: the loss of the last token from these logits is what it measures.
        // `Batch::new` puts 3 in front and moves the row by one: the inputs are `ids`, and 2 is the last target.
        let row = Row {
            ids: vec![1, 4, 1, 5, 9, 2],
            piece_lengths: vec![6],
            begins: vec![true],
            padding: 0,
            mask: vec![],
        };
        let mut batch = Batch::new(&[row], 3);
        assert_eq!(batch.ids, ids);
        batch.targets[..5].fill(crate::batch::NO_TARGET);
        let loss = model.loss(&Arc::new(batch)).unwrap();
        let sum: f64 = whole.iter().map(|x| f64::from(*x).exp()).sum();
        assert!((loss - (sum.ln() - f64::from(whole[2]))).abs() < 1e-5, "{name}");
    }
}

/// Panics at a step, as a killed training would stop.
pub(crate) struct StopAt(pub(crate) u64, pub(crate) AtomicBool);

impl TrainObserver for StopAt {
    fn event(&self, event: TrainEvent<'_>) {
        if let TrainEvent::Step { step, .. } = event
            && step == self.0
        {
            self.1.store(true, Ordering::Relaxed);
            panic!("stopped by the test");
        }
    }
}

#[test]
fn a_resumed_training_ends_with_the_same_bytes_at_any_thread_count() {
    let folder = Folder::new("resume");
    let data = folder.0.join("dataset");
    dataset(&data);
    let config = Config {
        steps: 20,
        checkpoint_every: 5,
        eval_every: 6,
        batch_sequences: 3,
        accumulate: 2,
        dropout: 0.1,
        ..small(Architecture::Llama)
    };
    let (straight, resumed) = (folder.0.join("straight"), folder.0.join("resumed"));
    let report = run(&data, &straight, &config, &Silent).unwrap();
    assert!(report.validation_loss.unwrap() < 5.6, "{report:?}");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    pool.install(|| {
        for stop in [3, 7, 14] {
            let observer = StopAt(stop, AtomicBool::new(false));
            let attempt = std::panic::AssertUnwindSafe(|| run(&data, &resumed, &config, &observer));
            assert!(std::panic::catch_unwind(attempt).is_err());
        }
        // A kill while the newest checkpoint is written, and one that a bad disk spoilt.
        std::fs::create_dir_all(resumed.join("checkpoints/step-000000012.part")).unwrap();
        std::fs::write(resumed.join("checkpoints/step-000000010/model.safetensors"), b"spoilt").unwrap();
        assert_eq!(run(&data, &resumed, &config, &Silent).unwrap(), report);
    });
    let last = "checkpoints/step-000000020";
    for name in ["model.safetensors", "config.json", "tokenizer.json", "training.json", "metrics.jsonl"] {
        assert_eq!(
            std::fs::read(straight.join(name)).unwrap(),
            std::fs::read(resumed.join(name)).unwrap(),
            "{name}"
        );
    }
    for name in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        let read = |out: &std::path::Path| std::fs::read(out.join(last).join(name)).unwrap();
        assert_eq!(read(&straight), read(&resumed), "{name}");
    }
    // A finished training is not done again; another one is refused; its model evaluates and generates.
    let lines = || std::fs::read(straight.join("metrics.jsonl")).unwrap();
    let (before, again) = (lines(), run(&data, &straight, &config, &Silent).unwrap());
    assert!(again == report && lines() == before, "an ended training loses nothing of what it measured");
    let other = run(&data, &straight, &Config { width: 32, ..config }, &Silent).unwrap_err();
    assert!(other.to_string().contains("`width` was 16, is 32"), "{other}");
    let found = crate::eval::perplexity::perplexity(&straight, &data).unwrap();
    assert_eq!(Some(crate::metrics::rounded(found.loss())), report.validation_loss);
    let sampler = crate::generate::Sampler::open(&straight).unwrap();
    let sampling = crate::generate::Sampling { tokens_max: 40, ..Default::default() };
    let text = sampler.generate("abc", &sampling).unwrap();
    assert_eq!(text, sampler.generate("abc", &sampling).unwrap());
}

#[test]
fn an_altered_shard_is_named() {
    let folder = Folder::new("altered");
    dataset(&folder.0);
    let path = folder.0.join("tokens/train/part-00001.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = crate::data::Dataset::open(&folder.0).unwrap_err().to_string();
    assert!(error.contains("part-00001.parquet: the file is not the one in the manifest"), "{error}");
}

#[test]
fn a_time_budget_fixes_the_count_of_steps() {
    let folder = Folder::new("budget");
    let data = folder.0.join("dataset");
    dataset(&data);
    let config = Config { steps: 1_000_000, seconds_max: 0.5, eval_every: 0, ..small(Architecture::Gpt) };
    let report = run(&data, &folder.0.join("out"), &config, &Silent).unwrap();
    assert!((10..100_000).contains(&report.steps), "{}", report.steps);
}
