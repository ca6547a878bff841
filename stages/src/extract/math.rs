//! Mathematics as TeX: what the page carries of its source, else the tree of MathML read back.
//!
//! The source is an `annotation` whose encoding names TeX (KaTeX, MathJax, Wikipedia), or `alttext`. Without one,
//! presentation MathML (MathML Core) is written as the TeX that sets it: fractions, roots, scripts, tables. Operators stay
//! the characters that they are.
//!
//! ```text
//! <math><mfrac><mn>1</mn><mi>x</mi></mfrac></math>   →   $\frac{1}{x}$
//! ```

use super::page::Page;
use super::tag::Tag;

/// Most nodes of a formula; a longer one is read as the text in it.
pub(crate) const NODES_MAX: usize = 4096;
/// Deepest nesting that is written; what is deeper is left out.
const DEPTH_MAX: usize = 64;

/// Functions that TeX sets upright by a name of their own.
const FUNCTIONS: [&str; 16] = [
    "arccos", "arcsin", "arctan", "cos", "cot", "det", "exp", "gcd", "lim", "ln", "log", "max", "min", "sin",
    "sup", "tan",
];

/// The formula at a `math` element with its dollar signs; `None` where nothing can be made of it.
pub(crate) fn formula(page: &Page<'_>, at: usize) -> Option<String> {
    let node = &page.nodes[at];
    let inside = &page.nodes[at..node.end as usize];
    if inside.len() > NODES_MAX {
        return None;
    }
    let source = inside
        .iter()
        .position(|n| n.tag == Tag::Annotation && n.attribute("encoding").is_some_and(|e| e.contains("tex")));
    let tex = match (source, node.attribute("alttext")) {
        (Some(found), _) => page.line(at + found),
        (None, Some(text)) if !text.trim().is_empty() => text.to_owned(),
        (None, _) => row(page, at, DEPTH_MAX),
    };
    let tex = tex.trim();
    let mark = if node.attribute("display") == Some("block") { "$$" } else { "$" };
    (!tex.is_empty()).then(|| format!("{mark}{tex}{mark}"))
}

/// The children of an element one after the other.
fn row(page: &Page<'_>, at: usize, depth: usize) -> String {
    let mut out = String::new();
    for part in parts(page, at).map(|child| element(page, child, depth)).filter(|part| !part.is_empty()) {
        let joins = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphabetic());
        // The letters behind `\sin` would be read as part of the name.
        let name_end = out.rfind('\\').is_some_and(|n| out[n + 1..].bytes().all(|b| b.is_ascii_alphabetic()));
        if name_end && joins(part.chars().next()) {
            out.push(' ');
        }
        out.push_str(&part);
    }
    out
}

/// The children that are elements.
fn parts<'p>(page: &'p Page<'_>, at: usize) -> impl Iterator<Item = usize> + 'p {
    page.children(at).filter(|&child| page.nodes[child].element.is_some())
}

fn element(page: &Page<'_>, at: usize, depth: usize) -> String {
    let Some(depth) = depth.checked_sub(1) else { return String::new() };
    let name = page.nodes[at].element.map_or("", |element| element.name());
    let mut children = parts(page, at);
    let mut next = || children.next().map(|child| element(page, child, depth)).unwrap_or_default();
    match name {
        "mi" => identifier(page.line(at)),
        "mn" | "ms" => page.line(at),
        "mo" => operator(&page.line(at)),
        "mtext" => format!("\\text{{{}}}", page.line(at)),
        "mfrac" => format!("\\frac{{{}}}{{{}}}", next(), next()),
        "msqrt" => format!("\\sqrt{{{}}}", row(page, at, depth)),
        "mroot" => {
            let (base, index) = (next(), next());
            format!("\\sqrt[{index}]{{{base}}}")
        }
        "msup" | "mover" => format!("{}^{{{}}}", base(next()), next()),
        "msub" | "munder" => format!("{}_{{{}}}", base(next()), next()),
        "msubsup" | "munderover" => format!("{}_{{{}}}^{{{}}}", base(next()), next(), next()),
        "mtable" => {
            let rows: Vec<String> = parts(page, at).map(|row| element(page, row, depth)).collect();
            format!("\\begin{{matrix}}{}\\end{{matrix}}", rows.join(" \\\\ "))
        }
        "mtr" => parts(page, at).map(|cell| row(page, cell, depth)).collect::<Vec<_>>().join(" & "),
        "semantics" => next(),
        "annotation" | "annotation-xml" | "mphantom" => String::new(),
        "mspace" => " ".to_owned(),
        _ => row(page, at, depth),
    }
}

fn identifier(name: String) -> String {
    if FUNCTIONS.contains(&name.as_str()) { format!("\\{name}") } else { name }
}

/// An operator without those that are not seen (U+2061 to U+2064); a brace is one to TeX only behind a backslash.
fn operator(text: &str) -> String {
    match text {
        "{" | "}" | "%" | "&" | "#" => format!("\\{text}"),
        _ => text.chars().filter(|c| !matches!(c, '\u{2061}'..='\u{2064}')).collect(),
    }
}

/// What a script hangs on: one character or name as it is, more in braces.
fn base(tex: String) -> String {
    let is_name = tex.strip_prefix('\\').is_some_and(|name| name.bytes().all(|b| b.is_ascii_alphabetic()));
    if tex.chars().count() == 1 || is_name { tex } else { format!("{{{tex}}}") }
}

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use expect_test::expect;

    #[test]
    fn the_source_goes_before_the_tree() {
        check("<p>a <math alttext=x^2><mi>y</mi></math> b", &expect!["a $x^2$ b"]);
        check(
            "<math display=block><semantics><mi>y</mi><annotation encoding=application/x-tex>x^2 </annotation></semantics></math>",
            &expect!["$$x^2$$"],
        );
    }

    #[test]
    fn trees_are_read_back() {
        for (mathml, expected) in [
            ("<mfrac><mn>1</mn><mrow><mi>x</mi><mo>+</mo><mn>1</mn></mrow></mfrac>", r"$\frac{1}{x+1}$"),
            (
                "<msup><mi>x</mi><mn>2</mn></msup><mo>&InvisibleTimes;</mo><msub><mi>a</mi><mi>i</mi></msub>",
                r"$x^{2}a_{i}$",
            ),
            ("<msup><mrow><mo>(</mo><mi>x</mi><mo>)</mo></mrow><mn>2</mn></msup>", r"${(x)}^{2}$"),
            ("<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>", r"$x_{1}^{2}$"),
            (
                "<munderover><mo>&sum;</mo><mrow><mi>i</mi><mo>=</mo><mn>0</mn></mrow><mi>n</mi></munderover><mi>i</mi>",
                r"$∑_{i=0}^{n}i$",
            ),
            (
                "<msqrt><mi>x</mi><mi>y</mi></msqrt><mroot><mi>x</mi><mn>3</mn></mroot>",
                r"$\sqrt{xy}\sqrt[3]{x}$",
            ),
            ("<mi>sin</mi><mo>&ApplyFunction;</mo><mi>x</mi>", r"$\sin x$"),
            (
                "<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr><mtr><mtd><mi>a</mi></mtd></mtr></mtable>",
                r"$\begin{matrix}1 & 2 \\ a\end{matrix}$",
            ),
            ("<mtext>if so</mtext><mo>{</mo>", r"$\text{if so}\{$"),
            ("<mfrac></mfrac>", r"$\frac{}{}$"),
            ("", ""),
        ] {
            let config = super::super::html::Config { main_content: false, ..Default::default() };
            let text = super::super::html::extract(&format!("<math>{mathml}</math>"), None, &config).text;
            assert_eq!(text, expected, "{mathml}");
        }
    }
}
