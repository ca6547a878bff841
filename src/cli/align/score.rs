//! `gristmill align score MODEL TASKS`: the likeliest answer to each prompt, and what it earns.

use super::method::rules;
use super::rows::{Found, Reading, read_tasks};
use crate::cli::folders;
use crate::cli::output::{emit_json, fail};
use crate::cli::wrong;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args)]
#[command(
    after_help = "Example: gristmill align score model tasks.jsonl --set reward_number=1 --rows answers.jsonl\n\n\
              A row has `prompt`, a text or a list of messages, and the `answer` that rules compare with."
)]
pub(super) struct Args {
    /// Folder of the model.
    model: PathBuf,
    /// JSON lines of tasks; all are answered.
    tasks: PathBuf,
    /// How chats are laid out: chatml, llama3, zephyr, plain or text (default: as the model's tokenizer_config.json says, or text).
    #[arg(long)]
    template: Option<String>,
    /// A weight of a rule, `key=value`; with none an answer has to be exact.
    #[arg(long = "set")]
    settings: Vec<String>,
    /// Folder of a reward model, whose number `--set reward_model=…` weighs.
    #[arg(long)]
    reward_model: Option<PathBuf>,
    /// Most tokens of an answer.
    #[arg(long, default_value_t = 64)]
    tokens: u64,
    /// A file for the answers, as JSON lines.
    #[arg(long)]
    rows: Option<PathBuf>,
    /// Goes on without rows that cannot be used.
    #[arg(long)]
    skip_bad: bool,
    /// The numbers as JSON on standard output.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let rules = match rules(&args.settings) {
        Ok(rules) => rules,
        Err(code) => return code,
    };
    let reading = Reading {
        template: args.template.clone(),
        held_out: None,
        held_out_share: 1.0,
        skip_bad: args.skip_bad,
    };
    let found = folders::model(&args.model).and_then(|folder| {
        args.reward_model.as_deref().map_or(Ok(()), wrong::there)?;
        Ok((read_tasks(&folder, &args.tasks, &reading)?, folder))
    });
    let (Found { rows, .. }, folder) = match found {
        Ok(found) => found,
        Err(trouble) => return trouble.tell(),
    };
    let judge = args.reward_model.as_deref();
    let scored = match model::align::score::score(&folder, &rows, &rules, judge, args.tokens) {
        Ok(scored) => scored,
        Err(error) => return wrong::stopped(error),
    };
    if let Some(path) = &args.rows {
        let mut lines = String::new();
        for row in &scored {
            let _ = writeln!(lines, "{}", serde_json::json!(row));
        }
        if let Err(error) = std::fs::write(path, lines) {
            return fail(&format!("{}: {error}", path.display()));
        }
    }
    let mean = |of: &dyn Fn(&model::align::score::Scored) -> f64| {
        scored.iter().map(of).sum::<f64>() / scored.len().max(1) as f64
    };
    let (reward, ended) = (mean(&|row| row.reward), mean(&|row| f64::from(u8::from(row.ended))));
    if args.json {
        let told = serde_json::json!({ "rows": scored.len(), "reward": reward, "ended": ended });
        return emit_json(&told, ExitCode::SUCCESS);
    }
    println!("reward  {reward:.4}\nended   {ended:.4}\nover    {} rows", scored.len());
    ExitCode::SUCCESS
}
