//! Where documents come from.

pub mod crawl;
pub mod warc;
