//! The tables: names, columns, partitions, sort order (docs/protocol/05-lake.md).

use crate::error::{LakeError, Result};
use iceberg::spec::{
    NestedField, NestedFieldRef, NullOrder, PrimitiveType, Schema, SortDirection, SortField, SortOrder, Transform,
    Type, UnboundPartitionSpec,
};
use iceberg::{NamespaceIdent, TableIdent};
use parquet::schema::types::TypePtr;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The namespace, and the name under which the catalog keeps its tables.
pub const NAMESPACE: &str = "dexorder";
/// Buckets of the partition by symbol.
pub(crate) const BUCKETS: u32 = 16;

/// A table of the lake, in the namespace `dexorder`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// `dexorder.ticks`: one row a trade.
    Ticks,
    /// `dexorder.candles`: one row a revision of a candle.
    Candles,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Field ids that both tables share, and the one of `interval_s`.
pub(crate) mod field {
    pub(crate) const VENUE: i32 = 1;
    pub(crate) const SYMBOL: i32 = 2;
    pub(crate) const INTERVAL: i32 = 3;
    pub(crate) const TIME: i32 = 4;
}

const DECIMAL: PrimitiveType = PrimitiveType::Decimal { precision: 38, scale: 18 };

/// Name, type and meaning; the field id is the position, from 1.
type Column = (&'static str, PrimitiveType, &'static str);

const TICKS: [Column; 9] = [
    ("venue", PrimitiveType::String, "venue id, upper case"),
    ("symbol", PrimitiveType::String, "canonical symbol BASE/QUOTE"),
    ("trade_id", PrimitiveType::String, "the venue's id of the trade"),
    ("event_time", PrimitiveType::Timestamptz, "venue clock"),
    ("receive_time", PrimitiveType::Timestamptz, "our clock"),
    ("price", DECIMAL, "in the quote asset"),
    ("size", DECIMAL, "in the base asset"),
    ("side", PrimitiveType::String, "the taker's: buy, sell or unknown"),
    ("source", PrimitiveType::String, "live, backfill or replay"),
];

const CANDLES: [Column; 14] = [
    ("venue", PrimitiveType::String, "venue id, upper case"),
    ("symbol", PrimitiveType::String, "canonical symbol BASE/QUOTE"),
    ("interval_s", PrimitiveType::Int, "length in seconds"),
    ("open_time", PrimitiveType::Timestamptz, "start, a multiple of the length"),
    ("open", DECIMAL, "first price"),
    ("high", DECIMAL, "highest price"),
    ("low", DECIMAL, "lowest price"),
    ("close", DECIMAL, "last price"),
    ("volume", DECIMAL, "sum of sizes, base asset"),
    ("quote_volume", DECIMAL, "sum of price times size, quote asset"),
    ("trades", PrimitiveType::Long, "number of trades, 0 if unknown"),
    ("revision", PrimitiveType::Int, "take the row with the highest one of an open time"),
    ("closed", PrimitiveType::Boolean, "the interval was over"),
    ("repaired", PrimitiveType::Boolean, "a fetched trade or a venue candle changed it"),
];

impl Table {
    /// Both tables.
    pub const ALL: [Self; 2] = [Self::Ticks, Self::Candles];

    /// Name inside the namespace.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ticks => "ticks",
            Self::Candles => "candles",
        }
    }

    pub(crate) fn ident(self) -> TableIdent {
        TableIdent::new(NamespaceIdent::new(NAMESPACE.to_owned()), self.name().to_owned())
    }

    const fn columns(self) -> &'static [Column] {
        match self {
            Self::Ticks => &TICKS,
            Self::Candles => &CANDLES,
        }
    }

    /// The column that the day partition is made of.
    pub(crate) const fn time_column(self) -> &'static str {
        match self {
            Self::Ticks => "event_time",
            Self::Candles => "open_time",
        }
    }

    /// Indexes of the columns that files are sorted by.
    pub(crate) const fn sorted_by(self) -> &'static [i32] {
        match self {
            Self::Ticks => &[0, 1, 3],
            Self::Candles => &[0, 1, 2, 3],
        }
    }

    /// The Iceberg schema. Every column is required.
    pub(crate) fn schema(self) -> Result<Schema> {
        let field = |(id, (name, kind, doc)): (i32, &Column)| -> NestedFieldRef {
            NestedField::required(id, *name, Type::Primitive(kind.clone())).with_doc(*doc).into()
        };
        let fields = (1..).zip(self.columns()).map(field);
        Schema::builder().with_fields(fields).build().map_err(LakeError::iceberg("build schema"))
    }

    /// Partitions: day of the time column, bucket of the symbol.
    pub(crate) fn partition_spec(self) -> Result<UnboundPartitionSpec> {
        let build = || {
            let spec = UnboundPartitionSpec::builder()
                .add_partition_field(field::TIME, format!("{}_day", self.time_column()), Transform::Day)?
                .add_partition_field(field::SYMBOL, "symbol_bucket", Transform::Bucket(BUCKETS))?;
            Ok(spec.build())
        };
        build().map_err(LakeError::iceberg("build partition spec"))
    }

    /// Order of rows inside a file.
    pub(crate) fn sort_order(self) -> SortOrder {
        let field = |column: &i32| SortField {
            source_id: column + 1,
            transform: Transform::Identity,
            direction: SortDirection::Ascending,
            null_order: NullOrder::First,
        };
        SortOrder { order_id: 1, fields: self.sorted_by().iter().map(field).collect() }
    }

    /// The Parquet schema of data files; field ids are those of the Iceberg schema.
    ///
    /// # Errors
    /// Never for the tables above; a test builds both.
    pub(crate) fn parquet_schema(self) -> Result<TypePtr> {
        let mut text = format!("message {} {{\n", self.name());
        for (id, (name, kind, _)) in (1..).zip(self.columns()) {
            let line = match kind {
                PrimitiveType::String => format!("required binary {name} (STRING) = {id};\n"),
                PrimitiveType::Timestamptz => format!("required int64 {name} (TIMESTAMP(MICROS,true)) = {id};\n"),
                PrimitiveType::Int => format!("required int32 {name} = {id};\n"),
                PrimitiveType::Long => format!("required int64 {name} = {id};\n"),
                PrimitiveType::Boolean => format!("required boolean {name} = {id};\n"),
                _ => format!("required fixed_len_byte_array(16) {name} (DECIMAL(38,18)) = {id};\n"),
            };
            text.push_str(&line);
        }
        text.push('}');
        let schema = parquet::schema::parser::parse_message_type(&text).map_err(LakeError::parquet(self.name()))?;
        Ok(Arc::new(schema))
    }

    /// Properties that tell other writers to write as we do.
    pub(crate) fn properties() -> HashMap<String, String> {
        [
            ("write.format.default", "parquet"),
            ("write.parquet.compression-codec", "zstd"),
            ("write.metadata.previous-versions-max", "100"),
            ("dexorder.schema-version", "1"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
    }
}
