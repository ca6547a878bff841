//! `gristmill export DATASET --to FORMAT --out DIR`: token shards in the formats of other trainers.

use super::output::{emit, emit_json, fail};
use pipeline::export::{self, By, Exported, Request, To};
use pipeline::inspect::Dataset;
use pipeline::inspect::layout::{bytes, thousands};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(
    after_help = "megatron: SPLIT.bin and SPLIT.idx; datatrove: SPLIT.ds with .index, .loss where there is a mask, .metadata; npy: SPLIT.npy \
                  without a head and SPLIT.csv.gz of documents. Two bytes a token where the vocabulary fits, else four.\n\
                  Example: gristmill export gristmill-demo --to megatron --out megatron"
)]
pub(crate) struct Args {
    /// Dataset folder, or the working folder of a build.
    source: PathBuf,
    /// The format.
    #[arg(long, value_enum)]
    to: Format,
    /// Folder to make; it must not be there.
    #[arg(long)]
    out: PathBuf,
    /// One split alone.
    #[arg(long, value_enum)]
    split: Option<Split>,
    /// What an entry of the index is.
    #[arg(long, value_enum, default_value_t)]
    by: Unit,
    /// What was written, as JSON.
    #[arg(long)]
    json: bool,
}

/// `--to`.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Megatron-LM, NeMo.
    Megatron,
    /// datatrove, nanotron.
    Datatrove,
    /// OLMo.
    Npy,
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
#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Unit {
    /// A document, its pieces joined, in the order of ids.
    #[default]
    Documents,
    /// A training sequence as it was packed, without padding.
    Rows,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let request = Request {
        to: match args.to {
            Format::Megatron => To::Megatron,
            Format::Datatrove => To::Datatrove,
            Format::Npy => To::Npy,
        },
        by: match args.by {
            Unit::Documents => By::Documents,
            Unit::Rows => By::Rows,
        },
        split: args.split.map(|split| match split {
            Split::Train => "train".to_owned(),
            Split::Validation => "validation".to_owned(),
        }),
    };
    let exported = Dataset::open(&args.source).and_then(|d| export::export(&d, &args.out, &request));
    match exported {
        Ok(exported) if args.json => emit_json(&exported, ExitCode::SUCCESS),
        Ok(exported) => emit(&text(&exported, args), ExitCode::SUCCESS),
        Err(error) => fail(&error),
    }
}

fn text(exported: &Exported, args: &Args) -> String {
    let mut out = String::new();
    let unit = match exported.by {
        By::Documents => "documents",
        By::Rows => "rows",
    };
    for (name, split) in &exported.splits {
        out += &format!("{name}: {} {unit}, {} tokens\n", thousands(split.entries), thousands(split.tokens));
        if split.loss_mask_left_out {
            out += "  the loss mask is left out: the format has no place for it\n";
        }
    }
    let size = exported.files.values().map(|file| file.bytes).sum();
    let files = exported.files.len();
    out + &format!(
        "{}: {files} files, {}, {} bytes a token; {} says what they are\n",
        args.out.display(),
        bytes(size),
        exported.token_bytes,
        export::FILE
    )
}
