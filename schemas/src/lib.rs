//! The words: names, row shapes and doors that every other room speaks.
//!
//! This crate knows nobody. `stages`, `pipeline` and `model` know it and not each other.

pub mod advice;
pub mod column;
pub mod config;
mod error;
pub mod fit;
pub mod hash;
mod id;
pub mod instant;
pub mod ledger;
pub mod manifest;
pub mod memory;
pub mod near;
pub mod number;
pub mod observe;
pub mod record;
pub mod shuffle;
pub mod sink;
pub mod source;
pub mod spec;
pub mod stage;
pub mod token;

pub use config::{Config, ConfigValue, FilePath, FilePaths, Key, KeyError, Settings};
pub use error::StageError;
pub use fit::{Fit, Fitted, Fitting};
pub use id::DocId;
pub use manifest::Manifest;
pub use observe::{Event, Observer};
pub use record::{House, PARTITIONS, Push, Record, Records, Sorted, Sorter, partition};
pub use shuffle::{Emit, Global, Judge, Note, Notes, Planned, Regroup, Settled, Tally};
pub use sink::{Sink, Writer, Written};
pub use source::{Context, Intake, Intakes, Source, SourceError, Split, Stamp};
pub use spec::{Build, Made, Reason, Spec};
pub use stage::{Filter, FilterStage, Judgement, Outcome, Rewrite, RewriteStage, Stage, Verdict};

/// The TOML value type that settings are made of.
pub use toml::Value;
