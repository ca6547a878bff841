//! `gristmill align sft MODEL DATA`: the answers of a dataset of chats, or of chats as JSON lines, which it builds one of first.

use super::chats::Chats;
use super::method::{About, Flags, base, common, work};
use super::rows::words;
use crate::cli::build::Works;
use crate::cli::folders;
use crate::cli::wrong::{self, Trouble};
use crate::cli::{environment, funnel};
use model::align::limits;
use pipeline::dag::{self, Kinds};
use pipeline::engine::{Report, Workdir};
use pipeline::recipe::{Mistakes, Recipe};
use schemas::manifest;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Folder of the build in that of the model.
const CHATS: &str = "chats";

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill align sft model chats.jsonl --out tuned --set epochs=3\n\n\
              A chat has `messages` (role, content), `conversations` (from, value), or `prompt` and `completion`. For chats in many \
              files, filters or mixes, build a dataset with a recipe like `examples/chat.toml` and name its folder.")]
pub(super) struct Args {
    /// Folder of the model.
    model: PathBuf,
    /// A dataset of token shards whose recipe has `tokenize.chat`, the working folder of its build, or a file of chats.
    data: PathBuf,
    /// How chats of a file are laid out: chatml, llama3, zephyr, plain or text (default: as the model's tokenizer_config.json says, or text).
    #[arg(long)]
    template: Option<String>,
    /// Share of the chats of a file that is kept apart.
    #[arg(long, default_value_t = 0.1)]
    held_out_share: f64,
    /// Tokens of a packed sequence; 0 for the model's context.
    #[arg(long, default_value_t = 0)]
    length: usize,
    #[command(flatten)]
    flags: Flags,
}

pub(super) fn run(args: &Args, kinds: &Kinds) -> ExitCode {
    let common = match common(&args.flags.settings) {
        Ok(common) => common,
        Err(code) => return code,
    };
    let found = base(&args.model, &args.flags.out).and_then(|folder| {
        let dataset =
            if args.data.is_dir() { folders::dataset(&args.data)? } else { build(args, &folder, kinds)? };
        let limits = limits(&folder)?;
        Ok((folder, dataset, limits))
    });
    let (folder, dataset, limits) = match found {
        Ok(found) => found,
        Err(trouble) => return trouble.tell(),
    };
    // The dataset's own: its layout is what the model learns.
    let tokenizer_config = std::fs::read(dataset.join(manifest::TOKENIZER_CONFIG)).ok();
    let tokenizer_config = tokenizer_config.as_deref();
    let template = tokenizer_config.and_then(|config| Chats::named(&folder, limits, config));
    let way = |job: &model::align::Job<'_>| model::align::sft::sft(job, &dataset);
    work(&folder, &args.flags, &common, About { template, tokenizer_config, refused: "" }, way)
}

/// Builds a dataset of a file, by the recipe that anybody would write for it; what is dropped is in its ledger.
fn build(args: &Args, folder: &Path, kinds: &Kinds) -> Result<PathBuf, Trouble> {
    wrong::there(&args.data)?;
    let limits = limits(folder)?;
    let chats = Chats::open(folder, limits, args.template.as_deref()).map_err(Trouble::Use)?;
    let absolute =
        |path: &Path| std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()));
    let length = if args.length == 0 { limits.tokens_max } else { args.length };
    let quoted = |text: &str| toml_string(text);
    let recipe = format!(
        "# Made by `gristmill align sft`; `gristmill build` reads it too.\nname = \"chats\"\n\n[sources.chats]\nkind = \"source.jsonl\"\n\
         paths = [{}]\nrow = true\ntext_field = \"\"\n\n[[stages]]\nkind = \"tokenize.chat\"\nfile = {}\ntemplate = {}\neos = {}\n\n\
         [[stages]]\nkind = \"pack.sequences\"\nlength = {length}\nvalidation = {:?}\n",
        quoted(&absolute(&args.data)?.to_string_lossy()),
        quoted(&absolute(&folder.join(manifest::TOKENIZER))?.to_string_lossy()),
        quoted(chats.name()),
        quoted(chats.eos()),
        args.held_out_share
    );
    let workdir = args.flags.out.join(CHATS);
    let file = workdir.join("recipe.toml");
    // Nobody has written these lines: what is wrong is told without their places.
    let wrong = |mistakes: Mistakes| {
        let told: Vec<&str> = mistakes.list.iter().map(|mistake| mistake.message.as_str()).collect();
        Trouble::Use(format!("chats cannot be prepared so: {}", told.join("; ")))
    };
    let recipe = Recipe::parse(&file, recipe, &environment).map_err(wrong)?;
    let dag = dag::compile(&recipe, kinds).map_err(wrong)?;
    std::fs::create_dir_all(&workdir)
        .and_then(|()| std::fs::write(&file, &recipe.text))
        .map_err(|error| format!("{}: {error}", file.display()))?;
    let works =
        Works { workdir: Some(workdir.clone()), threads: 0, memory_mib: 512, progress: args.flags.progress };
    let options = works.options(&dag.name, recipe.base());
    let report = works.run(&dag, &options).map_err(|error| error.to_string())?;
    let dataset = Workdir(workdir.clone()).dataset();
    funnel::warn(&report, Some(&dataset), args.flags.progress);
    tell_dropped(&report, &workdir);
    Ok(dataset)
}

/// Chats that are not learned, by reason.
fn tell_dropped(report: &Report, workdir: &Path) {
    for node in report.nodes.iter().filter(|node| node.counts.rows_in > node.counts.kept) {
        if node.kind == "tokenize.chat" || node.kind == "source.jsonl" {
            eprintln!(
                "{}: {} of {} chats are left out ({}); `gristmill inspect {}/dataset/dropped` shows them, each with the byte of the file that it begins at",
                node.name,
                node.counts.rows_in - node.counts.kept,
                node.counts.rows_in,
                funnel::reasons(node),
                workdir.display()
            );
            if node.kind == "tokenize.chat" {
                node.counts.dropped.keys().for_each(|reason| eprintln!("  {reason}: {}", words(reason)));
            }
        }
    }
}

/// A string as TOML writes it: JSON's escapes are among those of TOML.
fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
