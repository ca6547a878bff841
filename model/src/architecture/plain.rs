//! The same model through candle's differentiable operations: what both passes of our own are held against, in tests.
//!
//! Only operations whose gradients candle records are used: no fused softmax, norm or rotation, which would drop them. Masks, positions and
//! what dropout lets fall are made by the code of the other path.

use super::{Block, Mix, Shape, Transform, Transformer};
use crate::batch::{Batch, NO_TARGET};
use crate::kernel::{Real, add_scaled};
use crate::layer::activation::{Activation, GELU};
use crate::layer::attention::HeadLayout;
use crate::layer::dropout::Dropout;
use crate::layer::embedding::Embedding;
use crate::layer::feed_forward::{Dense, FeedForward};
use crate::layer::linear::{Linear, Orientation};
use crate::layer::lora::LowRank;
use crate::layer::normalisation::Normalisation;
use crate::objective::cross_entropy::Terms;
use crate::parts::NormPlace;
use candle_core::{D, Device, Result, Tensor, bail};

/// Added to the score of a key that a query does not see.
const UNSEEN: f64 = -1e30;

/// Refuses a model with parts that this path does not have.
pub(crate) fn check(shape: &Shape) -> Result<()> {
    let missing = if shape.is_recurrent() {
        "recurrences (`mixers`)"
    } else if shape.experts.is_some() {
        "a mixture of experts (`experts`)"
    } else if shape.norm == crate::parts::NormKind::Batch {
        "batch norm (`norm`)"
    } else {
        return Ok(());
    };
    bail!("{missing} are not there on this device; train this model on the CPU")
}

/// The summed loss of a batch times `scale`; gradients are added to the parameters.
pub(crate) fn gradients<T: Real>(
    model: &Transformer<T>,
    batch: &Batch,
    scale: f64,
    dropout: Dropout,
) -> Result<f64> {
    if batch.targets_count() == 0 {
        let zero = |total: &mut [T], keep: bool| {
            if !keep {
                total.fill(T::ZERO)
            }
        };
        model.parameters.iter().for_each(|p| p.accumulate(zero));
        return Ok(0.0);
    }
    let loss = (loss(model, batch, dropout, model.terms)? * scale)?;
    collect(model, &loss)?;
    Ok(loss.to_scalar::<T>()?.to_f64())
}

/// Adds the gradients of a scalar to the parameters.
fn collect<T: Real>(model: &Transformer<T>, loss: &Tensor) -> Result<()> {
    let found = loss.backward()?;
    for parameter in &model.parameters {
        // One that the tape never reached stays unwritten, and stops the training by its name.
        let Some(gradient) = found.get(parameter.value()) else { continue };
        let gradient = gradient.flatten_all()?.to_vec1::<T>()?;
        parameter.accumulate(|total, keep| match keep {
            true => add_scaled(total, &gradient, T::ONE),
            false => total.copy_from_slice(&gradient),
        });
    }
    Ok(())
}

/// The summed loss of a batch as a scalar on the tape, each target's times its weight.
pub(crate) fn loss<T: Real>(
    model: &Transformer<T>,
    batch: &Batch,
    dropout: Dropout,
    terms: Terms,
) -> Result<Tensor> {
    let rows = predicted(batch);
    if rows.is_empty() {
        return hidden(model, batch, dropout)?.zeros_like()?.sum_all();
    }
    let losses = losses(model, batch, &rows, dropout, terms)?;
    if batch.weights.is_empty() {
        return losses.sum_all();
    }
    let weights: Vec<T> = rows.iter().map(|&at| T::of(f64::from(batch.weight(at as usize)))).collect();
    (losses * Tensor::from_vec(weights, (rows.len(), 1), &Device::Cpu)?)?.sum_all()
}

/// The loss of each token's target, 0 where it has none.
pub(crate) fn target_losses<T: Real>(model: &Transformer<T>, batch: &Batch) -> Result<Vec<f64>> {
    let rows = predicted(batch);
    let mut all = vec![0.0; batch.ids.len()];
    if !rows.is_empty() {
        let found =
            losses(model, batch, &rows, Dropout::NONE, Terms::default())?.flatten_all()?.to_vec1::<T>()?;
        rows.iter().zip(found).for_each(|(&at, loss)| all[at as usize] = loss.to_f64());
    }
    Ok(all)
}

/// Tokens that have a target.
fn predicted(batch: &Batch) -> Vec<u32> {
    (0..).zip(&batch.targets).filter(|&(_, target)| *target != NO_TARGET).map(|(at, _)| at).collect()
}

/// The losses of the targets at `rows`, rows × 1, on the tape.
fn losses<T: Real>(
    model: &Transformer<T>,
    batch: &Batch,
    rows: &[u32],
    dropout: Dropout,
    terms: Terms,
) -> Result<Tensor> {
    let count = rows.len();
    let targets: Vec<u32> = rows.iter().map(|&at| batch.targets[at as usize]).collect();
    let h =
        hidden(model, batch, dropout)?.index_select(&Tensor::from_slice(rows, count, &Device::Cpu)?, 0)?;
    let mut logits = h.matmul(&model.head.value().t()?)?;
    if let Some(bias) = &model.head_bias {
        logits = logits.broadcast_add(bias.value())?;
    }
    let top = logits.max_keepdim(D::Minus1)?.detach();
    let logits = logits.broadcast_sub(&top)?;
    let wanted = logits.gather(&Tensor::from_vec(targets, (count, 1), &Device::Cpu)?, 1)?;
    let log_sum = logits.exp()?.sum_keepdim(D::Minus1)?.log()?;
    if terms == Terms::default() {
        return log_sum - wanted;
    }
    let smoothed =
        ((wanted * (1.0 - terms.smoothing))? + (logits.mean_keepdim(D::Minus1)? * terms.smoothing)?)?;
    let z = ((&log_sum + top)?.sqr()? * terms.z)?;
    (log_sum - smoothed)? + z
}

fn hidden<T: Real>(model: &Transformer<T>, batch: &Batch, dropout: Dropout) -> Result<Tensor> {
    let tokens = batch.ids.len();
    let ids = Tensor::from_vec(batch.ids.clone(), tokens, &Device::Cpu)?;
    let mut x = model.embedding.tokens.value().index_select(&ids, 0)?;
    let Embedding { positions, segments, languages, .. } = &model.embedding;
    let first = vec![0; tokens];
    let tables = [(positions, &batch.positions), (segments, &first), (languages, &batch.languages)];
    for (table, rows) in tables {
        let Some(table) = table else { continue };
        let rows = Tensor::from_slice(rows, tokens, &Device::Cpu)?;
        x = (x + table.value().index_select(&rows, 0)?)?;
    }
    x = dropped::<T>(dropout, 0, normed(model.embedding_norm.as_ref(), x)?)?;
    let shared = Shared::new(model, batch)?;
    for (index, block) in model.blocks.iter().enumerate() {
        x = shared.block(model, block, dropout, 2 * index as u64 + 1, x)?;
    }
    x = normed(model.norm.as_ref(), x)?;
    let Some(Transform { dense, activation: function, norm }) = &model.transform else { return Ok(x) };
    normed(Some(norm), activation(*function, model.shape.width, &linear(dense, &x)?)?)
}

fn normed<T: Real>(norm: Option<&Normalisation<T>>, x: Tensor) -> Result<Tensor> {
    let Some(Normalisation::Row(norm)) = norm else { return Ok(x) };
    let centred = match &norm.bias {
        Some(_) => x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?,
        None => x,
    };
    let spread = (centred.sqr()?.mean_keepdim(D::Minus1)? + norm.epsilon.to_f64())?.sqrt()?;
    let y = centred.broadcast_div(&spread)?.broadcast_mul(norm.gain.value())?;
    norm.bias.as_ref().map_or(Ok(y.clone()), |bias| y.broadcast_add(bias.value()))
}

fn linear<T: Real>(linear: &Linear<T>, x: &Tensor) -> Result<Tensor> {
    let part = |(weight, bias, adapter): (&Tensor, Option<&Tensor>, Option<&LowRank<T>>)| {
        let mut y = match linear.orientation() {
            Orientation::OutIn => x.matmul(&weight.t()?)?,
            Orientation::InOut => x.matmul(weight)?,
        };
        if let Some(LowRank { down, up, scale }) = adapter {
            let low = x.matmul(&down.value().t()?)?.matmul(&up.value().t()?)?;
            y = (y + (low * scale.to_f64())?)?;
        }
        bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))
    };
    Tensor::cat(&linear.tensors().map(part).collect::<Result<Vec<_>>>()?, 1)
}

fn activation(function: Activation, width: usize, x: &Tensor) -> Result<Tensor> {
    let sigmoid = |x: &Tensor| (x.neg()?.exp()? + 1.0)?.recip();
    let halves = || Ok::<_, candle_core::Error>((x.narrow(1, 0, width)?, x.narrow(1, width, width)?));
    let gelu = |x: &Tensor| {
        let z = (x + ((x.sqr()? * x)? * GELU.1)?)?;
        x * sigmoid(&(z * (2.0 * GELU.0))?)?
    };
    match function {
        Activation::SwiGlu => {
            let (gate, up) = halves()?;
            (&gate * sigmoid(&gate)?)? * up
        }
        Activation::GeGlu => {
            let (gate, up) = halves()?;
            gelu(&gate)? * up
        }
        Activation::Gelu => gelu(x),
        // Not `gelu_erf`, whose gradient in candle has a constant of six digits.
        Activation::GeluExact => (x * 0.5)? * ((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? + 1.0)?,
        Activation::Relu => x.relu(),
        Activation::Relu2 => x.relu()?.sqr(),
        Activation::Silu => x * sigmoid(x)?,
    }
}

fn dense<T: Real>(ff: &FeedForward<T>, x: &Tensor) -> Result<Tensor> {
    let FeedForward::Dense(Dense { up, activation: function, down }) = ff else {
        bail!("experts do not run on this path")
    };
    linear(down, &activation(*function, down.width_in(), &linear(up, x)?)?)
}

/// The mask of a site is made by dropping from ones.
fn dropped<T: Real>(dropout: Dropout, site: u64, x: Tensor) -> Result<Tensor> {
    if dropout.probability == 0.0 {
        return Ok(x);
    }
    let mut mask = vec![T::ONE; x.elem_count()];
    dropout.apply(site, &mut mask);
    let mask = Tensor::from_vec(mask, x.shape(), x.device())?;
    x * mask
}

/// What all blocks share.
struct Shared {
    rows: usize,
    length: usize,
    /// rows × 1 (or heads) × queries × keys: 0 where a query sees a key, or what ALiBi takes off the score there.
    mask: Tensor,
    /// rows × 1 × queries × 1, only where a query sees no key: 1 where it sees any.
    seeing: Option<Tensor>,
    /// Cosines and sines of each token, rows × 1 × tokens × half a head.
    turn: Option<(Tensor, Tensor)>,
}

impl Shared {
    fn new<T: Real>(model: &Transformer<T>, batch: &Batch) -> Result<Self> {
        let (length, tokens) = (batch.length, batch.ids.len());
        let rows = tokens / length.max(1);
        let mut mask = vec![T::of(UNSEEN); tokens * length];
        let mut seeing = vec![T::ONE; tokens];
        let window = model.shape.window.unwrap_or(tokens);
        for at in 0..tokens {
            let row = at / length * length;
            let near = |key: &usize| (row + key).abs_diff(at) < window;
            let seen = batch.seen(at).filter(near).filter(|key| {
                batch.order.as_ref().is_none_or(|order| order.ranks[row + key] < order.limits[at])
            });
            let count = seen.map(|key| mask[at * length + key] = T::ZERO).count();
            if count == 0 {
                seeing[at] = T::ZERO;
            }
        }
        let blind = seeing.contains(&T::ZERO);
        let seeing = Tensor::from_vec(seeing, (rows, 1, length, 1), &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, (rows, 1, length, length), &Device::Cpu)?;
        let mask = match &model.slopes {
            None => mask,
            Some(slopes) => mask.broadcast_add(&distances(slopes, batch, &Device::Cpu)?)?,
        };
        let table = |of: &dyn Fn(usize) -> Vec<T>| {
            let values: Vec<T> = (0..tokens).flat_map(|at| of(batch.position(at))).collect();
            Tensor::from_vec(values, (rows, 1, length, model.shape.heads.width / 2), &Device::Cpu)
        };
        let turn = match &model.rope {
            Some(rope) => {
                Some((table(&|at| rope.row(at).0.to_vec())?, table(&|at| rope.row(at).1.to_vec())?))
            }
            None => None,
        };
        Ok(Self { rows, length, mask, seeing: blind.then_some(seeing), turn })
    }

    fn block<T: Real>(
        &self,
        model: &Transformer<T>,
        block: &Block<T>,
        dropout: Dropout,
        site: u64,
        x: Tensor,
    ) -> Result<Tensor> {
        let mixed = |x: &Tensor| {
            let Mix::Attention = &block.mix else { bail!("recurrences do not run on this path") };
            let mixed = self.attention(model, &linear(&block.qkv, x)?)?;
            dropped::<T>(dropout, site, linear(&block.out, &mixed)?)
        };
        let inner = |x: &Tensor| dropped::<T>(dropout, site + 1, dense(&block.ff, x)?);
        let (first, second) = (Some(&block.attention_norm), block.ff_norm.as_ref());
        if block.place == NormPlace::After {
            let x = normed(first, (mixed(&x)? + x)?)?;
            return normed(second, (inner(&x)? + x)?);
        }
        let before = normed(first, x.clone())?;
        let x = (mixed(&before)? + x)?;
        let before = if second.is_some() { normed(second, x.clone())? } else { before };
        inner(&before)? + x
    }

    /// tokens × (queries, keys, values) → tokens × queries.
    fn attention<T: Real>(&self, model: &Transformer<T>, qkv: &Tensor) -> Result<Tensor> {
        let (heads, width) = (model.shape.heads, model.shape.heads.width);
        let qkv = &match heads.layout {
            HeadLayout::Split => qkv.clone(),
            HeadLayout::Grouped => self.split(heads, qkv)?,
        };
        let part = |start: usize, count: usize| {
            let part = qkv.narrow(1, start * width, count * width)?;
            part.reshape((self.rows, self.length, count, width))?.transpose(1, 2)?.contiguous()
        };
        let query = self.turned(&part(0, heads.queries)?)?;
        let key = self.each_query(heads.queries, &self.turned(&part(heads.queries, heads.keys)?)?)?;
        let value = self.each_query(heads.queries, &part(heads.queries + heads.keys, heads.keys)?)?;
        let scores = (query.matmul(&key.transpose(2, 3)?.contiguous()?)? * (1.0 / (width as f64).sqrt()))?;
        let scores = scores.broadcast_add(&self.mask)?;
        let weights = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?.detach())?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        let mut out = weights.matmul(&value)?;
        if let Some(seeing) = &self.seeing {
            out = out.broadcast_mul(seeing)?;
        }
        let out = out.transpose(1, 2)?.contiguous()?;
        out.reshape((self.rows * self.length, heads.out()))
    }

    /// Rows that lie group by group as all queries, then all keys, then all values.
    fn split(&self, heads: crate::layer::attention::Heads, qkv: &Tensor) -> Result<Tensor> {
        let (tokens, shared) = (qkv.dim(0)?, heads.queries / heads.keys);
        let groups = qkv.reshape((tokens, heads.keys, shared + 2, heads.width))?;
        let part = |start: usize, count: usize| {
            groups.narrow(2, start, count)?.contiguous()?.reshape((tokens, count * heads.keys * heads.width))
        };
        Tensor::cat(&[part(0, shared)?, part(shared, 1)?, part(shared + 1, 1)?], 1)
    }

    /// A key or value head for each query head.
    fn each_query(&self, queries: usize, x: &Tensor) -> Result<Tensor> {
        let (rows, keys, length, width) = x.dims4()?;
        let x = x.unsqueeze(2)?.broadcast_as((rows, keys, queries / keys, length, width))?;
        x.contiguous()?.reshape((self.rows, queries, length, width))
    }

    fn turned(&self, x: &Tensor) -> Result<Tensor> {
        let Some((cosines, sines)) = &self.turn else { return Ok(x.clone()) };
        let half = x.dim(3)? / 2;
        let (a, b) = (x.narrow(3, 0, half)?, x.narrow(3, half, half)?);
        let first = (a.broadcast_mul(cosines)? - b.broadcast_mul(sines)?)?;
        let second = (b.broadcast_mul(cosines)? + a.broadcast_mul(sines)?)?;
        Tensor::cat(&[first, second], 3)
    }
}

/// What ALiBi adds to scores: rows × heads × queries × keys.
fn distances<T: Real>(slopes: &[T], batch: &Batch, device: &candle_core::Device) -> Result<Tensor> {
    let (length, rows) = (batch.length, batch.ids.len() / batch.length.max(1));
    let mut all = Vec::with_capacity(rows * slopes.len() * length * length);
    for row in 0..rows {
        let at = |token: usize| batch.position(row * length + token) as f64;
        for &slope in slopes {
            for query in 0..length {
                all.extend((0..length).map(|key| -slope * T::of((at(query) - at(key)).abs())));
            }
        }
    }
    Tensor::from_vec(all, (rows, slopes.len(), length, length), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Architecture, Config};
    use crate::objective::tests::{OBJECTIVES, program, samples};
    use crate::testing::rows;
    use crate::tests::{compositions, model, model_with, small};

    /// Both paths on the CPU: losses and all gradients, alone and added to.
    fn check(config: &Config, length: u32, seed: u64) {
        let mut model = model::<f64>(config, length.into());
        model.terms = Terms { smoothing: config.label_smoothing, z: config.z_loss };
        let dropout = Dropout { probability: config.dropout, seed: 3 };
        check_batch(&model, &Batch::new(&rows(3, length, 23, seed), 0), dropout);
    }

    fn check_batch(model: &Transformer<f64>, batch: &Batch, dropout: Dropout) {
        let collect = |pass: &dyn Fn() -> f64| {
            model.parameters.iter().for_each(|p| p.clear());
            let losses = [pass(), pass()];
            let gradients = model.parameters.iter().map(|p| p.gradient(|g| g.expect("written").to_vec()));
            (losses, gradients.collect::<Vec<_>>())
        };
        let own = collect(&|| model.gradients(batch, 0.1, dropout).unwrap());
        let plain = collect(&|| gradients(model, batch, 0.1, dropout).unwrap());
        assert!((own.0[0] - plain.0[0]).abs() < 1e-10 * own.0[0].abs().max(1.0), "{:?} {:?}", own.0, plain.0);
        for ((own, plain), parameter) in own.1.iter().zip(&plain.1).zip(&model.parameters) {
            let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-10 * (1.0 + a.abs());
            assert!(own.iter().zip(plain).all(near), "{}: {own:?} {plain:?}", parameter.name());
        }
    }

    #[test]
    fn both_paths_give_the_same_losses_and_gradients() {
        for (architecture, seed) in [(Architecture::Llama, 5), (Architecture::Gpt, 6)] {
            let config = small(architecture);
            check(&Config { tied_head: false, dropout: 0.3, ..config.clone() }, 9, seed);
            check(&Config { label_smoothing: 0.1, z_loss: 0.01, ..config.clone() }, 9, seed);
            // More than one block of queries of the other path.
            check(&Config { layers: 1, ..config }, 70, seed);
        }
        let there = |config: &Config| super::check(&model::<f64>(config, 9).shape);
        let (known, refused): (Vec<_>, Vec<_>) =
            compositions().into_iter().partition(|(_, config)| there(config).is_ok());
        known.iter().for_each(|(_, config)| check(&Config { dropout: 0.1, ..config.clone() }, 9, 7));
        assert!(known.len() >= 10 && refused.len() >= 5);
        let error = there(&refused[0].1).unwrap_err().to_string();
        assert!(error.contains("not there on this device; train this model on the CPU"), "{error}");
    }

    #[test]
    fn both_paths_agree_on_every_objective() {
        for objective in OBJECTIVES {
            let model = model_with::<f64>(&small(Architecture::Llama), 17, program(objective));
            let mut batch = model.shape.program.batch(&samples(3, 8));
            check_batch(&model, &batch, Dropout::NONE);
            batch.weights = (0..batch.ids.len()).map(|at| at as f32 * 0.5 - 6.0).collect();
            check_batch(&model, &batch, Dropout::NONE);
            let (own, plain) = (model.target_losses(&batch).unwrap(), target_losses(&model, &batch).unwrap());
            assert!(own.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-10), "{objective:?}");
        }
    }

    #[test]
    fn a_batch_without_targets_has_no_loss() {
        let model = model::<f32>(&small(Architecture::Llama), 9);
        let mut batch = Batch::new(&rows(1, 9, 23, 5), 0);
        batch.targets.fill(NO_TARGET);
        assert_eq!(gradients(&model, &batch, 1.0, Dropout::NONE).unwrap(), 0.0);
        crate::optimizer::Optimizer::new(&model.parameters, &Config::default())
            .assert_every_gradient(0)
            .unwrap();
    }
}
