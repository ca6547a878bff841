//! The local engine: runs a [`Dag`] on the threads of one machine, in bounded memory, keyed by content.
//!
//! Every node has *streams*: one per split that comes through it. A stream has a key, the hash of everything that its rows
//! depend on, known before anything runs. Under that key lies its *trace*, what the node did to each row, and, before a
//! barrier or a sink, its rows. What lies there is not computed again; there is no other resume logic.

mod barrier;
mod commit;
mod direct;
mod error;
mod feed;
mod frames;
mod lock;
mod plan;
mod publish;
mod purge;
mod reason;
mod report;
mod rows;
mod run;
mod runs;
mod seal;
mod settled;
mod shuffle;
mod stream;
mod surprise;
mod table;
mod tidy;
mod trace;

pub use direct::{Told, direct};
pub use error::RunError;
pub(crate) use lock::Lock as Hold;
pub use plan::{NodePlan, Plan, altered, plan};
pub use purge::{Purged, purge};
pub use report::{Committed, NodeReport, Report};
pub use run::run;
pub use surprise::{Deed, Surprising};
pub use trace::{Step, history};

use std::path::{Path, PathBuf};

/// How a run works; nothing here changes what it gives.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folder of the build.
    pub workdir: PathBuf,
    /// Folder that relative paths of the recipe start from.
    pub base: PathBuf,
    /// Threads; 0 for as many as there are cores.
    pub threads: usize,
    /// Memory for sorting, in bytes.
    pub memory_bytes: usize,
}

/// Where things lie in the working folder of a build.
#[derive(Debug, Clone)]
pub struct Workdir(pub PathBuf);

impl Workdir {
    /// The committed dataset.
    pub fn dataset(&self) -> PathBuf {
        self.0.join("dataset")
    }

    /// What the last run did.
    pub fn report(&self) -> PathBuf {
        self.0.join("report.json")
    }

    /// What a source fetches.
    pub fn archive(&self, source: &str) -> PathBuf {
        self.0.join("archive").join(source)
    }

    /// Unfinished files; gone when a run ends.
    pub fn scratch(&self) -> PathBuf {
        self.0.join("scratch")
    }

    /// The dataset while it is written.
    pub(crate) fn unfinished(&self) -> PathBuf {
        self.0.join("dataset.part")
    }

    /// The dataset before, for the moment in which another takes its place.
    pub(crate) fn aside(&self) -> PathBuf {
        self.0.join("dataset.old")
    }

    fn cache(&self, folder: &str, key: crate::dag::Hash) -> PathBuf {
        self.named(folder, &key.to_string())
    }

    fn named(&self, folder: &str, name: &str) -> PathBuf {
        self.0.join("cache").join(folder).join(&name[..2]).join(name)
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().expect("files of the cache lie in folders")
}
