//! `gristmill eval MODEL`: held-out loss, the tasks of lm-evaluation-harness, BLEU, ratings by people, and what the model was trained on.

mod bleu;
mod contamination;
mod human;
mod tasks;
mod toxicity;

use super::output::{emit, emit_json};
use super::train::{dataset_folder, model_folder, shown};
use super::wrong;
use model::eval::perplexity::Evaluation;
use pipeline::inspect::layout::thousands;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill eval gristmill-demo/model --dataset gristmill-demo/dataset\n\
    Example: gristmill eval model --tasks arc_easy,mmlu_stem --rows rows --shots 5 --samples answers.jsonl\n\
    Example: gristmill eval model --tasks arc_easy --rows rows --contamination --dataset dataset\n\
    Example: gristmill eval --human model-a --human model-b --prompts prompts.txt --out sheet.csv\n\
    Example: gristmill eval --bleu outputs.txt --refs first.txt --refs second.txt --tok intl")]
pub(crate) struct Args {
    /// Folder of the model, or the working folder of a build.
    #[arg(required_unless_present_any = ["bleu", "list", "human", "ratings"])]
    model: Option<PathBuf>,
    /// Dataset whose held-out sequences are scored (default: `dataset` beside the model).
    #[arg(long)]
    dataset: Option<PathBuf>,
    #[command(flatten)]
    tasks: tasks::Args,
    #[command(flatten)]
    bleu: bleu::Args,
    #[command(flatten)]
    human: human::Args,
    #[command(flatten)]
    toxicity: toxicity::Args,
    /// Says what the model was trained on; with the dataset at hand its sources and licences too.
    #[arg(long)]
    statement: bool,
    /// Writes every row with what the model answered, as JSON lines.
    #[arg(long)]
    samples: Option<PathBuf>,
    /// Names every task, with the files that it reads.
    #[arg(long)]
    list: bool,
    /// The numbers as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    if args.list {
        return tasks::list(args.json);
    }
    if args.bleu.asked() {
        return bleu::run(&args.bleu, args.json);
    }
    if args.human.asked() {
        return human::run(&args.human, args.json);
    }
    let Some(path) = &args.model else { return wrong::misused("name the folder of a model") };
    let folder = match model_folder(path) {
        Ok(folder) => folder,
        Err(error) => return wrong::misused(error),
    };
    let dataset = match dataset(args, &folder) {
        Ok(dataset) => dataset,
        Err(error) => return wrong::misused(error),
    };
    if args.statement {
        return statement(args, &folder, &dataset);
    }
    if args.toxicity.asked() {
        return toxicity::run(&args.toxicity, &folder, args.samples.as_ref(), args.json);
    }
    if args.tasks.asked() {
        return tasks::run(&args.tasks, &folder, &dataset, args.samples.as_ref(), args.json);
    }
    held_out(&folder, &dataset, args.json)
}

/// The dataset that was named, or the one beside the model, which may be missing where none is read.
///
/// # Errors
/// None was named and none is there, in words.
fn dataset(args: &Args, model: &Path) -> Result<PathBuf, String> {
    if let Some(named) = &args.dataset {
        return dataset_folder(named);
    }
    let beside = model.parent().map_or_else(|| PathBuf::from("dataset"), |parent| parent.join("dataset"));
    let is_read = !args.statement && !args.toxicity.asked() && args.tasks.reads_dataset();
    match dataset_folder(&beside) {
        Err(error) if is_read => Err(format!("{error}, or name one with `--dataset`")),
        _ => Ok(beside),
    }
}

/// Says what the model was trained on. A dataset that was not named and is not there is not at hand.
fn statement(args: &Args, model: &Path, dataset: &Path) -> ExitCode {
    let at_hand = args.dataset.is_some() || dataset.join(schemas::manifest::FILE).is_file();
    match model::eval::statement::statement(model, at_hand.then_some(dataset)) {
        Ok(told) if args.json => emit_json(&told, ExitCode::SUCCESS),
        Ok(told) => emit(&told.to_string(), ExitCode::SUCCESS),
        Err(error) => wrong::stopped(error),
    }
}

fn held_out(model: &Path, dataset: &Path, json: bool) -> ExitCode {
    let found = match model::eval::perplexity::held_out(model, dataset) {
        Ok(found) => found,
        Err(error) => return wrong::stopped(error),
    };
    let told = |e: &Evaluation| {
        let mut row = serde_json::json!({
            "loss": e.loss(), "tokens": e.tokens, "bytes": e.bytes, "characters": e.characters,
        });
        let of_text = [
            ("perplexity", e.perplexity()),
            ("bits_per_byte", e.bits_per_byte()),
            ("bits_per_character", e.bits_per_character()),
        ];
        of_text.into_iter().for_each(|(key, number)| {
            if let Some(number) = number {
                row[key] = number.into();
            }
        });
        row
    };
    let e = &found.all;
    if json {
        let mut row = told(e);
        row["sources"] = found.sources.iter().map(|(name, e)| (name.clone(), told(e))).collect();
        println!("{row}");
        return ExitCode::SUCCESS;
    }
    let per = if e.is_next_token { "token" } else { "predicted token, from more than what stands before it" };
    println!("held-out loss       {:.4} nats per {per}", e.loss());
    if let (Some(perplexity), Some(byte), Some(character)) =
        (e.perplexity(), e.bits_per_byte(), e.bits_per_character())
    {
        println!("perplexity          {}", shown(perplexity, 3));
        println!("bits per byte       {byte:.4}");
        println!("bits per character  {character:.4}");
    }
    println!("over                {} tokens, {} bytes", thousands(e.tokens), thousands(e.bytes));
    for (name, e) in &found.sources {
        let bytes = thousands(e.bytes);
        match e.bits_per_byte() {
            Some(bits) => println!("  {bits:.4} bits per byte over {bytes} bytes of {name}"),
            None => println!("  loss {:.4} over {bytes} bytes of {name}", e.loss()),
        }
    }
    ExitCode::SUCCESS
}
