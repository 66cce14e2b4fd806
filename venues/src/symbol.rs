//! Symbol mapping: the table learnt from instruments, and why a name cannot be mapped.

use crate::event::shortened;
use crate::{Instrument, Reason, Rejection};
use hashbrown::HashMap;
use proto::{Symbol, Venue};
use std::fmt;

/// Why a symbol has no name at a venue, or a name no symbol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SymbolError {
    /// The name is not of the form that the venue uses.
    #[error("{0:?} is not a symbol of this venue")]
    Form(String),
    /// The name cannot be split into base and quote without the instrument list, or would come back as another symbol.
    #[error("{0:?} is ambiguous without the venue's instrument list")]
    Ambiguous(String),
}

/// Names and symbols of one venue, learnt from its instruments: a bijection. Lookups do not allocate.
#[derive(Debug, Clone, Default)]
pub struct SymbolTable {
    by_name: HashMap<Box<str>, Symbol>,
    by_symbol: HashMap<Symbol, Box<str>>,
}

impl SymbolTable {
    /// The table of `venue`. Of two instruments that share a name or a symbol the first counts.
    #[must_use]
    pub fn from_instruments(venue: &Venue, instruments: &[Instrument]) -> Self {
        let mut table = Self::default();
        for instrument in instruments.iter().filter(|i| i.venue == *venue) {
            let name = instrument.venue_symbol.as_str();
            if table.by_name.contains_key(name) || table.by_symbol.contains_key(&instrument.symbol) {
                continue;
            }
            table.by_name.insert(name.into(), instrument.symbol.clone());
            table.by_symbol.insert(instrument.symbol.clone(), name.into());
        }
        table
    }

    /// The symbol of a name.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<&Symbol> {
        if self.by_name.is_empty() { None } else { self.by_name.get(name) }
    }

    /// The name of a symbol.
    #[must_use]
    pub fn name(&self, symbol: &Symbol) -> Option<&str> {
        self.by_symbol.get(symbol).map(AsRef::as_ref)
    }

    /// How many symbols it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// True if it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// `BASE/QUOTE`, if both are of the canonical alphabet.
pub(crate) fn symbol_of(base: &str, quote: &str) -> Option<Symbol> {
    let mut text = String::with_capacity(base.len() + quote.len() + 1);
    text.push_str(base);
    text.push('/');
    text.push_str(quote);
    text.parse().ok()
}

/// The symbol of an instrument entry that states base and quote; lower case (`AAPLx`) is raised, so only the table
/// can lead back.
pub(crate) fn listed_symbol(base: &str, quote: &str) -> Result<Symbol, Rejection> {
    symbol_of(&base.to_ascii_uppercase(), &quote.to_ascii_uppercase())
        .ok_or_else(|| Rejection::new(Reason::UnknownSymbol, format!("{base}/{quote}")))
}

/// How one venue names symbols: the table first, the rule after it, and never two answers.
#[derive(Clone)]
pub(crate) struct Names {
    table: SymbolTable,
    symbol_by_rule: fn(&str) -> Option<Symbol>,
    name_by_rule: fn(&Symbol) -> Option<String>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("known", &self.table.len()).finish_non_exhaustive()
    }
}

impl Names {
    /// Names by rule alone.
    pub(crate) fn by_rule(symbol: fn(&str) -> Option<Symbol>, name: fn(&Symbol) -> Option<String>) -> Self {
        Self { table: SymbolTable::default(), symbol_by_rule: symbol, name_by_rule: name }
    }

    /// The same rule behind the table of these instruments.
    pub(crate) fn refined(&self, venue: &Venue, instruments: &[Instrument]) -> Self {
        Self { table: SymbolTable::from_instruments(venue, instruments), ..self.clone() }
    }

    /// The symbol of a name.
    pub(crate) fn symbol(&self, name: &str) -> Result<Symbol, SymbolError> {
        if let Some(symbol) = self.table.symbol(name) {
            return Ok(symbol.clone());
        }
        let symbol = (self.symbol_by_rule)(name).ok_or_else(|| SymbolError::Form(shortened(name)))?;
        if self.table.name(&symbol).is_some_and(|known| (self.name_by_rule)(&symbol).as_deref() != Some(known)) {
            return Err(SymbolError::Ambiguous(shortened(name)));
        }
        Ok(symbol)
    }

    /// The name of a symbol.
    pub(crate) fn name(&self, symbol: &Symbol) -> Result<String, SymbolError> {
        if let Some(name) = self.table.name(symbol) {
            return Ok(name.to_owned());
        }
        let name = (self.name_by_rule)(symbol).ok_or_else(|| SymbolError::Form(symbol.to_string()))?;
        let comes_back = (self.symbol_by_rule)(&name).as_ref() == Some(symbol);
        if !comes_back || self.table.symbol(&name).is_some() {
            return Err(SymbolError::Ambiguous(symbol.to_string()));
        }
        Ok(name)
    }

    /// The symbol of a name in a frame.
    pub(crate) fn decode(&self, name: &str) -> Result<Symbol, Rejection> {
        self.symbol(name).map_err(|error| Rejection::new(Reason::UnknownSymbol, error.to_string()))
    }
}

/// Upper-case letters and digits only.
pub(crate) fn is_plain(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// `BTCUSDT` as (`BTC`, `USDT`): the first of `quotes` that ends it counts, so a longer quote asset stands before its
/// own ending.
pub(crate) fn split_by_quote<'a>(name: &'a str, quotes: &[&str]) -> Option<(&'a str, &'a str)> {
    let quote = quotes.iter().find(|quote| name.len() > quote.len() && name.ends_with(**quote))?;
    name.split_at_checked(name.len() - quote.len())
}

/// `BASE-QUOTE` as its two parts; exactly one dash.
pub(crate) fn split_at_dash(name: &str) -> Option<(&str, &str)> {
    let (base, quote) = name.split_once('-')?;
    (!base.is_empty() && !quote.is_empty() && !quote.contains('-')).then_some((base, quote))
}
