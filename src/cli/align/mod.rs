//! `gristmill align sft|dpo|reward|grpo|score|merge`: a trained model learns answers, preferences, or what earns rewards.

mod chats;
mod method;
mod rows;
mod score;
mod sft;

use super::wrong::{self, Trouble};
use clap::Subcommand;
use pipeline::dag::Kinds;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(
    after_help = "Example: gristmill align sft model chats.jsonl --out tuned --set lora_rank=8 --merge --json\n\n\
              Rows are JSON lines, one object a line; `docs/training.md` shows each form and a whole run."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    method: Method,
}

#[derive(Subcommand)]
enum Method {
    /// Learns the answers of chats.
    Sft(sft::Args),
    /// Learns which of two answers is better, by direct preference optimisation.
    Dpo(method::DpoArgs),
    /// Trains a reward model: a number for each answer, greater for the better one.
    Reward(method::RewardArgs),
    /// Learns what earns rewards that rules or a reward model give, by group-relative policy optimisation.
    Grpo(method::GrpoArgs),
    /// Answers prompts and tells what the answers earn.
    Score(score::Args),
    /// Writes a model of an adapter and its base.
    Merge(MergeArgs),
}

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill align merge adapter --out merged")]
struct MergeArgs {
    /// Folder of the adapter.
    adapter: PathBuf,
    /// Folder of the model.
    #[arg(long)]
    out: PathBuf,
    /// The folder as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, kinds: &Kinds) -> ExitCode {
    match &args.method {
        Method::Sft(args) => sft::run(args, kinds),
        Method::Dpo(args) => method::dpo(args),
        Method::Reward(args) => method::reward(args),
        Method::Grpo(args) => method::grpo(args),
        Method::Score(args) => score::run(args),
        Method::Merge(args) => match merged(args) {
            Ok(()) if args.json => {
                println!("{}", serde_json::json!({ "model": args.out }));
                ExitCode::SUCCESS
            }
            Ok(()) => {
                println!("model {}: {} merged", args.out.display(), args.adapter.display());
                ExitCode::SUCCESS
            }
            Err(trouble) => trouble.tell(),
        },
    }
}

fn merged(args: &MergeArgs) -> Result<(), Trouble> {
    wrong::there(&args.adapter)?;
    Ok(model::align::merge(&args.adapter, &args.out)?)
}
