//! Pure helpers over text that several stages share. No stage lives here.

pub mod blocks;
pub mod chars;
pub mod datatrove;
pub mod files;
pub(crate) mod keys;
pub mod langid;
pub mod letters;
pub mod linear;
pub mod lines;
pub mod misspellings;
pub mod mojibake;
pub mod ngrams;
pub mod pii;
pub mod rights;
pub mod shingles;
pub mod spacy;
pub mod tags;
pub mod toxic;
pub(crate) mod trees;
pub mod words;
pub mod xxh64;
