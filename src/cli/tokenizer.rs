//! `gristmill tokenizer train FILES…` and `gristmill tokenizer report TOKENIZER FILES…`.

mod report;

use super::output::{emit, emit_json, style};
use super::progress::Progress;
use super::wrong;
use pipeline::inspect::layout::{bytes, thousands};
use schemas::{ConfigValue as _, StageError, Value};
use stages::tokenize::bpe::train::command::{Delivery, Order, fulfil};
use stages::tokenize::bpe::train::files::Reading;
use stages::tokenize::bpe::train::splits::Split;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

/// Least memory that the merges get, whatever is asked for.
const MEMORY_MIB_MIN: usize = 16;
const BYTES: usize = 256;
const VOCAB_SIZE_MAX: usize = 1 << 20;

#[derive(clap::Args)]
#[command(
    after_help = "Examples: gristmill tokenizer train corpus/ --vocab-size 32000 --out tokenizer/tokenizer.json\n          \
    gristmill tokenizer report tokenizer/tokenizer.json corpus/ --json"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Trains a byte-level BPE on JSON lines, Parquet and text files.
    Train(TrainArgs),
    /// Tells how a tokenizer cuts the texts of files: bytes a token, tokens a word, unknown tokens.
    Report(report::Args),
}

#[derive(clap::Args)]
#[command(
    after_help = "Example: gristmill tokenizer train corpus/*.jsonl.zst --vocab-size 32000 --out tokenizer/tokenizer.json\n\n\
    The merges are those of the BpeTrainer of `tokenizers` on the same documents. `transformers` loads the folder of the output."
)]
struct TrainArgs {
    /// Files, folders and patterns with `*`: JSON lines and Parquet by the ending of their names, anything else is one text; also .gz and .zst.
    #[arg(required = true)]
    files: Vec<String>,
    /// Most tokens, the 256 bytes and `eos` among them.
    #[arg(long)]
    vocab_size: usize,
    /// The tokenizer.json to write; tokenizer_config.json goes beside it. Appear only when complete.
    #[arg(long)]
    out: PathBuf,
    /// Fewest times that a pair must be seen to become a token.
    #[arg(long, default_value_t = 2)]
    min_frequency: u64,
    /// The split into words, which no token crosses: gpt2, cl100k, o200k or qwen2.
    #[arg(long, default_value = "gpt2")]
    split: String,
    /// The token that ends a document; its id is 0.
    #[arg(long, default_value = "<|endoftext|>")]
    eos: String,
    /// A further special token, such as `<|im_start|>` of a chat; more than once for more. Ids go on behind that of `--eos`.
    #[arg(long, value_name = "TOKEN")]
    special: Vec<String>,
    /// Field or column of the text.
    #[arg(long, default_value = "text")]
    text_field: String,
    /// Threads; 0 for one a core. The result does not depend on it.
    #[arg(long, value_parser = super::threads, default_value_t = 0)]
    threads: usize,
    /// Memory for counts and merges, in MiB. More counts go to disk; words that the merges have no room for are told.
    #[arg(long, default_value_t = 512)]
    memory_mib: usize,
    /// How progress is told.
    #[arg(long, value_enum, default_value_t)]
    progress: Progress,
    /// What was made, as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    match &args.command {
        Command::Train(args) => train(args),
        Command::Report(args) => report::run(args),
    }
}

/// The mistakes in the arguments, all of them.
fn mistakes(args: &TrainArgs) -> Vec<String> {
    let mut mistakes = Vec::new();
    let (size, specials) = (args.vocab_size, specials(args));
    let least = BYTES + specials.len();
    if !(least..=VOCAB_SIZE_MAX).contains(&size) {
        let told = format!("256 bytes and {} special tokens", specials.len());
        mistakes.push(format!("`--vocab-size {size}` is not between {least} ({told}) and {VOCAB_SIZE_MAX}"));
    }
    for (at, special) in specials.iter().enumerate() {
        if special.chars().count() < 2 {
            mistakes.push(format!(
                "the special token {special:?} has fewer than two characters, as those of bytes have"
            ));
        }
        if specials[..at].contains(special) {
            mistakes.push(format!("the special token {special:?} is given twice"));
        }
    }
    if split(&args.split).is_none() {
        mistakes.push(format!("no split is called `{}`; known are {}", args.split, Split::NAMES.join(", ")));
    }
    if args.out.is_dir() || args.out.extension().is_none_or(|ending| ending != "json") {
        mistakes.push(format!(
            "`--out {}` names no tokenizer.json; write `FOLDER/tokenizer.json`",
            args.out.display()
        ));
    }
    mistakes
}

/// The special tokens in the order of their ids.
fn specials(args: &TrainArgs) -> Vec<&str> {
    std::iter::once(&args.eos).chain(&args.special).map(String::as_str).collect()
}

fn split(name: &str) -> Option<Split> {
    Split::read(&Value::String(name.to_owned()))
}

fn train(args: &TrainArgs) -> ExitCode {
    let mistakes = mistakes(args);
    let (true, Some(split)) = (mistakes.is_empty(), split(&args.split)) else {
        mistakes.iter().for_each(|mistake| eprintln!("error: {mistake}"));
        return ExitCode::from(2);
    };
    let started = Instant::now();
    let memory_bytes = args.memory_mib.max(MEMORY_MIB_MIN) << 20;
    let folder = beside(&args.out, &format!(".{}.work", std::process::id()));
    let listener = args.progress.start();
    let reading = Reading {
        paths: &args.files,
        text_field: &args.text_field,
        split,
        threads: args.threads,
        // The merges begin while the counts are still there.
        table_bytes: memory_bytes / 3,
        folder: &folder,
        observer: &listener,
    };
    let order = Order {
        reading,
        vocab_size: args.vocab_size,
        min_frequency: args.min_frequency,
        specials: &specials(args),
        memory_bytes: memory_bytes / 3 * 2,
    };
    let delivered = fulfil(&order);
    listener.end();
    let written = delivered.and_then(|delivery| write(&args.out, &delivery).map(|()| delivery));
    match written {
        Ok(delivery) => tell(args, &delivery, started.elapsed().as_secs_f64()),
        Err(error) => wrong::failed(error),
    }
}

/// The path with more behind its name.
fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(more);
    path.with_file_name(name)
}

/// Writes all files under other names, then gives them theirs.
fn write(out: &Path, delivery: &Delivery) -> Result<(), StageError> {
    let folder = out.parent().unwrap_or(Path::new(""));
    if !folder.as_os_str().is_empty() {
        fs::create_dir_all(folder).map_err(StageError::io(folder))?;
    }
    let place = |name: &str| match name {
        schemas::manifest::TOKENIZER => out.to_owned(),
        other => folder.join(other),
    };
    for (name, bytes) in &delivery.files {
        let part = beside(&place(name), ".part");
        fs::write(&part, bytes).map_err(StageError::io(&part))?;
    }
    // The tokenizer comes last: where it is, all is there.
    for name in delivery.files.keys().rev() {
        let path = place(name);
        fs::rename(beside(&path, ".part"), &path).map_err(StageError::io(&path))?;
    }
    Ok(())
}

fn tell(args: &TrainArgs, delivery: &Delivery, seconds: f64) -> ExitCode {
    let Delivery { tally, vocab_size, merges, words_distinct, words_left_out, spilled, .. } = delivery;
    if *vocab_size < args.vocab_size {
        let few = format!("{vocab_size} tokens, not {}: no other pair was seen", args.vocab_size);
        eprintln!("note: {few} {} times (`--min-frequency`)", args.min_frequency);
    }
    if *words_left_out > 0 {
        let told = thousands(*words_left_out);
        eprintln!("note: the {told} rarest words had no room in the memory for merges; raise `--memory-mib`");
    }
    if args.json {
        let told = serde_json::json!({
            "out": args.out, "vocab_size": vocab_size, "merges": merges, "split": args.split, "specials": specials(args), "files": tally.files,
            "documents": tally.documents, "rows_bad": tally.rows_bad, "text_bytes": tally.text_bytes, "words": tally.words,
            "words_distinct": words_distinct, "words_cut": tally.words_cut, "words_left_out": words_left_out,
            "spilled": spilled, "seconds": seconds,
        });
        return emit_json(&told, ExitCode::SUCCESS);
    }
    let mut pairs = vec![
        ("tokenizer", args.out.display().to_string()),
        ("tokens", format!("{} ({} merges)", thousands(*vocab_size as u64), thousands(*merges as u64))),
        ("documents", format!("{} in {} files", thousands(tally.documents), thousands(tally.files))),
        ("text", bytes(tally.text_bytes)),
        ("words", format!("{}, {} distinct", thousands(tally.words), thousands(*words_distinct))),
    ];
    if tally.rows_bad > 0 {
        pairs.push(("bad rows", format!("{} without a text", thousands(tally.rows_bad))));
    }
    if tally.words_cut > 0 {
        pairs.push(("cut", format!("{} words longer than 1 MiB", thousands(tally.words_cut))));
    }
    pairs.push(("time", format!("{seconds:.1} s{}", if *spilled { ", counts on disk" } else { "" })));
    emit(&style().pairs(&pairs), ExitCode::SUCCESS)
}
