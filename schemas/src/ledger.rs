//! The ledger: for every stage and every row that came into it, what became of it and why.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::borrow::Cow;
use std::sync::Arc;

/// Name of the node. Utf8.
pub const STAGE: &str = "stage";
/// `kept`, `edited` or `dropped`. Utf8.
pub const ACTION: &str = "action";
/// Why it was dropped. Utf8, null unless dropped.
pub const REASON: &str = "reason";
/// What was measured. Float64, null unless dropped.
pub const VALUE: &str = "value";
/// What it was measured against. Float64, null unless dropped.
pub const LIMIT: &str = "limit";
/// The document that stays in its place. Utf8, null unless a duplicate.
pub const TWIN: &str = "twin";

/// The columns of the ledger: id, stage, action, reason, value, limit, twin.
pub fn schema() -> SchemaRef {
    let text = |name, nullable| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text(crate::column::ID, false),
        text(STAGE, false),
        text(ACTION, false),
        text(REASON, true),
        Field::new(VALUE, DataType::Float64, true),
        Field::new(LIMIT, DataType::Float64, true),
        text(TWIN, true),
    ]))
}

/// Why a row is out: these columns stand in the table of dropped rows before those of the rows.
pub const WHY: [&str; 5] = [STAGE, REASON, VALUE, LIMIT, TWIN];

/// What stands before the name of a document's own column where another has that name.
const OWN: &str = "own_";

/// The name of a document's column in the table of dropped rows: `reason` is `own_reason` there, and no two columns get one name.
pub fn told(column: &str) -> Cow<'_, str> {
    own(column, &WHY)
}

/// The name of a document's column beside others that have the names `taken`.
pub fn own<'a>(column: &'a str, taken: &[&str]) -> Cow<'a, str> {
    match taken.contains(&column.trim_start_matches(OWN)) {
        true => Cow::Owned(format!("{OWN}{column}")),
        false => Cow::Borrowed(column),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_documents_do_not_take_the_place_of_why() {
        let names = ["label", "reason", "own_reason", "own_label"].map(told);
        assert_eq!(names, ["label", "own_reason", "own_own_reason", "own_label"]);
    }
}
