//! What a frame says: events, ignored kinds and reasons of refusal. All three are closed sets, fit for metric labels.

use crate::QuoteChange;
use proto::Symbol;
use proto::market::{Quote, Tick};
use std::fmt;

/// One thing that a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A trade.
    Tick(Tick),
    /// Best bid and ask.
    Quote(Quote),
    /// One side of the best bid and ask changed; [`crate::PartialQuotes`] makes a quote of it.
    QuoteChange(QuoteChange),
    /// An id of the venue's series of trades that is no market print (insurance fund, deleveraging; price zero):
    /// nothing to record, and no hole either.
    VoidTrade {
        /// Symbol.
        symbol: Symbol,
        /// The id.
        trade_id: u64,
    },
    /// The venue says that the connection is alive.
    Heartbeat,
    /// The venue confirmed a subscription; its words, shortened.
    Subscribed(String),
    /// The venue reported an error on the connection, such as a refused subscription.
    VenueError {
        /// The venue's code, empty if none.
        code: String,
        /// The venue's text, shortened.
        message: String,
    },
    /// A known frame that carries nothing for us.
    Ignored(Ignored),
    /// One item of a frame was refused; the others stand.
    Refused(Rejection),
}

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// A stable lower-case label for metrics and tables.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.label())
            }
        }
    };
}

labels! {
    /// Kinds of frames that are known and carry nothing for us.
    Ignored {
        /// Order book snapshots and updates beyond the best level.
        Depth = "depth",
        /// Trades merged by price and order, whose ids are of another series.
        AggregateTrade = "aggregate_trade",
        /// Candles pushed by the venue; ours come from trades.
        Candle = "candle",
        /// Rolling statistics without a best bid and ask.
        Statistics = "statistics",
        /// Mark and index prices, funding, liquidations, open interest.
        Derivatives = "derivatives",
        /// Instrument and market status announcements.
        Status = "status",
        /// Orders, fills and balances of an account.
        Account = "account",
        /// Acknowledgements and greetings of the connection.
        Control = "control",
        /// A quote with one side of the book empty.
        OneSidedBook = "one_sided_book",
    }
}

labels! {
    /// Why a frame, an item or an answer was refused.
    Reason {
        /// Not JSON, cut off, or not the shape that its kind has.
        Malformed = "malformed",
        /// A channel or message kind that the adapter does not know.
        UnknownChannel = "unknown_channel",
        /// A symbol that has no canonical name.
        UnknownSymbol = "unknown_symbol",
        /// A field that must be there is not.
        MissingField = "missing_field",
        /// A number that is none, or does not fit decimal(38,18).
        BadNumber = "bad_number",
        /// A time that is none, or lies outside 2001 to 2262.
        BadTime = "bad_time",
        /// A price or size that is not positive, or a field with an unknown word.
        OutOfRange = "out_of_range",
        /// The best ask is below the best bid.
        CrossedQuote = "crossed_quote",
        /// A candle whose high or low does not enclose the other prices, or that is not aligned to its interval.
        BadCandle = "bad_candle",
        /// The venue answered with an error instead of data.
        VenueError = "venue_error",
    }
}

/// A refusal: why, and of what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// The field or word, shortened; for logs and dead letters, never for labels.
    pub detail: String,
}

/// Longest detail in bytes.
const DETAIL_BYTES: usize = 160;

/// `text`, cut at a character boundary.
pub(crate) fn shortened(text: &str) -> String {
    let mut end = text.len().min(DETAIL_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

impl Rejection {
    /// A refusal with its detail shortened.
    pub(crate) fn new(reason: Reason, detail: impl AsRef<str>) -> Self {
        Self { reason, detail: shortened(detail.as_ref()) }
    }
}
