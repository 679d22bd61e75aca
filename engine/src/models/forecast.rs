//! What a run will use and cost, before it begins: its plan, what agents of the same workflow used in earlier runs, and the
//! prices. Pure; where the history comes from and what is done about the answer stands elsewhere.

use std::collections::HashMap;

use bellwether_journal::usage::Counted;
use serde::Serialize;

use super::{Model, Names, Price, Prices};
use crate::plan::{Plan, PlannedAgent};
use crate::view::{Money, RunCosts};

/// What an agent is taken to read of whose like nothing is known …
const ASSUMED_INPUT: u64 = 20_000;
/// … and to write: what a plan's made-up agents write, too.
const ASSUMED_OUTPUT: u64 = 2_000;

/// What a run is expected to use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Forecast {
    /// Agents that may ask models: those of a backend that asks none are not among them.
    pub agents: u64,
    /// Tokens that they read.
    pub input_tokens: u64,
    /// Tokens that they write.
    pub output_tokens: u64,
    /// What that costs, as far as prices are known; `None` where none is.
    pub cost: Option<Money>,
    /// Agents whose model has no known price.
    pub unpriced_agents: u64,
    /// Agents that are expected to use what others of this workflow used on average.
    pub from_history: u64,
    /// How many such there were in earlier runs.
    pub history_agents: u64,
    /// Whether the plan ended before the script did, so that there may be more.
    pub is_least: bool,
}

/// What a forecast stands on besides the plan.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    /// What models are called.
    pub names: &'a Names,
    /// What they cost.
    pub prices: &'a Prices,
    /// The run's own model, where it has one.
    pub model: Option<&'a str>,
    /// The backend of agents that name none; `None` for a program.
    pub backend: Option<&'a str>,
    /// Backends that ask no models.
    pub without_models: &'a [&'a str],
    /// Earlier runs of the workflow.
    pub history: &'a [RunCosts],
}

/// What agents used, and how many they were.
#[derive(Clone, Copy, Default)]
struct Mean {
    agents: u64,
    used: Counted,
}

impl Mean {
    fn add(&mut self, agents: u64, used: Counted) {
        self.agents += agents;
        self.used = self.used.plus(used);
    }

    /// What one of them used.
    fn of_one(&self) -> Option<Counted> {
        let agents = (self.agents > 0).then_some(self.agents)?;
        Some(Counted {
            input_tokens: self.used.input_tokens.div_ceil(agents),
            output_tokens: self.used.output_tokens.div_ceil(agents),
            cached_tokens: self.used.cached_tokens / agents,
            cache_written_tokens: self.used.cache_written_tokens / agents,
            ..Counted::default()
        })
    }
}

/// What the run of a plan is expected to use: each agent what those of its phase used in earlier runs, else what those of the
/// workflow did, else 20,000 tokens read and 2,000 written.
#[must_use]
pub fn forecast(plan: &Plan, basis: &Basis<'_>) -> Forecast {
    let mut by_phase: HashMap<Option<&str>, Mean> = HashMap::new();
    let mut all = Mean::default();
    for part in basis.history.iter().flat_map(|run| &run.parts) {
        all.add(part.agents, part.used);
        let phase = by_phase.entry(part.phase.as_deref()).or_default();
        phase.add(part.agents, part.used);
    }
    let mut forecast = Forecast {
        history_agents: all.agents,
        is_least: !plan.is_complete(),
        ..Forecast::default()
    };
    for phase in &plan.phases {
        let mean = by_phase.get(&phase.title.as_deref());
        let known = mean.and_then(Mean::of_one).or_else(|| all.of_one());
        let used = known.unwrap_or(Counted {
            input_tokens: ASSUMED_INPUT,
            output_tokens: ASSUMED_OUTPUT,
            ..Counted::default()
        });
        for agent in phase.agents.iter().filter(|agent| basis.asks_models(agent)) {
            forecast.agents += 1;
            forecast.from_history += u64::from(known.is_some());
            forecast.input_tokens = forecast.input_tokens.saturating_add(used.input_tokens);
            forecast.output_tokens = forecast.output_tokens.saturating_add(used.output_tokens);
            match basis.price(agent) {
                Some(price) => {
                    let cost = Money(price.of(&used));
                    forecast.cost = Money::sum(forecast.cost, Some(cost));
                }
                None => forecast.unpriced_agents += 1,
            }
        }
    }
    forecast
}

impl Basis<'_> {
    fn asks_models(&self, agent: &PlannedAgent) -> bool {
        let backend = agent.backend.as_deref().or(self.backend);
        agent.outcome != "refused"
            && backend.is_none_or(|name| !self.without_models.contains(&name))
    }

    /// What the agent's model costs. A program may ask another than is named: then this is a guess like the rest.
    fn price(&self, agent: &PlannedAgent) -> Option<Price> {
        let named = agent.model.as_deref().or(self.model);
        let known = self.names.model(named).or_else(|_| self.names.model(None));
        // A provider that is not set up here may be where the run begins.
        if let Ok(Model { provider, id }) = known {
            return self.prices.of(&provider, &id);
        }
        let (provider, id) = named?.split_once('/').unwrap_or(("", named?));
        self.prices.of(provider, id)
    }
}
