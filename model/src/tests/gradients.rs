//! Gradients of whole models: they are the numeric ones, and one that is missing stops a training.

use super::{NONE, compositions, model, small};
use crate::batch::{Batch, NO_TARGET};
use crate::checkpoint::Held;
use crate::config::{Architecture, Config};
use crate::data::Dataset;
use crate::eval::perplexity::Bytes;
use crate::layer::dropout::Dropout;
use crate::numeric::{Nudge, assert_numeric, parameter};
use crate::optimizer::Optimizer;
use crate::progress::Silent;
use crate::testing::{Folder, dataset, rows};
use crate::train::{Training, gradients};
use crate::{TrainError, architecture::Transformer};
use candle_core::Device;
use std::sync::Arc;

/// Compares the gradient of numbers of every tensor with a central difference, in f64.
fn check_gradients(config: &Config, length: u32) {
    let model: Transformer<f64> = model(config, u64::from(length));
    let dropout = Dropout { probability: config.dropout, seed: 3 };
    assert_gradients(&model, &Arc::new(Batch::new(&rows(2, length, 23, 5), 0)), dropout);
}

/// The same for a batch of any objective.
pub(crate) fn assert_gradients(model: &Transformer<f64>, batch: &Arc<Batch>, dropout: Dropout) {
    // Larger values than fresh ones, gains and biases off their neutral points: every term of the gradients counts.
    for (at, parameter) in model.parameters.iter().enumerate() {
        for i in 0..parameter.value().elem_count() {
            let draw = schemas::hash::Rng::new(at as u64).at(i as u64) as f64 / u64::MAX as f64 - 0.5;
            parameter.value().inplace_op1(&Nudge(i, 0.6 * draw)).unwrap();
        }
    }
    gradients(model, &[Arc::clone(batch)], 0.1, |_| dropout).unwrap();
    let loss = || {
        let mut tape = model.tape();
        tape.forward(model, batch, 0.1, dropout).unwrap() + tape.auxiliary()
    };
    let read = |g: Option<&[f64]>| g.expect("every tensor gets a gradient").to_vec();
    let found: Vec<Vec<f64>> = model.parameters.iter().map(|p| p.gradient(read)).collect();
    for (parameter, found) in model.parameters.iter().zip(found) {
        assert_numeric(parameter.name(), parameter.value(), &found, 5, &loss);
    }
}

#[test]
fn every_gradient_of_a_llama_is_the_numeric_one() {
    check_gradients(&small(Architecture::Llama), 9);
    check_gradients(&Config { tied_head: false, dropout: 0.3, ..small(Architecture::Llama) }, 9);
    // More than one block of queries, and pieces that begin inside blocks.
    check_gradients(&Config { layers: 1, ..small(Architecture::Llama) }, 150);
}

#[test]
fn every_gradient_of_a_gpt_is_the_numeric_one() {
    check_gradients(&small(Architecture::Gpt), 9);
    check_gradients(&Config { tied_head: false, dropout: 0.3, ..small(Architecture::Gpt) }, 9);
}

#[test]
fn every_gradient_of_every_composition_is_the_numeric_one() {
    for (name, config) in compositions() {
        println!("{name}");
        check_gradients(&Config { dropout: 0.2, ..config }, 9);
    }
}

/// The short `exp` and all sums in single precision cost no more than single precision itself.
#[test]
fn gradients_in_f32_are_those_in_f64() {
    for architecture in [Architecture::Llama, Architecture::Gpt] {
        let (single, double) =
            (model::<f32>(&small(architecture), 40), model::<f64>(&small(architecture), 40));
        let batch = Arc::new(Batch::new(&rows(3, 40, 23, 5), 0));
        let loss = gradients(&single, &[Arc::clone(&batch)], 0.01, |_| NONE).unwrap();
        let exact = gradients(&double, &[batch], 0.01, |_| NONE).unwrap();
        assert!((loss - exact).abs() < 1e-6 * exact, "{loss} {exact}");
        for (single, double) in single.parameters.iter().zip(&double.parameters) {
            let exact = double.gradient(|g| g.unwrap().to_vec());
            let greatest = exact.iter().fold(0.0_f64, |greatest, x| greatest.max(x.abs()));
            single.gradient(|found| {
                for (found, exact) in found.unwrap().iter().zip(&exact) {
                    let error = (f64::from(*found) - exact).abs();
                    assert!(error <= 2e-5 * greatest, "{}: {found} {exact} of {greatest}", single.name());
                }
            });
        }
    }
}

/// Runs a training whose model was tampered with before the first step.
fn tampered(name: &str, config: &Config, tamper: impl FnOnce(&mut Training<'_>)) -> Result<(), TrainError> {
    let folder = Folder::new(name);
    dataset(&folder.0);
    let dataset = Dataset::open(&folder.0).unwrap();
    let out = folder.0.join("out");
    let mut training = Training::open(
        (&dataset, Bytes::of_dataset(&dataset)?),
        Held::take(&out).unwrap(),
        config,
        crate::device::Place::Cpu,
        &Silent,
    )?;
    tamper(&mut training);
    training.work()
}

#[test]
fn a_parameter_that_never_reaches_the_loss_stops_the_training_by_name() {
    let config = Config { steps: 3, eval_every: 0, ..small(Architecture::Llama) };
    tampered("whole", &config, |_| {}).unwrap();
    let orphan = tampered("orphan", &config, |training| {
        training.model.parameters.push(parameter("model.layers.1.forgotten.weight", &[2, 3], 1));
        training.optimizer = Optimizer::new(&training.model.parameters, &config);
    });
    let error = orphan.unwrap_err();
    assert!(matches!(error, TrainError::NoGradient { .. }), "{error}");
    assert!(
        error.to_string().contains("step 0: tensor `model.layers.1.forgotten.weight` received no"),
        "{error}"
    );
    // A block that the forward pass leaves out.
    let error = tampered("skipped", &config, |training| drop(training.model.blocks.pop())).unwrap_err();
    assert!(error.to_string().contains("tensor `model.layers.1.input_layernorm.weight`"), "{error}");
    // A copy learns in place of the tensor of that name.
    let error = tampered("copy", &Config { tied_head: false, ..config.clone() }, |training| {
        training.model.head = parameter("copy", training.model.head.value().dims(), 1);
    });
    let error = error.unwrap_err();
    assert!(error.to_string().contains("tensor `lm_head.weight`"), "{error}");
}

#[test]
fn a_gradient_of_zeros_is_not_a_missing_one() {
    let config =
        Config { learning_rate: 0.0, learning_rate_min: Some(0.0), steps: 2, ..small(Architecture::Gpt) };
    tampered("no-rate", &config, |_| {}).unwrap();
    // Nothing but zeros behind a head of zeros.
    tampered("zeros", &Config { tied_head: false, ..config.clone() }, |training| {
        let count = training.model.head.value().elem_count();
        let zeros = candle_core::Tensor::zeros(count, candle_core::DType::F32, &Device::Cpu).unwrap();
        let zeros = zeros.reshape(training.model.head.value().shape()).unwrap();
        training.model.head.value().set(&zeros).unwrap();
    })
    .unwrap();
    // No target in the whole step, and most tokens of the vocabulary never read.
    let model: Transformer<f32> = model(&config, 9);
    let mut batch = Batch::new(&rows(1, 9, 23, 5), 0);
    batch.targets.fill(NO_TARGET);
    assert_eq!(gradients(&model, &[Arc::new(batch)], 1.0, |_| NONE).unwrap(), 0.0);
    let optimizer = Optimizer::new(&model.parameters, &config);
    optimizer.assert_every_gradient(0).unwrap();
    assert_eq!(optimizer.gradient_norm(), 0.0);
}
