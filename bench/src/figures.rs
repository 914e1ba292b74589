//! Figures: the median and the middle half of what was measured again and again, what they should reach, and how they are
//! told: a table, the same as Markdown, JSON.

use serde_json::{Value, json};

/// Five numbers of many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Five {
    pub least: f64,
    pub lower: f64,
    pub median: f64,
    pub upper: f64,
    pub most: f64,
    pub count: usize,
}

impl Five {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Five {
        let mut values: Vec<f64> = values.into_iter().collect();
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let place = part * (values.len() - 1) as f64;
            let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
            below + (above - below) * place.fract()
        };
        Five { least: at(0.0), lower: at(0.25), median: at(0.5), upper: at(0.75), most: at(1.0), count: values.len() }
    }

    /// Of one value that does not vary.
    pub fn one(value: f64) -> Five {
        Five { count: 1, ..Five::of([value]) }
    }
}

/// What a figure should reach.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    None,
    AtLeast(f64),
    AtMost(f64),
    /// The lower quartile at least.
    LowerAtLeast(f64),
}

impl Goal {
    /// Whether it does; none where nothing is asked.
    fn met(self, five: &Five) -> Option<bool> {
        match self {
            Goal::None => None,
            Goal::AtLeast(goal) => Some(five.median >= goal),
            Goal::AtMost(goal) => Some(five.median <= goal),
            Goal::LowerAtLeast(goal) => Some(five.lower >= goal),
        }
    }

    fn text(self) -> String {
        match self {
            Goal::None => String::new(),
            Goal::AtLeast(goal) => format!("≥ {goal}"),
            Goal::AtMost(goal) => format!("≤ {goal}"),
            Goal::LowerAtLeast(goal) => format!("lower quartile ≥ {goal}"),
        }
    }
}

/// One measured thing.
#[derive(Debug)]
pub struct Row {
    pub what: String,
    pub unit: &'static str,
    pub five: Five,
    pub goal: Goal,
    /// What else is worth knowing.
    pub beside: String,
}

/// The rows of one question.
#[derive(Debug)]
pub struct Part {
    pub name: &'static str,
    pub title: String,
    pub rows: Vec<Row>,
    /// What was not measured, and why.
    pub absent: Vec<String>,
}

impl Part {
    pub fn new(name: &'static str, title: impl Into<String>) -> Part {
        Part { name, title: title.into(), rows: Vec::new(), absent: Vec::new() }
    }

    pub fn add(&mut self, what: impl Into<String>, unit: &'static str, five: Five, goal: Goal, beside: String) {
        self.rows.push(Row { what: what.into(), unit, five, goal, beside });
    }

    /// The part as it is shown on a terminal.
    pub fn table(&self) -> String {
        let mut text = format!("\n{}\n", self.title);
        for row in &self.rows {
            let met = match row.goal.met(&row.five) {
                None => "",
                Some(true) => "ok",
                Some(false) => "MISSED",
            };
            let line = format!(
                "  {:<56} {:>9} {:<10} {:>19}  {:<24} {met:<7} {}",
                row.what,
                shown(row.five.median, row.unit),
                row.unit,
                middle(&row.five),
                row.goal.text(),
                row.beside
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
        self.absent.iter().for_each(|absent| text.push_str(&format!("  NOT MEASURED: {absent}\n")));
        text
    }

    /// The part as the README has it.
    pub fn markdown(&self) -> String {
        let mut text =
            format!("\n**{}**\n\n| | median | middle half | wanted | |\n| --- | --- | --- | --- | --- |\n", self.title);
        for row in &self.rows {
            let missed = if row.goal.met(&row.five) == Some(false) { " (missed)" } else { "" };
            text.push_str(&format!(
                "| {} | {} {} | {} | {}{missed} | {} |\n",
                row.what.replace('|', "\\|"),
                shown(row.five.median, row.unit),
                row.unit,
                middle(&row.five),
                row.goal.text(),
                row.beside
            ));
        }
        for absent in &self.absent {
            text.push_str(&format!("\nNot measured: {absent}\n"));
        }
        text
    }

    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self
            .rows
            .iter()
            .map(|row| {
                let Five { least, lower, median, upper, most, count } = row.five;
                json!({
                    "what": row.what, "unit": row.unit, "median": median, "lower_quartile": lower,
                    "upper_quartile": upper, "least": least, "most": most, "measured": count,
                    "wanted": row.goal.text(), "met": row.goal.met(&row.five), "beside": row.beside,
                })
            })
            .collect();
        json!({"name": self.name, "title": self.title, "rows": rows, "absent": self.absent})
    }
}

fn middle(five: &Five) -> String {
    if five.count == 1 { String::new() } else { format!("{} – {}", digits(five.lower), digits(five.upper)) }
}

/// A figure in its unit. Of a share that is nearly all, what is missing counts.
fn shown(value: f64, unit: &str) -> String {
    if unit == "%" { format!("{:.2}", (value * 100.0).floor() / 100.0) } else { digits(value) }
}

/// Three digits that count.
fn digits(value: f64) -> String {
    match value.abs() {
        ..9.995 => format!("{value:.2}"),
        9.995..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_goals() {
        let five = Five::of([3.0, 1.0, 2.0, 5.0, 4.0]);
        assert_eq!((five.lower, five.median, five.upper), (2.0, 3.0, 4.0));
        assert_eq!(Goal::AtLeast(3.0).met(&five), Some(true));
        assert_eq!(Goal::AtMost(2.9).met(&five), Some(false));
        assert_eq!(Goal::LowerAtLeast(2.5).met(&five), Some(false));
    }
}
