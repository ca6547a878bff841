//! Greedy tokens per second of one text, for models of several sizes.
//!
//! `cargo bench --bench generate` makes fresh models in a temporary folder and prints a table; it takes the threads of
//! `RAYON_NUM_THREADS`, else all cores. `-- --save DIR` makes their folders for `benches/peers/generate_speed.py`, and
//! `-- --model DIR [--prompt 32] [--tokens 200] [--rounds 3]` prints one timing as JSON, which that script asks for.

#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

use model::Config;
use model::generate::speed::{save_fresh, time};
use schemas::{Settings, Value};
use std::error::Error;
use std::path::{Path, PathBuf};

/// Name, settings, context and vocabulary: the demo's model, the one of `torch_gpt_step.py`, and GPT-2's smallest.
const MODELS: [(&str, &str, u64, u64); 4] = [
    ("demo", "layers=2 width=192 heads=4 kv_heads=2", 256, 4096),
    ("gpt-14m", "architecture=gpt layers=6 width=384 heads=6", 256, 8192),
    ("llama-42m", "layers=8 width=512 heads=8 kv_heads=4", 512, 32_000),
    ("gpt-124m", "architecture=gpt layers=12 width=768 heads=12", 1024, 50_257),
];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let given = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1).cloned()
    };
    let number = |name: &str, default: u64| given(name).map_or(Ok(default), |text| text.parse());
    let (prompt, tokens) = (number("--prompt", 32)?, number("--tokens", 200)?);
    let rounds = usize::try_from(number("--rounds", 3)?)?;
    if let Some(folder) = given("--model") {
        let found = time(Path::new(&folder), prompt, tokens, rounds)?;
        let told = serde_json::json!({
            "parameters": found.parameters, "prompt": found.prompt, "ids": found.ids,
            "seconds": found.time.as_secs_f64(),
        });
        println!("{told}");
        return Ok(());
    }
    let folder = given("--save").map_or_else(
        || std::env::temp_dir().join(format!("gristmill-generate-{}", std::process::id())),
        PathBuf::from,
    );
    println!("{:<10} {:>12} {:>10}", "model", "parameters", "tokens/s");
    for (name, settings, length, vocab) in MODELS {
        let path = folder.join(name);
        save_fresh(&config(settings)?, length, vocab, &path)?;
        let found = time(&path, prompt, tokens, rounds)?;
        let speed = found.ids.len() as f64 / found.time.as_secs_f64();
        println!("{name:<10} {:>12} {speed:>10.0}", found.parameters);
    }
    if given("--save").is_none() {
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

fn config(settings: &str) -> Result<Config, Box<dyn Error>> {
    let pair = |text: &str| {
        let (key, value) = text.split_once('=').ok_or("a setting is key=value")?;
        Ok((key.to_owned(), value.parse().map_or_else(|_| Value::from(value), Value::Integer)))
    };
    let pairs = settings.split(' ').map(pair).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let wrong = |errors: Vec<schemas::KeyError>| {
        errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").into()
    };
    Settings::new(pairs).parse().map_err(wrong)
}
