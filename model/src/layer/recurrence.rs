//! A gated linear recurrence in place of attention: the recurrent block of Griffin with its RG-LRU (arXiv 2402.19427).
//!
//! ```text
//! u, v = x·Wᵀ;  c_t = b + Σ_k w_k∘v_{t−k}, k < 4;  r = σ(A·c + b_a), i = σ(X·c + b_x), A and X one block a head
//! log a = −8·softplus(Λ)∘r;  h_t = a∘h_{t−1} + √(1 − a²)∘(i∘c_t);  y = h∘GELU(u)
//! ```
//! At the first token of a piece h = i∘c, and the convolution does not reach back over it, so nothing leaks between documents.
//! Time is walked token by token with all features in the lanes of one loop, each row of the batch a task; the backward walks from the
//! end, and computes a again. Why this one and not minGRU (arXiv 2410.01201): its decay stays near 1 by design, its input is scaled so
//! that the state keeps its variance at any decay, and its mixture with windowed attention is the hybrid with published results.

use crate::batch::Batch;
use crate::kernel::{Matrix, MatrixMut, Real, TASK_ROWS, add_scaled, multiply, simd};
use crate::layer::activation::{gelu, gelu_slope};
use crate::layer::feed_forward::sized;
use crate::parameter::Shared;
use candle_core::Result;
use rayon::prelude::*;

/// Tokens that the convolution sees.
pub(crate) const TAPS: usize = 4;
/// Decay of log a at r = 1 and softplus(Λ) = 1.
const DECAY: f64 = 8.0;
/// Least 1 − a²: its root has no slope at 0.
const LEAST: f64 = 1e-6;

/// The parameters between the two products of the block.
#[derive(Debug, Clone)]
pub(crate) struct Recurrence<T> {
    /// taps × width, and a bias a feature.
    pub(crate) convolution: (Shared<T>, Shared<T>),
    /// Of the decay: heads × head × head as in × out, and a bias a feature.
    pub(crate) decay_gate: (Shared<T>, Shared<T>),
    /// Of the input, likewise.
    pub(crate) input_gate: (Shared<T>, Shared<T>),
    /// Λ, one a feature.
    pub(crate) decay: Shared<T>,
    /// Features of h.
    pub(crate) width: usize,
    pub(crate) heads: usize,
}

/// Numbers of all parameters but the gates' matrices.
struct Read<T> {
    taps: Vec<T>,
    tap_bias: Vec<T>,
    decay_bias: Vec<T>,
    input_bias: Vec<T>,
    /// −8·softplus(Λ), and its slope.
    rate: Vec<T>,
    rate_slope: Vec<T>,
}

/// One token's numbers of one feature.
#[derive(Clone, Copy)]
struct Step<T> {
    c: T,
    r: T,
    i: T,
    rate: T,
}

impl<T: Real> Step<T> {
    /// a, and √(1 − a²).
    #[inline(always)]
    fn decay(self) -> (T, T) {
        let a = (self.rate * self.r).exp();
        let rest = (T::ONE - a) * (T::ONE + a);
        (a, (if rest > T::of(LEAST) { rest } else { T::of(LEAST) }).sqrt())
    }

    /// h behind `before`; `None` at the start of a piece.
    #[inline(always)]
    fn state(self, before: Option<T>) -> T {
        let input = self.i * self.c;
        before.map_or(input, |before| {
            let (a, scale) = self.decay();
            a * before + scale * input
        })
    }

    /// Given the gradient of h: those of c without the gates' way, of r and i before their σ, of the rate, and of `before`.
    #[inline(always)]
    fn backward(self, before: Option<T>, dh: T) -> [T; 5] {
        let Self { c, r, i, rate } = self;
        let slopes = (r * (T::ONE - r), i * (T::ONE - i));
        let Some(before) = before else { return [dh * i, T::ZERO, dh * c * slopes.1, T::ZERO, T::ZERO] };
        let (a, scale) = self.decay();
        // Where 1 − a² is held at its least, the scale has no slope.
        let held = (T::ONE - a) * (T::ONE + a) <= T::of(LEAST);
        let scale_slope = if held { T::ZERO } else { -a / scale };
        let d_input = dh * scale;
        let d_log = dh * (before + scale_slope * i * c) * a;
        [d_input * i, d_log * rate * slopes.0, d_input * c * slopes.1, d_log * r, dh * a]
    }
}

impl<T: Real> Recurrence<T> {
    fn read(&self) -> Result<Read<T>> {
        let vec = |p: &Shared<T>| p.read(<[T]>::to_vec);
        let softplus = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
        let decay = vec(&self.decay)?;
        Ok(Read {
            taps: vec(&self.convolution.0)?,
            tap_bias: vec(&self.convolution.1)?,
            decay_bias: vec(&self.decay_gate.1)?,
            input_bias: vec(&self.input_gate.1)?,
            rate: decay.iter().map(|x| T::of(-DECAY * softplus(x.to_f64()))).collect(),
            rate_slope: decay.iter().map(|x| T::of(-DECAY) * x.sigmoid()).collect(),
        })
    }

    /// uv: tokens × 2 width → out: tokens × width; `kept` is for the backward pass.
    pub(crate) fn forward(&self, batch: &Batch, uv: &[T], kept: &mut Vec<T>, out: &mut [T]) -> Result<()> {
        let (width, length) = (self.width, batch.length);
        let read = self.read()?;
        let numbers = batch.ids.len() * width;
        let (c, rest) = sized(kept, 4 * numbers).split_at_mut(numbers);
        let (r, rest) = rest.split_at_mut(numbers);
        let (i, h) = rest.split_at_mut(numbers);
        let starts = batch.starts.par_chunks(length);
        let rows =
            uv.par_chunks(length * 2 * width).zip(c.par_chunks_mut(length * width)).zip(starts.clone());
        rows.for_each(|((uv, c), starts)| simd(|| self.convolve(&read, uv, starts, c)));
        self.gate(c, &self.decay_gate.0, &read.decay_bias, r)?;
        self.gate(c, &self.input_gate.0, &read.input_bias, i)?;
        let gates =
            c.par_chunks(length * width).zip(r.par_chunks(length * width)).zip(i.par_chunks(length * width));
        let rows = gates.zip(h.par_chunks_mut(length * width)).zip(uv.par_chunks(length * 2 * width));
        rows.zip(starts).zip(out.par_chunks_mut(length * width)).for_each(
            |((((((c, r), i), h), uv), starts), out)| {
                simd(|| {
                    for (t, &start) in starts.iter().enumerate() {
                        let (past, h) = h.split_at_mut(t * width);
                        let past = (t > start as usize).then(|| &past[(t - 1) * width..]);
                        let at = t * width;
                        let gates = [&c[at..at + width], &r[at..at + width], &i[at..at + width]];
                        scan(gates, &read.rate, past, &mut h[..width]);
                        let u = &uv[t * 2 * width..][..width];
                        for ((y, &h), &u) in out[at..at + width].iter_mut().zip(&*h).zip(u) {
                            *y = h * gelu(u);
                        }
                    }
                });
            },
        );
        Ok(())
    }

    /// c of one row of the batch.
    #[inline(always)]
    fn convolve(&self, read: &Read<T>, uv: &[T], starts: &[u32], c: &mut [T]) {
        let width = self.width;
        for (t, c) in c.chunks_mut(width).enumerate() {
            c.copy_from_slice(&read.tap_bias);
            for k in 0..TAPS.min(t - starts[t] as usize + 1) {
                let v = &uv[(t - k) * 2 * width + width..][..width];
                let taps = &read.taps[k * width..][..width];
                for ((c, &v), &tap) in c.iter_mut().zip(v).zip(taps) {
                    *c += tap * v;
                }
            }
        }
    }

    /// σ(c·W + b), one block of W a head.
    fn gate(&self, c: &[T], weight: &Shared<T>, bias: &[T], gate: &mut [T]) -> Result<()> {
        let (width, head) = (self.width, self.width / self.heads);
        weight.read(|weight| {
            let tasks = c.par_chunks(TASK_ROWS * width).zip(gate.par_chunks_mut(TASK_ROWS * width));
            tasks.for_each(|(c, gate)| {
                let rows = c.len() / width;
                gate.chunks_mut(width).for_each(|gate| gate.copy_from_slice(bias));
                for (at, weight) in weight.chunks(head * head).enumerate() {
                    let lhs = Matrix::new(&c[at * head..], rows, head, width);
                    let gate = MatrixMut::new(&mut gate[at * head..], rows, head, width);
                    multiply(gate, true, lhs, Matrix::new(weight, head, head, head), T::ONE);
                }
                simd(|| gate.iter_mut().for_each(|gate| *gate = gate.sigmoid()));
            });
        })
    }

    /// Writes the gradient of u and v (`uv`, and what the forward pass kept), given that of the output; those of parameters go to their slots.
    pub(crate) fn backward(
        &self,
        batch: &Batch,
        (uv, kept): (&[T], &[T]),
        dy: &[T],
        work: &mut Vec<T>,
        d_uv: &mut [T],
    ) -> Result<()> {
        let (width, length, numbers) = (self.width, batch.length, batch.ids.len() * self.width);
        let read = self.read()?;
        let (c, r, i, h) = (
            &kept[..numbers],
            &kept[numbers..2 * numbers],
            &kept[2 * numbers..3 * numbers],
            &kept[3 * numbers..],
        );
        let (dc, rest) = sized(work, 3 * numbers).split_at_mut(numbers);
        let (dr, di) = rest.split_at_mut(numbers);
        let size = length * width;
        let given =
            c.par_chunks(size).zip(r.par_chunks(size)).zip(i.par_chunks(size)).zip(h.par_chunks(size));
        let given =
            given.zip(uv.par_chunks(2 * size)).zip(dy.par_chunks(size)).zip(batch.starts.par_chunks(length));
        let found = dc.par_chunks_mut(size).zip(dr.par_chunks_mut(size)).zip(di.par_chunks_mut(size));
        let rows = given.zip(found).zip(d_uv.par_chunks_mut(2 * size));
        let d_rates: Vec<Vec<T>> = rows
            .map(|((((((((c, r), i), h), uv), dy), starts), ((dc, dr), di)), d_uv)| {
                let row = Row { c, r, i, h, uv, dy, starts };
                let mut d_rate = vec![T::ZERO; width];
                simd(|| row.backward(&read.rate, [dc, dr, di], d_uv, &mut d_rate));
                d_rate
            })
            .collect();
        self.decay.accumulate(|total, keep| {
            if !keep {
                total.fill(T::ZERO);
            }
            for d_rate in &d_rates {
                let slopes = d_rate.iter().zip(&read.rate_slope);
                total.iter_mut().zip(slopes).for_each(|(total, (&d, &slope))| *total += d * slope);
            }
        });
        self.gate_backward(c, &self.decay_gate, dr, dc)?;
        self.gate_backward(c, &self.input_gate, di, dc)?;
        self.convolve_backward(batch, &read, uv, dc, d_uv);
        Ok(())
    }

    /// Adds to the gradient of c; writes those of a gate's matrix and bias.
    fn gate_backward(
        &self,
        c: &[T],
        (weight, bias): &(Shared<T>, Shared<T>),
        d_gate: &[T],
        dc: &mut [T],
    ) -> Result<()> {
        let (width, head) = (self.width, self.width / self.heads);
        weight.read(|weight| {
            let tasks = dc.par_chunks_mut(TASK_ROWS * width).zip(d_gate.par_chunks(TASK_ROWS * width));
            tasks.for_each(|(dc, d_gate)| {
                let rows = dc.len() / width;
                for (at, weight) in weight.chunks(head * head).enumerate() {
                    let lhs = Matrix::new(&d_gate[at * head..], rows, head, width);
                    let dc = MatrixMut::new(&mut dc[at * head..], rows, head, width);
                    multiply(dc, true, lhs, Matrix::new(weight, head, head, head).transposed(), T::ONE);
                }
            });
        })?;
        let rows = c.len() / width;
        weight.accumulate(|dw, keep| {
            dw.par_chunks_mut(head * head).enumerate().for_each(|(at, dw)| {
                let lhs = Matrix::new(&c[at * head..], rows, head, width).transposed();
                let rhs = Matrix::new(&d_gate[at * head..], rows, head, width);
                multiply(MatrixMut::new(dw, head, head, head), keep, lhs, rhs, T::ONE);
            });
        });
        bias.accumulate(|total, keep| {
            if !keep {
                total.fill(T::ZERO);
            }
            simd(|| d_gate.chunks(width).for_each(|row| add_scaled(total, row, T::ONE)));
        });
        Ok(())
    }

    /// Writes the gradient of v; those of taps and bias go to their slots.
    fn convolve_backward(&self, batch: &Batch, read: &Read<T>, uv: &[T], dc: &[T], d_uv: &mut [T]) {
        let (width, length) = (self.width, batch.length);
        let rows = uv.par_chunks(2 * length * width).zip(dc.par_chunks(length * width));
        let rows = rows.zip(batch.starts.par_chunks(length)).zip(d_uv.par_chunks_mut(2 * length * width));
        let sums = rows.map(|(((uv, dc), starts), d_uv)| {
            let mut sums = vec![T::ZERO; (TAPS + 1) * width];
            simd(|| {
                let (d_taps, d_bias) = sums.split_at_mut(TAPS * width);
                d_uv.chunks_mut(2 * width).for_each(|d_uv| d_uv[width..].fill(T::ZERO));
                for (t, dc) in dc.chunks(width).enumerate() {
                    add_scaled(d_bias, dc, T::ONE);
                    for k in 0..TAPS.min(t - starts[t] as usize + 1) {
                        let at = (t - k) * 2 * width + width;
                        let (v, dv) = (&uv[at..at + width], &mut d_uv[at..at + width]);
                        let taps = &read.taps[k * width..][..width];
                        let d_taps = &mut d_taps[k * width..][..width];
                        for j in 0..width {
                            dv[j] += taps[j] * dc[j];
                            d_taps[j] += v[j] * dc[j];
                        }
                    }
                }
            });
            sums
        });
        let sums: Vec<Vec<T>> = sums.collect();
        let add = |parameter: &Shared<T>, from: usize| {
            parameter.accumulate(|total, keep| {
                if !keep {
                    total.fill(T::ZERO);
                }
                sums.iter().for_each(|sums| add_scaled(total, &sums[from..from + total.len()], T::ONE));
            });
        };
        add(&self.convolution.0, 0);
        add(&self.convolution.1, TAPS * width);
    }

    /// One token after the other behind what `state` has seen, which is empty at the start: h, then the last v, the newest first.
    pub(crate) fn step(&self, uv: &[T], state: &mut Vec<T>, out: &mut [T]) -> Result<()> {
        let (width, read) = (self.width, self.read()?);
        let mut gates = vec![T::ZERO; 3 * width];
        for (uv, out) in uv.chunks(2 * width).zip(out.chunks_mut(width)) {
            let first = state.is_empty();
            state.resize(TAPS * width, T::ZERO);
            let (h, past) = state.split_at_mut(width);
            let (u, v) = uv.split_at(width);
            let (c, rest) = gates.split_at_mut(width);
            let (r, i) = rest.split_at_mut(width);
            simd(|| {
                for j in 0..width {
                    c[j] = read.tap_bias[j] + read.taps[j] * v[j];
                    // What was never seen is 0.
                    for k in 1..TAPS {
                        c[j] += read.taps[k * width + j] * past[(k - 1) * width + j];
                    }
                }
            });
            self.gate(c, &self.decay_gate.0, &read.decay_bias, r)?;
            self.gate(c, &self.input_gate.0, &read.input_bias, i)?;
            for j in 0..width {
                let step = Step { c: c[j], r: r[j], i: i[j], rate: read.rate[j] };
                h[j] = step.state((!first).then_some(h[j]));
                out[j] = h[j] * gelu(u[j]);
            }
            past.copy_within(..(TAPS - 2) * width, width);
            past[..width].copy_from_slice(v);
        }
        Ok(())
    }
}

/// h of one token.
#[inline(always)]
fn scan<T: Real>([c, r, i]: [&[T]; 3], rates: &[T], past: Option<&[T]>, h: &mut [T]) {
    let step = |j: usize| Step { c: c[j], r: r[j], i: i[j], rate: rates[j] };
    match past {
        None => h.iter_mut().enumerate().for_each(|(j, h)| *h = step(j).state(None)),
        Some(past) => {
            let past = &past[..h.len()];
            h.iter_mut().enumerate().for_each(|(j, h)| *h = step(j).state(Some(past[j])));
        }
    }
}

/// What the backward pass of one row of the batch is given.
struct Row<'a, T> {
    c: &'a [T],
    r: &'a [T],
    i: &'a [T],
    h: &'a [T],
    uv: &'a [T],
    dy: &'a [T],
    starts: &'a [u32],
}

impl<T: Real> Row<'_, T> {
    /// Walks from the last token to the first; writes the gradients of c, r, i and u, and adds that of the rates.
    #[inline(always)]
    fn backward(&self, rates: &[T], [dc, dr, di]: [&mut [T]; 3], d_uv: &mut [T], d_rate: &mut [T]) {
        let width = rates.len();
        let mut carried = vec![T::ZERO; width];
        for (t, &start) in self.starts.iter().enumerate().rev() {
            let at = t * width;
            let inside = t > start as usize;
            let before = if inside { &self.h[at - width..at] } else { &self.h[at..at + width] };
            let (u, h) = (&self.uv[2 * at..][..width], &self.h[at..at + width]);
            let (c, r, i) = (&self.c[at..at + width], &self.r[at..at + width], &self.i[at..at + width]);
            let dy = &self.dy[at..at + width];
            let du = &mut d_uv[2 * at..][..width];
            let (dc, dr, di) = (&mut dc[at..at + width], &mut dr[at..at + width], &mut di[at..at + width]);
            for j in 0..width {
                du[j] = dy[j] * h[j] * gelu_slope(u[j]);
                let dh = dy[j] * gelu(u[j]) + carried[j];
                let step = Step { c: c[j], r: r[j], i: i[j], rate: rates[j] };
                let found = step.backward(inside.then_some(before[j]), dh);
                (dc[j], dr[j], di[j]) = (found[0], found[1], found[2]);
                d_rate[j] += found[3];
                carried[j] = found[4];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Row as Tokens;
    use crate::numeric::{check, numbers, parameter};

    fn recurrence(width: usize, heads: usize) -> Recurrence<f64> {
        let (head, p) = (width / heads, |name: &str, shape: &[usize], key| parameter(name, shape, key));
        Recurrence {
            convolution: (p("taps", &[TAPS, width], 1), p("tap bias", &[width], 2)),
            decay_gate: (p("decay gate", &[heads, head, head], 3), p("decay bias", &[width], 4)),
            input_gate: (p("input gate", &[heads, head, head], 5), p("input bias", &[width], 6)),
            decay: p("decay", &[width], 7),
            width,
            heads,
        }
    }

    fn batch(rows: usize, pieces: &[u32]) -> Batch {
        let length: u32 = pieces.iter().sum();
        let row = Tokens {
            ids: vec![1; length as usize],
            piece_lengths: pieces.to_vec(),
            begins: (0..pieces.len()).map(|at| at % 2 == 0).collect(),
            padding: 0,
            mask: vec![],
        };
        Batch::new(&vec![row; rows], 0)
    }

    #[test]
    fn gradients_are_the_numeric_ones() {
        let cases: [(usize, &[u32], usize, usize); 5] =
            [(1, &[1], 1, 1), (2, &[6], 4, 2), (2, &[3, 4, 1], 6, 3), (1, &[9], 3, 1), (2, &[100, 60], 2, 1)];
        for (rows, pieces, width, heads) in cases {
            let (layer, batch) = (recurrence(width, heads), batch(rows, pieces));
            let what = format!("{rows} rows of {pieces:?}, {width} features, {heads} heads");
            let tokens = batch.ids.len();
            let pass = |x: &[f64]| {
                let (mut kept, mut y) = (vec![], vec![9.0; tokens * width]);
                layer.forward(&batch, x, &mut kept, &mut y).unwrap();
                (kept, y)
            };
            let pairs = [&layer.convolution, &layer.decay_gate, &layer.input_gate];
            let mut parameters: Vec<_> = pairs.into_iter().flat_map(|(w, b)| [w, b]).collect();
            parameters.push(&layer.decay);
            check(
                &what,
                tokens * 2 * width,
                &parameters,
                |x| pass(x).1,
                |x, dy, dx| layer.backward(&batch, (x, &pass(x).0), dy, &mut vec![], dx),
            );
        }
    }

    #[test]
    fn steps_are_the_whole_pass_and_pieces_do_not_leak() {
        let (layer, width) = (recurrence(6, 2), 6);
        let uv = numbers::<f64>(12 * 2 * width, 9);
        let whole = |pieces: &[u32], uv: &[f64]| {
            let (mut kept, mut y) = (vec![], vec![9.0; uv.len() / 2]);
            layer.forward(&batch(1, pieces), uv, &mut kept, &mut y).unwrap();
            y
        };
        let (mut state, mut stepped) = (vec![], vec![0.0; 12 * width]);
        for (uv, y) in uv.chunks(3 * 2 * width).zip(stepped.chunks_mut(3 * width)) {
            layer.step(uv, &mut state, y).unwrap();
        }
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near(&whole(&[12], &uv), &stepped));
        // The last eight tokens as a document of their own, behind another one and alone.
        let split = 4 * 2 * width;
        let mut other = uv.clone();
        other[..split].iter_mut().for_each(|x| *x += 1.0);
        let alone = whole(&[8], &uv[split..]);
        // The first piece begins its document, the second does not: its first token stands alone.
        let (behind, beside) = (whole(&[4, 8], &uv), whole(&[4, 8], &other));
        assert_eq!(behind[4 * width..], beside[4 * width..]);
        assert!(near(&whole(&[1, 3, 8], &uv)[4 * width..], &alone));
    }
}
