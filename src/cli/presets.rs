//! `gristmill presets DATASET --out DIR`: published models at a small size, each trained and held against its untrained self and a bigram model.

use super::folders;
use super::output::{emit, emit_json};
use super::progress::Progress;
use super::stage::setting;
use super::wrong::{self, Trouble};
use model::Config;
use model::presets::{Comparison, Outcome, Preset, read};
use pipeline::inspect::layout::thousands;
use schemas::Settings;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// File name of the table in the output folder.
const TABLE: &str = "presets.json";

#[derive(clap::Args)]
#[command(
    after_help = "Unless `--set` says otherwise, sizes and steps are small: some minutes each on two cores.\n\
                  Example: gristmill presets gristmill-own-text/dataset --out presets --only gpt3,bert --set steps=300 --set layers=2"
)]
pub(crate) struct Args {
    /// A dataset folder, or the working folder of a build.
    dataset: PathBuf,
    /// Folder of the models, each in a folder of its name, and of the table; what is trained in it is not trained again.
    #[arg(long)]
    out: PathBuf,
    /// Only these presets.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// A setting of all of them, `key=value`, before those of the preset.
    #[arg(long = "set")]
    settings: Vec<String>,
    /// How progress is told.
    #[arg(long, value_enum, default_value_t)]
    progress: Progress,
    /// The table as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let plan = match plan(args) {
        Ok(plan) => plan,
        Err(error) => return wrong::misused(error),
    };
    let dataset = match folders::dataset(&args.dataset) {
        Ok(folder) => folder,
        Err(trouble) => return trouble.tell(),
    };
    let outcomes = match compare(args, &dataset, &plan) {
        Ok(outcomes) => outcomes,
        Err(trouble) => return trouble.tell(),
    };
    let code =
        if outcomes.iter().all(|outcome| outcome.passed) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if args.json { emit_json(&outcomes, code) } else { emit(&table(&outcomes), code) }
}

/// The presets asked for, with all settings of each.
fn plan(args: &Args) -> Result<Vec<(Preset, Config)>, String> {
    let known = || Preset::ALL.map(Preset::name).join(", ");
    let named = |name: &String| {
        Preset::named(name).ok_or_else(|| format!("no preset is called `{name}`; there are {}", known()))
    };
    let asked: Vec<Preset> = match args.only.is_empty() {
        true => Preset::ALL.to_vec(),
        false => args.only.iter().map(named).collect::<Result<_, _>>()?,
    };
    let mut given = Vec::new();
    for text in &args.settings {
        given.push(setting(text)?);
    }
    let with = |preset: Preset| {
        let told = |errors: Vec<schemas::KeyError>| {
            errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        Ok((preset, read(&Settings::new(preset.compared(&given))).map_err(told)?))
    };
    asked.into_iter().map(with).collect()
}

/// Trains and measures one after the other, and writes the table after each.
fn compare(args: &Args, dataset: &Path, plan: &[(Preset, Config)]) -> Result<Vec<Outcome>, Trouble> {
    let comparison = Comparison::open(dataset)?;
    let mut outcomes = Vec::new();
    for (preset, config) in plan {
        let listener = args.progress.start();
        let outcome = comparison.run(*preset, config, &args.out.join(preset.name()), &listener);
        listener.end();
        outcomes
            .push(outcome.map_err(|error| Trouble::from(error).of(&format!("preset {}", preset.name())))?);
        let path = args.out.join(TABLE);
        let text = serde_json::to_string_pretty(&outcomes)?;
        model::replace(&path, (text + "\n").as_bytes())?;
    }
    Ok(outcomes)
}

fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "{:<10} {:<12} {:>11} {:>7} {:>12} {:>10} {:>8} {:>9} {:>7} {:>10} {:>8}  {}\n",
        "preset",
        "objective",
        "parameters",
        "steps",
        "tokens",
        "untrained",
        "bigram",
        "held out",
        "pseudo",
        "bits/byte",
        "seconds",
        "beats both"
    );
    let shown = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.3}"));
    for row in outcomes {
        text += &format!(
            "{:<10} {:<12} {:>11} {:>7} {:>12} {:>10.3} {:>8.3} {:>9.3} {:>7} {:>10} {:>8.1}  {}\n",
            row.preset,
            row.objective,
            thousands(row.parameters),
            thousands(row.steps),
            thousands(row.tokens),
            row.untrained_loss,
            row.bigram_loss,
            row.loss,
            shown(row.pseudo_loss),
            shown(row.bits_per_byte),
            row.seconds,
            if row.passed { "yes" } else { "no" }
        );
    }
    text
}
