//! `gristmill train --find-batch`: the micro-batch that is fastest within the memory, told and written to the settings.

use super::wrong;
use model::Config;
use model::batch_size::{Found, Size, begun, depends_on_cut, find};
use pipeline::inspect::layout::thousands;
use schemas::{Settings, Value};
use std::path::Path;
use std::process::ExitCode;

const MIB: u64 = 1 << 20;

/// The settings with the micro-batch that was found: now, or when the training that goes on in `out` began.
///
/// # Errors
/// What went wrong was told; the exit code.
pub(super) fn settled(
    dataset: &Path,
    out: Option<&Path>,
    mut pairs: Vec<(String, Value)>,
) -> Result<Vec<(String, Value)>, ExitCode> {
    let found = match out.and_then(|out| Some((out, begun(out)?))) {
        Some((out, (batch_sequences, accumulate))) => {
            eprintln!("the training in {} began with", out.display());
            (batch_sequences, accumulate)
        }
        None => {
            let config = model::presets::read(&Settings::new(pairs.clone())).map_err(|errors| {
                errors.iter().for_each(|e| eprintln!("error: {e}"));
                ExitCode::from(2)
            })?;
            if let Some(parts) = depends_on_cut(&config) {
                eprintln!("another micro-batch is another training: {parts} go by the micro-batch");
            }
            let found = measured(dataset, &config).map_err(wrong::stopped)?;
            (found.batch_sequences, found.accumulate)
        }
    };
    eprintln!("batch_sequences = {}, accumulate = {}", found.0, found.1);
    for (key, value) in [("batch_sequences", found.0), ("accumulate", found.1)] {
        pairs.retain(|(known, _)| known != key);
        pairs.push((key.to_owned(), Value::from(i64::try_from(value).unwrap_or(i64::MAX))));
    }
    Ok(pairs)
}

fn measured(dataset: &Path, config: &Config) -> Result<Found, model::TrainError> {
    eprintln!("{:>9} {:>14} {:>14} {:>10}", "sequences", "estimated MiB", "measured MiB", "tokens/s");
    let told = |size: &Size| {
        let Size { sequences, estimated_bytes, needed_bytes, tokens_per_s } = size;
        let (estimated, needed) = (estimated_bytes / MIB, needed_bytes / MIB);
        eprintln!(
            "{sequences:>9} {:>14} {:>14} {:>10}",
            thousands(estimated),
            thousands(needed),
            thousands(*tokens_per_s as u64)
        );
    };
    let found = find(dataset, config, told)?;
    let (largest, limit) = (found.largest, thousands(found.limit_bytes / MIB));
    let why = match found.is_memory_bound {
        true => format!("largest that fits {limit} MiB: {largest}"),
        false => format!("{largest} fits {limit} MiB, and a larger one takes too long a step to be tried"),
    };
    eprintln!("{why}; fastest: {}", found.fastest);
    let step = config.batch_sequences * config.accumulate;
    if found.fastest > step {
        eprintln!(
            "a step has {step} sequences: `--set batch_sequences={}` makes larger ones, which is another training",
            found.fastest
        );
    }
    Ok(found)
}
