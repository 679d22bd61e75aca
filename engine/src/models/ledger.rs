//! What a run may still spend, while its agents' calls of models are under way (U02): a call holds what it could cost until it
//! is known what it did cost, so that all of them together never pass the total. Pure: the gateway's calls stand elsewhere.

use std::collections::HashMap;

use bellwether_actors::run::budget::{Allowance, Amount};
use bellwether_journal::usage::Counted;

use super::prices::Price;

/// With fewer tokens than this nothing sensible is written, and some providers refuse so low a limit.
const OUTPUT_MIN: u64 = 16;
/// A call that would like to write at least so much is not cut below it while others hold what they may not need: it waits.
const OUTPUT_FAIR: u64 = 4_096;
/// No tokenizer in use makes more of a text than a token for so many bytes, on average.
const BYTES_A_TOKEN: u64 = 2;
/// What a token mostly is.
const BYTES_USUAL: u64 = 4;

/// A run's money and tokens.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    budget: Allowance,
    /// Of all that has ended or was counted.
    spent: Amount,
    /// What calls that are under way could cost.
    held: Amount,
}

/// An attempt's part of it.
#[derive(Debug, Default)]
pub(crate) struct Account {
    allowance: Allowance,
    counted: Counted,
    held: Amount,
    calls: HashMap<u64, Held>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    amount: Amount,
    price: Option<Price>,
}

/// A call of a model that wants to go out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Its number, of all calls of the engine.
    pub(crate) id: u64,
    /// Bytes of what is to be read.
    pub(crate) bytes: u64,
    /// Tokens that it may write, where it says so.
    pub(crate) output: Option<u64>,
    /// Tokens that its model writes at most.
    pub(crate) output_max: u64,
    /// What its model costs.
    pub(crate) price: Option<Price>,
}

/// Why a call is not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// Calls that are under way hold what is left: it may be sent when one of them has ended.
    Held,
    /// The run's budget is used up.
    Run,
    /// The attempt has used what it may.
    Attempt,
    /// There is a limit on money, and nobody knows what the model costs.
    NoPrice,
}

/// What is left to a call by one of its limits.
struct Limit {
    left: Allowance,
    /// What reading the call may cost.
    reads: u64,
    whose: Spent,
    /// Calls that are under way hold some of it, and may give it back.
    is_held: bool,
}

impl Limit {
    /// How many tokens a call may write that would like to write `wants`; `None` is no limit.
    fn output(&self, price: Option<Price>, wants: u64) -> Result<Option<u64>, Spent> {
        let refusal = if self.is_held {
            Spent::Held
        } else {
            self.whose
        };
        let by_cost = match (self.left.cost, price) {
            (None, _) => None,
            (Some(_), None) => return Err(Spent::NoPrice),
            (Some(cost), Some(price)) => {
                Some(price.affordable(cost.checked_sub(self.reads).ok_or(refusal)?))
            }
        };
        let output = match (self.left.tokens, by_cost) {
            (Some(tokens), Some(by_cost)) => Some(tokens.min(by_cost)),
            (tokens, by_cost) => tokens.or(by_cost),
        };
        let least = if self.is_held {
            OUTPUT_FAIR
        } else {
            OUTPUT_MIN
        };
        match output {
            Some(output) if output < least.min(wants) => Err(refusal),
            output => Ok(output),
        }
    }
}

impl Ledger {
    /// What the run may spend, and what it has spent by its journal.
    pub(crate) fn begin(&mut self, budget: Allowance, spent: Amount) {
        self.budget = budget;
        // What was counted meanwhile may not be in the journal yet.
        self.spent.tokens = self.spent.tokens.max(spent.tokens);
        self.spent.cost = self.spent.cost.max(spent.cost);
    }

    /// Something was used that no call of a model told.
    pub(crate) fn add(&mut self, amount: Amount) {
        self.spent = sum(self.spent, amount);
    }

    /// How many tokens the call may write; `None` is no limit.
    pub(crate) fn admit(
        &mut self,
        account: &mut Account,
        wanted: Wanted,
    ) -> Result<Option<u64>, Spent> {
        let Wanted {
            id,
            bytes,
            output,
            output_max,
            price,
        } = wanted;
        let wants = output.unwrap_or(output_max);
        // The run's limit holds in the worst case; an attempt's own is there to end what has gone astray.
        let worst = price.map_or(0, |price| price.of_input(bytes.div_ceil(BYTES_A_TOKEN)));
        let usual = price.map_or(0, |price| price.of_usual_input(bytes.div_ceil(BYTES_USUAL)));
        let limits = [
            Limit {
                left: left(self.budget, sum(self.spent, self.held)),
                reads: worst,
                whose: Spent::Run,
                is_held: self.held != Amount::default(),
            },
            Limit {
                left: left(account.allowance, sum(account.counted.into(), account.held)),
                reads: usual,
                whose: Spent::Attempt,
                is_held: account.held != Amount::default(),
            },
        ];
        let mut most = None::<u64>;
        for limit in limits {
            if let Some(output) = limit.output(price, wants)? {
                most = Some(most.map_or(output, |most| most.min(output)));
            }
        }
        let reads = worst;
        let allowed = most.map(|most| most.min(wants));
        // Without any limit nothing needs to be held.
        let amount = allowed.map_or_else(Amount::default, |tokens| Amount {
            tokens,
            cost: reads.saturating_add(price.map_or(0, |price| price.of_output(tokens))),
        });
        account.calls.insert(id, Held { amount, price });
        account.held = sum(account.held, amount);
        self.held = sum(self.held, amount);
        Ok(allowed)
    }

    /// What a call used; `None` when it is not known to have used anything. Gives all that the attempt has used so far.
    pub(crate) fn settle(
        &mut self,
        account: &mut Account,
        id: u64,
        used: Option<Counted>,
    ) -> Option<Counted> {
        let Held { amount, price } = account.calls.remove(&id)?;
        account.held = less(account.held, amount);
        self.held = less(self.held, amount);
        let mut used = used.unwrap_or_default();
        used.requests = 1;
        used.cost = price.map(|price| price.of(&used));
        self.spent = sum(self.spent, used.into());
        account.counted = account.counted.plus(used);
        Some(account.counted)
    }
}

impl Account {
    /// Of an attempt that may use this much.
    pub(crate) fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            ..Self::default()
        }
    }

    /// What it has used so far.
    pub(crate) const fn counted(&self) -> Counted {
        self.counted
    }
}

fn left(limit: Allowance, used: Amount) -> Allowance {
    Allowance {
        tokens: limit.tokens.map(|limit| limit.saturating_sub(used.tokens)),
        cost: limit.cost.map(|limit| limit.saturating_sub(used.cost)),
    }
}

const fn sum(one: Amount, other: Amount) -> Amount {
    Amount {
        tokens: one.tokens.saturating_add(other.tokens),
        cost: one.cost.saturating_add(other.cost),
    }
}

const fn less(one: Amount, other: Amount) -> Amount {
    Amount {
        tokens: one.tokens.saturating_sub(other.tokens),
        cost: one.cost.saturating_sub(other.cost),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRICE: Price = Price {
        input: 3.0,
        output: 15.0,
        cache_read: Some(0.3),
        cache_write: Some(3.75),
        context: None,
        max_output: None,
    };

    fn tokens(total: u64) -> Allowance {
        Allowance {
            tokens: Some(total),
            cost: None,
        }
    }

    fn wanted(id: u64, output: Option<u64>) -> Wanted {
        Wanted {
            id,
            bytes: 1_000,
            output,
            output_max: 32_000,
            price: Some(PRICE),
        }
    }

    fn wrote(output_tokens: u64) -> Counted {
        Counted {
            output_tokens,
            ..Counted::default()
        }
    }

    #[test]
    fn u02_a_call_is_cut_to_what_is_left_and_not_sent_when_nothing_is() {
        let mut ledger = Ledger::default();
        ledger.begin(tokens(50_000), Amount::default());
        let mut one = Account::default();
        let mut two = Account::new(tokens(10_000));
        assert_eq!(ledger.admit(&mut one, wanted(1, None)), Ok(Some(32_000)));
        assert_eq!(ledger.admit(&mut two, wanted(2, None)), Ok(Some(10_000)));
        assert_eq!(
            ledger.admit(&mut two, wanted(3, Some(5))),
            Err(Spent::Held),
            "all that it may use is under way"
        );
        assert_eq!(
            ledger.admit(&mut one, wanted(4, Some(9_000))),
            Ok(Some(8_000))
        );
        assert_eq!(ledger.admit(&mut one, wanted(5, None)), Err(Spent::Held));
        assert_eq!(
            ledger
                .settle(&mut one, 1, Some(wrote(2_000)))
                .map(|all| all.output_tokens),
            Some(2_000)
        );
        assert_eq!(ledger.settle(&mut one, 1, Some(wrote(9))), None, "once");
        assert_eq!(ledger.admit(&mut one, wanted(6, None)), Ok(Some(30_000)));
        ledger.settle(&mut one, 6, Some(wrote(30_000)));
        ledger.settle(&mut one, 4, Some(wrote(8_000)));
        // A call of which nothing came gives back all that it held.
        ledger.settle(&mut two, 2, None);
        assert_eq!(
            ledger.admit(&mut two, wanted(7, Some(4_000))),
            Ok(Some(4_000))
        );
        assert_eq!(two.counted().requests, 1);
        // What another attempt holds is nothing to one that has used its own.
        let mut three = Account::new(tokens(500));
        let mut four = Account::new(tokens(500));
        assert_eq!(
            ledger.admit(&mut three, wanted(21, None)),
            Ok(Some(500)),
            "beside others that hold something"
        );
        assert_eq!(ledger.admit(&mut four, wanted(22, None)), Ok(Some(500)));
        ledger.settle(&mut three, 21, Some(wrote(500)));
        assert_eq!(
            ledger.admit(&mut three, wanted(23, None)),
            Err(Spent::Attempt)
        );
        ledger.settle(&mut four, 22, None);
        ledger.settle(&mut two, 7, Some(wrote(4_000)));
        let rest = ledger.admit(&mut two, wanted(8, None));
        assert_eq!(rest, Ok(Some(5_500)), "the run has no more left");
        ledger.settle(&mut two, 8, Some(wrote(6_000)));
        assert_eq!(ledger.admit(&mut one, wanted(10, None)), Err(Spent::Run));
        ledger.begin(tokens(90_000), Amount::default());
        assert_eq!(
            ledger.admit(&mut two, wanted(11, None)),
            Err(Spent::Attempt)
        );
    }

    #[test]
    fn u02_money_counts_what_is_read_and_needs_a_price() {
        let mut ledger = Ledger::default();
        let budget = Allowance {
            tokens: None,
            cost: Some(100_000),
        };
        ledger.begin(budget, Amount::default());
        let mut account = Account::default();
        // 1,000 bytes are 500 tokens at the price of the cache; what is left of ten cents buys this much.
        assert_eq!(
            ledger.admit(&mut account, wanted(1, None)),
            Ok(Some((100_000 - 1_875) / 15))
        );
        assert_eq!(
            ledger.admit(&mut account, wanted(2, None)),
            Err(Spent::Held)
        );
        let priceless = Wanted {
            price: None,
            ..wanted(3, None)
        };
        assert_eq!(ledger.admit(&mut account, priceless), Err(Spent::NoPrice));
        let all = ledger.settle(&mut account, 1, Some(wrote(1_000)));
        assert_eq!(all.and_then(|all| all.cost), Some(15_000));
    }

    #[test]
    fn without_a_limit_nothing_is_changed_and_all_is_counted() {
        let mut ledger = Ledger::default();
        let mut account = Account::default();
        assert_eq!(ledger.admit(&mut account, wanted(1, None)), Ok(None));
        assert_eq!(ledger.admit(&mut account, wanted(2, Some(7))), Ok(None));
        ledger.settle(&mut account, 1, Some(wrote(70)));
        ledger.settle(&mut account, 2, Some(wrote(30)));
        assert_eq!(account.counted().output_tokens, 100);
        assert_eq!(account.counted().cost, Some(1_500));
    }

    proptest! {
        /// Whatever agents ask for, models that keep to their limits never write or cost more than the total, however many
        /// calls are under way and in whatever order they end.
        #[test]
        fn u02_calls_never_pass_the_total(
            budget_tokens in prop_oneof![Just(None), (0_u64..100_000).prop_map(Some)],
            budget_cost in prop_oneof![Just(None), (0_u64..2_000_000).prop_map(Some)],
            allowances in prop::collection::vec(prop_oneof![Just(None), (0_u64..50_000).prop_map(Some)], 1..6),
            steps in prop::collection::vec(
                (any::<u16>(), 0_u64..4_000_000, prop_oneof![Just(None), (0_u64..200_000).prop_map(Some)], 0.0..=1.0),
                1..200,
            ),
        ) {
            let budget = Allowance { tokens: budget_tokens, cost: budget_cost };
            let mut ledger = Ledger::default();
            ledger.begin(budget, Amount::default());
            let mut accounts: Vec<Account> = allowances
                .iter()
                .map(|limit| Account::new(Allowance { tokens: *limit, cost: None }))
                .collect();
            let mut open: Vec<(usize, u64, u64, u64)> = Vec::new();
            for (id, (choice, bytes, output, part)) in (0..).zip(steps) {
                let whose = usize::from(choice) % accounts.len();
                if choice % 3 == 0 && !open.is_empty() {
                    let (whose, id, bytes, allowed) = open.swap_remove(usize::from(choice) % open.len());
                    #[expect(clippy::cast_sign_loss, reason = "both are above 0")]
                    let written = (allowed as f64 * part) as u64;
                    let used = Counted { input_tokens: bytes / BYTES_A_TOKEN, output_tokens: written, ..Counted::default() };
                    ledger.settle(&mut accounts[whose], id, Some(used));
                } else {
                    let wanted = Wanted { id, bytes, output, output_max: 64_000, price: Some(PRICE) };
                    if let Ok(allowed) = ledger.admit(&mut accounts[whose], wanted) {
                        let allowed = allowed.unwrap_or(output.unwrap_or(64_000));
                        open.push((whose, id, bytes, allowed));
                    }
                }
                prop_assert!(budget_tokens.is_none_or(|total| ledger.spent.tokens + ledger.held.tokens <= total));
                prop_assert!(budget_cost.is_none_or(|total| ledger.spent.cost + ledger.held.cost <= total));
                for (account, limit) in accounts.iter().zip(&allowances) {
                    prop_assert!(limit.is_none_or(|limit| account.counted.output_tokens + account.held.tokens <= limit));
                }
            }
        }
    }
}
