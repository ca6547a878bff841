//! Every buffer of the passes over so many tokens, cut from one piece of memory.

use super::gpu::{Gpu, Memory};
use super::upload::PIECE;
use crate::architecture::Transformer;
use crate::layer::feed_forward::FeedForward;
use crate::parts::NormPlace;
use candle_core::{Result, bail};

/// Features of what lies between the parts of a model.
#[derive(Debug, Clone, Copy)]
pub(super) struct Widths {
    pub(super) width: usize,
    pub(super) qkv: usize,
    pub(super) mixed: usize,
    pub(super) up: usize,
    pub(super) inner: usize,
    heads: usize,
    layers: usize,
    place: NormPlace,
    parallel: bool,
    embedding_norm: bool,
    transform: bool,
}

impl Widths {
    pub(super) fn of(model: &Transformer<f32>) -> Result<Self> {
        let (shape, block) = (&model.shape, model.blocks.first());
        let (up, inner) = match block.map(|block| &block.ff) {
            Some(FeedForward::Dense(dense)) => (dense.up.width_out(), dense.down.width_in()),
            Some(FeedForward::Experts(_)) => bail!("experts do not run on this device"),
            None => (0, 0),
        };
        Ok(Self {
            width: shape.width,
            qkv: shape.heads.row(),
            mixed: shape.heads.out(),
            up,
            inner,
            heads: shape.heads.queries,
            layers: model.blocks.len(),
            place: block.map_or(NormPlace::Before, |block| block.place),
            parallel: block.is_some_and(|block| block.ff_norm.is_none()),
            embedding_norm: model.embedding_norm.is_some(),
            transform: model.transform.is_some(),
        })
    }

    /// Features of the widest matrix whose columns are summed.
    pub(super) fn widest(self) -> usize {
        self.width.max(self.qkv).max(self.up)
    }
}

/// What a norm is given (f32), and the mean and inverse deviation of each row.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Normed {
    pub(super) given: u64,
    pub(super) spread: u64,
}

/// What the backward pass of a block reads, as addresses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) first: Normed,
    /// What queries, keys and values came from.
    pub(super) given: u64,
    pub(super) qkv: u64,
    pub(super) log_sums: u64,
    pub(super) mixed: u64,
    pub(super) second: Normed,
    /// What the feed-forward part was given.
    pub(super) ff_given: u64,
    pub(super) up: u64,
    pub(super) inner: u64,
}

/// What the head's transform keeps: what it was given, its product, what its activation gave, what its norm was given.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Transformed {
    pub(super) given: u64,
    pub(super) product: u64,
    pub(super) active: u64,
    pub(super) normed: Normed,
}

/// All of them, as addresses.
#[derive(Debug)]
pub(super) struct Buffers {
    _memory: Option<Memory>,
    /// Most tokens of a batch.
    pub(super) tokens: usize,
    pub(super) blocks: Vec<Kept>,
    pub(super) looked_up: Normed,
    /// The residual where norms stand behind the parts, f32.
    pub(super) stream: u64,
    pub(super) last: Normed,
    pub(super) transform: Transformed,
    /// What the head is given.
    pub(super) hidden: u64,
    /// What the two parts of a block give.
    pub(super) branches: [u64; 2],
    pub(super) d_hidden: u64,
    /// The gradient of the residual, f32.
    pub(super) residual: u64,
    /// The same as a product reads it.
    pub(super) d_branch: u64,
    pub(super) d_given: u64,
    pub(super) d_mixed: u64,
    pub(super) d_qkv: u64,
    pub(super) d_inner: u64,
    pub(super) d_up: u64,
    /// A number a token and query head.
    pub(super) sums: u64,
    /// Sums of pieces of the rows of tables: a row with more than one piece has at most two for each full one.
    pub(super) pieces: u64,
}

/// Hands out addresses, each a multiple of 256.
struct Cut {
    at: u64,
    real: usize,
    tokens: usize,
}

impl Cut {
    fn bytes(&mut self, bytes: usize) -> u64 {
        let at = self.at;
        self.at += bytes.next_multiple_of(256) as u64;
        at
    }

    fn real(&mut self, width: usize) -> u64 {
        self.bytes(self.tokens * width * self.real)
    }

    fn wide(&mut self, width: usize) -> u64 {
        self.bytes(self.tokens * width * 4)
    }

    fn normed(&mut self, width: usize) -> Normed {
        Normed { given: self.wide(width), spread: self.bytes(8 * self.tokens) }
    }
}

impl Buffers {
    /// Bytes for so many tokens, with numbers of so many bytes between the products.
    pub(super) fn bytes(widths: Widths, real: usize, tokens: usize) -> usize {
        let mut cut = Cut { at: 0, real, tokens };
        let _ = Self::cut(&mut cut, widths, None);
        usize::try_from(cut.at).expect("addresses are of 64 bits")
    }

    pub(super) fn new(gpu: &Gpu, widths: Widths, tokens: usize) -> Result<Self> {
        let memory = gpu.allocate(Self::bytes(widths, gpu.real(), tokens))?;
        let mut cut = Cut { at: memory.at(), real: gpu.real(), tokens };
        Ok(Self::cut(&mut cut, widths, Some(memory)))
    }

    fn cut(cut: &mut Cut, widths: Widths, memory: Option<Memory>) -> Self {
        let width = widths.width;
        let behind = widths.place == NormPlace::After;
        let block = |cut: &mut Cut| {
            let (first, given) = (cut.normed(width), cut.real(width));
            // Side by side both parts read the output of one norm.
            let (second, ff_given) = match widths.parallel {
                true => (Normed::default(), given),
                false => (cut.normed(width), cut.real(width)),
            };
            Kept {
                first,
                given,
                qkv: cut.real(widths.qkv),
                log_sums: cut.wide(widths.heads),
                mixed: cut.real(widths.mixed),
                second,
                ff_given,
                up: cut.real(widths.up),
                inner: cut.real(widths.inner),
            }
        };
        let blocks = (0..widths.layers).map(|_| block(cut)).collect();
        Self {
            _memory: memory,
            tokens: cut.tokens,
            blocks,
            looked_up: if widths.embedding_norm { cut.normed(width) } else { Normed::default() },
            stream: if behind { cut.wide(width) } else { 0 },
            last: cut.normed(width),
            transform: match widths.transform {
                false => Transformed::default(),
                true => Transformed {
                    given: cut.real(width),
                    product: cut.real(width),
                    active: cut.real(width),
                    normed: cut.normed(width),
                },
            },
            hidden: cut.real(width),
            branches: [cut.real(width), if widths.parallel { cut.real(width) } else { 0 }],
            d_hidden: cut.real(width),
            residual: cut.wide(width),
            d_branch: cut.real(width),
            d_given: cut.real(width),
            d_mixed: cut.real(widths.mixed),
            d_qkv: cut.real(widths.qkv),
            d_inner: cut.real(widths.inner),
            d_up: cut.real(widths.up.max(width)),
            sums: cut.wide(widths.heads),
            pieces: cut.bytes((2 * cut.tokens / PIECE + 1) * width * 4),
        }
    }
}
