//! The work on rows: a stage a file, its path its name.

pub mod clean;
pub mod filter;

use schemas::Spec;

/// Every stage, in the order of the manual. A stage without a line here does not exist.
pub const ALL: &[Spec] = &[clean::whitespace::SPEC, filter::length::SPEC];
