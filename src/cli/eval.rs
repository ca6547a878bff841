//! `gristmill eval MODEL`: held-out loss, perplexity and bits per byte.

use super::train::model_folder;
use super::wrong;
use pipeline::inspect::layout::thousands;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill eval gristmill-demo/model --dataset gristmill-demo/dataset")]
pub(crate) struct Args {
    /// Folder of the model, or the working folder of a build.
    model: PathBuf,
    /// Dataset whose held-out sequences are scored (default: `dataset` beside the model).
    #[arg(long)]
    dataset: Option<PathBuf>,
    /// The numbers as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let folder = match model_folder(&args.model) {
        Ok(folder) => folder,
        Err(error) => return wrong::failed(error),
    };
    let beside = folder.parent().map_or_else(|| PathBuf::from("dataset"), |parent| parent.join("dataset"));
    let dataset = args.dataset.clone().unwrap_or(beside);
    match model::eval::perplexity::perplexity(&folder, &dataset) {
        Ok(e) if args.json => {
            let row = serde_json::json!({
                "loss": e.loss(), "perplexity": e.perplexity(), "bits_per_byte": e.bits_per_byte(),
                "tokens": e.tokens, "bytes": e.bytes,
            });
            println!("{row}");
            ExitCode::SUCCESS
        }
        Ok(e) => {
            println!("held-out loss   {:.4} nats per token", e.loss());
            println!("perplexity      {:.3}", e.perplexity());
            println!("bits per byte   {:.4}", e.bits_per_byte());
            println!("over            {} tokens, {} bytes", thousands(e.tokens), thousands(e.bytes));
            ExitCode::SUCCESS
        }
        Err(error) => wrong::failed(error),
    }
}
