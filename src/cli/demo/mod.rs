//! `gristmill demo`: the main job on an example, from a web site on loopback to a trained model.
//!
//! The site is the documentation that the Rust toolchain brings, thousands of real pages with a real robots.txt; where it
//! is not installed, a small site made of our own manual.

mod manual;
mod sample;
mod site;

use super::build::{Works, summary};
use super::curve::Watched;
use super::folders::MODEL;
use super::output::emit_json;
use super::progress::Progress;
use super::{environment, funnel, train, wrong};
use model::generate::{Sampler, Sampling};
use model::train::TrainReport;
use model::{Config, TrainError};
use pipeline::dag::{self, Kinds};
use pipeline::engine::{Report, Workdir};
use pipeline::recipe::Recipe;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

const RECIPE: &str = include_str!("demo.toml");
/// Beginnings of texts that the trained model continues.
const PROMPTS: [&str; 2] = ["The ", "A struct is "];

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill demo --pages 500 --train-seconds 20")]
pub(crate) struct Args {
    /// Folder of the demo.
    #[arg(long, default_value = "gristmill-demo")]
    workdir: PathBuf,
    /// Most pages to crawl.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u64).range(1..))]
    pages: u64,
    /// Seconds to train.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    train_seconds: u64,
    /// Threads; 0 for one a core.
    #[arg(long, value_parser = crate::cli::threads, default_value_t = 0)]
    threads: usize,
    /// How progress is told.
    #[arg(long, value_enum, default_value_t)]
    progress: Progress,
    /// What came out as JSON on standard output, in place of the tour.
    #[arg(long)]
    json: bool,
}

type Failure = Box<dyn std::error::Error>;

pub(crate) fn run(args: &Args, kinds: &Kinds) -> ExitCode {
    match work(args, kinds) {
        Ok(told) if args.json => emit_json(&told, ExitCode::SUCCESS),
        Ok(told) => {
            next_steps(&told, &args.workdir);
            println!("\nAll of it took {:.0} seconds.", told.seconds);
            ExitCode::SUCCESS
        }
        Err(error) => wrong::failed(error),
    }
}

/// What the demo came to.
#[derive(Serialize)]
struct Told {
    /// That of a kept document, to ask for.
    #[serde(skip)]
    address: Option<String>,
    recipe: String,
    dataset: String,
    model: String,
    build: Report,
    training: TrainReport,
    /// Each prompt with what the model made of it.
    generated: Vec<String>,
    seconds: f64,
}

fn work(args: &Args, kinds: &Kinds) -> Result<Told, Failure> {
    let start = Instant::now();
    let site = site::Site::find(kinds.all);
    let what = site.what();
    let server = site::serve(site)?;
    let recipe = recipe(args, &server)?;
    if !args.json {
        println!("Serving {what} on loopback.\nRecipe: {}", recipe.file.display());
    }
    let dag = dag::compile(&recipe, kinds)?;
    let works = Works {
        workdir: Some(args.workdir.clone()),
        threads: args.threads,
        memory_mib: 512,
        progress: args.progress,
    };
    let options = works.options(&dag.name, recipe.base());
    let report = works.run(&dag, &options)?;
    drop(server);
    let dataset = Workdir(options.workdir.clone()).dataset();
    let mut address = None;
    if !args.json {
        println!();
        summary(&report, &options);
        funnel::warn(&report, Some(&dataset), args.progress);
        address = sample::show(&dataset)?;
    }
    let settings = dag.train.as_ref().ok_or("the recipe of the demo trains")?;
    let config =
        model::presets::read(settings).map_err(|e| e.iter().map(ToString::to_string).collect::<String>())?;
    let (training, generated) = teach(args, &dataset, &config)?;
    let path = |path: &Path| path.display().to_string();
    Ok(Told {
        address,
        recipe: path(&recipe.file),
        dataset: path(&dataset),
        model: path(&args.workdir.join(MODEL)),
        build: report,
        training,
        generated,
        seconds: start.elapsed().as_secs_f64(),
    })
}

/// Writes the recipe into the folder of the demo, so that a person can read, change and build it.
fn recipe(args: &Args, server: &site::Server) -> Result<Recipe, Failure> {
    let wrong = |error: std::io::Error| format!("{}: {error}", args.workdir.display());
    std::fs::create_dir_all(&args.workdir).map_err(wrong)?;
    let seeds: Vec<String> =
        server.seeds().iter().map(|path| format!("\"{}{path}\"", server.address())).collect();
    let text = RECIPE
        .replace("@SEEDS@", &seeds.join(", "))
        .replace("@PAGES@", &args.pages.to_string())
        .replace("@SECONDS@", &args.train_seconds.to_string());
    let path = args.workdir.join("recipe.toml");
    std::fs::write(&path, &text).map_err(wrong)?;
    Ok(Recipe::parse(&path, text, &environment)?)
}

/// Trains, plots the loss, lets the model speak; gives the report and what the model said.
fn teach(args: &Args, dataset: &Path, config: &Config) -> Result<(TrainReport, Vec<String>), Failure> {
    let out = args.workdir.join(MODEL);
    if !args.json {
        println!("\nTraining for about {} seconds …", args.train_seconds);
    }
    let (result, curve) =
        train::watched(args.progress, &out, |watched| begin(dataset, &out, config, watched));
    let report = result?;
    let sampler = Sampler::open(&out)?;
    let sampling = Sampling { tokens_max: 60, ..Sampling::default() };
    let generated = PROMPTS.map(|prompt| Ok(format!("{prompt}│{}", sampler.generate(prompt, &sampling)?)));
    let generated: Vec<String> = generated.into_iter().collect::<Result<_, Failure>>()?;
    if !args.json {
        if let Some(curve) = curve {
            println!("\n{curve}\n");
        }
        train::show(&report, &out);
        println!("\nThe model continues:");
        generated.iter().for_each(|text| println!("  {}", text.replace('\n', "\n  ")));
    }
    Ok((report, generated))
}

/// Trains; the model of a demo with other arguments is kept under another name.
fn begin(dataset: &Path, out: &Path, config: &Config, watched: &Watched) -> Result<TrainReport, TrainError> {
    match model::train::run(dataset, out, config, watched) {
        Err(TrainError::OtherRun { .. }) => {
            let aside = |n: u32| out.with_file_name(format!("{}-{n}", MODEL));
            let aside = (1..).map(aside).find(|path| !path.exists()).expect("some number is free");
            std::fs::rename(out, &aside).map_err(|error| TrainError::Io { path: aside.clone(), error })?;
            watched.note(&format!("an earlier demo was another one; its model lies in {}", aside.display()));
            model::train::run(dataset, out, config, watched)
        }
        result => result,
    }
}

fn next_steps(told: &Told, workdir: &Path) {
    let (dataset, work) = (&told.dataset, workdir.display());
    let address = told.address.as_deref().unwrap_or("URL");
    println!("\nNext:");
    println!("  gristmill inspect {dataset}");
    println!(
        "  gristmill inspect {dataset} --sql \"select stage, count(*) as rows from dropped group by stage\""
    );
    println!("  gristmill explain {dataset} {address}");
    println!("  gristmill verify {dataset}");
    println!("  gristmill plan {work}/recipe.toml --workdir {work}");
    println!("  gristmill generate {work}/model --prompt \"Ownership is\"");
    println!("  gristmill new my-data");
    println!("(`cargo run --release -- …` stands for `gristmill …` where it is not installed)");
}
