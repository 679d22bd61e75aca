//! What a run may spend (U01, U02): agents reserve before they start and settle when they end, in tokens that models write and
//! in money. Pure: all of it follows from the run's records.
//!
//! What an agent reserves is the limit that its call sets, else the mean of the agents of its phase that have ended, else the
//! default limit. No agent starts when what is spent and what is reserved reach the total; it waits until a reservation is
//! settled, and is refused when all is spent. A limit cuts an agent off where the engine counts what it uses; elsewhere what
//! it uses beyond its reservation is the overshoot.

use std::collections::HashMap;
use std::sync::Arc;

use bellwether_journal::id::CallNumber;
use bellwether_journal::record::{CallKind, Millis};
use bellwether_journal::state::{CallState, RunState};
use bellwether_journal::usage::Counted;

use super::machine::Machine;
use super::output::Output;

/// An agent's default limit is this part of the run's budget …
const DEFAULT_PART: u64 = 50;
/// … but at least so many tokens …
const DEFAULT_TOKENS_MIN: u64 = 50_000;
/// … and so much money, in millionths of a dollar.
const DEFAULT_COST_MIN: u64 = 250_000;
/// With less than this an agent does nothing but fail, so it is not started with it while others may leave it more.
const REST: Amount = Amount {
    tokens: 1_000,
    cost: 5_000,
};
/// Of the budget in percent: when it is told how much is spent.
const TOLD_AT: [u64; 2] = [80, 50];

/// Tokens that models write, and money in millionths of a dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Tokens.
    pub tokens: u64,
    /// Money.
    pub cost: u64,
}

/// How much there may be of either; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Tokens that models write.
    pub tokens: Option<u64>,
    /// Money, in millionths of a dollar.
    pub cost: Option<u64>,
}

impl Amount {
    fn plus(self, other: Self) -> Self {
        self.each(other, u64::saturating_add)
    }

    fn minus(self, other: Self) -> Self {
        self.each(other, u64::saturating_sub)
    }

    fn each(self, other: Self, of: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            tokens: of(self.tokens, other.tokens),
            cost: of(self.cost, other.cost),
        }
    }
}

impl From<Counted> for Amount {
    fn from(counted: Counted) -> Self {
        Self {
            tokens: counted.output_tokens,
            cost: counted.cost.unwrap_or_default(),
        }
    }
}

impl Allowance {
    /// Whether there is no limit at all.
    #[must_use]
    pub const fn is_unlimited(&self) -> bool {
        self.tokens.is_none() && self.cost.is_none()
    }

    /// Of each the one that is said, `other` where nothing is.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            tokens: self.tokens.or(other.tokens),
            cost: self.cost.or(other.cost),
        }
    }

    /// Whether so much reaches a limit.
    fn is_reached_by(self, amount: Amount) -> bool {
        self.tokens.is_some_and(|limit| amount.tokens >= limit)
            || self.cost.is_some_and(|limit| amount.cost >= limit)
    }

    /// What is left of it.
    fn less(self, amount: Amount) -> Self {
        Self {
            tokens: self.tokens.map(|limit| limit.saturating_sub(amount.tokens)),
            cost: self.cost.map(|limit| limit.saturating_sub(amount.cost)),
        }
    }

    /// What every agent may use that says nothing itself.
    fn default_limit(self) -> Self {
        let part = |total: u64, least: u64| (total / DEFAULT_PART).max(least);
        Self {
            tokens: self.tokens.map(|total| part(total, DEFAULT_TOKENS_MIN)),
            cost: self.cost.map(|total| part(total, DEFAULT_COST_MIN)),
        }
    }

    fn at_most(self, most: Self) -> Self {
        let least = |one: Option<u64>, two: Option<u64>| match (one, two) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        Self {
            tokens: least(self.tokens, most.tokens),
            cost: least(self.cost, most.cost),
        }
    }
}

/// What agents that are at work have reserved, and what those that ended used.
#[derive(Clone, Debug, Default)]
pub(super) struct Reserved {
    /// Each agent's reservation, and what of it is not used yet.
    by_call: HashMap<CallNumber, (Amount, Amount)>,
    /// The sum of what is not used yet.
    left: Amount,
    /// Of each phase the agents that have ended, and what they used.
    ended: HashMap<Option<Arc<str>>, (u64, Amount)>,
}

impl Reserved {
    /// For a run that has these calls already.
    pub(super) fn of(calls: &[CallState]) -> Self {
        let mut reserved = Self::default();
        for call in calls {
            reserved.learn(call);
        }
        reserved
    }

    /// An agent has ended: from now on others of its phase are expected to use what those before them did.
    fn learn(&mut self, call: &CallState) {
        let used = amount_of(call);
        let is_agent = call.kind == CallKind::Agent && call.status.is_settled();
        if is_agent && used != Amount::default() {
            let (count, sum) = self.ended.entry(call.phase.clone()).or_default();
            *count += 1;
            *sum = sum.plus(used);
        }
    }

    fn mean(&self, phase: Option<&Arc<str>>) -> Option<Amount> {
        let (count, sum) = self.ended.get(&phase.cloned())?;
        Some(Amount {
            tokens: sum.tokens.div_ceil(*count),
            cost: sum.cost.div_ceil(*count),
        })
    }

    fn set(&mut self, call: CallNumber, amount: Amount, used: Amount) {
        let left = amount.minus(used);
        let before = self.by_call.insert(call, (amount, left));
        self.left = self
            .left
            .minus(before.map(|(_, left)| left).unwrap_or_default())
            .plus(left);
    }

    fn used(&mut self, call: CallNumber, used: Amount) {
        if let Some((amount, _)) = self.by_call.get(&call).copied() {
            self.set(call, amount, used);
        }
    }

    fn release(&mut self, call: CallNumber) {
        if let Some((_, left)) = self.by_call.remove(&call) {
            self.left = self.left.minus(left);
        }
    }
}

fn amount_of(call: &CallState) -> Amount {
    Amount {
        tokens: call.usage.output_tokens,
        cost: call
            .counted
            .as_ref()
            .and_then(|counted| counted.cost)
            .unwrap_or_default(),
    }
}

/// What all agents of all generations have used so far.
#[must_use]
pub fn spent(state: &RunState) -> Amount {
    Amount {
        tokens: state.usage.output_tokens,
        cost: state.counted.cost.unwrap_or_default(),
    }
}

impl Machine {
    /// What the run may spend in all.
    #[must_use]
    pub fn budget(&self) -> Allowance {
        let generation = self.state.generation.as_ref();
        Allowance {
            tokens: self
                .caps
                .budget
                .tokens
                .or_else(|| generation.and_then(|generation| generation.budget_total)),
            cost: self.caps.budget.cost,
        }
    }

    /// Why no agent may start any more: all is spent.
    pub(super) fn budget_used_up(&self) -> Option<String> {
        let (budget, spent) = (self.budget(), spent(&self.state));
        let remedy = "`bellwether resume --budget` gives it a larger one; a script can ask `budget.remaining()` before more are started";
        if let Some(total) = budget.tokens.filter(|&total| spent.tokens >= total) {
            let spent = spent.tokens;
            return Some(format!(
                "the run's budget of {total} output tokens is used up: its agents have written {spent}; {remedy}"
            ));
        }
        let total = budget.cost.filter(|&total| spent.cost >= total)?;
        let (total, spent) = (dollars(total), dollars(spent.cost));
        Some(format!(
            "the run's budget of {total} is used up: its agents have cost {spent}; {remedy}"
        ))
    }

    /// Whether what is not spent yet is reserved by agents at work, all but a rest that is of no use to anybody: the next one
    /// waits until one of them has ended.
    pub(super) fn is_all_reserved(&self) -> bool {
        let budget = self.budget();
        if budget.is_unlimited() || self.reserved.by_call.is_empty() {
            return false;
        }
        let spent = spent(&self.state);
        let taken = spent.plus(self.reserved.left).plus(REST);
        !budget.is_reached_by(spent) && budget.is_reached_by(taken)
    }

    /// What an attempt that is started now may use: the limits that its call sets, else the default, and no more than is left.
    /// Reserves that, or what agents of its phase use on average.
    pub fn reserve(&mut self, call: CallNumber, own: Allowance) -> Allowance {
        let budget = self.budget();
        if budget.is_unlimited() || self.kind_of(call) != CallKind::Agent {
            return own;
        }
        self.reserved.release(call);
        let left = budget.less(spent(&self.state).plus(self.reserved.left));
        let limit = own.or(budget.default_limit()).at_most(left);
        let mean = self
            .state
            .call(call)
            .and_then(|known| self.reserved.mean(known.phase.as_ref()));
        let of = |own: Option<u64>, mean: Option<u64>, limit: Option<u64>| {
            own.or(mean)
                .or(limit)
                .map_or(0, |amount| limit.map_or(amount, |limit| amount.min(limit)))
        };
        let amount = Amount {
            tokens: of(own.tokens, mean.map(|mean| mean.tokens), limit.tokens),
            cost: of(own.cost, mean.map(|mean| mean.cost), limit.cost),
        };
        let used = self.state.at_work.get(&call).copied().unwrap_or_default();
        self.reserved.set(call, amount, used.into());
        limit
    }

    /// An attempt has used so much so far.
    pub(super) fn spend(&mut self, call: CallNumber, now: Millis, out: &mut Output) {
        let used = self.state.at_work.get(&call).copied().unwrap_or_default();
        self.reserved.used(call, used.into());
        self.tell_spent(now, out);
    }

    /// An attempt is over, and what it had reserved is free.
    pub(super) fn release(&mut self, call: CallNumber) {
        self.reserved.release(call);
    }

    /// A call is settled.
    pub(super) fn learn(&mut self, call: CallNumber, now: Millis, out: &mut Output) {
        if let Some(call) = self.state.call(call) {
            self.reserved.learn(call);
        }
        self.tell_spent(now, out);
    }

    fn tell_spent(&mut self, now: Millis, out: &mut Output) {
        let (budget, spent) = (self.budget(), spent(&self.state));
        let part = |spent: u64, total: Option<u64>| {
            let total = total.filter(|&total| total > 0)?;
            let percent = u128::from(spent) * 100 / u128::from(total);
            TOLD_AT
                .into_iter()
                .find(|&told| percent >= u128::from(told))
        };
        if let (Some(percent), Some(total)) = (part(spent.tokens, budget.tokens), budget.tokens) {
            let text = format!("{percent} % of the run's budget of {total} output tokens is spent");
            self.notice(&text, now, out);
        }
        if let (Some(percent), Some(total)) = (part(spent.cost, budget.cost), budget.cost) {
            let text = format!(
                "{percent} % of the run's budget of {} is spent",
                dollars(total)
            );
            self.notice(&text, now, out);
        }
    }
}

/// Millionths of a dollar, as people read them.
#[must_use]
pub fn dollars(millionths: u64) -> String {
    let cents = millionths.div_ceil(10_000);
    format!("${}.{:02}", cents / 100, cents % 100)
}
