//! Launches of the kernels that work on each token alone: arguments as the kernels declare them.

use super::gpu::{Argument, Gpu, Memory, THREADS, launch};
use super::weights::{Span, Weights, blocks, int, numbers};
use crate::layer::activation::Activation;
use crate::layer::dropout::Dropout;
use crate::layer::norm::Norm;
use candle_core::Result;

/// What a site lets fall.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Falling {
    key: u64,
    below: u64,
    scale: f32,
}

/// The output of a part on its way to the residual. An address of 0 stands for none, here and below.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct Branch {
    pub(super) values: u64,
    pub(super) bias: u64,
    pub(super) drop: Falling,
}

/// A norm of each row.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct RowNorm {
    gain: u64,
    bias: u64,
    epsilon: f32,
}

/// A table of embeddings, and the row of each token.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Table {
    pub(super) values: u64,
    pub(super) rows: u64,
}

impl Argument for Falling {}
impl Argument for Branch {}
impl Argument for RowNorm {}
impl Argument for Table {}

impl Falling {
    pub(super) const NONE: Self = Self { key: 0, below: 0, scale: 1.0 };

    pub(super) fn of(dropout: Dropout, site: u64) -> Self {
        match dropout.draws(site) {
            None => Self::NONE,
            Some((key, below, scale)) => Self { key, below, scale: scale as f32 },
        }
    }
}

impl Branch {
    pub(super) const NONE: Self = Self { values: 0, bias: 0, drop: Falling::NONE };
}

impl RowNorm {
    pub(super) const NONE: Self = Self { gain: 0, bias: 0, epsilon: 0.0 };

    pub(super) fn of(weights: &Weights, norm: &Norm<f32>) -> Self {
        Self {
            gain: weights.value_of(Some(&norm.gain)),
            bias: weights.value_of(norm.bias.as_ref()),
            epsilon: norm.epsilon,
        }
    }
}

/// Where `join` reads and writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Join {
    /// f32.
    pub(super) x: u64,
    pub(super) branches: [Branch; 2],
    /// f32.
    pub(super) sum: u64,
    pub(super) norm: RowNorm,
    /// As products read it.
    pub(super) y: u64,
    /// The same in f32.
    pub(super) wide: u64,
    /// Mean and inverse deviation of each row.
    pub(super) spread: u64,
}

impl Join {
    pub(super) const NONE: Self =
        Self { x: 0, branches: [Branch::NONE; 2], sum: 0, norm: RowNorm::NONE, y: 0, wide: 0, spread: 0 };

    /// Adds branches to a residual and norms the sum.
    pub(super) fn launch(self, gpu: &Gpu, tokens: usize) -> Result<()> {
        let Self { x, branches: [first, second], sum, norm, y, wide, spread } = self;
        let grid = (numbers(tokens.div_ceil(rows_of_block(gpu))), 1, 1);
        launch!(gpu, "join", grid, (THREADS, 1, 1), 0; int(tokens), x, first, second, sum, norm, y, wide, spread)
    }
}

/// Where the gradient of a norm is read and written.
#[derive(Debug, Clone, Copy)]
pub(super) struct JoinBack<'a> {
    pub(super) norm: &'a Norm<f32>,
    /// Parts of the gradient of what the norm gave.
    pub(super) narrow: u64,
    pub(super) wide: u64,
    /// What the norm was given, and its means and deviations.
    pub(super) x: u64,
    pub(super) spread: u64,
    /// What the result is added to.
    pub(super) base: u64,
    pub(super) dx: u64,
    /// The result as a product reads it, and what falls from it there.
    pub(super) branch: u64,
    pub(super) drop: Falling,
}

impl JoinBack<'_> {
    /// Writes the gradient of what a norm was given; those of gain and bias are added to theirs.
    pub(super) fn launch(self, gpu: &Gpu, (weights, sums): (&Weights, &Sums), tokens: usize) -> Result<()> {
        let Self { norm, narrow, wide, x, spread, base, dx, branch, drop } = self;
        let per_block = rows_of_block(gpu);
        let grid = sums.blocks.min(tokens.div_ceil(per_block));
        let (width, groups) = (gpu.sizes.width, grid * per_block);
        let gain_sums = sums.memory.at();
        let bias_sums = if norm.bias.is_some() { gain_sums + (4 * groups * width) as u64 } else { 0 };
        let of = RowNorm::of(weights, norm);
        launch!(gpu, "join_back", (numbers(grid), 1, 1), (THREADS, 1, 1), 0;
            int(tokens), narrow, wide, x, spread, of, base, dx, branch, drop, gain_sums, bias_sums)?;
        let gain = weights.gradient(weights.place(&norm.gain));
        let bias = norm.bias.as_ref().map(|bias| weights.gradient(weights.place(bias)));
        sums.reduce(gpu, (groups, width), gain, bias)
    }
}

/// Rows of features that one block works on.
const fn rows_of_block(gpu: &Gpu) -> usize {
    if gpu.sizes.width <= 1024 { THREADS as usize / 32 } else { 1 }
}

/// Memory for sums of parts of columns.
#[derive(Debug)]
pub(super) struct Sums {
    memory: Memory,
    /// Most blocks of a norm's gradient.
    blocks: usize,
    /// Most blocks that share the rows of a matrix.
    parts: usize,
}

impl Sums {
    /// Memory for matrices of up to so many columns.
    pub(super) fn new(gpu: &Gpu, columns: usize) -> Result<Self> {
        let (blocks, parts) = (2 * gpu.multiprocessors as usize, 64);
        let bytes = 4 * (2 * blocks * rows_of_block(gpu) * gpu.sizes.width).max(parts * columns);
        Ok(Self { memory: gpu.allocate(bytes)?, blocks, parts })
    }

    /// Adds the sums of the columns of a matrix (rows, columns, stride) to a vector.
    pub(super) fn columns(
        &self,
        gpu: &Gpu,
        (rows, columns, stride): (usize, usize, usize),
        x: u64,
        into: u64,
    ) -> Result<()> {
        let wide = columns.next_multiple_of(4);
        let parts = self.parts.min(rows.div_ceil(32)).max(1);
        let grid = (numbers(wide.div_ceil(128)), numbers(parts), 1);
        launch!(gpu, "sum_columns", grid, (32, 8, 1), 0; int(rows), int(wide), stride as u64, x, self.memory.at())?;
        let grid = (numbers(columns.div_ceil(32)), 1, 1);
        launch!(gpu, "reduce", grid, (32, 8, 1), 0; int(parts), int(columns), int(wide), self.memory.at(), into, 0_u64)
    }

    /// Adds rows of sums to one vector, and the rows behind them to another.
    fn reduce(
        &self,
        gpu: &Gpu,
        (rows, columns): (usize, usize),
        first: u64,
        second: Option<u64>,
    ) -> Result<()> {
        let grid = (numbers(columns.div_ceil(32)), if second.is_some() { 2 } else { 1 }, 1);
        let sums = self.memory.at();
        launch!(gpu, "reduce", grid, (32, 8, 1), 0;
            int(rows), int(columns), int(columns), sums, first, second.unwrap_or(0))
    }
}

/// Lets features fall, in place or on the way to `narrow`.
pub(super) fn let_fall(gpu: &Gpu, count: usize, x: u64, narrow: u64, drop: Falling) -> Result<()> {
    launch!(gpu, "let_fall", blocks(count), (THREADS, 1, 1), 0; count as u64, x, narrow, drop)
}

/// Rounds f32 to what products read.
pub(super) fn narrow(gpu: &Gpu, count: usize, x: u64, y: u64) -> Result<()> {
    let_fall(gpu, count, x, y, Falling::NONE)
}

/// What stands between two products.
#[derive(Debug, Clone, Copy)]
pub(super) struct Activate {
    pub(super) activation: Activation,
    pub(super) tokens: usize,
    /// Features that come out.
    pub(super) width: usize,
    /// What goes in, before its bias.
    pub(super) up: u64,
    pub(super) bias: u64,
}

impl Activate {
    /// The number of the function in the kernels, and whether it gates.
    const fn kind(self) -> (i32, i32) {
        match self.activation {
            Activation::Gelu => (0, 0),
            Activation::GeluExact => (1, 0),
            Activation::Relu => (2, 0),
            Activation::Relu2 => (3, 0),
            Activation::Silu => (4, 0),
            Activation::SwiGlu => (4, 1),
            Activation::GeGlu => (0, 1),
        }
    }

    pub(super) fn forward(self, gpu: &Gpu, inner: u64) -> Result<()> {
        let (kind, gated) = self.kind();
        let Self { tokens, width, up, bias, .. } = self;
        launch!(gpu, "activate", blocks(tokens * width), (THREADS, 1, 1), 0;
            int(tokens), int(width), kind, gated, up, bias, inner)
    }

    pub(super) fn backward(self, gpu: &Gpu, d_inner: u64, d_up: u64) -> Result<()> {
        let (kind, gated) = self.kind();
        let Self { tokens, width, up, bias, .. } = self;
        launch!(gpu, "activate_back", blocks(tokens * width), (THREADS, 1, 1), 0;
            int(tokens), int(width), kind, gated, up, bias, d_inner, d_up)
    }
}

/// A table whose gradient is scattered: its place, and the lists of the batch.
pub(super) fn scatter(
    gpu: &Gpu,
    weights: &Weights,
    table: Span,
    lists: &super::upload::Scatter,
    dx: u64,
    parts: u64,
) -> Result<()> {
    let gradient = weights.gradient(table);
    let threads = (numbers(gpu.sizes.width / 4).next_multiple_of(32).min(THREADS), 1, 1);
    launch!(gpu, "scatter", (numbers(lists.pieces.1), 1, 1), threads, 0; lists.pieces.0, lists.tokens, dx, gradient, parts)?;
    launch!(gpu, "scatter_parts", (numbers(lists.rows.1), 1, 1), threads, 0; lists.rows.0, parts, gradient)
}
