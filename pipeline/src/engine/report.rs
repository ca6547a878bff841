//! What a run did.

use super::error::RunError;
use super::surprise::Surprising;
use schemas::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rows by verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows kept, edited ones included.
    pub kept: u64,
    /// Of these, edited.
    pub edited: u64,
    /// Rows dropped, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Rows that had no value in any column that the node reads.
    #[serde(default)]
    pub blank: u64,
}

impl Counts {
    pub(super) fn add(&mut self, verdict: &Verdict, blank: bool) {
        self.rows_in += 1;
        self.blank += u64::from(blank);
        match verdict {
            Verdict::Kept => self.kept += 1,
            Verdict::Edited => {
                self.kept += 1;
                self.edited += 1;
            }
            Verdict::Dropped { reason, .. } => match self.dropped.get_mut(*reason) {
                Some(count) => *count += 1,
                None => drop(self.dropped.insert((*reason).to_owned(), 1)),
            },
        }
    }

    /// Whether rows came in and none of them stays.
    pub const fn has_lost_all(&self) -> bool {
        self.rows_in > 0 && self.kept == 0
    }

    /// Rows dropped for any reason.
    pub fn dropped_rows(&self) -> u64 {
        self.dropped.values().sum()
    }
}

/// What one node did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Name in the recipe.
    pub name: String,
    /// Kind.
    pub kind: String,
    /// Version of the kind.
    #[serde(default)]
    pub version: u32,
    /// Nodes that it reads.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// Hash of kind, version and settings.
    pub hash: String,
    /// Settings, defaults included.
    pub settings: BTreeMap<String, String>,
    /// Digests of the files and variables that settings name.
    #[serde(default)]
    pub facts: BTreeMap<String, String>,
    /// Names of the splits of a source, one for each trace.
    #[serde(default)]
    pub splits: Vec<String>,
    /// Rows through it.
    pub counts: Counts,
    /// Streams that were worked on in this run.
    pub computed: usize,
    /// Streams whose trace was there.
    pub cached: usize,
    /// Sorted runs that were spilled to disk where all rows must be seen first.
    #[serde(default)]
    pub spilled_runs: usize,
    /// Names of the traces, in the order of the dataset.
    pub traces: Vec<String>,
}

/// Whether the dataset was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Committed {
    /// It was written by this run.
    Written,
    /// It was there already, from the same build.
    Current,
}

/// `report.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the dataset.
    pub name: String,
    /// Hash of the whole build.
    pub build: String,
    /// Whether the dataset was written.
    pub committed: Committed,
    /// Every node in the order of the run.
    pub nodes: Vec<NodeReport>,
    /// What nodes did that hardly anybody wants.
    #[serde(default)]
    pub surprises: Vec<Surprising>,
    /// Seconds that the run took.
    pub seconds: f64,
}

impl Report {
    /// Reads a report.
    ///
    /// # Errors
    /// `Io` and `Json`.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        let bytes = std::fs::read(path).map_err(RunError::io(path))?;
        serde_json::from_slice(&bytes).map_err(|error| RunError::Json { path: path.to_owned(), error })
    }

    /// Writes it beside its place, which it takes by [`Report::publish`].
    pub(super) fn write(&self, path: &Path) -> Result<(), RunError> {
        let json = serde_json::to_vec_pretty(self)
            .map_err(|error| RunError::Json { path: path.to_owned(), error })?;
        let part = part(path);
        std::fs::write(&part, json).map_err(RunError::io(&part))
    }

    /// Puts what was written into its place, which takes no room on the disk.
    pub(super) fn publish(path: &Path) -> Result<(), RunError> {
        std::fs::rename(part(path), path).map_err(RunError::io(path))
    }
}

fn part(path: &Path) -> PathBuf {
    path.with_extension("json.part")
}
