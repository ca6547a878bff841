//! What a trained model is worth: held-out perplexity, the tasks of lm-evaluation-harness, BLEU and ROUGE.

pub(crate) mod bigram;
pub mod bleu;
pub mod held_out;
pub mod human;
pub mod perplexity;
pub mod prompts;
pub(crate) mod pseudo;
pub mod rouge;
pub(crate) mod rows;
mod shots;
pub(crate) mod sources;
pub mod statement;
pub mod task;
pub(crate) mod words;
