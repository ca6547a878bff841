//! The pupil: a trainer on candle that reads committed datasets, and what follows from a trained model.
//!
//! Tensors are candle's; every operation with a backward, the order of the passes, the optimizer, the random numbers and the
//! checkpoints are our own: candle's fused layers drop gradients, its tape fills, copies and adds a tensor for each node, its CPU
//! generator takes no seed and its AdamW cannot be saved. Nothing here
//! prints or knows the pipeline: the way in is a dataset folder, the way out a model folder.

pub mod align;
mod architecture;
pub mod batch;
pub mod batch_size;
mod checkpoint;
pub mod config;
#[cfg(feature = "cuda")]
mod cuda;
pub mod data;
pub mod device;
mod error;
pub mod eval;
pub mod export;
mod folder;
pub mod generate;
mod kernel;
mod layer;
pub mod memory;
mod metrics;
#[cfg(test)]
mod numeric;
mod objective;
mod optimizer;
mod parameter;
mod parametrization;
pub mod parts;
pub mod presets;
pub mod progress;
pub mod scale;
mod schedule;
pub mod score;
pub mod speed;
pub mod sweep;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod train;
pub mod widths;

pub use config::Config;
pub use error::TrainError;
pub use folder::{remove, replace};
pub use metrics::{Losses, losses};
pub use progress::{TrainEvent, TrainObserver};
