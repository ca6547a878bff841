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

#[cfg(test)]
mod tests {
    use super::super::testing::check;
    use super::*;
    use expect_test::expect;

    #[test]
    fn white_space_of_blocks_is_exact() {
        check(
            "<pre>a  b\n\tc\n\n d</pre>",
            &expect![[r#"
            ```
            a  b
            	c

             d
            ```"#]],
        );
        check(
            "<pre>\n\n  a\n\n</pre>",
            &expect![[r#"
            ```
              a
            ```"#]],
        );
        check(
            "<pre>a\r\nb\rc&nbsp;d</pre>",
            &expect![[r#"
            ```
            a
            b
            c d
            ```"#]],
        );
        check(
            "<pre>a<br>b<br></pre>",
            &expect![[r#"
            ```
            a
            b
            ```"#]],
        );
        check(
            "<pre><div>a</div><div>b</div></pre>",
            &expect![[r#"
            ```
            a
            b
            ```"#]],
        );
        check(
            "<pre><code><span>fn</span> <span>a</span>() {\n    <span>b</span>\n}\n</code></pre>",
            &expect![[r#"
                ```
                fn a() {
                    b
                }
                ```"#]],
        );
        check("<pre> </pre><p>a", &expect!["a"]);
    }

    #[test]
    fn fences_are_longer_than_what_is_inside() {
        check(
            "<pre>```\na\n```</pre>",
            &expect![[r#"
            ````
            ```
            a
            ```
            ````"#]],
        );
        check(
            "<pre>~~~</pre>",
            &expect![[r#"
            ```
            ~~~
            ```"#]],
        );
        check(
            "<pre>a `b` c</pre>",
            &expect![[r#"
            ```
            a `b` c
            ```"#]],
        );
        assert_eq!(fence("", 3), "```");
        assert_eq!(fence("a ```` b", 3), "`````");
    }

    #[test]
    fn spans_are_padded_where_they_must() {
        for (text, expected) in
            [("a", "`a`"), ("`", "`` ` ``"), ("a`b", "``a`b``"), ("``a``", "``` ``a`` ```")]
        {
            assert_eq!(span(text), expected);
        }
        check("<p>a <code>b  c</code> d<code> e </code>f<code></code>", &expect!["a `b c` d `e` f"]);
        check(
            "<p><code><b>x</b><i>y</i></code> <kbd>Ctrl</kbd>+<kbd>C</kbd> <samp>z</samp> <var>v</var>",
            &expect!["`xy` `Ctrl`+`C` `z` v"],
        );
        check("<code>a<br>b</code>", &expect!["`a b`"]);
        check(
            "<p>a<code>b<br>c<br>d</code>",
            &expect![[r#"
            a

            ```
            b
            c
            d
            ```"#]],
        );
    }

    #[test]
    fn languages_by_their_names() {
        for (class, expected) in [
            ("language-rust", Some("rust")),
            ("hljs lang-c++", Some("c++")),
            ("highlight-source-shell", Some("shell")),
            ("brush: python; toolbar: false", Some("python")),
            ("brush:js", Some("js")),
            ("language-rust,ignore", Some("rust")),
            ("sourceCode haskell", Some("haskell")),
            ("language-", None),
            ("language-<x>", None),
            ("code", None),
            ("", None),
        ] {
            assert_eq!(class_language(class), expected, "{class}");
        }
        check(
            "<div class=highlight-source-shell><pre>ls</pre></div>",
            &expect![[r#"
            ```shell
            ls
            ```"#]],
        );
        check(
            "<pre data-lang=go><code>x</code></pre>",
            &expect![[r#"
            ```go
            x
            ```"#]],
        );
        check(
            "<div class=language-c><div><div><pre>far</pre></div></div></div>",
            &expect![[r#"
            ```
            far
            ```"#]],
        );
    }
}
