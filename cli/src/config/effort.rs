//! One knob for how much a run may do: a row of the table for each word. What is said besides, in the same layer of the
//! settings or in a higher one, wins.

use super::key::{Key, Value};

/// What a word of `--effort` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The word, which is also the effort of agents that name none.
    pub(crate) name: &'static str,
    /// Agents in all.
    agents: u64,
    /// Agents at once.
    at_once: u64,
    /// Output tokens in all; `None` is no limit.
    budget: Option<u64>,
}

/// The words.
pub(crate) const NAMES: &[&str] = &["low", "medium", "high", "xhigh", "max"];

const ROWS: [Row; 5] = [
    row("low", 50, 4, Some(500_000)),
    row("medium", 250, 8, Some(2_000_000)),
    row("high", 1_000, 16, Some(10_000_000)),
    row("xhigh", 2_500, 32, Some(25_000_000)),
    row("max", 10_000, 64, None),
];

const fn row(name: &'static str, agents: u64, at_once: u64, budget: Option<u64>) -> Row {
    Row {
        name,
        agents,
        at_once,
        budget,
    }
}

impl Row {
    /// The row of a word.
    pub(crate) fn named(name: &str) -> Option<Self> {
        ROWS.into_iter().find(|row| row.name == name)
    }

    /// The settings that it stands for.
    pub(super) fn settings(self) -> [(Key, Option<Value>); 3] {
        [
            (Key::MaxAgents, Some(Value::Count(self.agents))),
            (Key::Concurrency, Some(Value::Count(self.at_once))),
            (Key::Budget, self.budget.map(Value::Count)),
        ]
    }
}

/// The table, as help prints it.
#[cfg(test)]
fn table() -> Vec<String> {
    let mut lines = vec!["--effort    agents  at once  agents' effort  budget".to_owned()];
    lines.extend(ROWS.iter().map(|row| {
        let budget = match row.budget {
            Some(tokens) if tokens % 1_000_000 == 0 => format!("{}M", tokens / 1_000_000),
            Some(tokens) => format!("{}k", tokens / 1_000),
            None => "no limit".to_owned(),
        };
        format!(
            "{:<10}  {:>6}  {:>7}  {:<14}  {budget}",
            row.name, row.agents, row.at_once, row.name
        )
    }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_shows_the_table_as_it_is() {
        let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names, NAMES);
        let shown = crate::args::EFFORT_TABLE.trim();
        assert_eq!(shown.lines().collect::<Vec<_>>(), table());
    }
}
