//! `gristmill mup DATASET`: whether learning rates carry over widths, as tables and a plot.

mod plot;

use super::folders;
use super::output::emit_json;
use super::wrong::{self, Trouble};
use model::Config;
use model::widths::{Coordinate, RateLoss, coordinates, rates};
use schemas::Settings;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// File of the coordinate check, and of the losses by rate.
const COORDINATES: &str = "coordinates";
const RATES: &str = "rates";

#[derive(clap::Args)]
#[command(
    after_help = "Trains small models of each width by the standard parametrisation and by muP, and shows how far activations move in \
                  the first steps (flat lines: the parametrisation carries over). With `--rates` it also trains each width at each rate \
                  for the `steps` of the settings and shows the losses: under muP the best rate of a narrow model is that of a wide one. \
                  Settings hold at `base_width`; wider models have as many more heads.\n\
                  Example: gristmill mup gristmill-demo/dataset --widths 96,192,384 --out mup --set layers=2"
)]
pub(crate) struct Args {
    /// A dataset folder, or the working folder of a build.
    dataset: PathBuf,
    /// Widths to compare.
    #[arg(long, value_delimiter = ',', default_value = "96,192,384,768")]
    widths: Vec<u64>,
    /// Steps of the coordinate check.
    #[arg(long, default_value_t = 5)]
    steps: u64,
    /// Learning rates to train each width at.
    #[arg(long, value_delimiter = ',')]
    rates: Vec<f64>,
    /// Folder for `coordinates.json`, `coordinates.svg`, and `rates.json`, `rates.svg`.
    #[arg(long)]
    out: PathBuf,
    /// A setting of `[train]`, `key=value`.
    #[arg(long = "set")]
    settings: Vec<String>,
    /// Both tables as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let dataset = match folders::dataset(&args.dataset) {
        Ok(folder) => folder,
        Err(trouble) => return trouble.tell(),
    };
    let pairs: Result<Vec<_>, _> = args.settings.iter().map(|text| super::stage::setting(text)).collect();
    let config = match pairs.map(|pairs| model::presets::read(&Settings::new(pairs))) {
        Ok(Ok(config)) => config,
        Ok(Err(errors)) => {
            errors.iter().for_each(|e| eprintln!("error: {e}"));
            return ExitCode::from(2);
        }
        Err(error) => return wrong::misused(error),
    };
    match work(args, &dataset, &config) {
        Ok((coordinates, rates)) if args.json => {
            let both = serde_json::json!({ "coordinates": coordinates, "rates": rates });
            emit_json(&both, ExitCode::SUCCESS)
        }
        Ok((coordinates, rates)) => {
            println!("{}", changes(&coordinates, &args.widths, args.steps));
            if !rates.is_empty() {
                println!("{}", losses(&rates, &args.widths, &args.rates));
            }
            println!("plots: {}", args.out.display());
            ExitCode::SUCCESS
        }
        Err(trouble) => trouble.tell(),
    }
}

fn work(args: &Args, dataset: &Path, config: &Config) -> Result<(Vec<Coordinate>, Vec<RateLoss>), Trouble> {
    folders::assert_for(&args.out, ("mup", "comparison of widths"), &["coordinates.json"])?;
    std::fs::create_dir_all(&args.out)?;
    let write = |name: &str, json: String, svg: String| {
        model::replace(&args.out.join(format!("{name}.json")), (json + "\n").as_bytes())?;
        model::replace(&args.out.join(format!("{name}.svg")), svg.as_bytes())
    };
    let found = coordinates(dataset, config, &args.widths, args.steps)?;
    write(COORDINATES, serde_json::to_string_pretty(&found)?, plot::coordinates(&found))?;
    if args.rates.is_empty() {
        return Ok((found, Vec::new()));
    }
    let told = |one: &RateLoss| {
        let RateLoss { parametrization, width, rate, loss } = one;
        let loss = loss.map_or_else(|| "diverged".to_owned(), |loss| format!("{loss:.4}"));
        eprintln!("{parametrization:<8} width {width:>5}, rate {rate:<9}: {loss}");
    };
    let by_rate = rates(dataset, config, (&args.widths, &args.rates), told)?;
    write(RATES, serde_json::to_string_pretty(&by_rate)?, plot::rates(&by_rate))?;
    Ok((found, by_rate))
}

/// How far each part moved in all steps, a line a part.
fn changes(found: &[Coordinate], widths: &[u64], steps: u64) -> String {
    let mut text = format!("how far activations moved in {steps} steps (mean absolute change), by width\n");
    text += &format!("{:<9} {:<10}", "", "");
    widths.iter().for_each(|width| text += &format!(" {width:>9}"));
    let last: Vec<&Coordinate> = found.iter().filter(|c| c.step == steps).collect();
    let mut seen: Vec<(&str, &str)> = last.iter().map(|c| (c.parametrization, c.part)).collect();
    seen.sort_by_key(|(parametrization, _)| *parametrization == "mup");
    seen.dedup();
    let mut shown = Vec::new();
    for key in seen {
        if shown.contains(&key) {
            continue;
        }
        shown.push(key);
        text += &format!("\n{:<9} {:<10}", key.0, key.1);
        for one in last.iter().filter(|c| (c.parametrization, c.part) == key) {
            text += &format!(" {:>9.4}", one.change);
        }
    }
    text
}

/// Loss by width and rate; `*` marks the best rate of a width.
fn losses(found: &[RateLoss], widths: &[u64], rates: &[f64]) -> String {
    let mut text =
        format!("\nloss by learning rate, the best of each width marked\n{:<9} {:>6}", "", "width");
    rates.iter().for_each(|rate| text += &format!(" {rate:>9}"));
    for parametrization in ["standard", "mup"] {
        for &width in widths {
            let of = |one: &&RateLoss| one.parametrization == parametrization && one.width == width;
            let best = found.iter().filter(of).filter_map(|one| one.loss).fold(f64::INFINITY, f64::min);
            text += &format!("\n{parametrization:<9} {width:>6}");
            for one in found.iter().filter(of) {
                let mark = if one.loss == Some(best) { "*" } else { " " };
                match one.loss {
                    Some(loss) => text += &format!(" {loss:>8.4}{mark}"),
                    None => text += &format!(" {:>8} ", "diverged"),
                }
            }
        }
    }
    text + "\n"
}
