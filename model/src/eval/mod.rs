//! How good a model is.

pub(crate) mod bigram;
pub mod held_out;
pub mod perplexity;
pub(crate) mod sources;
