//! Times training steps from the start weights and batches of a file that another program trains from too, so that losses can be compared
//! step by step while speed and memory are: what `cargo bench --bench step -- --file` prints.
//!
//! The file is safetensors: `wte.weight`, `wpe.weight`, `h.N.{ln1,attn,proj,ln2,fc,fcp}.{weight,bias}`, `lnf.{weight,bias}` of a GPT with tied head,
//! matrices `[out, in]` and queries, keys and values stacked in `attn`; batches as `data.x` and `data.y`, u32 `[batches, rows, length]`.

use super::median;
use crate::architecture::{Shape, Source, Tensors, Transformer};
use crate::batch::Batch;
use crate::config::{Architecture, Config};
use crate::device::{Engine, Place};
use crate::error::TrainError;
use crate::layer::dropout::Dropout;
use crate::optimizer::Optimizer;
use safetensors::{Dtype, SafeTensors};
use schemas::manifest::Tokens;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the steps of a file took; times are medians of all steps but the first.
#[derive(Debug, Clone)]
pub struct FileTimes {
    /// Numbers that learn.
    pub parameters: usize,
    /// Tokens of a step.
    pub tokens: usize,
    /// Mean loss of each step.
    pub losses: Vec<f64>,
    /// From tokens to the gradients of all parameters.
    pub passes: Duration,
    /// The optimizer's step.
    pub optimizer: Duration,
    /// The whole step.
    pub step: Duration,
    /// Time of all threads of this process in a step; zero where the system does not tell it.
    pub cpu: Duration,
    /// Memory of this process before the file is read, and the most since it began, in KiB; zero where the system does not tell it.
    pub memory_kib: (u64, u64),
}

/// Trains `steps` steps from a file, over its batches in turn. Optimizer, its settings and `recompute` are those of `config`, the learning rate stays
/// what it is; the shape is that of the file, with so many heads. On a GPU the times of the process are those of what drives it.
///
/// # Errors
/// The file cannot be read, or its tensors are no such model.
pub fn file_times(
    path: &Path,
    heads: usize,
    steps: usize,
    config: &Config,
    place: Place,
) -> Result<FileTimes, TrainError> {
    let before = status_kib("VmRSS:");
    let (mut model, batches) = read(path, heads, config)?;
    model.recompute = usize::try_from(config.recompute).unwrap_or(usize::MAX);
    let optimizer = Optimizer::of(&model, config);
    let engine = Engine::open(place, &model, &optimizer)?;
    let mut losses = Vec::with_capacity(steps);
    let mut times = Vec::with_capacity(steps);
    for step in 0..steps {
        let batch = &batches[step % batches.len()];
        let (begun, cpu) = (Instant::now(), cpu_time());
        let scale = 1.0 / batch.targets_count().max(1) as f64;
        losses.push(engine.gradients(&model, batch, scale, Dropout::NONE)?);
        let passes = begun.elapsed();
        let norm = if config.clip_norm > 0.0 { engine.gradient_norm(&optimizer)? } else { 0.0 };
        engine.step(&optimizer, step as u64, config.learning_rate, norm)?;
        engine.wait()?;
        let all = begun.elapsed();
        times.push([passes, all - passes, all, cpu_time().saturating_sub(cpu)]);
    }
    // The first step touches all memory for the first time.
    let settled = &times[1.min(times.len())..];
    Ok(FileTimes {
        parameters: model.parameter_count(),
        tokens: batches[0].ids.len(),
        losses,
        passes: median(settled.iter().map(|times| times[0])),
        optimizer: median(settled.iter().map(|times| times[1])),
        step: median(settled.iter().map(|times| times[2])),
        cpu: median(settled.iter().map(|times| times[3])),
        memory_kib: (before, status_kib("VmHWM:")),
    })
}

/// What our checkpoints call a tensor of the file, and whether its matrix lies the other way.
fn our_name(name: &str) -> Option<(String, bool)> {
    const PARTS: [(&str, &str, bool); 6] = [
        ("ln1", "ln_1", false),
        ("attn", "attn.c_attn", true),
        ("proj", "attn.c_proj", true),
        ("ln2", "ln_2", false),
        ("fc", "mlp.c_fc", true),
        ("fcp", "mlp.c_proj", true),
    ];
    if let Some(rest) = name.strip_prefix("lnf.") {
        return Some((format!("transformer.ln_f.{rest}"), false));
    }
    let Some(rest) = name.strip_prefix("h.") else { return Some((format!("transformer.{name}"), false)) };
    let (layer, rest) = rest.split_once('.')?;
    let (part, kind) = rest.split_once('.')?;
    let (_, ours, turned) = PARTS.iter().find(|(theirs, ..)| *theirs == part)?;
    Some((format!("transformer.h.{layer}.{ours}.{kind}"), *turned && kind == "weight"))
}

/// The model of a file and its batches.
fn read(path: &Path, heads: usize, config: &Config) -> Result<(Transformer<f32>, Vec<Batch>), TrainError> {
    let wrong = |what: String| TrainError::file(path)(what);
    let bytes = std::fs::read(path).map_err(TrainError::io(path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(TrainError::file(path))?;
    let tensor = |name: &str| file.tensor(name).map_err(TrainError::file(path));
    let sizes = |name: &str| Ok::<_, TrainError>(tensor(name)?.shape().to_vec());
    let ([vocab, width], [context, _]) = (
        sizes("wte.weight")?.try_into().map_err(|_| wrong("`wte.weight` is no matrix".into()))?,
        sizes("wpe.weight")?.try_into().map_err(|_| wrong("`wpe.weight` is no matrix".into()))?,
    );
    let mut tensors = Tensors::new();
    for (name, view) in file.tensors().iter().filter(|(name, _)| !name.starts_with("data.")) {
        let (ours, turned) =
            our_name(name).ok_or_else(|| wrong(format!("`{name}` is no tensor of a GPT")))?;
        if view.dtype() != Dtype::F32 {
            return Err(wrong(format!("`{name}` is not F32")));
        }
        let numbers = view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        tensors.insert(
            ours,
            if turned { turn(view.shape(), numbers) } else { (view.shape().to_vec(), numbers) },
        );
    }
    let layers = tensors.keys().filter(|name| name.ends_with("ln_1.weight")).count();
    let config = Config {
        architecture: Architecture::Gpt,
        layers: layers as u64,
        width: width as u64,
        heads: heads as u64,
        ..config.clone()
    };
    let shape = shape(&config, vocab, context)?;
    let model = Transformer::new(shape, Source::read(tensors)).map_err(TrainError::file(path))?;
    let ids = |name: &str| {
        let view = tensor(name)?;
        let ids = view.data().as_chunks::<4>().0.iter().map(|bytes| u32::from_le_bytes(*bytes));
        Ok::<_, TrainError>((view.shape().to_vec(), ids.collect::<Vec<_>>()))
    };
    let ((sizes, x), (_, y)) = (ids("data.x")?, ids("data.y")?);
    let [_, rows, length] =
        sizes.try_into().map_err(|_| wrong("`data.x` is not [batches, rows, length]".into()))?;
    let batches = x.chunks(rows * length).zip(y.chunks(rows * length)).map(|(x, y)| batch(x, y, length));
    let batches: Vec<_> = batches.collect();
    if batches.is_empty() {
        return Err(wrong("`data.x` holds no batch".into()));
    }
    Ok((model, batches))
}

fn shape(config: &Config, vocab: usize, context: usize) -> Result<Shape, TrainError> {
    config.shape(&Tokens {
        folder: "tokens".into(),
        sequence_length: context as u64,
        vocab_size: vocab as u64,
        eos_id: 0,
        train: 1,
        validation: 0,
        tokenizer: String::new(),
    })
}

/// Rows of `length` tokens, each one piece.
fn batch(x: &[u32], y: &[u32], length: usize) -> Batch {
    let row = |ids: &[u32]| crate::batch::Row {
        ids: ids.to_vec(),
        piece_lengths: vec![u32::try_from(length).expect("a row of a file in memory")],
        begins: vec![true],
        padding: 0,
        mask: vec![],
    };
    // A batch is made of the tokens that it predicts; here what they are predicted from is given too.
    Batch { ids: x.to_vec(), ..Batch::new(&y.chunks(length).map(row).collect::<Vec<_>>(), 0) }
}

/// [out, in] → [in, out].
fn turn(sizes: &[usize], numbers: Vec<f32>) -> (Vec<usize>, Vec<f32>) {
    let &[rows, columns] = sizes else { return (sizes.to_vec(), numbers) };
    let turned = (0..columns).flat_map(|column| numbers.iter().skip(column).step_by(columns).copied());
    (vec![columns, rows], turned.collect())
}

/// Time that the threads of this process have computed.
fn cpu_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let of = |task: std::fs::DirEntry| {
        let told = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        told.split(' ').next()?.parse::<u64>().ok()
    };
    Duration::from_nanos(tasks.filter_map(of).sum())
}

/// A line of what Linux tells about this process.
fn status_kib(key: &str) -> u64 {
    let told = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = told.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}
