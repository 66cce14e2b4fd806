//! What the assistant shows on the user's chart, and what it finds in candles.

use super::arguments::{Breakouts, Change, Cleared, Indicator, Marks, Series, Show, bounded, read};
use super::{PlatformTools, Refusal, done};
use crate::rfc3339::{self, Rfc3339};
use crate::series::SeriesKey;
use harness::event::ChartAction;
use harness::tool::ToolOutcome;
use offline_assistant::analysis;
use proto::Decimal;
use serde_json::{Value, json};
use trading::backtest::Candle;
use trading::{IndicatorKind, IndicatorSpec};

/// Indicators of one call.
const INDICATORS: usize = 8;
const MARKERS: usize = 500;
const LEVELS: usize = 50;
/// Characters of a marker, a level or the name of a group.
const TEXT: usize = 32;
/// Candles that are searched.
const SEARCHED: usize = 500;
const LOOKBACK: usize = 20;
const COUNT: usize = 5;
const COUNT_MAX: usize = 50;
const LEVELS_FOUND: usize = 6;

/// Name and parameters as the chart takes them; a parameter that is wrong is named.
fn checked(field: &str, given: &[Indicator]) -> Result<Vec<(&'static str, Value)>, Refusal> {
    bounded(field, given, INDICATORS)?;
    let one = |(at, it): (usize, &Indicator)| {
        let wrong = |error: &dyn std::fmt::Display| {
            Refusal::new("INVALID_ARGUMENT", &format!("{field}[{at}]"), format!("{field}[{at}]: {error}"))
        };
        let kind: IndicatorKind = it.name.to_ascii_lowercase().parse().map_err(|error| wrong(&error))?;
        let params = it.params.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let spec = IndicatorSpec::new(kind, &params).map_err(|error| wrong(&error))?;
        let text = spec.to_string();
        let numbers: Result<Vec<serde_json::Number>, _> =
            text.split(',').filter(|part| !part.is_empty()).map(str::parse).collect();
        Ok((kind.name(), json!(numbers.map_err(|error| wrong(&error))?)))
    };
    given.iter().enumerate().map(one).collect()
}

fn shown(indicators: &[(&'static str, Value)]) -> Vec<Value> {
    indicators.iter().map(|(name, params)| json!({"name": name, "params": params})).collect()
}

fn added(indicators: Vec<(&'static str, Value)>) -> impl Iterator<Item = ChartAction> {
    indicators.into_iter().map(|(name, params)| ChartAction::AddIndicator { name: name.to_owned(), params })
}

fn short(field: &str, text: &str) -> Result<(), Refusal> {
    if text.chars().count() <= TEXT {
        return Ok(());
    }
    Err(Refusal::new("INVALID_ARGUMENT", field, format!("{field}: at most {TEXT} characters")))
}

impl PlatformTools {
    pub(super) async fn show_chart(&self, given: Value) -> Result<ToolOutcome, Refusal> {
        let wanted: Show = read(given)?;
        let key = self.key(&Series { venue: wanted.venue, symbol: wanted.symbol, interval: wanted.interval })?;
        let indicators = checked("indicators", &wanted.indicators)?;
        let SeriesKey { venue, symbol, interval } = &key;
        let mut answer = json!({
            "venue": venue.as_str(), "symbol": symbol.as_str(), "interval": interval.to_string(), "indicators": shown(&indicators),
            "mode": self.mode(&key),
        });
        // The chart is shown in any case; a price that cannot be had is left out.
        if let Ok(Some(last)) = self.last(&key).await {
            let age = self.app.clock.now_ns().saturating_sub(last.time_ns) / 1_000_000;
            answer["last"] = json!({"price": last.price.to_string(), "time": Rfc3339(last.time_ns), "age_ms": age});
        }
        let mut outcome = done(&answer, format!("{venue} {symbol} {interval}"));
        let show =
            ChartAction::Show { venue: venue.to_string(), symbol: symbol.to_string(), interval: interval.to_string() };
        outcome.chart = std::iter::once(show).chain(added(indicators)).collect();
        Ok(outcome)
    }

    pub(super) fn change_chart(given: Value) -> Result<ToolOutcome, Refusal> {
        let wanted: Change = read(given)?;
        bounded("remove", &wanted.remove, INDICATORS)?;
        let add = checked("add", &wanted.add)?;
        let mut chart = Vec::new();
        if wanted.clear.contains(&Cleared::Indicators) {
            chart.push(ChartAction::RemoveIndicator { name: None });
        }
        if wanted.clear.contains(&Cleared::Drawings) {
            chart.push(ChartAction::Clear);
        }
        for (at, name) in wanted.remove.iter().enumerate() {
            let field = format!("remove[{at}]");
            let kind: Result<IndicatorKind, _> = name.to_ascii_lowercase().parse();
            let kind = kind.map_err(|error| Refusal::new("INVALID_ARGUMENT", &field, format!("{field}: {error}")))?;
            chart.push(ChartAction::RemoveIndicator { name: Some(kind.name().to_owned()) });
        }
        let answer = json!({"indicators": shown(&add)});
        chart.extend(added(add));
        if chart.is_empty() {
            return Err(Refusal::new(
                "INVALID_ARGUMENT",
                "add",
                "add, remove or clear: one of them must say something",
            ));
        }
        let mut outcome = done(&answer, "Chart changed");
        outcome.chart = chart;
        Ok(outcome)
    }

    pub(super) fn mark_chart(given: Value) -> Result<ToolOutcome, Refusal> {
        let Marks { group, markers, levels } = read(given)?;
        bounded("markers", &markers, MARKERS)?;
        bounded("levels", &levels, LEVELS)?;
        short("group", &group)?;
        for (at, marker) in markers.iter().enumerate() {
            short(&format!("markers[{at}].text"), &marker.text)?;
            if rfc3339::parse(&marker.time).is_none() {
                let field = format!("markers[{at}].time");
                return Err(Refusal::new("INVALID_ARGUMENT", &field, format!("{field}: not a time as RFC 3339")));
            }
        }
        for (at, level) in levels.iter().enumerate() {
            short(&format!("levels[{at}].text"), &level.text)?;
            if level.price.parse::<Decimal>().is_err() {
                let field = format!("levels[{at}].price");
                return Err(Refusal::new("INVALID_ARGUMENT", &field, format!("{field}: not a decimal number")));
            }
        }
        let answer = json!({"markers": markers.len(), "levels": levels.len()});
        let mut outcome = done(&answer, format!("{} markers, {} levels", markers.len(), levels.len()));
        if !markers.is_empty() || levels.is_empty() {
            outcome.chart.push(ChartAction::Markers { group: group.clone(), markers });
        }
        if !levels.is_empty() {
            outcome.chart.push(ChartAction::Levels { group, levels });
        }
        Ok(outcome)
    }

    /// Closed candles of a series, and what every answer about them says.
    async fn searched(&self, series: Series) -> Result<(Vec<Candle>, Value, String), Refusal> {
        let key = self.key(&series)?;
        let (rows, _) = self.newest(&key, SEARCHED).await?;
        let closed: Vec<_> = rows.iter().filter(|it| it.closed).collect();
        let SeriesKey { venue, symbol, interval } = &key;
        let name = format!("{venue} {symbol} {interval}");
        let (Some(first), Some(last)) = (closed.first(), closed.last()) else {
            return Err(Refusal::new("NO_DATA", "symbol", format!("{name} has no closed candles yet")));
        };
        let answer = json!({
            "venue": venue.as_str(), "symbol": symbol.as_str(), "interval": interval.to_string(), "candles": closed.len(),
            "from": Rfc3339(first.open_time), "to": Rfc3339(last.open_time.saturating_add(interval.nanos())),
        });
        let candle = |it: &&crate::view::CandleView| Candle {
            open_time_ns: it.open_time,
            open: it.open,
            high: it.high,
            low: it.low,
            close: it.close,
            volume: it.volume,
        };
        Ok((closed.iter().map(candle).collect(), answer, name))
    }

    pub(super) async fn find_breakouts(&self, given: Value) -> Result<ToolOutcome, Refusal> {
        let wanted: Breakouts = read(given)?;
        let (lookback, count) = (wanted.lookback.unwrap_or(LOOKBACK), wanted.count.unwrap_or(COUNT));
        if !analysis::LOOKBACK.contains(&lookback) {
            let (least, most) = analysis::LOOKBACK.into_inner();
            let message = format!("lookback: {least} to {most}, got {lookback}");
            return Err(Refusal::new("INVALID_ARGUMENT", "lookback", message));
        }
        if !(1..=COUNT_MAX).contains(&count) {
            return Err(Refusal::new("INVALID_ARGUMENT", "count", format!("count: 1 to {COUNT_MAX}, got {count}")));
        }
        let series = Series { venue: wanted.venue, symbol: wanted.symbol, interval: wanted.interval };
        let (candles, mut answer, name) = self.searched(series).await?;
        let found = analysis::breakouts(&candles, lookback, count);
        let summary = format!("{} breakouts of {name}", found.len());
        answer["lookback"] = json!(lookback);
        answer["breakouts"] = json!(found);
        Ok(done(&answer, summary))
    }

    pub(super) async fn find_levels(&self, given: Value) -> Result<ToolOutcome, Refusal> {
        let (candles, mut answer, name) = self.searched(read(given)?).await?;
        let found = analysis::levels(&candles, LEVELS_FOUND);
        let summary = format!("{} levels of {name}", found.len());
        answer["levels"] = json!(found);
        Ok(done(&answer, summary))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indicators_are_checked_and_get_their_usual_parameters() {
        let outcome =
            PlatformTools::change_chart(json!({"add": [{"name": "RSI"}, {"name": "bollinger", "params": [20, 2]}]}));
        let chart = outcome.unwrap().chart;
        let named = |action: &ChartAction| match action {
            ChartAction::AddIndicator { name, params } => format!("{name}{params}"),
            other => format!("{other:?}"),
        };
        assert_eq!(chart.iter().map(named).collect::<Vec<_>>(), ["rsi[14]", "bollinger[20,2]"]);
        for (given, field) in [
            (json!({"add": [{"name": "nope"}]}), "add[0]"),
            (json!({"add": [{"name": "sma", "params": [0]}]}), "add[0]"),
            (json!({"remove": ["nope"]}), "remove[0]"),
            (json!({"colour": "red"}), "colour"),
            (json!({}), "add"),
        ] {
            assert_eq!(PlatformTools::change_chart(given.clone()).unwrap_err().field, field, "{given}");
        }
    }

    #[test]
    fn drawings_are_checked_one_by_one() {
        let marker = |time: &str| json!({"time": time, "place": "above", "text": "x", "tone": "up"});
        let good = json!({"group": "g", "markers": [marker("2026-01-01T00:00:00Z")], "levels": [{"price": "1.5", "text": "s", "tone": "down"}]});
        assert_eq!(PlatformTools::mark_chart(good).unwrap().chart.len(), 2);
        for (given, field) in [
            (json!({"group": "g", "markers": [marker("yesterday")]}), "markers[0].time"),
            (json!({"group": "g", "levels": [{"price": "high", "text": "s", "tone": "up"}]}), "levels[0].price"),
            (json!({"group": "x".repeat(33)}), "group"),
            (json!({"group": "g", "markers": vec![marker("2026-01-01T00:00:00Z"); 501]}), "markers"),
        ] {
            assert_eq!(PlatformTools::mark_chart(given).unwrap_err().field, field);
        }
        let cleared = PlatformTools::mark_chart(json!({"group": "g"})).unwrap();
        assert!(matches!(&cleared.chart[..], [ChartAction::Markers { markers, .. }] if markers.is_empty()));
    }
}
