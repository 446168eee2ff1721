//! The bar charts of a report, one for each row.

use crate::chart::{self, Bar, Charts, Kind, short};
use crate::report::{LIMIT, OURS, Report, TRIAL};
use crate::rows::Row;

impl Report<'_> {
    /// One chart a row, by its name.
    pub(crate) fn charts(&self) -> Charts {
        self.rows
            .iter()
            .filter_map(|row| Some((row.name, self.chart(row)?)))
            .collect()
    }

    fn chart(&self, row: &'static Row) -> Option<String> {
        let base = self.base(row)?;
        let mut bars: Vec<Bar> = self
            .programs
            .iter()
            .filter_map(|program| {
                let value = self.value(row, &program.label)?;
                let figure = self.results.figure(row.name, &program.label)?;
                Some(Bar {
                    label: program.label.clone(),
                    value: value.median,
                    interval: (value.low, value.high),
                    text: if row.is_about_memory() {
                        format!("{} B", short(value.median))
                    } else {
                        format!("{:.2} · {}", value.median, short(figure.median))
                    },
                    kind: match program.label.as_str() {
                        OURS => Kind::Ours,
                        LIMIT | TRIAL => Kind::Limit,
                        _ => Kind::Other,
                    },
                })
            })
            .collect();
        bars.sort_by(|a, b| {
            let order = a.value.total_cmp(&b.value);
            if row.is_about_memory() {
                order
            } else {
                order.reverse()
            }
        });
        let mut subtitle = if row.is_about_memory() {
            "bytes of user memory for each connection; less is better".to_owned()
        } else {
            format!(
                "messages for each CPU second of the server: ratio to {base} (95 % interval) · median"
            )
        };
        let bar = row.promise.map(|promise| promise.bar);
        if bar.is_some() {
            subtitle.push_str("; red: our bar");
        }
        Some(chart::bars(row.title, &subtitle, &bars, bar))
    }
}
