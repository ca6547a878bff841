//! `gristmill new DIR`: a recipe with comments to begin from.

use super::wrong::{failed, misused};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const RECIPE: &str = include_str!("new.toml");
/// The name in it, which becomes that of the folder: builds of two recipes of one name in one place replace each other.
const RECIPE_NAME: &str = "my-data";
/// Long enough for `filter.language` to be sure of it, so that the first build has something to show.
const EXAMPLE: &str = "{\"text\": \"This is an example of a document. Put your own files into this folder and take this \
    one away. Each line of a file is a JSON object with the words of one document in the field that is called text, and \
    the files can be compressed if they are large.\"}\n";

/// Name of its file.
const NAME: &str = "example.jsonl";

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill new my-data && gristmill check my-data/recipe.toml")]
pub(crate) struct Args {
    /// Folder to make.
    folder: PathBuf,
    /// The paths written as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let path = args.folder.join("recipe.toml");
    if path.exists() {
        return misused(format!("{} is there already; it is left as it is", path.display()));
    }
    let input = args.folder.join("input");
    // Somebody's own files need no example among them.
    let is_empty = std::fs::read_dir(&input).map_or(true, |mut entries| entries.next().is_none());
    let written = std::fs::create_dir_all(&input)
        .and_then(|()| if is_empty { std::fs::write(input.join(NAME), EXAMPLE) } else { Ok(()) })
        .and_then(|()| std::fs::write(&path, recipe(&args.folder)));
    if let Err(error) = written {
        return failed(format!("{}: {error}", path.display()));
    }
    if args.json {
        println!("{}", serde_json::json!({ "recipe": path, "input": input }));
        return ExitCode::SUCCESS;
    }
    println!("wrote {}", path.display());
    if is_empty {
        println!("wrote {}: put your own files beside it and take it away", input.join(NAME).display());
    }
    println!("next:  gristmill check {0}   then   gristmill build {0}", shell(&path.display().to_string()));
    ExitCode::SUCCESS
}

/// The recipe with the name of its folder.
fn recipe(folder: &Path) -> String {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect();
    let plain = plain.trim_matches('-');
    RECIPE.replacen(RECIPE_NAME, if plain.is_empty() { RECIPE_NAME } else { plain }, 1)
}

/// A word as a shell reads it.
fn shell(word: &str) -> String {
    match word.chars().all(|c| c.is_alphanumeric() || "/._-+=:,@%".contains(c)) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::{recipe, shell};
    use std::path::Path;

    #[test]
    fn a_recipe_has_the_name_of_its_folder() {
        for (folder, name) in
            [("a/web_2", "web_2"), ("my data.", "my-data"), ("/", "my-data"), ("données", "donn-es")]
        {
            let line = format!("name = \"{name}\"");
            assert!(recipe(Path::new(folder)).lines().any(|l| l == line), "{folder}");
        }
    }

    #[test]
    fn words_that_a_shell_would_cut_are_quoted() {
        let told = ["my-data/recipe.toml", "my data", "it's"].map(shell);
        assert_eq!(told, ["my-data/recipe.toml", "'my data'", "'it'\\''s'"]);
    }
}
