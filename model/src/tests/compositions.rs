//! Models whose parts are put together by settings: every law holds for all of them.

use super::{NONE, StopAt, model, small};
use crate::architecture::{Transformer, json};
use crate::batch::Batch;
use crate::config::{Activation, Architecture, Config, InitScheme, NormKind, NormPlace, Positions};
use crate::folder;
use crate::layer::dropout::Dropout;
use crate::optimizer::Optimizer;
use crate::progress::Silent;
use crate::testing::{Folder, dataset, rows};
use crate::train::{gradients, run};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Small models that have every part between them: a name, and the settings.
pub(crate) fn compositions() -> Vec<(&'static str, Config)> {
    let of = |architecture, change: fn(&mut Config)| {
        let mut config = small(architecture);
        change(&mut config);
        config
    };
    let (llama, gpt) = (Architecture::Llama, Architecture::Gpt);
    vec![
        ("llama", small(llama)),
        ("gpt", small(gpt)),
        ("falcon", small(Architecture::Falcon)),
        ("falcon with groups", of(Architecture::Falcon, |c| c.kv_heads = 2)),
        ("bert", small(Architecture::Bert)),
        (
            "gpt with alibi and a window",
            of(gpt, |c| (c.positions, c.window) = (Some(Positions::Alibi), Some(4))),
        ),
        (
            "llama with alibi",
            of(llama, |c| (c.positions, c.heads, c.kv_heads) = (Some(Positions::Alibi), 2, 1)),
        ),
        ("gpt without positions", of(gpt, |c| c.positions = Some(Positions::None))),
        ("parallel without biases", of(gpt, |c| (c.parallel, c.biases) = (Some(true), Some(false)))),
        ("norms behind, rms", of(llama, |c| (c.norm_place, c.biases) = (Some(NormPlace::After), Some(true)))),
        (
            "small init, silu",
            of(gpt, |c| (c.init, c.activation) = (InitScheme::Small, Some(Activation::Silu))),
        ),
        (
            "geglu, truncated",
            of(gpt, |c| (c.activation, c.init) = (Some(Activation::GeGlu), InitScheme::Truncated)),
        ),
        ("mixture", of(llama, |c| c.experts = Some(3))),
        ("switch", of(gpt, |c| (c.experts, c.experts_active, c.experts_balance) = (Some(4), 1, 0.1))),
        ("parallel mixture", of(Architecture::Falcon, |c| c.experts = Some(3))),
        ("recurrences", of(llama, |c| c.mixers = Some("r".into()))),
        ("hybrid", of(llama, |c| (c.mixers, c.window, c.layers) = (Some("rra".into()), Some(3), 3))),
        ("recurrent bert", of(Architecture::Bert, |c| c.mixers = Some("ar".into()))),
        ("batch norm", of(gpt, |c| c.norm = Some(NormKind::Batch))),
        ("parallel batch norm", of(Architecture::Falcon, |c| c.norm = Some(NormKind::Batch))),
    ]
}

/// A folder gives back the shape and the logits; one that `transformers` has is told apart from one that it does not.
#[test]
fn every_composition_is_saved_and_read() {
    let folder = Folder::new("compositions");
    for (name, config) in compositions() {
        let model: Transformer<f32> = model(&Config { init: InitScheme::Gpt2, ..config }, 12);
        // Running statistics off their first values.
        let batch = Arc::new(Batch::new(&rows(3, 12, 23, 5), 0));
        gradients(&model, &[batch], 1.0, |_| NONE).unwrap();
        folder::save(&model, &folder.0).unwrap();
        let read = folder::load(&folder.0).unwrap();
        let weights = |shape: &crate::architecture::Shape| {
            // A published configuration has no place for the z-loss of routers.
            let experts = shape.experts.map(|e| crate::architecture::ExpertShape { router_z: 0.0, ..e });
            crate::architecture::Shape { experts, ..shape.clone() }
        };
        assert_eq!(weights(&read.shape), weights(&model.shape), "{name}");
        let logits =
            |model: &Transformer<f32>| model.next_logits(&[3, 1, 4, 1, 5], &mut model.caches(), 0).unwrap();
        assert_eq!(logits(&read), logits(&model), "{name}");
    }
}

#[test]
fn what_transformers_has_is_written_as_it_reads_it() {
    let published =
        |config: &Config| json::config_json(&model::<f32>(config, 12).shape)["model_type"].clone();
    for (name, config) in compositions() {
        let expected = match name {
            "llama" => "llama",
            "gpt" | "small init, silu" if config.activation.is_none() => "gpt2",
            "falcon" | "falcon with groups" => "falcon",
            "bert" => "bert",
            "mixture" => "mixtral",
            _ => "gristmill",
        };
        assert_eq!(published(&config), expected, "{name}");
    }
    assert_eq!(published(&Config { window: Some(4), ..small(Architecture::Llama) }), "mistral");
}

#[test]
fn threads_change_no_bit_of_any_composition() {
    for (name, config) in compositions() {
        let of = |threads: usize| {
            let model: Transformer<f32> = model(&config, 70);
            let batches = [1, 2].map(|seed| Arc::new(Batch::new(&rows(3, 70, 23, seed), 0)));
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let dropout = |micro| Dropout { probability: 0.1, seed: micro };
            let loss = pool.install(|| gradients(&model, &batches, 0.01, dropout).unwrap());
            let parameters = model.parameters.iter().map(|p| p.gradient(|g| g.unwrap().to_vec()));
            let buffers = model.buffers.iter().map(|b| b.read(<[f32]>::to_vec).unwrap());
            (loss, parameters.chain(buffers).collect::<Vec<_>>())
        };
        assert!(of(1) == of(2), "{name}");
    }
}

/// Each learns a batch by heart, further than any model that looks at one token at a time could.
#[test]
fn every_composition_learns() {
    for (name, config) in compositions() {
        let model: Transformer<f32> = model(&config, 16);
        let batch = Arc::new(Batch::new(&rows(3, 16, 23, 5), 0));
        let optimizer = Optimizer::of(&model, &config);
        let scale = 1.0 / batch.targets_count() as f64;
        let mut losses = vec![];
        for step in 0..60 {
            losses.push(gradients(&model, &[Arc::clone(&batch)], scale, |_| NONE).unwrap());
            optimizer.assert_every_gradient(step).unwrap();
            optimizer.step(step, 0.02, optimizer.gradient_norm()).unwrap();
        }
        assert!(losses[0] > 2.9 && losses[59] < 0.5, "{name}: {} to {}", losses[0], losses[59]);
    }
}

/// Running statistics, states and routes included.
#[test]
fn a_resumed_composition_ends_with_the_same_bytes() {
    let folder = Folder::new("compositions-resume");
    let data = folder.0.join("dataset");
    dataset(&data);
    let wanted = ["batch norm", "hybrid", "mixture", "bert"];
    for (name, config) in compositions().into_iter().filter(|(name, _)| wanted.contains(name)) {
        let config = Config { steps: 6, checkpoint_every: 2, accumulate: 2, dropout: 0.1, ..config };
        let (straight, resumed) = (folder.0.join(format!("{name} 1")), folder.0.join(format!("{name} 2")));
        let report = run(&data, &straight, &config, &Silent).unwrap();
        let observer = StopAt(5, AtomicBool::new(false));
        let attempt = std::panic::AssertUnwindSafe(|| run(&data, &resumed, &config, &observer));
        assert!(std::panic::catch_unwind(attempt).is_err());
        assert_eq!(run(&data, &resumed, &config, &Silent).unwrap(), report, "{name}");
        for file in ["model.safetensors", "config.json", "metrics.jsonl"] {
            let read = |out: &std::path::Path| std::fs::read(out.join(file)).unwrap();
            assert!(read(&straight) == read(&resumed), "{name}: {file}");
        }
    }
}

/// The load of experts, as metrics tell it.
#[test]
fn every_choice_falls_on_an_expert() {
    let model: Transformer<f32> = model(&Config { experts: Some(3), ..small(Architecture::Llama) }, 16);
    let batch = Arc::new(Batch::new(&rows(4, 16, 23, 5), 0));
    gradients(&model, &[batch], 1.0, |_| NONE).unwrap();
    let load = model.expert_load();
    assert_eq!(load.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
    assert!(load.iter().all(|layer| (layer.iter().sum::<f64>() - 1.0).abs() < 1e-12));
}
