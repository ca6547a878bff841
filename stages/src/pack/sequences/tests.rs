//! Laws of packing: every token once and in order, rows whole, few padded, the same whatever the order of the input.

use super::*;
use arrow::array::{Array, ArrayRef, AsArray as _, Int32Array, ListArray, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Int32Type};
use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};
use schemas::hash::Rng;
use schemas::memory::{self, Regrouped};
use std::collections::BTreeMap;
use std::sync::Arc;

type Documents = Vec<(String, Vec<i32>)>;
type Found = Vec<(Vec<i32>, i32, Vec<(String, i32, i32)>)>;

fn list(lengths: impl Iterator<Item = usize>, values: ArrayRef) -> ArrayRef {
    let item = Arc::new(Field::new("item", values.data_type().clone(), false));
    Arc::new(ListArray::new(item, OffsetBuffer::from_lengths(lengths), values, None))
}

fn input(documents: &[(String, Vec<i32>)]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(documents.iter().map(|(id, _)| id)));
    let values =
        Arc::new(Int32Array::from_iter_values(documents.iter().flat_map(|(_, tokens)| tokens.clone())));
    let tokens = list(documents.iter().map(|(_, tokens)| tokens.len()), values);
    RecordBatch::try_from_iter([(ID, ids), (TOKENS, tokens)]).unwrap()
}

fn made(config: &Config, batches: &[RecordBatch]) -> Result<Regrouped, StageError> {
    let pack = Pack::new(config.clone()).map_err(|errors| StageError::Invalid(errors[0].to_string()))?;
    memory::regroup(&pack, batches)
}

/// Packs as the house does: records of all batches, sorted, one folder after the other.
fn pack(config: &Config, documents: &[(String, Vec<i32>)], rows_per_batch: usize) -> [Found; 2] {
    let batches: Vec<RecordBatch> = documents.chunks(rows_per_batch).map(input).collect();
    let made = made(config, &batches).unwrap();
    let found = |batches: &Vec<RecordBatch>| {
        let rows = batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| read(batch, row)));
        rows.collect::<Found>()
    };
    [found(&made.folders[0]), found(&made.folders[1])]
}

fn read(batch: &RecordBatch, row: usize) -> (Vec<i32>, i32, Vec<(String, i32, i32)>) {
    let numbers = |name| {
        let values = batch.column_by_name(name).unwrap().as_list::<i32>().value(row);
        values.as_primitive::<Int32Type>().values().to_vec()
    };
    let ids = batch.column_by_name(token::DOC_IDS).unwrap().as_list::<i32>().value(row);
    let ids: Vec<String> = ids.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
    let pieces = ids.into_iter().zip(numbers(token::DOC_OFFSETS)).zip(numbers(token::DOC_LENS));
    let pad = batch.column_by_name(token::PAD).unwrap().as_primitive::<Int32Type>().value(row);
    (numbers(token::INPUT_IDS), pad, pieces.map(|((id, offset), length)| (id, offset, length)).collect())
}

/// The documents that the rows hold, put together by id and offset, every row checked on the way.
fn unpack(rows: &Found, length: usize) -> Documents {
    let mut pieces: BTreeMap<(String, i32), Vec<i32>> = BTreeMap::new();
    for (ids, pad, row) in rows {
        assert_eq!(ids.len(), length);
        let lengths: i32 = row.iter().map(|(_, _, length)| length).sum();
        assert_eq!((lengths + pad) as usize, length);
        assert!(ids[lengths as usize..].iter().all(|&id| id == 0));
        let mut at = 0;
        for (id, offset, length) in row {
            let end = at + *length as usize;
            let twice = pieces.insert((id.clone(), *offset), ids[at..end].to_vec());
            assert_eq!(twice, None, "{id} at {offset} is there twice");
            at = end;
        }
    }
    let mut documents: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for ((id, offset), tokens) in pieces {
        let document = documents.entry(id).or_default();
        assert_eq!(document.len(), offset as usize);
        document.extend(tokens);
    }
    documents.into_iter().collect()
}

fn documents(lengths: &[usize]) -> Documents {
    let tokens =
        |document: usize, length: usize| (0..length).map(|at| (document * 1000 + at + 1) as i32).collect();
    lengths.iter().enumerate().map(|(at, &length)| (format!("{at:032x}"), tokens(at, length))).collect()
}

fn config(length: u64, method: Method) -> Config {
    Config { length, method, validation: 0.0, ..Config::default() }
}

/// Lengths of the pieces of each row, rows and pieces sorted.
fn shape(method: Method, lengths: &[usize]) -> Vec<Vec<i32>> {
    let [rows, _] = pack(&config(8, method), &documents(lengths), 2);
    let mut shape: Vec<Vec<i32>> = rows
        .into_iter()
        .map(|(_, _, pieces)| {
            let mut lengths: Vec<i32> = pieces.into_iter().map(|(_, _, length)| length).collect();
            lengths.sort_unstable();
            lengths
        })
        .collect();
    shape.sort();
    shape
}

#[test]
fn best_fit_takes_the_fullest_row_that_has_room() {
    assert_eq!(shape(Method::BestFit, &[]), [[0; 0]; 0]);
    assert_eq!(shape(Method::BestFit, &[5, 3]), [[3, 5]]);
    assert_eq!(shape(Method::BestFit, &[11, 5]), [vec![3, 5], vec![8]]);
    assert_eq!(shape(Method::BestFit, &[7, 6, 2, 1]), [[1, 7], [2, 6]]);
    assert_eq!(shape(Method::BestFit, &[4, 4, 4]), [vec![4], vec![4, 4]]);
    assert_eq!(shape(Method::BestFit, &[0, 16]), [[8], [8]]);
}

#[test]
fn concat_pads_the_last_row_alone() {
    assert_eq!(shape(Method::Concat, &[]), [[0; 0]; 0]);
    assert_eq!(shape(Method::Concat, &[8]), [[8]]);
    assert_eq!(shape(Method::Concat, &[17]), [[1], [8], [8]]);
    assert_eq!(shape(Method::Concat, &[3, 3]), [[3, 3]]);
}

#[test]
fn documents_that_cannot_be_packed_are_dropped_with_a_reason() {
    let batch = input(&[("a".into(), vec![]), ("b".into(), vec![1, -2]), ("c".into(), vec![1])]);
    let mut records = Records::default();
    let outcome = Pack::new(Config::default()).unwrap().map(&batch, &mut records).unwrap();
    let expected = [Drop::Empty.verdict(0.0, 1.0), Drop::NegativeId.verdict(-2.0, 0.0), Verdict::Kept];
    assert_eq!(outcome.verdicts, expected);
    assert_eq!(records.len(), 1);
}

#[test]
fn a_sliced_batch_packs_its_own_rows() {
    let all = documents(&[3, 4, 5]);
    let mut records = Records::default();
    let pack = Pack::new(config(8, Method::BestFit)).unwrap();
    pack.map(&input(&all).slice(1, 1), &mut records).unwrap();
    let piece = piece::read(records.iter().next().unwrap()).unwrap();
    assert_eq!((piece.document.to_owned(), piece.tokens().collect::<Vec<_>>()), all[1].clone());
}

#[test]
fn a_row_may_be_a_document() {
    let all = documents(&[3, 40, 5, 1, 0]);
    let config = Config { layout: Layout::Documents, ..config(8, Method::BestFit) };
    let [mut rows, _] = pack(&config, &all, 2);
    assert_eq!(
        [rows.clone(), Found::new()],
        pack(&config, &all.iter().rev().cloned().collect::<Vec<_>>(), 3)
    );
    rows.sort_by_key(|row| row.2[0].0.clone());
    let expected: Found = all[..4]
        .iter()
        .map(|(id, tokens)| (tokens.clone(), 0, vec![(id.clone(), 0, tokens.len() as i32)]))
        .collect();
    assert_eq!(rows, expected);
}

#[test]
fn a_mask_goes_with_its_tokens() {
    let all = documents(&[11, 5, 3, 2]);
    let learned = |id: i32| id % 3 == 0;
    let batch = input(&all);
    let masks = all.iter().map(|(_, tokens)| tokens.len());
    // The last document has a mask that is too short.
    let masks = list(masks.map(|n| if n == 2 { 1 } else { n }), {
        let values = all.iter().flat_map(|(_, tokens)| tokens.iter().copied()).take(20);
        Arc::new(values.map(|id| Some(learned(id))).collect::<arrow::array::BooleanArray>())
    });
    let batch = RecordBatch::try_from_iter([
        (ID, batch.column(0).clone()),
        (TOKENS, batch.column(1).clone()),
        (token::LOSS_MASK, masks),
    ])
    .unwrap();
    for method in [Method::BestFit, Method::Concat] {
        let made = made(&config(8, method), std::slice::from_ref(&batch)).unwrap();
        let dropped = Drop::MaskLength.verdict(1.0, 2.0);
        assert_eq!(made.outcomes[0].verdicts[3], dropped);
        let rows = &made.folders[0][0];
        assert_eq!(rows.schema(), token::schema_with(true, false));
        let ids = rows.column(0).as_list::<i32>();
        let (ids, masks) =
            (ids.values().as_primitive::<Int32Type>(), rows.column(1).as_list::<i32>().values());
        let masks: Vec<bool> = masks.as_boolean().iter().flatten().collect();
        assert_eq!(masks, ids.values().iter().map(|&id| id != 0 && learned(id)).collect::<Vec<_>>());
        assert!(masks.iter().any(|&learned| learned));
    }
}

#[test]
fn the_seed_decides_order_and_validation() {
    let all = documents(&[5; 2000]);
    let packed = |seed| pack(&Config { seed, validation: 0.1, ..config(8, Method::BestFit) }, &all, 500);
    let [train, validation] = packed(1);
    assert_eq!(train.len() + validation.len(), 2000);
    assert!((150..250).contains(&validation.len()), "{}", validation.len());
    assert_eq!([train.clone(), validation.clone()], packed(1));
    let [other, _] = packed(2);
    assert_ne!(train, other);
    // A shuffled order rises about as often as it falls.
    let rises = train.windows(2).filter(|pair| pair[0].2 < pair[1].2).count();
    assert!((800..1000).contains(&rises), "{rises}");
}

#[test]
fn little_is_padded() {
    let mut rng = Rng::new(3);
    let lengths: Vec<usize> = (0..3000).map(|_| 1 + (rng.below(40) * rng.below(40)) as usize).collect();
    let total: usize = lengths.iter().sum();
    let [rows, _] = pack(&config(512, Method::BestFit), &documents(&lengths), 700);
    let pad: i32 = rows.iter().map(|row| row.1).sum();
    assert!((pad as usize) < total / 500, "{pad} of {total}");
}

/// Documents of sources `a`, `b`, `c`, as (source, tokens of each).
fn sources(sets: &[(&str, Vec<usize>)]) -> Vec<(String, Vec<i32>, String)> {
    let lengths: Vec<usize> = sets.iter().flat_map(|(_, lengths)| lengths.clone()).collect();
    let names = sets.iter().flat_map(|(name, lengths)| lengths.iter().map(move |_| (*name).to_owned()));
    documents(&lengths).into_iter().zip(names).map(|((id, tokens), name)| (id, tokens, name)).collect()
}

fn mix_input(documents: &[(String, Vec<i32>, String)]) -> RecordBatch {
    let pairs: Documents = documents.iter().map(|(id, tokens, _)| (id.clone(), tokens.clone())).collect();
    let batch = input(&pairs);
    let names: ArrayRef = Arc::new(StringArray::from_iter_values(documents.iter().map(|(.., name)| name)));
    let [ids, tokens] = [0, 1].map(|at| batch.column(at).clone());
    RecordBatch::try_from_iter([(ID, ids), (TOKENS, tokens), ("set", names)]).unwrap()
}

fn mix_config(mix: &[&str], budget_tokens: u64) -> Config {
    Config {
        mix: mix.iter().map(|&line| line.to_owned()).collect(),
        mix_column: "set".to_owned(),
        budget_tokens: Some(budget_tokens),
        ..config(8, Method::BestFit)
    }
}

/// Source and documents of each training row.
fn rows_of(made: &Regrouped, folder: usize) -> Vec<(String, Vec<String>)> {
    let of = |batch: &RecordBatch, row: usize| {
        let sources = batch.column_by_name(token::SOURCE).unwrap().as_string::<i32>();
        let documents = read(batch, row).2.into_iter().map(|(id, ..)| id).collect();
        (sources.value(row).to_owned(), documents)
    };
    let batches = made.folders[folder].iter();
    batches.flat_map(|batch| (0..batch.num_rows()).map(move |row| of(batch, row))).collect()
}

#[test]
fn a_mix_gives_each_source_its_share_and_tells_what_it_took() {
    let all = sources(&[("a", vec![5; 400]), ("b", vec![4; 100]), ("c", vec![3; 300])]);
    let config = mix_config(&["a = 0.5", "b = 0.4", "c = 0.1"], 1600);
    let made = made(&config, &[mix_input(&all)]).unwrap();
    let rows = rows_of(&made, 0);
    assert_eq!(rows.len(), 200);
    let count = |name: &str, rows: &[(String, Vec<String>)]| rows.iter().filter(|row| row.0 == name).count();
    for places in 1..=rows.len() {
        for (name, share) in [("a", 0.5), ("b", 0.4), ("c", 0.1)] {
            let error = count(name, &rows[..places]) as f64 - share * places as f64;
            assert!(error.abs() < 1.0, "{name}: {error} after {places}");
        }
    }
    let of: BTreeMap<&String, &String> = all.iter().map(|(id, _, name)| (id, name)).collect();
    assert!(rows.iter().all(|(name, documents)| documents.iter().all(|id| of[id] == name)));
    // 80 rows of 8 tokens are 640 of the 400 that `b` has: once all, and 60 of 100 documents twice.
    let mut times: BTreeMap<&String, usize> = BTreeMap::new();
    rows.iter()
        .filter(|row| row.0 == "b")
        .flat_map(|row| &row.1)
        .for_each(|id| *times.entry(id).or_default() += 1);
    assert_eq!((times.len(), times.values().sum::<usize>(), times.values().max()), (100, 160, Some(&2)));
    let dropped = made.outcomes[0].verdicts.iter().zip(&all).filter(|(v, _)| **v != Verdict::Kept);
    let dropped: Vec<(&str, &str)> = dropped
        .map(|(verdict, document)| match verdict {
            Verdict::Dropped { reason, .. } => (*reason, document.2.as_str()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(dropped.iter().all(|&(reason, name)| reason == "over_quota" && name != "b"));
    // 20 rows of two documents of 3 tokens are 40; tokens for full rows are there, which is 160.
    let kept = |name| 300 - dropped.iter().filter(|d| d.1 == name).count();
    assert!((54..=56).contains(&kept("c")), "{}", kept("c"));
    let told: serde_json::Value = serde_json::from_slice(&made.files["mix.json"]).unwrap();
    assert_eq!(told["rows"], 200);
    assert_eq!(
        told["sources"][1],
        serde_json::json!({
            "name": "b", "share": 0.4, "documents": 100, "tokens": 400, "rows": 80, "epochs": 1.6, "held_out_tokens": 0,
        })
    );
    assert!(made.notes.is_empty());
}

#[test]
fn what_a_mix_cannot_do_is_told() {
    let all = mix_input(&sources(&[("web", vec![5; 40]), ("code", vec![4; 10])]));
    let error = |config: &Config| made(config, std::slice::from_ref(&all)).unwrap_err().to_string();
    let none = "no training document has the source";
    let near = mix_config(&["web = 1", "coed = 1"], 80);
    assert_eq!(error(&near), format!("{none} `coed` in `set`; did you mean `code`?"));
    let far = mix_config(&["code = 1", "wikipedia = 1"], 80);
    assert_eq!(error(&far), format!("{none} `wikipedia` in `set`; there are `web`"));
    let column = Config { mix_column: "sett".into(), ..near.clone() };
    assert_eq!(error(&column), "column `sett` of `mix_column` is missing; did you mean `set`?");
    let alone = Config { mix: Vec::new(), ..near };
    assert!(error(&alone).contains("`budget_tokens`: is about a mix, and there is none"));
    // Documents that the mix does not name go, each with the reason.
    let part = made(&mix_config(&["web = 1"], 80), std::slice::from_ref(&all)).unwrap();
    let strangers = part.outcomes[0].verdicts.iter().filter(|v| **v == Drop::NotInMix.verdict(0.0, 0.0));
    assert_eq!(strangers.count(), 10);
    // More than a source has is cut to what `epochs_max` gives, and told.
    let cut = made(&mix_config(&["web = 1", "code = 1"], 8000), &[all]).unwrap();
    assert_eq!(rows_of(&cut, 0).len(), 40);
    assert!(cut.notes[0].contains("the mix ends after 320 of 8000 tokens"), "{:?}", cut.notes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_mix_depends_on_seed_and_documents_alone(
        a in prop::collection::vec(1_usize..20, 1..60),
        b in prop::collection::vec(1_usize..20, 1..60),
        weights in (1_u32..9, 1_u32..9),
        seed in 0_u64..3,
        rows in 1_u64..60,
        concat: bool,
    ) {
        let mut all = sources(&[("a", a), ("b", b)]);
        let lines = [format!("a = {}", weights.0), format!("b = {}", weights.1)];
        let config = Config {
            seed,
            validation: 0.2,
            window_tokens: 1024,
            method: if concat { Method::Concat } else { Method::BestFit },
            ..mix_config(&[&lines[0], &lines[1]], rows * 8)
        };
        let packed = |all: &[(String, Vec<i32>, String)], size: usize| {
            let batches: Vec<RecordBatch> = all.chunks(size).map(mix_input).collect();
            made(&config, &batches)
        };
        // Too few tokens for a row are an error whatever the order.
        let Ok(first) = packed(&all, 7) else { return Ok(()) };
        all.reverse();
        let again = packed(&all, 11).unwrap();
        prop_assert_eq!(&first.folders, &again.folders);
        prop_assert_eq!(&first.files, &again.files);
        let rows = rows_of(&first, 0);
        let whole = u64::from(weights.0 + weights.1);
        let mut given = [0_u64; 2];
        for (places, (name, _)) in rows.iter().enumerate() {
            given[usize::from(name == "b")] += 1;
            for (given, weight) in given.iter().zip([weights.0, weights.1]) {
                let error = (given * whole).abs_diff(u64::from(weight) * (places as u64 + 1));
                prop_assert!(error < whole, "{given} after {places}");
            }
        }
        // Held-out documents are there once, and in no training row.
        let held: Vec<String> = rows_of(&first, 1).into_iter().flat_map(|row| row.1).collect();
        prop_assert!(rows.iter().all(|row| row.1.iter().all(|id| !held.contains(id))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_token_is_there_once_and_the_order_of_the_input_does_not_matter(
        lengths in prop::collection::vec(0_usize..40, 0..60),
        seed in 0_u64..4,
        windowed: bool,
        concat: bool,
    ) {
        let method = if concat { Method::Concat } else { Method::BestFit };
        let window_tokens = if windowed { 64 } else { 1 << 20 };
        let config = Config { seed, validation: 0.2, window_tokens, ..config(8, method) };
        let mut all = documents(&lengths);
        let packed = pack(&config, &all, 7);
        let mut found: Documents = packed.iter().flat_map(|rows| unpack(rows, 8)).collect();
        found.sort();
        all.reverse();
        prop_assert_eq!(&pack(&config, &all, 11), &packed);
        all.retain(|(_, tokens)| !tokens.is_empty());
        all.sort();
        prop_assert_eq!(found, all);
        // Best fit cuts a document only where a whole sequence of it is full.
        for (_, _, pieces) in packed.iter().flatten().filter(|_| !concat) {
            prop_assert!(pieces.iter().all(|(_, offset, _)| offset % 8 == 0));
        }
        for rows in packed.iter().filter(|_| concat) {
            prop_assert!(rows.iter().filter(|row| row.1 > 0).count() <= 1);
        }
    }
}
