//! `gristmill eval MODEL`: held-out loss, the tasks of lm-evaluation-harness, BLEU, ratings by people, and what the model was trained on.

mod bleu;
mod contamination;
mod human;
mod tasks;
mod toxicity;

use super::folders;
use super::output::{emit, emit_json};
use super::train::shown;
use super::wrong::{self, Trouble};
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
    /// Dataset whose held-out sequences are scored (default: the one of the training).
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
    let found = folders::model(path).and_then(|folder| Ok((dataset(args, &folder)?, folder)));
    let (dataset, folder) = match found {
        Ok(found) => found,
        Err(trouble) => return trouble.tell(),
    };
    if args.statement {
        return statement(args, &folder, dataset.as_deref());
    }
    if args.toxicity.asked() {
        return toxicity::run(&args.toxicity, &folder, args.samples.as_ref(), args.json);
    }
    if args.tasks.asked() {
        return tasks::run(&args.tasks, &folder, dataset.as_deref(), args.samples.as_ref(), args.json);
    }
    held_out(&folder, &dataset.expect("a dataset that is read was asked for"), args.json)
}

/// The dataset that is named or that the model was trained on; none where it is not there and not read.
///
/// # Errors
/// Wrong use: it is read, or was named, and is not there.
fn dataset(args: &Args, model: &Path) -> Result<Option<PathBuf>, Trouble> {
    let is_read = !args.statement && !args.toxicity.asked() && args.tasks.reads_dataset();
    match folders::dataset_of(model, args.dataset.as_deref()) {
        Ok(dataset) => Ok(Some(dataset)),
        Err(trouble) if is_read || args.dataset.is_some() => Err(trouble),
        Err(_) => Ok(None),
    }
}

/// Says what the model was trained on.
fn statement(args: &Args, model: &Path, dataset: Option<&Path>) -> ExitCode {
    match model::eval::statement::statement(model, dataset) {
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
