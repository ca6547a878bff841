//! What a node did that hardly anybody wants: touched no row, dropped most of them, read a column without values, or wrote over one
//! that the source gave.
//!
//! A filter that never fires and one that fires at everything look like any other in a long table of numbers. Each is told, and a
//! recipe can say `surprise = "stop"` (nothing is committed) or `surprise = "expected"` (it is what is meant).

use super::error::RunError;
use super::report::Counts;
use crate::dag::{Dag, Node, Surprise};
use crate::inspect::layout::thousands;
use schemas::Made;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Fewest rows of which it says something that none or most of them were touched.
const ROWS_MIN: u64 = 100;
/// Greatest share of rows that a node may drop in silence.
const DROPPED_MAX: f64 = 0.8;

/// What a node did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// Kept every row as it was.
    TouchedNothing,
    /// Dropped more than four rows in five.
    DroppedMost,
    /// Read a column that no row had a value in.
    ReadNothing,
    /// Wrote over columns that the source gave.
    Replaced,
}

/// A node with what it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surprising {
    /// Name of the node.
    pub node: String,
    /// What it did.
    pub deed: Deed,
    /// Rows that came in.
    pub rows_in: u64,
    /// Rows that it dropped.
    pub dropped: u64,
    /// Columns that it reads.
    pub reads: Vec<String>,
    /// Columns of the source that it wrote over.
    #[serde(default)]
    pub replaces: Vec<String>,
    /// Whether the recipe lets nothing be committed then.
    pub stops: bool,
}

impl fmt::Display for Surprising {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, rows) = (&self.node, thousands(self.rows_in));
        match self.deed {
            Deed::TouchedNothing => write!(f, "`{node}` dropped and changed none of {rows} rows"),
            Deed::DroppedMost => {
                let percent = 100.0 * self.dropped as f64 / self.rows_in as f64;
                write!(f, "`{node}` dropped {} of {rows} rows ({percent:.1} %)", thousands(self.dropped))
            }
            Deed::ReadNothing => {
                write!(f, "`{node}` reads {}, which had no value in any of {rows} rows", listed(&self.reads))
            }
            Deed::Replaced => {
                let columns = listed(&self.replaces);
                write!(f, "`{node}` writes over {columns} of the source; rename there what is to stay")
            }
        }
    }
}

fn listed(columns: &[String]) -> String {
    columns.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(" and ")
}

/// All that is surprising in the counts of the nodes.
pub(super) fn find(dag: &Dag, counts: &[Counts]) -> Vec<Surprising> {
    let nodes = dag.nodes.iter().zip(counts).filter(|(node, _)| node.surprise != Surprise::Expected);
    nodes.flat_map(|(node, counts)| surprising(node, counts)).collect()
}

fn surprising(node: &Node, counts: &Counts) -> Vec<Surprising> {
    let replaced = (!node.replaces.is_empty() && counts.rows_in > 0).then_some(Deed::Replaced);
    let told = |deed| Surprising {
        node: node.name.clone(),
        deed,
        rows_in: counts.rows_in,
        dropped: counts.dropped_rows(),
        reads: node.reads.clone(),
        replaces: node.replaces.clone(),
        stops: node.surprise == Surprise::Stop,
    };
    deed(node, counts).into_iter().chain(replaced).map(told).collect()
}

fn deed(node: &Node, counts: &Counts) -> Option<Deed> {
    if counts.rows_in == 0 {
        return None;
    }
    let dropped = counts.dropped_rows();
    let most = dropped as f64 > DROPPED_MAX * counts.rows_in as f64;
    if matches!(node.made, Made::Source(_)) {
        // A source of which nothing is left was read in a wrong way, however few its rows are.
        let is_lost = dropped == counts.rows_in || most && counts.rows_in >= ROWS_MIN;
        return is_lost.then_some(Deed::DroppedMost);
    }
    if !matches!(node.made, Made::Stage(_) | Made::Global(_)) {
        return None;
    }
    if counts.blank == counts.rows_in {
        return Some(Deed::ReadNothing);
    }
    if counts.rows_in < ROWS_MIN {
        return None;
    }
    let untouched = dropped == 0 && counts.edited == 0 && node.input == node.output;
    untouched.then_some(Deed::TouchedNothing).or_else(|| most.then_some(Deed::DroppedMost))
}

/// Refuses to go on where the recipe says so.
pub(super) fn refuse(found: &[Surprising]) -> Result<(), RunError> {
    let stops: Vec<Surprising> = found.iter().filter(|s| s.stops).cloned().collect();
    if stops.is_empty() { Ok(()) } else { Err(RunError::Surprise(stops)) }
}
