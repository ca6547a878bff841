//! Which of several equal documents stays: a total order over documents, written as bytes that sort.
//!
//! A rank is 8 bytes of number (big-endian, the smallest is best), the place in the source for `first`, a zero byte and
//! the 16 bytes of the document id. Two documents never share a rank, so no choice ever depends on the order of
//! batches, splits or threads.
//!
//! ```text
//! keep = "first"    earliest fetched_at, then source ("a.jsonl:9" before "a.jsonl:10"), then id
//! keep = "newest"   latest fetched_at, then id
//! keep = "longest"  most bytes of text, then id
//! ```
//!
//! A document without a readable `fetched_at` ranks behind all that have one.

use arrow::array::{Array, RecordBatch, StringArray};
use schemas::{DocId, StageError, choice, column};

choice! {
    /// Which document of a group of duplicates stays. Ties go to the smallest id.
    pub enum Keep {
        /// The one fetched first, then the one that stands first in its source.
        First = "first",
        /// The one fetched last.
        Newest = "newest",
        /// The one with the longest text.
        Longest = "longest",
    }
}

/// Bytes of a document id inside a record.
pub(super) const ID_BYTES: usize = 16;
/// Bytes of the number that leads a rank.
const NUMBER_BYTES: usize = 8;

/// A document id as bytes that sort as its digits do.
pub(super) type IdBytes = [u8; ID_BYTES];

/// Reads the id of a row.
///
/// # Errors
/// `Invalid` when it is null or not 32 hexadecimal digits: ids are made by the house.
pub(super) fn id_bytes(ids: &StringArray, row: usize) -> Result<IdBytes, StageError> {
    let text = if ids.is_null(row) { "" } else { ids.value(row) };
    let id = DocId::parse(text);
    id.map(DocId::to_bytes).ok_or_else(|| StageError::Invalid(format!("`{text}` is not a document id")))
}

/// The document id that a record holds at its start.
///
/// # Panics
/// When the bytes are too few: records are written by the same stage.
pub(super) fn doc_id(bytes: &[u8]) -> DocId {
    DocId::from_bytes(*bytes.first_chunk().expect("the record holds an id"))
}

/// The columns that ranks are made of.
pub(super) struct Ranker<'a> {
    keep: Keep,
    ids: &'a StringArray,
    times: Option<&'a StringArray>,
    sources: Option<&'a StringArray>,
    texts: Option<&'a StringArray>,
}

impl<'a> Ranker<'a> {
    /// Borrows what the policy reads; only the id must be there.
    ///
    /// # Errors
    /// A missing id; a column of another type.
    pub(super) fn new(keep: Keep, batch: &'a RecordBatch) -> Result<Self, StageError> {
        let optional = |name| batch.column_by_name(name).map(|_| column::utf8(batch, name)).transpose();
        Ok(Self {
            keep,
            ids: column::utf8(batch, column::ID)?,
            times: optional(column::FETCHED_AT)?,
            sources: optional(column::SOURCE)?,
            texts: optional(column::TEXT)?,
        })
    }

    /// Writes the rank of a row at the end of `out`.
    ///
    /// # Errors
    /// A bad id.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), StageError> {
        let value =
            |column: Option<&'a StringArray>| column.filter(|c| c.is_valid(row)).map_or("", |c| c.value(row));
        let number = match self.keep {
            Keep::First => micros(value(self.times)).unwrap_or(u64::MAX),
            Keep::Newest => micros(value(self.times)).map_or(u64::MAX, |t| !t - 1),
            Keep::Longest => u64::MAX - value(self.texts).len() as u64,
        };
        out.extend_from_slice(&number.to_be_bytes());
        if self.keep == Keep::First {
            write_place(value(self.sources), out);
        }
        out.push(0);
        out.extend_from_slice(&id_bytes(self.ids, row)?);
        Ok(())
    }
}

/// `file:number` with the number padded to 20 digits, so that places sort as a reader counts them. Zero bytes end a
/// place and are left out of it.
fn write_place(source: &str, out: &mut Vec<u8>) {
    let is_number = |n: &str| !n.is_empty() && n.len() <= 20 && n.bytes().all(|b| b.is_ascii_digit());
    match source.rsplit_once(':').filter(|(_, number)| is_number(number)) {
        Some((file, number)) => {
            out.extend(file.bytes().filter(|b| *b != 0));
            out.extend_from_slice(format!(":{number:0>20}").as_bytes());
        }
        None => out.extend(source.bytes().filter(|b| *b != 0)),
    }
}

/// Splits a rank off the start of a value: the rank and what follows it.
pub(super) fn split_rank(value: &[u8]) -> (&[u8], &[u8]) {
    let place =
        value[NUMBER_BYTES..].iter().position(|b| *b == 0).expect("a zero byte ends the place of a rank");
    value.split_at(NUMBER_BYTES + place + 1 + ID_BYTES)
}

/// The id that ends a rank.
pub(super) fn rank_id(rank: &[u8]) -> IdBytes {
    rank[rank.len() - ID_BYTES..].try_into().expect("a rank ends with an id")
}

/// Microseconds since the year 0 of an RFC 3339 time; `None` when it is not one.
fn micros(time: &str) -> Option<u64> {
    let number = |from: usize, to: usize| {
        let digits = time.get(from..to).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<i64>().ok()
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let valid =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !valid {
        return None;
    }
    let rest = &time[19..];
    let fraction = rest
        .strip_prefix('.')
        .map_or("", |f| &f[..f.len() - f.trim_start_matches(|c: char| c.is_ascii_digit()).len()]);
    let zone = if fraction.is_empty() { rest } else { &rest[fraction.len() + 1..] };
    let offset = match zone.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), ..] if zone.len() == 6 => {
            let part = |at: usize| zone.get(at..at + 2).and_then(|n| n.parse::<i64>().ok());
            (part(1)? * 60 + part(4)?) * if *sign == b'-' { -60 } else { 60 }
        }
        _ => return None,
    };
    let millionths = format!("{fraction:0<6}")[..6].parse::<i64>().ok()?;
    // Days of the proleptic Gregorian calendar, the year starting in March so that the leap day ends it.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1;
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset;
    u64::try_from(seconds * 1_000_000 + millionths).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::ArrayRef;
    use std::sync::Arc;

    fn check_order(keep: Keep, better: (&str, &str, &str), worse: (&str, &str, &str)) {
        let rank = |(time, source, text): (&str, &str, &str)| {
            let one = |value: &str| Arc::new(StringArray::from(vec![value])) as ArrayRef;
            let batch = RecordBatch::try_from_iter([
                (column::ID, one("000102030405060708090a0b0c0d0e0f")),
                (column::FETCHED_AT, one(time)),
                (column::SOURCE, one(source)),
                (column::TEXT, one(text)),
            ])
            .unwrap();
            let mut out = Vec::new();
            Ranker::new(keep, &batch).unwrap().write(0, &mut out).unwrap();
            out.extend_from_slice(b"rest");
            let (rank, rest) = split_rank(&out);
            assert_eq!(
                (rest, doc_id(&rank_id(rank)).to_string()),
                (&b"rest"[..], "000102030405060708090a0b0c0d0e0f".into())
            );
            rank.to_vec()
        };
        assert!(rank(better) < rank(worse), "{keep:?}: {better:?} against {worse:?}");
    }

    #[test]
    fn the_policies() {
        let (early, late) = ("2024-01-31T23:59:59Z", "2024-02-01T00:00:00Z");
        check_order(Keep::First, (early, "b:1", ""), (late, "a:1", ""));
        check_order(Keep::First, (early, "a:9", ""), (early, "a:10", ""));
        check_order(Keep::First, (early, "a:1\0", ""), (early, "b:1", ""));
        check_order(Keep::First, (late, "z", ""), ("", "a", ""));
        check_order(Keep::Newest, (late, "b", ""), (early, "a", ""));
        check_order(Keep::Newest, (early, "b", ""), ("yesterday", "a", ""));
        check_order(Keep::Longest, (early, "b", "long"), (early, "a", "so"));
    }

    #[test]
    fn times() {
        let check = |a: &str, b: &str, micros_between: u64| {
            assert_eq!(micros(b).zip(micros(a)).map(|(b, a)| b - a), Some(micros_between), "{a} to {b}");
        };
        check("2024-02-28T00:00:00Z", "2024-03-01T00:00:00Z", 2 * 86_400_000_000);
        check("2023-02-28T00:00:00Z", "2023-03-01T00:00:00Z", 86_400_000_000);
        check("2024-01-01T00:00:00.25Z", "2024-01-01T00:00:00.5Z", 250_000);
        check("2024-01-01T12:00:00+01:00", "2024-01-01T12:00:00Z", 3_600_000_000);
        for bad in [
            "",
            "2024",
            "2024-13-01T00:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00+1",
            "２０２４-01-01T00:00:00Z",
        ] {
            assert_eq!(micros(bad), None, "{bad}");
        }
    }
}
