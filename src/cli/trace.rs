//! `gristmill trace MODEL --steps A..B`: the documents that a training read at given steps.

use super::folders;
use super::output::{emit, emit_json};
use super::wrong;
use model::TrainError;
use model::trace::{Sequence, assert_traced, trace};
use pipeline::forget;
use pipeline::inspect::Dataset;
use pipeline::inspect::layout::one_line;
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
    /// Dataset that it reads (default: where it lay at the training, or `dataset` beside the model).
    #[arg(long)]
    dataset: Option<PathBuf>,
    /// Sequences and pieces as JSON.
    #[arg(long)]
    json: bool,
}

/// Forgotten documents that are named.
const TOLD_MAX: usize = 10;

pub(crate) fn run(args: &Args) -> ExitCode {
    let Some(steps) = range(&args.steps) else {
        return wrong::misused(format!("`{}` are no steps; give `40..42` or `40`", args.steps));
    };
    let found = folders::training(&args.model).and_then(|folder| {
        assert_traced(&folder)?;
        let dataset = folders::dataset_of(&folder, args.dataset.as_deref());
        // The dataset that was built with the model is another one since it has forgotten.
        let told = || forgotten(folder.parent()?);
        let dataset = dataset.map_err(|trouble| match told() {
            Some(told) => trouble.of(&told),
            None => trouble,
        })?;
        Ok((dataset, folder))
    });
    let (dataset, folder) = match found {
        Ok(found) => found,
        Err(trouble) => return trouble.tell(),
    };
    match trace(&folder, &dataset, steps) {
        Ok(sequences) if args.json => emit_json(&sequences, ExitCode::SUCCESS),
        Ok(sequences) => emit(&text(&sequences), ExitCode::SUCCESS),
        Err(error) => match forgotten(&dataset).filter(|_| matches!(error, TrainError::File { .. })) {
            Some(told) => wrong::failed(format!("{error}; {told}")),
            None => wrong::stopped(error),
        },
    }
}

/// What a dataset has forgotten so far, which may be why a training read another one.
fn forgotten(dataset: &Path) -> Option<String> {
    let records = Dataset::open(dataset).and_then(|dataset| forget::records(&dataset)).ok()?;
    let ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).take(TOLD_MAX).collect();
    let more = if records.len() > TOLD_MAX { ", …" } else { "" };
    (!ids.is_empty()).then(|| {
        format!(
            "documents forgotten on request: {} ({}: {}{more}); what the training read of them cannot be told",
            records.len(),
            forget::FILE,
            ids.join(", ")
        )
    })
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
            let name = piece.known_as();
            let name = name.map(|name| format!("  {}", one_line(name))).unwrap_or_default();
            out += &format!("  {}  tokens {}..{end}{name}\n", one_line(&piece.document), piece.offset);
        }
    }
    out
}
