//! Grids as text for a terminal: aligned columns, thin rules, thousands separators, cells cut to the width.
//!
//! Text out of documents is made harmless first: control characters, which could move the cursor, and marks that turn the
//! direction of writing are shown as `·`, line ends as `↵`.

use super::Grid;
use schemas::DocId;
pub use schemas::number::thousands;
use serde_json::Value as Json;
use std::fmt::Write;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns narrower than this are not worth a table; rows are shown as blocks of `name value` then.
const COLUMN_WIDTH_MIN: usize = 9;
/// Between columns.
const GAP: &str = "  ";

/// How wide, and whether in colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Characters in a line.
    pub width: usize,
    /// Whether escape codes for colour are allowed.
    pub colour: bool,
}

/// What a piece of text is, for colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// A heading.
    Bold,
    /// Beside the point.
    Dim,
    /// Went well.
    Green,
    /// Changed.
    Yellow,
    /// Lost or wrong.
    Red,
    /// A name.
    Cyan,
}

impl Style {
    /// The text in colour, where colour is allowed.
    pub fn paint(&self, ink: Ink, text: &str) -> String {
        let code = match ink {
            Ink::Bold => 1,
            Ink::Dim => 2,
            Ink::Green => 32,
            Ink::Yellow => 33,
            Ink::Red => 31,
            Ink::Cyan => 36,
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A thin rule with a title in it.
    pub fn rule(&self, title: &str) -> String {
        let title = cut(title, self.width.saturating_sub(4));
        let rest = self.width.saturating_sub(title.width() + 4);
        let line = |n: usize| self.paint(Ink::Dim, &"─".repeat(n));
        format!("{} {} {}\n", line(2), self.paint(Ink::Bold, &title), line(rest))
    }

    /// `name  value` lines, values aligned.
    pub fn pairs(&self, pairs: &[(&str, String)]) -> String {
        let widest = pairs.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
        pairs.iter().fold(String::new(), |mut out, (name, value)| {
            let value = cut(&one_line(value), self.width.saturating_sub(widest + GAP.len()));
            push(&mut out, format_args!("{}{GAP}{value}\n", self.paint(Ink::Dim, &pad(name, widest, false))));
            out
        })
    }

    /// A grid as a table, or row by row where the columns do not fit; `labels` are the numbers of the rows.
    pub fn grid(&self, grid: &Grid, labels: Option<&[u64]>) -> String {
        if grid.columns.is_empty() {
            return String::new();
        }
        let ids: Vec<bool> = (0..grid.columns.len()).map(|at| of_ids(grid, at)).collect();
        let least = grid.columns.iter().enumerate().map(|(at, c)| {
            let widest = grid.rows.iter().map(|row| shown(&row[at], self.width).width()).max().unwrap_or(0);
            let whole = widest.max(c.name.width());
            if ids[at] { whole } else { whole.min(COLUMN_WIDTH_MIN) }
        });
        let label = labels.map_or(0, |l| l.last().map_or(0, |n| thousands(*n).len() + GAP.len()));
        let needed = least.sum::<usize>() + GAP.len() * (grid.columns.len() - 1) + label;
        if needed <= self.width { self.table(grid, labels, &ids) } else { self.blocks(grid, labels) }
    }

    fn table(&self, grid: &Grid, labels: Option<&[u64]>, ids: &[bool]) -> String {
        let mut columns: Vec<(String, bool, Vec<String>)> = Vec::new();
        if let Some(labels) = labels {
            columns.push(("row".to_owned(), true, labels.iter().map(|n| thousands(*n)).collect()));
        }
        columns.extend(grid.columns.iter().enumerate().map(|(at, column)| {
            let cells = grid.rows.iter().map(|row| shown(&row[at], self.width)).collect();
            let numbers = column.kind == "Number" || grid.rows.iter().any(|row| row[at].is_number());
            (one_line(&column.name), numbers && !grid.rows.iter().any(|row| row[at].is_array()), cells)
        }));
        let natural = columns
            .iter()
            .map(|(name, _, cells)| cells.iter().map(|c| c.width()).chain([name.width()]).max().unwrap_or(0));
        // The numbers of the rows may be cut.
        let kept: Vec<bool> = labels.map(|_| false).into_iter().chain(ids.iter().copied()).collect();
        let widths = shrink(natural.collect(), &kept, self.width);
        let line = |cell: &dyn Fn(usize) -> String| {
            let cells: Vec<String> = columns
                .iter()
                .enumerate()
                .map(|(at, (_, right, _))| pad(&cell(at), widths[at], *right))
                .collect();
            cells.join(GAP).trim_end().to_owned()
        };
        let mut out = self.paint(Ink::Bold, &line(&|at| columns[at].0.clone()));
        let rules: Vec<String> = widths.iter().map(|w| "─".repeat(*w)).collect();
        push(&mut out, format_args!("\n{}\n", self.paint(Ink::Dim, &rules.join(GAP))));
        for row in 0..grid.rows.len() {
            push(&mut out, format_args!("{}\n", line(&|at| columns[at].2[row].clone())));
        }
        out
    }

    fn blocks(&self, grid: &Grid, labels: Option<&[u64]>) -> String {
        let mut out = String::new();
        let widest = grid.columns.iter().map(|c| c.name.width()).max().unwrap_or(0).min(24);
        for (at, row) in grid.rows.iter().enumerate() {
            let label = labels.map_or(at as u64, |l| l[at]);
            out.push_str(&self.rule(&format!("row {}", thousands(label))));
            for (column, cell) in grid.columns.iter().zip(row) {
                let size = size(cell).map_or(String::new(), |s| format!("{GAP}{s}"));
                let room = self.width.saturating_sub(widest + GAP.len());
                let value = shown(cell, self.width);
                let fits = value.width() <= room;
                let value = if fits { value } else { cut(&value, room.saturating_sub(size.width())) };
                let name = self.paint(Ink::Dim, &pad(&one_line(&column.name), widest, false));
                let size = if fits { String::new() } else { self.paint(Ink::Dim, &size) };
                push(&mut out, format_args!("{name}{GAP}{value}{size}\n"));
            }
        }
        out
    }
}

/// The length of what is too long to be shown whole.
fn size(cell: &Json) -> Option<String> {
    match cell {
        Json::String(text) => Some(format!("{} chars", thousands(text.chars().count() as u64))),
        Json::Array(cells) => Some(format!("{} items", thousands(cells.len() as u64))),
        _ => None,
    }
}

/// Takes from the widest columns that need not stay whole until all fit.
fn shrink(mut widths: Vec<usize>, kept: &[bool], room: usize) -> Vec<usize> {
    let room = room.saturating_sub(GAP.len() * widths.len().saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        let free = || widths.iter().zip(kept).filter(|(_, kept)| !**kept).map(|(width, _)| *width);
        let widest = free().max().unwrap_or(0);
        if widest <= 1 {
            break;
        }
        let next = free().filter(|w| *w < widest).max().unwrap_or(0);
        let many = free().filter(|w| *w == widest).count();
        let over = widths.iter().sum::<usize>() - room;
        let step = over.div_ceil(many).min(widest - next).max(1);
        let wide = widths.iter_mut().zip(kept).filter(|(width, kept)| !**kept && **width == widest);
        wide.for_each(|(width, _)| *width = width.saturating_sub(step).max(1));
    }
    widths
}

/// Whether a column holds ids of documents: half of one is of no use to who wants to ask for it.
fn of_ids(grid: &Grid, at: usize) -> bool {
    let mut ids = grid.rows.iter().filter_map(|row| row[at].as_str()).peekable();
    ids.peek().is_some() && ids.all(|id| DocId::parse(id).is_some())
}

/// A cell on one line; no more of it is looked at than could be shown.
fn shown(cell: &Json, width: usize) -> String {
    match cell {
        Json::Null => "–".to_owned(),
        Json::String(text) => one_line(&text[..text.floor_char_boundary(8 * width)]),
        Json::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(n), _) => thousands(n),
            (None, Some(n)) => format!("-{}", thousands(n.unsigned_abs())),
            _ => number.to_string(),
        },
        Json::Array(cells) => {
            let (mut out, mut comma) = (String::from("["), "");
            for cell in cells {
                push(&mut out, format_args!("{comma}{cell}"));
                comma = ", ";
                if out.len() > 4 * width {
                    break;
                }
            }
            out.push(']');
            one_line(&out)
        }
        other => one_line(&other.to_string()),
    }
}

/// A measured value in few digits: whole numbers whole, others with up to four decimals.
pub fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}{}", thousands(value.abs() as u64));
    }
    let text = format!("{value:.4}");
    if value.abs() >= 1e-4 { text.trim_end_matches('0').to_owned() } else { format!("{value:e}") }
}

/// Bytes in the unit that leaves up to three digits.
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// Text that is safe to print on one line.
pub fn one_line(text: &str) -> String {
    text.chars().map(harmless).collect()
}

/// What a terminal is given instead of a character that would act on it.
pub(crate) fn harmless(c: char) -> char {
    match c {
        '\n' | '\u{2028}' | '\u{2029}' => '↵',
        '\t' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '·',
        c if c.is_control() => '·',
        c => c,
    }
}

/// Cells of a terminal that a text takes.
pub fn cells(text: &str) -> usize {
    text.width()
}

/// Cuts text to `width` cells of a terminal, with `…` in place of what is gone.
pub fn cut(text: &str, width: usize) -> String {
    if text.len() <= width || text.width() <= width {
        return text.to_owned();
    }
    let (mut out, mut used) = (String::new(), 1);
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > width {
            break;
        }
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

fn pad(text: &str, width: usize, right: bool) -> String {
    let text = cut(text, width);
    let room = " ".repeat(width.saturating_sub(text.width()));
    if right { room + &text } else { text + &room }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(width: usize, rows: &[[Json; 3]], expected: &str) {
        let mut grid = Grid::new(&["id", "n", "text"]);
        grid.rows.extend(rows.iter().map(|row| row.to_vec()));
        let text = Style { width, colour: false }.grid(&grid, None);
        assert!(text.lines().all(|line| line.width() <= width), "{text}");
        assert_eq!(text, expected);
    }

    #[test]
    fn a_table_is_aligned_and_cut() {
        let rows = [
            [json!("a"), json!(1234567), json!("one\ntwo")],
            [json!("bc"), json!(null), json!("日本語日本語")],
        ];
        let table = "\
id          n  text
──  ─────────  ─────────
a   1,234,567  one↵two
bc          –  日本語日…
";
        check(24, &rows, table);
    }

    #[test]
    fn ids_stay_whole() {
        let id = DocId::new("layout", "0").to_string();
        let rows = [[json!(id), json!(7), json!("x".repeat(90))]];
        let table = format!(
            "{:32}  n  text\n{}  ─  {}\n{id}  7  {}…\n",
            "id",
            "─".repeat(32),
            "─".repeat(20),
            "x".repeat(19)
        );
        check(57, &rows, &table);
    }

    #[test]
    fn what_does_not_fit_is_shown_row_by_row() {
        let rows = [[json!("abcdefghij"), json!(7), json!("x".repeat(90))]];
        check(20, &rows, "── row 0 ───────────\nid    abcdefghij\nn     7\ntext  xxx…  90 chars\n");
    }

    #[test]
    fn text_cannot_act_on_the_terminal() {
        assert_eq!(one_line("a\u{1b}[31mb\r\u{202e}c\0"), "a·[31mb··c·");
        assert_eq!(cut("", 0), "");
        assert_eq!(cut("abc", 2), "a…");
    }

    #[test]
    fn numbers() {
        for (n, text) in [(0.5, "0.5"), (-1234.0, "-1,234"), (0.123456, "0.1235"), (2e-7, "2e-7")] {
            assert_eq!(number(n), text);
        }
        assert_eq!((bytes(1023), bytes(1536)), ("1023 B".into(), "1.5 KiB".into()));
    }
}
