//! When something that ended is started again: the policies, as data and pure functions.
//!
//! **Actors** (in the manner of OTP's supervisors; the limits of nested levels multiply, so each is small):
//!
//! | actor | restart | intensity in period | after the last |
//! |---|---|---|---|
//! | journal | temporary | - | every run pauses; only a new engine goes on |
//! | run supervisor | transient | 3 in 60 s | the run is quarantined |
//! | orchestrator | permanent while the script runs | 3 in 60 s, and twice at one position | the run is quarantined |
//! | agent pool | permanent while the run lives | 3 in 60 s | its run supervisor fails |
//! | agent | temporary | - | its attempt has failed as `crash` |
//!
//! **Attempts** of a call, by the kind of failure:
//!
//! | failure | attempts in all | first delay |
//! |---|---|---|
//! | `rate_limit` | 6 | what the other side asks for, 1 s at least |
//! | `transport` | 4 | 0.5 s |
//! | the agent's actor or task panicked | 2 | 0.1 s |
//! | `quota`, where it is known when it is renewed | 1,000 | until then, and longer the more often it was not |
//! | `crash`, `timeout`, `refused`, `quota`, `other` | 1 | - |
//! | `schema`, `limit`, `budget` | 1, whatever `retries` says | - |
//!
//! The option `retries` of a call or of its agent type (X01) puts its own numbers in the place of these, for all that an agent
//! can fail of or by kind, but for answers that do not fit their schema, of which there were five. The engine's own part is not
//! counted by it.
//!
//! A program that ended with an error has given its answer: running it again without being asked would repeat what it did
//! to the files. An attempt that was cut off because the engine died is no failure and counts for none of this.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bellwether_journal::key::Digest;
use bellwether_journal::record::{Failure, FailureKind, Millis};
use serde::{Deserialize, Serialize};

/// Whether an actor that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    Permanent,
    /// Only when it did not end in order.
    Transient,
    /// Never.
    Temporary,
}

/// How an actor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It had done its work, or was told to stop.
    Normal,
    /// It panicked, returned an error, or was killed.
    Abnormal,
}

/// One row of the table above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Whether at all.
    pub restart: Restart,
    /// So many restarts …
    pub intensity: usize,
    /// … within this time are borne.
    pub period: Duration,
    /// The delay before the first restart of a period.
    pub base: Duration,
    /// No delay is longer.
    pub longest: Duration,
}

/// The run supervisor's row.
pub const RUN_SUPERVISOR: Policy = supervised(Restart::Transient);
/// The orchestrator's row.
pub const ORCHESTRATOR: Policy = supervised(Restart::Permanent);
/// The agent pool's row.
pub const AGENT_POOL: Policy = supervised(Restart::Permanent);

const fn supervised(restart: Restart) -> Policy {
    Policy {
        restart,
        intensity: 3,
        period: Duration::from_mins(1),
        base: Duration::from_millis(50),
        longest: Duration::from_secs(5),
    }
}

/// What to do about an actor that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Start it again after this delay.
    Restart(Duration),
    /// It is not wanted any more.
    Leave,
    /// It ended too often: whoever depends on it fails.
    Escalate,
}

/// An actor's restarts within the period.
#[derive(Clone, Debug, Default)]
pub struct History(VecDeque<Millis>);

impl History {
    /// Decides about an actor that ended at `now`; `jitter` in 0..=255 spreads restarts that fall together.
    pub fn ended(&mut self, policy: &Policy, exit: Exit, now: Millis, jitter: u8) -> Verdict {
        match (policy.restart, exit) {
            (Restart::Temporary, _) | (Restart::Transient, Exit::Normal) => return Verdict::Leave,
            (Restart::Permanent, _) | (Restart::Transient, Exit::Abnormal) => {}
        }
        let oldest = now.saturating_sub(policy.period.as_millis() as Millis);
        while self.0.front().is_some_and(|&at| at < oldest) {
            self.0.pop_front();
        }
        if self.0.len() >= policy.intensity {
            return Verdict::Escalate;
        }
        let delay = back_off(policy.base, policy.longest, self.0.len() as u32, jitter);
        self.0.push_back(now);
        Verdict::Restart(delay)
    }
}

/// Doubles with each try up to `longest`, then takes off up to half by `jitter` (0 takes nothing).
#[must_use]
pub fn back_off(base: Duration, longest: Duration, tries: u32, jitter: u8) -> Duration {
    let full = base
        .saturating_mul(1_u32.checked_shl(tries.min(20)).unwrap_or(u32::MAX))
        .min(longest);
    full.saturating_sub(full * u32::from(jitter) / 512)
}

/// Jitter that is the same in every replay: from what the try is called, not from a source of chance.
#[must_use]
pub fn jitter(key: Digest, attempt: u32) -> u8 {
    Digest::of("jitter", &[&key.0, &attempt.to_le_bytes()]).0[0]
}

/// How many more attempts a call gets when it fails, in place of what the table says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Retries {
    /// Whatever it fails of, where nothing is said of that kind; `None` leaves it to the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub all: Option<u32>,
    /// When it fails of this kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_kind: BTreeMap<FailureKind, u32>,
}

impl Retries {
    /// So many, whatever it fails of.
    #[must_use]
    pub const fn all(retries: u32) -> Self {
        Self {
            all: Some(retries),
            by_kind: BTreeMap::new(),
        }
    }

    /// So many when it fails of this kind.
    #[must_use]
    pub fn of(mut self, kind: FailureKind, retries: u32) -> Self {
        self.by_kind.insert(kind, retries);
        self
    }

    fn after(&self, kind: FailureKind) -> Option<u32> {
        self.by_kind.get(&kind).copied().or(self.all)
    }
}

/// A failure, as the retry table sorts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    /// The agent said so.
    Agent(&'a Failure),
    /// The engine's own part of the attempt broke.
    Engine,
}

/// When the next attempt of a call may start, in milliseconds from now; `None` when the call has failed.
///
/// `retries` is what the call's options ask for; `failures` counts the attempts that failed so far, this one included;
/// `jitter` as in [`back_off`].
#[must_use]
pub fn retry_after(
    cause: Cause<'_>,
    retries: Option<&Retries>,
    failures: u32,
    jitter: u8,
) -> Option<Millis> {
    let (attempts, base, asked) = match cause {
        Cause::Engine => (2, Duration::from_millis(100), None),
        Cause::Agent(failure) => {
            let (attempts, base) = match failure.kind {
                FailureKind::Schema
                | FailureKind::ByPerson
                | FailureKind::Limit
                | FailureKind::Budget => return None,
                FailureKind::RateLimit => (6, Duration::from_secs(1)),
                FailureKind::Transport => (4, Duration::from_millis(500)),
                // It is nobody's failure, and a script that was told so would go on and have all others fail, too.
                FailureKind::Quota if failure.retry_after.is_some() => {
                    (1_000, Duration::from_secs(1))
                }
                _ => (1, Duration::from_secs(1)),
            };
            let retries = retries.and_then(|retries| retries.after(failure.kind));
            let attempts = retries.map_or(attempts, |retries| retries.saturating_add(1));
            (attempts, base, failure.retry_after)
        }
    };
    if failures >= attempts {
        return None;
    }
    let own = back_off(
        base,
        Duration::from_mins(2),
        failures.saturating_sub(1),
        jitter,
    );
    let own = own.as_millis() as Millis;
    // What the other side asks for is a minimum: jitter may only add to it. Whoever says "now" again and again is asked more and
    // more seldom all the same.
    Some(asked.map_or(own, |asked| {
        let asked = asked.saturating_add(asked.saturating_mul(u64::from(jitter)) / 2048);
        asked.max(own)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intensity_is_counted_within_the_period() {
        let mut history = History::default();
        let policy = RUN_SUPERVISOR;
        for (now, expected) in [
            (0, Verdict::Restart(Duration::from_millis(50))),
            (1_000, Verdict::Restart(Duration::from_millis(100))),
            (2_000, Verdict::Restart(Duration::from_millis(200))),
            (3_000, Verdict::Escalate),
            // A minute after the first two, two are forgotten.
            (61_500, Verdict::Restart(Duration::from_millis(100))),
            (61_600, Verdict::Restart(Duration::from_millis(200))),
            (61_700, Verdict::Escalate),
        ] {
            assert_eq!(
                history.ended(&policy, Exit::Abnormal, now, 0),
                expected,
                "at {now}"
            );
        }
    }

    #[test]
    fn who_is_started_again() {
        let verdict = |restart, exit| {
            History::default().ended(
                &Policy {
                    restart,
                    ..RUN_SUPERVISOR
                },
                exit,
                0,
                0,
            )
        };
        let again = Verdict::Restart(Duration::from_millis(50));
        assert_eq!(verdict(Restart::Permanent, Exit::Normal), again);
        assert_eq!(verdict(Restart::Permanent, Exit::Abnormal), again);
        assert_eq!(verdict(Restart::Transient, Exit::Normal), Verdict::Leave);
        assert_eq!(verdict(Restart::Transient, Exit::Abnormal), again);
        assert_eq!(verdict(Restart::Temporary, Exit::Abnormal), Verdict::Leave);
    }

    #[test]
    fn back_off_doubles_to_its_end_and_jitter_takes_at_most_half() {
        let (base, longest) = (Duration::from_secs(1), Duration::from_mins(1));
        let delays: Vec<u64> = (0..8)
            .map(|tries| back_off(base, longest, tries, 0).as_secs())
            .collect();
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert!(back_off(base, longest, 99, 255) >= longest / 2);
    }

    #[test]
    fn retries_by_kind() {
        let failure = |kind, retry_after| Failure {
            kind,
            message: String::new(),
            evidence: None,
            retry_after,
        };
        let after = |kind, asked, failures| {
            retry_after(Cause::Agent(&failure(kind, asked)), None, failures, 0)
        };
        assert_eq!(after(FailureKind::RateLimit, None, 1), Some(1_000));
        assert_eq!(after(FailureKind::RateLimit, Some(30_000), 1), Some(30_000));
        assert_eq!(after(FailureKind::RateLimit, None, 5), Some(16_000));
        assert_eq!(after(FailureKind::RateLimit, None, 6), None);
        assert_eq!(after(FailureKind::Transport, None, 3), Some(2_000));
        assert_eq!(after(FailureKind::Transport, None, 4), None);
        for kind in [
            FailureKind::Crash,
            FailureKind::Timeout,
            FailureKind::Refused,
            FailureKind::Other,
        ] {
            assert_eq!(after(kind, Some(5), 1), None, "{kind:?}");
        }
        assert_eq!(after(FailureKind::Quota, None, 1), None);
        assert_eq!(after(FailureKind::Quota, Some(9_000), 3), Some(9_000));
        assert_eq!(after(FailureKind::Quota, Some(0), 1), Some(1_000));
        assert_eq!(after(FailureKind::Quota, Some(0), 700), Some(120_000));
        assert_eq!(retry_after(Cause::Engine, None, 1, 0), Some(100));
        assert_eq!(retry_after(Cause::Engine, None, 2, 0), None);
    }

    #[test]
    fn x01_a_call_may_ask_for_its_own_number() {
        for (kind, retries, failures, expected) in [
            (FailureKind::Crash, 2, 1, Some(1_000)),
            (FailureKind::Timeout, 2, 2, Some(2_000)),
            (FailureKind::Other, 2, 3, None),
            (FailureKind::RateLimit, 0, 1, None),
            (FailureKind::Transport, 9, 9, Some(120_000)),
            (FailureKind::Schema, 9, 1, None),
        ] {
            let failure = Failure {
                kind,
                message: String::new(),
                evidence: None,
                retry_after: None,
            };
            let retries = Retries::all(retries);
            let after = retry_after(Cause::Agent(&failure), Some(&retries), failures, 0);
            assert_eq!(
                after, expected,
                "{kind:?}, {retries:?}, {failures} failures"
            );
        }
        assert_eq!(
            retry_after(Cause::Engine, Some(&Retries::all(0)), 1, 0),
            Some(100)
        );
    }

    #[test]
    fn x01_a_call_may_ask_by_kind() {
        let crash_alone = Retries::default().of(FailureKind::Crash, 1);
        let all_but_crash = Retries::all(3).of(FailureKind::Crash, 0);
        for (retries, kind, failures, expected) in [
            (&crash_alone, FailureKind::Crash, 1, Some(1_000)),
            (&crash_alone, FailureKind::Crash, 2, None),
            // The others stay as the table has them.
            (&crash_alone, FailureKind::Other, 1, None),
            (&crash_alone, FailureKind::Transport, 3, Some(2_000)),
            (&all_but_crash, FailureKind::Crash, 1, None),
            (&all_but_crash, FailureKind::Other, 3, Some(4_000)),
            (&all_but_crash, FailureKind::Schema, 1, None),
        ] {
            let failure = Failure {
                kind,
                message: String::new(),
                evidence: None,
                retry_after: None,
            };
            let after = retry_after(Cause::Agent(&failure), Some(retries), failures, 0);
            assert_eq!(after, expected, "{retries:?}, {kind:?}, {failures}");
        }
    }
}
