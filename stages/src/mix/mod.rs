//! How much of each source a mix takes, and in which order: pure helpers of `pack.sequences`.

pub mod quota;
pub mod share;
pub mod turns;
