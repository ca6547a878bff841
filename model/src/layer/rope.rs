//! Rotary positions (arXiv 2104.09864), in the half-split pairing of LLaMA's checkpoints.
//!
//! Features i and i + d/2 of a head are the two coordinates of a point that is turned by `position · base^(−2i/d)`.

use crate::kernel::Real;

/// Cosines and sines of every position.
#[derive(Debug, Clone)]
pub(crate) struct Rope<T> {
    half: usize,
    cosines: Vec<T>,
    sines: Vec<T>,
}

/// Which way to turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// As the forward pass.
    Forward,
    /// Back, as gradients need.
    Back,
}

impl<T: Real> Rope<T> {
    /// Tables for positions below `positions` and heads of `head_width` features.
    pub(crate) fn new(head_width: usize, positions: usize, base: f64) -> Self {
        let half = head_width / 2;
        let angles: Vec<f64> = (0..positions)
            .flat_map(|position| {
                (0..half).map(move |i| position as f64 * base.powf(-((2 * i) as f64) / head_width as f64))
            })
            .collect();
        Self {
            half,
            cosines: angles.iter().map(|a| T::of(a.cos())).collect(),
            sines: angles.iter().map(|a| T::of(a.sin())).collect(),
        }
    }

    /// Cosines and sines of a position.
    #[inline(always)]
    pub(crate) fn row(&self, position: usize) -> (&[T], &[T]) {
        let row = position * self.half..(position + 1) * self.half;
        (&self.cosines[row.clone()], &self.sines[row])
    }

    /// Turns one head at `position`.
    #[inline(always)]
    pub(crate) fn turn(&self, head: &mut [T], position: usize, turn: Turn) {
        let (cosines, sines) = self.row(position);
        let sign = if turn == Turn::Back { -T::ONE } else { T::ONE };
        let (first, second) = head.split_at_mut(self.half);
        for i in 0..self.half {
            let (a, b, sine) = (first[i], second[i], sign * sines[i]);
            first[i] = a * cosines[i] - b * sine;
            second[i] = b * cosines[i] + a * sine;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::numbers;

    #[test]
    fn products_depend_on_the_distance_alone_and_turning_back_undoes() {
        let rope = Rope::<f64>::new(8, 32, 10_000.0);
        let turned = |seed: usize, position: usize| {
            let mut head: Vec<f64> = (0..8).map(|i| ((i * seed + 1) % 5) as f64 - 2.0).collect();
            rope.turn(&mut head, position, Turn::Forward);
            head
        };
        let product =
            |p: usize, q: usize| -> f64 { turned(3, p).iter().zip(turned(7, q)).map(|(a, b)| a * b).sum() };
        assert!((product(9, 4) - product(25, 20)).abs() < 1e-12);
        assert!((product(9, 4) - product(9, 5)).abs() > 1e-3);
        let mut head = turned(3, 11);
        rope.turn(&mut head, 11, Turn::Back);
        assert!(head.iter().zip(turned(3, 0)).all(|(a, b)| (a - b).abs() < 1e-12));
    }

    #[test]
    fn the_gradient_is_the_numeric_one() {
        for (width, position) in [(2, 0), (2, 1), (6, 3), (10, 31), (64, 17)] {
            let rope = Rope::<f64>::new(width, 32, 10_000.0);
            let (x, r) = (numbers::<f64>(width, 1), numbers::<f64>(width, 2));
            let loss = |at: usize, by: f64| -> f64 {
                let mut y = x.clone();
                y[at] += by;
                rope.turn(&mut y, position, Turn::Forward);
                y.iter().zip(&r).map(|(y, r)| y * r).sum()
            };
            let mut gradient = r.clone();
            rope.turn(&mut gradient, position, Turn::Back);
            for (at, found) in gradient.iter().enumerate() {
                let expected = (loss(at, 1e-5) - loss(at, -1e-5)) / 2e-5;
                assert!((found - expected).abs() < 1e-8, "{width} at {position}: [{at}]");
            }
        }
    }
}
