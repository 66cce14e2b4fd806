//! Venues: what a trading venue says, as the platform's own words. Pure and sans-IO.
//!
//! One folder per venue. An [`Adapter`] knows a venue's URLs and subscriptions, turns each received frame into
//! [`Event`]s, writes the REST requests for history and instruments and reads their answers. It opens no socket, reads
//! no clock and keeps no state: the ingestor owns all of that. Invariants:
//!
//! - *total*: each frame becomes events, a named [`Ignored`] or a [`Rejection`] with a closed [`Reason`]; no input
//!   panics;
//! - numbers go from the text of the frame to [`proto::Decimal`] without a float in between;
//! - every tick and quote that leaves here has passed [`proto::market::Tick::validate`] or
//!   [`proto::market::Quote::validate`];
//! - `canonical(venue_symbol(s)) == s` and the other way round;
//! - a chain of history pages always ends: each page's `next` asks for strictly less.
//!
//! docs/venues.md says what each venue sends, what is refused and why.

mod adapter;
mod event;
mod history;
mod instrument;
mod market;
mod number;
mod quotes;
mod registry;
mod rest;
mod scalar;
mod symbol;

mod binance;
mod bybit;
mod coinbase;
mod hyperliquid;
mod kraken;
mod okx;

pub use adapter::{Adapter, Connection, Pacing, Ping, Profile, TradeIds};
pub use event::{Event, Ignored, Reason, Rejection};
pub use history::{CandlesPage, CandlesQuery, Cursor, IdRange, TradesPage, TradesQuery};
pub use instrument::{Instrument, InstrumentKind, InstrumentStatus, Instruments};
pub use quotes::{PartialQuotes, QuoteChange};
pub use registry::{adapter, all, recognise};
pub use rest::{Answer, RestError, RestLimits, RestRequest};
pub use symbol::{SymbolError, SymbolTable};
