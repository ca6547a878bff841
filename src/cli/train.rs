//! `gristmill train DATASET|RECIPE`.

use super::curve::Watched;
use super::folders::{self, Given, MODEL, Pairs};
use super::output::emit_json_line;
use super::progress::Progress;
use super::wrong::{self, Trouble};
use model::device::{Place, Precision};
use model::train::{REPORT, TrainReport};
use pipeline::dag::Kinds;
use pipeline::inspect::layout::{one_line, thousands};
use schemas::{FilePath, Settings};
use signal_hook::consts::SIGINT;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

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
    #[command(flatten)]
    given: Given,
    /// Measure memory and speed of micro-batches first, and take the fastest that fits; a step keeps its sequences. The numbers are those of the
    /// training from then on, also where it goes on later.
    #[arg(long)]
    find_batch: bool,
    #[command(flatten)]
    flags: Flags,
    /// How progress is told.
    #[arg(long, value_enum, default_value_t)]
    progress: Progress,
    /// The report as JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// Flags of everything that trains.
#[derive(clap::Args)]
pub(crate) struct Flags {
    /// Takes away the training that is there, with its checkpoints, and begins at the first step.
    #[arg(long)]
    restart: bool,
    /// Where to compute; `cuda` is the first NVIDIA GPU.
    #[arg(long, value_enum, default_value_t)]
    device: Device,
    /// How numbers lie in the memory of a GPU: products of bf16 on tensor cores (the default), or f32 throughout.
    #[arg(long, value_enum)]
    precision: Option<Bits>,
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
#[derive(Clone, Copy, clap::ValueEnum)]
enum Bits {
    /// 16, of which 8 are those of a number's size.
    Bf16,
    /// 32.
    F32,
}

impl Flags {
    /// The place of a training.
    fn place(&self) -> Result<Place, Trouble> {
        Ok(match (self.device, self.precision) {
            (Device::Cpu, None) => Place::Cpu,
            (Device::Cpu, Some(_)) => {
                let message = "`--precision` is that of a GPU; give `--device cuda` too, or leave it out";
                return Err(Trouble::Use(message.to_owned()));
            }
            (Device::Cuda, None | Some(Bits::Bf16)) => Place::Cuda(Precision::Bf16),
            (Device::Cuda, Some(Bits::F32)) => Place::Cuda(Precision::F32),
        })
    }
}

pub(crate) fn run(args: &Args, kinds: &Kinds) -> ExitCode {
    match prepared(args, kinds) {
        Ok((dataset, out, pairs)) => {
            let job = Job {
                dataset: &dataset,
                out: &out,
                flags: &args.flags,
                progress: args.progress,
                json: args.json,
                elsewhere: "`--out` names another folder",
            };
            job.run(&Settings::new(pairs))
        }
        Err(code) => code,
    }
}

/// Dataset, folder of the model, and settings.
fn prepared(args: &Args, kinds: &Kinds) -> Result<(PathBuf, PathBuf, Pairs), ExitCode> {
    let found = folders::found(&args.dataset, &args.given, kinds).map_err(Trouble::tell)?;
    if args.dataset.is_dir() && matches!(args.progress, Progress::Auto) {
        if !found.recipe.is_empty() {
            let of = args
                .given
                .with
                .as_ref()
                .map_or_else(|| "the recipe".to_owned(), |file| file.display().to_string());
            eprintln!("training with `[train]` of {of}; `--set key=value` changes a key");
        } else if found.set.is_empty() && args.given.with.is_none() {
            eprintln!(
                "training with the defaults: no build has left a `[train]` beside this dataset; `--set key=value` changes a key"
            );
        }
    }
    let (dataset, mut pairs) = found.settled();
    let beside = dataset.parent().map_or_else(|| PathBuf::from(MODEL), |folder| folder.join(MODEL));
    let out = args.out.clone().unwrap_or(beside);
    folders::assert_for_model(&out).map_err(Trouble::tell)?;
    if args.find_batch {
        if !matches!(args.flags.device, Device::Cpu) {
            let message =
                "`--find-batch` measures main memory; leave `--device` out, or set `batch_sequences`";
            return Err(wrong::misused(message));
        }
        let begun = Some(out.as_path()).filter(|_| !args.flags.restart);
        pairs = super::batch::settled(&dataset, begun, pairs)?;
    }
    Ok((dataset, out, pairs))
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

/// A training that the command line asks for.
pub(super) struct Job<'a> {
    pub(super) dataset: &'a Path,
    pub(super) out: &'a Path,
    pub(super) flags: &'a Flags,
    pub(super) progress: Progress,
    pub(super) json: bool,
    /// The flag that leaves the training that is there alone, in words.
    pub(super) elsewhere: &'static str,
}

impl Job<'_> {
    /// Trains and prints what came out.
    pub(super) fn run(&self, settings: &Settings) -> ExitCode {
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
        let place = match folders::assert_for_model(self.out).and_then(|()| self.flags.place()) {
            Ok(place) => place,
            Err(trouble) => return trouble.tell(),
        };
        let stop = interrupts();
        let how = model::train::How { place, restart: self.flags.restart, stop: Some(stop) };
        let (result, curve) = watched(self.progress, self.out, |watched| {
            model::train::run_with(how, self.dataset, self.out, &config, watched)
        });
        match result {
            Ok(report) if self.json => emit_json_line(&report).err().unwrap_or(ExitCode::SUCCESS),
            Ok(report) => {
                if let Some(curve) = curve.filter(|_| std::io::stdout().is_terminal()) {
                    println!("{curve}\n");
                }
                show(&report, self.out);
                ExitCode::SUCCESS
            }
            Err(error) => {
                // One that has ended can be trained longer, but not in its place.
                let further = match self.out.join(REPORT).is_file() {
                    true => {
                        format!(", where `init_from = \"{}\"` trains its model further", self.out.display())
                    }
                    false => String::new(),
                };
                wrong::of_another(error, &format!("{}{further}", self.elsewhere))
            }
        }
    }
}

/// Set by the first Ctrl-C (SIGINT), upon which a training writes a checkpoint and ends; the second one ends the program.
fn interrupts() -> &'static AtomicBool {
    static STOP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
    // Where a signal cannot be taken, it ends the program as ever, and a resume goes on from the last checkpoint.
    drop(signal_hook::flag::register_conditional_shutdown(
        SIGINT,
        wrong::INTERRUPTED.into(),
        Arc::clone(&STOP),
    ));
    drop(signal_hook::flag::register(SIGINT, Arc::clone(&STOP)));
    &STOP
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
