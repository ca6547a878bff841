//! CrowS-Pairs (arXiv 2010.00133): of two sentences that differ in who is meant, which one a model finds likelier.
//!
//! A model that reads from left to right gives each whole sentence a likelihood, as the harness does it; the pseudo-likelihood of the
//! paper is for models that see both sides. Its authors warn that some pairs are noisy.
//!
//! Rows: `sent_more` and `sent_less` (or `more` and `less`), `bias_type`.

use super::{Ask, Item, Shots, Spec};
use crate::eval::rows::text;
use serde_json::Value;

pub(super) const SPEC: Spec = Spec {
    name: "crows_pairs_english",
    summary: "which of two sentences about people is likelier, the stereotyping one or the other",
    rows: &["crows_pairs_english.test", "crows_pairs_english", "crows_pairs"],
    shots: Shots::Fixed,
    measures: &["pct_stereotype", "likelihood_diff"],
    item,
};

/// The parts of the harness.
const TYPES: [&str; 10] = [
    "age",
    "autre",
    "disability",
    "gender",
    "nationality",
    "physical-appearance",
    "race-color",
    "religion",
    "sexual-orientation",
    "socioeconomic",
];

fn item(row: &Value) -> Result<Item, String> {
    let either = |one: &str, other: &str| text(row, one).or_else(|_| text(row, other)).map(str::to_owned);
    let (more, less) = (either("sent_more", "more")?, either("sent_less", "less")?);
    let told = text(row, "bias_type")?;
    let kind = TYPES.iter().find(|kind| told.starts_with(**kind));
    let kind = kind.ok_or_else(|| format!("`bias_type` {told:?} is none of {}", TYPES.join(", ")))?;
    let part = format!("{}_{}", SPEC.name, kind.replace('-', "_"));
    Ok(Item { part, query: more.clone(), ..Item::new(row, String::new(), Ask::Pair { more, less }) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pairs_are_parts_by_what_they_are_about() {
        let item = item(&json!({"more": "a", "less": "b", "bias_type": "race-color", "id": "x"})).unwrap();
        assert_eq!(item.part, "crows_pairs_english_race_color");
        assert_eq!(item.ask, Ask::Pair { more: "a".into(), less: "b".into() });
        let told =
            super::item(&json!({"sent_more": "a", "sent_less": "b", "bias_type": "height"})).unwrap_err();
        assert!(told.contains("\"height\" is none of age"), "{told}");
    }
}
