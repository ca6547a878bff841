//! Token ids straight from the pages of a shard: decompressed and copied, without building lists value by value.
//!
//! Our shards have `input_ids` PLAIN in pages of version 1, without nulls, in rows of one length. Then the levels of a
//! page say one thing: a row begins every `length` values. That is checked run by run, and the values are what is left of
//! the page. A shard laid out in another way, as other programs may write it, is read as any Parquet file is.
//!
//! ```text
//! page   bytes n | repetition levels 0 1 1 … 0 1 1 … | bytes m | definition levels all full | values, four bytes each
//! ```

use parquet::basic::{Encoding, Type};
use parquet::column::page::{Page, PageReader};
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use schemas::token;
use std::fs::File;
use std::sync::Arc;

/// Values of a group of bit-packed levels.
const PACKED: usize = 8;

/// Ids of wanted rows (sorted) of a row group, one row behind the other; `None` where they are laid out in another way.
pub(super) fn ids(
    file: File,
    metadata: &ParquetMetaData,
    group: usize,
    wanted: &[u32],
    length: usize,
) -> Result<Option<Vec<i32>>, ParquetError> {
    let schema = metadata.file_metadata().schema_descr();
    let column = schema.columns().iter().position(|column| column.path().parts()[0] == token::INPUT_IDS);
    let Some((at, column)) = column.map(|at| (at, schema.column(at))) else { return Ok(None) };
    if column.max_rep_level() != 1 || column.physical_type() != Type::INT32 || length == 0 {
        return Ok(None);
    }
    let full = u8::try_from(column.max_def_level()).unwrap_or(u8::MAX);
    let row_group = metadata.row_group(group);
    let rows = usize::try_from(row_group.num_rows()).unwrap_or(0);
    let locations =
        metadata.offset_index().and_then(|index| Some(index.get(group)?.get(at)?.page_locations()));
    let firsts: Option<Vec<usize>> = locations
        .map(|all| all.iter().map(|page| usize::try_from(page.first_row_index).unwrap_or(0)).collect());
    let mut pages =
        SerializedPageReader::new(Arc::new(file), row_group.column(at), rows, locations.cloned())?;
    let mut ids = Vec::with_capacity(wanted.len() * length);
    let (mut first, mut number, mut left) = (0, 0, wanted);
    while !left.is_empty() {
        // The end of the page where the index tells it; a page without a wanted row is not even read.
        if let Some(end) = firsts.as_ref().map(|firsts| firsts.get(number + 1).copied().unwrap_or(rows))
            && left[0] as usize >= end
        {
            pages.skip_next_page()?;
            (first, number) = (end, number + 1);
            continue;
        }
        let Some(Page::DataPage {
            buf, num_values, encoding, def_level_encoding, rep_level_encoding, ..
        }) = pages.get_next_page()?
        else {
            return Ok(None);
        };
        let levels = [rep_level_encoding, def_level_encoding];
        if encoding != Encoding::PLAIN || levels.iter().any(|&level| level != Encoding::RLE) {
            return Ok(None);
        }
        let Some(values) = values(&buf, num_values as usize, length, full) else { return Ok(None) };
        let end = first + num_values as usize / length;
        let (here, behind) = left.split_at(left.partition_point(|&row| (row as usize) < end));
        // Rows side by side are copied together.
        for run in here.chunk_by(|a, b| a + 1 == *b) {
            let start = (run[0] as usize - first) * length * 4;
            let bytes = &values[start..start + run.len() * length * 4];
            ids.extend(bytes.as_chunks::<4>().0.iter().map(|four| i32::from_le_bytes(*four)));
        }
        (first, number, left) = (end, number + 1, behind);
    }
    Ok(Some(ids))
}

/// The bytes of the values of a page whose rows have `length` values each and none of them is null.
fn values(page: &[u8], count: usize, length: usize, full: u8) -> Option<&[u8]> {
    if !count.is_multiple_of(length) {
        return None;
    }
    let (repetition, rest) = sized(page)?;
    let (definition, values) = if full == 0 { (&[][..], rest) } else { sized(rest)? };
    let begins = |at: usize, run: usize, level: u64| match level {
        0 => (at..at + run).all(|at| at.is_multiple_of(length)),
        // From `at` on, the next beginning of a row must lie behind the run.
        _ => at.next_multiple_of(length) >= at + run,
    };
    let is_full = |_: usize, _: usize, level: u64| level == u64::from(full);
    let bits = u8::BITS - full.leading_zeros();
    let fits = runs(repetition, 1, count, begins) && (full == 0 || runs(definition, bits, count, is_full));
    (fits && values.len() == count * 4).then_some(values)
}

/// Splits off what a length in front of it measures.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_le_bytes(*length) as usize)
}

/// Whether `count` levels in the hybrid encoding of runs and packed groups all pass: called with place, count and level.
fn runs(mut bytes: &[u8], bits: u32, count: usize, pass: impl Fn(usize, usize, u64) -> bool) -> bool {
    let mut at = 0;
    while at < count {
        let Some((head, rest)) = varint(bytes) else { return false };
        bytes = rest;
        if head & 1 == 0 {
            let Some((&level, rest)) = bytes.split_first() else { return false };
            bytes = rest;
            let run = usize::try_from(head >> 1).unwrap_or(usize::MAX).min(count - at);
            if run == 0 || !pass(at, run, u64::from(level)) {
                return false;
            }
            at += run;
            continue;
        }
        for _ in 0..head >> 1 {
            // Eight levels of `bits` bits take `bits` bytes.
            let Some((group, rest)) = bytes.split_at_checked(bits as usize) else { return false };
            bytes = rest;
            let packed = group.iter().rev().fold(0_u64, |packed, &byte| packed << 8 | u64::from(byte));
            for place in 0..PACKED.min(count - at) {
                let level = packed >> (place as u32 * bits) & ((1 << bits) - 1);
                if !pass(at + place, 1, level) {
                    return false;
                }
            }
            at = (at + PACKED).min(count);
        }
    }
    true
}

/// A number in groups of seven bits, the lowest first.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page of repetition levels, with `full` as the only definition level.
    fn page(repetition: &[u8], count: u32) -> Vec<u8> {
        let mut page = (repetition.len() as u32).to_le_bytes().to_vec();
        page.extend(repetition);
        let definition = [(count << 1) as u8, 1];
        page.extend(2_u32.to_le_bytes());
        page.extend(definition);
        page.extend((0..count).flat_map(u32::to_le_bytes));
        page
    }

    #[test]
    fn rows_of_one_length_are_told_from_others() {
        // Packed: 0 1 1 1 0 1 1 1.
        let packed = page(&[3, 0b1110_1110], 8);
        assert_eq!(values(&packed, 8, 4, 1).unwrap().len(), 32);
        assert!(values(&packed, 8, 8, 1).is_none() && values(&packed, 8, 2, 1).is_none());
        // Runs: 0, then 1 three times, twice.
        let runs = page(&[2, 0, 6, 1, 2, 0, 6, 1], 8);
        assert_eq!(values(&runs, 8, 4, 1), values(&packed, 8, 4, 1));
        // A run that goes over the beginning of a row, a row that begins too late, a page cut short.
        assert!(values(&page(&[2, 0, 14, 1], 8), 8, 4, 1).is_none());
        assert!(values(&page(&[3, 0b1101_1110], 8), 8, 4, 1).is_none());
        assert!((0..packed.len()).all(|end| values(&packed[..end], 8, 4, 1).is_none()));
        // A null: a definition level below the full one.
        assert!(values(&packed, 8, 4, 2).is_none());
    }
}
