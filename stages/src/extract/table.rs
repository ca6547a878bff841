//! Tables: which are data and which are layout, and the pipe table of GitHub Flavored Markdown.

use super::page::Page;
use super::tag::Tag;

/// Longest cell of a data table, in bytes of text; longer ones are layout.
const CELL_BYTES_MAX: usize = 1500;
/// Most columns, and most rows, that one cell may span.
const SPAN_MAX: usize = 100;

/// Most places for each cell with text, beyond the first [`SPARSE_CELLS_MAX`]; a table with more is mostly bars, and its rows are lines.
const SPARSE_MAX: usize = 8;
/// Places that any table may have.
const SPARSE_CELLS_MAX: usize = 2000;

/// How many columns and rows a cell takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    columns: usize,
    rows: usize,
}

/// A row in the making.
#[derive(Debug, Default)]
struct Row {
    /// Cells with text, each with its column.
    cells: Vec<(usize, String)>,
    /// Places, empty ones included.
    width: usize,
}

/// A table in the making.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Index of the first node behind it.
    pub(crate) end: usize,
    rows: Vec<Row>,
    /// For each column, how many rows from the open one on a cell of an earlier row takes.
    taken: Vec<usize>,
    /// Whether a row is open.
    open: bool,
}

impl Table {
    pub(crate) fn new(end: usize) -> Self {
        Self { end, ..Self::default() }
    }

    pub(crate) fn row(&mut self) {
        if self.open {
            self.taken.iter_mut().for_each(|rows| *rows = rows.saturating_sub(1));
        }
        self.open = true;
        self.rows.push(Row::default());
    }

    /// Adds a cell; where it spans columns or rows, the other places are empty.
    pub(crate) fn cell(&mut self, text: &str, span: Span) {
        if !self.open {
            self.row();
        }
        let row = self.rows.last_mut().expect("a row was just opened");
        while self.taken.get(row.width).is_some_and(|rows| *rows > 0) {
            row.width += 1;
        }
        let at = row.width;
        row.width += span.columns;
        if !text.is_empty() {
            row.cells.push((at, text.replace('|', "\\|")));
        }
        if span.rows > 1 && row.width <= SPAN_MAX {
            self.taken.resize(self.taken.len().max(row.width), 0);
            self.taken[at..row.width].fill(span.rows);
        }
    }

    /// The lines of the table.
    pub(crate) fn lines(mut self, markdown: bool) -> Vec<String> {
        self.rows.retain(|row| !row.cells.is_empty());
        let columns = self.rows.iter().map(|row| row.width).max().unwrap_or(0);
        let filled: usize = self.rows.iter().map(|row| row.cells.len()).sum();
        let is_sparse = columns * self.rows.len() > SPARSE_CELLS_MAX + SPARSE_MAX * filled;
        if !markdown || columns < 2 || is_sparse {
            return self.rows.iter().map(Row::plain).collect();
        }
        let mut lines: Vec<String> = Vec::with_capacity(self.rows.len() + 1);
        lines.extend(self.rows.iter().map(|row| row.piped(columns)));
        if !lines.is_empty() {
            lines.insert(1, format!("|{}", " --- |".repeat(columns)));
        }
        lines
    }
}

impl Row {
    fn plain(&self) -> String {
        let cells: Vec<&str> = self.cells.iter().map(|(_, text)| text.as_str()).collect();
        cells.join(" ").replace("\\|", "|")
    }

    fn piped(&self, columns: usize) -> String {
        let mut line = String::from("|");
        let mut cells = self.cells.iter().peekable();
        for column in 0..columns {
            line.push(' ');
            if let Some((_, text)) = cells.next_if(|(at, _)| *at == column) {
                line.push_str(text);
            }
            line.push_str(" |");
        }
        line
    }
}

/// How many columns and rows a cell spans; 0 rows, all that follow, count as one.
pub(crate) fn span(page: &Page<'_>, cell: usize) -> Span {
    let number = |name| page.nodes[cell].attribute(name).and_then(|n| n.trim().parse::<usize>().ok());
    let bounded = |name| number(name).unwrap_or(1).clamp(1, SPAN_MAX);
    Span { columns: bounded("colspan"), rows: bounded("rowspan") }
}

/// Whether the table holds data: more than one column, and cells that fit on a line.
pub(crate) fn is_data(page: &Page<'_>, at: usize) -> bool {
    let end = page.nodes[at].end as usize;
    let (mut rows, mut cells) = (0_usize, 0_usize);
    // Where the open cell ends, and its text so far; a cell in it has no more.
    let (mut cell_end, mut text) = (0, 0);
    for (next, node) in page.nodes[..end].iter().enumerate().skip(at + 1) {
        match node.tag {
            Tag::Table | Tag::Pre | Tag::H1 | Tag::H2 | Tag::Form | Tag::Article => return false,
            Tag::Tr => rows += 1,
            Tag::Td | Tag::Th => {
                cells += 1;
                if next >= cell_end {
                    (cell_end, text) = (node.end as usize, 0);
                }
            }
            Tag::Text if next < cell_end => {
                text += node.text.trim().len();
                if text > CELL_BYTES_MAX {
                    return false;
                }
            }
            _ => {}
        }
    }
    rows > 0 && cells > rows
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use expect_test::expect;

    #[test]
    fn pipe_tables() {
        check(
            "<table><thead><tr><th>a<th>b</thead><tbody><tr><td>1<td>2</tbody></table>",
            &expect![[r#"
            | a | b |
            | --- | --- |
            | 1 | 2 |"#]],
        );
        check(
            "<table><caption>Cap</caption><tr><th>a<th>b<tr><td>1<td>2</table><p>x",
            &expect![[r#"
            Cap

            | a | b |
            | --- | --- |
            | 1 | 2 |

            x"#]],
        );
        check(
            "<table><tr><td>1<td>2<tr><td>3<td>4</table>",
            &expect![[r#"
            | 1 | 2 |
            | --- | --- |
            | 3 | 4 |"#]],
        );
        check(
            "<table><tr><th>a<td>1<tr><th>b<td>2</table>",
            &expect![[r#"
            | a | 1 |
            | --- | --- |
            | b | 2 |"#]],
        );
        check(
            r"<table><tr><th>a<th>b<tr><td>x|y \| z<td><code>p|q</code></table>",
            &expect![[r#"
            | a | b |
            | --- | --- |
            | x\|y \\\| z | `p\|q` |"#]],
        );
        check(
            "<table><tr><th>a<th>b<tr><td>1<br>2<td><p>3<p>4<tr><td><ul><li>5<li>6</ul><td><b>7</b></table>",
            &expect![[r#"
                | a | b |
                | --- | --- |
                | 1 2 | 3 4 |
                | 5 6 | **7** |"#]],
        );
        check(
            "<table><tr><th>a<th>b<tr><td><td>1<tr><td><td></table>",
            &expect![[r#"
            | a | b |
            | --- | --- |
            |  | 1 |"#]],
        );
    }

    #[test]
    fn cells_over_columns_and_rows() {
        check(
            "<table><tr><th colspan=2>a<tr><td>1<td>2</table>",
            &expect![[r#"
            | a |  |
            | --- | --- |
            | 1 | 2 |"#]],
        );
        check(
            "<table><tr><th>a<th>b<th>c<tr><td rowspan=2>1<td>2<td>3<tr><td>4<td>5<tr><td>6<td>7<td>8</table>",
            &expect![[r#"
                | a | b | c |
                | --- | --- | --- |
                | 1 | 2 | 3 |
                |  | 4 | 5 |
                | 6 | 7 | 8 |"#]],
        );
        check(
            "<table><tr><td rowspan=2 colspan=2>1<td>2<tr><td>3</table>",
            &expect![[r#"
            | 1 |  | 2 |
            | --- | --- | --- |
            |  |  | 3 |"#]],
        );
        check(
            "<table><tr><td>a<td rowspan=0>b<tr><td colspan=x>c<td colspan=0>d</table>",
            &expect![[r#"
            | a | b |
            | --- | --- |
            | c | d |"#]],
        );
        check(
            "<table><tr><td>a<td rowspan=9>b</table>",
            &expect![[r#"
            | a | b |
            | --- | --- |"#]],
        );
    }

    #[test]
    fn tables_of_layout_are_read_through() {
        check("<table><tr><td>only</table>", &expect!["only"]);
        check(
            "<table><tr><td><h1>A</h1><td>b</table>",
            &expect![[r#"
            # A

            b"#]],
        );
        check(
            "<table><tr><td>a<td><table><tr><td>1<td>2<tr><td>3<td>4</table></table>",
            &expect![[r#"
            a

            | 1 | 2 |
            | --- | --- |
            | 3 | 4 |"#]],
        );
        check(
            "<table><tr><td>a<td><pre>b</pre></table>",
            &expect![[r#"
            a

            ```
            b
            ```"#]],
        );
        check("<table></table><p>a", &expect!["a"]);
    }

    #[test]
    fn many_cells_over_many_rows_are_bounded() {
        let wide = format!("<table><tr>{}{}", "<td rowspan=99>x".repeat(300), "<tr><td>y".repeat(500));
        let config = super::super::html::Config { main_content: false, ..Default::default() };
        let text = super::super::html::extract(&wide, None, &config).text;
        assert!(text.len() < 700_000, "{}", text.len());
    }
}
