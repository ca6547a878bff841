//! `gristmill export FOLDER --to FORMAT --out DIR`: the tokens of a dataset for other trainers, a model for other programs.

mod dataset;
mod model;

use super::wrong;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(
    after_help = "Of a dataset: megatron: SPLIT.bin and SPLIT.idx; datatrove: SPLIT.ds with .index, .loss where there is a mask, .metadata; npy: SPLIT.npy \
                  without a head and SPLIT.csv.gz of documents. Two bytes a token where the vocabulary fits, else four.\n\
                  Of a model: hf: config.json, model.safetensors, tokenizer and card, as transformers loads them; gguf: one file for llama.cpp, and \
                  the card.\n\
                  Example: gristmill export gristmill-demo --to megatron --out megatron\n\
                  Example: gristmill export gristmill-demo/model --to hf --out exported --dtype bf16"
)]
pub(crate) struct Args {
    /// Folder of a dataset or of a model, or the working folder of a build, which holds both.
    source: PathBuf,
    /// The format.
    #[arg(long, value_enum)]
    to: Format,
    /// Folder to make; it must not be there.
    #[arg(long)]
    out: PathBuf,
    /// One split of a dataset alone.
    #[arg(long, value_enum)]
    split: Option<Split>,
    /// What an entry of a dataset's index is.
    #[arg(long, value_enum)]
    by: Option<Unit>,
    /// How the numbers of a model are written.
    #[arg(long, value_enum)]
    dtype: Option<Dtype>,
    /// Dataset that a model was trained on, for its card (default: where it lay at the training, or `dataset` beside the model).
    #[arg(long)]
    dataset: Option<PathBuf>,
    /// A safetensors file to write beside a model: ids, logits and greedy ids, by which another program proves that it computes the same.
    #[arg(long)]
    parity: Option<PathBuf>,
    /// A file of texts for `--parity`, one a line; else its own.
    #[arg(long, requires = "parity")]
    parity_texts: Option<PathBuf>,
    /// What was written, as JSON.
    #[arg(long)]
    json: bool,
}

/// `--to`.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Megatron-LM, NeMo.
    Megatron,
    /// datatrove, nanotron.
    Datatrove,
    /// OLMo.
    Npy,
    /// transformers, of a model.
    Hf,
    /// llama.cpp, of a model.
    Gguf,
}

/// `--split`.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Split {
    /// Training sequences.
    Train,
    /// Held-out sequences.
    Validation,
}

/// `--by`.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Unit {
    /// A document, its pieces joined, in the order of ids.
    Documents,
    /// A training sequence as it was packed, without padding.
    Rows,
}

/// `--dtype`.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Dtype {
    /// 32 bits, as they were trained.
    F32,
    /// 16 bits with the range of 32.
    Bf16,
    /// 16 bits.
    F16,
    /// Bytes with a scale for each 32 (gguf).
    Q8,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let of_model = matches!(args.to, Format::Hf | Format::Gguf);
    let unfit = [
        ("--split", of_model && args.split.is_some()),
        ("--by", of_model && args.by.is_some()),
        ("--dtype", !of_model && args.dtype.is_some()),
        ("--dataset", !of_model && args.dataset.is_some()),
        ("--parity", !of_model && args.parity.is_some()),
    ];
    if let Some((flag, _)) = unfit.into_iter().find(|(_, unfit)| *unfit) {
        let (this, other) = if of_model { ("model", "dataset") } else { ("dataset", "model") };
        return wrong::misused(format!("`{flag}` is for a {other}; this format is of a {this}"));
    }
    if of_model { model::run(args) } else { dataset::run(args) }
}
