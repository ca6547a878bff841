//! Writing to a terminal or a pipe: how wide, in colour or not, and quiet when the reader has gone.

use pipeline::inspect::layout::Style;
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

/// Width where there is no terminal and `COLUMNS` does not say.
const WIDTH_PIPED: usize = 120;
/// Narrower than this nothing can be laid out.
const WIDTH_MIN: usize = 40;

/// The style of standard output. Colour on a terminal alone, and not when `NO_COLOR` is set.
pub(super) fn style() -> Style {
    let is_terminal = std::io::stdout().is_terminal();
    let asked = std::env::var("COLUMNS").ok().and_then(|n| n.parse().ok());
    let terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let width = asked.or(terminal.filter(|_| is_terminal)).unwrap_or(WIDTH_PIPED);
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    Style { width: width.max(WIDTH_MIN), colour: is_terminal && !no_colour }
}

/// Writes words and an end; that the reader has gone away is passed over, for there is no one to tell.
///
/// # Panics
/// Like `std::println`, when the words cannot be written for another reason: they must not be lost in silence.
pub(super) fn write(out: &mut dyn Write, words: std::fmt::Arguments<'_>, end: &str) {
    // In one piece: the lines of two threads must not run into each other.
    match out.write_all(format!("{words}{end}").as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => panic!("cannot write: {error}"),
        _ => {}
    }
}

/// Tells something on standard error, or nobody where that cannot be: no work ends because of a full log or a closed window.
pub(super) fn tell(words: std::fmt::Arguments<'_>) {
    drop(std::io::stderr().write_all(format!("{words}\n").as_bytes()));
}

/// Writes to standard output; a reader that has gone away is no failure.
pub(super) fn emit(text: &str, code: ExitCode) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => fail(&error),
        _ => code,
    }
}

/// Writes the bytes of a file to standard output; a reader that has gone away is no failure.
///
/// # Errors
/// The file cannot be read, or its bytes not be written.
pub(super) fn emit_file(path: &Path) -> std::io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    let mut out = std::io::stdout().lock();
    match std::io::copy(&mut file, &mut out).and_then(|_| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Writes a value as JSON.
pub(super) fn emit_json(value: &impl Serialize, code: ExitCode) -> ExitCode {
    match serde_json::to_string_pretty(value) {
        Ok(text) => emit(&(text + "\n"), code),
        Err(error) => fail(&error),
    }
}

/// Writes a value as one line of JSON: several commands write several.
///
/// # Errors
/// The exit code of what went wrong, which is told.
pub(super) fn emit_json_line(value: &impl Serialize) -> Result<(), ExitCode> {
    let text = serde_json::to_string(value).map_err(|error| fail(&error))?;
    match emit(&(text + "\n"), ExitCode::SUCCESS) {
        code if code == ExitCode::SUCCESS => Ok(()),
        code => Err(code),
    }
}

/// Tells an error. Exit code 1.
pub(super) fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    // Standard error may be a closed pipe too.
    drop(writeln!(std::io::stderr(), "error: {error}"));
    ExitCode::FAILURE
}
