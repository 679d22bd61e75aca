//! The world outside: agents that were started, what they said, and what is on its way from them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bellwether_actors::pool::{End, Kept};
use bellwether_journal::id::FencingToken;
use bellwether_journal::key::Digest;
use bellwether_journal::record::{ChangesKept, Failure, FailureKind, Usage};
use bellwether_journal::text::{self, Packed};

use crate::random::Random;

/// An attempt that was started.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and any of them may go with any other"
)]
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) token: FencingToken,
    idempotency_key: Digest,
    is_pure: bool,
    pub(crate) is_alive: bool,
    /// Its engine is gone, and its own end is still to come.
    is_orphan: bool,
    is_cancelled: bool,
    /// The value that it gave.
    pub(crate) said: Option<Packed>,
}

/// What is on its way from the pool to the run's supervisor.
#[derive(Debug)]
pub(crate) enum Mail {
    Ended(FencingToken, End, Vec<Kept>),
    Noted(FencingToken, Arc<str>),
    /// The pool is gone; all that it sent stands before this.
    PoolGone,
}

/// How the pool stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    Alive,
    /// It is gone, and the supervisor has not heard of it.
    Dead,
    /// The supervisor has heard of it.
    Missed,
}

/// All agents.
pub(crate) struct World {
    pub(crate) attempts: Vec<Attempt>,
    by_token: HashMap<FencingToken, usize>,
    /// Those that may still say something.
    alive: Vec<usize>,
    pub(crate) mail: VecDeque<Mail>,
    pub(crate) pool: Pool,
    /// Calls that are completed for good: generation and key.
    pub(crate) completed: HashSet<(u32, Digest)>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            attempts: Vec::new(),
            by_token: HashMap::new(),
            alive: Vec::new(),
            mail: VecDeque::new(),
            pool: Pool::Alive,
            completed: HashSet::new(),
        }
    }

    /// The newest attempt of this name, whatever the epoch.
    pub(crate) fn attempt(&self, token: FencingToken) -> Option<&Attempt> {
        self.by_token
            .get(&token)
            .map(|index| &self.attempts[*index])
    }

    /// Begins an attempt.
    pub(crate) fn start(
        &mut self,
        token: FencingToken,
        idempotency_key: Digest,
        is_pure: bool,
    ) -> Result<(), String> {
        if self.by_token.contains_key(&token) {
            return Err(format!("{token} is started twice"));
        }
        let same = self.alive.iter().map(|index| &self.attempts[*index]);
        let mut same =
            same.filter(|other| !other.is_orphan && other.idempotency_key == idempotency_key);
        if let Some(other) = same.next() {
            return Err(format!(
                "{token} is started while {} is at work on the same",
                other.token
            ));
        }
        let index = self.attempts.len();
        self.by_token.insert(token, index);
        self.alive.push(index);
        self.attempts.push(Attempt {
            token,
            idempotency_key,
            is_pure,
            is_alive: true,
            is_orphan: false,
            is_cancelled: false,
            said: None,
        });
        Ok(())
    }

    /// Attempts that are alive and whose engine is, too.
    pub(crate) fn at_work(&self) -> impl Iterator<Item = &Attempt> {
        self.alive
            .iter()
            .map(|index| &self.attempts[*index])
            .filter(|one| !one.is_orphan)
    }

    /// One that is alive, by chance; one that was told to end is more likely.
    pub(crate) fn any_alive(&self, random: &mut Random) -> Option<usize> {
        let cancelled = self
            .alive
            .iter()
            .find(|index| self.attempts[**index].is_cancelled);
        match cancelled {
            Some(index) if random.one_in(2) => Some(*index),
            _ => self.alive.get(random.below(self.alive.len())).copied(),
        }
    }

    pub(crate) fn has_alive(&self) -> bool {
        !self.alive.is_empty()
    }

    pub(crate) fn cancel(&mut self, token: FencingToken) {
        if let Some(index) = self.by_token.get(&token) {
            self.attempts[*index].is_cancelled = true;
        }
    }

    pub(crate) fn cancel_all(&mut self) {
        for index in &self.alive {
            self.attempts[*index].is_cancelled = true;
        }
    }

    /// An attempt ends as chance will have it: what its pool hears. Now and then what it says is lost on the way.
    pub(crate) fn end(&mut self, index: usize, is_calm: bool, random: &mut Random) {
        self.alive.retain(|alive| *alive != index);
        let serial = self.attempts.len() * 1_000 + index;
        let attempt = &mut self.attempts[index];
        attempt.is_alive = false;
        let token = attempt.token;
        let usage = Usage {
            input_tokens: 1,
            output_tokens: random.below(50) as u64,
        };
        let chance = if is_calm { 10 } else { random.below(16) };
        let end = match chance {
            _ if attempt.is_cancelled && !random.one_in(4) => End::Cancelled(usage),
            0..=2 => End::Failed(failure(random), usage),
            3 => End::Lost("it panicked".to_owned()),
            // Nobody had asked it to.
            4 if random.one_in(8) => End::Cancelled(usage),
            _ => {
                let number = random.below(3);
                let value = match (attempt.is_pure, random.below(12)) {
                    (true, _) => format!("{number}"),
                    (false, 0) => format!("[{number},{serial},\"{}\"]", "long ".repeat(500)),
                    (false, _) => format!("[{number},{serial}]"),
                };
                let value = text::pack(value.into());
                attempt.said = Some(value.clone());
                if !is_calm && random.one_in(16) {
                    End::Lost("what it said was lost".to_owned())
                } else {
                    End::Completed(value, usage)
                }
            }
        };
        let kept = if random.one_in(6) {
            vec![kept(token, random)]
        } else {
            Vec::new()
        };
        if !is_calm && random.one_in(10) {
            self.mail
                .push_back(Mail::Ended(token, end.clone(), kept.clone()));
        }
        self.mail.push_back(Mail::Ended(token, end, kept));
    }

    /// The pool dies, and its agents with it. What they had sent is heard before.
    pub(crate) fn lose_pool(&mut self) {
        self.pool = Pool::Dead;
        self.alive.retain(|index| {
            let attempt = &mut self.attempts[*index];
            attempt.is_alive = attempt.is_orphan;
            attempt.is_orphan
        });
        self.mail.push_back(Mail::PoolGone);
    }

    /// The engine or the run's supervisor is gone: some agents outlive it for a while, and what is on its way arrives later, if
    /// at all.
    pub(crate) fn orphan_all(&mut self, random: &mut Random) {
        self.pool = Pool::Alive;
        self.mail
            .retain(|mail| matches!(mail, Mail::Ended(..)) && !random.one_in(3));
        self.alive.retain(|index| {
            let attempt = &mut self.attempts[*index];
            attempt.is_orphan = true;
            attempt.is_alive = !random.one_in(2);
            attempt.is_alive
        });
    }

    /// Whatever is left of earlier engines is gone.
    pub(crate) fn bury_orphans(&mut self) {
        self.alive.retain(|index| {
            let attempt = &mut self.attempts[*index];
            attempt.is_alive = !attempt.is_orphan;
            attempt.is_alive
        });
    }
}

fn failure(random: &mut Random) -> Failure {
    let kinds = [
        FailureKind::RateLimit,
        FailureKind::Transport,
        FailureKind::Transport,
        FailureKind::Crash,
        FailureKind::Timeout,
        FailureKind::Schema,
    ];
    let kind = kinds[random.below(kinds.len())];
    Failure {
        kind,
        message: format!("as {} goes", kind.name()),
        evidence: None,
        retry_after: random.one_in(3).then_some(700),
    }
}

fn kept(token: FencingToken, random: &mut Random) -> Kept {
    let diff = if random.one_in(2) {
        "+ a line".to_owned()
    } else {
        "+ a line\n".repeat(400)
    };
    let diff = text::pack(diff.into());
    Kept {
        record: ChangesKept {
            call: token.call,
            attempt: token.attempt,
            branch: (!random.one_in(3)).then(|| format!("b/{token}")),
            base: "b".to_owned(),
            commit: Some("c".to_owned()),
            files: Vec::new(),
            file_count: 1,
            diff: diff.stored.clone(),
        },
        diff,
    }
}
