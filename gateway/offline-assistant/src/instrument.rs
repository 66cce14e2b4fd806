//! Which instrument a name such as `BTC` is: the one of a list of instruments that a person most likely means.

use crate::markets::Market;
use crate::outcome::plain;
use crate::step::{Step, ask};
use crate::turn::Turn;
use serde_json::{Value, json};

/// Quote assets in the order in which they are preferred.
const PREFERRED: [&str; 5] = ["USDT", "USD", "USDC", "EUR", "BTC"];

/// Venue and symbol of a market that a person named; asks for the list of instruments if the name leaves it open.
pub(crate) fn resolved(turn: &Turn<'_>, market: &Market) -> Result<(String, String), Step> {
    if let (Some(venue), Some(_)) = (&market.venue, market.quote()) {
        return Ok((venue.clone(), market.symbol.clone()));
    }
    let listed = ask(turn, "list_instruments", json!({ "query": market.symbol }))?;
    let instruments = listed["instruments"].as_array().map(Vec::as_slice).unwrap_or_default();
    chosen(turn, market, instruments).ok_or_else(|| {
        let others: Vec<String> = instruments
            .iter()
            .filter_map(name)
            .take(5)
            .map(|(venue, symbol)| format!("{}:{}", plain(&venue), plain(&symbol)))
            .collect();
        let others = if others.is_empty() { String::new() } else { format!(" Near to it: {}.", others.join(", ")) };
        Step::say(format!(
            "I find no instrument {} that is traded here.{others} \"find instruments BTC\" shows what there is.",
            plain(&market.name())
        ))
    })
}

fn name(instrument: &Value) -> Option<(String, String)> {
    let text = |key: &str| instrument[key].as_str().map(str::to_owned);
    // What is not a name of a market is not passed on to another tool.
    Market::parse(&format!("{}:{}", text("venue")?, text("symbol")?))?;
    Some((text("venue")?, text("symbol")?))
}

fn chosen(turn: &Turn<'_>, market: &Market, instruments: &[Value]) -> Option<(String, String)> {
    let current = turn.current_market();
    let fits = |(venue, symbol): &(String, String)| {
        let (base, quote) = symbol.split_once('/').unwrap_or((symbol.as_str(), ""));
        base == market.base()
            && market.quote().is_none_or(|wanted| wanted == quote)
            && market.venue.as_ref().is_none_or(|wanted| wanted == venue)
    };
    let cost = |(at, (venue, symbol)): &(usize, (String, String))| {
        let quote = symbol.split_once('/').map_or("", |(_, quote)| quote);
        let preferred = PREFERRED.iter().position(|known| *known == quote).unwrap_or(PREFERRED.len());
        let here = current.as_ref().is_some_and(|current| current.venue.as_ref() == Some(venue));
        let same_quote = current.as_ref().is_some_and(|current| current.quote() == Some(quote));
        (!here, !same_quote, preferred, *at)
    };
    instruments.iter().filter_map(name).filter(fits).enumerate().min_by_key(cost).map(|(_, found)| found)
}
