//! What the host functions share with the VM: the commands of the turn, what waits for a settlement, contexts.

use std::collections::HashMap;
use std::sync::Arc;

use bellwether_journal::id::{CallNumber, TimerNumber};
use bellwether_journal::key::{Context, Digest, mix};
use bellwether_journal::record::{CallKind, Level, Millis, ScriptError};

use crate::command::{Call, Command, Settlement, Target};
use crate::context::{Contexts, LANE_BYTES};
use crate::rewrite::Program;
use crate::script::Script;
use crate::trip::{Limit, Trip};

/// Beyond the texts it holds, a command takes about this much of the host's memory.
const COMMAND_BYTES: usize = 256;

/// How the script has ended.
#[derive(Debug)]
pub(crate) enum End {
    Returned(Arc<str>),
    Threw(Box<ScriptError>),
}

/// In what form the script gets the end of what it waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The value alone, `null` where there is none (A02).
    Value,
    /// A record of how it went, which failures are part of (X02).
    Attempt,
    /// The engine's report; an error where there is none (X06).
    Landing,
}

/// What waits for a settlement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    /// Where its promise waits (waiting.rs).
    pub(crate) slot: u32,
    /// What the promise is to come to.
    pub(crate) form: Form,
    /// Whether the code that asked is not followed exactly.
    pub(crate) rolling: bool,
    /// For a timer, the context in which it was armed.
    armed_in: Option<Context>,
}

/// A call that the script issues.
pub(crate) struct Issue {
    pub(crate) kind: CallKind,
    pub(crate) form: Form,
    pub(crate) prompt: String,
    pub(crate) options: Option<String>,
    pub(crate) label: Option<String>,
    pub(crate) phase: Option<String>,
    pub(crate) line: u32,
    pub(crate) rolling: bool,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) commands: Vec<Command>,
    end: Option<End>,
    pub(crate) contexts: Contexts,
    pub(crate) now: Millis,
    pub(crate) spent: u64,
    /// The scripts that run here, the main one first; a script's module is named after its place.
    pub(crate) scripts: Vec<Script>,
    calls: HashMap<CallNumber, Pending>,
    timers: HashMap<TimerNumber, Pending>,
    /// Slots that were used and are free, and how many there are in all.
    free_slots: Vec<u32>,
    slots: u32,
    next_call: CallNumber,
    next_timer: TimerNumber,
    seed: [u8; 32],
    draws: HashMap<Context, u64>,
    /// Bytes of the host's memory that this turn's commands hold, and open barriers and draws beyond it.
    turn_bytes: usize,
    kept_bytes: usize,
    heap_bytes: usize,
    trip: Arc<Trip>,
    phases: HashMap<String, Arc<str>>,
    empty_options: Arc<str>,
}

impl State {
    pub(crate) fn new(
        script: Script,
        seed: [u8; 32],
        now: Millis,
        heap_bytes: usize,
        trip: Arc<Trip>,
    ) -> Self {
        Self {
            commands: Vec::new(),
            end: None,
            contexts: Contexts::new(),
            now,
            spent: 0,
            scripts: vec![script],
            calls: HashMap::new(),
            timers: HashMap::new(),
            free_slots: Vec::new(),
            slots: 0,
            next_call: CallNumber::default(),
            next_timer: TimerNumber::default(),
            seed,
            draws: HashMap::new(),
            turn_bytes: 0,
            kept_bytes: 0,
            heap_bytes,
            trip,
            phases: HashMap::new(),
            empty_options: Arc::from("{}"),
        }
    }

    /// A turn begins with `settlement`; what waits for it, if anything does.
    pub(crate) fn begin_turn(&mut self, settlement: &Settlement) -> Option<Pending> {
        self.now = self.now.max(settlement.time);
        self.spent = settlement.spent;
        self.turn_bytes = 0;
        let pending = match settlement.target {
            Target::Call(number) => self.calls.remove(&number),
            Target::Timer(number) => self.timers.remove(&number),
        };
        self.free_slots.extend(pending.map(|pending| pending.slot));
        let version = pending
            .and_then(|pending| pending.armed_in)
            .map_or(settlement.version, |armed_in| {
                mix(armed_in, settlement.version)
            });
        self.contexts
            .begin_turn(version, pending.is_none_or(|pending| pending.rolling));
        pending
    }

    /// The script has returned or thrown; the last end counts.
    pub(crate) fn ended(&mut self, end: End) {
        self.end = Some(end);
        self.trip.end();
    }

    pub(crate) fn take_end(&mut self) -> Option<End> {
        self.end.take()
    }

    pub(crate) fn waits_for(&self, target: Target) -> bool {
        match target {
            Target::Call(number) => self.calls.contains_key(&number),
            Target::Timer(number) => self.timers.contains_key(&number),
        }
    }

    pub(crate) fn waits(&self) -> bool {
        !self.calls.is_empty() || !self.timers.is_empty()
    }

    /// Counts what the host keeps for the script against its heap limit.
    fn charge(&mut self, bytes: usize) -> bool {
        self.turn_bytes = self.turn_bytes.saturating_add(bytes);
        self.within_limit()
    }

    fn within_limit(&self) -> bool {
        if self.turn_bytes.saturating_add(self.kept_bytes) > self.heap_bytes {
            self.trip.reach(Limit::Heap);
            return false;
        }
        true
    }

    /// A place for a promise.
    fn slot(&mut self) -> u32 {
        self.free_slots.pop().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    /// The slot in which the call's promise is to wait; `None` at the limit.
    pub(crate) fn issue(&mut self, issue: Issue) -> Option<u32> {
        let bytes = issue.prompt.len() + issue.options.as_ref().map_or(0, String::len);
        if !self.charge(COMMAND_BYTES + bytes + issue.label.as_ref().map_or(0, String::len)) {
            return None;
        }
        let number = self.next_call;
        self.next_call = number.next();
        let phase = issue.phase.map(|phase| self.shared(phase));
        let call = Call {
            number,
            kind: issue.kind,
            prompt: issue.prompt.into(),
            options: issue
                .options
                .map_or_else(|| Arc::clone(&self.empty_options), Arc::from),
            label: issue.label.map(Arc::from),
            phase,
            context: self.contexts.of(issue.rolling),
            line: issue.line,
        };
        self.commands.push(Command::Call(Box::new(call)));
        let slot = self.slot();
        let pending = Pending {
            slot,
            form: issue.form,
            rolling: issue.rolling,
            armed_in: None,
        };
        self.calls.insert(number, pending);
        Some(slot)
    }

    /// One text for the many calls of a phase.
    fn shared(&mut self, title: String) -> Arc<str> {
        const SHARED_MAX: usize = 1024;
        if let Some(known) = self.phases.get(&title) {
            return Arc::clone(known);
        }
        let text: Arc<str> = Arc::from(title.as_str());
        if self.phases.len() < SHARED_MAX {
            self.phases.insert(title, Arc::clone(&text));
        }
        text
    }

    pub(crate) fn log(&mut self, level: Level, text: String) -> bool {
        let accepted = self.charge(COMMAND_BYTES + text.len());
        if accepted {
            self.commands.push(Command::Log { level, text });
        }
        accepted
    }

    pub(crate) fn phase(&mut self, title: String) -> bool {
        let accepted = self.charge(COMMAND_BYTES + title.len());
        if accepted {
            let title = self.shared(title);
            self.commands.push(Command::Phase { title });
        }
        accepted
    }

    /// The timer's number, and the slot in which its function is to wait; `None` at the limit.
    pub(crate) fn arm(&mut self, milliseconds: u64, rolling: bool) -> Option<(TimerNumber, u32)> {
        let timer = self.next_timer;
        if !self.charge(COMMAND_BYTES) {
            return None;
        }
        self.next_timer = timer.next();
        let context = self.contexts.of(rolling);
        let slot = self.slot();
        self.timers.insert(
            timer,
            Pending {
                slot,
                form: Form::Value,
                rolling,
                armed_in: Some(context),
            },
        );
        self.commands.push(Command::Timer {
            timer,
            milliseconds,
            context,
        });
        Some((timer, slot))
    }

    /// The slot that the timer had, if it was armed.
    pub(crate) fn disarm(&mut self, timer: TimerNumber) -> Option<u32> {
        let pending = self.timers.remove(&timer)?;
        self.charge(COMMAND_BYTES);
        self.commands.push(Command::ClearTimer { timer });
        self.free_slots.push(pending.slot);
        Some(pending.slot)
    }

    pub(crate) fn open(&mut self, count: usize) -> u32 {
        self.kept_bytes = self.kept_bytes.saturating_add(count * LANE_BYTES);
        if !self.within_limit() {
            return u32::MAX;
        }
        self.contexts.open(count)
    }

    pub(crate) fn join(&mut self, id: u32) {
        let lanes = self.contexts.join(id);
        self.kept_bytes = self.kept_bytes.saturating_sub(lanes * LANE_BYTES);
    }

    pub(crate) fn won(&mut self, id: u32, index: u32) {
        let lanes = self.contexts.won(id, index);
        self.kept_bytes = self.kept_bytes.saturating_sub(lanes * LANE_BYTES);
    }

    /// The next number in [0, 1) of the context: a draw in one lane does not shift another's.
    pub(crate) fn random(&mut self, rolling: bool) -> f64 {
        const MANTISSA_BITS: u32 = 53;
        let context = self.contexts.of(rolling);
        let draw = self.draws.entry(context).or_insert(0);
        let Digest(digest) = Digest::of("random", &[&self.seed, &context.0, &draw.to_le_bytes()]);
        if *draw == 0 {
            self.kept_bytes = self.kept_bytes.saturating_add(4 * LANE_BYTES);
        }
        *draw += 1;
        self.within_limit();
        let bytes = digest.first_chunk().copied().unwrap_or_default();
        (u64::from_le_bytes(bytes) >> (u64::BITS - MANTISSA_BITS)) as f64
            / (1_u64 << MANTISSA_BITS) as f64
    }

    pub(crate) fn program(&self, index: usize) -> Option<(&Script, &Program)> {
        self.scripts
            .get(index)
            .map(|script| (script, script.program()))
    }
}
