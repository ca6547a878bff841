//! The work on rows: a stage a file, its path its name.

pub mod clean;
pub mod decontaminate;
pub mod dedup;
pub mod extract;
pub mod filter;
pub mod mix;
pub mod pack;
pub mod sink;
pub mod source;
pub mod text;
pub mod tokenize;

use schemas::{Fitting, Spec};

/// Every stage, in the order of the manual. A stage without a line here does not exist.
#[rustfmt::skip] // One line a stage.
pub const ALL: &[Spec] = &[
    clean::emoji::SPEC,
    clean::lines::SPEC,
    clean::pii::SPEC,
    clean::spelling::SPEC,
    clean::unicode::SPEC,
    clean::whitespace::SPEC,
    decontaminate::ngram::SPEC,
    dedup::exact::SPEC,
    dedup::lines::SPEC,
    dedup::minhash::SPEC,
    dedup::substring::SPEC,
    dedup::url::SPEC,
    extract::html::SPEC,
    filter::c4::SPEC,
    filter::fineweb::SPEC,
    filter::gopher::SPEC,
    filter::language::SPEC,
    filter::length::SPEC,
    filter::quality::SPEC,
    filter::repetition::SPEC,
    filter::rights::SPEC,
    filter::symbols::SPEC,
    filter::toxicity::SPEC,
    filter::url::SPEC,
    pack::sequences::SPEC,
    sink::jsonl::SPEC,
    sink::parquet::SPEC,
    source::crawl::SPEC,
    source::html::SPEC,
    source::jsonl::SPEC,
    source::parquet::SPEC,
    source::warc::SPEC,
    tokenize::bpe::SPEC,
    tokenize::chat::SPEC,
];

/// Every kind whose weights `gristmill fit` makes.
#[rustfmt::skip] // One line a kind.
pub const FITS: &[Fitting] = &[
    clean::spelling::FIT,
    extract::html::FIT,
    filter::fineweb::FIT,
    filter::gopher::FIT,
    filter::language::FIT,
    filter::quality::FIT,
    filter::repetition::FIT,
    filter::toxicity::FIT,
];
