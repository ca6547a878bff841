//! `gristmill align dpo|reward|grpo`: settings and rows in, a model folder and a report out.

use super::rows::{Found, Reading, read_pairs, read_tasks};
use crate::cli::folders;
use crate::cli::progress::Progress;
use crate::cli::stage;
use crate::cli::wrong::{self, Trouble};
use model::align::dpo::Dpo;
use model::align::grpo::Grpo;
use model::align::rules::Rules;
use model::align::{AlignReport, Common, Job, assert_elsewhere};
use model::{TrainError, TrainObserver};
use pipeline::inspect::layout::thousands;
use schemas::{Config, KeyError, Settings, Value};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Flags of every way.
#[derive(clap::Args, Debug)]
pub(super) struct Flags {
    /// Folder of the aligned model.
    #[arg(long)]
    pub(super) out: PathBuf,
    /// A setting, `key=value`.
    #[arg(long = "set")]
    pub(super) settings: Vec<String>,
    /// Writes a whole model in place of adapters (with `--set lora_rank=…`).
    #[arg(long)]
    pub(super) merge: bool,
    /// Takes away the alignment that is there, with its checkpoints, and begins at the first step.
    #[arg(long)]
    pub(super) restart: bool,
    /// How progress is told.
    #[arg(long, value_enum, default_value_t)]
    pub(super) progress: Progress,
    /// The report as JSON on standard output.
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(clap::Args)]
#[command(
    after_help = "Example: gristmill align dpo model pairs.jsonl --out better --set beta=0.1 --set learning_rate=1e-5\n\n\
              A row has `prompt`, `chosen` and `rejected`: texts, or lists of messages."
)]
pub(super) struct DpoArgs {
    /// Folder of the model.
    model: PathBuf,
    /// JSON lines of pairs.
    preferences: PathBuf,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    flags: Flags,
}

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill align reward model pairs.jsonl --out judge --set epochs=2\n\n\
              A row has `prompt`, `chosen` and `rejected`: texts, or lists of messages.")]
pub(super) struct RewardArgs {
    /// Folder of the model.
    model: PathBuf,
    /// JSON lines of pairs.
    preferences: PathBuf,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    flags: Flags,
}

#[derive(clap::Args)]
#[command(
    after_help = "Example: gristmill align grpo model tasks.jsonl --out solver --set reward_number=1 --set group=8 --set steps=200\n\n\
              A row has `prompt`, a text or a list of messages, and the `answer` that rules compare with."
)]
pub(super) struct GrpoArgs {
    /// Folder of the model.
    model: PathBuf,
    /// JSON lines of tasks.
    tasks: PathBuf,
    /// Folder of a reward model, whose number `--set reward_model=…` weighs.
    #[arg(long)]
    reward_model: Option<PathBuf>,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    flags: Flags,
}

/// A key of one set of settings, or of the other.
struct Split {
    pairs: Vec<(String, Value)>,
    errors: Vec<KeyError>,
}

impl Split {
    fn new(texts: &[String]) -> Result<Self, ExitCode> {
        let mut pairs = Vec::new();
        for text in texts {
            pairs.push(stage::setting(text).map_err(wrong::misused)?);
        }
        Ok(Self { pairs, errors: Vec::new() })
    }

    /// Takes the keys of a set of settings.
    fn take<C: Config>(&mut self) -> C {
        let is_own = |(key, _): &(String, Value)| C::KEYS.iter().any(|known| known.name == key);
        let (own, others) = std::mem::take(&mut self.pairs).into_iter().partition(is_own);
        self.pairs = others;
        Settings::new(own).parse().unwrap_or_else(|errors| {
            self.errors.extend(errors);
            C::default()
        })
    }

    /// Tells keys that nobody took; `known` are all that somebody would have.
    fn end(mut self, known: &[&'static [schemas::Key]]) -> Result<(), ExitCode> {
        let names: Vec<&str> = known.iter().flat_map(|keys| keys.iter().map(|key| key.name)).collect();
        for (key, _) in self.pairs {
            let near = schemas::near::closest(&key, names.iter().copied());
            let help = near.map_or_else(
                || schemas::near::listed(&key, &names),
                |name| format!("did you mean `{name}`?"),
            );
            let message = "is not a key of this way of alignment".to_owned();
            self.errors.push(KeyError { key, message, help: Some(help) });
        }
        if self.errors.is_empty() {
            return Ok(());
        }
        self.errors.iter().for_each(|error| eprintln!("error: {error}"));
        Err(ExitCode::from(2))
    }
}

/// The settings that all ways have.
pub(super) fn common(texts: &[String]) -> Result<Common, ExitCode> {
    let mut split = Split::new(texts)?;
    let common = split.take::<Common>();
    split.end(&[Common::KEYS]).map(|()| common)
}

/// Those of all ways and of one.
fn with<C: Config>(texts: &[String]) -> Result<(Common, C), ExitCode> {
    let mut split = Split::new(texts)?;
    let both = (split.take::<Common>(), split.take::<C>());
    split.end(&[C::KEYS, Common::KEYS]).map(|()| both)
}

/// The model to begin with, once it is known that the aligned one has a place.
pub(super) fn base(model: &Path, out: &Path) -> Result<PathBuf, Trouble> {
    let folder = folders::model(model)?;
    folders::assert_for_model(out)?;
    assert_elsewhere(&folder, out)?;
    Ok(folder)
}

/// What is known of the rows of an alignment besides themselves.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    /// Name of the layout of chats.
    pub(super) template: Option<&'a str>,
    /// `tokenizer_config.json` with that layout.
    pub(super) tokenizer_config: Option<&'a [u8]>,
    /// Rows that are left out, as JSON lines.
    pub(super) refused: &'a str,
}

impl<'a> About<'a> {
    fn of<R>(found: &'a Found<R>) -> Self {
        let (template, tokenizer_config) = found.chats.told();
        Self { template, tokenizer_config, refused: &found.refused }
    }
}

/// Does a way of alignment and prints what it came to.
pub(super) fn work(
    model: &Path,
    flags: &Flags,
    common: &Common,
    About { template, tokenizer_config, refused }: About<'_>,
    way: impl FnOnce(&Job<'_>) -> Result<AlignReport, TrainError>,
) -> ExitCode {
    let listener = flags.progress.start();
    let observer: &dyn TrainObserver = &listener;
    let job = Job {
        base: model,
        out: &flags.out,
        common,
        merge: flags.merge,
        restart: flags.restart,
        tokenizer_config,
        template,
        refused,
        observer,
    };
    let result = way(&job);
    listener.end();
    match result {
        Ok(report) if flags.json => match serde_json::to_string(&report) {
            Ok(json) => {
                println!("{json}");
                ExitCode::SUCCESS
            }
            Err(error) => wrong::failed(error),
        },
        Ok(report) => {
            show(&report, &flags.out);
            ExitCode::SUCCESS
        }
        Err(error) => wrong::of_another(error, "`--out` names another folder"),
    }
}

fn show(report: &AlignReport, out: &Path) {
    let AlignReport { method, parameters, steps, loss, .. } = report;
    println!(
        "model {}: {method}{}, {} parameters learned, {steps} steps, loss {loss:.4}",
        out.display(),
        report
            .settings
            .get("template")
            .map(|name| format!(" of chats laid out as {name}"))
            .unwrap_or_default(),
        thousands(*parameters)
    );
    for (name, after) in &report.after {
        match report.before.get(name) {
            Some(before) => println!("held out  {name:16} {before:10.4} → {after:10.4}"),
            None => println!("held out  {name:16} {after:10.4}"),
        }
    }
}

fn ended(result: Result<ExitCode, ExitCode>) -> ExitCode {
    result.unwrap_or_else(|code| code)
}

pub(super) fn dpo(args: &DpoArgs) -> ExitCode {
    let DpoArgs { model, preferences, reading, flags } = args;
    ended((|| {
        let (common, settings) = with::<Dpo>(&flags.settings)?;
        let folder = base(model, &flags.out).map_err(Trouble::tell)?;
        let found = read_pairs(&folder, preferences, reading).map_err(Trouble::tell)?;
        let way = |job: &Job<'_>| model::align::dpo::dpo(job, &found.rows, &settings);
        Ok(work(&folder, flags, &common, About::of(&found), way))
    })())
}

pub(super) fn reward(args: &RewardArgs) -> ExitCode {
    let RewardArgs { model, preferences, reading, flags } = args;
    ended((|| {
        let common = common(&flags.settings)?;
        let folder = base(model, &flags.out).map_err(Trouble::tell)?;
        let found = read_pairs(&folder, preferences, reading).map_err(Trouble::tell)?;
        let way = |job: &Job<'_>| model::align::reward::reward(job, &found.rows);
        Ok(work(&folder, flags, &common, About::of(&found), way))
    })())
}

pub(super) fn grpo(args: &GrpoArgs) -> ExitCode {
    let GrpoArgs { model, tasks, reward_model, reading, flags } = args;
    ended((|| {
        let mut split = Split::new(&flags.settings)?;
        let (common, settings, rules) = (split.take::<Common>(), split.take::<Grpo>(), split.take::<Rules>());
        split.end(&[Grpo::KEYS, Rules::KEYS, Common::KEYS])?;
        let folder = base(model, &flags.out).map_err(Trouble::tell)?;
        let judge = reward_model.as_deref();
        judge.map_or(Ok(()), |judge| judged(judge, &flags.out)).map_err(Trouble::tell)?;
        let found = read_tasks(&folder, tasks, reading).map_err(Trouble::tell)?;
        let way = |job: &Job<'_>| model::align::grpo::grpo(job, &found.rows, &settings, &rules, judge);
        Ok(work(&folder, flags, &common, About::of(&found), way))
    })())
}

/// Refuses a reward model that is not there, or that would be written over.
fn judged(judge: &Path, out: &Path) -> Result<(), Trouble> {
    wrong::there(judge)?;
    Ok(assert_elsewhere(judge, out)?)
}

/// The rules of `score`.
pub(super) fn rules(texts: &[String]) -> Result<Rules, ExitCode> {
    let mut split = Split::new(texts)?;
    let rules = split.take::<Rules>();
    split.end(&[Rules::KEYS]).map(|()| rules)
}
