//! Where documents come from.

pub mod batch;
pub mod coding;
pub mod crawl;
pub mod files;
pub mod html;
pub mod jsonl;
pub mod object;
pub mod open;
pub mod parquet;
pub mod sniff;
pub mod warc;
