//! The order over whole datasets: every row once, from any position, in any number of processes, and damage by name.

use super::*;
use crate::batch::Row;
use crate::testing::{Folder, LENGTH, VOCAB, dataset_with, rows};
use schemas::hash::Rng;

/// Rows of which each is another: the first token counts.
fn distinct(count: usize, first: u32, seed: u64) -> Vec<Row> {
    let mut all = rows(count, LENGTH as u32, VOCAB as u32, seed);
    for (at, row) in all.iter_mut().enumerate() {
        let number = first + at as u32;
        row.ids[..2].copy_from_slice(&[number % VOCAB as u32, number / VOCAB as u32]);
    }
    all
}

/// Which row it is.
fn number(row: &Row) -> usize {
    (row.ids[0] + row.ids[1] * VOCAB as u32) as usize
}

/// A dataset of three shards in row groups of 16 rows, and what is in it.
fn prepared(name: &str) -> (Folder, Vec<Row>) {
    prepared_as(name, true, false)
}

/// The same in plain pages or behind dictionaries, with a loss mask or without.
fn prepared_as(name: &str, plain: bool, masked: bool) -> (Folder, Vec<Row>) {
    let folder = Folder::new(name);
    let mut shards = [
        ("tokens/train/part-00000.parquet", distinct(300, 0, 1)),
        ("tokens/train/part-00001.parquet", distinct(1, 300, 2)),
        ("tokens/train/part-00002.parquet", distinct(222, 301, 3)),
    ];
    if masked {
        let mask = |row: &mut Row| row.mask = row.ids.iter().map(|id| id % 3 == 0).collect();
        shards.iter_mut().for_each(|(_, rows)| rows.iter_mut().for_each(mask));
    }
    dataset_with(&folder.0, "ordered", VOCAB, &shards, (16, plain));
    (folder, shards.into_iter().flat_map(|(_, rows)| rows).collect())
}

#[test]
fn an_epoch_has_every_row_once_as_it_was_written() {
    for (plain, masked) in [(true, false), (false, false), (true, true)] {
        epoch(prepared_as(&format!("order-epoch-{plain}-{masked}"), plain, masked));
    }
}

fn epoch((folder, written): (Folder, Vec<Row>)) {
    let dataset = Dataset::open(&folder.0).unwrap();
    let count = dataset.train.count();
    let mut stream = dataset.stream(dataset.begin(7), Share::ALL).unwrap();
    let epochs = [0, 1].map(|_| stream.take(count).unwrap());
    for epoch in &epochs {
        let mut seen = vec![0; written.len()];
        for row in epoch {
            assert_eq!(*row, written[number(row)]);
            seen[number(row)] += 1;
        }
        assert!(seen.iter().all(|&times| times == 1), "{seen:?}");
    }
    assert_ne!(epochs[0], epochs[1]);
    assert_ne!(epochs[0], dataset.stream(dataset.begin(8), Share::ALL).unwrap().take(count).unwrap());
    // By number, alone, a row is the same; and the order can be told without reading.
    let mut told = dataset.stream(dataset.begin(7), Share::ALL).unwrap();
    for (row, number) in epochs.iter().flatten().zip(told.skip(2 * count)).step_by(7) {
        assert_eq!(dataset.train.row(number).unwrap(), *row);
    }
    assert_eq!(told.position(), stream.position());
    let error = dataset.train.row(count).unwrap_err().to_string();
    assert_eq!(error, format!("there is no row {count}, only {count}"));
}

/// A training that stops at random points, each time goes on from the bytes of its position, and each time with another
/// number of processes, sees what one that never stops sees.
#[test]
fn stopped_at_a_hundred_points_and_gone_on_in_other_worlds_nothing_is_missing_or_repeated() {
    let (folder, written) = prepared("order-resume");
    let dataset = Dataset::open(&folder.0).unwrap();
    let mut rng = Rng::new(5);
    let mut position = dataset.begin(7);
    let mut seen: Vec<Row> = Vec::new();
    for _ in 0..100 {
        position = Position::from_bytes(&position.to_bytes());
        let world = 1 + rng.below(9);
        let steps: Vec<u64> = (0..1 + rng.below(4)).map(|_| world * (1 + rng.below(6))).collect();
        let mut shares = Vec::new();
        let mut ends = Vec::new();
        for rank in 0..world {
            let mut stream = dataset.stream(position, Share { rank, world }).unwrap();
            let taken = |&step: &u64| {
                let taken = stream.take(step).unwrap();
                assert_eq!(taken.len() as u64, step / world, "shares of a step are equal");
                taken
            };
            shares.push(steps.iter().flat_map(taken).collect::<Vec<Row>>());
            ends.push(stream.position());
        }
        assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
        // Sample by sample the processes take turns; who is first depends on where they begin.
        let begin = (position.epoch * dataset.train.count() + position.sample) % world;
        let count = shares.iter().map(Vec::len).sum();
        let mut shares: Vec<_> = shares.into_iter().map(Vec::into_iter).collect();
        let turns = (0..world as usize).cycle().skip(begin as usize).take(count);
        seen.extend(turns.map(|rank| shares[rank].next().unwrap()));
        position = ends[0];
    }
    let mut whole = dataset.stream(dataset.begin(7), Share::ALL).unwrap();
    assert_eq!(whole.take(seen.len() as u64).unwrap(), seen);
    assert_eq!(whole.position(), position);
    assert!(seen.len() > 2 * written.len(), "more than two epochs: {}", seen.len());
    for epoch in seen.chunks_exact(written.len()) {
        let mut numbers: Vec<usize> = epoch.iter().map(number).collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..written.len()), "0 missing, 0 repeated");
    }
}

#[test]
fn a_position_of_another_dataset_is_refused() {
    let (folder, _) = prepared("order-other");
    let dataset = Dataset::open(&folder.0).unwrap();
    let other = Position { dataset: [7; 32], ..dataset.begin(1) };
    let error = dataset.stream(other, Share::ALL).unwrap_err().to_string();
    assert!(error.contains("a dataset with the manifest 0707") && error.contains(&dataset.manifest_hash));
    let beyond = Position { sample: 524, ..dataset.begin(1) };
    let error = dataset.stream(beyond, Share::ALL).unwrap_err().to_string();
    assert!(error.contains("sample 524 of an epoch of 523"), "{error}");
}

#[test]
fn a_shard_that_goes_or_changes_is_named_before_and_after_opening() {
    let (folder, _) = prepared("order-altered");
    let path = folder.0.join("tokens/train/part-00002.parquet");
    let bytes = std::fs::read(&path).unwrap();
    let read =
        |dataset: &Dataset| dataset.stream(dataset.begin(7), Share::ALL)?.take(523).map(|rows| rows.len());
    let fails = |dataset: &Dataset| read(dataset).unwrap_err().to_string();
    let dataset = Dataset::open(&folder.0).unwrap();
    assert_eq!(read(&dataset).unwrap(), 523);
    std::fs::write(&path, &bytes[1..]).unwrap();
    let error = fails(&dataset);
    assert!(error.contains("part-00002.parquet: the file is not the one in the manifest"), "{error}");
    std::fs::remove_file(&path).unwrap();
    assert!(fails(&dataset).contains("part-00002.parquet"));
    let error = Dataset::open(&folder.0).unwrap_err().to_string();
    assert!(error.contains("part-00002.parquet"), "{error}");
    // One whose pages are damaged while it is in use; the hash of it is checked when it is opened.
    let mut altered = bytes.clone();
    altered[4..bytes.len() / 2].fill(0xff);
    std::fs::write(&path, altered).unwrap();
    assert!(fails(&dataset).contains("part-00002.parquet"), "{}", fails(&dataset));
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(read(&Dataset::open(&folder.0).unwrap()).unwrap(), 523);
}
