//! Launches of attention: on tensor cores where they take the heads of the model, else plainly.

use super::gpu::{Argument, Gpu, Memory, THREADS, TILE, launch};
use super::upload::Upload;
use super::weights::{Layer, Weights, int, numbers};
use crate::architecture::Transformer;
use crate::layer::attention::{HeadLayout, Heads};
use candle_core::Result;

/// Heads as the kernels read them.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct HeadsOf {
    length: i32,
    queries: i32,
    shared: i32,
    row: i32,
    group: i32,
    key: i32,
    value: i32,
    step: i32,
    scale: f32,
}

/// Who sees whom, as the kernels read it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct SeenOf {
    low: u64,
    high: u64,
    ranks: u64,
    limits: u64,
    positions: u64,
    slopes: u64,
    keys: u64,
    askers: u64,
}

impl Argument for HeadsOf {}
impl Argument for SeenOf {}

/// What attention keeps besides the batch: tables of rotations, and slopes.
#[derive(Debug)]
pub(super) struct Attention {
    heads: Heads,
    cosines: Option<(Memory, Memory)>,
    slopes: Option<Memory>,
}

/// What the backward pass is given, as addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backward {
    pub(super) qkv: u64,
    pub(super) out: u64,
    pub(super) d_out: u64,
    /// What the forward pass left.
    pub(super) log_sums: u64,
    /// Room for a number a token and query head.
    pub(super) sums: u64,
    pub(super) d_qkv: u64,
}

impl Attention {
    pub(super) fn new(gpu: &Gpu, model: &Transformer<f32>) -> Result<Self> {
        let put = |numbers: &[f32]| {
            let memory = gpu.allocate(4 * numbers.len())?;
            gpu.write(memory.at(), numbers)?;
            candle_core::Result::Ok(memory)
        };
        let cosines = match &model.rope {
            Some(rope) => {
                let rows = || (0..model.shape.context).map(|position| rope.row(position));
                let cosines: Vec<f32> = rows().flat_map(|row| row.0.iter().copied()).collect();
                let sines: Vec<f32> = rows().flat_map(|row| row.1.iter().copied()).collect();
                Some((put(&cosines)?, put(&sines)?))
            }
            None => None,
        };
        let slopes = match &model.slopes {
            // Scores are powers of 2 there.
            Some(slopes) => {
                let scaled: Vec<f32> = slopes.iter().map(|slope| slope * std::f32::consts::LOG2_E).collect();
                Some(put(&scaled)?)
            }
            None => None,
        };
        Ok(Self { heads: model.shape.heads, cosines, slopes })
    }

    fn heads(&self, length: usize) -> HeadsOf {
        let heads = self.heads;
        let shared = heads.shared();
        let grouped = heads.layout == HeadLayout::Grouped;
        let step = if grouped { (shared + 2) * heads.width } else { heads.width };
        HeadsOf {
            length: int(length),
            queries: int(heads.queries),
            shared: int(shared),
            row: int(heads.row()),
            group: int(if grouped { step } else { shared * heads.width }),
            key: int(heads.key(0)),
            value: int(heads.value(0)),
            step: int(step),
            scale: heads.scale::<f32>() * std::f32::consts::LOG2_E,
        }
    }

    fn seen(&self, batch: &Upload) -> SeenOf {
        let Upload { low, high, ranks, limits, positions, keys, askers, .. } = *batch;
        let slopes = self.slopes.as_ref().map_or(0, Memory::at);
        SeenOf { low, high, ranks, limits, positions, slopes, keys, askers }
    }

    /// Adds the biases of queries, keys and values and turns the first two, in place.
    pub(super) fn rotate(
        &self,
        gpu: &Gpu,
        (weights, layer): (&Weights, &Layer),
        batch: &Upload,
        qkv: u64,
    ) -> Result<()> {
        self.turn(gpu, batch, qkv, layer.bias(weights), 1.0)
    }

    fn turn(&self, gpu: &Gpu, batch: &Upload, qkv: u64, bias: u64, sign: f32) -> Result<()> {
        if self.cosines.is_none() && bias == 0 {
            return Ok(());
        }
        let (cosines, sines) = self.cosines.as_ref().map_or((0, 0), |(c, s)| (c.at(), s.at()));
        let vectors = (self.heads.queries + 2 * self.heads.keys) * self.heads.width / 8;
        let grid = (numbers((batch.tokens * vectors).div_ceil(THREADS as usize)), 1, 1);
        launch!(gpu, "rotate", grid, (THREADS, 1, 1), 0;
            int(batch.tokens), self.heads(batch.length), qkv, bias, batch.positions, cosines, sines, sign)
    }

    /// A grid of a warp for each token and head.
    fn warps(batch: &Upload, heads: usize) -> (u32, u32, u32) {
        (numbers((batch.tokens * heads).div_ceil(THREADS as usize / 32)), 1, 1)
    }

    fn tiles(batch: &Upload, heads: usize) -> (u32, u32, u32) {
        let rows = batch.tokens / batch.length.max(1);
        (numbers(batch.length.div_ceil(TILE)), numbers(heads), numbers(rows))
    }

    /// qkv, turned: tokens × (queries, keys, values) → out: tokens × queries, and log-sums: rows × heads × length.
    pub(super) fn forward(&self, gpu: &Gpu, batch: &Upload, qkv: u64, out: u64, log_sums: u64) -> Result<()> {
        let (heads, seen) = (self.heads(batch.length), self.seen(batch));
        if gpu.sizes.tensor_cores() {
            let grid = Self::tiles(batch, self.heads.queries);
            return launch!(gpu, "attend", grid, (128, 1, 1), gpu.shared_bytes; heads, seen, qkv, out, log_sums);
        }
        let (grid, rows) = (Self::warps(batch, self.heads.queries), int(batch.tokens / batch.length.max(1)));
        launch!(gpu, "attend_plain", grid, (THREADS, 1, 1), 0; rows, heads, seen, qkv, out, log_sums)
    }

    /// Writes the gradient of queries, keys and values as they were before they were turned.
    pub(super) fn backward(&self, gpu: &Gpu, batch: &Upload, given: Backward) -> Result<()> {
        let (heads, seen) = (self.heads(batch.length), self.seen(batch));
        let Backward { qkv, out, d_out, log_sums, sums, d_qkv } = given;
        let all = (batch.tokens * self.heads.queries).div_ceil(THREADS as usize / 16);
        launch!(gpu, "sum_products", (numbers(all), 1, 1), (THREADS, 1, 1), 0;
            int(batch.tokens), heads, out, d_out, sums)?;
        if gpu.sizes.tensor_cores() {
            let (block, shared) = ((128, 1, 1), gpu.shared_bytes);
            let grid = Self::tiles(batch, self.heads.queries);
            launch!(gpu, "attend_queries", grid, block, shared; heads, seen, qkv, d_out, log_sums, sums, d_qkv)?;
            let grid = Self::tiles(batch, self.heads.keys);
            launch!(gpu, "attend_keys", grid, block, shared; heads, seen, qkv, d_out, log_sums, sums, d_qkv)?;
        } else {
            let (rows, block) = (int(batch.tokens / batch.length.max(1)), (THREADS, 1, 1));
            let grid = Self::warps(batch, self.heads.queries);
            launch!(gpu, "attend_plain_queries", grid, block, 0; rows, heads, seen, qkv, d_out, log_sums, sums, d_qkv)?;
            let grid = Self::warps(batch, self.heads.keys);
            launch!(gpu, "attend_plain_keys", grid, block, 0; rows, heads, seen, qkv, d_out, log_sums, sums, d_qkv)?;
        }
        self.turn(gpu, batch, d_qkv, 0, -1.0)
    }
}
