//! `gristmill train DATASET|RECIPE`.

use super::curve::Watched;
use super::progress::Progress;
use super::wrong::{self, Trouble};
use super::{build::workdir, environment};
use model::Config;
use model::device::{Place, Precision};
use model::train::TrainReport;
use pipeline::engine::Workdir;
use pipeline::inspect::layout::{one_line, thousands};
use pipeline::recipe::Recipe;
use schemas::{FilePath, Settings, Value, manifest};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Folder of the model in that of a build.
pub(super) const MODEL: &str = "model";

/// A greater perplexity is told by its power of ten.
const PERPLEXITY_PLAIN_MAX: f64 = 1e6;

#[derive(clap::Args)]
#[command(
    after_help = "Example: gristmill train gristmill-demo/dataset --out model --set steps=200 --set width=256"
)]
pub(crate) struct Args {
    /// A dataset folder, the working folder of a build, or a recipe whose dataset is built.
    dataset: PathBuf,
    /// Folder of the model (default: `model` beside the dataset).
    #[arg(long)]
    out: Option<PathBuf>,
    /// A setting, `key=value`, before those of the recipe.
    #[arg(long = "set")]
    settings: Vec<String>,
    /// Measure memory and speed of micro-batches first, and take the fastest that fits; a step keeps its sequences. The numbers are those of the
    /// training from then on, also where it goes on later.
    #[arg(long)]
    find_batch: bool,
    /// Where to compute; `cuda` is the first NVIDIA GPU.
    #[arg(long, value_enum, default_value_t)]
    device: Device,
    /// How numbers lie in the memory of a GPU: products of bf16 on tensor cores, or f32 throughout.
    #[arg(long, value_enum, default_value_t)]
    precision: Bits,
    /// How progress is told.
    #[arg(long, value_enum, default_value_t)]
    progress: Progress,
    /// The report as JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// `--device`.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Device {
    /// All cores.
    #[default]
    Cpu,
    /// The first GPU.
    Cuda,
}

/// `--precision`.
#[derive(Clone, Copy, Default, clap::ValueEnum)]
enum Bits {
    /// 16, of which 8 are those of a number's size.
    #[default]
    Bf16,
    /// 32.
    F32,
}

impl Device {
    /// The place of a training.
    const fn place(self, precision: Bits) -> Place {
        match (self, precision) {
            (Self::Cpu, _) => Place::Cpu,
            (Self::Cuda, Bits::Bf16) => Place::Cuda(Precision::Bf16),
            (Self::Cuda, Bits::F32) => Place::Cuda(Precision::F32),
        }
    }
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let (dataset, mut pairs) = match settings(&args.dataset, &args.settings) {
        Ok(found) => found,
        Err(error) => return wrong::misused(error),
    };
    if args.dataset.is_dir() && args.settings.is_empty() && matches!(args.progress, Progress::Auto) {
        eprintln!(
            "training with the defaults, since a folder keeps no `[train]`: `gristmill train RECIPE` reads that of the recipe, `--set key=value` changes a key"
        );
    }
    let beside = dataset.parent().map_or_else(|| PathBuf::from(MODEL), |folder| folder.join(MODEL));
    let out = args.out.clone().unwrap_or(beside);
    if let Err(trouble) = assert_for_model(&out) {
        return trouble.tell();
    }
    if args.find_batch {
        if !matches!(args.device, Device::Cpu) {
            return wrong::misused(
                "`--find-batch` measures main memory; leave `--device` out, or set `batch_sequences`",
            );
        }
        pairs = match super::batch::settled(&dataset, &out, pairs) {
            Ok(pairs) => pairs,
            Err(code) => return code,
        };
    }
    let place = args.device.place(args.precision);
    with_settings(&dataset, &out, &Settings::new(pairs), place, args.progress, args.json)
}

/// The dataset that a path means, and the settings of its recipe with those of `--set` in front.
///
/// # Errors
/// No dataset is there, or a setting is none, in words.
pub(super) fn settings(dataset: &Path, set: &[String]) -> Result<(PathBuf, Pairs), String> {
    let (dataset, mut pairs) = find(dataset)?;
    for text in set {
        let (key, value) = super::stage::setting(text)?;
        pairs.retain(|(known, _)| *known != key);
        pairs.push((key, value));
    }
    Ok((dataset, pairs))
}

type Pairs = Vec<(String, Value)>;

/// The dataset that a path means, and the settings that come with it.
fn find(path: &Path) -> Result<(PathBuf, Pairs), String> {
    if path.is_dir() {
        return Ok((dataset_folder(path)?, Vec::new()));
    }
    let recipe = Recipe::read(path, &environment).map_err(|m| m.to_string())?;
    let block = recipe.train.as_ref();
    let settings = block.map(|block| block.keys.iter().map(|e| (e.name.clone(), e.value.clone())));
    let pairs = settings.into_iter().flatten().map(|(key, value)| located(key, value, recipe.base()));
    let pairs = pairs.collect();
    let dataset = Workdir(workdir(None, &recipe.name)).dataset();
    if dataset.join(manifest::FILE).is_file() {
        return Ok((dataset, pairs));
    }
    Err(format!("{} is not built; run `gristmill build {}` first", dataset.display(), path.display()))
}

/// The folder of a dataset: the given one, or `dataset` in the working folder of a build.
///
/// # Errors
/// No committed dataset is there, in words.
pub(super) fn dataset_folder(path: &Path) -> Result<PathBuf, String> {
    let inner = Workdir(path.to_owned()).dataset();
    let folder = [path.to_owned(), inner].into_iter().find(|f| f.join(manifest::FILE).is_file());
    folder.ok_or_else(|| format!("{} holds no committed dataset; build one first", path.display()))
}

/// A key with its value; a path of a recipe starts at the folder of the recipe.
fn located(key: String, value: Value, base: &Path) -> (String, Value) {
    let is_path = Config::KEYS.iter().any(|known| known.name == key && known.kind == FilePath::KIND);
    match value.as_str().filter(|path| is_path && !path.is_empty()) {
        Some(path) => (key, Value::from(base.join(path).display().to_string())),
        None => (key, value),
    }
}

/// The folder of a model: the given one, or `model` in the working folder of a build.
///
/// # Errors
/// No trained model is there, in words.
pub(super) fn model_folder(path: &Path) -> Result<PathBuf, String> {
    let folders = [path.to_owned(), path.join(MODEL)];
    let trained = |folder: &&PathBuf| folder.join(manifest::TOKENIZER).is_file() && !is_dataset(folder);
    if let Some(folder) = folders.iter().find(trained) {
        return Ok(folder.clone());
    }
    let begun = folders.iter().any(|folder| folder.join("checkpoints").is_dir());
    let why = if begun {
        "the training has not ended; `gristmill train` goes on with it"
    } else {
        "no trained model is there; `gristmill train` makes one"
    };
    Err(format!("{}: {why}", path.display()))
}

/// Names in a folder that a training or an alignment began to write.
const BEGUN: [&str; 6] =
    ["checkpoints", "metrics.jsonl", "training.json", "config.json", "chats", "refused.jsonl"];

/// Refuses to write a model among files of something else. Names that begin with a dot are nothing of anybody's.
///
/// # Errors
/// Wrong use: the folder holds something, and no model that was begun.
pub(super) fn assert_for_model(out: &Path) -> Result<(), Trouble> {
    if out.is_file() {
        return Err(Trouble::Use(format!("{}: is a file; name a folder for the model", out.display())));
    }
    let Ok(entries) = std::fs::read_dir(out) else { return Ok(()) };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    if names.is_empty() || (!is_dataset(out) && names.iter().any(|name| BEGUN.contains(&name.as_str()))) {
        return Ok(());
    }
    let first = names.iter().min().map_or("", String::as_str);
    Err(Trouble::Use(format!(
        "{}: holds other things (`{first}`) and no model, whose files would lie among them; name a folder of its own, as `--out {}`",
        out.display(),
        out.join(MODEL).display()
    )))
}

fn is_dataset(folder: &Path) -> bool {
    folder.join(manifest::FILE).is_file()
}

/// Does a training that is watched; gives what it came to, and the loss curve.
pub(super) fn watched<T>(
    progress: Progress,
    out: &Path,
    work: impl FnOnce(&Watched) -> T,
) -> (T, Option<String>) {
    let watched = Watched::start(progress, out);
    let result = work(&watched);
    (result, watched.end())
}

/// Trains and prints what came out.
pub(super) fn with_settings(
    dataset: &Path,
    out: &Path,
    settings: &Settings,
    place: Place,
    progress: Progress,
    json: bool,
) -> ExitCode {
    let mut config = match model::presets::read(settings) {
        Ok(config) => config,
        Err(errors) => {
            errors.iter().for_each(|e| eprintln!("error: {e}"));
            return ExitCode::from(2);
        }
    };
    if !config.init_from.is_empty() {
        config.init_from = FilePath(settings.resolve(&config.init_from));
    }
    if let Err(trouble) = assert_for_model(out) {
        return trouble.tell();
    }
    let (result, curve) =
        watched(progress, out, |watched| model::train::run_on(place, dataset, out, &config, watched));
    match result {
        Ok(report) if json => match serde_json::to_string(&report) {
            Ok(json) => {
                println!("{json}");
                ExitCode::SUCCESS
            }
            Err(error) => wrong::failed(error),
        },
        Ok(report) => {
            if let Some(curve) = curve.filter(|_| std::io::stdout().is_terminal()) {
                println!("{curve}\n");
            }
            show(&report, out);
            ExitCode::SUCCESS
        }
        Err(error) => wrong::stopped(error),
    }
}

/// A perplexity in so many digits behind the point; a large one by its power of ten.
pub(super) fn shown(perplexity: f64, digits: usize) -> String {
    match perplexity {
        large if large > PERPLEXITY_PLAIN_MAX => format!("{large:.2e}"),
        perplexity => format!("{perplexity:.digits$}"),
    }
}

/// What a training came to.
pub(super) fn show(report: &TrainReport, out: &Path) {
    let TrainReport { parameters, steps, tokens, loss, .. } = report;
    println!(
        "model {}: {} parameters, {steps} steps, {} tokens",
        out.display(),
        thousands(*parameters),
        thousands(*tokens)
    );
    print!("training loss {loss:.3}");
    if let Some(held) = report.validation_loss {
        print!(", held-out loss {held:.3}");
    }
    match (report.validation_loss, report.perplexity, report.bits_per_byte) {
        (_, Some(perplexity), Some(bits)) => {
            print!(", perplexity {}, {bits:.3} bits per byte", shown(perplexity, 1));
        }
        (Some(_), ..) => print!(" per predicted token"),
        _ => {}
    }
    println!();
    if report.sources.len() > 1 {
        let width = report.sources.iter().map(|found| found.source.chars().count()).max().unwrap_or(0);
        for found in &report.sources {
            let (name, bytes) = (one_line(&found.source), thousands(found.bytes));
            match found.bits_per_byte {
                Some(bits) => println!("  {name:width$}  {bits:.3} bits per byte over {bytes} bytes"),
                None => println!("  {name:width$}  loss {:.3} over {bytes} bytes", found.loss),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_perplexity_is_told_by_its_power_of_ten() {
        let told =
            [12.345, 1e6, 1_234_567.0, 40_f64.exp(), f64::INFINITY].map(|perplexity| shown(perplexity, 1));
        assert_eq!(told, ["12.3", "1000000.0", "1.23e6", "2.35e17", "inf"]);
    }
}
