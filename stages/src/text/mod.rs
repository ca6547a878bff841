//! Pure helpers over text that several stages share. No stage lives here.

pub mod linear;
pub mod lines;
pub mod mojibake;
pub mod ngrams;
pub mod pii;
pub mod shingles;
pub(crate) mod trees;
pub mod words;
