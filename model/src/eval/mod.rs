//! How good a model is.

pub mod held_out;
pub mod perplexity;
pub(crate) mod sources;
