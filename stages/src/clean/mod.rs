//! Stages that change the text of a document.

pub mod edits;
pub mod emoji;
pub mod lines;
pub mod pii;
pub mod spelling;
pub mod unicode;
pub mod whitespace;
