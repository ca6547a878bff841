//! Stages that change the text of a document.

pub mod whitespace;
