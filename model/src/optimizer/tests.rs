//! Laws of both optimizers: steps are their definitions, and what a checkpoint keeps is all that they remember.

use super::*;
use crate::config::Architecture;
use crate::numeric::{numbers, parameter};
use crate::tests::{model, small};
use candle_core::Tensor;
use std::sync::Arc;

const ROWS: usize = 3;
const COLUMNS: usize = 7;

/// A matrix and a gain after steps of these settings.
fn stepped(config: &Config, steps: u64) -> (Optimizer, Vec<Vec<f32>>) {
    let parameters = [parameter::<f32>("w", &[ROWS, COLUMNS], 1), parameter::<f32>("gain", &[COLUMNS], 2)];
    let optimizer = Optimizer::new(&parameters, config);
    continued(&optimizer, 0..steps);
    let values = parameters.iter().map(|p| p.read(<[f32]>::to_vec).unwrap()).collect();
    (optimizer, values)
}

fn continued(optimizer: &Optimizer, steps: std::ops::Range<u64>) {
    for step in steps {
        for (at, learner) in optimizer.learners.iter().enumerate() {
            let fill = |gradient: &mut [f32], _| {
                gradient.copy_from_slice(&numbers(gradient.len(), 10 * step + at as u64));
            };
            learner.parameter.accumulate(fill);
        }
        optimizer.step(step, 0.01, 0.0).unwrap();
    }
}

fn both() -> [Config; 2] {
    [OptimizerKind::AdamW, OptimizerKind::Muon].map(|optimizer| Config { optimizer, ..Config::default() })
}

#[test]
fn a_restored_optimizer_goes_on_with_the_same_bits() {
    for config in both() {
        let straight = stepped(&config, 6).1;
        let (first, values) = stepped(&config, 3);
        let parameters =
            [parameter::<f32>("w", &[ROWS, COLUMNS], 1), parameter::<f32>("gain", &[COLUMNS], 2)];
        for (parameter, values) in parameters.iter().zip(values) {
            let value = parameter.value();
            value.set(&Tensor::from_vec(values, value.shape(), value.device()).unwrap()).unwrap();
        }
        let mut second = Optimizer::new(&parameters, &config);
        second.restore(first.state()).unwrap();
        continued(&second, 3..6);
        let found: Vec<Vec<f32>> = parameters.iter().map(|p| p.read(<[f32]>::to_vec).unwrap()).collect();
        assert_eq!(found, straight, "{:?}", config.optimizer);
        let error = second.restore(Named::new()).unwrap_err().to_string();
        assert!(error.contains("the checkpoint has no moments `"), "{error}");
    }
}

#[test]
fn adamw_is_its_definition() {
    let config = Config { l1: 0.3, ..Config::default() };
    let found = stepped(&config, 4).1;
    for (at, (found, decays)) in found.iter().zip([true, false]).enumerate() {
        let mut w: Vec<f64> = numbers(found.len(), at as u64 + 1);
        let (mut m, mut v) = (vec![0.0; w.len()], vec![0.0; w.len()]);
        for t in 1..=4 {
            let g: Vec<f64> = numbers(w.len(), 10 * (t as u64 - 1) + at as u64);
            for i in 0..w.len() {
                m[i] = config.beta1 * m[i] + (1.0 - config.beta1) * g[i];
                v[i] = config.beta2 * v[i] + (1.0 - config.beta2) * g[i] * g[i];
                let (m, v) = (m[i] / (1.0 - config.beta1.powi(t)), v[i] / (1.0 - config.beta2.powi(t)));
                let decay = if decays { config.weight_decay * w[i] } else { 0.0 };
                w[i] -= 0.01 * (m / (v.sqrt() + config.epsilon) + decay);
                if decays {
                    w[i] = (w[i].abs() - 0.01 * config.l1).max(0.0) * w[i].signum();
                }
            }
        }
        assert!(found.iter().zip(&w).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-5), "{found:?} {w:?}");
    }
}

#[test]
fn l1_makes_zeros_and_passes_none() {
    let mut values = vec![0.5, -0.5, 0.05, -0.05, 0.0];
    shrink(&mut values, 0.1);
    assert_eq!(values, [0.4, -0.4, 0.0, 0.0, 0.0]);
}

#[test]
fn a_gradient_above_the_norm_is_scaled_down_to_it() {
    // Without memory, AdamW's first moment after a step is (1 − β₁) times the gradient that it was given.
    let check = |clip_norm: f64, expected: f64| {
        let parameters = [parameter::<f32>("w", &[1, 2], 1)];
        let optimizer = Optimizer::new(&parameters, &Config { clip_norm, ..Config::default() });
        parameters[0].accumulate(|gradient, _| gradient.copy_from_slice(&[3.0, -4.0]));
        let norm = optimizer.gradient_norm();
        assert_eq!(norm, 5.0);
        optimizer.step(0, 0.01, norm).unwrap();
        let first = &optimizer.state()["first.w"].1;
        let found = first.iter().map(|m| f64::from(*m).powi(2)).sum::<f64>().sqrt() / 0.1;
        assert!((found - expected).abs() < 1e-5, "{clip_norm}: {found}");
    };
    check(1.0, 1.0);
    check(4.9, 4.9);
    check(5.1, 5.0);
    check(0.0, 5.0);
}

#[test]
fn every_tensor_learns_by_the_rule_of_its_role() {
    let check = |decay_on: DecayOn, expected: [bool; 3]| {
        for architecture in [Architecture::Llama, Architecture::Gpt] {
            let config =
                Config { optimizer: OptimizerKind::Muon, decay_on, tied_head: false, ..small(architecture) };
            let model = model(&config, 9);
            let optimizer = Optimizer::of(&model, &config);
            let (mut hidden, tables) = (0, model.tables().count());
            for learner in &optimizer.learners {
                let muon = matches!(*learner.state.lock().unwrap(), State::Muon(..));
                hidden += usize::from(muon);
                let table = model.tables().any(|t| Arc::ptr_eq(t, &learner.parameter));
                let vector = learner.parameter.value().rank() < 2;
                assert_eq!(muon, !table && !vector, "{}", learner.parameter.name());
                let expected = if table { expected[1] } else { expected[if vector { 2 } else { 0 }] };
                assert_eq!(learner.decays, expected, "{}", learner.parameter.name());
            }
            let (per_layer, all) = if architecture == Architecture::Gpt { (4, 3) } else { (7, 2) };
            assert_eq!((hidden, tables), (2 * per_layer, all));
        }
    };
    check(DecayOn::Matrices, [true, true, false]);
    check(DecayOn::Hidden, [true, false, false]);
    check(DecayOn::All, [true, true, true]);
}
