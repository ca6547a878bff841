//! What a GPU computes is what the CPU computes: losses, gradients of every parameter, steps, and a whole training.
//!
//! These need a GPU and say so where there is none; `the_kernels_compile` needs NVRTC alone.

use super::compile::compile;
use super::gpu::{Gpu, Sizes};
use super::{Trainer, check};
use crate::architecture::Transformer;
use crate::batch::{Batch, NO_TARGET};
use crate::config::{Activation, Architecture, Config, NormPlace, OptimizerKind, Positions};
use crate::device::{Place, Precision};
use crate::layer::dropout::Dropout;
use crate::objective::cross_entropy::Terms;
use crate::objective::tests::{OBJECTIVES, program, samples};
use crate::optimizer::Optimizer;
use crate::progress::Silent;
use crate::testing::{Folder, dataset, rows};
use crate::tests::{StopAt, compositions, model, model_with, small};
use crate::train::{How, run, run_with};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether there is a GPU; says when a test is left out.
fn gpu(test: &str) -> bool {
    let sizes = Sizes { width: 32, head: 8, precision: Precision::F32 };
    match Gpu::open(sizes) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("SKIPPED {test}: {error}");
            false
        }
    }
}

/// A model of widths that the kernels take, with heads of so many features.
fn sized(config: &Config, head: u64) -> Config {
    let width = config.heads * head;
    Config { width, ff_width: if config.ff_width > 0 { 3 * width / 2 } else { 0 }, ..config.clone() }
}

/// How far two lists are from each other, against the length of the second.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let apart: f64 = found.iter().zip(expected).map(|(a, b)| square(a - b)).sum();
    let length: f64 = expected.iter().map(|b| square(*b)).sum();
    if found.iter().any(|x| !x.is_finite()) { f64::INFINITY } else { (apart / length.max(1e-12)).sqrt() }
}

fn gradients(model: &Transformer<f32>) -> Vec<Vec<f32>> {
    model.parameters.iter().map(|p| p.gradient(|g| g.expect("written").to_vec())).collect()
}

/// Losses and gradients of two batches in turn, here and there, and the same bits when done again.
fn agree(name: &str, model: &Transformer<f32>, batch: &Batch, dropout: Dropout, precision: Precision) {
    // Rounding to 8 bits errs by 0.2 %, and errors add up over layers.
    let (near, near_loss) = if precision == Precision::Bf16 { (6e-2, 2e-2) } else { (2e-4, 2e-5) };
    let optimizer = Optimizer::new(&model.parameters, &Config::default());
    let trainer = Trainer::open(model, &optimizer, precision).expect(name);
    let pass = || {
        trainer.weights.clear(&trainer.gpu).unwrap();
        let of = |seed| Dropout { seed, ..dropout };
        let losses = [3, 4].map(|seed| trainer.gradients(model, batch, 0.1, of(seed)).expect(name));
        model.parameters.iter().for_each(|p| p.clear());
        trainer.weights.download_gradients(&trainer.gpu).unwrap();
        (losses, gradients(model))
    };
    let (losses, found) = pass();
    assert_eq!(trainer.without_gradient(), None, "{name}");
    assert!(pass() == (losses, found.clone()), "{name}: other bits the second time");
    model.parameters.iter().for_each(|p| p.clear());
    let own = [3, 4].map(|seed| model.gradients(batch, 0.1, Dropout { seed, ..dropout }).unwrap());
    let expected = gradients(model);
    // A gradient that is zero but for rounding is held against the whole.
    let all = expected.iter().flatten().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
    let mut wrong = vec![];
    for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let length = expected.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
        let apart = distance(found, expected) * length / length.max(1e-3 * all);
        if apart.is_nan() || apart > near {
            wrong.push(format!(
                "{} {:?} {apart:.2e}",
                model.parameters[at].name(),
                model.parameters[at].value().dims()
            ));
        }
    }
    let losses_near = losses.iter().zip(&own).all(|(a, b)| (a - b).abs() <= near_loss * b.abs().max(1e-3));
    assert!(losses_near && wrong.is_empty(), "{name} {precision:?}: losses {losses:?} {own:?}; {wrong:#?}");
    let (found, own) = (trainer.target_losses(model, batch).unwrap(), model.target_losses(batch).unwrap());
    let apart = found.iter().zip(&own).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let near = if precision == Precision::Bf16 { 0.1 } else { 1e-4 };
    assert!(apart < near, "{name} {precision:?}: target losses {apart}");
}

fn both(name: &str, config: &Config, length: u32, batch_rows: usize) {
    let mut model = model::<f32>(config, length.into());
    model.terms = Terms { smoothing: config.label_smoothing, z: config.z_loss };
    let dropout = Dropout { probability: config.dropout, seed: 0 };
    let batch = Batch::new(&rows(batch_rows, length, 23, 5), 0);
    for precision in [Precision::F32, Precision::Bf16] {
        agree(&format!("{name}, {length} tokens"), &model, &batch, dropout, precision);
    }
}

#[test]
fn every_composition_that_runs_there_agrees() {
    if !gpu("every_composition_that_runs_there_agrees") {
        return;
    }
    let mut count = 0;
    for (name, config) in compositions() {
        for head in [8, 16] {
            let config = sized(&config, head);
            if check(&model::<f32>(&config, 12).shape).is_err() {
                continue;
            }
            both(name, &config, 12, 3);
            both(&format!("{name} with dropout"), &Config { dropout: 0.2, ..config }, 12, 3);
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
}

#[test]
fn long_rows_and_wide_heads_agree() {
    if !gpu("long_rows_and_wide_heads_agree") {
        return;
    }
    let one = |config: Config| Config { layers: 1, ..config };
    for (head, length) in [(64, 200), (32, 65), (128, 129), (48, 300), (16, 64), (24, 70)] {
        both(&format!("heads of {head}"), &one(sized(&small(Architecture::Llama), head)), length, 2);
    }
    let gpt = sized(&small(Architecture::Gpt), 64);
    let alibi = Config { positions: Some(Positions::Alibi), window: Some(50), ..one(gpt.clone()) };
    both("alibi and a window", &alibi, 200, 2);
    both("falcon", &one(sized(&Config { kv_heads: 2, ..small(Architecture::Falcon) }, 64)), 130, 2);
    both("more terms", &Config { label_smoothing: 0.1, z_loss: 0.01, ..one(gpt.clone()) }, 70, 40);
    // A row of features for all threads of a block.
    both("wide", &Config { heads: 8, ..one(sized(&Config { heads: 18, ..gpt }, 64)) }, 20, 3);
}

#[test]
fn every_objective_agrees() {
    if !gpu("every_objective_agrees") {
        return;
    }
    for objective in OBJECTIVES {
        for (architecture, head) in [(Architecture::Llama, 16), (Architecture::Bert, 8)] {
            let model = model_with::<f32>(&sized(&small(architecture), head), 17, program(objective));
            let mut batch = model.shape.program.batch(&samples(3, 8));
            for precision in [Precision::F32, Precision::Bf16] {
                agree(&format!("{objective:?} {architecture:?}"), &model, &batch, Dropout::NONE, precision);
            }
            batch.weights = (0..batch.ids.len()).map(|at| at as f32 * 0.5 - 6.0).collect();
            agree(&format!("{objective:?} weighted"), &model, &batch, Dropout::NONE, Precision::F32);
        }
    }
    // Without targets there is no loss, and every gradient is zero.
    let untied = Config { tied_head: false, ..small(Architecture::Llama) };
    for config in [untied, small(Architecture::Bert)] {
        let model = model::<f32>(&sized(&config, 16), 9);
        let mut batch = Batch::new(&rows(1, 9, 23, 5), 0);
        batch.targets.fill(NO_TARGET);
        let optimizer = Optimizer::new(&model.parameters, &Config::default());
        let trainer = Trainer::open(&model, &optimizer, Precision::Bf16).unwrap();
        assert_eq!(trainer.gradients(&model, &batch, 1.0, Dropout::NONE).unwrap(), 0.0);
        assert_eq!(trainer.without_gradient(), None);
        assert_eq!(trainer.gradient_norm(&optimizer).unwrap(), 0.0);
        batch.targets[0] = 23;
        let told = trainer.gradients(&model, &batch, 1.0, Dropout::NONE).unwrap_err().to_string();
        assert!(told.contains("target 23 is not below the vocabulary's size 23"), "{told}");
    }
}

#[test]
fn steps_are_those_of_main_memory() {
    if !gpu("steps_are_those_of_main_memory") {
        return;
    }
    for kind in [OptimizerKind::AdamW, OptimizerKind::Muon] {
        let small = sized(&small(Architecture::Gpt), 16);
        let config = Config { optimizer: kind, l1: 0.02, clip_norm: 0.5, ..small };
        let batch = Batch::new(&rows(4, 12, 23, 5), 0);
        let (here, there) = (model::<f32>(&config, 12), model::<f32>(&config, 12));
        let (own, afar) = (Optimizer::of(&here, &config), Optimizer::of(&there, &config));
        let trainer = Trainer::open(&there, &afar, Precision::F32).unwrap();
        for step in 0..5 {
            here.gradients(&batch, 0.1, Dropout::NONE).unwrap();
            let norm = own.gradient_norm();
            own.step(step, 0.01, norm).unwrap();
            trainer.gradients(&there, &batch, 0.1, Dropout::NONE).unwrap();
            let found = trainer.gradient_norm(&afar).unwrap();
            assert!((found - norm).abs() < 1e-4 * norm, "{kind:?} {step}: {found} {norm}");
            trainer.step(&afar, step, 0.01, found).unwrap();
        }
        trainer.fetch(&afar).unwrap();
        for (here, there) in here.parameters.iter().zip(&there.parameters) {
            let (own, found) = (here.read(<[f32]>::to_vec).unwrap(), there.read(<[f32]>::to_vec).unwrap());
            // A step of AdamW is as long for a tiny gradient, whose sign rounding decides.
            assert!(distance(&found, &own) < 1e-2, "{kind:?} {}: {}", here.name(), distance(&found, &own));
        }
        let (own, found) = (own.state(), afar.state());
        for ((name, own), found) in own.iter().zip(found.values()) {
            assert!(distance(&found.1, &own.1) < 1e-2, "{kind:?} {name}: {}", distance(&found.1, &own.1));
        }
    }
}

fn at(place: Place) -> How {
    How { place, ..How::default() }
}

#[test]
fn a_training_goes_on_from_one_place_to_the_other() {
    if !gpu("a_training_goes_on_from_one_place_to_the_other") {
        return;
    }
    let folder = Folder::new("cuda-train");
    let set = folder.0.join("set");
    dataset(&set);
    let small = sized(&small(Architecture::Llama), 16);
    let config = Config { steps: 20, batch_sequences: 4, eval_every: 7, checkpoint_every: 5, ..small };
    let own = run(&set, &folder.0.join("cpu"), &config, &Silent).unwrap();
    let of = |out: &str, precision| {
        run_with(at(Place::Cuda(precision)), &set, &folder.0.join(out), &config, &Silent).unwrap()
    };
    let exact = of("f32", Precision::F32);
    assert!((exact.loss - own.loss).abs() < 1e-3 * own.loss, "{} {}", exact.loss, own.loss);
    let rounded = of("bf16", Precision::Bf16);
    assert!((rounded.loss - own.loss).abs() < 2e-2 * own.loss, "{} {}", rounded.loss, own.loss);
    let weights = |out: &str| std::fs::read(folder.0.join(out).join("model.safetensors")).unwrap();
    of("again", Precision::Bf16);
    assert_eq!(weights("again"), weights("bf16"));
    // Stopped behind its second checkpoint, it goes on there with the same bytes, and here or from here to about the same model.
    let [gpu, cpu] = [Place::Cuda(Precision::F32), Place::Cpu];
    for (out, first, second) in [("gpu-gpu", gpu, gpu), ("gpu-cpu", gpu, cpu), ("cpu-gpu", cpu, gpu)] {
        let path = folder.0.join(out);
        let stop = StopAt(12, AtomicBool::new(false));
        let stopped = catch_unwind(AssertUnwindSafe(|| run_with(at(first), &set, &path, &config, &stop)));
        assert!(stopped.is_err() && stop.1.load(Ordering::Relaxed), "{out}");
        let report = run_with(at(second), &set, &path, &config, &Silent).unwrap();
        assert!((report.loss - own.loss).abs() < 1e-3 * own.loss, "{out}: {} {}", report.loss, own.loss);
        if first == second {
            assert_eq!(weights(out), weights("f32"));
        }
    }
}

#[test]
fn what_does_not_fit_is_told_before_a_tensor_is_drawn() {
    if !gpu("what_does_not_fit_is_told_before_a_tensor_is_drawn") {
        return;
    }
    let folder = Folder::new("cuda-fit");
    let set = folder.0.join("set");
    dataset(&set);
    let large = Config { layers: 2000, width: 8192, heads: 64, ..small(Architecture::Gpt) };
    let run = |config: &Config| {
        run_with(at(Place::Cuda(Precision::Bf16)), &set, &folder.0.join("out"), config, &Silent)
    };
    let told = run(&large).unwrap_err().to_string();
    assert!(told.contains("MiB"), "{told}");
    let told = run(&Config { memory_mib: 1 << 40, ..large }).unwrap_err().to_string();
    assert!(told.contains("MiB on the GPU, where"), "{told}");
    assert!(!folder.0.join("out/checkpoints").exists());
}

#[test]
fn what_does_not_run_there_is_told() {
    let told = |config: &Config| check(&model::<f32>(config, 12).shape).unwrap_err().to_string();
    let small = small(Architecture::Llama);
    let heads = told(&small);
    assert!(heads.contains("takes a head width that is a multiple of 8 of at most 256; it is 4"), "{heads}");
    let experts = told(&Config { experts: Some(3), ..small.clone() });
    assert!(experts.contains("a mixture of experts (`experts`) are not there"), "{experts}");
    let odd = Config { width: 36, heads: 3, kv_heads: 3, ..small };
    assert!(told(&odd).contains("takes a width that is a multiple of 8"), "{}", told(&odd));
    let behind = Config { norm_place: Some(NormPlace::After), activation: Some(Activation::GeGlu), ..odd };
    check(&model::<f32>(&sized(&behind, 16), 12).shape).unwrap();
}

#[test]
fn the_kernels_compile() {
    // SAFETY: it loads a library and runs what it runs when it is loaded.
    #[expect(unsafe_code, reason = "loading a library")]
    let present = unsafe { cudarc::nvrtc::sys::is_culib_present() };
    if !present {
        eprintln!("SKIPPED the_kernels_compile: no NVRTC here");
        return;
    }
    for (width, head, precision) in [
        (384, 64, Precision::Bf16),
        (64, 8, Precision::Bf16),
        (2048, 128, Precision::Bf16),
        (32, 8, Precision::F32),
    ] {
        for (stages, capability) in [(1, (8, 0)), (2, (9, 0))] {
            let (source, options) = Sizes { width, head, precision }.source(stages);
            let code = compile(&source, &options, capability);
            assert!(code.is_ok_and(|code| !code.is_empty()), "{width} {head} {precision:?}");
        }
    }
}
