//! Why a training stopped in the middle: the step, what it read there, and the checkpoint to go back to.

use crate::data::{Dataset, Position, Share};
use crate::error::TrainError;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Documents that are told by name.
const DOCUMENTS_MAX: usize = 20;

/// A training that cannot go on, or should not.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// The step, counted from 1 as in `metrics.jsonl`; it was not taken.
    pub step: u64,
    /// What was found there.
    pub cause: Cause,
    /// Ids of documents of its batch, with their addresses where they have one; 20 at most.
    pub documents: Vec<(String, Option<String>)>,
    /// Documents of the batch in all; 0 where it holds none, as in an alignment.
    pub documents_count: usize,
    /// The newest checkpoint that is whole.
    pub checkpoint: Option<PathBuf>,
}

/// What stops a training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cause {
    /// The loss is no finite number.
    Loss,
    /// The gradient has one that is none.
    Gradient,
    /// The loss leapt.
    Spike {
        /// Loss of the step.
        loss: f64,
        /// Median of the losses before it.
        median: f64,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loss => f.write_str("the loss is not a finite number"),
            Self::Gradient => f.write_str("the gradient is not a finite number"),
            Self::Spike { loss, median } => {
                write!(f, "the loss leapt to {loss:.3} from {median:.3}, the median of the steps before it")
            }
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, cause, documents, documents_count, checkpoint } = self;
        writeln!(f, "step {step}: {cause}; the step was not taken")?;
        match checkpoint {
            Some(path) => writeln!(f, "last good checkpoint: {}", path.display())?,
            None => writeln!(f, "there is no checkpoint before it")?,
        }
        if *documents_count > 0 {
            writeln!(f, "documents of its batch, {documents_count} in all:")?;
        }
        for (id, name) in documents {
            writeln!(f, "  {id}  {}", name.as_deref().unwrap_or_default())?;
        }
        if documents.len() < *documents_count {
            writeln!(f, "  … `gristmill trace` with `--steps {step}` tells the others")?;
        }
        match cause {
            Cause::Spike { .. } => f.write_str(
                "look at them, and go on with `spike_factor` = 0 where they are as they should be; else begin again in another \
                 folder without them, or with a lower `learning_rate` or `clip_norm`",
            ),
            Cause::Loss | Cause::Gradient => f.write_str(
                "begin again in another folder with a lower `learning_rate` or more `warmup_steps`",
            ),
        }
    }
}

/// Id of a document, and its address or the id that its source gave it.
type Named = (String, Option<String>);

/// The documents of `count` samples from a position on, in the order of their pieces: how many, and the first of them.
pub(super) fn documents(
    dataset: &Dataset,
    position: Position,
    count: u64,
) -> Result<(usize, Vec<Named>), TrainError> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for number in dataset.stream(position, Share::ALL)?.skip(count) {
        for piece in dataset.train.pieces(number)?.2 {
            let next = places.len();
            places.entry(piece.document).or_insert(next);
        }
    }
    let all = places.len();
    let mut told = vec![(String::new(), None); all.min(DOCUMENTS_MAX)];
    places.retain(|_, at| *at < told.len());
    places.iter().for_each(|(id, at)| told[*at].0.clone_from(id));
    // A dataset without addresses, or whose documents cannot be read, still has the ids.
    let found = dataset.documents(|document| {
        if let Some(&at) = places.get(document.id) {
            told[at].1 = document.known_as().map(str::to_owned);
        }
    });
    drop(found);
    Ok((all, told))
}
