//! Stages that keep or drop a document.

pub mod by_language;
pub mod c4;
pub mod dialect;
pub mod fineweb;
pub mod gopher;
pub mod language;
pub mod length;
pub mod quality;
pub mod repetition;
pub mod rights;
pub mod symbols;
pub mod toxicity;
pub mod url;
