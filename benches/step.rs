//! The time of a training step and of its parts, for a LLaMA and a GPT of a few million parameters.
//!
//! `cargo bench --bench step` takes the threads of `RAYON_NUM_THREADS`, else all cores; `-- KEY=VALUE …` changes settings of `[train]`.
//!
//! `cargo bench --bench step -- --file F --steps N --heads H` trains a GPT from weights and batches of a file instead, with AdamW on every tensor and no
//! clipping, and prints one line of JSON, as `benches/peers/step_pairs.py` compares it with PyTorch; `--device cuda` and `--device cuda-f32` do so on a
//! GPU.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use model::Config;
use model::device::{Place, Precision};
use model::speed::{FileTimes, StepTimes, file_times, step_times};
use schemas::{Settings, Value};
use std::error::Error;
use std::path::Path;
use std::time::Duration;

/// Tokens of a row, and of the vocabulary, as in the demo.
const LENGTH: u32 = 256;
const VOCAB: u32 = 4096;
const STEPS: usize = 30;

/// The model of `src/cli/demo/demo.toml`, and a deeper one of each shape.
const MODELS: [(&str, &str); 3] = [
    ("demo", "layers=2 width=192 heads=4 kv_heads=2 batch_sequences=4"),
    ("llama", "layers=4 width=192 heads=4 kv_heads=2 batch_sequences=8"),
    ("gpt", "architecture=gpt layers=4 width=192 heads=4 batch_sequences=8"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let changes: Vec<String> = arguments.iter().filter(|arg| arg.contains('=')).cloned().collect();
    if let Some(file) = option(&arguments, "--file") {
        return paired(Path::new(file), &arguments, &changes);
    }
    println!(
        "{:<8} {:>11} {:>10} {:>8} {:>9} {:>10} {:>10} {:>10}",
        "model", "parameters", "tokens/s", "step", "forward", "backward", "optimizer", "best step"
    );
    for (name, settings) in MODELS {
        let found = step_times(&config(settings, &changes)?, LENGTH, VOCAB, STEPS)?;
        let StepTimes { parameters, tokens, forward, backward, optimizer, step, best } = found;
        let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
        println!(
            "{name:<8} {parameters:>11} {:>10.0} {:>8} {:>9} {:>10} {:>10} {:>10}",
            tokens as f64 / step.as_secs_f64(),
            ms(step),
            ms(forward),
            ms(backward),
            ms(optimizer),
            ms(best)
        );
    }
    Ok(())
}

/// What follows a flag.
fn option<'a>(arguments: &'a [String], flag: &str) -> Option<&'a String> {
    arguments.iter().skip_while(|arg| *arg != flag).nth(1)
}

/// The settings of the other side: AdamW that decays every tensor, at a rate that stays.
const PAIRED: &str =
    "learning_rate=0.0003 beta1=0.9 beta2=0.95 epsilon=0.00000001 weight_decay=0.1 decay_on=all clip_norm=0";

fn paired(file: &Path, arguments: &[String], changes: &[String]) -> Result<(), Box<dyn Error>> {
    let number =
        |flag, default: &str| option(arguments, flag).map_or(default, String::as_str).parse::<usize>();
    let place = match option(arguments, "--device").map(String::as_str) {
        None | Some("cpu") => Place::Cpu,
        Some("cuda") => Place::Cuda(Precision::Bf16),
        Some("cuda-f32") => Place::Cuda(Precision::F32),
        Some(other) => return Err(format!("no device `{other}`: cpu, cuda, cuda-f32").into()),
    };
    let (heads, steps) = (number("--heads", "6")?, number("--steps", "6")?);
    let found = file_times(file, heads, steps, &config(PAIRED, changes)?, place)?;
    let FileTimes { parameters, tokens, losses, passes, optimizer, step, cpu, memory_kib } = found;
    let losses: Vec<String> = losses.iter().map(|loss| format!("{loss:.5}")).collect();
    let [passes, optimizer, step, cpu] = [passes, optimizer, step, cpu].map(|time| time.as_secs_f64());
    let mib = |kib: u64| kib as f64 / 1024.0;
    println!(
        "{{\"parameters\": {parameters}, \"losses\": [{}], \"passes_s\": {passes:.5}, \"opt_s\": {optimizer:.5}, \"step_s\": \
         {step:.5}, \"cpu_s\": {cpu:.4}, \"tokens_per_s\": {:.0}, \"baseline_mb\": {:.1}, \"peak_mb\": {:.1}, \"above_mb\": {:.1}}}",
        losses.join(", "),
        tokens as f64 / step,
        mib(memory_kib.0),
        mib(memory_kib.1),
        mib(memory_kib.1.saturating_sub(memory_kib.0)),
    );
    Ok(())
}

fn number(value: &str) -> Value {
    let float = |_| value.parse().map_or_else(|_| Value::from(value), Value::Float);
    value.parse().map_or_else(float, Value::Integer)
}

/// Settings as text, those of the command line last.
fn config(settings: &str, changes: &[String]) -> Result<Config, Box<dyn Error>> {
    let mut pairs: Vec<(String, Value)> = Vec::new();
    for text in settings.split(' ').chain(changes.iter().map(String::as_str)) {
        let (key, value) = text.split_once('=').ok_or("a setting is key=value")?;
        let value = number(value);
        pairs.retain(|(known, _)| known != key);
        pairs.push((key.to_owned(), value));
    }
    let wrong = |errors: Vec<schemas::KeyError>| {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").into()
    };
    Settings::new(pairs).parse().map_err(wrong)
}
