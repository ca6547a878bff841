//! Stages that keep or drop a document.

pub mod gopher;
pub mod language;
pub mod length;
pub mod quality;
pub mod repetition;
pub mod toxicity;
