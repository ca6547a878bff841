//! The parts of a transformer, one file a part. Each is an operation of candle's tape with a backward of our own.
//!
//! candle's fused layers drop gradients without a word, so none is used. Activations are matrices of
//! tokens × features; the layer owns its parameters and writes their gradients into their slots.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod dropout;
pub(crate) mod embedding;
pub(crate) mod linear;
pub(crate) mod norm;
pub(crate) mod rope;

use candle_core::{CpuStorage, Result, Shape, Tensor};

/// What a forward pass hands to candle.
pub(crate) fn made<T: candle_core::WithDType>(
    values: Vec<T>,
    rows: usize,
    columns: usize,
) -> (CpuStorage, Shape) {
    (T::to_cpu_storage_owned(values), Shape::from((rows, columns)))
}

/// What a backward pass hands to candle.
pub(crate) fn tensor<T: candle_core::WithDType>(values: Vec<T>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), like.device())
}
