//! Where the tensors of a model come from: drawn anew or read from a checkpoint.

use crate::kernel::Real;
use crate::parameter::{Parameter, Shared};
use candle_core::{Device, Result, bail};
use schemas::hash::{Rng, seed};
use std::collections::BTreeMap;

/// How a tensor begins.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Init {
    /// A normal distribution around 0 with this standard deviation.
    Normal(f64),
    /// All ones.
    Ones,
    /// All zeros.
    Zeros,
}

/// Tensors by name: shape and numbers.
pub(crate) type Tensors<T> = BTreeMap<String, (Vec<usize>, Vec<T>)>;

/// Hands out tensors by name and keeps the list of all.
pub(crate) struct Source<'a, T> {
    seed: u64,
    read: Option<Tensors<T>>,
    /// Most bytes of a blank tensor, where all are blank.
    blank: Option<u64>,
    device: &'a Device,
    made: Vec<Shared<T>>,
}

impl<'a, T: Real> Source<'a, T> {
    /// Draws every tensor from (seed, its name).
    pub(crate) const fn drawn(seed: u64, device: &'a Device) -> Self {
        Self { seed, read: None, blank: None, device, made: Vec::new() }
    }

    /// Takes tensors of a checkpoint.
    pub(crate) const fn read(tensors: Tensors<T>, device: &'a Device) -> Self {
        Self { seed: 0, read: Some(tensors), blank: None, device, made: Vec::new() }
    }

    /// Makes every tensor of zeros that take no memory, to count what a model needs; none may be above so many bytes.
    pub(crate) const fn blank(bytes_max: u64, device: &'a Device) -> Self {
        Self { seed: 0, read: None, blank: Some(bytes_max), device, made: Vec::new() }
    }

    /// The tensor of a name.
    ///
    /// # Errors
    /// The checkpoint has none, or one of another shape.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Shared<T>> {
        if let Some(bytes_max) = self.blank {
            let bytes = shape.iter().product::<usize>() as u64 * size_of::<T>() as u64;
            if bytes > bytes_max {
                let mib = |bytes: u64| bytes >> 20;
                bail!("tensor `{name}` alone needs {} of {} MiB; lower `width`", mib(bytes), mib(bytes_max));
            }
            let parameter = Parameter::blank(name, shape, self.device)?;
            self.made.push(parameter.clone());
            return Ok(parameter);
        }
        let values = match &mut self.read {
            None => draw(seed(self.seed, name, 0), shape.iter().product(), init),
            Some(tensors) => match tensors.remove(name) {
                Some((found, values)) if found == shape => values,
                Some((found, _)) => bail!("tensor `{name}` has shape {found:?}, expected {shape:?}"),
                None => bail!("tensor `{name}` is missing"),
            },
        };
        let parameter = Parameter::new(name, shape, values, self.device)?;
        self.made.push(parameter.clone());
        Ok(parameter)
    }

    /// The device, and every tensor that was taken, in that order.
    pub(crate) fn finish(self) -> (Device, Vec<Shared<T>>) {
        (self.device.clone(), self.made)
    }
}

/// Box and Muller (1958): two uniform numbers make one normal number.
fn draw<T: Real>(key: u64, count: usize, init: Init) -> Vec<T> {
    let deviation = match init {
        Init::Ones => return vec![T::ONE; count],
        Init::Zeros => return vec![T::ZERO; count],
        Init::Normal(deviation) => deviation,
    };
    let mut rng = Rng::new(key);
    let mut normal = || {
        let radius = (-2.0 * (1.0 - rng.next_f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * rng.next_f64()).cos()
    };
    (0..count).map(|_| T::of(deviation * normal())).collect()
}
