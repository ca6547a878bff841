//! The works: DAG, engine, inspection.

pub mod inspect;
