//! `gristmill generate MODEL`: the text appears as it comes.

use super::wrong;
use model::generate::{Generated, Sampler, Sampling};
use schemas::{KeyError, Settings, Value};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

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
    #[arg(long, default_value_t = 0.8, allow_negative_numbers = true)]
    temperature: f64,
    /// Draw only from this many most likely tokens; 0 means all.
    #[arg(long, default_value_t = 50)]
    top_k: u64,
    /// Draw only from the most likely tokens that together reach this probability.
    #[arg(long, default_value_t = 0.95, allow_negative_numbers = true)]
    top_p: f64,
    /// Seed of the draws.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// A text that ends the continuation, before which it stops; may be given again.
    #[arg(long)]
    stop: Vec<String>,
    /// A token, by name, that ends it; may be given again.
    #[arg(long)]
    stop_token: Vec<String>,
    /// Prompt, continuation and speed as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let sampling = match sampling(args) {
        Ok(sampling) => sampling,
        Err(errors) => {
            errors.iter().for_each(|e| eprintln!("error: {e}"));
            return ExitCode::from(2);
        }
    };
    let folder = match super::folders::model(&args.model) {
        Ok(folder) => folder,
        Err(trouble) => return trouble.tell(),
    };
    let sampler = match Sampler::open(&folder) {
        Ok(sampler) => sampler,
        Err(error) => return wrong::stopped(error),
    };
    let begun = Instant::now();
    // The prompt comes with the first piece: nothing stands before a refusal.
    let mut prompt = Some(args.prompt.as_str()).filter(|_| !args.json);
    let generated = sampler.stream(&args.prompt, &sampling, |piece| {
        if !args.json {
            print!("{}{piece}", prompt.take().unwrap_or_default());
            // A reader that has gone away is no failure.
            drop(std::io::stdout().flush());
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    match generated {
        Ok(generated) => {
            print!("{}", prompt.unwrap_or_default());
            tell(args, &generated, seconds);
            ExitCode::SUCCESS
        }
        Err(error) => wrong::stopped(error),
    }
}

/// The settings that the arguments make.
fn sampling(args: &Args) -> Result<Sampling, Vec<KeyError>> {
    let Args { tokens, temperature, top_k, top_p, seed, .. } = *args;
    let whole = |n: u64| Value::from(i64::try_from(n).unwrap_or(i64::MAX));
    let pairs = [
        ("tokens_max", whole(tokens)),
        ("temperature", temperature.into()),
        ("top_k", whole(top_k)),
        ("top_p", top_p.into()),
        ("stop", args.stop.clone().into()),
        ("stop_tokens", args.stop_token.clone().into()),
    ];
    let pairs = pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(Sampling { seed, ..Settings::new(pairs).parse()? })
}

fn tell(args: &Args, generated: &Generated, seconds: f64) {
    let per_second = generated.tokens as f64 / seconds.max(1e-9);
    if args.json {
        let Generated { text, tokens, unread } = generated;
        let told = serde_json::json!({
            "prompt": args.prompt, "continuation": text, "tokens": tokens, "seconds": seconds,
            "tokens_per_s": per_second, "prompt_tokens_unread": unread,
        });
        println!("{told}");
        return;
    }
    println!();
    if generated.unread > 0 {
        eprintln!(
            "not read, because the context is too short for the whole prompt: {} of its tokens, from the beginning",
            generated.unread
        );
    }
    if std::io::stderr().is_terminal() {
        eprintln!("{} tokens in {seconds:.2} s, {per_second:.0} tokens/s", generated.tokens);
    }
}
