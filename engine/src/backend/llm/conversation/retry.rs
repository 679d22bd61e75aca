//! Which failed calls are made again within an attempt, and when. Pure: the wait is carried out elsewhere.

use std::time::Duration;

use super::fault::{Fault, FaultKind};

/// A call is made again at most so often.
const AGAIN_MAX: u32 = 4;
/// A stalled call is made again at most so often: each has cost minutes already.
const STALLS_MAX: u32 = 2;
/// Whoever is told to wait longer gives its place up instead: its run waits better than an attempt does.
const WAIT_MAX: Duration = Duration::from_mins(1);
/// The longest wait where the provider names none.
const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// How often one model call has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Retries {
    failed: u32,
    stalled: u32,
}

impl Retries {
    /// Takes note of a failure: how long to wait before the call is made again, or `None` if it is not. `jitter` is from
    /// 0 to 1.
    pub(super) fn after(
        &mut self,
        fault: &Fault,
        back_off: Duration,
        jitter: f64,
    ) -> Option<Duration> {
        let may_pass = matches!(
            fault.kind,
            FaultKind::RateLimit
                | FaultKind::Overloaded
                | FaultKind::Server
                | FaultKind::Transport
                | FaultKind::Timeout
        );
        if !may_pass || fault.is_final || self.failed >= AGAIN_MAX {
            return None;
        }
        if fault.kind == FaultKind::Timeout {
            if self.stalled >= STALLS_MAX {
                return None;
            }
            self.stalled += 1;
        }
        let doubled = back_off.saturating_mul(1 << self.failed).min(BACK_OFF_MAX);
        self.failed += 1;
        match fault.retry_after {
            Some(told) if told > WAIT_MAX => None,
            // Never earlier than told.
            Some(told) => Some(told + back_off.mul_f64(jitter)),
            None => Some(doubled.mul_f64(0.5 + jitter / 2.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn waits(fault: &Fault, jitter: f64) -> Vec<Duration> {
        let mut retries = Retries::default();
        std::iter::from_fn(|| retries.after(fault, SECOND, jitter))
            .take(20)
            .collect()
    }

    fn after(kind: FaultKind, told: Option<u64>) -> Fault {
        Fault {
            retry_after: told.map(Duration::from_secs),
            ..Fault::new(kind, "")
        }
    }

    #[test]
    fn waits_double_and_end() {
        let seconds = |list: [f64; 4]| list.map(Duration::from_secs_f64).to_vec();
        for kind in [
            FaultKind::RateLimit,
            FaultKind::Overloaded,
            FaultKind::Server,
            FaultKind::Transport,
        ] {
            assert_eq!(
                waits(&after(kind, None), 1.0),
                seconds([1.0, 2.0, 4.0, 8.0]),
                "{kind:?}"
            );
            assert_eq!(
                waits(&after(kind, None), 0.0),
                seconds([0.5, 1.0, 2.0, 4.0]),
                "{kind:?}"
            );
        }
        assert_eq!(waits(&after(FaultKind::Timeout, None), 1.0).len(), 2);
    }

    #[test]
    fn told_waits_are_kept_if_they_are_bounded() {
        assert_eq!(
            waits(&after(FaultKind::RateLimit, Some(60)), 0.5),
            [Duration::from_millis(60_500); 4]
        );
        assert!(waits(&after(FaultKind::RateLimit, Some(61)), 0.0).is_empty());
        assert_eq!(
            waits(&after(FaultKind::Overloaded, Some(3)), 0.0),
            [Duration::from_secs(3); 4]
        );
    }

    #[test]
    fn what_cannot_pass_is_not_waited_for() {
        for kind in [
            FaultKind::Quota,
            FaultKind::Denied,
            FaultKind::Budget,
            FaultKind::ContextTooLong,
            FaultKind::Refused,
            FaultKind::Invalid,
            FaultKind::Other,
        ] {
            assert!(waits(&after(kind, Some(1)), 0.0).is_empty(), "{kind:?}");
        }
        let last = Fault {
            is_final: true,
            ..after(FaultKind::Server, None)
        };
        assert!(waits(&last, 0.0).is_empty());
    }
}
