//! Where the tensors of a model come from: drawn anew or read from a checkpoint.

use super::init::Init;
use crate::kernel::Real;
use crate::parameter::{Parameter, Shared};
use candle_core::{Result, bail};
use schemas::hash::{Rng, seed};
use std::collections::BTreeMap;

/// Tensors by name: shape and numbers.
pub(crate) type Tensors<T> = BTreeMap<String, (Vec<usize>, Vec<T>)>;

/// Hands out tensors by name and keeps the list of all.
pub(crate) struct Source<T> {
    seed: u64,
    read: Option<Tensors<T>>,
    /// Most bytes of a blank tensor, where all are blank.
    blank: Option<u64>,
    made: Vec<Shared<T>>,
    kept: Vec<Shared<T>>,
}

/// Every tensor of a model, in the order of the forward pass.
pub(crate) struct Made<T> {
    /// Tensors that learn.
    pub(crate) parameters: Vec<Shared<T>>,
    /// Tensors that a checkpoint keeps and no gradient moves: running statistics.
    pub(crate) buffers: Vec<Shared<T>>,
}

impl<T: Real> Source<T> {
    /// Draws every tensor from (seed, its name).
    pub(crate) const fn drawn(seed: u64) -> Self {
        Self { seed, read: None, blank: None, made: Vec::new(), kept: Vec::new() }
    }

    /// Takes tensors of a checkpoint.
    pub(crate) const fn read(tensors: Tensors<T>) -> Self {
        Self { seed: 0, read: Some(tensors), blank: None, made: Vec::new(), kept: Vec::new() }
    }

    /// Makes every tensor of zeros that take no memory, to count what a model needs; none may be above so many bytes.
    pub(crate) const fn blank(bytes_max: u64) -> Self {
        Self { seed: 0, read: None, blank: Some(bytes_max), made: Vec::new(), kept: Vec::new() }
    }

    /// Whether tensors are drawn, neither read nor blank.
    pub(crate) const fn is_drawn(&self) -> bool {
        self.read.is_none() && self.blank.is_none()
    }

    /// The tensor of a name, which learns.
    ///
    /// # Errors
    /// The checkpoint has none, or one of another shape.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Shared<T>> {
        let parameter = self.tensor(name, shape, init)?;
        self.made.push(parameter.clone());
        Ok(parameter)
    }

    /// The tensor of a name, which no gradient moves.
    ///
    /// # Errors
    /// Those of [`Source::take`].
    pub(crate) fn buffer(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Shared<T>> {
        let buffer = self.tensor(name, shape, init)?;
        self.kept.push(buffer.clone());
        Ok(buffer)
    }

    fn tensor(&mut self, name: &str, shape: &[usize], init: Init) -> Result<Shared<T>> {
        if let Some(bytes_max) = self.blank {
            let bytes = shape.iter().product::<usize>() as u64 * size_of::<T>() as u64;
            if bytes > bytes_max {
                let mib = |bytes: u64| bytes >> 20;
                bail!("tensor `{name}` alone needs {} of {} MiB; lower `width`", mib(bytes), mib(bytes_max));
            }
            return Parameter::blank(name, shape);
        }
        let values = match &mut self.read {
            None => draw(seed(self.seed, name, 0), shape.iter().product(), init),
            Some(tensors) => match tensors.remove(name) {
                Some((found, values)) if found == shape => values,
                Some((found, _)) => bail!("tensor `{name}` has shape {found:?}, expected {shape:?}"),
                None => bail!("tensor `{name}` is missing"),
            },
        };
        Parameter::new(name, shape, values)
    }

    /// Every tensor that was taken, in that order.
    pub(crate) fn finish(self) -> Made<T> {
        Made { parameters: self.made, buffers: self.kept }
    }
}

/// Box and Muller (1958): two uniform numbers make one normal number.
fn draw<T: Real>(key: u64, count: usize, init: Init) -> Vec<T> {
    let mut rng = Rng::new(key);
    let (deviation, limit) = match init {
        Init::Ones => return vec![T::ONE; count],
        Init::Zeros => return vec![T::ZERO; count],
        Init::Uniform(low, high) => {
            return (0..count).map(|_| T::of(low + (high - low) * rng.next_f64())).collect();
        }
        Init::Normal(deviation) => (deviation, f64::INFINITY),
        Init::Truncated(deviation) => (deviation, 2.0),
    };
    let mut normal = || {
        let radius = (-2.0 * (1.0 - rng.next_f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * rng.next_f64()).cos()
    };
    let mut within = || {
        loop {
            let drawn = normal();
            if drawn.abs() <= limit {
                return drawn;
            }
        }
    };
    (0..count).map(|_| T::of(deviation * within())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_distribution_stays_inside_two_deviations() {
        let moments = |init| {
            let drawn: Vec<f64> = draw(7, 20_000, init);
            let greatest = drawn.iter().fold(0.0_f64, |greatest, x| greatest.max(x.abs()));
            let square = drawn.iter().map(|x| x * x).sum::<f64>() / drawn.len() as f64;
            (greatest, square.sqrt())
        };
        let (greatest, deviation) = moments(Init::Normal(0.5));
        assert!(greatest > 1.5 && (deviation - 0.5).abs() < 0.01, "{greatest} {deviation}");
        // A normal distribution cut at 2σ has 0.8796 of its deviation.
        let (greatest, deviation) = moments(Init::Truncated(0.5));
        assert!(greatest <= 1.0 && (deviation - 0.4398).abs() < 0.01, "{greatest} {deviation}");
        let (greatest, deviation) = moments(Init::Uniform(-1.0, 1.0));
        assert!(greatest <= 1.0 && (deviation - 1.0 / 3.0_f64.sqrt()).abs() < 0.01, "{greatest} {deviation}");
    }
}
