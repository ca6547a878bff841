//! Where a dataset and a model lie: what a path on the command line stands for, and what a build leaves for `train FOLDER`.

use super::build::workdir;
use super::environment;
use super::wrong::{self, Trouble};
use model::Config;
use model::train::REPORT;
use pipeline::dag::{self, Kinds};
use pipeline::engine::{Report, Workdir, altered};
use pipeline::recipe::Recipe;
use schemas::{FilePath, Settings, Value, manifest};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folder of the model in that of a build.
pub(super) const MODEL: &str = "model";
/// File in the working folder of a build: `[train]` of its recipe, for whoever names the folder.
const TRAIN: &str = "train.json";
/// Names in a folder that a training or an alignment began to write.
const BEGUN: [&str; 5] = ["checkpoints", "metrics.jsonl", REPORT, "config.json", "chats"];

/// Keys with their values.
pub(super) type Pairs = Vec<(String, Value)>;

/// Settings of a training, on the command line.
#[derive(clap::Args)]
pub(super) struct Given {
    /// A setting, `key=value`, before those of the recipe.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Takes `[train]` of this file in place of the recipe's: `best.toml` of a sweep, `larger.toml` of `scale`, another recipe.
    #[arg(long, value_name = "FILE")]
    pub(super) with: Option<PathBuf>,
}

/// A dataset with the settings of a training on it.
pub(super) struct Found {
    /// Its folder.
    pub(super) dataset: PathBuf,
    /// `[train]` of the recipe that it was built by, or of `--with`.
    pub(super) recipe: Pairs,
    /// Those of `--set`.
    pub(super) set: Pairs,
}

impl Found {
    /// The dataset, and all settings; those of `--set` stand in the place of the recipe's.
    pub(super) fn settled(self) -> (PathBuf, Pairs) {
        let Self { dataset, mut recipe, set } = self;
        recipe.retain(|(key, _)| set.iter().all(|(other, _)| other != key));
        (dataset, recipe.into_iter().chain(set).collect())
    }
}

/// The dataset that a path means (its folder, that of its build, or a recipe that is built), and the settings of its training.
///
/// # Errors
/// Wrong use: no dataset is there, or a setting is none.
pub(super) fn found(path: &Path, given: &Given, kinds: &Kinds) -> Result<Found, Trouble> {
    wrong::there(path)?;
    let with = given.with.as_deref().map(train_of).transpose()?;
    let (dataset, recipe) = match with {
        Some(with) if path.is_dir() => (dataset(path)?, with),
        Some(with) => (built(path, kinds)?.0, with),
        None if path.is_dir() => {
            let dataset = dataset(path)?;
            let recipe = kept(&dataset)?;
            (dataset, recipe)
        }
        None => built(path, kinds)?,
    };
    let mut pairs = Pairs::new();
    for text in &given.settings {
        let (key, value) = super::stage::setting(text).map_err(Trouble::Use)?;
        pairs.retain(|(known, _)| *known != key);
        pairs.push((key, value));
    }
    Ok(Found { dataset, recipe, set: pairs })
}

/// `[train]` of a file, which need not be a whole recipe.
fn train_of(path: &Path) -> Result<Pairs, Trouble> {
    wrong::there(path)?;
    let recipe = part(path)?;
    match recipe.train {
        Some(_) => Ok(train(&recipe)),
        None => Err(Trouble::Use(format!("{}: holds no `[train]`", path.display()))),
    }
}

/// A recipe, or a part of one.
fn part(path: &Path) -> Result<Recipe, Trouble> {
    Recipe::read_part(path, &environment).map_err(|mistakes| Trouble::Use(mistakes.to_string()))
}

/// The settings of a recipe's training.
fn train(recipe: &Recipe) -> Pairs {
    let keys = recipe.train.iter().flat_map(|block| &block.keys);
    keys.map(|entry| located(&entry.name, &entry.value, recipe.base())).collect()
}

/// The dataset of a recipe, and its `[train]`.
fn built(path: &Path, kinds: &Kinds) -> Result<(PathBuf, Pairs), Trouble> {
    let recipe = part(path)?;
    if recipe.sources.is_empty() {
        return Err(Trouble::Use(format!(
            "{0}: names no documents; name the dataset, and a file of settings with `--with {0}`",
            path.display()
        )));
    }
    let pairs = train(&recipe);
    let workdir = Workdir(workdir(None, &recipe.name));
    let dataset = workdir.dataset();
    if dataset.join(manifest::FILE).is_file() {
        let dag = dag::compile(&recipe, kinds).map_err(|mistakes| Trouble::Use(mistakes.to_string()))?;
        let altered = Report::read(&workdir.report()).map(|last| altered(&dag, &last)).unwrap_or_default();
        if !altered.is_empty() {
            eprintln!(
                "warning: {} was not built by this recipe as it is now, which differs in {}; `gristmill build {}` builds it anew",
                dataset.display(),
                altered.join(", "),
                path.display()
            );
        }
        return Ok((dataset, pairs));
    }
    Err(Trouble::Use(format!(
        "{} is not built; run `gristmill build {}` first, or name the folder that it was built in",
        dataset.display(),
        path.display()
    )))
}

/// A key with its value; a path starts at the folder of the recipe.
fn located(key: &str, value: &Value, base: &Path) -> (String, Value) {
    let is_path = Config::KEYS.iter().any(|known| known.name == key && known.kind == FilePath::KIND);
    let value = match value.as_str().filter(|path| is_path && !path.is_empty()) {
        Some(path) => Value::from(base.join(path).display().to_string()),
        None => value.clone(),
    };
    (key.to_owned(), value)
}

/// Writes `[train]` of a recipe into the working folder of its build, in place of that of an earlier build.
///
/// # Errors
/// What the system refuses.
pub(super) fn remember(workdir: &Path, base: &Path, train: Option<&Settings>) -> std::io::Result<()> {
    let path = workdir.join(TRAIN);
    let Some(train) = train else {
        return model::remove(&path).map_err(std::io::Error::other);
    };
    // A dataset may be trained on from another current folder than that of its build.
    let base = std::path::absolute(base)?;
    let pairs: BTreeMap<String, Value> =
        train.pairs().iter().map(|(key, value)| located(key, value, &base)).collect();
    let json = serde_json::to_vec_pretty(&pairs).map_err(std::io::Error::other)?;
    model::replace(&path, &json).map_err(std::io::Error::other)
}

/// What [`remember`] wrote beside a dataset; nothing where no build has left it.
fn kept(dataset: &Path) -> Result<Pairs, Trouble> {
    let whole = std::path::absolute(dataset)?;
    let Some(workdir) = whole.parent().filter(|folder| Workdir((*folder).to_owned()).dataset() == whole)
    else {
        return Ok(Pairs::new());
    };
    let path = workdir.join(TRAIN);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Pairs::new()),
        read => read?,
    };
    let pairs: BTreeMap<String, Value> = serde_json::from_str(&text)
        .map_err(|error| Trouble::Use(format!("{}: {error}; build the recipe again", path.display())))?;
    Ok(pairs.into_iter().collect())
}

/// The folder of a dataset: the given one, or `dataset` in the working folder of a build.
///
/// # Errors
/// Wrong use: no committed dataset is there.
pub(super) fn dataset(path: &Path) -> Result<PathBuf, Trouble> {
    wrong::there(path)?;
    let inner = Workdir(path.to_owned()).dataset();
    let folder = [path.to_owned(), inner].into_iter().find(|folder| is_dataset(folder));
    folder.ok_or_else(|| wrong::no_dataset(path))
}

/// The dataset of a model: the one that is named, or the one that it was trained on.
///
/// # Errors
/// Wrong use: no committed dataset is there.
pub(super) fn dataset_of(model: &Path, named: Option<&Path>) -> Result<PathBuf, Trouble> {
    if let Some(named) = named {
        return dataset(named);
    }
    model::train::dataset_of(model).ok_or_else(|| {
        Trouble::Use(format!(
            "the dataset that {} was trained on is not at hand (moved, or built anew since); name one with `--dataset`",
            model.display()
        ))
    })
}

/// The folder of a model: the given one, or `model` in the working folder of a build.
///
/// # Errors
/// Wrong use: no trained model is there.
pub(super) fn model(path: &Path) -> Result<PathBuf, Trouble> {
    wrong::there(path)?;
    let folders = [path.to_owned(), path.join(MODEL)];
    let trained = |folder: &&PathBuf| folder.join(manifest::TOKENIZER).is_file() && !is_dataset(folder);
    if let Some(folder) = folders.iter().find(trained) {
        return Ok(folder.clone());
    }
    match folders.iter().any(|folder| is_begun(folder)) {
        true => Err(Trouble::Use(format!(
            "{}: the training has not ended; the command that began it (`gristmill train`, `align`) goes on with it",
            path.display()
        ))),
        false => Err(untrained(path)),
    }
}

/// The folder of a training that has begun: the given one, or `model` in the working folder of a build.
///
/// # Errors
/// Wrong use: no training is there.
pub(super) fn training(path: &Path) -> Result<PathBuf, Trouble> {
    wrong::there(path)?;
    let folders = [path.to_owned(), path.join(MODEL)];
    let begun = folders.into_iter().find(|folder| is_begun(folder) || is_ended(folder));
    begun.ok_or_else(|| untrained(path))
}

fn is_begun(folder: &Path) -> bool {
    folder.join("checkpoints").is_dir()
}

fn is_ended(folder: &Path) -> bool {
    folder.join(REPORT).is_file()
}

fn untrained(path: &Path) -> Trouble {
    Trouble::Use(format!("{}: no trained model is there; `gristmill train` makes one", path.display()))
}

/// Refuses to write a model among files of something else.
///
/// # Errors
/// Wrong use: the folder holds something, and no model that was begun.
pub(super) fn assert_for_model(out: &Path) -> Result<(), Trouble> {
    assert_for(out, (MODEL, "model"), &BEGUN)
}

/// Refuses to write work of a kind, in one word as a name and in words, among files of something else; `begun` are names that such work
/// began to write. Names that begin with a dot are nothing of anybody's.
///
/// # Errors
/// Wrong use: the folder holds something, and none of these names.
pub(super) fn assert_for(out: &Path, (name, words): (&str, &str), begun: &[&str]) -> Result<(), Trouble> {
    if out.is_file() {
        return Err(Trouble::Use(format!("{}: is a file; name a folder for the {words}", out.display())));
    }
    let Ok(entries) = std::fs::read_dir(out) else { return Ok(()) };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
    if names.is_empty() || (!is_dataset(out) && names.iter().any(|name| begun.contains(&name.as_str()))) {
        return Ok(());
    }
    let first = names.iter().min().map_or("", String::as_str);
    Err(Trouble::Use(format!(
        "{}: holds other things (`{first}`) and no {words}, whose files would lie among them; name a folder of its own, as `--out {}`",
        out.display(),
        out.join(name).display()
    )))
}

fn is_dataset(folder: &Path) -> bool {
    folder.join(manifest::FILE).is_file()
}
