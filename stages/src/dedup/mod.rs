//! Stages that drop documents that say what another says.

mod cluster;
#[cfg(test)]
pub(crate) mod driver;
pub mod exact;
pub mod keep;
pub mod lines;
pub mod minhash;
mod one_per_key;
mod signature;
pub mod substring;
pub mod url;
