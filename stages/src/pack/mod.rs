//! Stages that make training sequences out of tokens.

pub mod sequences;
