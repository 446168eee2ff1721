//! Charts as SVG, written by hand: bars for the comparison, lines for growth. They follow the reader's light or dark theme.

use core::fmt::Write as _;

const WIDTH: f64 = 760.0;
const STYLE: &str = "\
<style>
text{font:13px ui-sans-serif,system-ui,sans-serif;fill:#1f2328}
.title{font-size:15px;font-weight:600}
.quiet{fill:#59636e}
.end{text-anchor:end}.middle{text-anchor:middle}
.bar{fill:#8c959f}.limit{fill:#c4ccd4}.ours{fill:#0969da}
.whisker,.axis{stroke:#1f2328;stroke-width:1}.grid{stroke:#d1d9e0;stroke-width:1}
.mark{stroke:#cf222e;stroke-width:2}
.l0{stroke:#0969da;fill:#0969da}.l1{stroke:#bc4c00;fill:#bc4c00}.l2{stroke:#8250df;fill:#8250df}.l3{stroke:#1a7f37;fill:#1a7f37}
polyline{fill:none!important;stroke-width:2}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.quiet{fill:#9198a1}
.bar{fill:#656c76}.limit{fill:#3d444d}.ours{fill:#4493f8}
.whisker,.axis{stroke:#f0f6fc}.grid{stroke:#3d444d}.mark{stroke:#f85149}
.l0{stroke:#4493f8;fill:#4493f8}.l1{stroke:#f0883e;fill:#f0883e}.l2{stroke:#ab7df8;fill:#ab7df8}.l3{stroke:#3fb950;fill:#3fb950}
}
</style>
";

/// Charts, by the names of their files.
pub(crate) type Charts = Vec<(&'static str, String)>;

/// One bar.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) value: f64,
    /// The interval of the value.
    pub(crate) interval: (f64, f64),
    /// What stands behind it.
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

/// Whose bar it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Ours,
    Limit,
    Other,
}

/// Horizontal bars, in the order given; `mark` is a line across ours.
pub(crate) fn bars(title: &str, subtitle: &str, bars: &[Bar], mark: Option<f64>) -> String {
    const LEFT: f64 = 150.0;
    const RIGHT: f64 = 190.0;
    const TOP: f64 = 62.0;
    const STEP: f64 = 26.0;
    let ends = bars.iter().map(|bar| bar.value.max(bar.interval.1));
    let longest = ends.chain(mark).fold(0.0, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / if longest > 0.0 { longest } else { 1.0 };
    let height = TOP + STEP * bars.len() as f64 + 12.0;
    let mut svg = open(title, subtitle, height);
    for (at, bar) in bars.iter().enumerate() {
        let y = TOP + STEP * at as f64;
        let class = match bar.kind {
            Kind::Ours => "ours",
            Kind::Limit => "limit",
            Kind::Other => "bar",
        };
        let middle = y + 9.0;
        let (low, high) = (LEFT + bar.interval.0 * scale, LEFT + bar.interval.1 * scale);
        let _ = writeln!(
            svg,
            "<text class=\"end\" x=\"{}\" y=\"{}\">{}</text>\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y}\" width=\"{:.1}\" height=\"18\" rx=\"2\"/>\
             <line class=\"whisker\" x1=\"{low:.1}\" x2=\"{high:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{}</text>",
            LEFT - 8.0,
            y + 13.5,
            escape(&bar.label),
            bar.value * scale,
            LEFT + bar.value.max(bar.interval.1) * scale + 8.0,
            y + 13.5,
            escape(&bar.text),
        );
        if let (Kind::Ours, Some(value)) = (bar.kind, mark) {
            let x = LEFT + value * scale;
            let _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{}\" y2=\"{}\"/>",
                y - 3.0,
                y + 21.0,
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// One line: a name, and a value for each place where there is one.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) label: String,
    pub(crate) values: Vec<Option<f64>>,
}

/// Lines over evenly spaced places; the scale begins at 0.
pub(crate) fn lines(title: &str, subtitle: &str, places: &[String], lines: &[Line]) -> String {
    const LEFT: f64 = 70.0;
    const TOP: f64 = 84.0;
    const HIGH: f64 = 220.0;
    let values = lines
        .iter()
        .flat_map(|line| line.values.iter().flatten().copied());
    let top = round_up(values.fold(0.0, f64::max));
    let step = (WIDTH - LEFT - 40.0) / places.len().saturating_sub(1).max(1) as f64;
    let x = |at: usize| LEFT + step * at as f64;
    let y = |value: f64| TOP + HIGH - value / top * HIGH;
    let mut svg = open(title, subtitle, TOP + HIGH + 34.0);
    for part in 0..=4 {
        let value = top * f64::from(part) / 4.0;
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/>\
             <text class=\"quiet end\" x=\"{2}\" y=\"{3:.1}\">{4}</text>",
            WIDTH - 30.0,
            y(value),
            LEFT - 8.0,
            y(value) + 4.5,
            short(value),
        );
    }
    for (at, place) in places.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<text class=\"quiet middle\" x=\"{:.1}\" y=\"{}\">{}</text>",
            x(at),
            TOP + HIGH + 20.0,
            escape(place)
        );
    }
    let mut legend = LEFT;
    for (number, line) in lines.iter().enumerate() {
        let class = format!("l{}", number % 4);
        let points: Vec<(f64, f64)> = line
            .values
            .iter()
            .enumerate()
            .filter_map(|(at, value)| Some((x(at), y((*value)?))))
            .collect();
        let path: Vec<String> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline class=\"{class}\" points=\"{}\"/>",
            path.join(" ")
        );
        for (x, y) in points {
            let _ = writeln!(
                svg,
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>"
            );
        }
        let _ = writeln!(
            svg,
            "<rect class=\"{class}\" x=\"{legend:.1}\" y=\"54\" width=\"12\" height=\"12\"/>\
             <text x=\"{:.1}\" y=\"65\">{}</text>",
            legend + 18.0,
            escape(&line.label)
        );
        legend += 40.0 + 7.5 * line.label.chars().count() as f64;
    }
    svg.push_str("</svg>\n");
    svg
}

fn open(title: &str, subtitle: &str, height: f64) -> String {
    let (title, subtitle) = (escape(title), escape(subtitle));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{title}\">\n{STYLE}\
         <text class=\"title\" x=\"8\" y=\"22\">{title}</text>\n\
         <text class=\"quiet\" x=\"8\" y=\"40\">{subtitle}</text>\n"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// The next 1, 2, 2.5 or 5 times a power of ten, for an axis.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= value);
    step.unwrap_or(10.0) * power
}

/// A number in three digits: `1.24 M`, `166 k`, `44`, `0.92`.
pub(crate) fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 999_500.0 => (value / 1e6, " M"),
        size if size >= 9_995.0 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let digits = match scaled.abs() {
        size if size == 0.0 || size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    format!("{scaled:.digits$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (0.917, "0.92"),
            (44.0, "44.0"),
            (256.4, "256"),
            (5563.0, "5563"),
            (9_999.9, "10.0 k"),
            (166_000.0, "166 k"),
            (999_900.0, "1.00 M"),
            (5_220_000.0, "5.22 M"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn an_axis_ends_at_a_round_number() {
        for (value, top) in [
            (0.0, 1.0),
            (0.9, 1.0),
            (1.0, 1.0),
            (1.2, 2.0),
            (23.0, 25.0),
            (700.0, 1000.0),
        ] {
            assert!((round_up(value) - top).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn names_cannot_break_the_picture() {
        let bar = Bar {
            label: "<a & b>".to_owned(),
            value: 1.0,
            interval: (0.9, 1.1),
            text: "1.00".to_owned(),
            kind: Kind::Ours,
        };
        let svg = bars("t", "s", &[bar], Some(0.5));
        assert!(svg.contains("&lt;a &amp; b&gt;") && svg.ends_with("</svg>\n"));
        assert_eq!(svg.matches("<rect").count(), 1);
    }

    #[test]
    fn a_gap_in_a_line_is_no_point() {
        let line = Line {
            label: "wirefan".to_owned(),
            values: vec![Some(1.0), None, Some(2.0)],
        };
        let places = ["10", "100", "1 k"].map(str::to_owned);
        assert_eq!(
            lines("t", "s", &places, &[line]).matches("<circle").count(),
            2
        );
    }
}
