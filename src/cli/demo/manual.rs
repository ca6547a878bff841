//! Our manual as a small web site: the texts of the repository and a page for every kind.

use schemas::{Key, Reason, Spec};
use std::collections::BTreeMap;

/// Pages by path.
pub(super) fn manual(kinds: &[Spec]) -> BTreeMap<String, String> {
    let texts = [
        ("readme", include_str!("../../../README.md")),
        ("architecture", include_str!("../../../ARCHITECTURE.md")),
        ("changelog", include_str!("../../../CHANGELOG.md")),
    ];
    let mut pages: BTreeMap<String, String> =
        texts.iter().map(|(name, text)| (format!("/{name}.html"), page(name, &paragraphs(text)))).collect();
    for spec in kinds {
        pages.insert(format!("/kinds/{}.html", spec.kind), page(spec.kind, &kind(spec)));
    }
    let links: String = pages.keys().map(|path| format!("<li><a href=\"{path}\">{path}</a></li>")).collect();
    pages.insert("/index.html".into(), page("Gristmill", &format!("<ul>{links}</ul>")));
    pages.insert("/robots.txt".into(), "User-agent: *\nDisallow: /private/\n".into());
    pages
}

fn kind(spec: &Spec) -> String {
    let key = |k: &Key| {
        let (doc, default) = (escape(k.doc.trim()), escape(&(k.default)()));
        format!("<li><code>{}</code>: {doc} The default is <code>{default}</code>.</li>", k.name)
    };
    let reason =
        |r: &Reason| format!("<li>It drops a document as <code>{}</code>. {}</li>", r.name, escape(r.doc));
    let keys: String = spec.keys.iter().map(key).collect();
    let reasons: String = spec.reasons.iter().map(reason).collect();
    let summary = escape(spec.summary);
    format!("<p>{summary}</p><h2>Keys</h2><ul>{keys}</ul><h2>Reasons</h2><ul>{reasons}</ul>")
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body><nav><a href=\"/index.html\">Contents</a></nav><main><h1>{title}</h1>{body}</main></body></html>"
    )
}

fn paragraphs(text: &str) -> String {
    let paragraph = |p: &str| format!("<p>{}</p>", escape(p.trim_start_matches('#').trim()));
    text.split("\n\n").filter(|p| !p.trim().is_empty()).map(paragraph).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
