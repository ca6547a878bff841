//! The works: recipes, the DAG that they compile to, the engine that runs it, and the view into what came out.
//!
//! Kinds arrive as a list of [`schemas::Spec`]; only those that `[tokenizer]` and `[dataset]` stand for are named here.

pub mod dag;
mod digest;
pub mod engine;
pub mod export;
pub mod forget;
pub mod inspect;
pub mod recipe;
