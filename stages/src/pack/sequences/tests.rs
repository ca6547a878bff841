//! Laws of packing: every token once and in order, rows whole, few padded, the same whatever the order of the input.

use super::*;
use arrow::array::AsArray as _;
use arrow::datatypes::Int32Type;
use proptest::prelude::{ProptestConfig, prop, prop_assert, prop_assert_eq, proptest};
use schemas::memory::InMemory;
use std::collections::BTreeMap;

type Documents = Vec<(String, Vec<i32>)>;
type Found = Vec<(Vec<i32>, i32, Vec<(String, i32, i32)>)>;

fn input(documents: &[(String, Vec<i32>)]) -> RecordBatch {
    let ids: ArrayRef = Arc::new(StringArray::from_iter_values(documents.iter().map(|(id, _)| id)));
    let values =
        Arc::new(Int32Array::from_iter_values(documents.iter().flat_map(|(_, tokens)| tokens.clone())));
    let tokens = list(documents.iter().map(|(_, tokens)| tokens.len()), values).unwrap();
    RecordBatch::try_from_iter([(ID, ids), (TOKENS, tokens)]).unwrap()
}

/// Packs as the house does: records of all batches, sorted, one folder after the other.
fn pack(config: &Config, documents: &[(String, Vec<i32>)], rows_per_batch: usize) -> [Found; 2] {
    let pack = Pack(config.clone());
    let mut records = Records::default();
    for part in documents.chunks(rows_per_batch) {
        pack.map(&input(part), &mut records).unwrap();
    }
    [TRAIN, VALIDATION].map(|folder| {
        let mut stream = InMemory::new(records.iter().filter(|record| record.key[0] == folder));
        let mut found = Found::new();
        let mut emit = |batch: RecordBatch| {
            found.extend((0..batch.num_rows()).map(|row| read(&batch, row)));
            Ok(())
        };
        pack.reduce(&mut stream, &mut emit).unwrap();
        found
    })
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
    let outcome = Pack(Config::default()).map(&batch, &mut records).unwrap();
    let expected = [Drop::Empty.verdict(0, 1.0), Drop::NegativeId.verdict(-2, 0.0), Verdict::Kept];
    assert_eq!(outcome.verdicts, expected);
    assert_eq!(records.len(), 1);
}

#[test]
fn a_sliced_batch_packs_its_own_rows() {
    let all = documents(&[3, 4, 5]);
    let mut records = Records::default();
    Pack(config(8, Method::BestFit)).map(&input(&all).slice(1, 1), &mut records).unwrap();
    let piece = piece::read(records.iter().next().unwrap()).unwrap();
    assert_eq!((piece.document, piece.tokens), all[1].clone());
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
        for rows in packed.iter().filter(|_| concat) {
            prop_assert!(rows.iter().filter(|row| row.1 > 0).count() <= 1);
        }
    }
}
