//! The funnel: what came into each node, what left it, and why the rest did not.

use pipeline::engine::{NodeReport, Report};
use pipeline::inspect::layout::thousands;

/// Reasons shown for one node; the others are counted together.
const REASONS_SHOWN: usize = 4;

/// The funnel as a table.
pub(super) fn table(report: &Report) -> String {
    let width = |text: fn(&NodeReport) -> &str| report.nodes.iter().map(|n| text(n).len()).max().unwrap_or(0);
    let (names, kinds) = (width(|n| &n.name).max(4), width(|n| &n.kind).max(4));
    let head = format!(
        "{:names$}  {:kinds$}  {:>11}  {:>11}  {:>9}  {:>11}",
        "node", "kind", "in", "kept", "edited", "dropped"
    );
    let mut lines = vec![head.clone(), "─".repeat(head.chars().count())];
    for node in &report.nodes {
        let counts = &node.counts;
        let line = format!(
            "{:names$}  {:kinds$}  {:>11}  {:>11}  {:>9}  {:>11}  {}",
            node.name,
            node.kind,
            thousands(counts.rows_in),
            thousands(counts.kept),
            thousands(counts.edited),
            thousands(counts.dropped_rows()),
            reasons(node),
        );
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

fn reasons(node: &NodeReport) -> String {
    let mut reasons: Vec<(&String, &u64)> = node.counts.dropped.iter().collect();
    reasons.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), *name));
    let shown =
        reasons.iter().take(REASONS_SHOWN).map(|(name, count)| format!("{name} {}", thousands(**count)));
    let mut shown: Vec<String> = shown.collect();
    let rest: u64 = reasons.iter().skip(REASONS_SHOWN).map(|(_, count)| **count).sum();
    if rest > 0 {
        shown.push(format!("{} others {}", reasons.len() - REASONS_SHOWN, thousands(rest)));
    }
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
