//! Files of prompts: a prompt a line, or JSON lines with `prompt`.

use super::rows;
use crate::error::TrainError;
use std::path::Path;

/// Reads the prompts of a file; one that ends in `.jsonl` (also `.gz`) or `.parquet` has rows with `prompt`.
///
/// # Errors
/// The file cannot be read, holds no prompt, or a row has none.
pub fn read(path: &Path) -> Result<Vec<String>, TrainError> {
    let name = path.to_string_lossy();
    if [".jsonl", ".jsonl.gz", ".parquet"].iter().any(|ending| name.ends_with(ending)) {
        let found = rows::Rows { rows: rows::read(path)?, path: path.to_owned() };
        return found.map(|row| rows::text(row, "prompt").map(str::to_owned));
    }
    let text = std::fs::read_to_string(path).map_err(TrainError::io(path))?;
    let lines: Vec<String> = text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(TrainError::file(path)("holds no prompt; write one a line"));
    }
    Ok(lines)
}
