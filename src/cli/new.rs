//! `gristmill new DIR`: a recipe with comments to begin from.

use super::wrong::{failed, misused};
use std::path::PathBuf;
use std::process::ExitCode;

const RECIPE: &str = include_str!("new.toml");

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill new my-data && gristmill check my-data/recipe.toml")]
pub(crate) struct Args {
    /// Folder to make.
    folder: PathBuf,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let path = args.folder.join("recipe.toml");
    if path.exists() {
        return misused(format!("{} is there already; it is left as it is", path.display()));
    }
    let input = args.folder.join("input");
    let example = "{\"text\": \"Put your documents here: one JSON object a line, with a field `text`.\"}\n";
    let written = std::fs::create_dir_all(&input)
        .and_then(|()| std::fs::write(input.join("example.jsonl"), example))
        .and_then(|()| std::fs::write(&path, RECIPE));
    if let Err(error) = written {
        return failed(format!("{}: {error}", path.display()));
    }
    println!("wrote {}", path.display());
    println!("next:  gristmill check {0}   then   gristmill build {0}", path.display());
    ExitCode::SUCCESS
}
