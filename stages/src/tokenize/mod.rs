//! Stages that make tokens out of text.
