//! `gristmill build RECIPE`; and `gristmill run RECIPE`, which trains and evaluates behind it.

use super::output::{emit_json_line, style};
use super::progress::Progress;
use super::train::{Flags, Job};
use super::{environment, folders, funnel, wrong};
use pipeline::dag::{self, Dag, Kinds};
use pipeline::engine::{self, Committed, Options, Report, RunError, Workdir};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill build recipe.toml --workdir work --threads 8 --memory-mib 2048")]
pub(crate) struct Args {
    /// Recipe to build.
    recipe: PathBuf,
    #[command(flatten)]
    works: Works,
    /// Commits nothing when a node touches no row, drops most of them or reads a column without values, unless the recipe says
    /// `surprise = "expected"` of it.
    #[arg(long)]
    strict: bool,
    /// The report as JSON on standard output.
    #[arg(long)]
    json: bool,
}

/// Flags of everything that runs a DAG.
#[derive(clap::Args, Debug, Clone, Default)]
pub(crate) struct Works {
    /// Folder of the build (default: gristmill-NAME in the current folder).
    #[arg(long)]
    pub(super) workdir: Option<PathBuf>,
    /// Threads; 0 for one a core. The result does not depend on it.
    #[arg(long, value_parser = super::threads, default_value_t = 0)]
    pub(super) threads: usize,
    /// Memory for sorting, in MiB. The result does not depend on it.
    #[arg(long, default_value_t = 512)]
    pub(super) memory_mib: usize,
    /// How progress is told.
    #[arg(long, value_enum, default_value_t)]
    pub(super) progress: Progress,
}

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill run recipe.toml --workdir work")]
pub(crate) struct RunArgs {
    #[command(flatten)]
    build: Args,
    #[command(flatten)]
    flags: Flags,
}

impl Works {
    pub(super) fn options(&self, name: &str, base: &Path) -> Options {
        Options {
            workdir: workdir(self.workdir.as_deref(), name),
            base: base.to_owned(),
            threads: self.threads,
            memory_bytes: self.memory_mib.max(1) << 20,
        }
    }

    /// Runs a DAG with progress.
    pub(super) fn run(&self, dag: &Dag, options: &Options) -> Result<Report, RunError> {
        let listener = self.progress.start();
        let result = engine::run(dag, options, &listener);
        listener.end();
        if result.is_ok() {
            folders::remember(&options.workdir, &options.base, dag.train.as_ref())
                .map_err(|error| RunError::Io { path: options.workdir.clone(), error })?;
        }
        result
    }

    /// Runs a DAG of one source, one global and one sink with progress, without a cache; `None` when it is another.
    pub(super) fn direct(
        &self,
        dag: &Dag,
        options: &Options,
        told: engine::Told<'_>,
        files: Option<&Path>,
    ) -> Result<Option<Report>, RunError> {
        let listener = self.progress.start();
        let result = engine::direct(dag, options, &listener, told, files);
        listener.end();
        result
    }
}

/// The working folder of a build.
pub(super) fn workdir(given: Option<&Path>, name: &str) -> PathBuf {
    given.map_or_else(|| PathBuf::from(format!("gristmill-{name}")), Path::to_owned)
}

/// `gristmill build`.
pub(crate) fn run(args: &Args, kinds: &Kinds) -> ExitCode {
    match checked(args, kinds).and_then(|(dag, options)| built(args, &dag, &options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(code) => code,
    }
}

/// `gristmill run`.
pub(crate) fn run_all(args: &RunArgs, kinds: &Kinds) -> ExitCode {
    let RunArgs { build, flags } = args;
    let found = checked(build, kinds).and_then(|(dag, options)| {
        let Some(settings) = dag.train.clone() else {
            let message = "the recipe has no `[train]`; add one, or use `gristmill build`";
            return Err(wrong::misused(message));
        };
        built(build, &dag, &options)?;
        Ok((settings, options))
    });
    let (settings, options) = match found {
        Ok(found) => found,
        Err(code) => return code,
    };
    let job = Job {
        dataset: &Workdir(options.workdir.clone()).dataset(),
        out: &options.workdir.join(folders::MODEL),
        flags,
        progress: build.works.progress,
        json: build.json,
        elsewhere: "`--workdir` names another folder for the build",
    };
    job.run(&settings)
}

/// The DAG of a recipe without mistakes, and how it runs.
fn checked(args: &Args, kinds: &Kinds) -> Result<(Dag, Options), ExitCode> {
    let (recipe, mut dag) = dag::check(&args.recipe, kinds, &environment)
        .map_err(|mistakes| wrong::mistakes(&mistakes, args.json))?;
    if args.strict {
        dag.be_strict();
    }
    let options = args.works.options(&dag.name, recipe.base());
    Ok((dag, options))
}

/// Builds and tells of it.
fn built(args: &Args, dag: &Dag, options: &Options) -> Result<(), ExitCode> {
    let report = args.works.run(dag, options).map_err(wrong::failed)?;
    let dataset = Workdir(options.workdir.clone()).dataset();
    funnel::warn(&report, Some(&dataset), args.works.progress);
    if args.json {
        return emit_json_line(&report);
    }
    summary(&report, options);
    Ok(())
}

/// The funnel and where things lie.
pub(super) fn summary(report: &Report, options: &Options) {
    println!("{}", funnel::table(report, style().width));
    let dataset = Workdir(options.workdir.clone()).dataset();
    let state = match report.committed {
        Committed::Written => "written",
        Committed::Current => "was current, nothing to do",
    };
    println!("\ndataset {} {state} ({:.1} s)", dataset.display(), report.seconds);
}
