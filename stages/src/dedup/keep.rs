//! Which of several equal documents stays: a total order over documents, written as bytes that sort.
//!
//! A rank ends with the 16 bytes of the document id, so two documents never share one, and no choice ever depends on the
//! order of batches, splits or threads. The smallest rank is best.
//!
//! ```text
//! keep = "first"    earliest fetched_at, then source ("a.jsonl:9" before "a.jsonl:10"), then id
//! keep = "newest"   latest fetched_at, then content, then id
//! keep = "longest"  most bytes of text, then content, then id
//! keep = "quality"  highest number in the column of quality, then longest, then content, then id
//! keep = "licence"  any value in the column `licence` before none, then longest, then content, then id
//! keep = "best"     quality, then newest, then licence, then longest, then content, then id
//! ```
//!
//! Content is a hash of the whole object where it is carried along (column `row`), else of the text: an id follows from the place in the
//! source, and what stays should not change when the same documents are read in another order.
//!
//! A document without a readable `fetched_at` or number ranks behind all that have one.

use arrow::array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Schema};
use schemas::{DocId, StageError, choice, column};
use xxhash_rust::xxh3::xxh3_64;

choice! {
    /// Which document of a group of duplicates stays. Ties are decided by a hash of what they hold, then by the smallest id.
    pub enum Keep {
        /// The one fetched first, then the one that stands first in its source.
        First = "first",
        /// The one fetched last.
        Newest = "newest",
        /// The one with the longest text.
        Longest = "longest",
        /// The one with the highest quality.
        Quality = "quality",
        /// One that declares a licence.
        Licence = "licence",
        /// By quality, date, licence and length, in this order.
        Best = "best",
    }
}

/// The column that `filter.quality` writes.
pub(super) const QUALITY: &str = "quality";

impl Keep {
    /// Checks that the column of quality is there and holds numbers, where the policy reads it. `best` does without.
    ///
    /// # Errors
    /// `Invalid`.
    pub(super) fn check(self, schema: &Schema, quality: &str) -> Result<(), StageError> {
        let kind = schema.field_with_name(quality).ok().map(|field| field.data_type());
        match (self, kind) {
            (Self::Quality, None) => Err(StageError::Invalid(format!(
                "keep = \"quality\" reads the column `{quality}`, which is not there; put `filter.quality` before, or name another \
                 column in `quality_column`"
            ))),
            (Self::Quality | Self::Best, Some(kind))
                if !matches!(kind, DataType::Float64 | DataType::Utf8) =>
            {
                Err(StageError::Invalid(format!(
                    "`{quality}` has type {kind}, and quality is a number or its text"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Bytes of a document id inside a record.
pub(super) const ID_BYTES: usize = 16;

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
    licences: Option<&'a StringArray>,
    quality: Option<&'a ArrayRef>,
    /// Whole objects, where they are carried along.
    objects: Option<&'a StringArray>,
}

impl<'a> Ranker<'a> {
    /// Borrows what the policy reads; only the id must be there. `quality` names the column of quality.
    ///
    /// # Errors
    /// A missing id; a column of another type.
    pub(super) fn new(keep: Keep, quality: &str, batch: &'a RecordBatch) -> Result<Self, StageError> {
        keep.check(batch.schema_ref(), quality)?;
        let optional = |name| batch.column_by_name(name).map(|_| column::utf8(batch, name)).transpose();
        Ok(Self {
            keep,
            ids: column::utf8(batch, column::ID)?,
            times: optional(column::FETCHED_AT)?,
            sources: optional(column::SOURCE)?,
            texts: optional(column::TEXT)?,
            licences: optional(column::LICENCE)?,
            quality: batch.column_by_name(quality),
            objects: optional(column::ROW)?,
        })
    }

    /// Writes the rank of a row at the end of `out`.
    ///
    /// # Errors
    /// A bad id.
    pub(super) fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), StageError> {
        match self.keep {
            Keep::First => {
                let time = micros(value(self.times, row)).unwrap_or(u64::MAX);
                out.extend_from_slice(&time.to_be_bytes());
                write_place(value(self.sources, row), out);
                out.push(0);
            }
            Keep::Newest => out.extend_from_slice(&self.age(row)),
            Keep::Longest => out.extend_from_slice(&self.shortness(row)),
            Keep::Quality => out.extend([&self.badness(row)[..], &self.shortness(row)].concat()),
            Keep::Licence => out.extend([&self.silence(row)[..], &self.shortness(row)].concat()),
            Keep::Best => {
                out.extend([self.badness(row), self.age(row)].concat());
                out.extend([&self.silence(row)[..], &self.shortness(row)].concat());
            }
        }
        if self.keep != Keep::First {
            let content = value(self.objects.or(self.texts), row);
            out.extend_from_slice(&xxh3_64(content.as_bytes()).to_be_bytes());
        }
        out.extend_from_slice(&id_bytes(self.ids, row)?);
        Ok(())
    }

    fn age(&self, row: usize) -> [u8; 8] {
        micros(value(self.times, row)).map_or(u64::MAX, |t| !t - 1).to_be_bytes()
    }

    fn shortness(&self, row: usize) -> [u8; 4] {
        let length = value(self.texts, row).len();
        (u32::MAX - u32::try_from(length).unwrap_or(u32::MAX)).to_be_bytes()
    }

    fn silence(&self, row: usize) -> [u8; 1] {
        [u8::from(value(self.licences, row).is_empty())]
    }

    fn badness(&self, row: usize) -> [u8; 8] {
        let column = self.quality.filter(|column| column.is_valid(row));
        let number = column.and_then(|column| {
            let numbers = column.as_any().downcast_ref::<Float64Array>();
            let texts = || column.as_any().downcast_ref::<StringArray>()?.value(row).parse().ok();
            numbers.map(|numbers| numbers.value(row)).or_else(texts)
        });
        // The bits of numbers from the greatest to the smallest sort as they grow.
        let bits = number.filter(|n: &f64| !n.is_nan()).map_or(u64::MAX, |n| match n.to_bits() {
            bits if bits >> 63 == 1 => bits,
            bits => !(bits | 1 << 63),
        });
        bits.to_be_bytes()
    }
}

fn value(column: Option<&StringArray>, row: usize) -> &str {
    column.filter(|column| column.is_valid(row)).map_or("", |column| column.value(row))
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

    /// Ranks a document with these columns; a quality that is empty is null.
    fn rank(keep: Keep, columns: &[(&'static str, &str)]) -> Vec<u8> {
        let one = |value: &str| {
            Arc::new(StringArray::from(vec![Some(value).filter(|v| !v.is_empty())])) as ArrayRef
        };
        let id = "000102030405060708090a0b0c0d0e0f";
        let columns = columns.iter().map(|(name, value)| match *name {
            QUALITY => {
                let number: Option<f64> = value.parse().ok();
                (*name, Arc::new(Float64Array::from(vec![number])) as ArrayRef)
            }
            _ => (*name, one(value)),
        });
        let batch = RecordBatch::try_from_iter(columns.chain([(column::ID, one(id))])).unwrap();
        let mut out = Vec::new();
        Ranker::new(keep, QUALITY, &batch).unwrap().write(0, &mut out).unwrap();
        assert_eq!(doc_id(&rank_id(&out)).to_string(), id);
        out
    }

    fn check_order(keep: Keep, better: (&str, &str, &str), worse: (&str, &str, &str)) {
        let of = |(time, source, text)| {
            rank(keep, &[(column::FETCHED_AT, time), (column::SOURCE, source), (column::TEXT, text)])
        };
        assert!(of(better) < of(worse), "{keep:?}: {better:?} against {worse:?}");
    }

    /// Documents of (quality, date, licence, text), from the best to the worst.
    fn check_worth(keep: Keep, documents: &[(&str, &str, &str, &str)]) {
        let of = |(quality, time, licence, text): &(&str, &str, &str, &str)| {
            let columns = [(QUALITY, *quality), (column::FETCHED_AT, *time), (column::LICENCE, *licence)];
            rank(keep, &[&columns[..], &[(column::TEXT, *text)]].concat())
        };
        assert!(documents.is_sorted_by(|a, b| of(a) < of(b)), "{keep:?}");
    }

    #[test]
    fn worth() {
        let (old, new) = ("2024-01-31T23:59:59Z", "2024-02-01T00:00:00Z");
        let numbers = ["inf", "2", "0.5", "0.25", "0", "-0.25", "-3", ""].map(|q| (q, new, "", "text"));
        check_worth(Keep::Quality, &numbers);
        check_worth(
            Keep::Quality,
            &[("0.5", old, "", "long"), ("0.5", new, "MIT", "so"), ("nan", old, "", "longest")],
        );
        check_worth(
            Keep::Licence,
            &[("", old, "MIT", "so"), ("0.5", new, "", "long"), ("0.9", new, "", "so")],
        );
        check_worth(
            Keep::Best,
            &[
                ("0.9", old, "", "a"),
                ("0.5", new, "MIT", "long"),
                ("0.5", new, "MIT", "so"),
                ("0.5", new, "", "longest"),
                ("0.5", old, "MIT", "longest"),
                ("", new, "MIT", "longest"),
            ],
        );
    }

    #[test]
    fn quality_must_be_there() {
        let message = |schema: Schema| Keep::Quality.check(&schema, "score").unwrap_err().to_string();
        let field = arrow::datatypes::Field::new("score", DataType::Int64, true);
        assert!(message(Schema::empty()).contains("`score`, which is not there"));
        assert!(message(Schema::new(vec![field])).contains("`score` has type Int64"));
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
