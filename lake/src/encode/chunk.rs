//! One column chunk: values to pages, pages to zstd, with the statistics that readers prune by.

use super::dictionary::Dictionary;
use super::{Values, delta, keys};
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder};
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use std::collections::BTreeSet;
use std::ops::Range;
use zstd::bulk::Compressor;

/// Rows of one page: the unit in which a reader skips.
pub(super) const PAGE_ROWS: usize = 16_384;

/// A dictionary must be this much smaller than the chunk to be worth it.
const DICTIONARY_SHARE: usize = 4;
/// Most values of a dictionary; its keys fit 16 bits.
const DICTIONARY_MOST: usize = 32_768;

/// Least and greatest value of some rows, in the form that statistics take.
enum Bounds {
    Long(i64, i64),
    Int(i32, i32),
    Decimal(i128, i128),
    Text(Vec<u8>, Vec<u8>),
    Flag(bool, bool),
}

/// A finished chunk, to be spliced into a row group.
pub(super) struct Chunk {
    pub(super) bytes: Bytes,
    pub(super) close: ColumnCloseResult,
}

/// Encodes `rows` (not empty) of `values`.
pub(super) fn encode(
    values: &Values,
    rows: Range<usize>,
    column: &ColumnDescPtr,
    compressor: &mut Compressor<'_>,
) -> Result<Chunk> {
    let mut pages = Pages::new(column.clone(), compressor);
    match values {
        Values::Runs(runs) => encode_runs(runs, rows, &mut pages, values)?,
        Values::Keyed { words, keys } => encode_words(words, keys, rows, &mut pages, values)?,
        Values::Int(ints) => {
            let mut words = ints[rows.clone()].to_vec();
            words.sort_unstable();
            words.dedup();
            let width = keys::width(words.len());
            pages.dictionary(words.iter().flat_map(|word| word.to_le_bytes()).collect(), words.len())?;
            let mut found = Vec::new();
            let write = |page: Range<usize>, out: &mut Vec<u8>| {
                found.clear();
                found.extend(ints[page].iter().map(|int| position(&words, *int)));
                keys::encode(&found, width, out);
            };
            pages.data(rows, Encoding::RLE_DICTIONARY, write, values)?;
        }
        Values::Decimal(decimals) => encode_decimals(decimals, rows, &mut pages, values)?,
        Values::Long(longs) => {
            let write = |page: Range<usize>, out: &mut Vec<u8>| delta::encode(&longs[page], out);
            pages.data(rows, Encoding::DELTA_BINARY_PACKED, write, values)?;
        }
        Values::Text(text) => {
            let write = |page: Range<usize>, out: &mut Vec<u8>| text.encode(page, out);
            pages.data(rows, Encoding::DELTA_BYTE_ARRAY, write, values)?;
        }
        Values::Flag(flags) => {
            let write = |page: Range<usize>, out: &mut Vec<u8>| {
                let bits = |eight: &[bool]| eight.iter().rev().fold(0u8, |byte, flag| byte << 1 | u8::from(*flag));
                out.extend(flags[page].chunks(8).map(bits));
            };
            pages.data(rows, Encoding::PLAIN, write, values)?;
        }
    }
    pages.close()
}

/// The part of `runs` inside `rows`, as words with counts.
fn clip(runs: &[(Box<str>, usize)], rows: Range<usize>) -> impl Iterator<Item = (&str, usize)> {
    let mut end = 0;
    runs.iter().filter_map(move |(word, count)| {
        let start = end;
        end += count;
        let inside = end.min(rows.end).saturating_sub(start.max(rows.start));
        (inside > 0).then_some((&**word, inside))
    })
}

fn encode_runs(
    runs: &[(Box<str>, usize)],
    rows: Range<usize>,
    pages: &mut Pages<'_, '_>,
    values: &Values,
) -> Result<()> {
    let words: BTreeSet<&str> = clip(runs, rows.clone()).map(|(word, _)| word).collect();
    let words: Vec<&str> = words.into_iter().collect();
    pages.dictionary(words.iter().flat_map(|word| plain_text(word)).collect(), words.len())?;
    let width = keys::width(words.len());
    let write = |page: Range<usize>, out: &mut Vec<u8>| {
        let key = |word: &str| (0u32..).zip(&words).find(|(_, w)| **w == word).map_or(0, |(key, _)| key);
        let runs: Vec<(u32, usize)> = clip(runs, page).map(|(word, count)| (key(word), count)).collect();
        keys::encode_runs(&runs, width, out);
    };
    pages.data(rows, Encoding::RLE_DICTIONARY, write, values)
}

fn encode_words(
    words: &[&str],
    keys: &[u8],
    rows: Range<usize>,
    pages: &mut Pages<'_, '_>,
    values: &Values,
) -> Result<()> {
    let mut used = [false; 256];
    for key in &keys[rows.clone()] {
        used[usize::from(*key)] = true;
    }
    let mut ranks = [0u32; 256];
    let mut body = Vec::new();
    let mut count = 0u32;
    for (key, word) in words.iter().enumerate().filter(|(key, _)| used[*key]) {
        ranks[key] = count;
        count += 1;
        body.extend_from_slice(&plain_text(word));
    }
    let (count, mut ranked) = (count as usize, Vec::new());
    let width = keys::width(count);
    pages.dictionary(body, count)?;
    let write = |page: Range<usize>, out: &mut Vec<u8>| {
        ranked.clear();
        ranked.extend(keys[page].iter().map(|key| ranks[usize::from(*key)]));
        keys::encode(&ranked, width, out);
    };
    pages.data(rows, Encoding::RLE_DICTIONARY, write, values)
}

fn encode_decimals(decimals: &[i128], rows: Range<usize>, pages: &mut Pages<'_, '_>, values: &Values) -> Result<()> {
    let chunk = &decimals[rows.clone()];
    let most = (chunk.len() / DICTIONARY_SHARE).clamp(64, DICTIONARY_MOST);
    let Some(dictionary) = Dictionary::of(chunk, most) else {
        let write = |page: Range<usize>, out: &mut Vec<u8>| plain_decimals(&decimals[page], out);
        return pages.data(rows, Encoding::PLAIN, write, values);
    };
    let width = keys::width(dictionary.values.len());
    let mut body = Vec::with_capacity(dictionary.values.len() * 16);
    plain_decimals(&dictionary.values, &mut body);
    pages.dictionary(body, dictionary.values.len())?;
    let first = rows.start;
    let write = |page: Range<usize>, out: &mut Vec<u8>| {
        keys::encode(&dictionary.keys[page.start - first..page.end - first], width, out);
    };
    pages.data(rows, Encoding::RLE_DICTIONARY, write, values)
}

fn position(sorted: &[i32], wanted: i32) -> u32 {
    u32::try_from(sorted.partition_point(|word| *word < wanted)).unwrap_or(u32::MAX)
}

fn plain_decimals(values: &[i128], out: &mut Vec<u8>) {
    out.reserve(values.len() * 16);
    for value in values {
        out.extend_from_slice(&value.to_be_bytes());
    }
}

fn plain_text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&length.to_le_bytes(), text.as_bytes()].concat()
}

/// Writes the pages of one chunk and keeps what its metadata needs.
struct Pages<'a, 'c> {
    column: ColumnDescPtr,
    compressor: &'a mut Compressor<'c>,
    sink: TrackedWrite<Vec<u8>>,
    encodings: Vec<Encoding>,
    dictionary_at: Option<i64>,
    data_at: Option<i64>,
    uncompressed: i64,
    compressed: i64,
    rows: usize,
    bounds: Option<Bounds>,
    index: ColumnIndexBuilder,
    offsets: OffsetIndexBuilder,
    plain: Vec<u8>,
}

impl<'a, 'c> Pages<'a, 'c> {
    fn new(column: ColumnDescPtr, compressor: &'a mut Compressor<'c>) -> Self {
        let index = ColumnIndexBuilder::new(column.physical_type());
        Self {
            column,
            compressor,
            sink: TrackedWrite::new(Vec::new()),
            encodings: Vec::new(),
            dictionary_at: None,
            data_at: None,
            uncompressed: 0,
            compressed: 0,
            rows: 0,
            bounds: None,
            index,
            offsets: OffsetIndexBuilder::new(),
            plain: Vec::new(),
        }
    }

    fn dictionary(&mut self, body: Vec<u8>, words: usize) -> Result<()> {
        let page = Page::DictionaryPage {
            buf: Bytes::from(self.compressor.compress(&body)?),
            num_values: count(words)?,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        self.encodings.push(Encoding::PLAIN);
        let (at, _) = self.write(page, body.len())?;
        self.dictionary_at = Some(at);
        Ok(())
    }

    /// Writes `rows` in pages of [`PAGE_ROWS`], each filled by `write`.
    fn data(
        &mut self,
        rows: Range<usize>,
        encoding: Encoding,
        mut write: impl FnMut(Range<usize>, &mut Vec<u8>),
        values: &Values,
    ) -> Result<()> {
        self.encodings.push(encoding);
        for start in rows.clone().step_by(PAGE_ROWS) {
            let page = start..rows.end.min(start + PAGE_ROWS);
            let mut plain = std::mem::take(&mut self.plain);
            plain.clear();
            write(page.clone(), &mut plain);
            let compressed = self.compressor.compress(&plain)?;
            let header = Page::DataPage {
                buf: Bytes::from(compressed),
                num_values: count(page.len())?,
                encoding,
                def_level_encoding: Encoding::RLE,
                rep_level_encoding: Encoding::RLE,
                statistics: None,
            };
            let (at, size) = self.write(header, plain.len())?;
            self.plain = plain;
            self.data_at.get_or_insert(at);
            self.offsets.append_offset_and_size(at, size);
            self.offsets.append_row_count(signed(page.len())?);
            self.rows += page.len();
            let bounds = values.bounds(page);
            let (least, greatest) = bounds.bytes();
            self.index.append(false, least, greatest, 0);
            self.bounds = Some(match self.bounds.take() {
                Some(before) => before.joined(bounds),
                None => bounds,
            });
        }
        Ok(())
    }

    /// Writes a page; returns its offset and its size with the header.
    fn write(&mut self, page: Page, uncompressed: usize) -> Result<(i64, i32)> {
        let spec = SerializedPageWriter::new(&mut self.sink).write_page(CompressedPage::new(page, uncompressed))?;
        self.uncompressed += signed(spec.uncompressed_size)?;
        self.compressed += signed(spec.compressed_size)?;
        let too_large = |_| ParquetError::General("page over 2 GiB".to_owned());
        Ok((i64::try_from(spec.offset)?, i32::try_from(spec.compressed_size).map_err(too_large)?))
    }

    fn close(self) -> Result<Chunk> {
        let rows = self.rows as u64;
        let bytes = Bytes::from(self.sink.into_inner()?);
        let mut metadata = ColumnChunkMetaData::builder(self.column.clone())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_encodings(self.encodings)
            .set_total_compressed_size(self.compressed)
            .set_total_uncompressed_size(self.uncompressed)
            .set_num_values(signed(self.rows)?)
            .set_data_page_offset(self.data_at.unwrap_or(0))
            .set_dictionary_page_offset(self.dictionary_at);
        if let Some(bounds) = self.bounds {
            metadata = metadata.set_statistics(bounds.statistics());
        }
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: rows,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: Some(self.index.build()?),
            offset_index: Some(self.offsets.build()),
        };
        Ok(Chunk { bytes, close })
    }
}

fn count(rows: usize) -> Result<u32> {
    u32::try_from(rows).map_err(|_| ParquetError::General("over 2^32 values".to_owned()))
}

fn signed(size: usize) -> Result<i64> {
    Ok(i64::try_from(size)?)
}

impl Values {
    fn bounds(&self, rows: Range<usize>) -> Bounds {
        match self {
            Self::Runs(runs) => {
                let words = || clip(runs, rows.clone()).map(|(word, _)| word);
                let text = |word: Option<&str>| word.unwrap_or_default().as_bytes().to_vec();
                Bounds::Text(text(words().min()), text(words().max()))
            }
            Self::Keyed { words, keys } => {
                let (least, greatest) = extremes(&keys[rows]);
                let text = |key: u8| words[usize::from(key)].as_bytes().to_vec();
                Bounds::Text(text(least), text(greatest))
            }
            Self::Text(text) => {
                let (least, greatest) = text.bounds(rows);
                Bounds::Text(least.to_vec(), greatest.to_vec())
            }
            Self::Long(longs) => {
                let (least, greatest) = extremes(&longs[rows]);
                Bounds::Long(least, greatest)
            }
            Self::Int(ints) => {
                let (least, greatest) = extremes(&ints[rows]);
                Bounds::Int(least, greatest)
            }
            Self::Decimal(decimals) => {
                let (least, greatest) = extremes(&decimals[rows]);
                Bounds::Decimal(least, greatest)
            }
            Self::Flag(flags) => {
                let page = &flags[rows];
                Bounds::Flag(page.iter().all(|flag| *flag), page.iter().any(|flag| *flag))
            }
        }
    }
}

fn extremes<T: Copy + Ord + Default>(values: &[T]) -> (T, T) {
    let first = values.first().copied().unwrap_or_default();
    values.iter().fold((first, first), |(least, greatest), value| (least.min(*value), greatest.max(*value)))
}

impl Bounds {
    fn joined(self, other: Self) -> Self {
        match (self, other) {
            (Self::Long(a, b), Self::Long(c, d)) => Self::Long(a.min(c), b.max(d)),
            (Self::Int(a, b), Self::Int(c, d)) => Self::Int(a.min(c), b.max(d)),
            (Self::Decimal(a, b), Self::Decimal(c, d)) => Self::Decimal(a.min(c), b.max(d)),
            (Self::Text(a, b), Self::Text(c, d)) => Self::Text(a.min(c), b.max(d)),
            (Self::Flag(a, b), Self::Flag(c, d)) => Self::Flag(a & c, b | d),
            // One column has one kind of bounds.
            (_, other) => other,
        }
    }

    /// In the plain encoding, as the column index has it.
    fn bytes(&self) -> (Vec<u8>, Vec<u8>) {
        match self {
            Self::Long(a, b) => (a.to_le_bytes().to_vec(), b.to_le_bytes().to_vec()),
            Self::Int(a, b) => (a.to_le_bytes().to_vec(), b.to_le_bytes().to_vec()),
            Self::Decimal(a, b) => (a.to_be_bytes().to_vec(), b.to_be_bytes().to_vec()),
            Self::Text(a, b) => (a.clone(), b.clone()),
            Self::Flag(a, b) => (vec![u8::from(*a)], vec![u8::from(*b)]),
        }
    }

    fn statistics(self) -> Statistics {
        let fixed = |value: i128| FixedLenByteArray::from(ByteArray::from(value.to_be_bytes().to_vec()));
        match self {
            Self::Long(a, b) => Statistics::int64(Some(a), Some(b), None, Some(0), false),
            Self::Int(a, b) => Statistics::int32(Some(a), Some(b), None, Some(0), false),
            Self::Decimal(a, b) => {
                Statistics::fixed_len_byte_array(Some(fixed(a)), Some(fixed(b)), None, Some(0), false)
            }
            Self::Text(a, b) => {
                Statistics::byte_array(Some(ByteArray::from(a)), Some(ByteArray::from(b)), None, Some(0), false)
            }
            Self::Flag(a, b) => Statistics::boolean(Some(a), Some(b), None, Some(0), false),
        }
    }
}
