//! U02: what agents reserve before they start, and that the sum stays below the total where what they use is counted.

use std::collections::VecDeque;

use bellwether_journal::usage::Counted;
use proptest::prelude::*;

use super::*;
use crate::backend::Used;
use crate::run::budget::{Allowance, spent};

fn agent(number: u32, phase: &str, options: &str) -> Command {
    Command::Call(Box::new(Call {
        number: CallNumber(number),
        kind: CallKind::Agent,
        prompt: format!("prompt {number}").into(),
        options: options.into(),
        label: None,
        phase: Some(phase.into()),
        context: key::root(),
        line: 1,
    }))
}

fn used(tokens: u64) -> End {
    let usage = Usage {
        input_tokens: 0,
        output_tokens: tokens,
    };
    End::Completed(text::pack("1".into()), usage)
}

fn used_so_far(counted: Counted) -> Used {
    Used {
        model: Some("a/one".into()),
        counted,
    }
}

/// The attempts that were started, as `call.attempt`.
fn started(came: &Came) -> Vec<&str> {
    let starts = came.actions.iter();
    starts
        .filter_map(|action| action.strip_prefix("start "))
        .collect()
}

#[test]
fn u02_an_agent_reserves_its_limit_until_its_phase_has_a_mean() {
    let mut run = Run::with_budget(None, 100, Some(120_000));
    let agents = (0..6).map(|number| agent(number, "read", "{}")).collect();
    // 50,000, 50,000 and the 20,000 that are left are reserved: the others wait.
    let begun = run.turn(agents, TurnStatus::Running);
    assert_eq!(started(&begun), ["0.1", "1.1", "2.1"]);
    // The first has used 30,000 of what it had reserved, which others of its phase now reserve.
    let after = run.ended(0, 1, used(30_000));
    assert_eq!(started(&after), ["3.1"], "{after:?}");
    assert_eq!(started(&run.ended(1, 1, used(2_000))), ["4.1", "5.1"]);
    for call in 2..6 {
        run.ended(call, 1, used(1_000));
    }
    assert_eq!(spent(run.machine.state()).tokens, 36_000);
}

#[test]
fn u02_a_limit_of_its_own_is_what_an_agent_reserves_and_no_more_than_is_left() {
    let mut run = Run::with_budget(None, 100, Some(100_000));
    let own = r#"{"maxTokens":90000}"#;
    let agents = vec![agent(0, "a", own), agent(1, "a", own), agent(2, "a", own)];
    assert_eq!(
        started(&run.turn(agents, TurnStatus::Running)),
        ["0.1", "1.1"]
    );
    let allowed = |tokens| Allowance {
        tokens: Some(tokens),
        cost: None,
    };
    // Asked again when its options are at hand: the same.
    for (call, limit) in [(0, 90_000), (1, 10_000)] {
        let limited = run.machine.reserve(CallNumber(call), allowed(90_000));
        assert_eq!(limited, allowed(limit), "call {call}");
    }
    // What was counted already is not reserved a second time.
    let counted = Counted {
        output_tokens: 85_000,
        ..Counted::default()
    };
    let came = run
        .decide(|machine, now, _, out| machine.used(token(0, 1), used_so_far(counted), now, out));
    assert_eq!(
        came.records,
        ["modelasked", "usagecounted", "noticed"],
        "80 % are spent"
    );
    assert!(run.machine.is_all_reserved());
    assert_eq!(started(&run.ended(0, 1, used(86_000))), ["2.1"]);
}

#[test]
fn u02_money_is_reserved_as_tokens_are() {
    let mut run = Run::new(None, 100);
    run.machine.caps.budget.cost = Some(1_000_000);
    let agents = (0..5).map(|number| agent(number, "read", "{}")).collect();
    // A quarter of a dollar each.
    assert_eq!(
        started(&run.turn(agents, TurnStatus::Running)),
        ["0.1", "1.1", "2.1", "3.1"]
    );
    let counted = Counted {
        cost: Some(900_000),
        ..Counted::default()
    };
    run.decide(|machine, now, _, out| machine.used(token(0, 1), used_so_far(counted), now, out));
    assert_eq!(started(&run.ended(0, 1, done("1"))), [""; 0]);
    run.ended(1, 1, done("1"));
    run.ended(2, 1, done("1"));
    let last = run.ended(3, 1, done("1"));
    assert_eq!(started(&last), ["4.1"], "a tenth of a dollar is left");
    let more = Counted {
        cost: Some(100_000),
        ..Counted::default()
    };
    run.decide(|machine, now, _, out| machine.used(token(4, 1), used_so_far(more), now, out));
    let refused = run.turn(vec![agent(5, "read", "{}")], TurnStatus::Running);
    assert_eq!(refused.records, ["scheduled 5", "refused 5 BUDGET"]);
}

/// What an agent does: how much it would like to write, in how many parts, and whether it fails and is tried again.
fn wishes() -> impl Strategy<Value = Vec<(u64, u64, bool, Option<u64>)>> {
    let wish = prop_oneof![1_u64..2_000, 40_000_u64..60_000, 1_u64..1_000_000];
    let own = prop_oneof![
        Just(None),
        (1_u64..100).prop_map(Some),
        (1_u64..500_000).prop_map(Some)
    ];
    prop::collection::vec((wish, 1_u64..4, any::<bool>(), own), 1..40)
}

proptest! {
    /// Agents that are held to their allowance never spend more than the total together, and each call has its answer.
    #[test]
    fn u02_what_is_counted_never_passes_the_total(
        total in prop_oneof![1_u64..100, 1_000_u64..200_000, 100_000_u64..3_000_000],
        concurrency in prop_oneof![Just(None), (1_usize..8).prop_map(Some)],
        wishes in wishes(),
    ) {
        let mut run = Run::with_budget(concurrency, 1_000, Some(total));
        let agents = (0..).zip(&wishes).map(|(number, (_, _, _, own))| {
            let options = own.map_or_else(|| "{}".to_owned(), |own| format!(r#"{{"maxTokens":{own}}}"#));
            agent(number, if number % 3 == 0 { "a" } else { "b" }, &options)
        });
        let mut queue: VecDeque<String> = VecDeque::new();
        let take = |queue: &mut VecDeque<String>, came: &Came| {
            queue.extend(started(came).iter().map(|start| (*start).to_owned()));
        };
        take(&mut queue, &run.turn(agents.collect(), TurnStatus::Running));
        let mut allowances = HashMap::new();
        while let Some(start) = queue.pop_front() {
            let (call, attempt) = start.split_once('.').unwrap_or_else(|| panic!("{start}"));
            let (call, attempt): (u32, u32) = (call.parse().unwrap(), attempt.parse().unwrap());
            let (wish, parts, fails, own) = wishes[call as usize];
            let own = Allowance { tokens: own, cost: None };
            // Attempts at work hold their allowance: those that were started beside it may not take from it.
            let allowance = allowances
                .entry((call, attempt))
                .or_insert_with(|| run.machine.reserve(CallNumber(call), own));
            let limit = allowance.tokens.unwrap_or(u64::MAX);
            prop_assert!(limit <= own.tokens.unwrap_or(u64::MAX));
            // The gateway sees to this: no call of a model goes out that could pass the total.
            let mut written = 0;
            for _ in 0..parts {
                let left = total.saturating_sub(spent(run.machine.state()).tokens);
                written += (wish / parts).min(limit - written).min(left);
                let counted = Counted { output_tokens: written, ..Counted::default() };
                run.decide(|machine, now, _, out| machine.used(token(call, attempt), used_so_far(counted), now, out));
                prop_assert!(spent(run.machine.state()).tokens <= total);
            }
            let usage = Usage { input_tokens: 0, output_tokens: written };
            let came = if fails && attempt == 1 {
                let failure = Failure {
                    kind: FailureKind::Transport,
                    message: "cut".to_owned(),
                    evidence: None,
                    retry_after: None,
                };
                run.ended(call, attempt, End::Failed(failure, usage))
            } else {
                run.ended(call, attempt, used(written))
            };
            take(&mut queue, &came);
            if came.actions.contains(&format!("retry {call}")) {
                let came = run.decide(|machine, now, permits, out| {
                    machine.retry_due(CallNumber(call), now, permits, out);
                });
                take(&mut queue, &came);
            }
        }
        let state = run.machine.state();
        prop_assert!(spent(state).tokens <= total);
        prop_assert_eq!(state.unsettled().count(), 0, "every call has its answer");
    }
}
