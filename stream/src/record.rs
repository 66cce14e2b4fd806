//! What a log record says, checked. Pure: bytes in, input or the reason why not out.

use crate::update::Ticker;
use proto::limits::BATCH_ROWS;
use proto::market::{Candle, MarketError, Quote, Tick};
use proto::{Envelope, EnvelopeError, EventType, Interval, LogTopic, RequestId, wire};

/// A usable record.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// One live trade.
    Tick(Tick),
    /// Fetched trades.
    Ticks(FetchedTicks),
    /// The feed of a key is complete up to a time.
    Heartbeat {
        /// Whose.
        ticker: Ticker,
        /// Up to when, venue clock.
        event_time_ns: u64,
        /// When that was written, our clock.
        written_at_ns: u64,
        /// A replay ended.
        end_of_stream: bool,
    },
    /// Fetched candles.
    Candles {
        /// In the order of the record.
        candles: Vec<Candle>,
        /// Set on the last part of an answer.
        end: Option<HistoryEnd>,
    },
    /// The venue's candles of the time before a feed began.
    Seed(Seed),
    /// Best bid and ask.
    Quote(Quote),
}

/// The venue's closed candles of a time before the first trade of a feed: what makes the windows whole in which it began.
#[derive(Debug, Clone, PartialEq)]
pub struct Seed {
    /// Whose.
    pub ticker: Ticker,
    /// Length of the candles.
    pub interval: Interval,
    /// Start of the time that they cover, and its end.
    pub range_ns: (u64, u64),
    /// Ascending; none where nothing was traded.
    pub candles: Vec<Candle>,
}

/// Fetched trades of one ticker.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchedTicks {
    /// Whose.
    pub ticker: Ticker,
    /// In the order of the record.
    pub ticks: Vec<Tick>,
    /// Somebody asked for them; else they repair a gap.
    pub answer: bool,
    /// The range that this record completes: all its trades are in the partition now.
    pub complete: Option<(u64, u64)>,
    /// Set on the last part of an answer.
    pub end: Option<HistoryEnd>,
}

/// The end of a history answer.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEnd {
    /// Everybody who asked.
    pub request_ids: Vec<RequestId>,
    /// For what.
    pub ticker: Ticker,
    /// Candles of this interval, or ticks.
    pub interval: Option<Interval>,
    /// Start of the range.
    pub from_ns: u64,
    /// Its end, not included.
    pub to_ns: u64,
    /// Why some of it is missing.
    pub error: Option<wire::ErrorDetail>,
}

/// Something that cannot be used: a whole record or a row of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Of the closed set of docs/protocol/02-log.md.
    pub reason: &'static str,
    /// For people.
    pub detail: String,
    /// The row, if it is not the whole record.
    pub row: Option<usize>,
}

/// A record after decoding.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decoded {
    /// What can be used.
    pub input: Option<Input>,
    /// What cannot.
    pub rejected: Vec<Rejected>,
}

impl Decoded {
    fn rejected(reason: &'static str, detail: String) -> Self {
        Self { input: None, rejected: vec![Rejected { reason, detail, row: None }] }
    }
}

/// Decodes a record of `norm.tick`, `norm.ohlc` or `norm.quote`.
#[must_use]
pub fn decode(topic: LogTopic, key: &[u8], value: &[u8]) -> Decoded {
    let envelope = match Envelope::decode(value) {
        Ok(envelope) => envelope,
        Err(error) => return Decoded::rejected(envelope_reason(&error), error.to_string()),
    };
    let decoded = match (topic, envelope.event_type) {
        (LogTopic::NormTick, EventType::Tick) => tick(key, &envelope),
        (LogTopic::NormTick, EventType::TickBatch) => tick_batch(key, &envelope),
        (LogTopic::NormTick, EventType::Heartbeat) => heartbeat(key, &envelope),
        (LogTopic::NormTick, EventType::OhlcBatch) => seed(key, &envelope),
        (LogTopic::NormOhlc, EventType::OhlcBatch) => candle_batch(key, &envelope),
        (LogTopic::NormQuote, EventType::Quote) => quote(key, &envelope),
        (_, other) => Err(("unknown_type", format!("{} on {topic}", other.name()))),
    };
    decoded.unwrap_or_else(|(reason, detail)| Decoded::rejected(reason, detail))
}

type Refusal = (&'static str, String);

fn envelope_reason(error: &EnvelopeError) -> &'static str {
    match error {
        EnvelopeError::TooLong(_) => "too_long",
        EnvelopeError::Protobuf(_) => "malformed",
        EnvelopeError::Field(_) => "missing_field",
        EnvelopeError::Version(_) => "unknown_version",
        EnvelopeError::UnexpectedType { .. } => "unknown_type",
    }
}

fn market(error: &MarketError) -> Refusal {
    let reason = match error {
        MarketError::Id(_) => "unknown_symbol",
        MarketError::Number { .. } => "bad_number",
        MarketError::Missing(_) => "missing_field",
        MarketError::Interval(_) | MarketError::Range { .. } => "out_of_range",
    };
    (reason, error.to_string())
}

fn message<M: prost::Message + Default>(envelope: &Envelope) -> Result<M, Refusal> {
    M::decode(envelope.payload.clone()).map_err(|error| ("malformed", error.to_string()))
}

fn ticker(venue: &str, symbol: &str) -> Result<Ticker, Refusal> {
    let id = |error: proto::IdError| ("unknown_symbol", error.to_string());
    Ok(Ticker { venue: venue.parse().map_err(id)?, symbol: symbol.parse().map_err(id)? })
}

/// The key decides the partition, and only one partition may know a ticker: its state would split in two.
fn check_key(key: &[u8], venue: &str, symbol: &str) -> Result<(), Refusal> {
    let rest = key.strip_prefix(venue.as_bytes()).and_then(|rest| rest.strip_prefix(b":"));
    if rest == Some(symbol.as_bytes()) {
        Ok(())
    } else {
        Err(("malformed", format!("key {:?} is not {venue}:{symbol}", String::from_utf8_lossy(key))))
    }
}

fn tick(key: &[u8], envelope: &Envelope) -> Result<Decoded, Refusal> {
    let message: wire::Tick = message(envelope)?;
    check_key(key, &message.venue, &message.symbol)?;
    let tick = Tick::try_from(&message).map_err(|error| market(&error))?;
    Ok(Decoded { input: Some(Input::Tick(tick)), rejected: Vec::new() })
}

fn quote(key: &[u8], envelope: &Envelope) -> Result<Decoded, Refusal> {
    let message: wire::Quote = message(envelope)?;
    check_key(key, &message.venue, &message.symbol)?;
    let quote = Quote::try_from(&message).map_err(|error| market(&error))?;
    Ok(Decoded { input: Some(Input::Quote(quote)), rejected: Vec::new() })
}

fn heartbeat(key: &[u8], envelope: &Envelope) -> Result<Decoded, Refusal> {
    let message: wire::Heartbeat = message(envelope)?;
    check_key(key, &message.venue, &message.symbol)?;
    if !proto::market::valid_time(message.event_time_ns) {
        return Err(("out_of_range", "event_time_ns: must be between 2001 and 2262".to_owned()));
    }
    let input = Input::Heartbeat {
        ticker: ticker(&message.venue, &message.symbol)?,
        event_time_ns: message.event_time_ns,
        written_at_ns: envelope.ingested_at_ns,
        end_of_stream: message.end_of_stream,
    };
    Ok(Decoded { input: Some(input), rejected: Vec::new() })
}

/// Keeps the good rows of a batch and says of each other one why not.
fn rows<W, T>(rows: &[W], read: impl Fn(&W) -> Result<T, Refusal>) -> Result<(Vec<T>, Vec<Rejected>), Refusal> {
    if rows.len() > BATCH_ROWS {
        return Err(("too_long", format!("{} rows, limit {BATCH_ROWS}", rows.len())));
    }
    let (mut good, mut rejected) = (Vec::with_capacity(rows.len()), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        match read(row) {
            Ok(value) => good.push(value),
            Err((reason, detail)) => rejected.push(Rejected { reason, detail, row: Some(at) }),
        }
    }
    Ok((good, rejected))
}

fn belongs(same: bool) -> Result<(), Refusal> {
    if same { Ok(()) } else { Err(("malformed", "row of another series than its batch".to_owned())) }
}

fn request_ids(ids: &[String], rejected: &mut Vec<Rejected>) -> Vec<RequestId> {
    let mut valid = Vec::with_capacity(ids.len());
    for id in ids {
        match id.parse::<RequestId>() {
            Ok(id) => valid.push(id),
            Err(error) => rejected.push(Rejected { reason: "malformed", detail: error.to_string(), row: None }),
        }
    }
    valid
}

fn tick_batch(key: &[u8], envelope: &Envelope) -> Result<Decoded, Refusal> {
    let batch: wire::TickBatch = message(envelope)?;
    check_key(key, &batch.venue, &batch.symbol)?;
    let ticker = ticker(&batch.venue, &batch.symbol)?;
    let (ticks, mut rejected) = rows(&batch.ticks, |row| {
        belongs(row.venue == batch.venue && row.symbol == batch.symbol)?;
        Tick::try_from(row).map_err(|error| market(&error))
    })?;
    let answer = !batch.request_ids.is_empty();
    let whole = batch.last && batch.error.is_none() && rejected.is_empty() && batch.from_ns < batch.to_ns;
    let complete = whole.then_some((batch.from_ns, batch.to_ns));
    let end = batch.last.then(|| HistoryEnd {
        request_ids: request_ids(&batch.request_ids, &mut rejected),
        ticker: ticker.clone(),
        interval: None,
        from_ns: batch.from_ns,
        to_ns: batch.to_ns,
        error: batch.error,
    });
    Ok(Decoded { input: Some(Input::Ticks(FetchedTicks { ticker, ticks, answer, complete, end })), rejected })
}

/// All or nothing: of a part of the candles no longer window is whole.
fn seed(key: &[u8], envelope: &Envelope) -> Result<Decoded, Refusal> {
    let batch: wire::OhlcBatch = message(envelope)?;
    let range_ns = (batch.from_ns, batch.to_ns);
    let decoded = candles(key, batch)?;
    if let Some(rejected) = decoded.rejected.into_iter().next() {
        return Err((rejected.reason, rejected.detail));
    }
    let Some(Input::Candles { candles, end: Some(HistoryEnd { ticker, interval: Some(interval), .. }) }) =
        decoded.input
    else {
        return Err(("malformed", "last: must be set, as a seed is one record".to_owned()));
    };
    let (from_ns, to_ns) = range_ns;
    let length = interval.nanos();
    if !proto::market::valid_time(from_ns) || to_ns <= from_ns || from_ns % length != 0 || to_ns % length != 0 {
        return Err((
            "out_of_range",
            "from_ns, to_ns: must be a range of whole intervals between 2001 and 2262".to_owned(),
        ));
    }
    let ascending = candles.windows(2).all(|pair| pair[0].open_time_ns < pair[1].open_time_ns);
    let inside = candles.iter().all(|c| c.closed && from_ns <= c.open_time_ns && c.open_time_ns < to_ns);
    if !ascending || !inside {
        return Err(("out_of_range", "candles: must be closed, ascending and within from_ns to to_ns".to_owned()));
    }
    Ok(Decoded { input: Some(Input::Seed(Seed { ticker, interval, range_ns, candles })), rejected: Vec::new() })
}

fn candle_batch(key: &[u8], envelope: &Envelope) -> Result<Decoded, Refusal> {
    candles(key, message(envelope)?)
}

fn candles(key: &[u8], batch: wire::OhlcBatch) -> Result<Decoded, Refusal> {
    check_key(key, &batch.venue, &batch.symbol)?;
    let ticker = ticker(&batch.venue, &batch.symbol)?;
    let interval = Interval::from_seconds(batch.interval_s).map_err(|error| ("out_of_range", error.to_string()))?;
    let (candles, mut rejected) = rows(&batch.candles, |row| {
        belongs(row.venue == batch.venue && row.symbol == batch.symbol && row.interval_s == batch.interval_s)?;
        if !proto::market::valid_time(row.open_time_ns) {
            return Err(("out_of_range", "open_time_ns: must be between 2001 and 2262".to_owned()));
        }
        Candle::try_from(row).map_err(|error| market(&error))
    })?;
    let end = batch.last.then(|| HistoryEnd {
        request_ids: request_ids(&batch.request_ids, &mut rejected),
        ticker,
        interval: Some(interval),
        from_ns: batch.from_ns,
        to_ns: batch.to_ns,
        error: batch.error,
    });
    Ok(Decoded { input: Some(Input::Candles { candles, end }), rejected })
}

#[cfg(test)]
mod tests;
