//! Where the parameters of a model lie on the GPU: values, gradients and moments, each one array, tensor behind tensor.
//!
//! The weights of one linear part lie next to each other in the order of its output, and so do its biases. Where each weight has a row
//! for each feature that comes out, query, key and value are then one matrix and one product.

use super::gpu::{Gpu, Matrix, Memory, Product, THREADS, launch};
use super::rows::{Sums, narrow};
use crate::architecture::Transformer;
use crate::device::Precision;
use crate::layer::linear::{Linear, Orientation};
use crate::parameter::Shared;
use candle_core::{Result, bail};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// Tensors begin at multiples of so many numbers.
const ALIGN: usize = 8;
/// Numbers that one block of an update takes.
const CHUNK: usize = 4096;

/// A tensor in the arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) count: usize,
}

/// A linear part.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// Where its output begins, its width, and its weight.
    parts: Vec<(usize, usize, Span)>,
    /// All biases side by side, where there are any.
    pub(super) bias: Option<Span>,
    orientation: Orientation,
    pub(super) width_in: usize,
    pub(super) width_out: usize,
}

/// The arrays.
#[derive(Debug)]
pub(super) struct Weights {
    parameters: Vec<(Shared<f32>, Span)>,
    of: HashMap<*const crate::parameter::Parameter<f32>, Span>,
    count: usize,
    values: Memory,
    /// What products read; none in f32, where they read the values.
    copies: Option<Memory>,
    gradients: Memory,
    firsts: Memory,
    seconds: Memory,
    chunks: Memory,
    chunk_count: usize,
    strengths: Memory,
    /// For the norm of the gradient.
    sums: Memory,
    /// Whether the gradient of each was written since the last step.
    written: RefCell<Vec<bool>>,
}

/// Numbers of a tensor with what lies between it and the next.
const fn padded(count: usize) -> usize {
    count.next_multiple_of(ALIGN)
}

impl Weights {
    /// Bytes that the arrays of a model take.
    pub(super) fn bytes(model: &Transformer<f32>, precision: Precision) -> usize {
        let count: usize = model.parameters.iter().map(|p| padded(p.value().elem_count())).sum();
        let copies = if precision == Precision::Bf16 { 2 } else { 0 };
        count * (16 + copies)
    }

    /// Lays out the parameters of a model and copies their values.
    pub(super) fn new(gpu: &Gpu, model: &Transformer<f32>) -> Result<Self> {
        let mut parameters: Vec<(Shared<f32>, Span)> = vec![];
        let mut of = HashMap::new();
        let mut count = 0;
        let mut put = |parameter: &Shared<f32>| {
            if let std::collections::hash_map::Entry::Vacant(entry) = of.entry(Arc::as_ptr(parameter)) {
                let place = Span { start: count, count: parameter.value().elem_count() };
                count += padded(place.count);
                entry.insert(place);
                parameters.push((parameter.clone(), place));
            }
        };
        let transform = model.transform.iter().map(|transform| &transform.dense);
        for linear in model.blocks.iter().flat_map(|block| block.linears()).chain(transform) {
            linear.parameters().for_each(|(weight, _)| put(weight));
            linear.parameters().filter_map(|(_, bias)| bias).for_each(&mut put);
        }
        model.parameters.iter().for_each(&mut put);
        let bytes = 4 * count;
        let (chunks, chunk_count) = Self::chunks(gpu, &parameters)?;
        let copies = match gpu.sizes.precision {
            Precision::Bf16 => Some(gpu.allocate(2 * count)?),
            Precision::F32 => None,
        };
        let tensors = parameters.len();
        let made = Self {
            strengths: gpu.allocate(16 * tensors)?,
            parameters,
            of,
            count,
            values: gpu.allocate(bytes)?,
            copies,
            gradients: gpu.allocate(bytes)?,
            firsts: gpu.allocate(bytes)?,
            seconds: gpu.allocate(bytes)?,
            chunks,
            chunk_count,
            sums: gpu.allocate(8 * chunk_count + 8)?,
            written: RefCell::new(vec![false; tensors]),
        };
        for memory in [&made.values, &made.gradients, &made.firsts, &made.seconds] {
            gpu.clear(memory.at(), memory.bytes())?;
        }
        made.upload(gpu)?;
        Ok(made)
    }

    /// What each block of an update works on: first number in fours, numbers, tensor.
    fn chunks(gpu: &Gpu, parameters: &[(Shared<f32>, Span)]) -> Result<(Memory, usize)> {
        let of = |(tensor, (_, place)): (u32, &(Shared<f32>, Span))| {
            let (start, end) = (place.start, place.start + padded(place.count));
            (start..end)
                .step_by(CHUNK)
                .map(move |at| Some([fours(at)?, numbers(CHUNK.min(end - at)), tensor]))
        };
        let chunks: Option<Vec<[u32; 3]>> = (0..).zip(parameters).flat_map(of).collect();
        let Some(chunks) = chunks else { bail!("a model of more than 2³⁴ numbers does not fit one GPU") };
        let memory = gpu.allocate(12 * chunks.len())?;
        gpu.write(memory.at(), &chunks)?;
        Ok((memory, chunks.len()))
    }

    /// Where a parameter lies.
    pub(super) fn place(&self, parameter: &Shared<f32>) -> Span {
        self.of[&Arc::as_ptr(parameter)]
    }

    /// A linear part, whose parts lie in one row.
    pub(super) fn layer(&self, linear: &Linear<f32>) -> Layer {
        let (mut parts, mut start) = (vec![], 0);
        for (weight, _) in linear.parameters() {
            let place = self.place(weight);
            let width = place.count / linear.width_in();
            parts.push((start, width, place));
            start += width;
        }
        let biases: Vec<Span> =
            linear.parameters().filter_map(|(_, bias)| bias).map(|b| self.place(b)).collect();
        let together =
            |places: &[Span]| places.windows(2).all(|two| two[0].start + two[0].count == two[1].start);
        let weights: Vec<Span> = parts.iter().map(|part| part.2).collect();
        if linear.orientation() == Orientation::OutIn && together(&weights) {
            let count = weights.iter().map(|place| place.count).sum();
            parts = vec![(0, linear.width_out(), Span { start: weights[0].start, count })];
        }
        assert!(
            together(&biases),
            "biases of a linear part lie side by side: each has a multiple of 8 numbers"
        );
        let bias = biases.first().map(|first| Span { start: first.start, count: linear.width_out() });
        Layer {
            parts,
            bias,
            orientation: linear.orientation(),
            width_in: linear.width_in(),
            width_out: linear.width_out(),
        }
    }

    /// The f32 values of a tensor.
    pub(super) fn value(&self, place: Span) -> u64 {
        self.values.at() + 4 * place.start as u64
    }

    /// The same, 0 where there is no tensor.
    pub(super) fn value_of(&self, parameter: Option<&Shared<f32>>) -> u64 {
        parameter.map_or(0, |parameter| self.value(self.place(parameter)))
    }

    /// The values as products read them.
    pub(super) fn copy(&self, place: Span) -> u64 {
        match &self.copies {
            Some(copies) => copies.at() + 2 * place.start as u64,
            None => self.value(place),
        }
    }

    /// The gradient of a tensor, to add to.
    pub(super) fn gradient(&self, place: Span) -> u64 {
        // A place may hold several tensors.
        let first = self.parameters.partition_point(|(_, other)| other.start < place.start);
        let inside =
            self.parameters[first..].iter().take_while(|(_, other)| other.start < place.start + place.count);
        let count = inside.count();
        self.written.borrow_mut()[first..first + count].fill(true);
        self.gradients.at() + 4 * place.start as u64
    }

    /// The tensor that no pass has written a gradient for, if there is one.
    pub(super) fn without_gradient(&self) -> Option<String> {
        let written = self.written.borrow();
        let missing = self.parameters.iter().zip(&*written).find(|(_, written)| !**written);
        missing.map(|((parameter, _), _)| parameter.name().to_owned())
    }

    /// Forgets the gradients.
    pub(super) fn clear(&self, gpu: &Gpu) -> Result<()> {
        self.written.borrow_mut().fill(false);
        gpu.clear(self.gradients.at(), 4 * self.count)
    }

    /// Copies the values of the parameters to the GPU.
    pub(super) fn upload(&self, gpu: &Gpu) -> Result<()> {
        for (parameter, place) in &self.parameters {
            parameter.read(|values| gpu.write(self.value(*place), values))??;
        }
        let Some(copies) = &self.copies else { return Ok(()) };
        narrow(gpu, self.count, self.values.at(), copies.at())
    }

    /// Copies the moments of AdamW to the GPU, tensor by tensor.
    pub(super) fn upload_moments(
        &self,
        gpu: &Gpu,
        parameter: &Shared<f32>,
        moments: [&[f32]; 2],
    ) -> Result<()> {
        let at = 4 * self.place(parameter).start as u64;
        gpu.write(self.firsts.at() + at, moments[0])?;
        gpu.write(self.seconds.at() + at, moments[1])
    }

    /// Copies the values back into the parameters.
    pub(super) fn download(&self, gpu: &Gpu) -> Result<()> {
        for (parameter, place) in &self.parameters {
            let value = parameter.value();
            let mut values = vec![0.0_f32; place.count];
            gpu.read(self.value(*place), &mut values)?;
            value.set(&candle_core::Tensor::from_vec(values, value.shape(), value.device())?)?;
        }
        Ok(())
    }

    /// Copies the moments of AdamW back.
    pub(super) fn download_moments(
        &self,
        gpu: &Gpu,
        parameter: &Shared<f32>,
        moments: [&mut [f32]; 2],
    ) -> Result<()> {
        let at = 4 * self.place(parameter).start as u64;
        let [first, second] = moments;
        gpu.read(self.firsts.at() + at, first)?;
        gpu.read(self.seconds.at() + at, second)
    }

    /// Copies the gradients to the parameters in main memory, whose own were forgotten at the last step.
    pub(super) fn download_gradients(&self, gpu: &Gpu) -> Result<()> {
        for (parameter, place) in &self.parameters {
            let mut gradient = vec![0.0_f32; place.count];
            gpu.read(self.gradients.at() + 4 * place.start as u64, &mut gradient)?;
            parameter.accumulate(|total, _| total.copy_from_slice(&gradient));
        }
        Ok(())
    }

    /// The parameters, in their order here.
    pub(super) fn parameters(&self) -> impl Iterator<Item = &Shared<f32>> {
        self.parameters.iter().map(|(parameter, _)| parameter)
    }

    /// Hands over how strongly each tensor moves: `Strength` of the kernels.
    fn strengthen(&self, gpu: &Gpu, strengths: impl Iterator<Item = [f32; 4]>) -> Result<()> {
        gpu.write(self.strengths.at(), &strengths.collect::<Vec<_>>())
    }

    /// The norm of the gradient of all tensors, each times the unit of its strength.
    pub(super) fn gradient_norm(&self, gpu: &Gpu, strengths: impl Iterator<Item = [f32; 4]>) -> Result<f64> {
        self.strengthen(gpu, strengths)?;
        let (grid, sums) = ((numbers(self.chunk_count), 1, 1), self.sums.at());
        let total = sums + 8 * self.chunk_count as u64;
        launch!(gpu, "squares", grid, (THREADS, 1, 1), 0;
            self.chunks.at(), self.strengths.at(), self.gradients.at(), sums)?;
        launch!(gpu, "sum_doubles", (1, 1, 1), (THREADS, 1, 1), 0; int(self.chunk_count), sums, total)?;
        let mut norm = [0.0_f64];
        gpu.read(total, &mut norm)?;
        Ok(norm[0].sqrt())
    }

    /// A step of AdamW.
    pub(super) fn adamw(
        &self,
        gpu: &Gpu,
        [beta1, beta2, epsilon, clip, root]: [f32; 5],
        strengths: impl Iterator<Item = [f32; 4]>,
    ) -> Result<()> {
        self.strengthen(gpu, strengths)?;
        let grid = (numbers(self.chunk_count), 1, 1);
        let copies = self.copies.as_ref().map_or(0, Memory::at);
        launch!(gpu, "adamw", grid, (THREADS, 1, 1), 0;
            self.chunks.at(), self.strengths.at(), self.values.at(), self.gradients.at(), self.firsts.at(),
            self.seconds.at(), copies, beta1, beta2, epsilon, clip, root)
    }
}

impl Layer {
    /// A weight as in × out.
    fn in_out(&self, weight: u64, width: usize) -> Matrix {
        match self.orientation {
            Orientation::OutIn => Matrix::new(weight, self.width_in).transposed(),
            Orientation::InOut => Matrix::new(weight, width),
        }
    }

    /// y = x·Wᵀ without the bias: tokens × out.
    pub(super) fn forward(&self, gpu: &Gpu, weights: &Weights, tokens: usize, x: u64, y: u64) -> Result<()> {
        for &(start, width, place) in &self.parts {
            let into = Product {
                at: y + (start * gpu.real()) as u64,
                stride: self.width_out,
                wide: false,
                keep: false,
            };
            let weight = self.in_out(weights.copy(place), width);
            gpu.multiply(into, (tokens, width, self.width_in), Matrix::new(x, self.width_in), weight)?;
        }
        Ok(())
    }

    /// Writes dX = dY·W, or adds it; dW and db are added to the gradients.
    pub(super) fn backward(
        &self,
        gpu: &Gpu,
        (weights, sums): (&Weights, &Sums),
        tokens: usize,
        (x, dy): (u64, u64),
        (dx, keep): (u64, bool),
    ) -> Result<()> {
        for (index, &(start, width, place)) in self.parts.iter().enumerate() {
            let dy = Matrix::new(dy + (start * gpu.real()) as u64, self.width_out);
            let into = Product { at: dx, stride: self.width_in, wide: false, keep: keep || index > 0 };
            let weight = self.in_out(weights.copy(place), width).transposed();
            gpu.multiply(into, (tokens, self.width_in, width), dy, weight)?;
            let x = Matrix::new(x, self.width_in);
            let gradient = weights.gradient(place);
            match self.orientation {
                Orientation::OutIn => {
                    let into = Product { at: gradient, stride: self.width_in, wide: true, keep: true };
                    gpu.multiply(into, (width, self.width_in, tokens), dy.transposed(), x)?;
                }
                Orientation::InOut => {
                    let into = Product { at: gradient, stride: width, wide: true, keep: true };
                    gpu.multiply(into, (self.width_in, width, tokens), x.transposed(), dy)?;
                }
            }
        }
        match self.bias {
            Some(bias) => {
                sums.columns(gpu, (tokens, self.width_out, self.width_out), dy, weights.gradient(bias))
            }
            None => Ok(()),
        }
    }

    /// Address of the biases, 0 without.
    pub(super) fn bias(&self, weights: &Weights) -> u64 {
        self.bias.map_or(0, |bias| weights.value(bias))
    }
}

/// A grid whose threads each take four of so many numbers.
pub(super) fn blocks(count: usize) -> (u32, u32, u32) {
    (numbers(count.div_ceil(4 * THREADS as usize)), 1, 1)
}

pub(super) fn numbers(count: usize) -> u32 {
    u32::try_from(count).expect("a grid or a chunk is below 2³²")
}

pub(super) fn int(count: usize) -> i32 {
    i32::try_from(count).expect("rows and columns are below 2³¹")
}

fn fours(at: usize) -> Option<u32> {
    u32::try_from(at / 4).ok()
}
