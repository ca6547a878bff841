//! What a long run tells while it works. Nothing that a run computes depends on who listens.

/// Something happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// A part of the run begins: `crawl`, `stages`, `shuffle dedup.minhash`, `commit`, with the count of what it
    /// consists of where that is known (splits, pages, partitions).
    Phase {
        /// Name of the phase.
        name: &'a str,
        /// Units of work in it; 0 when not known.
        total: u64,
    },
    /// Units of the phase are done.
    Advance {
        /// How many.
        units: u64,
    },
    /// Rows went through a node.
    Rows {
        /// Name of the node.
        node: &'a str,
        /// Rows that came in.
        rows: u64,
        /// Rows that were dropped.
        dropped: u64,
    },
    /// A line that a person should see: what was refused, retried or given up, and why.
    Note {
        /// What happened.
        message: &'a str,
    },
}

/// Listens to a run. Called from many threads.
pub trait Observer: Send + Sync {
    /// Takes an event.
    fn event(&self, event: Event<'_>);
}

/// Listens to nothing.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _event: Event<'_>) {}
}
