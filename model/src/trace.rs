//! Which documents a training read at which step: told without reading them again, for the order is a function.
//!
//! The report of a training, or its newest checkpoint while it runs, has the settings and the hash of the manifest; with the
//! dataset they say which rows each step took, and the rows say which pieces of which documents they hold.

use crate::data::{Dataset, Piece, Position, Share};
use crate::error::TrainError;
use crate::train::REPORT;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Most sequences that are told at once.
const SEQUENCES_MAX: u64 = 1 << 20;

/// A training sequence that a step took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sequence {
    /// Step, counted from 1 as in `metrics.jsonl`.
    pub step: u64,
    /// Place in the step, micro-batch after micro-batch.
    pub place: u64,
    /// Pass over the dataset, from 0.
    pub epoch: u64,
    /// Shard in the dataset.
    pub shard: String,
    /// Row in the shard.
    pub row: u64,
    /// Pieces of documents in it, in order.
    pub pieces: Vec<Piece>,
}

/// What the order of a training depends on.
struct Training {
    step_sequences: u64,
    seed: u64,
    steps: u64,
    dataset: String,
}

/// Refuses a folder without a training whose steps can be told.
///
/// # Errors
/// There is none, or an alignment.
pub fn assert_traced(model: &Path) -> Result<(), TrainError> {
    Training::read(model).map(drop)
}

/// Tells the sequences of steps of a training; `dataset` is the one that it reads.
///
/// # Errors
/// No training in the folder, another dataset, steps that it does not have, a damaged shard.
pub fn trace(model: &Path, dataset: &Path, steps: RangeInclusive<u64>) -> Result<Vec<Sequence>, TrainError> {
    let training = Training::read(model)?;
    let (first, last) = (*steps.start(), *steps.end());
    if first == 0 || first > last || last > training.steps {
        let told = match first > last {
            true => "the last stands before the first".to_owned(),
            false => format!("the training has the steps 1 to {}", training.steps),
        };
        let message = format!("steps {first}..{last}: {told}");
        return Err(TrainError::Config { message });
    }
    let count = (last - first + 1).saturating_mul(training.step_sequences);
    if count > SEQUENCES_MAX {
        let message = format!("{count} sequences are more than are told at once, {SEQUENCES_MAX}");
        return Err(TrainError::Config { message });
    }
    let opened = Dataset::open(dataset)?;
    if opened.manifest_hash != training.dataset {
        let (then, now) = (&training.dataset, &opened.manifest_hash);
        let message = format!("the training read a dataset with the manifest {then}, this one has {now}");
        return Err(TrainError::file(dataset)(message));
    }
    let rows = opened.train.count();
    let before = (first - 1) * training.step_sequences;
    let position = Position { epoch: before / rows, sample: before % rows, ..opened.begin(training.seed) };
    let numbers = opened.stream(position, Share::ALL)?.skip(count);
    let sequence = |(at, number): (u64, u64)| {
        let (shard, row, pieces) = opened.train.pieces(number)?;
        let shard = shard.strip_prefix(dataset).unwrap_or(shard).display().to_string();
        Ok(Sequence {
            step: first + at / training.step_sequences,
            place: at % training.step_sequences,
            epoch: (before + at) / rows,
            shard,
            row,
            pieces,
        })
    };
    let mut sequences: Vec<Sequence> = (0..).zip(numbers).map(sequence).collect::<Result<_, TrainError>>()?;
    locate(&opened, &mut sequences);
    Ok(sequences)
}

/// Looks up the addresses of documents, and the ids that their sources gave them. A dataset without them, or whose documents cannot be read, still has the ids.
fn locate(dataset: &Dataset, sequences: &mut [Sequence]) {
    let pieces = sequences.iter().flat_map(|sequence| &sequence.pieces);
    let mut names: BTreeMap<String, [Option<String>; 2]> =
        pieces.map(|piece| (piece.document.clone(), [None, None])).collect();
    let found = dataset.documents(|document| {
        if let Some(names) = names.get_mut(document.id) {
            *names = [document.url, document.record_id].map(|name| name.map(str::to_owned));
        }
    });
    drop(found);
    for piece in sequences.iter_mut().flat_map(|sequence| &mut sequence.pieces) {
        let [url, record_id] = &names[&piece.document];
        piece.url.clone_from(url);
        piece.record_id.clone_from(record_id);
    }
}

impl Training {
    /// Reads the report of a training that has ended, or the newest checkpoint of one that has not.
    fn read(model: &Path) -> Result<Self, TrainError> {
        let path =
            [Some(model.join(REPORT)), newest_state(model)].into_iter().flatten().find(|p| p.is_file());
        let path =
            path.ok_or_else(|| TrainError::file(model)("holds no training and no checkpoint of one"))?;
        let bytes = std::fs::read(&path).map_err(TrainError::io(&path))?;
        let told: Value = serde_json::from_slice(&bytes).map_err(TrainError::file(&path))?;
        if let Some(method) = told["settings"]["method"].as_str() {
            let message = format!(
                "was aligned ({method}); steps are traced of trainings, as of the model that it began with"
            );
            return Err(TrainError::misplaced(model, message));
        }
        let wrong = |key: &str| TrainError::file(&path)(format!("does not tell `{key}`"));
        let setting = |key: &str| {
            let text = told["settings"][key].as_str();
            text.and_then(|text| text.parse::<u64>().ok()).ok_or_else(|| wrong(key))
        };
        Ok(Self {
            step_sequences: setting("batch_sequences")? * setting("accumulate")?,
            seed: setting("seed")?,
            steps: told["steps"].as_u64().ok_or_else(|| wrong("steps"))?,
            dataset: told["dataset"].as_str().ok_or_else(|| wrong("dataset"))?.to_owned(),
        })
    }
}

fn newest_state(model: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(crate::checkpoint::folder(model)).ok()?;
    let states = entries.filter_map(|entry| Some(entry.ok()?.path().join("state.json")));
    states.filter(|path| path.is_file()).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Architecture, Config};
    use crate::progress::Silent;
    use crate::testing::{Folder, dataset};

    #[test]
    fn steps_take_the_rows_that_the_order_says() {
        let folder = Folder::new("trace");
        let (data, out) = (folder.0.join("dataset"), folder.0.join("out"));
        dataset(&data);
        let config = Config {
            steps: 9,
            batch_sequences: 3,
            accumulate: 2,
            checkpoint_every: 4,
            eval_every: 0,
            layers: 1,
            seed: 5,
            ..crate::tests::small(Architecture::Llama)
        };
        crate::train::run(&data, &out, &config, &Silent).unwrap();
        let all = trace(&out, &data, 1..=9).unwrap();
        assert_eq!(all.len(), 54);
        let opened = Dataset::open(&data).unwrap();
        let mut stream = opened.stream(opened.begin(5), Share::ALL).unwrap();
        for (at, (sequence, row)) in all.iter().zip(stream.take(54).unwrap()).enumerate() {
            let at = at as u64;
            assert_eq!((sequence.step, sequence.place, sequence.epoch), (1 + at / 6, at % 6, at / 33));
            let lengths: Vec<u32> = sequence.pieces.iter().map(|piece| piece.tokens).collect();
            assert_eq!(lengths, row.piece_lengths);
            let first = if sequence.shard.ends_with("train/part-00000.parquet") { 0 } else { 20 };
            assert_eq!(opened.train.row(first + sequence.row).unwrap(), row);
        }
        assert_eq!(trace(&out, &data, 4..=5).unwrap(), all[18..30]);
        // One that has not ended is told from its newest checkpoint.
        std::fs::remove_file(out.join(REPORT)).unwrap();
        assert_eq!(trace(&out, &data, 4..=5).unwrap(), all[18..30]);
        for (first, last, expected) in [
            (0, 1, "steps 0..1: the training has"),
            (3, 10, "has the steps 1 to 9"),
            (5, 3, "before the first"),
        ] {
            let error = trace(&out, &data, first..=last).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let other = folder.0.join("other");
        crate::testing::dataset_of(&other, "other", 257, 1);
        let error = trace(&out, &other, 1..=1).unwrap_err().to_string();
        assert!(error.contains("the training read a dataset with the manifest"), "{error}");
        let error = trace(&data, &data, 1..=1).unwrap_err().to_string();
        assert!(error.contains("holds no training"), "{error}");
    }
}
