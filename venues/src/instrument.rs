//! Instruments: what can be traded at a venue, with its steps and status.

use crate::Rejection;
use proto::{Decimal, Symbol, Venue, wire};

/// What an instrument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstrumentKind {
    /// Coins against coins.
    Spot,
    /// A future without expiry.
    Perpetual,
    /// A future with expiry.
    Future,
}

/// Whether an instrument trades now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstrumentStatus {
    /// Orders are accepted.
    Trading,
    /// Paused, or restricted to cancelling, posting or limit orders.
    Halted,
    /// Gone, or not yet there.
    Closed,
}

/// What can be traded at a venue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instrument {
    /// Venue.
    pub venue: Venue,
    /// Canonical symbol.
    pub symbol: Symbol,
    /// The venue's own name on its WebSocket feed.
    pub venue_symbol: String,
    /// Spot or derivative.
    pub kind: InstrumentKind,
    /// Whether it trades now.
    pub status: InstrumentStatus,
    /// Price step, > 0.
    pub tick_size: Decimal,
    /// Size step, > 0.
    pub lot_size: Decimal,
    /// Least price times size of an order, 0 if the venue states none.
    pub min_notional: Decimal,
}

/// All instruments of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Instruments {
    /// The instruments.
    pub listed: Vec<Instrument>,
    /// Entries that were refused, such as names outside the canonical alphabet.
    pub refused: Vec<Rejection>,
}

impl Instrument {
    /// As a message for `evt.instrument`.
    #[must_use]
    pub fn to_wire(&self, live: bool) -> wire::Instrument {
        wire::Instrument {
            venue: self.venue.to_string(),
            symbol: self.symbol.to_string(),
            venue_symbol: self.venue_symbol.clone(),
            base: self.symbol.base().to_owned(),
            quote: self.symbol.quote().to_owned(),
            kind: match self.kind {
                InstrumentKind::Spot => wire::InstrumentKind::Spot,
                InstrumentKind::Perpetual => wire::InstrumentKind::Perpetual,
                InstrumentKind::Future => wire::InstrumentKind::Future,
            } as i32,
            status: match self.status {
                InstrumentStatus::Trading => wire::InstrumentStatus::Trading,
                InstrumentStatus::Halted => wire::InstrumentStatus::Halted,
                InstrumentStatus::Closed => wire::InstrumentStatus::Closed,
            } as i32,
            tick_size: Some(self.tick_size.into()),
            lot_size: Some(self.lot_size.into()),
            min_notional: Some(self.min_notional.into()),
            live,
        }
    }
}
