//! The two number types of the layers: `f32` to train, `f64` to check gradients.

use super::Packed;
use candle_core::WithDType;
use pulp::Simd;
use std::cell::Cell;
use std::ops::Neg;

/// A number that layers compute with.
pub(crate) trait Real: WithDType + Neg<Output = Self> + Default {
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// The lowest finite number.
    const LOWEST: Self;
    /// eˣ.
    fn exp(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// As many numbers as a vector of this machine holds.
    type Vector<S: Simd>: Copy;
    /// A slice as vectors, without what is left over.
    fn vectors<S: Simd>(xs: &[Self]) -> &[Self::Vector<S>];
    /// The same, to write.
    fn vectors_mut<S: Simd>(xs: &mut [Self]) -> &mut [Self::Vector<S>];
    /// A vector of one number.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;
    /// a·b + c.
    fn multiply_add<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        c: Self::Vector<S>,
    ) -> Self::Vector<S>;
    /// a + b.
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;
    /// Lends this thread's memory for a packed operand: products of every layer use the same.
    fn lend<R>(body: impl FnOnce(&mut Packed<Self>) -> R) -> R;
    /// The error function, 2/√π ∫₀ˣ e^(−t²) dt.
    fn erf(self) -> Self;
    /// Rounds a constant to this type.
    #[inline(always)]
    fn of(x: f64) -> Self {
        Self::from_f64(x)
    }
    /// 1 ÷ (1 + e⁻ˣ).
    #[inline(always)]
    fn sigmoid(self) -> Self {
        Self::ONE / (Self::ONE + (-self).exp())
    }
}

/// Vectors are those of `pulp`, under one name for both types.
macro_rules! vectors {
    ($number:ty, $vector:ident, $as_simd:ident, $as_mut_simd:ident, $splat:ident, $mul_add:ident, $add:ident) => {
        type Vector<S: Simd> = S::$vector;

        #[inline(always)]
        fn vectors<S: Simd>(xs: &[Self]) -> &[S::$vector] {
            S::$as_simd(xs).0
        }

        #[inline(always)]
        fn vectors_mut<S: Simd>(xs: &mut [Self]) -> &mut [S::$vector] {
            S::$as_mut_simd(xs).0
        }

        #[inline(always)]
        fn splat<S: Simd>(simd: S, x: Self) -> S::$vector {
            simd.$splat(x)
        }

        #[inline(always)]
        fn multiply_add<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
            simd.$mul_add(a, b, c)
        }

        #[inline(always)]
        fn plus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
            simd.$add(a, b)
        }

        fn lend<R>(body: impl FnOnce(&mut Packed<Self>) -> R) -> R {
            thread_local! {
                static MEMORY: Cell<Packed<$number>> = Cell::default();
            }
            // Taken, not borrowed: a thread that waits for its product may begin another.
            let mut packed = MEMORY.take();
            let result = body(&mut packed);
            MEMORY.set(packed);
            result
        }
    };
}

impl Real for f32 {
    vectors!(f32, f32s, as_simd_f32s, as_mut_simd_f32s, splat_f32s, mul_add_f32s, add_f32s);

    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LOWEST: Self = Self::MIN;

    /// 2ⁿ · eʳ with n = round(x ÷ ln 2): ln 2 is subtracted in two parts (Cody and Waite 1980) so that r is exact,
    /// and eʳ is its Taylor polynomial of degree 7, whose remainder on |r| ≤ 0.35 is below 1e-8. Without branches, so
    /// that the loop around it becomes vector code, which the library's `exp` does not.
    #[inline(always)]
    fn exp(self) -> Self {
        const HIGH: f32 = 0.693_359_4;
        const LOW: f32 = -2.121_944_4e-4;
        // Adding and subtracting 1.5 · 2²³ rounds to a whole number.
        const ROUND: f32 = 12_582_912.0;
        let x = if self < -87.0 { -87.0 } else { self };
        let x = if x > 88.0 { 88.0 } else { x };
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = (x - n * HIGH) - n * LOW;
        let mut y = 1.0 / 5040.0;
        for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            y = y * r + c;
        }
        let power = Self::from_bits(shifted.to_bits().wrapping_add(127) << 23);
        // Not-a-number must stay visible: it is the sign of a broken training.
        if self.is_nan() { self } else { y * power }
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }

    /// Abramowitz and Stegun (1964), 7.1.26: right to 1.5e-7, which is single precision, and without branches.
    #[inline(always)]
    fn erf(self) -> Self {
        let x = self.abs();
        let t = 1.0 / (1.0 + 0.327_591_1 * x);
        let mut y = 1.061_405_4;
        for c in [-1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6] {
            y = y * t + c;
        }
        (1.0 - y * t * Real::exp(-x * x)).copysign(self)
    }
}

impl Real for f64 {
    vectors!(f64, f64s, as_simd_f64s, as_mut_simd_f64s, splat_f64s, mul_add_f64s, add_f64s);

    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const LOWEST: Self = Self::MIN;
    #[inline(always)]
    fn exp(self) -> Self {
        Self::exp(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        Self::sqrt(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        candle_core::cpu::erf::erf_f64(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_exp_is_right_to_three_units_in_the_last_place() {
        for step in -8600..8700 {
            let x = step as f32 * 0.01;
            let (found, exact) = (Real::exp(x), f64::from(x).exp());
            let error = (f64::from(found) - exact).abs() / exact;
            assert!(error < 2.5e-7, "exp({x}) = {found}, exact {exact}, error {error:e}");
        }
        assert!(Real::exp(f32::NAN).is_nan());
        assert!(Real::exp(f32::NEG_INFINITY) < 1e-37);
        assert_eq!(Real::exp(0.0_f32), 1.0);
    }

    #[test]
    fn the_short_error_function_is_right_to_single_precision() {
        for step in -600..600 {
            let x = step as f32 * 0.01;
            let (found, exact) = (Real::erf(x), Real::erf(f64::from(x)));
            assert!((f64::from(found) - exact).abs() < 4e-7, "erf({x}) = {found}, exact {exact}");
        }
        assert!(Real::erf(f32::NAN).is_nan());
        // Tables of the normal distribution: Φ(1) = 0.841344746.
        assert!((Real::erf(std::f64::consts::FRAC_1_SQRT_2) - 0.682_689_492).abs() < 1e-9);
    }
}
