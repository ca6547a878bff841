//! Where the rows of a dataset are written.

// pub mod jsonl;
// pub mod parquet;
// mod rechunk;
