//! Which limit has ended the VM (B07): set once, read by the interrupt handler at every poll.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use bellwether_journal::record::ScriptError;

use crate::cpu;
use crate::limits::Limits;

/// A turn that has computed for longer lets the turns of other scripts go first: 10 ms, which few turns take.
const GIVE_WAY_AFTER_NANOS: u64 = 10_000_000;

/// A limit that ends the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Limit {
    Cpu = 1,
    Heap = 2,
    Stack = 3,
}

impl Limit {
    /// The error of the limit that was reached, saying its value and how to raise it.
    pub(crate) fn error(self, limits: &Limits) -> ScriptError {
        let (name, code, message) = match self {
            Self::Cpu => (
                "CpuLimitError",
                "LIMIT_CPU",
                format!(
                    "the script computed for more than {:?} of CPU time in one turn without waiting for anything; \
                     look for a loop without end, or raise the limit on CPU time a turn",
                    limits.turn_cpu
                ),
            ),
            Self::Heap => (
                "HeapLimitError",
                "LIMIT_HEAP",
                format!(
                    "the script used more than {} bytes of memory; keep less at once, or raise the limit on the heap",
                    limits.heap_bytes
                ),
            ),
            Self::Stack => (
                "StackLimitError",
                "LIMIT_STACK",
                format!(
                    "the script's functions called each other deeper than {} bytes of stack hold; look for a \
                     recursion without end, or raise the limit on the stack",
                    limits.stack_bytes
                ),
            ),
        };
        ScriptError {
            name: name.to_owned(),
            code: Some(code.to_owned()),
            message,
            line: 0,
            column: 0,
            stack: String::new(),
        }
    }
}

/// Shared by the interrupt handler, the host functions and the VM.
#[derive(Debug, Default)]
pub(crate) struct Trip {
    reached: AtomicU8,
    /// CPU time that a turn may take, in nanoseconds.
    most: AtomicU64,
    /// CPU time of the thread at which the turn is over, in nanoseconds; 0 until somebody looks.
    deadline: AtomicU64,
    /// A promise was rejected in this turn that nobody handled then.
    rejected: AtomicBool,
    /// The script has returned or thrown: nothing of it runs any more.
    ended: AtomicBool,
    /// Set by the host when it wants nothing more of this VM.
    abandoned: Arc<AtomicBool>,
}

impl Trip {
    pub(crate) fn new(abandoned: Arc<AtomicBool>) -> Self {
        Self {
            abandoned,
            ..Self::default()
        }
    }

    /// A turn begins on the calling thread. Its time counts from the first look at the clock, which is some ten thousand
    /// steps of the interpreter away: most turns end before, and never ask the kernel.
    pub(crate) fn begin_turn(&self, most: Duration) {
        let most = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        self.most.store(most, Ordering::Relaxed);
        self.deadline.store(0, Ordering::Relaxed);
    }

    /// A promise was rejected, and nobody handles that yet.
    pub(crate) fn reject(&self) {
        self.rejected.store(true, Ordering::Relaxed);
    }

    /// Whether there was such a promise since this was asked last.
    pub(crate) fn take_rejected(&self) -> bool {
        self.rejected.swap(false, Ordering::Relaxed)
    }

    /// The script has returned or thrown.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// Whether nothing more may run: the script has ended, or a limit has ended it.
    pub(crate) fn is_over(&self) -> bool {
        self.ended.load(Ordering::Relaxed) || self.reached().is_some()
    }

    /// The first limit that is reached counts.
    pub(crate) fn reach(&self, limit: Limit) {
        let _ = self
            .reached
            .compare_exchange(0, limit as u8, Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(crate) fn reached(&self) -> Option<Limit> {
        match self.reached.load(Ordering::Relaxed) {
            1 => Some(Limit::Cpu),
            2 => Some(Limit::Heap),
            3 => Some(Limit::Stack),
            _ => None,
        }
    }

    /// Whether the VM must end now; looks at the clock.
    pub(crate) fn must_end(&self) -> bool {
        if self.reached().is_some() {
            return true;
        }
        if self.abandoned.load(Ordering::Relaxed) {
            // Nobody will read how it ended, only that it did.
            self.reach(Limit::Cpu);
            return true;
        }
        let now = u64::try_from(cpu::thread_time().as_nanos()).unwrap_or(u64::MAX);
        let deadline = self.deadline.load(Ordering::Relaxed);
        if deadline == 0 {
            let deadline = now.saturating_add(self.most.load(Ordering::Relaxed));
            self.deadline.store(deadline.max(1), Ordering::Relaxed);
            return false;
        }
        let most = self.most.load(Ordering::Relaxed);
        let used = most.saturating_sub(deadline.saturating_sub(now));
        if used > GIVE_WAY_AFTER_NANOS {
            cpu::give_way();
        }
        let over = now > deadline;
        if over {
            self.reach(Limit::Cpu);
        }
        over
    }
}
