//! Stages that make text out of pages.

pub mod html;

mod about;
mod block;
mod charset;
mod code;
mod content;
mod fit;
mod guard;
mod inline;
mod label;
mod lines;
mod markdown;
mod math;
mod page;
mod prune;
mod references;
#[cfg(test)]
mod structure_tests;
mod table;
mod tag;
#[cfg(test)]
mod testing;
mod title;
mod tokens;
mod tree;
mod words;
