//! A run's life under a seeded scheduler: what can happen next, and which of it does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bellwether_actors::restart::{self, Exit, Verdict};
use bellwether_actors::run::budget::Allowance;
use bellwether_actors::run::machine::{Caps, Way};
use bellwether_actors::scheduler::{Granted, Scheduler};
use bellwether_journal::id::{CallNumber, Epoch, RunId};
use bellwether_journal::memory::MemoryStore;
use bellwether_journal::record::{Actor, CallKind, Millis, Order, Ordered, RunLimits, Status};
use bellwether_journal::state::RunState;
use bellwether_journal::text::Text;

use crate::begin::Next;
use crate::complaints::Complaints;
use crate::oracle::{Checked, Facts, ensure};
use crate::program::Program;
use crate::random::Random;
use crate::script::Told;
use crate::supervisor::Supervisor;
use crate::world::{Mail, Pool, World};

/// Steps with faults; then they end, and the run must come to its end.
const STEPS_WITH_FAULTS: usize = 400;
/// So many steps without faults end every script there is.
const STEPS_TO_THE_END: usize = 20_000;
/// So many of the last events are told of a life that went wrong.
const TRACED: usize = 150;
/// A life has so many generations at most.
pub(crate) const GENERATIONS_MAX: u32 = 6;

/// What was seen, over many lives.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) steps: usize,
    pub(crate) started: usize,
    /// How often each kind of event, record and end was there.
    pub(crate) seen: BTreeMap<&'static str, usize>,
}

impl Figures {
    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.started += other.started;
        for (what, count) in &other.seen {
            *self.seen.entry(what).or_default() += count;
        }
    }
}

/// What can happen next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Script,
    WorkOff,
    Write,
    Acknowledge,
    Granted,
    AgentEnds,
    AgentNotes,
    Mail,
    Timer,
    Deadline,
    Retry,
    Reading,
    Rebuild,
    PoolBack,
    Clock,
    Elsewhere,
    Order,
    Answer,
    Pause,
    PauseNow,
    Resume,
    Stop,
    Kill,
    VmTaken,
    VmLost,
    PoolLost,
    Crash,
    SupervisorCrash,
    DiskFull,
    Rewind,
    Probe,
}

impl Event {
    const fn name(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::WorkOff => "work off",
            Self::Write => "write",
            Self::Acknowledge => "acknowledge",
            Self::Granted => "granted",
            Self::AgentEnds => "agent ends",
            Self::AgentNotes => "agent notes",
            Self::Mail => "mail",
            Self::Timer => "timer",
            Self::Deadline => "deadline",
            Self::Retry => "retry",
            Self::Reading => "reading",
            Self::Rebuild => "rebuild",
            Self::PoolBack => "pool back",
            Self::Clock => "clock",
            Self::Elsewhere => "elsewhere",
            Self::Order => "order",
            Self::Answer => "answer",
            Self::Pause => "pause",
            Self::PauseNow => "pause now",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Kill => "kill",
            Self::VmTaken => "vm taken",
            Self::VmLost => "vm lost",
            Self::PoolLost => "pool lost",
            Self::Crash => "crash",
            Self::SupervisorCrash => "supervisor crash",
            Self::DiskFull => "disk full",
            Self::Rewind => "rewind live",
            Self::Probe => "probe",
        }
    }
}

/// A run's life.
pub(crate) struct Life {
    pub(crate) random: Random,
    pub(crate) store: MemoryStore,
    pub(crate) run: RunId,
    pub(crate) epoch: Epoch,
    pub(crate) now: Millis,
    pub(crate) scheduler: Scheduler,
    pub(crate) granted: Arc<Granted>,
    /// Permits on their way to the run.
    coming: Arc<AtomicUsize>,
    /// Permits that other runs have.
    pub(crate) others: usize,
    pub(crate) caps: Caps,
    pub(crate) programs: Vec<Arc<Program>>,
    /// Whether the script still has the limit that it began with.
    pub(crate) is_limited: bool,
    /// Whether a generation may merge again what was merged, by its number.
    pub(crate) repeats_merges: BTreeMap<u32, bool>,
    pub(crate) supervisor: Option<Supervisor>,
    pub(crate) world: World,
    /// What the records say that are durable, and those that are decided.
    pub(crate) durable: Facts,
    pub(crate) decided: Facts,
    pub(crate) durable_state: RunState,
    /// What the newest VM was told, and in which generation.
    pub(crate) told: Told,
    pub(crate) told_in: u32,
    pub(crate) is_calm: bool,
    /// What the product reports as its own error.
    complaints: Complaints,
    /// How likely faults are in this life, each by itself.
    faults: [usize; 6],
    pub(crate) figures: Figures,
    /// Of all that was decided: two lives of one seed have the same.
    pub(crate) hash: u64,
    /// The last events, for whoever looks into a failure.
    trace: Vec<String>,
    is_traced: bool,
}

impl Life {
    pub(crate) fn new(seed: u64, complaints: Complaints, is_traced: bool) -> Self {
        let mut random = Random::new(seed);
        let run = RunId::from_entropy([7; 5]);
        let coming = Arc::new(AtomicUsize::new(0));
        let granted = Arc::clone(&coming);
        let granted: Granted = Box::new(move || {
            granted.fetch_add(1, Ordering::Relaxed);
        });
        let slots = (!random.one_in(4)).then(|| 1 + random.below(4));
        let caps = Caps {
            concurrency: (!random.one_in(3)).then(|| 1 + random.below(4)),
            agents: if random.one_in(6) { 5 } else { 1_000 },
            budget: Allowance::default(),
        };
        let faults = std::array::from_fn(|_| random.below(4));
        Self {
            programs: vec![Arc::new(Program::random(&mut random))],
            random,
            store: MemoryStore::new(),
            run,
            epoch: Epoch(0),
            now: 1_000_000,
            scheduler: Scheduler::new(slots),
            granted: Arc::new(granted),
            coming,
            others: 0,
            caps,
            is_limited: true,
            repeats_merges: BTreeMap::new(),
            supervisor: None,
            world: World::new(),
            durable: Facts::new(run),
            decided: Facts::new(run),
            durable_state: RunState::new(run),
            told: Told::default(),
            told_in: 0,
            is_calm: false,
            complaints,
            faults,
            figures: Figures::default(),
            hash: 0,
            trace: Vec::new(),
            is_traced,
        }
    }

    /// Permits on their way to the run.
    pub(crate) fn grants(&self) -> usize {
        self.coming.load(Ordering::Relaxed)
    }

    /// Lives it to its end. The error says what did not hold, and what came before.
    pub(crate) fn live(&mut self) -> Checked {
        let lived = self.live_on();
        lived.map_err(|error| {
            let last = self.trace.len().saturating_sub(TRACED);
            format!(
                "{error}\n  after step {}, the last of which were:\n    {}",
                self.figures.steps,
                self.trace[last..].join("\n    ")
            )
        })
    }

    fn live_on(&mut self) -> Checked {
        self.new_engine()?;
        for _ in 0..STEPS_WITH_FAULTS {
            if self.step()? == Next::Done {
                return Ok(());
            }
        }
        self.is_calm = true;
        self.world.bury_orphans();
        for _ in 0..self.others {
            self.scheduler.give_back();
        }
        self.others = 0;
        for _ in 0..STEPS_TO_THE_END {
            if self.step()? == Next::Done {
                return Ok(());
            }
        }
        Err("the run does not end".to_owned())
    }

    fn step(&mut self) -> Result<Next, String> {
        self.figures.steps += 1;
        let is_over = self
            .supervisor
            .as_ref()
            .is_none_or(|supervisor| supervisor.is_finished);
        if is_over {
            return self.goes_on();
        }
        self.now += self.random.below(20) as Millis;
        let event = self
            .draw()
            .ok_or("the run stands still: nothing is under way, and it has not ended")?;
        self.figures.saw(event.name());
        let (now, status, next) = (self.now, self.decided.status, self.decided.next);
        self.notes_down(|| {
            format!(
                "{} at {now}, {}, record {next}",
                event.name(),
                status.name()
            )
        });
        self.happens(event)?;
        if let Some(complaint) = self.complaints.first() {
            return Err(format!("the machine complains: {complaint}"));
        }
        self.check()?;
        Ok(Next::Step)
    }

    /// For whoever looks into a failure.
    pub(crate) fn notes_down(&mut self, what: impl FnOnce() -> String) {
        if self.is_traced {
            self.trace.push(what());
        }
    }

    /// One of the events that can happen, the likelier ones more often.
    fn draw(&mut self) -> Option<Event> {
        let supervisor = self.supervisor.as_ref()?;
        let is_waiting = |is: bool, weight: usize| if is { weight } else { 0 };
        let script = supervisor.script.as_ref();
        let has_turns =
            script.is_some_and(|script| script.first.is_some() || !script.inbox.is_empty());
        let asks = self
            .durable_state
            .unsettled()
            .any(|(_, call)| call.kind == CallKind::Ask);
        let is_paused = matches!(self.decided.status, Status::Pausing | Status::Paused);
        let is_settled = self.world.pool == Pool::Alive;
        let mut events = vec![
            (Event::Script, is_waiting(has_turns, 10)),
            (
                Event::WorkOff,
                is_waiting(supervisor.machine.has_backlog(), 10),
            ),
            (Event::Write, is_waiting(!supervisor.writing.is_empty(), 12)),
            (
                Event::Acknowledge,
                is_waiting(!supervisor.acknowledgements.is_empty(), 12),
            ),
            (Event::Granted, is_waiting(self.grants() > 0, 8)),
            (Event::AgentEnds, is_waiting(self.world.has_alive(), 8)),
            (Event::Mail, is_waiting(!self.world.mail.is_empty(), 10)),
            (Event::Timer, is_waiting(!supervisor.timers.is_empty(), 2)),
            (
                Event::Deadline,
                is_waiting(!supervisor.deadlines.is_empty(), 1),
            ),
            (Event::Retry, is_waiting(!supervisor.retries.is_empty(), 4)),
            (
                Event::Reading,
                is_waiting(!supervisor.readings.is_empty(), 10),
            ),
            (Event::Rebuild, is_waiting(supervisor.rebuild.is_some(), 5)),
            (
                Event::PoolBack,
                is_waiting(self.world.pool == Pool::Missed, 5),
            ),
            (Event::Answer, is_waiting(asks, 2)),
            (Event::Resume, is_waiting(is_paused, 3)),
        ];
        if !self.is_calm {
            let [crashes, vms, pools, verbs, orders, rewinds] = self.faults;
            let may_rewind = self.decided.generation.0 < GENERATIONS_MAX
                && self.world.pool != Pool::Missed
                && supervisor.rests();
            events.extend([
                (
                    Event::AgentNotes,
                    is_waiting(self.world.at_work().next().is_some(), 1),
                ),
                (Event::Clock, 1),
                (Event::Elsewhere, 1),
                (Event::Order, orders),
                (Event::Probe, 2),
                (Event::Rewind, is_waiting(may_rewind, 4 * rewinds)),
            ]);
            // Rarer than what the smallest weight makes possible.
            if self.random.one_in(8) {
                let is_well = !supervisor.has_failed_journal;
                events.extend([
                    (Event::Pause, verbs),
                    (Event::PauseNow, verbs),
                    (Event::Stop, verbs),
                    (Event::Kill, verbs),
                    (Event::VmTaken, is_waiting(script.is_some(), 2 * vms)),
                    (Event::VmLost, is_waiting(script.is_some(), vms)),
                    (Event::PoolLost, is_waiting(is_settled, pools)),
                    (Event::Crash, 2 * crashes),
                    (Event::SupervisorCrash, is_waiting(is_well, crashes)),
                    (Event::DiskFull, is_waiting(is_well, crashes)),
                ]);
            }
        }
        let all: usize = events.iter().map(|(_, weight)| weight).sum();
        if all == 0 {
            return None;
        }
        let mut at = self.random.below(all);
        for (event, weight) in events {
            if at < weight {
                return Some(event);
            }
            at -= weight;
        }
        None
    }

    fn happens(&mut self, event: Event) -> Checked {
        let by = || Actor::Caller("somebody".to_owned());
        match event {
            Event::Script => self.run_script(),
            Event::WorkOff => {
                self.decide(|machine, now, permits, out| machine.work_off(now, permits, out))
            }
            Event::Write => self.write(),
            Event::Acknowledge => {
                if let Some(supervisor) = &mut self.supervisor
                    && let Some(position) = supervisor.acknowledgements.pop_front()
                {
                    supervisor.durable = supervisor.durable.max(position);
                }
                self.perform()
            }
            Event::Granted => {
                self.coming.fetch_sub(1, Ordering::Relaxed);
                self.decide(|machine, now, permits, out| machine.granted(now, permits, out))
            }
            Event::AgentEnds => {
                if let Some(attempt) = self.world.any_alive(&mut self.random) {
                    self.world.end(attempt, self.is_calm, &mut self.random);
                }
                Ok(())
            }
            Event::AgentNotes => {
                let count = self.world.at_work().count();
                let chosen = self.random.below(count);
                let token = self
                    .world
                    .at_work()
                    .nth(chosen)
                    .map(|attempt| attempt.token);
                if let Some(token) = token {
                    self.world
                        .mail
                        .push_back(Mail::Noted(token, "\"about to\"".into()));
                }
                Ok(())
            }
            Event::Mail => match self.world.mail.pop_front() {
                Some(mail) => {
                    self.notes_down(|| format!("  {mail:?}").chars().take(160).collect());
                    self.hear(mail)
                }
                None => Ok(()),
            },
            Event::Timer | Event::Deadline | Event::Retry => self.time_comes(event),
            Event::Reading => {
                let Some(supervisor) = &mut self.supervisor else {
                    return Ok(());
                };
                let chosen = self.random.below(supervisor.readings.len());
                let reading = supervisor.readings.remove(chosen);
                self.notes_down(|| format!("  {reading:?}").chars().take(160).collect());
                self.read(reading)
            }
            Event::Rebuild => self.rebuild(),
            Event::PoolBack => self.pool_is_back(),
            Event::Clock => {
                let step = self.random.below(3_000) as Millis;
                let is_set_back = self.random.one_in(5);
                self.now = if is_set_back {
                    self.now.saturating_sub(step)
                } else {
                    self.now + step
                };
                Ok(())
            }
            Event::Elsewhere => {
                self.elsewhere();
                Ok(())
            }
            Event::Order => self.order(),
            Event::Answer => self.answer(),
            Event::Pause => self.decide(|machine, now, _, out| machine.pause(by(), None, now, out)),
            Event::PauseNow => {
                self.decide(|machine, now, _, out| machine.pause_now(by(), None, now, out))
            }
            Event::Resume => {
                self.decide(|machine, now, permits, out| machine.resume(by(), now, permits, out))
            }
            Event::Stop => self.stop(Status::Stopped),
            Event::Kill => self.stop(Status::Killed),
            Event::VmTaken => {
                self.lose_vm();
                self.decide(|machine, _, _, out| machine.vm_taken(out))
            }
            Event::VmLost => {
                self.lose_vm();
                let Some(supervisor) = &mut self.supervisor else {
                    return Ok(());
                };
                let verdict = supervisor.vm_history.ended(
                    &restart::ORCHESTRATOR,
                    Exit::Abnormal,
                    self.now,
                    0,
                );
                let spent = verdict == Verdict::Escalate;
                self.decide(|machine, now, permits, out| {
                    machine.orchestrator_lost("it broke", spent, now, permits, out);
                })
            }
            Event::PoolLost => {
                self.world.lose_pool();
                Ok(())
            }
            Event::Crash => {
                self.crash();
                self.new_engine()
            }
            Event::SupervisorCrash => self.supervisor_crashes(),
            Event::DiskFull => self.journal_fails(),
            Event::Rewind => self.rewind_live(),
            Event::Probe => self.probe(),
        }
    }

    /// A timer, a deadline or a back-off is over: any of them, and perhaps late; without faults the first.
    fn time_comes(&mut self, event: Event) -> Checked {
        let Some(supervisor) = &mut self.supervisor else {
            return Ok(());
        };
        let (is_calm, random) = (self.is_calm, &mut self.random);
        let mut choose = |times: Vec<Millis>| {
            let first = (0..times.len())
                .min_by_key(|index| times[*index])
                .unwrap_or_default();
            let chosen = if is_calm {
                first
            } else {
                random.below(times.len())
            };
            (chosen, times[chosen])
        };
        match event {
            Event::Timer => {
                let (chosen, at) = choose(supervisor.timers.values().copied().collect());
                let timer = supervisor
                    .timers
                    .keys()
                    .nth(chosen)
                    .copied()
                    .unwrap_or_default();
                supervisor.timers.remove(&timer);
                self.now = self.now.max(at);
                self.decide(|machine, now, _, out| machine.timer_due(timer, now, out))
            }
            Event::Deadline => {
                let (chosen, at) = choose(supervisor.deadlines.values().copied().collect());
                let call = supervisor
                    .deadlines
                    .keys()
                    .nth(chosen)
                    .copied()
                    .unwrap_or_default();
                supervisor.deadlines.remove(&call);
                // It is counted from another clock than the time of day.
                if is_calm || !self.random.one_in(4) {
                    self.now = self.now.max(at);
                }
                self.decide(|machine, now, _, out| machine.deadline_due(call, now, out))
            }
            _ => {
                let (chosen, _) = choose(supervisor.retries.iter().map(|(at, _)| *at).collect());
                let (at, call) = supervisor.retries.remove(chosen);
                self.now = self.now.max(at);
                self.decide(|machine, now, permits, out| machine.retry_due(call, now, permits, out))
            }
        }
    }

    /// Other runs take permits and give them back.
    fn elsewhere(&mut self) {
        if self.random.one_in(2) && self.others > 0 {
            self.others -= 1;
            self.scheduler.give_back();
            return;
        }
        let other: Granted = Box::new(|| ());
        let (run, other) = (RunId::from_entropy([8; 5]), Arc::new(other));
        if self.scheduler.take(run, &other) {
            self.others += 1;
        } else {
            self.scheduler.forget(run);
        }
    }

    fn ordered(&mut self, order: Order) -> Checked {
        self.notes_down(|| format!("  {order:?}"));
        let ordered = Ordered {
            order,
            by: Actor::Caller("somebody".to_owned()),
            reason: None,
        };
        // What cannot be done is refused, and nothing has changed.
        self.decide(|machine, now, permits, out| _ = machine.order(&ordered, now, permits, out))
    }

    fn order(&mut self) -> Checked {
        let call = CallNumber(self.random.below(self.decided.calls.len() + 1) as u32);
        let order = match self.random.below(7) {
            0 | 1 => Order::StopAgent(call),
            2 | 3 => Order::SkipAgent(call),
            4 | 5 => Order::RestartAgent(call),
            _ => Order::SetLimits(RunLimits {
                concurrency: self.random.one_in(2).then(|| self.random.below(5) as u32),
                agents: self
                    .random
                    .one_in(3)
                    .then(|| 3 + self.random.below(60) as u64),
            }),
        };
        self.ordered(order)
    }

    fn answer(&mut self) -> Checked {
        let asked = self
            .durable_state
            .unsettled()
            .filter(|(_, call)| call.kind == CallKind::Ask);
        let asked: Vec<CallNumber> = asked.map(|(number, _)| number).collect();
        let Some(call) = asked.get(self.random.below(asked.len())).copied() else {
            return Ok(());
        };
        let answer = format!("\"{}\"", self.random.below(3));
        self.ordered(Order::Answer(call, Text::Inline(answer.into())))
    }

    fn stop(&mut self, to: Status) -> Checked {
        let by = Actor::Caller("somebody".to_owned());
        self.decide(|machine, now, permits, out| machine.stop(to, by, None, now, permits, out))
    }

    fn lose_vm(&mut self) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.lose_script();
        }
    }

    /// The engine is gone, with all that is not durable.
    fn crash(&mut self) {
        self.drop_supervisor();
        self.world.orphan_all(&mut self.random);
        self.decided = self.durable.clone();
    }

    /// The run's supervisor is gone; what it had sent to the writer is not. It is taken up in the same engine.
    pub(crate) fn supervisor_crashes(&mut self) -> Checked {
        if let Some(supervisor) = &mut self.supervisor {
            for submission in std::mem::take(&mut supervisor.writing) {
                self.make_durable(submission)?;
            }
        }
        self.crash();
        if self.durable_state.generation.is_none() || !self.durable_state.is_resumable() {
            return Ok(());
        }
        if self.random.one_in(12) {
            self.figures.saw("condemned");
            return self.condemn();
        }
        let way = match self.durable_state.status {
            Status::Pausing | Status::Paused => Way::Paused,
            Status::Stopping => Way::Stopped,
            _ => Way::Running,
        };
        self.recover(way)
    }

    /// Gives back what the supervisor has, as its end does.
    pub(crate) fn drop_supervisor(&mut self) {
        self.scheduler.forget(self.run);
        let running = self
            .supervisor
            .take()
            .map_or(0, |supervisor| supervisor.machine.running());
        for _ in 0..running + self.coming.swap(0, Ordering::Relaxed) {
            self.scheduler.give_back();
        }
    }

    /// A run that has come to its end here has nothing left over.
    pub(crate) fn check_end(&mut self) -> Checked {
        let Some(supervisor) = &self.supervisor else {
            return Ok(());
        };
        let running = supervisor.machine.running();
        ensure(running == 0, || {
            format!("the run has ended, and {running} run")
        })?;
        let at_work = self.world.at_work().count();
        ensure(at_work == 0, || {
            format!("the run has ended, and {at_work} are at work")
        })?;
        if !supervisor.has_failed_journal {
            let state = supervisor.machine.state();
            ensure(*state == self.durable_state, || {
                "the run has ended, and its records say something else".to_owned()
            })?;
        }
        self.figures.saw(self.durable.status.name());
        Ok(())
    }
}
