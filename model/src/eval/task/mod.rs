//! The tasks of lm-evaluation-harness 0.4.13 that are scored natively, a file a family.
//!
//! A family says how a row becomes an [`Item`]: the text before it, what is asked and what is right. How items are asked of a model and judged
//! stands in `run`, how judgements become figures in `figures`.

mod arc;
mod crows;
mod figures;
mod hellaswag;
mod judge;
mod lambada;
mod mmlu;
mod run;
mod truthfulqa;
mod wikitext;

pub use figures::{Figure, Summary};
pub use judge::{Answered, Measure};
pub use run::{Options, Outcome, run};

use serde_json::Value;

/// A task, or a group of them that share their rows.
#[derive(Debug)]
pub struct Spec {
    /// Name, as the harness has it.
    pub name: &'static str,
    /// What it asks.
    pub summary: &'static str,
    /// Stems of the files of rows, the first that is there counts.
    pub rows: &'static [&'static str],
    /// Where solved examples come from.
    pub shots: Shots,
    /// What is measured of each row and shown, in this order.
    pub measures: &'static [&'static str],
    /// Makes an item of a row.
    pub(crate) item: fn(&Value) -> Result<Item, String>,
}

/// Where the solved examples of a task come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shots {
    /// It has its own, and takes no others.
    Fixed,
    /// Drawn anew for each row; where `one_more`, one more is drawn and the row itself left out.
    Drawn {
        /// Stems of the files of rows that are drawn from.
        from: &'static [&'static str],
        /// Whether the row itself is left out.
        one_more: bool,
    },
    /// The first ones of the same part.
    First {
        /// Stems of the files of rows.
        from: &'static [&'static str],
    },
}

/// A row as it is asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    /// What the row is called, where it says so.
    pub(crate) id: String,
    /// The part of the task (a subject of MMLU), or nothing.
    pub(crate) part: String,
    /// Stands once before everything, examples included.
    pub(crate) description: String,
    /// The question.
    pub(crate) context: String,
    /// What is asked.
    pub(crate) ask: Ask,
    /// The answer as an example shows it, behind the context and a space.
    pub(crate) solved: String,
    /// The text by which the row would be found in training data.
    pub(crate) query: String,
}

impl Item {
    /// An item without parts and description.
    fn new(row: &Value, context: String, ask: Ask) -> Self {
        let query = context.clone();
        Self {
            id: row["id"].as_str().unwrap_or_default().to_owned(),
            part: String::new(),
            description: String::new(),
            context,
            ask,
            solved: String::new(),
            query,
        }
    }
}

/// What is asked of the model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ask {
    /// Which choice is most likely behind a space.
    Choices {
        /// The choices.
        choices: Vec<String>,
        /// The right one.
        gold: usize,
    },
    /// How likely the true ones among all answers are.
    Answers {
        /// The answers.
        answers: Vec<String>,
        /// Whether each is true.
        truth: Vec<bool>,
    },
    /// Which of two sentences is likelier.
    Pair {
        /// The one that stereotypes more.
        more: String,
        /// The other.
        less: String,
    },
    /// How likely a continuation is, and whether it would be written.
    Continuation {
        /// The continuation, with its space.
        text: String,
    },
    /// How likely a whole text is.
    Page {
        /// The text as it is scored.
        text: String,
        /// Words of the page as it was.
        words: usize,
        /// Bytes of the page as it was.
        bytes: usize,
    },
    /// What is written, up to a blank line.
    Text {
        /// What is true.
        right: Vec<String>,
        /// What is false.
        wrong: Vec<String>,
    },
}

/// Every task, in alphabetical order.
pub const ALL: &[Spec] = &[
    arc::CHALLENGE,
    arc::EASY,
    crows::SPEC,
    hellaswag::SPEC,
    lambada::OPENAI,
    lambada::STANDARD,
    mmlu::SPEC,
    truthfulqa::GEN,
    truthfulqa::MC1,
    truthfulqa::MC2,
    wikitext::SPEC,
];

/// A task that was named, and which parts of it.
#[derive(Debug, Clone, Copy)]
pub struct Chosen {
    /// The task.
    pub spec: &'static Spec,
    /// The name that was given: that of the task, of a group of its parts, or of a part.
    pub name: &'static str,
}

/// The task of a name; `mmlu_stem` and `mmlu_anatomy` are parts of `mmlu`.
///
/// # Errors
/// No task is called so, with the names that there are.
pub fn find(name: &str) -> Result<Chosen, String> {
    if let Some(spec) = ALL.iter().find(|spec| spec.name == name) {
        return Ok(Chosen { spec, name: spec.name });
    }
    if let Some(name) = mmlu::part(name) {
        return Ok(Chosen { spec: &mmlu::SPEC, name });
    }
    let names: Vec<&str> = ALL.iter().map(|spec| spec.name).collect();
    Err(format!(
        "no task is called `{name}`; there are {}, and the groups and subjects of mmlu",
        names.join(", ")
    ))
}
