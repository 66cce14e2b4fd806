//! What the encoder writes, the general reader reads back.

use super::*;
use crate::schema::Table;
use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::file::metadata::PageIndexPolicy;
use proptest::prelude::*;

fn text_of(texts: &[String]) -> Text {
    let mut text = Text::default();
    texts.iter().for_each(|t| text.push(t));
    text
}

fn read(bytes: Vec<u8>) -> Vec<RecordBatch> {
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(Bytes::from(bytes), options).unwrap();
    reader.with_batch_size(1 << 20).build().unwrap().map(Result::unwrap).collect()
}

fn strings(batches: &[RecordBatch], column: usize) -> Vec<String> {
    let of =
        |batch: &RecordBatch| batch.column(column).as_string::<i32>().iter().map(|s| s.unwrap().to_owned()).collect();
    batches.iter().flat_map::<Vec<String>, _>(of).collect()
}

fn times(batches: &[RecordBatch], column: usize) -> Vec<i64> {
    let of = |b: &RecordBatch| b.column(column).as_primitive::<TimestampMicrosecondType>().values().to_vec();
    batches.iter().flat_map(of).collect()
}

fn decimals(batches: &[RecordBatch], column: usize) -> Vec<i128> {
    batches.iter().flat_map(|b| b.column(column).as_primitive::<Decimal128Type>().values().to_vec()).collect()
}

const WORDS: [&str; 3] = ["A", "BC", "DEF"];

#[derive(Debug, Clone)]
struct Rows {
    keys: Vec<u8>,
    ids: Vec<String>,
    times: Vec<i64>,
    prices: Vec<i128>,
}

fn file_of(rows: &Rows) -> Vec<u8> {
    let keyed = || Values::Keyed { words: &WORDS, keys: rows.keys.clone() };
    let runs = || {
        let runs = rows.keys.chunk_by(|a, b| a == b);
        Values::Runs(runs.map(|run| (Box::from(WORDS[usize::from(run[0])]), run.len())).collect())
    };
    let columns = [
        runs(),
        runs(),
        Values::Text(text_of(&rows.ids)),
        Values::Long(rows.times.clone()),
        Values::Long(rows.times.iter().map(|t| t.wrapping_neg()).collect()),
        Values::Decimal(rows.prices.clone()),
        Values::Decimal(rows.prices.iter().map(|p| p % 7).collect()),
        keyed(),
        keyed(),
    ];
    let schema = Table::Ticks.parquet_schema().unwrap();
    Encoder::new(1).unwrap().file(&schema, &columns, Table::Ticks.sorted_by()).unwrap()
}

fn check(rows: &Rows) {
    let batches = read(file_of(rows));
    let words: Vec<String> = rows.keys.iter().map(|k| WORDS[usize::from(*k)].to_owned()).collect();
    for column in [0, 1, 7, 8] {
        assert_eq!(strings(&batches, column), words);
    }
    assert_eq!(strings(&batches, 2), rows.ids);
    assert_eq!(times(&batches, 3), rows.times);
    assert_eq!(times(&batches, 4), rows.times.iter().map(|t| t.wrapping_neg()).collect::<Vec<_>>());
    assert_eq!(decimals(&batches, 5), rows.prices);
    assert_eq!(decimals(&batches, 6), rows.prices.iter().map(|p| p % 7).collect::<Vec<_>>());
}

const MOST: i128 = 99_999_999_999_999_999_999_999_999_999_999_999_999;

prop_compose! {
    fn any_rows()(rows in prop::collection::vec(
        (0u8..3, "[0-9a-f]{0,12}", any::<i64>(), prop_oneof![-MOST..=MOST, 0i128..4]), 1..700,
    )) -> Rows {
        let mut all = Rows { keys: vec![], ids: vec![], times: vec![], prices: vec![] };
        for (key, id, time, price) in rows {
            all.keys.push(key);
            all.ids.push(id);
            all.times.push(time);
            all.prices.push(price);
        }
        all
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_rows_read_back_as_written(rows in any_rows()) {
        check(&rows);
    }

    #[test]
    fn any_keys_survive_any_width(keys in prop::collection::vec(0u32..40_000, 1..300)) {
        // Through a decimal dictionary, whose width follows the number of distinct values.
        let prices: Vec<i128> = keys.iter().cycle().take(keys.len() * 5).map(|k| i128::from(*k) << 60).collect();
        let rows = Rows {
            keys: vec![0; prices.len()],
            ids: vec![String::new(); prices.len()],
            times: (0..).take(prices.len()).collect(),
            prices,
        };
        check(&rows);
    }
}

#[test]
fn several_pages_and_row_groups_read_back_as_written() {
    let rows = GROUP_ROWS + chunk::PAGE_ROWS * 2 + 5;
    let number = |row: usize| i64::try_from(row).unwrap();
    let rows = Rows {
        keys: (0..rows).map(|row| u8::from(row > 40_000) + u8::from(row > 130_000)).collect(),
        ids: (0..rows).map(|row| (5_000_000_000 + row).to_string()).collect(),
        times: (0..rows).map(|row| 1_700_000_000_000_000 + number(row) * 1000).collect(),
        prices: (0..rows).map(|row| i128::from(number(row / 3)) * 10_000_000_000_000_000).collect(),
    };
    check(&rows);
}

#[test]
fn statistics_are_the_extremes_of_each_row_group() {
    let rows = Rows {
        keys: vec![0, 0, 1],
        ids: ["10", "9", "11"].map(str::to_owned).to_vec(),
        times: vec![5, -3, 4],
        prices: vec![-5, 7, 0],
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file_of(&rows))).unwrap();
    let group = reader.metadata().row_group(0);
    let bytes = |column: usize| {
        let statistics = group.column(column).statistics().unwrap();
        (statistics.min_bytes_opt().unwrap().to_vec(), statistics.max_bytes_opt().unwrap().to_vec())
    };
    assert_eq!(bytes(0), (b"A".to_vec(), b"BC".to_vec()));
    assert_eq!(bytes(2), (b"10".to_vec(), b"9".to_vec()));
    assert_eq!(bytes(3), ((-3i64).to_le_bytes().to_vec(), 5i64.to_le_bytes().to_vec()));
    assert_eq!(bytes(5), ((-5i128).to_be_bytes().to_vec(), 7i128.to_be_bytes().to_vec()));
    assert_eq!(group.num_rows(), 3);
}

#[test]
fn integers_and_flags_of_candles_read_back_as_written() {
    let rows = 20_000usize;
    let decimal = || Values::Decimal((0..rows).map(|row| row as i128).collect());
    let keyed = || Values::Runs(vec![(Box::from("X/Y"), rows)]);
    let int = |of: fn(usize) -> usize| (0..rows).map(|row| i32::try_from(of(row)).unwrap()).collect::<Vec<_>>();
    let long = || (0..rows).map(|row| i64::try_from(row * row).unwrap()).collect::<Vec<_>>();
    let flag = |of: fn(usize) -> bool| (0..rows).map(of).collect::<Vec<_>>();
    let columns = [
        keyed(),
        keyed(),
        Values::Int(int(|row| row / 9000)),
        Values::Long(long()),
        decimal(),
        decimal(),
        decimal(),
        decimal(),
        decimal(),
        decimal(),
        Values::Long(long()),
        Values::Int(int(|row| row % 300)),
        Values::Flag(flag(|row| row % 3 == 0)),
        Values::Flag(flag(|_| false)),
    ];
    let schema = Table::Candles.parquet_schema().unwrap();
    let bytes = Encoder::new(1).unwrap().file(&schema, &columns, Table::Candles.sorted_by()).unwrap();
    let batches = read(bytes);
    let ints = |column: usize| -> Vec<i32> {
        batches.iter().flat_map(|b| b.column(column).as_primitive::<Int32Type>().values().to_vec()).collect()
    };
    let flags = |column: usize| -> Vec<bool> {
        batches
            .iter()
            .flat_map(|b| b.column(column).as_boolean().iter().map(Option::unwrap).collect::<Vec<_>>())
            .collect()
    };
    assert_eq!(ints(2), int(|row| row / 9000));
    assert_eq!(ints(11), int(|row| row % 300));
    assert_eq!(times(&batches, 3), long());
    let trades: Vec<i64> =
        batches.iter().flat_map(|b| b.column(10).as_primitive::<Int64Type>().values().to_vec()).collect();
    assert_eq!(trades, long());
    assert_eq!(flags(12), flag(|row| row % 3 == 0));
    assert_eq!(flags(13), vec![false; rows]);
    assert!(batches.iter().all(|batch| batch.columns().iter().all(|column| column.null_count() == 0)));
}

#[test]
fn columns_of_different_length_are_refused() {
    let schema = Table::Ticks.parquet_schema().unwrap();
    let columns = [Values::Long(vec![1]), Values::Long(vec![])];
    assert!(Encoder::new(1).unwrap().file(&schema, &columns, &[0]).is_err());
}
