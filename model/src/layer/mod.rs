//! The parts of a transformer, one file a part: a forward pass over slices, and a backward of our own.
//!
//! Activations are matrices of tokens × features. A layer owns its parameters and writes their gradients into their slots; what
//! lies between the layers belongs to the [`Tape`](crate::architecture::Tape), so no pass allocates or copies what another one left.

pub(crate) mod activation;
pub(crate) mod attention;
pub(crate) mod batch_norm;
pub(crate) mod dropout;
pub(crate) mod embedding;
pub(crate) mod experts;
pub(crate) mod feed_forward;
pub(crate) mod linear;
pub(crate) mod lora;
pub(crate) mod norm;
pub(crate) mod normalisation;
pub(crate) mod recurrence;
pub(crate) mod rope;
