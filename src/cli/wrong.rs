//! How mistakes and failures are shown.

use miette::{LabeledSpan, MietteDiagnostic, NamedSource, Report};
use model::TrainError;
use pipeline::inspect::{Dataset, InspectError};
use pipeline::recipe::{Mistake, Mistakes};
use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

/// Why a command ends without having done its work; the exit code follows from it, in every command by one rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// What was given cannot be: a flag, a setting, a path that is not what the command takes. Exit code 2.
    Use(String),
    /// The work did not succeed. Exit code 1.
    Work(String),
}

impl Trouble {
    /// Tells it.
    pub(super) fn tell(self) -> ExitCode {
        match self {
            Self::Use(message) => misused(message),
            Self::Work(message) => failed(message),
        }
    }

    /// The same, with words in front.
    pub(super) fn of(self, what: &str) -> Self {
        match self {
            Self::Use(message) => Self::Use(format!("{what}: {message}")),
            Self::Work(message) => Self::Work(format!("{what}: {message}")),
        }
    }
}

/// Settings that do not fit together, to the folder or to a model are wrong use, all else of the trainer is work.
impl From<TrainError> for Trouble {
    fn from(error: TrainError) -> Self {
        let message = error.to_string();
        match error {
            TrainError::OtherRun { .. } => Self::Use(format!("{message}\n`--out` names another folder")),
            TrainError::Config { .. } | TrainError::OtherModel { .. } => Self::Use(message),
            _ => Self::Work(message),
        }
    }
}

/// A question that cannot be answered as it was put is wrong use.
impl From<InspectError> for Trouble {
    fn from(error: InspectError) -> Self {
        let message = error.to_string();
        match error {
            InspectError::Question { .. } => Self::Use(message),
            _ => Self::Work(message),
        }
    }
}

impl From<String> for Trouble {
    fn from(message: String) -> Self {
        Self::Work(message)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Work(error.to_string())
    }
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self::Work(error.to_string())
    }
}

/// Exit code of a program that a person has stopped: 128 and the number of SIGINT.
pub(super) const INTERRUPTED: u8 = 130;

/// Tells what stopped the trainer.
pub(super) fn stopped(error: TrainError) -> ExitCode {
    Trouble::from(error).tell()
}

/// The same of a command that can take away what another training has left; `elsewhere` is the flag that leaves it alone, in words.
pub(super) fn of_another(error: TrainError, elsewhere: &str) -> ExitCode {
    match error {
        TrainError::Interrupted { .. } => {
            eprintln!("{error}");
            ExitCode::from(INTERRUPTED)
        }
        TrainError::OtherRun { .. } => {
            misused(format!("{error}\n`--restart` takes that training away and begins anew; {elsewhere}"))
        }
        error => stopped(error),
    }
}

/// Refuses a path where there is nothing.
///
/// # Errors
/// Wrong use, with the path.
pub(super) fn there(path: &Path) -> Result<(), Trouble> {
    match path.exists() {
        true => Ok(()),
        false => Err(Trouble::Use(format!("{}: there is no such file or folder", path.display()))),
    }
}

/// Refuses a path that is no dataset and holds none. One that a kill has left without its name is a dataset.
///
/// # Errors
/// Wrong use, with the path.
pub(super) fn dataset(path: &Path) -> Result<(), Trouble> {
    if Dataset::is_at(path) {
        return Ok(());
    }
    there(path)?;
    Err(no_dataset(path))
}

/// That there is no dataset.
pub(super) fn no_dataset(path: &Path) -> Trouble {
    let shown = path.display();
    let recipe = path.join("recipe.toml");
    Trouble::Use(match recipe.is_file() {
        true => format!(
            "{shown} holds no committed dataset; name the recipe in it, {}, once it is built",
            recipe.display()
        ),
        false => format!("{shown} holds no committed dataset; build one first"),
    })
}

/// Refuses to write into a folder that holds something.
///
/// # Errors
/// Wrong use, with the path.
pub(super) fn free(path: &Path) -> Result<(), Trouble> {
    let taken = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) || path.is_file();
    match taken {
        true => Err(Trouble::Use(format!(
            "{}: is there already and not empty; name another folder",
            path.display()
        ))),
        false => Ok(()),
    }
}

/// Something could not be done.
pub(super) fn failed(error: impl Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// The command was used in a wrong way.
pub(super) fn misused(error: impl Display) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::from(2)
}

/// Every mistake of a recipe, with the line that it is on.
pub(super) fn mistakes(mistakes: &Mistakes, json: bool) -> ExitCode {
    if json {
        let row = |m: &Mistake| {
            let place = mistakes.place(m);
            serde_json::json!({
                "file": mistakes.file, "line": place.line, "column": place.column,
                "message": m.message, "help": m.help,
            })
        };
        println!("{}", serde_json::Value::from_iter(mistakes.list.iter().map(row)));
        return ExitCode::from(2);
    }
    for mistake in &mistakes.list {
        // A file that is no text would be noise on a terminal.
        let is_text = !mistakes.text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
        if mistakes.text.is_empty() || !is_text {
            eprintln!("error: {}: {}\n  help: {}\n", mistakes.file.display(), mistake.message, mistake.help);
            continue;
        }
        let source = NamedSource::new(mistakes.file.to_string_lossy(), mistakes.text.clone());
        let label = LabeledSpan::new_primary_with_span(None, shown(&mistakes.text, mistake));
        let diagnostic = MietteDiagnostic::new(&mistake.message).with_help(&mistake.help).with_label(label);
        let report = Report::new(diagnostic).with_source_code(source);
        // One blank line between two mistakes, whatever the width of the help.
        eprintln!("{}\n", format!("{report:?}").trim_matches('\n'));
    }
    let count = mistakes.list.len();
    eprintln!("{count} mistake{} in {}", if count == 1 { "" } else { "s" }, mistakes.file.display());
    ExitCode::from(2)
}

/// The part of a mistake that is marked: of several lines the first alone, and never nothing.
fn shown(text: &str, mistake: &Mistake) -> std::ops::Range<usize> {
    let start = text.floor_char_boundary(mistake.span.start);
    let line = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let end = mistake.span.end.min(line);
    start..text.ceil_char_boundary(end.max(start + usize::from(line > start)))
}
