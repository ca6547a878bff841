//! The one place that chooses where tensors live.
//!
//! On the CPU our own operations compute. On a GPU, with the feature `cuda`, the model runs through candle's
//! ([`plain`](crate::architecture)); gradients come back to main memory, where AdamW works as it does without one.

use crate::error::TrainError;
use candle_core::Device;

/// Where a training computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// All cores.
    #[default]
    Cpu,
    /// The first GPU; this program has to be built with the feature `cuda`.
    Cuda,
}

/// Opens a device.
///
/// # Errors
/// There is no GPU, or this program was built without the feature `cuda`.
pub(crate) fn open(place: Place) -> Result<Device, TrainError> {
    match place {
        Place::Cpu => Ok(Device::Cpu),
        Place::Cuda if !candle_core::utils::cuda_is_available() => {
            let message = "the device `cuda` needs a program built with `--features cuda`".to_owned();
            Err(TrainError::Config { message })
        }
        Place::Cuda => Ok(Device::new_cuda(0)?),
    }
}
