//! Numeric proofs of backward passes, for tests: every operation against central differences, in f64.

use crate::kernel::Real;
use crate::parameter::{Parameter, Shared};
use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Result, Tensor, Var};
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
    Parameter::new(name, shape, numbers(shape.iter().product(), key), &Device::Cpu).unwrap()
}

/// Proves the gradients of Σ r∘`operation`(inputs), r random, for all inputs (of these shapes) and parameters.
///
/// The backward is run twice, so that both writing a gradient and adding to one are seen.
pub(crate) fn check(
    what: &str,
    shapes: &[&[usize]],
    parameters: &[&Shared<f64>],
    operation: impl Fn(&[&Tensor]) -> Result<Tensor>,
) {
    let input = |(at, shape): (usize, &&[usize])| {
        let values = numbers::<f64>(shape.iter().product(), 100 + at as u64);
        Var::from_tensor(&Tensor::from_vec(values, *shape, &Device::Cpu).unwrap()).unwrap()
    };
    let inputs: Vec<Var> = shapes.iter().enumerate().map(input).collect();
    let weighted = || {
        let y = operation(&inputs.iter().map(Var::as_tensor).collect::<Vec<_>>()).unwrap();
        let r = Tensor::from_vec(numbers::<f64>(y.elem_count(), 7), y.shape(), y.device()).unwrap();
        (y * r).unwrap().sum_all().unwrap()
    };
    let loss = || weighted().to_scalar::<f64>().unwrap();
    parameters.iter().for_each(|p| p.clear());
    let gradients = weighted().backward().unwrap();
    for (at, input) in inputs.iter().enumerate() {
        let found = gradients.get(input).unwrap_or_else(|| panic!("{what}: input {at} has no gradient"));
        let found: Vec<f64> = found.flatten_all().unwrap().to_vec1().unwrap();
        assert_numeric(&format!("{what}: input {at}"), input, &found, PLACES, &loss);
    }
    let read = |p: &Shared<f64>| p.gradient(|g| g.map(<[f64]>::to_vec));
    let once: Vec<_> = parameters.iter().map(|p| read(p).expect(what)).collect();
    weighted().backward().unwrap();
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
#[should_panic(expected = "broken: input 0[0]")]
fn a_wrong_gradient_is_noticed() {
    // exp(x) whose tape knows x alone: the gradient is 1 instead of eˣ.
    let wrong = |x: &Tensor| x + (x.exp()? - x)?.detach();
    check("broken", &[&[2, 3]], &[], |x| wrong(x[0]));
}

#[test]
#[should_panic(expected = "cut: input 0 has no gradient")]
fn a_missing_gradient_is_noticed() {
    check("cut", &[&[2, 3], &[2, 3]], &[], |x| x[0].detach() + x[1]);
}
