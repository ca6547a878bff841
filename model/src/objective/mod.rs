//! What a model is trained to do.

pub(crate) mod causal;
