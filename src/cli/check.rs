//! `gristmill check RECIPE` and `gristmill plan RECIPE`.

use super::{build::workdir, environment, wrong};
use pipeline::dag::{self, Dag, Kinds};
use pipeline::engine::{self, NodePlan, Options};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill check recipe.toml")]
pub(crate) struct Args {
    /// Recipe to read.
    recipe: PathBuf,
    /// One JSON list of mistakes; empty when there is none.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[command(after_help = "Example: gristmill plan recipe.toml")]
pub(crate) struct PlanArgs {
    /// Recipe to read.
    recipe: PathBuf,
    /// Folder of the build (default: gristmill-NAME in the current folder).
    #[arg(long)]
    workdir: Option<PathBuf>,
    /// One JSON list of nodes.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args, kinds: &Kinds) -> ExitCode {
    match dag::check(&args.recipe, kinds, &environment) {
        Ok((_, dag)) if args.json => {
            println!("[]");
            drop(dag);
            ExitCode::SUCCESS
        }
        Ok((_, dag)) => {
            print!("{}", dag::draw(&dag));
            println!("{}: no mistakes, {} nodes", args.recipe.display(), dag.nodes.len());
            ExitCode::SUCCESS
        }
        Err(mistakes) => wrong::mistakes(&mistakes, args.json),
    }
}

pub(crate) fn plan(args: &PlanArgs, kinds: &Kinds) -> ExitCode {
    let (recipe, dag) = match dag::check(&args.recipe, kinds, &environment) {
        Ok(checked) => checked,
        Err(mistakes) => return wrong::mistakes(&mistakes, args.json),
    };
    let options = Options {
        workdir: workdir(args.workdir.as_deref(), &dag.name),
        base: recipe.base().to_owned(),
        threads: 0,
        memory_bytes: 0,
    };
    match engine::plan(&dag, &options) {
        Ok(plan) if args.json => {
            let row = |(node, plan): (&dag::Node, &NodePlan)| {
                serde_json::json!({
                    "name": node.name, "kind": node.spec.kind, "streams": plan.streams,
                    "cached": plan.cached, "why": plan.why,
                })
            };
            println!("{}", serde_json::Value::from_iter(dag.nodes.iter().zip(&plan.nodes).map(row)));
            ExitCode::SUCCESS
        }
        Ok(plan) => {
            show(&dag, &plan.nodes);
            let state = if plan.current { "is committed and current" } else { "will be written" };
            println!("dataset {} {state}", options.workdir.join("dataset").display());
            ExitCode::SUCCESS
        }
        Err(error) => wrong::failed(error),
    }
}

fn show(dag: &Dag, plans: &[NodePlan]) {
    let drawn = dag::draw(dag);
    let width = drawn.lines().map(|line| line.chars().count()).max().unwrap_or(0);
    for (line, plan) in drawn.lines().zip(plans) {
        let state = match (plan.streams, plan.cached) {
            (0, _) => "no split yet".to_owned(),
            (all, cached) if all == cached => "cached".to_owned(),
            (all, 0) => format!("run {all}"),
            (all, cached) => format!("run {} of {all}", all - cached),
        };
        let why = if plan.why.is_empty() { String::new() } else { format!("  ({})", plan.why) };
        println!("{line:width$}  {state}{why}");
    }
}
