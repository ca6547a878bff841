//! The one place that chooses where tensors live.
//!
//! The layers compute in main memory. The feature `cuda` makes candle's GPU storage available to build upon; until the layers have
//! kernels there, a training stays on the CPU with it too.

use candle_core::Device;

/// Where tensors live.
pub(crate) const fn device() -> Device {
    Device::Cpu
}
