//! The works: recipes, the DAG that they compile to, the engine that runs it, and the view into what came out.
//!
//! This crate names no stage: kinds arrive as a list of [`schemas::Spec`].

pub mod dag;
pub mod engine;
pub mod inspect;
pub mod recipe;
