//! Stages that make tokens out of text.

pub mod bpe;
pub mod chat;
