//! Stages that make training sequences out of tokens.
