//! The door to a GPU: memory, kernels that are compiled for it when it is opened, and matrix products by cuBLAS.
//!
//! Driver, cuBLAS and NVRTC are looked for when a training asks for them, so a program with this room starts on machines that have none. All
//! work is put into one stream, one thing after the other: what is computed depends on the order alone.

#![expect(unsafe_code, reason = "kernels and cuBLAS take addresses")]

use super::compile::compile;
use super::error;
use crate::device::Precision;
use candle_core::Result;
use cudarc::cublas::sys::{
    cublasComputeType_t, cublasGemmAlgo_t, cublasMath_t, cublasOperation_t, cublasSetMathMode,
    cublasSetWorkspace_v2, cudaDataType,
};
use cudarc::cublas::{CudaBlas, result::gemm_ex};
use cudarc::driver::sys::{CUdevice_attribute, CUfunction_attribute};
use cudarc::driver::{CudaContext, CudaFunction, CudaSlice, CudaStream, DevicePtr, result::launch_kernel};
use cudarc::nvrtc::Ptx;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;

impl Precision {
    /// Bytes of a number of an activation.
    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::F32 => 4,
        }
    }
}

/// Tokens of a tile of attention: `TILE` of the kernels.
pub(super) const TILE: usize = 64;
/// Threads of a block: `THREADS` of the kernels.
pub(super) const THREADS: u32 = 256;
/// What cuBLAS may use beside its operands. One of its own, of a fixed size, keeps its choice of kernels the same.
pub(super) const WORKSPACE_BYTES: usize = 32 << 20;

/// The sources, in the order in which they are compiled as one.
const SOURCES: [&str; 6] = [
    include_str!("kernels/machine.cu"),
    include_str!("kernels/numbers.cu"),
    include_str!("kernels/rows.cu"),
    include_str!("kernels/loss.cu"),
    include_str!("kernels/update.cu"),
    include_str!("kernels/attention.cu"),
];
const TENSOR_CORES: &str = include_str!("kernels/tensor_cores.cu");
/// Every kernel, and those of tensor cores.
const KERNELS: [&str; 22] = [
    "join",
    "join_back",
    "let_fall",
    "embed",
    "scatter",
    "scatter_parts",
    "sum_columns",
    "reduce",
    "activate",
    "activate_back",
    "choose",
    "put_back",
    "cross_entropy",
    "sum_losses",
    "adamw",
    "squares",
    "sum_doubles",
    "rotate",
    "sum_products",
    "attend_plain",
    "attend_plain_queries",
    "attend_plain_keys",
];
const TENSOR_KERNELS: [&str; 3] = ["attend", "attend_queries", "attend_keys"];

/// What kernels are compiled for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) width: usize,
    pub(super) head: usize,
    pub(super) precision: Precision,
}

impl Sizes {
    /// Whether attention runs on tensor cores.
    pub(super) const fn tensor_cores(self) -> bool {
        matches!(self.precision, Precision::Bf16) && self.head.is_multiple_of(16) && self.head <= 128
    }

    /// Bytes of shared memory that attention asks for, with so many tiles of the other side.
    const fn shared_bytes(self, stages: usize) -> usize {
        (2 + 2 * stages) * TILE * (self.head + 8) * 2
    }

    /// The source text of all kernels, and the options to compile it with but for the architecture.
    pub(super) fn source(self, stages: usize) -> (String, Vec<String>) {
        let mut source = SOURCES.concat();
        let mut options = vec![
            "--std=c++17".to_owned(),
            format!("-DWIDTH={}", self.width),
            format!("-DHEAD={}", self.head),
            format!("-DSTAGES={stages}"),
        ];
        if self.precision == Precision::Bf16 {
            options.push("-DBF16".to_owned());
        }
        if self.tensor_cores() {
            source.push_str(TENSOR_CORES);
        }
        (source, options)
    }
}

/// Memory of the GPU.
#[derive(Debug)]
pub(super) struct Memory {
    _held: CudaSlice<u8>,
    at: u64,
    bytes: usize,
}

impl Memory {
    /// The address of its first byte.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

/// A matrix in the memory of the GPU, row by row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix {
    pub(super) at: u64,
    /// Numbers from one row to the next.
    pub(super) stride: usize,
    /// Whether it is meant with rows and columns exchanged.
    pub(super) transposed: bool,
}

impl Matrix {
    pub(super) const fn new(at: u64, stride: usize) -> Self {
        Self { at, stride, transposed: false }
    }

    pub(super) const fn transposed(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }
}

/// The result of a product: rows × columns, summed over `inner`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Product {
    pub(super) at: u64,
    pub(super) stride: usize,
    /// Whether its numbers are f32 whatever the precision is.
    pub(super) wide: bool,
    /// Whether the product is added to what is there.
    pub(super) keep: bool,
}

/// Something that a kernel takes by value: the same bytes here and there.
pub(super) trait Argument: Copy {}
impl Argument for u64 {}
impl Argument for i32 {}
impl Argument for f32 {}

/// The address of an argument.
pub(super) const fn place<T: Argument>(argument: &T) -> *mut c_void {
    std::ptr::from_ref(argument).cast_mut().cast()
}

/// Launches a kernel: `launch!(gpu, name, grid, block, shared bytes; arguments)`.
macro_rules! launch {
    ($gpu:expr, $kernel:expr, $grid:expr, $block:expr, $shared:expr; $($argument:expr),* $(,)?) => {
        $gpu.launch($kernel, ($grid, $block, $shared), &mut [$($crate::cuda::gpu::place(&$argument)),*])
    };
}
pub(super) use launch;

/// A GPU that is open for a model of some sizes.
pub(super) struct Gpu {
    stream: Arc<CudaStream>,
    blas: CudaBlas,
    _workspace: Memory,
    kernels: HashMap<&'static str, CudaFunction>,
    pub(super) sizes: Sizes,
    /// Bytes of shared memory of a block of attention.
    pub(super) shared_bytes: u32,
    pub(super) multiprocessors: u32,
    name: String,
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gpu").field("name", &self.name).field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

impl Gpu {
    /// Opens the first GPU.
    ///
    /// # Errors
    /// A library is missing, there is no GPU, or it is too old.
    pub(super) fn open(sizes: Sizes) -> Result<Self> {
        let context = context()?;
        // SAFETY: there is one stream, so nothing has to wait for another.
        unsafe { context.disable_event_tracking() };
        let (major, minor) = context.compute_capability().map_err(error)?;
        let name = context.name().map_err(error)?;
        if major < 8 {
            let told = format!(
                "{name} has compute capability {major}.{minor}; training needs 8.0 (Ampere) or newer"
            );
            return Err(super::message(&told));
        }
        let attribute = |which| context.attribute(which).map_err(error);
        let shared_max =
            attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?;
        let multiprocessors = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let stages = if sizes.shared_bytes(2) <= shared_max as usize { 2 } else { 1 };
        let (source, options) = sizes.source(stages);
        let code = compile(&source, &options, (major, minor))?;
        let module = context.load_module(Ptx::from_binary(code)).map_err(error)?;
        let mut kernels = HashMap::new();
        let tensor = if sizes.tensor_cores() { &TENSOR_KERNELS[..] } else { &[] };
        for name in KERNELS.iter().chain(tensor) {
            kernels.insert(*name, module.load_function(name).map_err(error)?);
        }
        let shared_bytes = sizes.shared_bytes(stages) as i32;
        for name in tensor {
            let which = CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            kernels[name].set_attribute(which, shared_bytes).map_err(error)?;
        }
        let stream = context.new_stream().map_err(error)?;
        let blas = CudaBlas::new(stream.clone()).map_err(error)?;
        let workspace = allocate(&stream, WORKSPACE_BYTES)?;
        // SAFETY: the workspace lives as long as the handle.
        unsafe { cublasSetWorkspace_v2(*blas.handle(), workspace.at as *mut c_void, WORKSPACE_BYTES) }
            .result()
            .map_err(error)?;
        let mode = cublasMath_t::CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
        // SAFETY: the handle was just made. Parts of a sum are added in f32.
        unsafe { cublasSetMathMode(*blas.handle(), mode) }.result().map_err(error)?;
        Ok(Self {
            stream,
            blas,
            _workspace: workspace,
            kernels,
            sizes,
            shared_bytes: shared_bytes.unsigned_abs(),
            multiprocessors: multiprocessors.unsigned_abs(),
            name,
        })
    }

    /// Makes the GPU that of the calling thread.
    pub(super) fn bind(&self) -> Result<()> {
        self.stream.context().bind_to_thread().map_err(error)
    }

    /// What the GPU is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes of a number of an activation.
    pub(super) const fn real(&self) -> usize {
        self.sizes.precision.bytes()
    }

    pub(super) fn allocate(&self, bytes: usize) -> Result<Memory> {
        allocate(&self.stream, bytes)
    }

    /// Runs a kernel over a grid of blocks of so many threads, each with so many bytes of shared memory beside its own.
    pub(super) fn launch(
        &self,
        kernel: &str,
        (grid, block, shared): ((u32, u32, u32), (u32, u32, u32), u32),
        arguments: &mut [*mut c_void],
    ) -> Result<()> {
        if grid.0 == 0 || grid.1 == 0 || grid.2 == 0 {
            return Ok(());
        }
        let function = self.kernels[kernel].cu_function();
        // SAFETY: callers hand over what the kernel takes, in its order; memory that it reaches lives as long as its owner.
        unsafe { launch_kernel(function, grid, block, shared, self.stream.cu_stream(), arguments) }
            .map_err(error)
    }

    /// c = a·b, or c += a·b: rows × inner times inner × columns.
    pub(super) fn multiply(
        &self,
        into: Product,
        (rows, columns, inner): (usize, usize, usize),
        a: Matrix,
        b: Matrix,
    ) -> Result<()> {
        if rows == 0 || columns == 0 {
            return Ok(());
        }
        let of = |matrix: Matrix| match matrix.transposed {
            true => cublasOperation_t::CUBLAS_OP_T,
            false => cublasOperation_t::CUBLAS_OP_N,
        };
        let real = match self.sizes.precision {
            Precision::Bf16 => cudaDataType::CUDA_R_16BF,
            Precision::F32 => cudaDataType::CUDA_R_32F,
        };
        let wide = if into.wide { cudaDataType::CUDA_R_32F } else { real };
        let (one, keep) = (1.0_f32, if into.keep { 1.0_f32 } else { 0.0 });
        let int = |n: usize| i32::try_from(n).expect("a side of a matrix");
        // cuBLAS reads columns where we have rows, so the transposes of all three are multiplied in the other order.
        // SAFETY: the operands lie in memory of the GPU that outlives the work of the stream.
        unsafe {
            gemm_ex(
                *self.blas.handle(),
                of(b),
                of(a),
                int(columns),
                int(rows),
                int(inner),
                (&raw const one).cast(),
                b.at as *const c_void,
                real,
                int(b.stride),
                a.at as *const c_void,
                real,
                int(a.stride),
                (&raw const keep).cast(),
                into.at as *mut c_void,
                wide,
                int(into.stride),
                cublasComputeType_t::CUBLAS_COMPUTE_32F,
                cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(error)
    }

    /// Zeros in so many bytes.
    pub(super) fn clear(&self, at: u64, bytes: usize) -> Result<()> {
        // SAFETY: callers name memory that they hold.
        unsafe { cudarc::driver::result::memset_d8_async(at, 0, bytes, self.stream.cu_stream()) }
            .map_err(error)
    }

    /// Copies numbers to the GPU, behind all work that was asked for. They are there when this returns.
    pub(super) fn write<T: Copy>(&self, at: u64, numbers: &[T]) -> Result<()> {
        if numbers.is_empty() {
            return Ok(());
        }
        // SAFETY: callers name memory that they hold, large enough, and the slice is read before this returns.
        unsafe { cudarc::driver::result::memcpy_htod_async(at, numbers, self.stream.cu_stream()) }
            .map_err(error)?;
        self.stream.synchronize().map_err(error)
    }

    /// Waits for all work and copies numbers from the GPU.
    pub(super) fn read<T: Copy>(&self, at: u64, numbers: &mut [T]) -> Result<()> {
        if !numbers.is_empty() {
            // SAFETY: callers name memory that they hold, with as many numbers.
            unsafe { cudarc::driver::result::memcpy_dtoh_async(numbers, at, self.stream.cu_stream()) }
                .map_err(error)?;
        }
        self.stream.synchronize().map_err(error)
    }
}

/// The first GPU, if there is one with all libraries that it needs.
fn context() -> Result<Arc<CudaContext>> {
    // SAFETY: these load a library and run what it runs when it is loaded.
    let present = unsafe {
        [
            ("the NVIDIA driver (`libcuda`)", cudarc::driver::sys::is_culib_present()),
            ("cuBLAS (`libcublas`)", cudarc::cublas::sys::is_culib_present()),
            ("NVRTC (`libnvrtc`)", cudarc::nvrtc::sys::is_culib_present()),
        ]
    };
    if let Some((missing, _)) = present.iter().find(|(_, present)| !present) {
        return Err(super::message(&format!(
            "the device `cuda` needs {missing}, which was not found; without an NVIDIA GPU leave `--device` out. The driver comes with the GPU, cuBLAS and \
             NVRTC come with CUDA or with PyTorch's wheels: name their folder in LD_LIBRARY_PATH"
        )));
    }
    CudaContext::new(0).map_err(error)
}

/// Bytes that are free on the first GPU, and what it is called.
pub(super) fn free() -> Result<(usize, String)> {
    let context = context()?;
    Ok((context.mem_get_info().map_err(error)?.0, context.name().map_err(error)?))
}

fn allocate(stream: &Arc<CudaStream>, bytes: usize) -> Result<Memory> {
    // SAFETY: nothing is read before it is written.
    let held = unsafe { stream.alloc::<u8>(bytes.max(16)) }
        .map_err(|found| super::message(&format!("no memory for {} MiB on the GPU: {found}", bytes >> 20)))?;
    let at = held.device_ptr(stream).0;
    Ok(Memory { _held: held, at, bytes })
}
