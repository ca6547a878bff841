//! A mixture of experts: each token goes to the few feed-forward networks that a router finds best for it (arXiv 2101.03961).
//!
//! ```text
//! p = softmax(x·Rᵀ);  y = Σ w_e·expert_e(x) over the `active` greatest p, ties to the lower number
//! w_e = p_e ÷ Σ p of the chosen (arXiv 2401.04088);  w = p for one active expert, which has a gradient then too
//! balance = E·Σ_e f_e·mean(p_e), f_e the part of all choices that fell on e;  z = mean((log Σ exp(x·Rᵀ))²) (arXiv 2202.08906)
//! ```
//! No token is dropped: choices are sorted by expert, and each expert is one product over its rows, however many they are. What a
//! token gets depends on that token alone.

use super::feed_forward::{Dense, Gradients, Kept, bytes_of, sized};
use super::linear::Linear;
use crate::kernel::{Real, TASK_ROWS, add_scaled, dot, exponentiate, simd};
use candle_core::Result;
use rayon::prelude::*;
use std::ops::Range;

/// A router and its experts.
#[derive(Debug, Clone)]
pub(crate) struct Experts<T> {
    /// width → experts.
    pub(crate) router: Linear<T>,
    pub(crate) experts: Vec<Dense<T>>,
    /// Experts of a token.
    pub(crate) active: usize,
    /// Weight of the balance loss.
    pub(crate) balance: f64,
    /// Weight of the z-loss.
    pub(crate) router_z: f64,
}

/// Where the tokens of a pass went.
#[derive(Debug, Default)]
pub(crate) struct Routes<T> {
    /// Softmax of the router, tokens × experts.
    probabilities: Vec<T>,
    /// log Σ exp of each token's logits.
    log_sums: Vec<T>,
    /// Chosen experts, tokens × active, the best first.
    chosen: Vec<usize>,
    /// Their weights.
    weights: Vec<T>,
    /// Choices by expert, within one by token: where in `chosen` each row comes from.
    order: Vec<usize>,
    /// The row of each choice.
    rows: Vec<usize>,
    /// First row of each expert, and the count of all.
    bounds: Vec<usize>,
    /// Input of each row.
    input: Vec<T>,
    /// Output of each row.
    output: Vec<T>,
}

impl<T> Routes<T> {
    /// Part of all choices that fell on each expert; empty where nothing was routed.
    pub(crate) fn load(&self) -> Vec<f64> {
        let all = self.order.len().max(1) as f64;
        self.bounds.windows(2).map(|bounds| (bounds[1] - bounds[0]) as f64 / all).collect()
    }

    /// Bytes of all buffers.
    pub(crate) fn bytes(&self) -> usize {
        let Self { probabilities, log_sums, chosen, weights, order, rows, bounds, input, output } = self;
        let numbers = [probabilities, log_sums, weights, input, output].map(bytes_of);
        numbers.iter().chain(&[chosen, order, rows, bounds].map(bytes_of)).sum()
    }

    fn expert(&self, expert: usize) -> Range<usize> {
        self.bounds[expert]..self.bounds[expert + 1]
    }
}

/// Cuts a matrix by rows into the parts of each expert.
fn parts<'a, T>(mut matrix: &'a mut [T], bounds: &[usize], width: usize) -> Vec<&'a mut [T]> {
    let cut = |bounds: &[usize]| {
        let (part, rest) = std::mem::take(&mut matrix).split_at_mut((bounds[1] - bounds[0]) * width);
        matrix = rest;
        part
    };
    bounds.windows(2).map(cut).collect()
}

impl<T: Real> Experts<T> {
    /// Routes the tokens and runs each expert over its rows; what comes out waits in `kept` for [`Experts::combine`].
    pub(crate) fn forward(&self, tokens: usize, x: &[T], kept: &mut Kept<T>) -> Result<()> {
        let width = self.router.width_in();
        let Kept { up, inner, routes } = kept;
        self.route(tokens, x, routes)?;
        let rows = routes.order.len();
        let Routes { order, input, output, bounds, .. } = routes;
        let (input, output) = (sized(input, rows * width), sized(output, rows * width));
        input.par_chunks_mut(width).zip(&*order).for_each(|(row, &choice)| {
            row.copy_from_slice(&x[choice / self.active * width..][..width]);
        });
        let (up_width, inner_width) = (self.experts[0].up.width_out(), self.experts[0].width());
        let (up, inner) = (sized(up, rows * up_width), sized(inner, rows * inner_width));
        let work = self.experts.par_iter().zip(parts(input, bounds, width));
        let work = work.zip(parts(up, bounds, up_width)).zip(parts(inner, bounds, inner_width));
        work.zip(parts(output, bounds, width)).try_for_each(|((((expert, x), up), inner), y)| {
            expert.up.forward(x, up)?;
            expert.activation.forward(inner_width, up, inner);
            expert.down.forward(inner, y)
        })
    }

    fn route(&self, tokens: usize, x: &[T], routes: &mut Routes<T>) -> Result<()> {
        let (count, active) = (self.experts.len(), self.active);
        let p = sized(&mut routes.probabilities, tokens * count);
        self.router.forward(x, p)?;
        let sums = sized(&mut routes.log_sums, tokens);
        let weights = sized(&mut routes.weights, tokens * active);
        routes.chosen.resize(tokens * active, 0);
        let work = p.par_chunks_mut(TASK_ROWS * count).zip(sums.par_chunks_mut(TASK_ROWS));
        let work = work.zip(weights.par_chunks_mut(TASK_ROWS * active));
        work.zip(routes.chosen.par_chunks_mut(TASK_ROWS * active)).for_each(
            |(((p, sums), weights), chosen)| {
                let rows = p.chunks_mut(count).zip(sums).zip(weights.chunks_mut(active));
                for (((p, log_sum), weights), chosen) in rows.zip(chosen.chunks_mut(active)) {
                    let (top, sum) = exponentiate(p);
                    *log_sum = top + T::of(sum.to_f64().ln());
                    p.iter_mut().for_each(|p| *p /= sum);
                    choose(p, chosen);
                    let divisor = if active == 1 { T::ONE } else { sum_of(chosen.iter().map(|&e| p[e])) };
                    weights.iter_mut().zip(&*chosen).for_each(|(weight, &e)| *weight = p[e] / divisor);
                }
            },
        );
        sort(count, routes);
        Ok(())
    }

    /// Adds the weighted outputs of each token's experts to `out`: tokens × width.
    pub(crate) fn combine(&self, kept: &Kept<T>, out: &mut [T]) {
        let (width, active) = (self.router.width_in(), self.active);
        let Routes { weights, rows, output, .. } = &kept.routes;
        let choices = weights.par_chunks(active).zip(rows.par_chunks(active));
        out.par_chunks_mut(width).zip(choices).for_each(|(out, (weights, rows))| {
            simd(|| {
                for (&weight, &row) in weights.iter().zip(rows) {
                    add_scaled(out, &output[row * width..][..width], weight);
                }
            });
        });
    }

    /// Balance loss and z-loss by their weights.
    pub(crate) fn auxiliary(&self, routes: &Routes<T>) -> f64 {
        let count = self.experts.len();
        let tokens = routes.log_sums.len().max(1) as f64;
        let mean = |e: usize| {
            routes.probabilities.iter().skip(e).step_by(count).map(|p| p.to_f64()).sum::<f64>() / tokens
        };
        let balance: f64 = routes.load().iter().enumerate().map(|(e, load)| load * mean(e)).sum();
        let z = routes.log_sums.iter().map(|s| s.to_f64() * s.to_f64()).sum::<f64>() / tokens;
        self.balance * count as f64 * balance + self.router_z * z
    }

    /// Writes dX, given the gradient of the output; those of router and experts go to their slots.
    pub(crate) fn backward(
        &self,
        x: &[T],
        kept: &Kept<T>,
        d_out: &[T],
        gradients: &mut Gradients<T>,
        dx: &mut [T],
    ) -> Result<()> {
        let (width, active, routes) = (self.router.width_in(), self.active, &kept.routes);
        let Gradients { auxiliary, wide, inner, outer, input } = gradients;
        let d_output = sized(outer, routes.output.len());
        d_output.par_chunks_mut(width).zip(&routes.order).for_each(|(row, &choice)| {
            let (weight, d_out) = (routes.weights[choice], &d_out[choice / active * width..][..width]);
            row.iter_mut().zip(d_out).for_each(|(row, &d)| *row = weight * d);
        });
        let d_input = sized(input, routes.input.len());
        let (d_up, d_inner) = (sized(wide, kept.up.len()), sized(inner, kept.inner.len()));
        let bounds = &routes.bounds;
        let (up_width, inner_width) = (self.experts[0].up.width_out(), self.experts[0].width());
        let work = self.experts.par_iter().enumerate().zip(parts(d_input, bounds, width));
        let work = work.zip(parts(d_up, bounds, up_width)).zip(parts(d_inner, bounds, inner_width));
        work.try_for_each(|((((at, expert), dx), d_up), d_inner)| {
            let rows = routes.expert(at);
            let of = |width: usize| rows.start * width..rows.end * width;
            let (up, inner) = (&kept.up[of(up_width)], &kept.inner[of(inner_width)]);
            expert.down.backward(inner, &d_output[of(width)], d_inner)?;
            expert.activation.backward(inner_width, up, d_inner, d_up);
            expert.up.backward(&routes.input[of(width)], d_up, dx)
        })?;
        // The router's own way to x is written first, then each expert's is added.
        let d_logits = sized(wide, routes.probabilities.len());
        self.route_backward(routes, d_out, *auxiliary, d_logits);
        self.router.backward(x, d_logits, dx)?;
        dx.par_chunks_mut(width).zip(routes.rows.par_chunks(active)).for_each(|(dx, rows)| {
            simd(|| rows.iter().for_each(|&row| add_scaled(dx, &d_input[row * width..][..width], T::ONE)));
        });
        Ok(())
    }

    /// Writes the gradient of the router's logits.
    fn route_backward(&self, routes: &Routes<T>, d_out: &[T], auxiliary: f64, d_logits: &mut [T]) {
        let (count, active, width) = (self.experts.len(), self.active, self.router.width_in());
        let tokens = routes.log_sums.len().max(1) as f64;
        let balance = auxiliary * self.balance * count as f64 / tokens;
        let loads: Vec<T> = routes.load().iter().map(|load| T::of(balance * load)).collect();
        let z = T::of(auxiliary * self.router_z * 2.0 / tokens);
        d_logits.par_chunks_mut(count).enumerate().for_each(|(token, d_logits)| {
            let choices = token * active..(token + 1) * active;
            let d_out = &d_out[token * width..][..width];
            let p = &routes.probabilities[token * count..][..count];
            let (chosen, weights) = (&routes.chosen[choices.clone()], &routes.weights[choices.clone()]);
            // Of the balance and of z, then of the weights.
            let along = simd(|| dot(&loads, p));
            let log_sum = routes.log_sums[token];
            for ((d, &p), &load) in d_logits.iter_mut().zip(p).zip(&loads) {
                *d = p * (load - along) + z * log_sum * p;
            }
            let d_weights: Vec<T> = choices
                .map(|choice| {
                    let row = &routes.output[routes.rows[choice] * width..][..width];
                    simd(|| dot(d_out, row))
                })
                .collect();
            if active == 1 {
                let (e, d) = (chosen[0], d_weights[0] * weights[0]);
                d_logits.iter_mut().zip(p).for_each(|(d_logit, &p)| *d_logit -= d * p);
                d_logits[e] += d;
                return;
            }
            let along = sum_of(weights.iter().zip(&d_weights).map(|(&w, &d)| w * d));
            for ((&e, &w), &d) in chosen.iter().zip(weights).zip(&d_weights) {
                d_logits[e] += w * (d - along);
            }
        });
    }
}

fn sum_of<T: Real>(numbers: impl Iterator<Item = T>) -> T {
    numbers.fold(T::ZERO, |total, x| total + x)
}

/// The numbers of the greatest probabilities, the greatest first, ties to the lower number.
fn choose<T: Real>(p: &[T], chosen: &mut [usize]) {
    for place in 0..chosen.len() {
        let (before, _) = chosen.split_at(place);
        let free = (0..p.len()).filter(|e| !before.contains(e));
        // Not-a-number is never greater: a broken router still gives experts, and the loss tells of it.
        let best = free.reduce(|best, e| if p[e] > p[best] { e } else { best });
        chosen[place] = best.expect("no more experts are active than there are");
    }
}

/// Sorts the choices by expert, counting.
fn sort<T>(count: usize, routes: &mut Routes<T>) {
    let Routes { chosen, order, rows, bounds, .. } = routes;
    bounds.clear();
    bounds.resize(count + 1, 0);
    chosen.iter().for_each(|&e| bounds[e + 1] += 1);
    (0..count).for_each(|e| bounds[e + 1] += bounds[e]);
    let mut next = bounds.clone();
    order.resize(chosen.len(), 0);
    rows.resize(chosen.len(), 0);
    for (choice, &e) in chosen.iter().enumerate() {
        order[next[e]] = choice;
        rows[choice] = next[e];
        next[e] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::linear::Orientation;
    use crate::numeric::{check, numbers, parameter};
    use crate::parameter::Shared;
    use crate::parts::Activation;

    fn experts(count: usize, active: usize, width: usize, activation: Activation) -> Experts<f64> {
        let inner = 3;
        let linear = |name: String, out: usize, from: usize, key: usize| {
            // Both ways in which matrices lie.
            let (orientation, shape) = match activation.is_gated() {
                true => (Orientation::OutIn, [out, from]),
                false => (Orientation::InOut, [from, out]),
            };
            let weight: Shared<f64> = parameter(&name, &shape, key as u64);
            Linear::new(vec![(weight, None)], orientation).unwrap()
        };
        let expert = |e: usize| Dense {
            up: linear(format!("up{e}"), activation.width_in(inner), width, 10 + e),
            activation,
            down: linear(format!("down{e}"), width, inner, 40 + e),
        };
        Experts {
            router: linear("router".to_owned(), count, width, 3),
            experts: (0..count).map(expert).collect(),
            active,
            balance: 0.3,
            router_z: 0.2,
        }
    }

    fn parameters(experts: &Experts<f64>) -> Vec<&Shared<f64>> {
        let inner = experts.experts.iter().flat_map(|e| e.up.shared().chain(e.down.shared()));
        experts.router.shared().chain(inner).collect()
    }

    fn pass(experts: &Experts<f64>, x: &[f64]) -> (Kept<f64>, Vec<f64>) {
        let mut kept = Kept::default();
        let mut y = vec![0.0; x.len()];
        experts.forward(x.len() / experts.router.width_in(), x, &mut kept).unwrap();
        experts.combine(&kept, &mut y);
        (kept, y)
    }

    #[test]
    fn gradients_are_the_numeric_ones() {
        // One expert, all of them, some of them, and more experts than tokens, so that some have none.
        for (tokens, count, active) in [(1, 1, 1), (3, 4, 4), (9, 4, 2), (6, 3, 1), (2, 7, 2), (140, 3, 2)] {
            for activation in [Activation::SwiGlu, Activation::Gelu] {
                let (width, what) = (5, format!("{tokens} tokens, {active} of {count}, {activation:?}"));
                let experts = experts(count, active, width, activation);
                // The last number is what the experts add to the loss.
                let forward = |x: &[f64]| {
                    let (kept, mut y) = pass(&experts, x);
                    y.push(experts.auxiliary(&kept.routes));
                    y
                };
                check(&what, tokens * width, &parameters(&experts), forward, |x, dy, dx| {
                    let (kept, _) = pass(&experts, x);
                    let (auxiliary, dy) = dy.split_last().unwrap();
                    let mut gradients = Gradients { auxiliary: *auxiliary, ..Gradients::default() };
                    experts.backward(x, &kept, dy, &mut gradients, dx)
                });
            }
        }
    }

    #[test]
    fn every_token_gets_what_its_experts_give_alone() {
        let (experts, width) = (experts(4, 2, 5, Activation::SwiGlu), 5);
        let x = numbers::<f64>(11 * width, 8);
        let (kept, y) = pass(&experts, &x);
        assert_eq!(kept.routes.order.len(), 22, "no token is dropped");
        assert!((kept.routes.load().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for (token, x) in x.chunks(width).enumerate() {
            let (_, alone) = pass(&experts, x);
            let near = alone.iter().zip(&y[token * width..]).all(|(a, b)| (a - b).abs() < 1e-12);
            assert!(near, "token {token}");
        }
    }

    #[test]
    fn ties_go_to_the_lower_number() {
        let chosen = |p: &[f64]| {
            let mut chosen = [9; 2];
            choose(p, &mut chosen);
            chosen
        };
        assert_eq!(chosen(&[0.25, 0.25, 0.25, 0.25]), [0, 1]);
        assert_eq!(chosen(&[0.1, 0.4, 0.1, 0.4]), [1, 3]);
        assert_eq!(chosen(&[f64::NAN, 0.4, 0.1]), [0, 1]);
    }
}
