//! Laws of all programs: nothing leaks into its own prediction, masks follow from the key alone, gradients are right.

use super::{Languages, Program, Sample};
use crate::batch::{Batch, NO_TARGET, Row};
use crate::config::{Architecture, Objective};
use crate::layer::dropout::Dropout;
use crate::tests::gradients::assert_gradients;
use crate::tests::{model_with, small};
use schemas::hash::Rng;
use std::sync::Arc;

/// Size of the vocabulary; the token behind it is the mask.
const VOCAB: u32 = 23;
/// All of them.
pub(crate) const OBJECTIVES: [Objective; 6] = [
    Objective::Causal,
    Objective::Masked,
    Objective::Permutation,
    Objective::Prefix,
    Objective::Unified,
    Objective::Translation,
];

/// A program that hides so much that short rows have targets.
pub(crate) fn program(objective: Objective) -> Program {
    Program {
        objective,
        mask: (!matches!(objective, Objective::Causal | Objective::Prefix)).then_some(VOCAB),
        mask_probability: 0.4,
        predicted_share: 0.4,
        languages: match objective {
            Objective::Translation => vec!["deu".to_owned(), "eng".to_owned()],
            _ => vec![],
        },
        language_ids: vec![0, 1],
        ..Program::causal(0, VOCAB)
    }
}

/// Rows of a piece cut out of a document, a pair of two texts, and two tokens of padding.
pub(crate) fn samples(count: u64, key: u64) -> Vec<Sample> {
    let sample = |number| {
        let mut rng = Rng::new(key + number);
        let mut ids: Vec<u32> = (0..17).map(|_| 1 + rng.below(u64::from(VOCAB) - 1) as u32).collect();
        (ids[9], ids[14]) = (0, 0);
        let row =
            Row { ids, piece_lengths: vec![5, 10], begins: vec![false, true], padding: 2, mask: vec![] };
        let languages = vec![Languages { first: 1, second: None }, Languages { first: 1, second: Some(0) }];
        Sample { row, key: 100 * key + number, languages }
    };
    (0..count).map(sample).collect()
}

#[test]
fn gradients_are_the_numeric_ones() {
    // One or the other shape: masks and positions reach both in the same places.
    for (objective, architecture) in
        OBJECTIVES.into_iter().zip([Architecture::Llama, Architecture::Gpt].repeat(3))
    {
        let model = model_with::<f64>(&small(architecture), 17, program(objective));
        let batch = program(objective).batch(&samples(2, 3));
        assert!(batch.targets_count() > 3, "{objective:?}");
        assert_gradients(&model, &Arc::new(batch), Dropout::NONE);
    }
}

#[test]
fn a_batch_is_its_rows_side_by_side() {
    for objective in OBJECTIVES {
        let (program, samples) = (program(objective), samples(8, 5));
        let whole = program.batch(&samples);
        assert_eq!(whole, program.batch(&samples), "{objective:?}");
        let list = |of: &dyn Fn(&Batch, usize) -> u32| {
            let row = |batch: &Batch, number: usize| -> Vec<u32> {
                let tokens = number * batch.length..(number + 1) * batch.length;
                // Rows of two streams are as long as the longest needs.
                tokens.filter(|&at| batch.ends[at] > 0).map(|at| of(batch, at)).collect()
            };
            for (number, sample) in samples.iter().enumerate() {
                let alone = program.batch(std::slice::from_ref(sample));
                assert_eq!(row(&whole, number), row(&alone, 0), "{objective:?}");
            }
        };
        list(&|batch, at| batch.ids[at]);
        list(&|batch, at| batch.targets[at]);
        list(&|batch, at| batch.positions[at]);
        list(&|batch, at| batch.starts[at]);
        list(&|batch, at| batch.ends[at]);
        list(&|batch, at| batch.languages.get(at).copied().unwrap_or(9));
        list(&|batch, at| batch.order.as_ref().map_or(0, |order| order.ranks[at]));
        list(&|batch, at| batch.order.as_ref().map_or(0, |order| order.limits[at]));
        // Another key, other masks.
        let mut others = samples.clone();
        others.iter_mut().for_each(|sample| sample.key += 1_000_000);
        assert_eq!(whole == program.batch(&others), objective == Objective::Causal, "{objective:?}");
    }
}

/// For each target of a row its place among the inputs, and which inputs change its loss.
fn influences(program: &Program, sample: &Sample) -> Vec<(usize, Vec<bool>)> {
    let model = model_with::<f64>(&small(Architecture::Llama), 17, program.clone());
    let batch = program.batch(std::slice::from_ref(sample));
    let losses = model.target_losses(&batch).unwrap();
    let inputs = sample.row.ids.len();
    let changed: Vec<Vec<f64>> = (0..inputs)
        .map(|at| {
            let mut other = batch.clone();
            other.ids[at] = (other.ids[at] + 7) % VOCAB;
            model.target_losses(&other).unwrap()
        })
        .collect();
    let targets = (0..batch.ids.len()).filter(|&at| batch.targets[at] != NO_TARGET);
    let of = |at: usize| {
        (place(&batch, at, inputs), changed.iter().map(|losses_of| losses_of[at] != losses[at]).collect())
    };
    targets.map(of).collect()
}

/// Where the token of a query stands among the inputs.
fn place(batch: &Batch, at: usize, inputs: usize) -> usize {
    if at < inputs { at } else { batch.starts[at] as usize + batch.positions[at] as usize }
}

/// The piece of an input.
fn piece(at: usize) -> std::ops::Range<usize> {
    if at < 5 { 0..5 } else { 5..15 }
}

/// Checks each target's influences against `expected(target, input)` of a row, where it knows.
fn check(objective: Objective, expected: impl Fn(&Sample, usize, usize) -> Option<bool>) {
    let mut count = 0;
    for sample in samples(20, 7) {
        for (target, seen) in influences(&program(objective), &sample) {
            for (input, &seen) in seen.iter().enumerate() {
                let is_near = piece(target).contains(&input) && input < 15;
                assert!(
                    is_near || !seen,
                    "{objective:?}: another document reaches a prediction: {input} → {target}"
                );
                let expected = expected(&sample, target, input).filter(|_| is_near);
                assert!(
                    expected.is_none_or(|expected| expected == seen),
                    "{objective:?}: {input} → {target}: {seen}"
                );
                count += 1;
            }
        }
    }
    assert!(count > 500, "{objective:?}: {count}");
}

#[test]
fn causal_predictions_depend_on_what_stands_before() {
    // The first input of a piece cut out of a document stands for nothing.
    check(Objective::Causal, |_, target, input| Some(input <= target && input != 0));
}

#[test]
fn masked_predictions_depend_on_the_whole_piece() {
    check(Objective::Masked, |_, _, _| Some(true));
    check(Objective::Translation, |_, _, _| Some(true));
}

#[test]
fn a_prefix_does_not_see_what_is_predicted_from_it() {
    for sample in samples(20, 7) {
        let found = influences(&program(Objective::Prefix), &sample);
        for piece in [1..5, 5..15] {
            let of_piece: Vec<_> = found.iter().filter(|(target, _)| piece.contains(target)).collect();
            // The first target of a piece sees the prefix and nothing else; the others what stands before them.
            let first = of_piece.iter().map(|(target, _)| *target).min().unwrap();
            assert_eq!(of_piece.len(), piece.end - first, "all behind the prefix are predicted");
            for (target, seen) in of_piece {
                let expected = piece.clone().filter(|input| input <= target).collect::<Vec<_>>();
                let seen = (0..seen.len()).filter(|&input| seen[input]).collect::<Vec<_>>();
                assert_eq!(seen, expected, "target {target}, prefix {}..={first}", piece.start);
            }
        }
    }
    // And the prefix sees itself as a whole.
    let batch = program(Objective::Prefix).batch(&samples(20, 7));
    assert!((0..batch.ids.len()).any(|at| batch.ends[at] as usize > at % batch.length + 1));
}

#[test]
fn what_comes_later_in_a_permutation_reaches_no_prediction() {
    for sample in samples(20, 7) {
        let found = influences(&program(Objective::Permutation), &sample);
        let targets: Vec<usize> = found.iter().map(|(target, _)| *target).collect();
        for (target, seen) in &found {
            for (input, &is_seen) in seen.iter().enumerate().take(15) {
                let expected = match targets.iter().position(|&other| other == input) {
                    // Of two that are predicted, one comes first; none sees itself.
                    Some(_) if input == *target => Some(false),
                    Some(other) if piece(*target).contains(&input) => Some(!found[other].1[*target]),
                    _ => Some(piece(*target).contains(&input)),
                };
                assert_eq!(Some(is_seen), expected, "{input} → {target}");
            }
            assert!(!seen[15] && !seen[16], "padding");
        }
    }
}

#[test]
fn a_unified_row_has_one_of_four_masks() {
    let mut kinds = [0; 4];
    for sample in samples(60, 7) {
        let found = influences(&program(Objective::Unified), &sample);
        for piece in [0..5, 5..15] {
            let of_piece: Vec<_> = found.iter().filter(|(target, _)| piece.contains(target)).collect();
            let fits = |law: &dyn Fn(usize, usize) -> bool| {
                of_piece.iter().all(|(target, seen)| {
                    (0..seen.len())
                        .all(|input| seen[input] == (piece.contains(&input) && law(*target, input)))
                })
            };
            let source = |end: usize| {
                move |target: usize, input: usize| input < end || (target >= end && input <= target)
            };
            let fitting = [
                fits(&|_, _| true),
                fits(&|target, input| input <= target),
                fits(&|target, input| input >= target),
                (piece.start + 1..piece.end).any(|end| fits(&source(end))),
            ];
            assert!(fitting.contains(&true), "{:?}: {of_piece:?}", sample.row);
            fitting.iter().zip(&mut kinds).for_each(|(fits, kind)| *kind += u32::from(*fits));
        }
    }
    assert!(kinds.iter().all(|&count| count > 10), "{kinds:?}");
}

/// Changes what was hidden: inputs, visibility and all other targets stay as they are.
#[test]
fn a_hidden_token_is_told_by_nothing_but_its_input() {
    for objective in OBJECTIVES.into_iter().filter(|objective| program(*objective).mask.is_some()) {
        let program = program(objective);
        let mut hidden = 0;
        for sample in samples(20, 9) {
            let batch = program.batch(std::slice::from_ref(&sample));
            let inputs = sample.row.ids.len();
            let masked =
                (0..batch.ids.len()).filter(|&at| batch.targets[at] != NO_TARGET && batch.ids[at] == VOCAB);
            for at in masked {
                let place = place(&batch, at, inputs);
                let mut other = sample.clone();
                other.row.ids[place] = 1 + other.row.ids[place] % (VOCAB - 1);
                let mut expected = batch.clone();
                expected.targets[at] = other.row.ids[place];
                if objective == Objective::Permutation {
                    // The content stream holds it, which its own query does not see.
                    expected.ids[place] = other.row.ids[place];
                }
                assert_eq!(program.batch(&[other]), expected, "{objective:?}");
                hidden += 1;
            }
        }
        assert!(hidden > 50, "{objective:?}: {hidden}");
    }
}

#[test]
fn shares_are_those_of_the_settings() {
    for (objective, share) in
        [(Objective::Masked, 0.15), (Objective::Unified, 0.15), (Objective::Permutation, 0.167)]
    {
        let program = Program { mask_probability: share, predicted_share: share, ..program(objective) };
        let ids = vec![5; 512];
        let row =
            Row { ids, piece_lengths: vec![500, 12], begins: vec![true, true], padding: 0, mask: vec![] };
        let samples: Vec<Sample> =
            (0..200).map(|key| Sample { row: row.clone(), key, languages: vec![] }).collect();
        let batch = program.batch(&samples);
        let found = batch.targets_count() as f64 / (200.0 * 512.0);
        assert!((found - share).abs() < 0.006, "{objective:?}: {found}");
        if objective == Objective::Masked {
            let hidden = || (0..batch.ids.len()).filter(|&at| batch.targets[at] != NO_TARGET);
            let of =
                |id: u32| hidden().filter(|&at| batch.ids[at] == id).count() as f64 / hidden().count() as f64;
            // A random token is the hidden one itself once in 23 draws.
            assert!(
                (of(VOCAB) - 0.8).abs() < 0.02 && (of(5) - 0.1 - 0.1 / 23.0).abs() < 0.02,
                "{} {}",
                of(VOCAB),
                of(5)
            );
        }
    }
}

/// One token is predicted from all others of its piece, itself left out.
#[test]
fn a_token_alone_sees_all_others_of_its_piece() {
    for objective in OBJECTIVES.into_iter().filter(|objective| program(*objective).mask.is_some()) {
        let program = program(objective);
        let model = model_with::<f64>(&small(Architecture::Gpt), 17, program.clone());
        let sample = samples(1, 6).remove(0);
        assert_eq!(sample.places(0).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13]);
        let loss = |sample: &Sample| {
            let batch = program.alone(&[(sample, 7), (sample, 2)]).unwrap();
            assert_eq!(batch.targets_count(), 2);
            let losses = model.target_losses(&batch).unwrap();
            losses[..batch.length].iter().sum::<f64>()
        };
        for at in 0..17 {
            let mut other = sample.clone();
            other.row.ids[at] = (other.row.ids[at] + 7) % VOCAB;
            let is_near = (5..15).contains(&at);
            // Of the token itself only what is predicted changes.
            assert_eq!(loss(&other) != loss(&sample), is_near, "{objective:?}: {at}");
        }
        // What the model sees of it is nothing: the inputs are the same but for the content that its query does not see.
        let mut other = sample.clone();
        other.row.ids[7] = 1 + other.row.ids[7] % (VOCAB - 1);
        let [first, second] = [&sample, &other].map(|sample| program.alone(&[(sample, 7)]).unwrap());
        let mut expected = first.clone();
        let target = first.targets.iter().position(|&target| target != NO_TARGET).unwrap();
        expected.targets[target] = other.row.ids[7];
        if objective == Objective::Permutation {
            expected.ids[7] = other.row.ids[7];
        }
        assert_eq!(second, expected, "{objective:?}");
    }
}

#[test]
fn what_is_not_learned_is_not_predicted() {
    for objective in OBJECTIVES {
        let mut sample = samples(1, 4).remove(0);
        sample.row.mask = vec![false; 17];
        assert_eq!(program(objective).batch(&[sample]).targets_count(), 0, "{objective:?}");
    }
}
