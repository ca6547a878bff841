//! A minimum of a smooth function of a few variables: BFGS (Nocedal and Wright 2006, algorithm 6.1) with a backtracking search.

/// Iterations after which the best point so far is taken.
const ITERATIONS_MAX: usize = 200;
/// The search ends where the gradient is as small as this, or a step brings less than this part of the value.
const GRADIENT_MIN: f64 = 1e-10;
const PROGRESS_MIN: f64 = 1e-10;
/// A step must bring this part of what the gradient promises (Armijo).
const PROMISE: f64 = 1e-4;
/// Halvings of a step.
const HALVINGS_MAX: usize = 60;

/// Walks down from `start`; `f` gives the value and writes the gradient. Gives the point and its value.
pub(super) fn minimise(f: impl Fn(&[f64], &mut [f64]) -> f64, start: &[f64]) -> (Vec<f64>, f64) {
    let n = start.len();
    let mut x = start.to_vec();
    let mut gradient = vec![0.0; n];
    let mut value = f(&x, &mut gradient);
    // The inverse of the curvature, row after row.
    let mut inverse = identity(n);
    for _ in 0..ITERATIONS_MAX {
        if dot(&gradient, &gradient).sqrt() < GRADIENT_MIN {
            break;
        }
        let mut direction: Vec<f64> = product(&inverse, &gradient).iter().map(|d| -d).collect();
        if dot(&direction, &gradient) >= 0.0 {
            inverse = identity(n);
            direction = gradient.iter().map(|g| -g).collect();
        }
        let slope = dot(&direction, &gradient);
        let mut next_gradient = vec![0.0; n];
        let mut length = 1.0;
        let mut found = None;
        for _ in 0..HALVINGS_MAX {
            let at: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + length * d).collect();
            let there = f(&at, &mut next_gradient);
            if there.is_finite() && there <= value + PROMISE * length * slope {
                found = Some((at, there));
                break;
            }
            length /= 2.0;
        }
        let Some((at, there)) = found else { break };
        let moved: Vec<f64> = at.iter().zip(&x).map(|(a, b)| a - b).collect();
        let turned: Vec<f64> = next_gradient.iter().zip(&gradient).map(|(a, b)| a - b).collect();
        update(&mut inverse, &moved, &turned);
        let progress = value - there;
        (x, value) = (at, there);
        gradient.copy_from_slice(&next_gradient);
        if progress <= PROGRESS_MIN * value.abs() {
            break;
        }
    }
    (x, value)
}

/// H ← (I − ρ s yᵀ) H (I − ρ y sᵀ) + ρ s sᵀ, left as it is where the curvature is not positive.
fn update(inverse: &mut [f64], moved: &[f64], turned: &[f64]) {
    let curvature = dot(moved, turned);
    if curvature <= 1e-14 {
        return;
    }
    let n = moved.len();
    let rho = 1.0 / curvature;
    let hy = product(inverse, turned);
    let scale = rho * (1.0 + rho * dot(turned, &hy));
    for i in 0..n {
        for j in 0..n {
            inverse[i * n + j] += scale * moved[i] * moved[j] - rho * (moved[i] * hy[j] + hy[i] * moved[j]);
        }
    }
}

fn identity(n: usize) -> Vec<f64> {
    (0..n * n).map(|at| if at / n == at % n { 1.0 } else { 0.0 }).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn product(matrix: &[f64], x: &[f64]) -> Vec<f64> {
    matrix.chunks(x.len()).map(|row| dot(row, x)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_valley_of_rosenbrock_is_followed_to_its_end() {
        let valley = |x: &[f64], gradient: &mut [f64]| {
            let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
            gradient.copy_from_slice(&[-2.0 * a - 400.0 * x[0] * b, 200.0 * b]);
            a * a + 100.0 * b * b
        };
        let (x, value) = minimise(valley, &[-1.2, 1.0]);
        assert!((x[0] - 1.0).abs() < 1e-6 && (x[1] - 1.0).abs() < 1e-6 && value < 1e-12, "{x:?} {value}");
    }
}
