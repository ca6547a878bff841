//! Stages that keep or drop a document.

pub mod length;
pub mod toxicity;
