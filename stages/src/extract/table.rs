//! Tables: which are data and which are layout, and the pipe table of GitHub Flavored Markdown.

use super::page::Page;
use super::tag::Tag;

/// Longest cell of a data table, in bytes of text; longer ones are layout.
const CELL_BYTES_MAX: usize = 1500;
/// Most columns that one cell may span.
const SPAN_MAX: usize = 100;

/// A table in the making.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Index of the first node behind it.
    pub(crate) end: usize,
    rows: Vec<Vec<String>>,
    /// Whether a row is open.
    open: bool,
}

impl Table {
    pub(crate) fn new(end: usize) -> Self {
        Self { end, ..Self::default() }
    }

    pub(crate) fn row(&mut self) {
        self.open = true;
        self.rows.push(Vec::new());
    }

    /// Adds a cell; a cell over several columns is followed by empty ones.
    pub(crate) fn cell(&mut self, text: &str, columns: usize) {
        if !self.open {
            self.row();
        }
        let row = self.rows.last_mut().expect("a row was just opened");
        row.push(text.replace('|', "\\|"));
        row.extend(std::iter::repeat_n(String::new(), columns.clamp(1, SPAN_MAX) - 1));
    }

    /// The lines of the table.
    pub(crate) fn lines(mut self, markdown: bool) -> Vec<String> {
        self.rows.retain(|row| row.iter().any(|cell| !cell.is_empty()));
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        if !markdown || columns < 2 {
            return self.rows.iter().map(|row| plain(row)).collect();
        }
        let mut lines: Vec<String> = Vec::with_capacity(self.rows.len() + 1);
        for row in &mut self.rows {
            row.resize(columns, String::new());
            lines.push(format!("| {} |", row.join(" | ")));
        }
        if !lines.is_empty() {
            lines.insert(1, format!("|{}", " --- |".repeat(columns)));
        }
        lines
    }
}

fn plain(row: &[String]) -> String {
    let cells: Vec<&str> = row.iter().map(String::as_str).filter(|c| !c.is_empty()).collect();
    cells.join(" ").replace("\\|", "|")
}

/// How many columns a cell spans.
pub(crate) fn span(page: &Page<'_>, cell: usize) -> usize {
    page.nodes[cell].attribute("colspan").and_then(|n| n.trim().parse().ok()).unwrap_or(1)
}

/// Whether the table holds data: more than one column, and cells that fit on a line.
pub(crate) fn is_data(page: &Page<'_>, at: usize) -> bool {
    let end = page.nodes[at].end as usize;
    let (mut rows, mut cells) = (0_usize, 0_usize);
    let mut next = at + 1;
    while next < end {
        let node = &page.nodes[next];
        match node.tag {
            Tag::Table | Tag::Pre | Tag::H1 | Tag::H2 | Tag::Form | Tag::Article => return false,
            Tag::Tr => rows += 1,
            Tag::Td | Tag::Th => {
                cells += 1;
                let mut text = 0;
                for inside in &page.nodes[next..node.end as usize] {
                    text += inside.text.trim().len();
                    if text > CELL_BYTES_MAX || inside.tag == Tag::Table {
                        return false;
                    }
                }
            }
            _ => {}
        }
        next += 1;
    }
    rows > 0 && cells > rows
}
