//! A run's supervisor without its runtime: lets the machine decide and does what comes out, behind durable records, as
//! `run/supervisor.rs` and `run/perform.rs` do. What takes its time there waits here until the scheduler draws it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bellwether_actors::pool::{End, Kept};
use bellwether_actors::restart::{self, Exit, History, Verdict};
use bellwether_actors::run::adopt::Hearing;
use bellwether_actors::run::keys::Resolved;
use bellwether_actors::run::machine::{Machine, Permits};
use bellwether_actors::run::output::{Action, Given, Output, Source, Start, Work};
use bellwether_actors::run::questions::Asked;
use bellwether_actors::run::rewind::{self, Place};
use bellwether_actors::scheduler::{Granted, Scheduler};
use bellwether_journal::codec::{self, Entry};
use bellwether_journal::id::{CallNumber, FencingToken, Position, RunId, TimerNumber};
use bellwether_journal::read;
use bellwether_journal::record::{CallKind, Millis, Outcome, Record, Usage};
use bellwether_journal::store::{Batch, Store as _};
use bellwether_journal::text::{self, Packed};
use bellwether_scripts::process::ScriptVm;
use bellwether_scripts::{Settlement, Turn, TurnStatus};

use crate::life::Life;
use crate::oracle::{Checked, Stand, ensure, is_text};
use crate::world::{Mail, Pool};

/// A VM, and what it was given and has not worked on yet.
pub(crate) struct Script {
    pub(crate) vm: Box<dyn ScriptVm>,
    pub(crate) first: Option<Turn>,
    pub(crate) inbox: VecDeque<Settlement>,
}

/// Something that is being read, on a thread of its own.
#[derive(Debug)]
pub(crate) enum Reading {
    Recalls(Vec<(CallNumber, Place)>),
    Load(CallNumber, Source),
    Ask(CallNumber, Source, Option<Given>),
    Fetch(Box<Start>, Position),
}

/// What was decided together: all of it is made durable, or nothing.
pub(crate) struct Submission {
    batch: Batch,
    entries: Vec<Entry>,
    next: Position,
}

/// A supervisor.
pub(crate) struct Supervisor {
    pub(crate) machine: Machine,
    pub(crate) script: Option<Script>,
    output: Output,
    effects: VecDeque<(Position, Action)>,
    pub(crate) writing: VecDeque<Submission>,
    pub(crate) acknowledgements: VecDeque<Position>,
    pub(crate) durable: Position,
    pub(crate) turns_owed: usize,
    answers: Vec<Settlement>,
    pub(crate) readings: Vec<Reading>,
    pub(crate) timers: BTreeMap<TimerNumber, Millis>,
    pub(crate) deadlines: BTreeMap<CallNumber, Millis>,
    pub(crate) retries: Vec<(Millis, CallNumber)>,
    /// The script is to be made anew, up to here.
    pub(crate) rebuild: Option<Position>,
    starts: Vec<(Start, Arc<Resolved>)>,
    notes_held: Vec<(FencingToken, Arc<str>)>,
    pub(crate) pool_history: History,
    pub(crate) vm_history: History,
    pub(crate) has_failed_journal: bool,
    pub(crate) is_finished: bool,
    /// So many answers were compared with what the script was told.
    compared: usize,
}

impl Supervisor {
    pub(crate) fn new(machine: Machine, script: Script) -> Self {
        Self {
            durable: machine.state().next,
            machine,
            turns_owed: usize::from(script.first.is_some()),
            script: Some(script),
            output: Output::default(),
            effects: VecDeque::new(),
            writing: VecDeque::new(),
            acknowledgements: VecDeque::new(),
            answers: Vec::new(),
            readings: Vec::new(),
            timers: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            retries: Vec::new(),
            rebuild: None,
            starts: Vec::new(),
            notes_held: Vec::new(),
            pool_history: History::default(),
            vm_history: History::default(),
            has_failed_journal: false,
            is_finished: false,
            compared: 0,
        }
    }

    /// Whether it stands so that it can be rewound live (`run/changeover.rs`).
    pub(crate) fn rests(&self) -> bool {
        let is_fetching = self
            .readings
            .iter()
            .any(|reading| matches!(reading, Reading::Fetch(..)));
        self.machine.is_at_rest()
            && !is_fetching
            && self.turns_owed == 0
            && self.script.is_some()
            && self.effects.is_empty()
            && self.writing.is_empty()
            && self.durable == self.machine.state().next
            && !self.is_finished
            && !self.has_failed_journal
    }

    /// The script's VM is gone.
    pub(crate) fn lose_script(&mut self) {
        self.script = None;
        self.answers.clear();
        self.turns_owed = 0;
    }

    /// There is a VM again: it gets what came meanwhile.
    pub(crate) fn adopt_script(&mut self, vm: Box<dyn ScriptVm>) {
        self.compared = 0;
        self.script = Some(Script {
            vm,
            first: None,
            inbox: VecDeque::new(),
        });
    }

    /// The next generation begins under the same supervisor: what is being read is not told.
    pub(crate) fn change_over(
        &mut self,
        make: impl FnOnce(&mut Machine) -> Machine,
        script: Script,
    ) {
        self.machine = make(&mut self.machine);
        self.script = Some(script);
        self.turns_owed = 1;
        self.timers.clear();
        self.deadlines.clear();
        self.retries.clear();
        self.answers.clear();
        self.vm_history = History::default();
        self.compared = 0;
    }
}

/// The run's permits.
pub(crate) struct RunPermits<'a> {
    run: RunId,
    scheduler: &'a Scheduler,
    granted: &'a Arc<Granted>,
}

impl Permits for RunPermits<'_> {
    fn take(&mut self) -> bool {
        self.scheduler.take(self.run, self.granted)
    }

    fn give_back(&mut self) {
        self.scheduler.give_back();
    }

    fn forget(&mut self) {
        self.scheduler.forget(self.run);
    }
}

impl Life {
    /// Lets the machine decide, and does all that can be done now.
    pub(crate) fn decide<T>(
        &mut self,
        decide: impl FnOnce(&mut Machine, Millis, &mut dyn Permits, &mut Output) -> T,
    ) -> Result<T, String> {
        let decided = self.decide_only(decide)?;
        self.perform()?;
        Ok(decided)
    }

    fn decide_only<T>(
        &mut self,
        decide: impl FnOnce(&mut Machine, Millis, &mut dyn Permits, &mut Output) -> T,
    ) -> Result<T, String> {
        let supervisor = self
            .supervisor
            .as_mut()
            .ok_or("nobody is there to decide")?;
        let mut permits = RunPermits {
            run: self.run,
            scheduler: &self.scheduler,
            granted: &self.granted,
        };
        let (machine, out, now) = (&mut supervisor.machine, &mut supervisor.output, self.now);
        let decided = decide(machine, now, &mut permits, out);
        machine.disown_rest(now, &mut permits, out);
        machine.tell_waiting(now, out);
        Ok(decided)
    }

    pub(crate) fn perform(&mut self) -> Checked {
        loop {
            self.collect()?;
            self.do_effects()?;
            let Some(supervisor) = &self.supervisor else {
                return Ok(());
            };
            if supervisor.output.entries.is_empty() && supervisor.output.actions.is_empty() {
                break;
            }
        }
        if let Some(supervisor) = &mut self.supervisor
            && supervisor.has_failed_journal
            && supervisor.machine.running() == 0
        {
            supervisor.is_finished = true;
        }
        Ok(())
    }

    /// Sorts what was decided: answers and what is to be read go at once, the rest waits to be durable.
    fn collect(&mut self) -> Checked {
        let Some(supervisor) = &mut self.supervisor else {
            return Ok(());
        };
        let output = std::mem::take(&mut supervisor.output);
        ensure(output.rows.len() == output.entries.len(), || {
            "a record is not sealed".to_owned()
        })?;
        for entry in &output.entries {
            self.notes_down(|| {
                format!("    {} {:?}", entry.position, entry.record)
                    .chars()
                    .take(200)
                    .collect()
            });
            self.hash = self.hash.rotate_left(5)
                ^ u64::from_le_bytes(entry.chain.0[..8].try_into().unwrap_or_default());
            self.decided.apply(entry)?;
            self.figures.saw(entry.record.kind().name());
        }
        for entry in &output.entries {
            self.check_word(entry)?;
            self.check_order(entry)?;
        }
        let Some(supervisor) = &mut self.supervisor else {
            return Ok(());
        };
        if !output.rows.is_empty() && !supervisor.has_failed_journal {
            let run = self.run;
            let (_, summary) = supervisor.machine.summary();
            let payloads = output.payloads.into_iter();
            let batch = Batch {
                records: output
                    .rows
                    .into_iter()
                    .map(|row| (run, row.position, row.bytes))
                    .collect(),
                payloads: payloads
                    .map(|(position, bytes)| (run, position, bytes))
                    .collect(),
                blobs: output.blobs,
                summaries: vec![(run, summary)],
            };
            supervisor.writing.push_back(Submission {
                batch,
                entries: output.entries,
                next: supervisor.machine.state().next,
            });
        }
        let mut recalls = Vec::new();
        for (position, action) in output.actions {
            match action {
                Action::Deliver(settlement) => supervisor.answers.push(settlement),
                Action::Recall(call, place) => recalls.push((call, place)),
                action => supervisor.effects.push_back((position, action)),
            }
        }
        if !recalls.is_empty() {
            supervisor.readings.push(Reading::Recalls(recalls));
        }
        if let Some(script) = &mut supervisor.script {
            supervisor.turns_owed += supervisor.answers.len();
            script.inbox.extend(supervisor.answers.drain(..));
        }
        Ok(())
    }

    /// An answer of this generation's own does not overtake those of the base.
    fn check_order(&self, entry: &Entry) -> Checked {
        let is_own = match &entry.record {
            // A refusal comes in the turn that asks, before what that turn asks for behind it.
            Record::CallSettled(_) => true,
            Record::TimerElapsed(elapsed) => elapsed.from.is_none(),
            _ => false,
        };
        let machine = self
            .supervisor
            .as_ref()
            .map(|supervisor| &supervisor.machine);
        if !is_own || !machine.is_some_and(Machine::wants_script) {
            return Ok(());
        }
        match self.decided.awaits_base() {
            Some(call) => Err(format!(
                "record {} overtakes the base's answer to a-{call}",
                entry.position
            )),
            None => Ok(()),
        }
    }

    /// What a record says of an attempt is what that attempt said, and it has ended.
    fn check_word(&self, entry: &Entry) -> Checked {
        let (number, attempt, value) = match &entry.record {
            Record::CallSettled(settled) => match &settled.outcome {
                Outcome::Completed(value) => (settled.call, settled.attempt, Some(value)),
                _ => (settled.call, settled.attempt, None),
            },
            Record::AttemptFailed(failed) => (failed.call, failed.attempt, None),
            _ => return Ok(()),
        };
        let call = self.decided.call(number)?;
        if !call.kind.has_attempts() || attempt.0 == 0 {
            return Ok(());
        }
        let (generation, name) = call.adopted.unwrap_or((self.decided.generation, number));
        // After an adoption the numbers of attempts go on in the new generation.
        let token = |generation, call| FencingToken {
            epoch: self.epoch,
            run: self.run,
            generation,
            call,
            attempt,
        };
        let own = self.world.attempt(token(self.decided.generation, number));
        let known = own.or_else(|| self.world.attempt(token(generation, name)));
        let says = |what: &str| {
            format!(
                "record {} is of attempt {attempt} of a-{number}, which {what}",
                entry.position
            )
        };
        match (known, value) {
            (Some(known), _) if known.is_alive => Err(says("is still at work")),
            (Some(known), Some(value)) => {
                let same = known
                    .said
                    .as_ref()
                    .is_some_and(|said| is_text(value, &said.text));
                ensure(same, || says("said something else"))
            }
            (None, Some(_)) => Err(says("nobody started in this epoch")),
            (_, None) => Ok(()),
        }
    }

    fn do_effects(&mut self) -> Checked {
        loop {
            let Some(supervisor) = &mut self.supervisor else {
                return Ok(());
            };
            let is_due = supervisor
                .effects
                .front()
                .is_some_and(|(position, _)| *position <= supervisor.durable);
            let Some((position, action)) = is_due.then(|| supervisor.effects.pop_front()).flatten()
            else {
                return Ok(());
            };
            self.act(position, action)?;
        }
    }

    fn act(&mut self, position: Position, action: Action) -> Checked {
        let Some(supervisor) = &mut self.supervisor else {
            return Ok(());
        };
        match action {
            Action::Deliver(_) | Action::Recall(..) => {
                return Err("an answer waited to be durable".to_owned());
            }
            Action::Start(start) => match start.work.clone() {
                Work::AtHand(prompt, resolved) => return self.start(*start, &prompt, resolved),
                Work::InJournal(scheduled) => {
                    supervisor.readings.push(Reading::Fetch(start, scheduled));
                }
            },
            Action::Load(call, source) => supervisor.readings.push(Reading::Load(call, source)),
            Action::Ask(call, source, given) => {
                supervisor.readings.push(Reading::Ask(call, source, given));
            }
            Action::ArmDeadline(call, at) => _ = supervisor.deadlines.insert(call, at),
            Action::DisarmDeadline(call) => _ = supervisor.deadlines.remove(&call),
            Action::RetryAfter(call, after) => supervisor.retries.push((self.now + after, call)),
            Action::Arm(timer, at) => _ = supervisor.timers.insert(timer, at),
            Action::Disarm(timer) => _ = supervisor.timers.remove(&timer),
            Action::Adopted(token) => {
                for (whose, note) in std::mem::take(&mut supervisor.notes_held) {
                    if whose == token {
                        self.note(token, note)?;
                    } else if let Some(supervisor) = &mut self.supervisor {
                        supervisor.notes_held.push((whose, note));
                    }
                }
            }
            Action::Disowned(token) => {
                supervisor.notes_held.retain(|(whose, _)| *whose != token);
                self.world.cancel(token);
            }
            Action::CancelAgent(token) => self.world.cancel(token),
            Action::CancelAgents | Action::KillAgents => self.world.cancel_all(),
            Action::DropScript => {
                supervisor.script = None;
                supervisor.answers.clear();
                supervisor.turns_owed = 0;
            }
            Action::RebuildScript => supervisor.rebuild = Some(position),
            Action::Finish => supervisor.is_finished = true,
        }
        Ok(())
    }

    fn start(&mut self, start: Start, prompt: &Arc<str>, resolved: Arc<Resolved>) -> Checked {
        let token = start.token;
        if !self.is_wanted(token)? {
            return Ok(());
        }
        if resolved.backend.is_err() {
            let lost = End::Lost("there is no such backend".to_owned());
            return self.decide_only(|machine, now, permits, out| {
                machine.ended(token, lost, now, permits, out);
            });
        }
        let scheduled = self.read_prompt(token.call)?;
        ensure(scheduled == *prompt, || {
            format!("{token} is started with another prompt")
        })?;
        let Some(supervisor) = &mut self.supervisor else {
            return Ok(());
        };
        supervisor
            .machine
            .retry(token.call, resolved.options.retries.as_ref());
        match self.world.pool {
            Pool::Alive => self.send_to_pool(&start, &resolved),
            // Its end is on its way.
            Pool::Dead => Ok(()),
            Pool::Missed => {
                supervisor.starts.push((start, resolved));
                Ok(())
            }
        }
    }

    /// Whether an attempt that took its time to begin is still to begin.
    fn is_wanted(&mut self, token: FencingToken) -> Result<bool, String> {
        let Some(supervisor) = &self.supervisor else {
            return Ok(false);
        };
        let machine = &supervisor.machine;
        if !machine.is_current(token) {
            return Ok(false);
        }
        let wanted = machine.wants_script() && !machine.is_to_end(token.call);
        if !wanted {
            let cancelled = End::Cancelled(Usage::default());
            self.decide_only(|machine, now, permits, out| {
                machine.ended(token, cancelled, now, permits, out);
            })?;
        }
        Ok(wanted)
    }

    /// An attempt begins in the world: here the fences must hold.
    fn send_to_pool(&mut self, start: &Start, resolved: &Resolved) -> Checked {
        let token = start.token;
        let says = |what: &str| format!("{token} is started {what}");
        ensure(token.epoch == self.epoch && token.run == self.run, || {
            says("under another's name")
        })?;
        for (facts, which) in [(&self.durable, "durable"), (&self.decided, "decided")] {
            ensure(facts.generation == token.generation, || {
                says(&format!("in another generation than the {which} one"))
            })?;
            let call = facts.call(token.call)?;
            let runs = call.stand == Stand::Running && call.attempts == token.attempt.0;
            ensure(runs, || {
                says(&format!(
                    "while its call is {:?} at {} as {which}",
                    call.stand, call.attempts
                ))
            })?;
        }
        let call = self.decided.call(token.call)?;
        let done = self
            .world
            .completed
            .contains(&(token.generation.0, call.key));
        ensure(!done, || {
            says("though its call was completed in this generation")
        })?;
        if let Some(from) = self.decided.missed(call) {
            return Err(says(&format!("though a-{from} of the base has its answer")));
        }
        let repeats = call.kind == CallKind::Merge
            && !self.repeats_merges()
            && self.decided.has_merged_before();
        ensure(!repeats, || says("though the base has merged"))?;
        let is_pure = resolved.packed.text.contains("pure");
        self.figures.started += 1;
        self.world.start(token, start.idempotency_key, is_pure)
    }

    /// There is a pool again: what had waited for it begins.
    pub(crate) fn pool_is_back(&mut self) -> Checked {
        self.world.pool = Pool::Alive;
        let starts = self
            .supervisor
            .as_mut()
            .map(|supervisor| std::mem::take(&mut supervisor.starts));
        for (start, resolved) in starts.unwrap_or_default() {
            if self.is_wanted(start.token)? {
                self.send_to_pool(&start, &resolved)?;
            }
        }
        self.perform()
    }

    pub(crate) fn note(&mut self, token: FencingToken, note: Arc<str>) -> Checked {
        let Some(supervisor) = &mut self.supervisor else {
            return Ok(());
        };
        match supervisor.machine.hear(token) {
            Hearing::Now(token) => {
                self.decide_only(|machine, now, _, out| machine.noted(token, note, now, out))?;
            }
            Hearing::Later => supervisor.notes_held.push((token, note)),
            Hearing::Never => {}
        }
        Ok(())
    }

    /// What the pool sent arrives.
    pub(crate) fn hear(&mut self, mail: Mail) -> Checked {
        match mail {
            Mail::Ended(token, end, kept) => self.hear_end(token, end, kept),
            Mail::Noted(token, note) => {
                self.note(token, note)?;
                self.perform()
            }
            Mail::PoolGone => {
                self.world.pool = Pool::Missed;
                let Some(supervisor) = &mut self.supervisor else {
                    return Ok(());
                };
                let verdict = supervisor.pool_history.ended(
                    &restart::AGENT_POOL,
                    Exit::Abnormal,
                    self.now,
                    0,
                );
                if verdict == Verdict::Escalate {
                    return self.supervisor_crashes();
                }
                self.decide(|machine, now, permits, out| {
                    machine.pool_lost("it panicked", now, permits, out);
                })
            }
        }
    }

    fn hear_end(&mut self, token: FencingToken, end: End, kept: Vec<Kept>) -> Checked {
        self.decide(|machine, now, permits, out| {
            machine.attempt_ended(token, end, kept, now, permits, out);
        })
    }

    /// The script works on some of what it was told.
    pub(crate) fn run_script(&mut self) -> Checked {
        let Some(supervisor) = &mut self.supervisor else {
            return Ok(());
        };
        let Some(script) = &mut supervisor.script else {
            return Ok(());
        };
        let turns = if let Some(first) = script.first.take() {
            vec![first]
        } else {
            let count = 1 + self.random.below(script.inbox.len());
            let settlements: Vec<Settlement> = script.inbox.drain(..count).collect();
            script
                .vm
                .deliver(&settlements)
                .map_err(|lost| lost.to_string())?
        };
        let is_over = turns
            .last()
            .is_none_or(|turn| turn.status != TurnStatus::Running);
        supervisor.turns_owed = if is_over {
            0
        } else {
            supervisor.turns_owed.saturating_sub(turns.len())
        };
        self.decide(|machine, now, permits, out| machine.turns(turns, now, permits, out))
    }

    /// The writer makes something durable; the supervisor does not know yet.
    pub(crate) fn write(&mut self) -> Checked {
        let Some(supervisor) = &mut self.supervisor else {
            return Ok(());
        };
        let Some(submission) = supervisor.writing.pop_front() else {
            return Ok(());
        };
        supervisor.acknowledgements.push_back(submission.next);
        self.make_durable(submission)
    }

    pub(crate) fn make_durable(&mut self, submission: Submission) -> Checked {
        let Submission { batch, entries, .. } = submission;
        self.store
            .commit(&batch)
            .map_err(|error| error.to_string())?;
        for entry in &entries {
            self.durable.apply(entry)?;
            self.durable_state
                .apply(entry)
                .map_err(|error| error.to_string())?;
            if let Record::CallSettled(settled) = &entry.record
                && matches!(settled.outcome, Outcome::Completed(_))
            {
                let key = self.durable.call(settled.call)?.key;
                let is_new = self
                    .world
                    .completed
                    .insert((self.durable.generation.0, key));
                ensure(is_new, || {
                    format!("the key of a-{} completes twice", settled.call)
                })?;
            }
        }
        Ok(())
    }

    /// Something that was being read is there.
    pub(crate) fn read(&mut self, reading: Reading) -> Checked {
        match reading {
            Reading::Recalls(recalls) => {
                let mut answers = Vec::new();
                for (call, place) in recalls {
                    let answer =
                        rewind::recall(&self.store, place.run, place.answer, place.changes);
                    answers.push((call, answer.map_err(|error| error.to_string())?));
                }
                self.decide(|machine, now, _, out| {
                    for (call, answer) in answers {
                        machine.recalled(call, answer, now, out);
                    }
                })
            }
            Reading::Load(call, source) => {
                let (name, _) = self.resolve(source)?;
                let script: Result<Packed, String> = match self.random.below(12) {
                    0 => Err("there is none".to_owned()),
                    // It was edited meanwhile.
                    1 => Ok(text::pack(format!("\"{name}, edited\"").into())),
                    _ => Ok(text::pack(format!("\"{name}\"").into())),
                };
                self.decide(|machine, now, _, out| machine.loaded(call, script, now, out))
            }
            Reading::Ask(call, source, given) => {
                let (question, options) = self.resolve(source)?;
                let given = given
                    .map(|(position, text)| read::resolve(&self.store, self.run, position, &text));
                let given = given.transpose().map_err(|error| error.to_string())?;
                let asked = Asked {
                    question,
                    options,
                    given,
                };
                self.decide(|machine, now, _, out| machine.asked(call, asked, now, out))
                    .map(|_| ())
            }
            Reading::Fetch(start, scheduled) => {
                let (prompt, options) = self.resolve(Source::InJournal(scheduled))?;
                let Some(supervisor) = &mut self.supervisor else {
                    return Ok(());
                };
                let kind = supervisor.machine.kind_of(start.token.call);
                let resolved = supervisor.machine.resolve(kind, &options);
                self.start(*start, &prompt, resolved)?;
                self.perform()
            }
        }
    }

    fn resolve(&self, source: Source) -> Result<(Arc<str>, Arc<str>), String> {
        let scheduled = match source {
            Source::AtHand(prompt, options) => return Ok((prompt, options)),
            Source::InJournal(scheduled) => scheduled,
        };
        let rows = self
            .store
            .records(self.run, scheduled, 1)
            .map_err(|error| error.to_string())?;
        let row = rows.first().ok_or("a call is not where it was")?;
        let entry =
            codec::decode(self.run, row.position, &row.bytes).map_err(|error| error.to_string())?;
        let Record::CallScheduled(call) = entry.record else {
            return Err(format!("record {scheduled} is no call"));
        };
        let text = |text| {
            read::resolve(&self.store, self.run, scheduled, text).map_err(|error| error.to_string())
        };
        Ok((text(&call.prompt)?, text(&call.options)?))
    }

    fn read_prompt(&self, call: CallNumber) -> Result<Arc<str>, String> {
        let known = self
            .durable_state
            .call(call)
            .ok_or("an attempt without its call")?;
        Ok(self.resolve(Source::InJournal(known.scheduled))?.0)
    }

    /// The disk takes nothing any more: what is not durable never happened.
    pub(crate) fn journal_fails(&mut self) -> Checked {
        self.scheduler.forget(self.run);
        let Some(supervisor) = &mut self.supervisor else {
            return Ok(());
        };
        supervisor.writing.clear();
        for (_, action) in supervisor.effects.drain(..) {
            if let Action::Start(start) = action
                && supervisor.machine.never_started(start.token)
            {
                self.scheduler.give_back();
            }
        }
        supervisor.machine.abandon();
        supervisor.script = None;
        supervisor.turns_owed = 0;
        supervisor.has_failed_journal = true;
        self.world.cancel_all();
        self.decide(|_, _, _, _| ())
    }

    /// What must hold between any two messages.
    pub(crate) fn check(&mut self) -> Checked {
        let coming = self.grants();
        let Some(supervisor) = &mut self.supervisor else {
            return Ok(());
        };
        let machine = &supervisor.machine;
        let (out, running) = (self.scheduler.in_use(), machine.running());
        let others = self.others;
        ensure(out == running + others + coming, || {
            format!(
                "{out} permits are out: {others} elsewhere, {coming} on their way, and {running} run"
            )
        })?;
        let at_work = self.world.at_work().count();
        ensure(at_work <= running, || {
            format!("{at_work} are at work where {running} are known")
        })?;
        if supervisor.has_failed_journal {
            return Ok(());
        }
        let state = machine.state();
        ensure(
            state.next == self.decided.next && state.status == self.decided.status,
            || {
                format!(
                    "the machine is {} at {}, its records {} at {}",
                    state.status.name(),
                    state.next,
                    self.decided.status.name(),
                    self.decided.next
                )
            },
        )?;
        if let Some(script) = &supervisor.script
            && machine.wants_script()
        {
            let told = self.told.all();
            let coming = script.inbox.len() + supervisor.answers.len();
            let (all, heard) = (self.decided.answers(), told.len());
            ensure(heard + coming == all, || {
                format!(
                    "the script was told {heard}, {coming} are to come, and the journal has {all}"
                )
            })?;
            self.decided.was_told(supervisor.compared, &told)?;
            supervisor.compared = told.len();
        }
        Ok(())
    }
}
