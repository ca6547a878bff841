//! A set of pages of our own whose structure is known: headings, nested lists, tables, code, quotes, formulas, as the
//! generators of pages write them, between menus, side bars and footers.
//!
//! Each page is made from a seed together with the list of what it holds, so nothing of the writer is used to tell what is
//! right. What the Markdown holds is read back line by line, and both lists are compared as multisets.

use super::html::{Choose, Config, Extractor, Focus};
use schemas::hash::{FastMap, Rng};
use std::collections::BTreeMap;

const PAGES: u64 = 200;
/// Least F1 of the content alone, and of whole pages.
const WRITTEN_MIN: f64 = 0.97;
const FOUND_MIN: f64 = 0.97;

/// One thing that a page holds: its kind with what belongs to it (level, depth, language), and its text.
type Item = (String, String);

const NOUNS: [&str; 24] = [
    "index", "river", "parser", "garden", "buffer", "harbour", "lantern", "schema", "market", "signal",
    "engine", "ledger", "valley", "thread", "window", "archive", "kernel", "bridge", "matrix", "forest",
    "packet", "compiler", "library", "castle",
];
const VERBS: [&str; 12] = [
    "keeps",
    "follows",
    "reads",
    "crosses",
    "builds",
    "needs",
    "describes",
    "changes",
    "measures",
    "carries",
    "joins",
    "leaves",
];
const CODE: [(&str, &str); 4] = [
    (
        "rust",
        "fn main() {\n    let NAME = vec![1, NUMBER];\n\n    if NAME.len() < 3 && !NAME.is_empty() {\n        println!(\"{NAME:?}\");\n    }\n}",
    ),
    ("python", "def NAME(r):\n\t# tab and blank line\n\n\treturn NUMBER * r ** 2\n\nprint(NAME(2) > 12 & 1)"),
    ("json", "{\n  \"NAME\": \"a <b> c\",\n  \"list\": [\n    1,\n    NUMBER\n  ]\n}"),
    ("sh", "for f in NAME/*.txt; do\n  wc -l \"$f\" | sort -n | head -NUMBER\ndone"),
];
const TEX: [(&str, &str); 4] = [
    ("E = mc^2", "<mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup>"),
    ("\\frac{a}{b}", "<mfrac><mi>a</mi><mi>b</mi></mfrac>"),
    ("x_1 + x_2", "<msub><mi>x</mi><mn>1</mn></msub><mo>+</mo><msub><mi>x</mi><mn>2</mn></msub>"),
    ("\\sqrt{n}", "<msqrt><mi>n</mi></msqrt>"),
];

struct Maker {
    rng: Rng,
    html: String,
    items: Vec<Item>,
    /// Where the content stands.
    main: (usize, usize),
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

impl Maker {
    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.rng.below(of.len() as u64) as usize]
    }

    fn words(&mut self) -> String {
        format!("{} {} the {}", self.pick(&NOUNS), self.pick(&VERBS), self.pick(&NOUNS))
    }

    fn sentence(&mut self) -> String {
        let (first, second) = (self.words(), self.words());
        format!("The {first}, while a {second} in the old {}.", self.pick(&NOUNS))
    }

    fn item(&mut self, kind: impl Into<String>, text: impl Into<String>) {
        self.items.push((kind.into(), text.into()));
    }

    fn put(&mut self, html: &str) {
        self.html.push_str(html);
    }

    fn paragraph(&mut self) {
        let (one, two, three) = (self.sentence(), self.sentence(), self.sentence());
        let html = match self.rng.below(3) {
            0 => format!("<p>{one} {two} {three}</p>\n"),
            1 => format!("<p>{one} <em>{two}</em> <a href=/x>{three}</a></p>"),
            _ => format!("<p>\n{one}\n<strong>{two}</strong> <code>a &lt; b</code> {three}\n</p>"),
        };
        self.put(&html);
    }

    fn heading(&mut self, level: usize) {
        let text = self.words();
        let html = match self.rng.below(3) {
            0 => format!("<h{level}>{text}</h{level}>"),
            1 => format!("<h{level} id=x><a class=anchor href=#x>#</a>{text}</h{level}>\n"),
            _ => format!("<div class=head><h{level}><span>{text}</span></h{level}></div>"),
        };
        self.put(&html);
        self.item(format!("h{level}"), text);
    }

    fn list(&mut self, depth: usize, quotes: usize) {
        let ordered = self.rng.below(3) == 0;
        self.put(if ordered { "<ol>" } else { "<ul>\n" });
        for _ in 0..2 + self.rng.below(3) {
            let text = format!("{} {}", self.words(), self.pick(&NOUNS));
            let kind = if ordered { "ol" } else { "ul" };
            self.item(format!("{kind}{depth}q{quotes}"), text.clone());
            let form = self.rng.below(6);
            match form {
                0 => {
                    let more = self.sentence();
                    self.put(&format!("<li><p>{text}</p>\n<p>{more}</p>"));
                    self.item("in item", more);
                }
                1 if depth < 3 => {
                    self.put(&format!("<li>{text}"));
                    self.list(depth + 1, quotes);
                }
                2 if depth == 1 => {
                    self.put(&format!("<li><p>{text}</p>"));
                    self.code();
                }
                _ => self.put(&format!("<li>{text}")),
            }
            self.put("</li>\n");
        }
        self.put(if ordered { "</ol>" } else { "</ul>" });
    }

    fn table(&mut self) {
        let (columns, rows) = (2 + self.rng.below(3) as usize, 2 + self.rng.below(4));
        self.put("<div class=table-wrap><table><thead><tr>");
        let heads: Vec<&str> = (0..columns).map(|_| self.pick(&NOUNS)).collect();
        self.put(&heads.iter().map(|h| format!("<th scope=col>{h}</th>")).collect::<String>());
        self.put("</tr></thead>\n<tbody>");
        self.item("row", heads.join("|"));
        for _ in 0..rows {
            self.put("<tr>");
            let mut cells = Vec::new();
            for _ in 0..columns {
                let text = self.words();
                let (html, cell) = match self.rng.below(5) {
                    0 => (format!("<td><p>{text}</p></td>"), text),
                    1 => (format!("<td><code>{}</code></td>", "x | y"), "`x \\| y`".to_owned()),
                    2 => ("<td>3.5 &lt; 7</td>".to_owned(), "3.5 < 7".to_owned()),
                    3 => (format!("<td>{text}<br>next</td>"), format!("{text} next")),
                    _ => (format!("<td>\n  {text}\n</td>"), text),
                };
                self.put(&html);
                cells.push(cell);
            }
            self.put("</tr>\n");
            self.item("row", cells.join("|"));
        }
        self.put("</tbody></table></div>");
    }

    fn code(&mut self) {
        let (language, text) = self.pick(&CODE);
        let (name, number) = (self.pick(&NOUNS), self.rng.below(1000));
        let text = text.replace("NAME", name).replace("NUMBER", &number.to_string());
        let inside = escaped(&text);
        let lines = || inside.split('\n');
        let html = match self.rng.below(5) {
            0 => format!("<pre><code class=\"language-{language}\">{inside}\n</code></pre>"),
            1 => format!(
                "<div class=\"highlight highlight-source-{language}\"><pre>{}</pre></div>",
                inside.replace("fn", "<span class=k>fn</span>").replace("for", "<span class=pl-k>for</span>")
            ),
            2 => format!(
                "<pre class=\"language-{language}\"><code class=\"language-{language}\">{inside}</code></pre>"
            ),
            3 => format!(
                "<div class=\"code\"><button>Copy</button><pre><code class=\"hljs {language}\">{}</code></pre></div>",
                lines().map(|l| format!("<span class=line>{l}</span>\n")).collect::<String>()
            ),
            _ => format!(
                "<div class=\"language-{language} highlighter-rouge\"><div class=highlight><pre class=highlight><code>{inside}\n</code></pre></div></div>"
            ),
        };
        self.put(&html);
        self.item(format!("code {language}"), text);
    }

    fn quote(&mut self, depth: usize) {
        self.put("<blockquote>");
        let text = self.sentence();
        self.put(&format!("<p>{text}</p>"));
        self.item(format!("quote{depth}"), text);
        if depth == 1 {
            match self.rng.below(3) {
                0 => self.quote(2),
                1 => self.list(1, 1),
                _ => {}
            }
        }
        self.put("</blockquote>\n");
    }

    fn formula(&mut self) {
        let (tex, mathml) = self.pick(&TEX);
        let text = self.sentence();
        let display = self.rng.below(2) == 0;
        let annotation = format!(
            "<semantics><mrow>{mathml}</mrow><annotation encoding=\"application/x-tex\">{tex}</annotation></semantics>"
        );
        let block = if display { " display=\"block\"" } else { "" };
        let html = match self.rng.below(4) {
            0 => format!("<math{block}>{annotation}</math>"),
            1 => {
                let katex = format!(
                    "<span class=\"katex\"><span class=\"katex-mathml\"><math{block}>{annotation}</math></span>\
                     <span class=\"katex-html\" aria-hidden=\"true\"><span class=\"mord\">x</span></span></span>"
                );
                if display { format!("<span class=\"katex-display\">{katex}</span>") } else { katex }
            }
            2 => {
                let mode = if display { "; mode=display" } else { "" };
                format!(
                    "<span class=\"MathJax_Preview\" style=\"display: none\"></span><script type=\"math/tex{mode}\">{tex}</script>"
                )
            }
            _ => format!("<math alttext=\"{tex}\"{block}><mrow>{mathml}</mrow></math>"),
        };
        self.put(&format!("<p>{text} It is {html} by definition.</p>"));
        self.item(if display { "$$" } else { "$" }, tex);
    }

    fn page(seed: u64) -> Self {
        let mut maker = Self {
            rng: Rng::new(schemas::hash::seed(11, "structure", seed)),
            html: String::new(),
            items: Vec::new(),
            main: (0, 0),
        };
        let title = maker.words();
        maker.put(&format!("<!doctype html><html lang=en><head><title>{title} | Site</title></head><body>"));
        maker.put("<header class=site-header><a href=/>Site</a><nav><ul><li><a href=/a>Home</a><li><a href=/b>About us</a><li><a href=/c>Contact</a></ul></nav></header>");
        let main = maker.pick(&["main", "article", "div class=content", "div id=main-content"]);
        maker.put(&format!("<div class=page><{main}>"));
        maker.main.0 = maker.html.len();
        maker.put(&format!("<h1>{title}</h1>"));
        maker.item("h1", title);
        maker.paragraph();
        for _ in 0..4 + maker.rng.below(4) {
            let level = 2 + maker.rng.below(2) as usize;
            maker.heading(level);
            maker.paragraph();
            for _ in 0..1 + maker.rng.below(3) {
                match maker.rng.below(6) {
                    0 => maker.list(1, 0),
                    1 => maker.table(),
                    2 => maker.code(),
                    3 => maker.quote(1),
                    4 => maker.formula(),
                    _ => maker.paragraph(),
                }
            }
        }
        maker.main.1 = maker.html.len();
        let name = main.split(' ').next().unwrap();
        maker.put(&format!("</{name}><aside class=sidebar><h3>Recent posts</h3><ul><li><a href=/1>One</a><li><a href=/2>Two</a></ul></aside></div>"));
        maker.put("<footer><ul><li><a href=/p>Privacy</a><li><a href=/t>Terms</a></ul><p>© 2024 Site</p></footer></body></html>");
        maker
    }
}

/// What a Markdown text holds.
fn read(markdown: &str) -> Vec<Item> {
    let mut items = Vec::new();
    // Indents of the open lists.
    let mut lists: Vec<usize> = Vec::new();
    let mut fence: Option<(usize, String, Vec<String>)> = None;
    for line in markdown.split('\n') {
        if let Some((indent, kind, mut lines)) = fence.take() {
            let body = line.get(indent..).unwrap_or_default();
            if body == "```" {
                items.push((kind, lines.join("\n")));
            } else {
                lines.push(body.to_owned());
                fence = Some((indent, kind, lines));
            }
            continue;
        }
        let quotes = line.split(' ').take_while(|word| *word == ">").count();
        let line = &line[(2 * quotes).min(line.len())..];
        let text = line.trim_start();
        let indent = line.len() - text.len();
        for mark in ["$$", "$"] {
            if let Some((_, rest)) = text.split_once(&format!(" {mark}"))
                && let Some((tex, _)) = rest.split_once(&format!("{mark} "))
                && !rest.starts_with('$')
            {
                items.push((mark.to_owned(), tex.to_owned()));
            }
        }
        let level = text.bytes().take_while(|b| *b == b'#').count();
        let (marker, body) = text.split_once(' ').unwrap_or((text, ""));
        let number = marker.strip_suffix('.').is_some_and(|n| n.parse::<u32>().is_ok());
        if let Some(language) = text.strip_prefix("```") {
            fence = Some((2 * quotes + indent, format!("code {language}"), Vec::new()));
        } else if level > 0 {
            items.push((format!("h{level}"), text[level..].trim().to_owned()));
        } else if text.starts_with('|') {
            if !text.trim_matches(['|', ' ', '-']).is_empty() {
                items.push(("row".to_owned(), text.trim_matches(['|', ' ']).replace(" | ", "|")));
            }
        } else if marker == "-" || number {
            while lists.last().is_some_and(|open| *open > indent) {
                lists.pop();
            }
            if lists.last() != Some(&indent) {
                lists.push(indent);
            }
            let kind = if number { "ol" } else { "ul" };
            items.push((format!("{kind}{}q{quotes}", lists.len()), body.to_owned()));
        } else if indent > 0 && !text.is_empty() {
            items.push(("in item".to_owned(), text.to_owned()));
        } else if quotes > 0 && !text.is_empty() {
            items.push((format!("quote{quotes}"), text.to_owned()));
        } else if !text.is_empty() {
            lists.clear();
        }
    }
    items
}

/// F1 over the set, with what was missed by kind.
fn score(config: Config, html: impl Fn(&Maker) -> &str) -> (f64, String) {
    let extractor = Extractor::new(config);
    let (mut hits, mut found, mut wanted) = (0, 0, 0);
    let mut missed: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..PAGES {
        let maker = Maker::page(seed);
        let items = read(&extractor.extract(html(&maker), None).text);
        found += items.len();
        wanted += maker.items.len();
        let mut left: FastMap<Item, usize> = FastMap::default();
        for item in items {
            *left.entry(item).or_default() += 1;
        }
        for item in &maker.items {
            match left.get_mut(item).filter(|n| **n > 0) {
                Some(n) => {
                    *n -= 1;
                    hits += 1;
                }
                None => *missed.entry(item.0.clone()).or_default() += 1,
            }
        }
    }
    let f1 = 2.0 * f64::from(hits) / (found + wanted) as f64;
    (f1, format!("F1 {f1:.4}: {hits} of {wanted} items, {found} found; missed {missed:?}"))
}

#[test]
fn structure_is_written_as_it_stands() {
    let config = Config { main_content: false, ..Config::default() };
    let (f1, told) = score(config, |maker| &maker.html[maker.main.0..maker.main.1]);
    eprintln!("the content alone: {told}");
    assert!(f1 >= WRITTEN_MIN, "{told}");
}

#[test]
fn structure_is_found_between_furniture() {
    let recall = Config { focus: Focus::Recall, ..Config::default() };
    let reader = Config { choose: Choose::Reader, ..Config::default() };
    for (name, config) in [("by default", Config::default()), ("recall", recall), ("reader", reader)] {
        let (f1, told) = score(config, |maker| &maker.html);
        eprintln!("whole pages, {name}: {told}");
        assert!(f1 >= FOUND_MIN, "{name}: {told}");
    }
}
