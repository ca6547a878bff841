//! Numeric proofs of backward passes, for tests: every operation against central differences, in f64.

use crate::kernel::Real;
use crate::parameter::{Parameter, Shared};
use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Var};
use schemas::hash::Rng;

/// Distance between the points of a difference.
const STEP: f64 = 1e-4;
/// Numbers of a tensor that are checked; a larger one is checked at as many places spread over it.
const PLACES: usize = 24;

/// Adds to one number of a tensor.
pub(crate) struct Nudge(pub(crate) usize, pub(crate) f64);

impl InplaceOp1 for Nudge {
    fn name(&self) -> &'static str {
        "nudge"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
        let CpuStorage::F64(values) = storage else { panic!("the check is in f64") };
        values[self.0] += self.1;
        Ok(())
    }
}

/// Numbers between −1 and 1 that `key` decides.
pub(crate) fn numbers<T: Real>(count: usize, key: u64) -> Vec<T> {
    let rng = Rng::new(key);
    (0..count).map(|at| T::of(rng.at(at as u64) as f64 / u64::MAX as f64 * 2.0 - 1.0)).collect()
}

/// A parameter of such numbers.
pub(crate) fn parameter<T: Real>(name: &str, shape: &[usize], key: u64) -> Shared<T> {
    Parameter::new(name, shape, numbers(shape.iter().product(), key)).unwrap()
}

/// Proves the gradients of Σ r∘`forward`(x), r random, for x of so many numbers and for parameters.
///
/// `backward` is given x, r and where to write the gradient of x. It is run twice, so that both writing a gradient and
/// adding to one are seen.
pub(crate) fn check(
    what: &str,
    count: usize,
    parameters: &[&Shared<f64>],
    forward: impl Fn(&[f64]) -> Vec<f64>,
    backward: impl Fn(&[f64], &[f64], &mut [f64]) -> Result<()>,
) {
    let x = parameter::<f64>("x", &[count], 100);
    let r = numbers::<f64>(x.read(&forward).unwrap().len(), 7);
    let loss = || x.read(&forward).unwrap().iter().zip(&r).map(|(y, r)| y * r).sum();
    // Whatever was there before is overwritten.
    let mut found = vec![9.0; count];
    parameters.iter().for_each(|p| p.clear());
    x.read(|x| backward(x, &r, &mut found)).unwrap().unwrap();
    assert_numeric(&format!("{what}: input"), x.value(), &found, PLACES, &loss);
    let read = |p: &Shared<f64>| p.gradient(|g| g.map(<[f64]>::to_vec));
    let once: Vec<_> = parameters.iter().map(|p| read(p).expect(what)).collect();
    x.read(|x| backward(x, &r, &mut found)).unwrap().unwrap();
    for (parameter, once) in parameters.iter().zip(&once) {
        let name = format!("{what}: {}", parameter.name());
        assert_numeric(&name, parameter.value(), once, PLACES, &loss);
        let twice = read(parameter).expect(what);
        let added = once.iter().zip(&twice).all(|(once, twice)| (2.0 * once - twice).abs() < 1e-9);
        assert!(added, "{name}: the second gradient was not added to the first");
    }
}

/// Compares a gradient with the central difference of four points, whose error falls with the fourth power of the
/// step, number by number.
pub(crate) fn assert_numeric(what: &str, value: &Var, found: &[f64], places: usize, loss: &dyn Fn() -> f64) {
    let count = found.len();
    assert_eq!(count, value.elem_count(), "{what}");
    let nudge = |at, by| value.inplace_op1(&Nudge(at, by)).unwrap();
    let spread = (0..count.min(places)).map(|i| i * count / count.min(places));
    for at in spread.chain(count.checked_sub(1)) {
        let beside = |steps: f64| {
            nudge(at, steps * STEP);
            let loss = loss();
            nudge(at, -steps * STEP);
            loss
        };
        let (near, far) = (beside(1.0) - beside(-1.0), beside(2.0) - beside(-2.0));
        let expected = (8.0 * near - far) / (12.0 * STEP);
        let found = found[at];
        let equal = (found - expected).abs() < 1e-7 * (1.0 + expected.abs());
        assert!(equal, "{what}[{at}]: {found}, numeric {expected}");
    }
}

#[test]
#[should_panic(expected = "broken: input[0]")]
fn a_wrong_gradient_is_noticed() {
    let exp = |x: &[f64]| x.iter().map(|x| x.exp()).collect();
    check("broken", 3, &[], exp, |_, dy, dx| {
        dx.copy_from_slice(dy);
        Ok(())
    });
}

#[test]
#[should_panic(expected = "forgotten")]
fn a_missing_gradient_is_noticed() {
    let gain = parameter::<f64>("gain", &[1], 1);
    let scaled = |x: &[f64]| vec![x[0] * gain.read(|gain| gain[0]).unwrap()];
    check("forgotten", 1, &[&gain], scaled, |_, dy, dx| {
        dx[0] = dy[0] * gain.read(|gain| gain[0])?;
        Ok(())
    });
}
