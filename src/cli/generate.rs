//! `gristmill generate MODEL`.

use super::wrong;
use model::generate::{Sampler, Sampling};
use schemas::{Settings, Value};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(
    after_help = "Example: gristmill generate gristmill-demo/model --prompt \"A vector is\" --tokens 64"
)]
pub(crate) struct Args {
    /// Folder of the model, or the working folder of a build.
    model: PathBuf,
    /// Text to continue; empty for the start of a document.
    #[arg(long, default_value = "")]
    prompt: String,
    /// Most tokens.
    #[arg(long, default_value_t = 128)]
    tokens: u64,
    /// Below 1 bolder, above 1 more varied; 0 takes the most likely token.
    #[arg(long, default_value_t = 0.8)]
    temperature: f64,
    /// Draw only from this many most likely tokens; 0 means all.
    #[arg(long, default_value_t = 50)]
    top_k: u64,
    /// Draw only from the most likely tokens that together reach this probability.
    #[arg(long, default_value_t = 0.95)]
    top_p: f64,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Prompt and continuation as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let Args { tokens, temperature, top_k, top_p, seed, .. } = *args;
    let whole = |n: u64| Value::from(i64::try_from(n).unwrap_or(i64::MAX));
    let pairs = [
        ("tokens_max", whole(tokens)),
        ("temperature", temperature.into()),
        ("top_k", whole(top_k)),
        ("top_p", top_p.into()),
    ];
    let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let sampling = match Settings::new(pairs).parse::<Sampling>() {
        Ok(sampling) => Sampling { seed, ..sampling },
        Err(errors) => {
            errors.iter().for_each(|e| eprintln!("error: {e}"));
            return ExitCode::from(2);
        }
    };
    let folder = match super::train::model_folder(&args.model) {
        Ok(folder) => folder,
        Err(error) => return wrong::failed(error),
    };
    let sampled = Sampler::open(&folder).and_then(|sampler| sampler.generate(&args.prompt, &sampling));
    match sampled {
        Ok(text) if args.json => {
            println!("{}", serde_json::json!({ "prompt": args.prompt, "continuation": text }));
            ExitCode::SUCCESS
        }
        Ok(text) => {
            println!("{}{text}", args.prompt);
            ExitCode::SUCCESS
        }
        Err(error) => wrong::failed(error),
    }
}
