//! A DAG as text.

use super::Dag;
use std::fmt::Write as _;

/// One line a node: position, name, kind, what it reads.
pub fn draw(dag: &Dag) -> String {
    let width = |text: fn(&super::Node) -> &str| dag.nodes.iter().map(|n| text(n).len()).max().unwrap_or(0);
    let (names, kinds) = (width(|n| &n.name), width(|n| n.spec.kind));
    let mut out = String::new();
    for (at, node) in dag.nodes.iter().enumerate() {
        let reads: Vec<&str> = node.inputs.iter().map(|&n| dag.nodes[n].name.as_str()).collect();
        let arrow = if reads.is_empty() { String::new() } else { format!("← {}", reads.join(", ")) };
        let line = format!("{at:>3}  {:names$}  {:kinds$}  {arrow}", node.name, node.spec.kind);
        writeln!(out, "{}", line.trim_end()).expect("a string takes all");
    }
    out
}
