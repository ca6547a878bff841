//! `gristmill trace MODEL --steps A..B`: the documents that a training read at given steps.

use super::output::{emit, emit_json};
use super::train::MODEL;
use super::wrong;
use model::trace::{Sequence, trace};
use pipeline::inspect::layout::one_line;
use schemas::manifest;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(
    after_help = "A loss that jumps has a step, and a step has documents; `gristmill explain DATASET ID` tells the life of each.\n\
                  Example: gristmill trace gristmill-demo --steps 40..42"
)]
pub(crate) struct Args {
    /// Folder of a training, ended or not, or the working folder of a build.
    model: PathBuf,
    /// First and last step, counted from 1 as in `metrics.jsonl`: `40..42`, or one alone.
    #[arg(long)]
    steps: String,
    /// Dataset that it reads (default: `dataset` beside the model).
    #[arg(long)]
    dataset: Option<PathBuf>,
    /// Sequences and pieces as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let Some(steps) = range(&args.steps) else {
        return wrong::misused(format!("`{}` are no steps; give `40..42` or `40`", args.steps));
    };
    let inner = args.model.join(MODEL);
    let folder = if inner.is_dir() { inner } else { args.model.clone() };
    let whole = std::path::absolute(&folder).unwrap_or_else(|_| folder.clone());
    let beside = || whole.parent().unwrap_or(&whole).join("dataset");
    let dataset = args.dataset.clone().unwrap_or_else(beside);
    // The working folder of a build stands for the dataset in it, as elsewhere.
    let inner = dataset.join("dataset");
    let is_dataset = |folder: &Path| folder.join(manifest::FILE).is_file();
    let dataset = if !is_dataset(&dataset) && is_dataset(&inner) { inner } else { dataset };
    if !is_dataset(&dataset) {
        return wrong::misused(format!(
            "{} holds no committed dataset; name that of the training with `--dataset`",
            dataset.display()
        ));
    }
    match trace(&folder, &dataset, steps) {
        Ok(sequences) if args.json => emit_json(&sequences, ExitCode::SUCCESS),
        Ok(sequences) => emit(&text(&sequences), ExitCode::SUCCESS),
        Err(error) => wrong::stopped(error),
    }
}

fn range(text: &str) -> Option<RangeInclusive<u64>> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

fn text(sequences: &[Sequence]) -> String {
    let mut out = String::new();
    for sequence in sequences {
        let Sequence { step, place, epoch, shard, row, pieces } = sequence;
        out += &format!("step {step}, sequence {place}, epoch {epoch}: {} row {row}\n", one_line(shard));
        for piece in pieces {
            let end = piece.offset + piece.tokens;
            let url = piece.url.as_deref().map(|url| format!("  {}", one_line(url))).unwrap_or_default();
            out += &format!("  {}  tokens {}..{end}{url}\n", one_line(&piece.document), piece.offset);
        }
    }
    out
}
