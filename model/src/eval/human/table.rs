//! Tables that a spreadsheet opens and saves: comma-separated values (RFC 4180), read with the separators that spreadsheets use.

/// A line of cells.
pub(super) fn line(cells: &[&str]) -> String {
    let quoted = |cell: &&str| format!("\"{}\"", guarded(cell).replace('"', "\"\""));
    cells.iter().map(quoted).collect::<Vec<_>>().join(",") + "\r\n"
}

/// A cell that a spreadsheet would take for a formula begins with an apostrophe.
pub(super) fn guarded(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("{}{cell}", if formula { "'" } else { "" })
}

/// Rows of cells. The separator is the one that the first line has most of.
///
/// # Errors
/// A quoted cell does not end.
pub(super) fn read(text: &str) -> Result<Vec<Vec<String>>, String> {
    let text = text.trim_start_matches('\u{feff}');
    let head = text.lines().next().unwrap_or_default();
    let separator = [',', ';', '\t'].into_iter().max_by_key(|c| head.matches(*c).count()).unwrap_or(',');
    let mut rows = Vec::new();
    let (mut row, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                cell.push('"');
                chars.next();
            }
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => quoted = true,
            '\r' if chars.peek() == Some(&'\n') => {
                // Ends of lines are one character, in cells too.
            }
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c if c == separator && !quoted => row.push(std::mem::take(&mut cell)),
            c => cell.push(c),
        }
    }
    if quoted {
        return Err(format!("row {}: a quoted cell does not end", rows.len() + 1));
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows.retain(|row| row.iter().any(|cell| !cell.is_empty()));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let rows = [["a", "b \"c\",\nd", ""], ["é; x", "tab\tx", "1"]];
        let text: String = rows.iter().map(|row| line(row)).collect();
        assert_eq!(read(&text).unwrap(), rows);
        assert_eq!(read("\u{feff}a;b\r\n\"x\r\ny\";2\r\n;\r\n").unwrap(), [["a", "b"], ["x\ny", "2"]]);
        assert_eq!(read("a\tb\nc\td").unwrap(), [["a", "b"], ["c", "d"]]);
        assert_eq!(read("a,\"b").unwrap_err(), "row 1: a quoted cell does not end");
        assert_eq!(line(&["=1+1", "a"]), "\"'=1+1\",\"a\"\r\n");
    }
}
