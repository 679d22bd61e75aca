//! What models cost and how large they are: a table with its date, and what settings put before it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::OnceLock;

use bellwether_journal::usage::Counted;
use serde::{Deserialize, Serialize};

/// The table that comes with this program.
const TABLE: &str = include_str!("prices.toml");
/// Of a model that nobody knows: tokens that fit into it …
const CONTEXT: u64 = 128_000;
/// … and that it writes at most in one answer.
const OUTPUT_MAX: u64 = 32_000;

/// What a model costs, in dollars for a million tokens, which is millionths of a dollar for one; and how large it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// Tokens that it reads.
    pub input: f64,
    /// Tokens that it writes.
    pub output: f64,
    /// Tokens that it reads from a cache; as `input` without it.
    pub cache_read: Option<f64>,
    /// Tokens that it puts into a cache; as `input` without it.
    pub cache_write: Option<f64>,
    /// Tokens that fit into it, read and written.
    pub context: Option<u64>,
    /// Tokens that it writes at most in one answer.
    pub max_output: Option<u64>,
}

impl Price {
    /// What this many tokens cost, in millionths of a dollar, rounded up.
    #[must_use]
    pub fn of(&self, used: &Counted) -> u64 {
        let plain = used
            .input_tokens
            .saturating_sub(used.cached_tokens)
            .saturating_sub(used.cache_written_tokens);
        let cost = plain as f64 * self.input
            + used.cached_tokens as f64 * self.cache_read.unwrap_or(self.input)
            + used.cache_written_tokens as f64 * self.cache_write.unwrap_or(self.input)
            + used.output_tokens as f64 * self.output;
        up(cost)
    }

    /// The most that reading so many tokens may cost.
    pub(super) fn of_input(&self, tokens: u64) -> u64 {
        up(tokens as f64 * self.input.max(self.cache_write.unwrap_or_default()))
    }

    /// What reading so many tokens mostly costs.
    pub(super) fn of_usual_input(&self, tokens: u64) -> u64 {
        up(tokens as f64 * self.input)
    }

    /// What writing so many tokens costs.
    pub(super) fn of_output(&self, tokens: u64) -> u64 {
        up(tokens as f64 * self.output)
    }

    /// So many tokens can be written for this much.
    pub(super) fn affordable(&self, cost: u64) -> u64 {
        if self.output <= 0.0 {
            return u64::MAX;
        }
        down(cost as f64 / self.output)
    }
}

/// Rounded up, within what a number holds.
#[expect(clippy::cast_sign_loss, reason = "negative is cut to 0")]
fn up(cost: f64) -> u64 {
    cost.max(0.0).ceil() as u64
}

#[expect(clippy::cast_sign_loss, reason = "negative is cut to 0")]
fn down(tokens: f64) -> u64 {
    tokens.max(0.0).floor() as u64
}

/// Prices by the beginnings of models' ids. `provider/` may stand before one, which then holds for that provider alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prices(pub BTreeMap<String, Price>);

#[derive(Deserialize)]
struct Table {
    date: String,
    models: BTreeMap<String, Price>,
}

fn table() -> &'static Table {
    static READ: OnceLock<Table> = OnceLock::new();
    READ.get_or_init(|| {
        // A test reads it, so this is for nobody.
        toml::from_str(TABLE).unwrap_or_else(|_| Table {
            date: String::new(),
            models: BTreeMap::new(),
        })
    })
}

impl Prices {
    /// The day that the table which comes with this program is of.
    #[must_use]
    pub fn date() -> &'static str {
        &table().date
    }

    /// What is known of a provider's model.
    #[must_use]
    pub fn of(&self, provider: &str, model: &str) -> Option<Price> {
        let full = format!("{provider}/{model}");
        longest(&self.0, &full)
            .or_else(|| longest(&self.0, model))
            .or_else(|| longest(&table().models, model))
    }

    /// How many tokens fit into a model.
    #[must_use]
    pub fn context(&self, provider: &str, model: &str) -> u64 {
        self.of(provider, model)
            .and_then(|price| price.context)
            .unwrap_or(CONTEXT)
    }

    /// How many tokens a model writes at most in one answer.
    #[must_use]
    pub fn max_output(&self, provider: &str, model: &str) -> u64 {
        self.of(provider, model)
            .and_then(|price| price.max_output)
            .unwrap_or(OUTPUT_MAX)
    }
}

/// The price whose name is the longest beginning of `model`.
fn longest(prices: &BTreeMap<String, Price>, model: &str) -> Option<Price> {
    // Beginnings of a text stand before it, longer ones later.
    let up_to = (Bound::Unbounded, Bound::Included(model));
    let mut before = prices.range::<str, _>(up_to).rev();
    before
        .find(|(name, _)| model.starts_with(name.as_str()))
        .map(|(_, price)| *price)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_beginning_counts_and_settings_go_first() {
        assert_eq!(Prices::date().len(), 10, "the table is read");
        let mut prices = Prices::default();
        let output = |prices: &Prices, model: &str| {
            let price = prices.of("anthropic", model);
            price.map(|price| price.output)
        };
        for (model, expected) in [
            ("claude-opus-4-20250514", Some(75.0)),
            ("claude-opus-4-5-20251101", Some(25.0)),
            ("claude-haiku-4-5", Some(5.0)),
            ("gpt-5-mini-2025-08-07", Some(2.0)),
            ("gpt-5.2-pro", Some(168.0)),
            ("gpt-4o-mini", Some(0.6)),
            ("llama3", None),
        ] {
            assert_eq!(output(&prices, model), expected, "{model}");
        }
        let own = |output| Price {
            output,
            ..Price::default()
        };
        prices.0.insert("claude-".to_owned(), own(1.0));
        assert_eq!(output(&prices, "claude-opus-4-5"), Some(1.0));
        prices.0.insert("anthropic/".to_owned(), own(2.0));
        assert_eq!(output(&prices, "claude-opus-4-5"), Some(2.0));
        assert_eq!(prices.of("openai", "claude-x"), Some(own(1.0)));
    }

    #[test]
    fn what_is_cached_costs_less_and_sums_are_rounded_up() {
        let Some(price) = Prices::default().of("anthropic", "claude-sonnet-4-6") else {
            panic!("it has a price");
        };
        let used = Counted {
            input_tokens: 1_000_000,
            cached_tokens: 600_000,
            cache_written_tokens: 100_000,
            output_tokens: 1_001,
            ..Counted::default()
        };
        assert_eq!(
            price.of(&used),
            300_000 * 3 + 180_000 + 375_000 + 1_001 * 15
        );
        let one = Counted {
            cached_tokens: 1,
            input_tokens: 1,
            ..Counted::default()
        };
        assert_eq!(price.of(&one), 1, "a third of a millionth is one");
        assert_eq!(price.affordable(150), 10);
    }
}
