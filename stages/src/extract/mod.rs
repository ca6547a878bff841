//! Stages that make text out of pages.

pub mod html;

mod block;
mod charset;
mod code;
mod guard;
mod inline;
mod markdown;
mod page;
mod prune;
mod score;
mod table;
mod tag;
mod title;
mod words;
