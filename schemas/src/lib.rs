//! The words: names, row shapes and doors that every other room speaks.
//!
//! This crate knows nobody. `stages`, `pipeline` and `model` know it and not each other.

pub mod column;
pub mod config;
mod error;
mod id;
pub mod spec;
pub mod stage;

pub use config::{Config, ConfigValue, Key, KeyError, Settings};
pub use error::StageError;
pub use id::DocId;
pub use spec::{Build, Reason, Spec};
pub use stage::{Filter, FilterStage, Judgement, Outcome, Rewrite, RewriteStage, Stage, Verdict};

/// The TOML value type that settings are made of.
pub use toml::Value;
