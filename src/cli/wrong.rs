//! How mistakes and failures are shown.

use miette::{LabeledSpan, MietteDiagnostic, NamedSource, Report};
use pipeline::recipe::{Mistake, Mistakes};
use std::fmt::Display;
use std::process::ExitCode;

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
