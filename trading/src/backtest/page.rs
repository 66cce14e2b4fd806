//! A [`Document`] as one HTML page that opens by itself from a file: no script, nothing fetched, light or dark as the reader's
//! system is. All text of users is escaped.

mod chart;
mod sections;
#[cfg(test)]
mod tests;

use super::document::Document;
use chart::{Line, chart};
use std::fmt::{self, Write as _};

/// Rows of the table of round trips.
const TRIPS: usize = 200;
const STYLE: &str = include_str!("page/page.css");

/// The page.
///
/// # Panics
/// Never: a string takes everything that is written to it.
#[must_use]
pub fn render(document: &Document) -> String {
    let mut page = String::with_capacity(256 * 1024);
    write(&mut page, document).expect("writing to a string does not fail");
    page
}

fn write(page: &mut String, document: &Document) -> fmt::Result {
    let inputs = &document.inputs;
    let title = format!("{} {}", Escaped(&inputs.strategy), Escaped(&inputs.market));
    let title = title.trim();
    writeln!(page, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">")?;
    writeln!(page, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">")?;
    // No script can run and nothing can be fetched, whatever a text contains.
    writeln!(page, "<meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">")?;
    writeln!(page, "<title>{title} · backtest</title><style>{STYLE}</style></head><body><main>")?;
    let summary = &document.summary;
    let (begin, end) = (Time(summary.begin_ns), Time(summary.end_ns));
    writeln!(page, "<header><h1>{title}</h1><p>{begin} – {end} UTC · {} {}", summary.events, events(document))?;
    writeln!(page, "· hash <code>{}</code></p></header>", Escaped(document.hash.get(..12).unwrap_or(&document.hash)))?;
    sections::statistics(page, document)?;
    equity(page, document)?;
    sections::checks(page, &document.checks)?;
    sections::round_trips(page, document)?;
    sections::inputs(page, document)?;
    writeln!(page, "</main></body></html>")
}

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

fn events(document: &Document) -> String {
    match document.inputs.interval_ns {
        Some(interval_ns) => format!("candles of {}", Duration(interval_ns)),
        None => "ticks".to_owned(),
    }
}

fn equity(page: &mut String, document: &Document) -> fmt::Result {
    let equity: Vec<_> = document.curve.iter().map(|point| (point.time_ns, point.equity.0.to_f64())).collect();
    let hold: Vec<_> = document.curve.iter().filter_map(|point| Some((point.time_ns, point.benchmark?))).collect();
    let drawdown: Vec<_> = document.curve.iter().map(|point| (point.time_ns, -100.0 * point.drawdown)).collect();
    writeln!(page, "<section><h2>Equity</h2>")?;
    let mut lines = vec![Line { class: "equity", name: "strategy", points: &equity }];
    if hold.len() > 1 {
        lines.push(Line { class: "hold", name: "holding", points: &hold });
    }
    chart(page, &lines, 260.0, "")?;
    writeln!(page, "<h2>Drawdown</h2>")?;
    chart(page, &[Line { class: "drawdown", name: "drawdown", points: &drawdown }], 120.0, " %")?;
    writeln!(page, "</section>")
}

/// Text of a user, for HTML content and quoted attributes.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A time as date and minute, UTC.
struct Time(u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(time) => write!(f, "{}", time.strftime("%Y-%m-%d %H:%M")),
            Err(_) => write!(f, "{} ns", self.0),
        }
    }
}

/// A length of time in its largest two units.
struct Duration(u64);

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] =
            [(86_400_000_000_000, "d"), (3_600_000_000_000, "h"), (60_000_000_000, "min"), (1_000_000_000, "s")];
        let Some(at) = UNITS.iter().position(|(unit, _)| self.0 >= *unit) else { return write!(f, "{} ns", self.0) };
        write!(f, "{} {}", self.0 / UNITS[at].0, UNITS[at].1)?;
        let rest = self.0 % UNITS[at].0;
        match UNITS.get(at + 1).filter(|(unit, _)| rest >= *unit) {
            Some((unit, name)) => write!(f, " {} {name}", rest / unit),
            None => Ok(()),
        }
    }
}
