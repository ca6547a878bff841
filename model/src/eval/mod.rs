//! How good a model is.

pub(crate) mod bigram;
pub mod perplexity;
