//! Code: exact white space, the language, fences long enough.

use super::page::{Node, Page};
use super::tag::Tag;

/// Class prefixes that name the language of a code block.
const PREFIXES: [&str; 6] = ["language-", "lang-", "highlight-source-", "highlight-text-", "brush:", "src-"];
/// Names that count as a language when they stand alone as a class.
const LANGUAGES: [&str; 60] = [
    "ada",
    "asm",
    "bash",
    "c",
    "clojure",
    "cmake",
    "cpp",
    "c++",
    "csharp",
    "css",
    "cuda",
    "dart",
    "diff",
    "docker",
    "dockerfile",
    "elixir",
    "elm",
    "erlang",
    "fortran",
    "fsharp",
    "go",
    "golang",
    "graphql",
    "groovy",
    "haskell",
    "html",
    "ini",
    "java",
    "javascript",
    "js",
    "json",
    "julia",
    "kotlin",
    "latex",
    "lisp",
    "lua",
    "makefile",
    "matlab",
    "nix",
    "objc",
    "ocaml",
    "perl",
    "php",
    "powershell",
    "prolog",
    "python",
    "r",
    "ruby",
    "rust",
    "scala",
    "scheme",
    "sh",
    "shell",
    "sql",
    "swift",
    "toml",
    "typescript",
    "xml",
    "yaml",
    "zig",
];

/// The characters of a subtree with their white space; `br` and block elements break lines.
pub(crate) fn verbatim(page: &Page<'_>, at: usize, removed: &[bool]) -> String {
    let mut out = String::new();
    let mut blocks: Vec<usize> = Vec::new();
    let mut next = at + 1;
    let break_line = |out: &mut String| {
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
    };
    while next < page.nodes[at].end as usize {
        while blocks.last().is_some_and(|&end| end <= next) {
            blocks.pop();
            break_line(&mut out);
        }
        let node = &page.nodes[next];
        if removed[next] {
            next = node.end as usize;
            continue;
        }
        match node.tag {
            Tag::Text => out.push_str(node.text),
            Tag::Br => out.push('\n'),
            tag if tag.is_block() => {
                break_line(&mut out);
                blocks.push(node.end as usize);
            }
            _ => {}
        }
        next += 1;
    }
    let first =
        out.find(|c: char| !c.is_whitespace()).map_or(0, |n| out[..n].rfind('\n').map_or(0, |n| n + 1));
    let out = out[first..].trim_end();
    if out.contains(['\r', '\u{a0}']) {
        out.replace("\r\n", "\n").replace(['\r', '\u{a0}'], " ")
    } else {
        out.to_owned()
    }
}

/// The language of a code block: its own class, that of the `code` in it, or that of two elements around it.
pub(crate) fn language<'a>(page: &Page<'a>, at: usize) -> Option<&'a str> {
    let inner = page.children(at).find(|&c| page.nodes[c].tag == Tag::Code);
    let around = page.ancestors(at).take(2);
    inner.into_iter().chain([at]).chain(around).find_map(|node| {
        let node = &page.nodes[node];
        let named = ["data-lang", "data-language"].iter().find_map(|name| node.attribute(name));
        named.map(str::trim).filter(|l| is_name(l)).or_else(|| class_language(node.attribute("class")?))
    })
}

fn class_language(class: &str) -> Option<&str> {
    let mut words = class.split_ascii_whitespace();
    words
        .clone()
        .find_map(|word| {
            let prefix = PREFIXES.iter().find(|prefix| word.starts_with(*prefix))?;
            let name = &word[prefix.len()..];
            // `brush: rust` has its name in the next word.
            let name =
                if name.is_empty() { class.split(prefix).nth(1)?.split_whitespace().next()? } else { name };
            let name = name.trim_end_matches(';').split(',').next()?;
            is_name(name).then_some(name)
        })
        .or_else(|| words.find(|word| LANGUAGES.contains(word)))
}

fn is_name(name: &str) -> bool {
    (1..=24).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-#._".contains(&b))
}

/// Whether the class of an element says that its text is code: `code`, `code-header`, `sig-code`.
pub(crate) fn is_code(node: &Node<'_>) -> bool {
    let class = node.attribute("class").unwrap_or_default();
    class.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "code")
}

/// Backticks that the text does not contain, at least `min`.
pub(crate) fn fence(text: &str, min: usize) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(min.max(longest + 1))
}

/// An inline code span (CommonMark 0.31, 6.1).
pub(crate) fn span(text: &str) -> String {
    // One backtick is enough where none stands inside.
    let ticks = if text.contains('`') { fence(text, 2) } else { "`".to_owned() };
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{ticks}{pad}{text}{pad}{ticks}")
}
