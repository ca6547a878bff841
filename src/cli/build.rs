//! `gristmill build RECIPE` and `gristmill run RECIPE`.

use super::output::style;
use super::progress::Progress;
use super::{environment, funnel, train, wrong};
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
    #[arg(long, default_value_t = 0)]
    pub(super) threads: usize,
    /// Memory for sorting, in MiB. The result does not depend on it.
    #[arg(long, default_value_t = 512)]
    pub(super) memory_mib: usize,
    /// How progress is told.
    #[arg(long, value_enum, default_value_t)]
    pub(super) progress: Progress,
}

/// How far a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// To the committed dataset.
    Dataset,
    /// To the trained and evaluated model.
    Model,
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

pub(crate) fn run(args: &Args, kinds: &Kinds, until: Until) -> ExitCode {
    let (recipe, mut dag) = match dag::check(&args.recipe, kinds, &environment) {
        Ok(checked) => checked,
        Err(mistakes) => return wrong::mistakes(&mistakes, args.json),
    };
    if until == Until::Model && dag.train.is_none() {
        return wrong::misused("the recipe has no `[train]`; add one, or use `gristmill build`");
    }
    if args.strict {
        dag.be_strict();
    }
    let options = args.works.options(&dag.name, recipe.base());
    let report = match args.works.run(&dag, &options) {
        Ok(report) => report,
        Err(error) => return wrong::failed(error),
    };
    funnel::warn(&report, args.works.progress);
    if args.json {
        match serde_json::to_string(&report) {
            Ok(json) => println!("{json}"),
            Err(error) => return wrong::failed(error),
        }
    } else {
        summary(&report, &options);
    }
    match (until, &dag.train) {
        (Until::Model, Some(settings)) => {
            let work = Workdir(options.workdir.clone());
            train::with_settings(
                &work.dataset(),
                &options.workdir.join(train::MODEL),
                settings,
                model::device::Place::Cpu,
                args.works.progress,
                args.json,
            )
        }
        _ => ExitCode::SUCCESS,
    }
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
