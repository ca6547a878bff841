//! Number formats of exported tensors: `f32`, `bf16`, `f16`, and the reading of each.

use half::{bf16, f16};
use safetensors::Dtype;

/// How numbers are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits, as they were trained.
    #[default]
    F32,
    /// 16 bits with the exponents of `f32`.
    Bf16,
    /// 16 bits up to 65,504.
    F16,
}

impl Precision {
    /// Its name in a `config.json`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
        }
    }

    /// Its name in a safetensors file.
    pub(super) const fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::Bf16 => Dtype::BF16,
            Self::F16 => Dtype::F16,
        }
    }

    /// Numbers in little-endian bytes, rounded to the nearest.
    ///
    /// # Errors
    /// A number beyond the greatest of the format.
    pub(super) fn encode(self, numbers: &[f32]) -> Result<Vec<u8>, String> {
        let inside = |rounded: f32, number: f32| {
            if rounded.is_finite() || !number.is_finite() {
                return Ok(());
            }
            Err(format!("{number} is beyond the range of {}; take another `--dtype`", self.name()))
        };
        let mut bytes = Vec::with_capacity(numbers.len() * self.dtype().bitsize() / 8);
        for &number in numbers {
            match self {
                Self::F32 => bytes.extend_from_slice(&number.to_le_bytes()),
                Self::Bf16 => {
                    let rounded = bf16::from_f32(number);
                    inside(rounded.to_f32(), number)?;
                    bytes.extend_from_slice(&rounded.to_le_bytes());
                }
                Self::F16 => {
                    let rounded = f16::from_f32(number);
                    inside(rounded.to_f32(), number)?;
                    bytes.extend_from_slice(&rounded.to_le_bytes());
                }
            }
        }
        Ok(bytes)
    }
}

/// Numbers of a safetensors tensor as `f32`.
///
/// # Errors
/// A format that weights do not come in, by name.
pub(crate) fn decode(dtype: Dtype, bytes: &[u8]) -> Result<Vec<f32>, String> {
    let pairs = || bytes.as_chunks::<2>().0.iter().copied();
    match dtype {
        Dtype::F32 => Ok(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Dtype::BF16 => Ok(pairs().map(|b| bf16::from_le_bytes(b).to_f32()).collect()),
        Dtype::F16 => Ok(pairs().map(|b| f16::from_le_bytes(b).to_f32()).collect()),
        other => Err(format!("numbers of type {other:?}, expected F32, BF16 or F16")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(precision: Precision, number: f32, expected: f32) {
        let bytes = precision.encode(&[number]).unwrap();
        assert_eq!(decode(precision.dtype(), &bytes).unwrap(), [expected], "{precision:?}");
    }

    #[test]
    fn numbers_are_rounded_to_the_nearest() {
        check(Precision::F32, 0.1, 0.1);
        check(Precision::Bf16, 1.0 + 1.0 / 512.0, 1.0);
        check(Precision::Bf16, 1.0 + 3.0 / 512.0, 1.0 + 1.0 / 128.0);
        check(Precision::F16, 1.0 / 3.0, 0.333_251_95);
        check(Precision::F16, -6e-8, -5.960_464_5e-8);
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused() {
        let error = Precision::F16.encode(&[1.0, 7e4]).unwrap_err();
        assert_eq!(error, "70000 is beyond the range of float16; take another `--dtype`");
        assert!(decode(Dtype::I64, &[0; 8]).unwrap_err().contains("I64"));
    }
}
