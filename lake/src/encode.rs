//! Parquet files of the lake: columns to bytes.
//!
//! The general writer of the `parquet` crate allocates for each decimal and looks each word up in a hash table; this
//! one knows that nothing is null and that rows are sorted, and is several times faster (docs/adr/0008-lake-commit.md).
//! What it writes is plain Parquet: version 1 pages, zstd, dictionary, DELTA_BINARY_PACKED and DELTA_BYTE_ARRAY, page
//! and row group statistics. Pure: no I/O.

mod chunk;
mod delta;
mod dictionary;
mod keys;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use text::Text;

use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::SortingColumn;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::TypePtr;
use std::sync::Arc;
use zstd::bulk::Compressor;

/// Rows of one row group.
pub(crate) const GROUP_ROWS: usize = 131_072;

/// The values of one column, none null.
pub(crate) enum Values {
    /// Words that stay the same for runs of rows.
    Runs(Vec<(Box<str>, usize)>),
    /// Few distinct words in ascending order, and for each row the index of its word.
    Keyed { words: &'static [&'static str], keys: Vec<u8> },
    /// Texts with little repetition.
    Text(Text),
    /// Integers that grow slowly: times and counts.
    Long(Vec<i64>),
    /// Few distinct integers.
    Int(Vec<i32>),
    /// Counts of 10^-18.
    Decimal(Vec<i128>),
    /// Flags.
    Flag(Vec<bool>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Runs(runs) => runs.iter().map(|(_, rows)| rows).sum(),
            Self::Keyed { keys, .. } => keys.len(),
            Self::Text(text) => text.len(),
            Self::Long(longs) => longs.len(),
            Self::Int(ints) => ints.len(),
            Self::Decimal(decimals) => decimals.len(),
            Self::Flag(flags) => flags.len(),
        }
    }
}

/// Encodes files, reusing the state of the compressor.
pub(crate) struct Encoder {
    compressor: Compressor<'static>,
}

impl Encoder {
    /// With a zstd level; 1 is what appends use.
    pub(crate) fn new(level: i32) -> Result<Self> {
        let mut compressor = Compressor::new(level)?;
        // Every reader's zstd then finds a damaged page; Parquet's own page checksum is optional and mostly ignored.
        compressor.include_checksum(true)?;
        Ok(Self { compressor })
    }

    /// The bytes of a file with these columns, in the order of `schema`, sorted by the columns `sorted_by`.
    pub(crate) fn file(&mut self, schema: &TypePtr, columns: &[Values], sorted_by: &[i32]) -> Result<Vec<u8>> {
        let rows = columns.first().map_or(0, Values::len);
        if columns.iter().any(|column| column.len() != rows) {
            return Err(ParquetError::General("columns differ in length".to_owned()));
        }
        let sorting = sorted_by
            .iter()
            .map(|column| SortingColumn { column_idx: *column, descending: false, nulls_first: false })
            .collect();
        let properties = WriterProperties::builder()
            .set_created_by(concat!("dexorder lake ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_sorting_columns(Some(sorting))
            .build();
        let mut file = SerializedFileWriter::new(Vec::new(), schema.clone(), Arc::new(properties))?;
        for start in (0..rows).step_by(GROUP_ROWS) {
            let range = start..rows.min(start + GROUP_ROWS);
            let descriptions = file.schema_descr().columns().to_vec();
            let mut group = file.next_row_group()?;
            for (values, description) in columns.iter().zip(&descriptions) {
                let chunk = chunk::encode(values, range.clone(), description, &mut self.compressor)?;
                group.append_column(&chunk.bytes, chunk.close)?;
            }
            group.close()?;
        }
        file.into_inner()
    }
}
