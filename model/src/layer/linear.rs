//! y = x·Wᵀ + b, for one matrix or several side by side, optionally added to a residual.
//!
//! Query, key and value (or gate and up) are separate parameters, as checkpoints name them, but one operation: it
//! writes their outputs next to each other in one row and reads one gradient back. A part may carry a low-rank adapter
//! ([`LowRank`]), which adds to its output.

use super::lora::LowRank;
use crate::kernel::{Matrix, MatrixMut, Packed, Real, add_scaled, product, simd};
use crate::parameter::Shared;
use candle_core::{Result, Tensor};
use rayon::prelude::*;

/// Columns of a task that sums them.
const SUM_COLUMNS: usize = 128;

/// How a weight lies in its checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Orientation {
    /// `[out, in]`, as in LLaMA.
    OutIn,
    /// `[in, out]`, as in GPT-2.
    InOut,
}

/// Matrices applied to one input.
#[derive(Debug, Clone)]
pub(crate) struct Linear<T> {
    parts: Vec<Part<T>>,
    orientation: Orientation,
    width_in: usize,
    width_out: usize,
}

#[derive(Debug, Clone)]
struct Part<T> {
    weight: Shared<T>,
    bias: Option<Shared<T>>,
    adapter: Option<LowRank<T>>,
    start: usize,
    width: usize,
}

impl<T: Real> Linear<T> {
    /// Puts weights (each with its bias) side by side, in the order of the output.
    pub(crate) fn new(parts: Vec<(Shared<T>, Option<Shared<T>>)>, orientation: Orientation) -> Result<Self> {
        let mut made = Vec::with_capacity(parts.len());
        let (mut width_in, mut width_out) = (0, 0);
        for (weight, bias) in parts {
            let (rows, columns) = weight.value().dims2()?;
            let width = if orientation == Orientation::OutIn { rows } else { columns };
            width_in = rows + columns - width;
            made.push(Part { weight, bias, adapter: None, start: width_out, width });
            width_out += width;
        }
        Ok(Self { parts: made, orientation, width_in, width_out })
    }

    /// How all weights lie.
    pub(crate) const fn orientation(&self) -> Orientation {
        self.orientation
    }

    /// Each weight with its bias, as parameters.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&Shared<T>, Option<&Shared<T>>)> {
        self.parts.iter().map(|part| (&part.weight, part.bias.as_ref()))
    }

    /// Each weight with its bias and its adapter, in the order of the output.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&Tensor, Option<&Tensor>, Option<&LowRank<T>>)> {
        self.parts.iter().map(|part| {
            let bias = part.bias.as_ref().map(|bias| bias.value().as_tensor());
            (part.weight.value().as_tensor(), bias, part.adapter.as_ref())
        })
    }

    /// Gives each part the adapter that `make` has for its weight and its widths in and out.
    pub(crate) fn adapt(
        &mut self,
        mut make: impl FnMut(&Shared<T>, usize, usize) -> Result<Option<LowRank<T>>>,
    ) -> Result<()> {
        for part in &mut self.parts {
            part.adapter = make(&part.weight, self.width_in, part.width)?;
        }
        Ok(())
    }

    /// Each adapter with the weight that it belongs to.
    pub(crate) fn adapters(&self) -> impl Iterator<Item = (&Shared<T>, &LowRank<T>)> {
        self.parts.iter().filter_map(|part| Some((&part.weight, part.adapter.as_ref()?)))
    }

    /// Its parameters: each weight, then its bias.
    #[cfg(test)]
    pub(crate) fn shared(&self) -> impl Iterator<Item = &Shared<T>> {
        self.parts.iter().flat_map(|part| std::iter::once(&part.weight).chain(&part.bias))
    }

    /// Features that go in.
    pub(crate) const fn width_in(&self) -> usize {
        self.width_in
    }

    /// Features that come out.
    pub(crate) const fn width_out(&self) -> usize {
        self.width_out
    }

    /// x: tokens × in → y: tokens × out.
    pub(crate) fn forward(&self, x: &[T], y: &mut [T]) -> Result<()> {
        self.apply(x, y, false)
    }

    /// The same, added to `y`.
    pub(crate) fn forward_onto(&self, x: &[T], y: &mut [T]) -> Result<()> {
        self.apply(x, y, true)
    }

    /// W as in × out, for an output on its right.
    fn in_out<'a>(&self, weight: &'a [T], width: usize) -> Matrix<'a, T> {
        match self.orientation {
            Orientation::OutIn => Matrix::new(weight, width, self.width_in, self.width_in).transposed(),
            Orientation::InOut => Matrix::new(weight, self.width_in, width, width),
        }
    }

    /// Adds x·Wᵀ + b to `y`, or writes it there.
    fn apply(&self, x: &[T], y: &mut [T], keep: bool) -> Result<()> {
        let (out, tokens) = (self.width_out, x.len() / self.width_in);
        if tokens == 0 {
            return Ok(());
        }
        let lhs = Matrix::new(x, tokens, self.width_in, self.width_in);
        for part in &self.parts {
            let into = MatrixMut::new(&mut y[part.start..], tokens, part.width, out);
            T::lend(|packed| {
                part.weight.read(|weight| packed.pack(self.in_out(weight, part.width)))?;
                match &part.bias {
                    Some(bias) => bias.read(|bias| product(into, keep, Some(bias), lhs, packed)),
                    None => Ok(product(into, keep, None, lhs, packed)),
                }
            })?;
            if let Some(adapter) = &part.adapter {
                adapter.forward_onto(x, y, (part.start, out))?;
            }
        }
        Ok(())
    }

    /// Writes dX = dY·W; dW and db go to their slots.
    pub(crate) fn backward(&self, x: &[T], dy: &[T], dx: &mut [T]) -> Result<()> {
        let (out, tokens) = (self.width_out, x.len() / self.width_in);
        if tokens == 0 {
            // An expert that no token chose.
            for part in &self.parts {
                for tensor in std::iter::once(&part.weight).chain(&part.bias) {
                    tensor.accumulate(|gradient, keep| {
                        if !keep {
                            gradient.fill(T::ZERO)
                        }
                    });
                }
                if let Some(adapter) = &part.adapter {
                    adapter.backward(x, dy, (part.start, out), dx)?;
                }
            }
            return Ok(());
        }
        T::lend(|packed| {
            for (index, part) in self.parts.iter().enumerate() {
                let dy = Matrix::new(&dy[part.start..], tokens, part.width, out);
                let dx = MatrixMut::new(dx, tokens, self.width_in, self.width_in);
                part.weight.read(|weight| packed.pack(self.in_out(weight, part.width).transposed()))?;
                product(dx, index > 0, None, dy, packed);
            }
            self.weight_gradients(Matrix::new(x, tokens, self.width_in, self.width_in), dy, packed);
            Result::Ok(())
        })?;
        for part in &self.parts {
            if let Some(adapter) = &part.adapter {
                adapter.backward(x, dy, (part.start, out), dx)?;
            }
            if let Some(bias) = &part.bias {
                bias.accumulate(|db, keep| column_sums(dy, out, part.start, db, keep));
            }
        }
        Ok(())
    }

    /// dW of each part: dYᵀ·X or Xᵀ·dY, as the weight lies.
    fn weight_gradients(&self, x: Matrix<'_, T>, dy: &[T], packed: &mut Packed<T>) {
        let tokens = dy.len() / self.width_out;
        if self.orientation == Orientation::OutIn {
            packed.pack(x);
        }
        for part in &self.parts {
            let dy = Matrix::new(&dy[part.start..], tokens, part.width, self.width_out);
            part.weight.accumulate(|dw, keep| match self.orientation {
                Orientation::OutIn => {
                    let dw = MatrixMut::new(dw, part.width, self.width_in, self.width_in);
                    product(dw, keep, None, dy.transposed(), packed);
                }
                Orientation::InOut => {
                    packed.pack(dy);
                    let dw = MatrixMut::new(dw, self.width_in, part.width, part.width);
                    product(dw, keep, None, x.transposed(), packed);
                }
            });
        }
    }
}

/// Sums of columns, each in the order of the rows.
fn column_sums<T: Real>(dy: &[T], stride: usize, start: usize, sums: &mut [T], keep: bool) {
    sums.par_chunks_mut(SUM_COLUMNS).enumerate().for_each(|(at, sums)| {
        if !keep {
            sums.fill(T::ZERO);
        }
        let first = start + at * SUM_COLUMNS;
        simd(|| dy.chunks(stride).for_each(|row| add_scaled(sums, &row[first..first + sums.len()], T::ONE)));
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::{check, numbers, parameter};

    /// Parts of these widths, with and without biases, alone and onto a residual.
    fn gradients(orientation: Orientation, tokens: usize, width_in: usize, widths: &[usize], bias: bool) {
        let part = |(at, &width): (usize, &usize)| {
            let shape = if orientation == Orientation::OutIn { [width, width_in] } else { [width_in, width] };
            let bias = bias.then(|| parameter(&format!("b{at}"), &[width], 20 + at as u64));
            (parameter::<f64>(&format!("w{at}"), &shape, at as u64), bias)
        };
        let parts: Vec<_> = widths.iter().enumerate().map(part).collect();
        let linear = Linear::new(parts.clone(), orientation).unwrap();
        let parameters: Vec<_> = parts.iter().flat_map(|(w, b)| std::iter::once(w).chain(b)).collect();
        let what = format!("{orientation:?} {tokens} × {width_in} → {widths:?}, bias {bias}");
        let forward = |x: &[f64]| {
            let mut y = numbers(tokens * linear.width_out(), 9);
            linear.forward(x, &mut y).unwrap();
            let mut onto = y.clone();
            linear.forward_onto(x, &mut onto).unwrap();
            assert!(onto.iter().zip(&y).all(|(onto, y)| (onto - 2.0 * y).abs() < 1e-9), "{what}");
            y
        };
        check(&what, tokens * width_in, &parameters, forward, |x, dy, dx| linear.backward(x, dy, dx));
    }

    #[test]
    fn no_tokens_have_gradients_of_zeros() {
        for (orientation, shape) in [(Orientation::OutIn, [4, 3]), (Orientation::InOut, [3, 4])] {
            let weights = [parameter::<f32>("a", &shape, 1), parameter("b", &shape, 2)];
            let linear =
                Linear::new(weights.iter().map(|w| (w.clone(), None)).collect(), orientation).unwrap();
            linear.forward(&[], &mut []).unwrap();
            linear.backward(&[], &[], &mut []).unwrap();
            assert!(weights.iter().all(|w| w.gradient(|g| g == Some(&[0.0; 12][..]))), "{orientation:?}");
        }
    }

    #[test]
    fn gradients_are_the_numeric_ones() {
        for orientation in [Orientation::OutIn, Orientation::InOut] {
            for bias in [false, true] {
                gradients(orientation, 1, 1, &[1], bias);
                gradients(orientation, 1, 5, &[7], bias);
                gradients(orientation, 3, 17, &[4, 2, 2], bias);
                // More rows than two tasks of a product, and more columns than a task of sums.
                gradients(orientation, 257, 67, &[3, SUM_COLUMNS + 2], bias);
            }
        }
    }
}
