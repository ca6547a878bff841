//! Web archives: WARC 1.1 (ISO 28500:2017).

pub mod write;
