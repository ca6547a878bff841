//! The time of a training step and of its parts, for a LLaMA and a GPT of a few million parameters.
//!
//! `cargo bench --bench step` takes the threads of `RAYON_NUM_THREADS`, else all cores; `-- KEY=VALUE …` changes settings of `[train]`.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use model::Config;
use model::speed::{StepTimes, step_times};
use schemas::{Settings, Value};
use std::error::Error;
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
    let changes: Vec<String> = std::env::args().skip(1).filter(|arg| arg.contains('=')).collect();
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

/// Settings as text, those of the command line last.
fn config(settings: &str, changes: &[String]) -> Result<Config, Box<dyn Error>> {
    let mut pairs: Vec<(String, Value)> = Vec::new();
    for text in settings.split(' ').chain(changes.iter().map(String::as_str)) {
        let (key, value) = text.split_once('=').ok_or("a setting is key=value")?;
        let value = value.parse().map_or_else(|_| Value::from(value), Value::Integer);
        pairs.retain(|(known, _)| known != key);
        pairs.push((key.to_owned(), value));
    }
    let wrong = |errors: Vec<schemas::KeyError>| {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").into()
    };
    Settings::new(pairs).parse().map_err(wrong)
}
