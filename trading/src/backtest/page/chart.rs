//! A line chart as inline SVG.

use super::Time;
use std::fmt::{self, Write as _};

const WIDTH: f64 = 1000.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 8.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 20.0;
/// Lines of the grid.
const STEPS: u32 = 4;

/// One line; times do not fall.
pub(super) struct Line<'a> {
    /// Of the style sheet.
    pub(super) class: &'static str,
    /// Beside the chart, if there are several.
    pub(super) name: &'static str,
    pub(super) points: &'a [(u64, f64)],
}

/// Draws lines on one scale; `unit` follows the numbers.
pub(super) fn chart(page: &mut String, lines: &[Line<'_>], height: f64, unit: &str) -> fmt::Result {
    let points = || lines.iter().flat_map(|line| line.points).filter(|(_, value)| value.is_finite());
    let (Some(begin), Some(end)) = (points().map(|p| p.0).min(), points().map(|p| p.0).max()) else {
        return writeln!(page, "<p class=\"note\">nothing to show</p>");
    };
    let low = points().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let high = points().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = if high > low { (low, high) } else { (low - 1.0, high + 1.0) };
    #[allow(clippy::cast_precision_loss, reason = "a place on a picture")]
    let x = |time: u64| LEFT + (WIDTH - LEFT - RIGHT) * (time - begin) as f64 / (end - begin).max(1) as f64;
    let y = |value: f64| TOP + (height - TOP - BOTTOM) * (high - value) / (high - low);
    writeln!(page, "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">", lines[0].name)?;
    for step in 0..=STEPS {
        let value = low + (high - low) * f64::from(step) / f64::from(STEPS);
        let at = y(value);
        writeln!(
            page,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
            WIDTH - RIGHT
        )?;
        let label = Number(value, high - low);
        writeln!(page, "<text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{label}{unit}</text>", LEFT - 8.0, at + 4.0)?;
    }
    for (time, x, anchor) in [(begin, LEFT, "start"), (end, WIDTH - RIGHT, "end")] {
        writeln!(page, "<text x=\"{x}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{}</text>", height - 4.0, Time(time))?;
    }
    for (at, line) in (0u32..).zip(lines).filter(|_| lines.len() > 1) {
        let x = LEFT + 8.0 + 80.0 * f64::from(at);
        writeln!(page, "<text class=\"{}\" x=\"{x}\" y=\"11\">— {}</text>", line.class, line.name)?;
    }
    for line in lines {
        write!(page, "<polyline class=\"{}\" points=\"", line.class)?;
        for (time, value) in line.points.iter().filter(|(_, value)| value.is_finite()) {
            write!(page, "{:.1},{:.1} ", x(*time), y(*value))?;
        }
        writeln!(page, "\"/>")?;
    }
    writeln!(page, "</svg>")
}

/// A number with the digits that a scale of this span needs.
struct Number(f64, f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            span if span >= 40.0 => write!(f, "{:.0}", self.0),
            span if span >= 0.4 => write!(f, "{:.2}", self.0),
            _ => write!(f, "{:.4e}", self.0),
        }
    }
}
