//! Goes through a rewind with the run's own rules, and nobody at work.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use bellwether_actors::orchestrator;
use bellwether_actors::pool::{End, Kept};
use bellwether_actors::run::adopt::Hearing;
use bellwether_actors::run::machine::Machine;
use bellwether_actors::run::output::{Action, Output, Source};
use bellwether_actors::run::questions::Asked;
use bellwether_actors::run::rewind::{self as recalling, BaseCall, BaseEnd, Rewind, Rules};
use bellwether_actors::run::supervisor::LoadScript;
use bellwether_journal::codec;
use bellwether_journal::error::{Damage, StoreError};
use bellwether_journal::id::{CallNumber, FencingToken, Position};
use bellwether_journal::read;
use bellwether_journal::record::{
    Actor, CallKind, Millis, Outcome, Record, ScriptError, Status, Usage,
};
use bellwether_journal::store::Store;
use bellwether_journal::text::{self, Packed};
use bellwether_scripts::process::ScriptVm;
use bellwether_scripts::{Call, Command, Settlement, Target, Turn, TurnStatus, Vm};

use super::reason::{self, Counterparts, Issued};
use super::report::{Dropped, Explained, Explanation, Fate, Totals};
use crate::engine::Engine;
use crate::error::RewindError;
use crate::plan::Fail;
use crate::plan::events::{Event, Events, Free};
use crate::plan::made_up::{self, AGENT_MS, MadeUp, changes, merge};
use crate::resolve::RunRules;
use crate::rewind::{Prepared, RewindOptions};
use crate::run::{self, Opening, Parts};
use crate::view::agent_id;
use crate::vm::Suspect;

/// An explanation gives up after so many turns.
const TURNS_MAX: u64 = 10_000_000;
/// Made-up arrays have so many items.
const ITEMS: u64 = 3;

/// A rewind that is gone through.
pub(super) struct Drive {
    store: Arc<dyn Store>,
    machine: Machine,
    records: Vec<Record>,
    packed: Vec<Packed>,
    start: orchestrator::Start,
    load_script: LoadScript,
    base: Arc<recalling::Base>,
    /// Where assumed answers come from.
    answers: Arc<recalling::Base>,
    rules: Rules,
    notes: Vec<String>,
    status: Status,
    now: Millis,
}

impl Drive {
    pub(super) fn prepare(
        engine: &Engine,
        prepared: &Prepared,
        change: &RewindOptions,
        rules: Arc<RunRules>,
    ) -> Result<Self, RewindError> {
        let (records, packed) = prepared.records(engine, change)?;
        let parts = Parts {
            rules,
            caps: run::caps(&prepared.options, &change.resume),
            workflows: prepared.options.workflows.clone(),
            vm_limits: run::vm_limits(&prepared.options, &change.resume),
            working_directory: prepared.working_directory.clone(),
            script_path: prepared.script_path.clone(),
            time_limit: None,
            repeat_merges: true,
            abandoned: Arc::default(),
            vms: Arc::clone(&engine.0.vms),
            suspect: Suspect::default(),
        };
        let opening = Opening {
            script: prepared.script.clone(),
            args: prepared.args.as_ref().map(|args| Arc::clone(&args.text)),
            seed: prepared.seed,
            time: prepared.time,
            budget_total: prepared.budget_total,
        };
        let rewind =
            Rewind::new(Arc::clone(&prepared.base), prepared.rules.clone()).repeating_merges(true);
        let start = parts.begin_vm(opening);
        let machine = Machine::new(
            prepared.state.clone(),
            engine.0.epoch,
            parts.caps,
            parts.keys(),
            BTreeMap::new(),
        );
        let mut notes = Vec::new();
        let recorded = prepared
            .state
            .generation
            .as_ref()
            .map(|open| open.vm_identity);
        if recorded.is_some_and(|identity| identity != Vm::identity()) {
            let note =
                "another version of the script VM recorded the run: a resume rewinds it, too";
            notes.push(note.to_owned());
        }
        Ok(Self {
            store: Arc::clone(&engine.0.surroundings().store),
            machine: machine
                .with_rewind(Some(rewind))
                .with_left(prepared.left(engine)),
            records,
            packed,
            start,
            load_script: run::load_script(
                prepared.working_directory.clone(),
                prepared.options.workflows.clone(),
            ),
            base: Arc::clone(&prepared.base),
            answers: Arc::clone(&prepared.answers),
            rules: prepared.rules.clone(),
            notes,
            status: prepared.state.status,
            now: prepared.state.last_at,
        })
    }

    /// Goes through it, to the end of the script.
    pub(super) fn go(self) -> Result<Explanation, RewindError> {
        let (vm, turn) = (self.start)().map_err(|lost| RewindError::Refused(lost.to_string()))?;
        let mut driven = Driven {
            store: self.store,
            machine: self.machine,
            vm,
            load_script: self.load_script,
            assumed: Assumed::new(&self.answers),
            assumed_of: self.answers,
            base: self.base,
            events: Events::default(),
            now: self.now,
            answers: VecDeque::new(),
            work: VecDeque::new(),
            issued: Vec::new(),
            known: Vec::new(),
            reused: HashMap::new(),
            adopted: HashMap::new(),
            began: vec![None],
            end: None,
        };
        let (records, packed) = (self.records, self.packed);
        driven.decide(|machine, now, out| {
            machine.begin(records, &packed, Actor::Engine, now, out);
        });
        driven.turn(turn);
        driven.all()?;
        Ok(driven.explain(&self.rules, self.notes, self.status))
    }
}

/// Something to do besides giving answers.
enum Work {
    Recall(CallNumber, recalling::Place),
    Load(CallNumber, Arc<str>, Arc<str>),
    Ask(CallNumber, Arc<str>, Arc<str>),
}

struct Driven {
    store: Arc<dyn Store>,
    machine: Machine,
    vm: Box<dyn ScriptVm>,
    load_script: LoadScript,
    base: Arc<recalling::Base>,
    assumed: Assumed,
    assumed_of: Arc<recalling::Base>,
    events: Events,
    now: Millis,
    answers: VecDeque<Settlement>,
    work: VecDeque<Work>,
    /// All calls as the script made them, each with the turn that did.
    issued: Vec<(Call, u64)>,
    /// Content and key of each.
    known: Vec<(
        bellwether_journal::key::Digest,
        bellwether_journal::key::Digest,
    )>,
    /// The base's calls that answered, by the call that they answered.
    reused: HashMap<CallNumber, CallNumber>,
    /// The base's calls whose attempts go on, by the call that gets their end.
    adopted: HashMap<CallNumber, CallNumber>,
    /// The call whose answer began each turn, by the turn's number.
    began: Vec<Option<CallNumber>>,
    end: Option<Result<(), ScriptError>>,
}

impl Driven {
    fn decide(&mut self, decide: impl FnOnce(&mut Machine, Millis, &mut Output)) {
        let mut out = Output::default();
        decide(&mut self.machine, self.now, &mut out);
        self.machine.disown_rest(self.now, &mut Free, &mut out);
        for entry in out.entries {
            match entry.record {
                Record::CallScheduled(call) => self.known.push((call.content, call.key)),
                Record::CallReused(reused) => {
                    self.reused.insert(reused.call, reused.from);
                }
                Record::AttemptAdopted(adopted) => {
                    self.adopted.insert(adopted.call, adopted.from);
                }
                _ => {}
            }
        }
        for (_, action) in out.actions {
            self.act(action);
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Deliver(settlement) => {
                let call = match settlement.target {
                    Target::Call(call) => Some(call),
                    Target::Timer(_) => None,
                };
                self.began.push(call);
                self.answers.push_back(settlement);
            }
            Action::Recall(call, place) => self.work.push_back(Work::Recall(call, place)),
            Action::Load(call, Source::AtHand(target, options)) => {
                self.work.push_back(Work::Load(call, target, options));
            }
            Action::Ask(call, Source::AtHand(question, options), _) => {
                self.work.push_back(Work::Ask(call, question, options));
            }
            Action::Start(start) => {
                let end = self.now.saturating_add(AGENT_MS);
                self.events.put(end, Event::Ended(start.token));
            }
            Action::Adopted(token) => {
                if let Hearing::Now(token) = self.machine.hear(token) {
                    let end = self.now.saturating_add(AGENT_MS);
                    self.events.put(end, Event::Ended(token));
                }
            }
            Action::RetryAfter(call, after) => {
                let at = self.now.saturating_add(after);
                self.events.put(at, Event::Retry(call));
            }
            Action::Arm(timer, at) => self.events.put(at.max(self.now), Event::Timer(timer)),
            Action::Disarm(timer) => self.events.clear(timer),
            Action::Load(_, Source::InJournal(_))
            | Action::Ask(_, Source::InJournal(_), _)
            | Action::ArmDeadline(..)
            | Action::DisarmDeadline(_)
            | Action::Disowned(_)
            | Action::CancelAgent(_)
            | Action::CancelAgents
            | Action::KillAgents
            | Action::DropScript
            | Action::RebuildScript
            | Action::Finish => {}
        }
    }

    fn turn(&mut self, turn: Turn) {
        let index = self.turns_taken();
        for command in &turn.commands {
            if let Command::Call(call) = command {
                self.issued.push((Call::clone(call), index));
            }
        }
        match &turn.status {
            TurnStatus::Running => {}
            TurnStatus::Returned(_) => self.end = Some(Ok(())),
            TurnStatus::Threw(error) | TurnStatus::LimitReached(error) => {
                self.end = Some(Err(ScriptError::clone(error)));
            }
        }
        self.decide(|machine, now, out| machine.turns(vec![turn], now, &mut Free, out));
        while self.machine.has_backlog() {
            self.decide(|machine, now, out| machine.work_off(now, &mut Free, out));
        }
    }

    /// The number of the turn that the VM has just taken.
    fn turns_taken(&self) -> u64 {
        (self.began.len() - 1 - self.answers.len()) as u64
    }

    fn all(&mut self) -> Result<(), RewindError> {
        while self.end.is_none() {
            if let Some(answer) = self.answers.pop_front() {
                let turns = self.vm.deliver(&[answer]);
                let turns = turns.map_err(|lost| RewindError::Refused(lost.to_string()))?;
                for turn in turns {
                    self.turn(turn);
                }
            } else if let Some(work) = self.work.pop_front() {
                self.work(work)?;
            } else if let Some((at, event)) = self.events.next() {
                self.now = self.now.max(at);
                self.happen(event)?;
            } else {
                break;
            }
            if self.began.len() as u64 > TURNS_MAX {
                let message = format!("the script did not end within {TURNS_MAX} turns");
                return Err(RewindError::Refused(message));
            }
        }
        Ok(())
    }

    fn work(&mut self, work: Work) -> Result<(), StoreError> {
        match work {
            Work::Recall(call, place) => {
                let store = self.store.as_ref();
                let answer = recalling::recall(store, place.run, place.answer, place.changes)?;
                self.decide(|machine, now, out| machine.recalled(call, answer, now, out));
            }
            Work::Load(call, target, options) => {
                let script = (self.load_script)(&target, &options);
                let script = script.map(|script| text::pack(script.into()));
                self.decide(|machine, now, out| machine.loaded(call, script, now, out));
            }
            Work::Ask(call, question, options) => {
                let before = self.answer_before(call)?.map(|(value, _)| value.text);
                let given = before.unwrap_or_else(|| made_up::answer(call, &options));
                let asked = Asked {
                    question,
                    options,
                    given: Some(given),
                };
                self.decide(|machine, now, out| {
                    machine.asked(call, asked, now, out);
                });
            }
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), StoreError> {
        match event {
            Event::Ended(token) => {
                let end = self.end_of(token)?;
                let kept = self.kept(token, &end);
                self.decide(|machine, now, out| {
                    machine.attempt_ended(token, end, kept, now, &mut Free, out);
                });
            }
            Event::Timer(timer) => {
                self.decide(|machine, now, out| machine.timer_due(timer, now, out));
            }
            Event::Retry(call) => {
                self.decide(|machine, now, out| machine.retry_due(call, now, &mut Free, out));
            }
        }
        Ok(())
    }

    /// The answer that is assumed of a call that runs: the one that it had, else a made-up one.
    fn end_of(&mut self, token: FencingToken) -> Result<End, StoreError> {
        let Some((call, _)) = self.issued.get(token.call.0 as usize) else {
            return Ok(End::Lost("no such call".to_owned()));
        };
        let (kind, prompt) = (call.kind, Arc::clone(&call.prompt));
        let options = Arc::clone(&call.options);
        if let Some((value, usage)) = self.answer_before(token.call)? {
            return Ok(End::Completed(value, usage));
        }
        if kind == CallKind::Merge {
            let branches: Vec<String> = serde_json::from_str(&prompt).unwrap_or_default();
            return Ok(merge(token, &branches, None));
        }
        let resolved = self.machine.resolve(kind, &options);
        let schema = resolved.options.schema.as_deref();
        let end = MadeUp::new(ITEMS, Fail::None).agent(token.call, schema);
        Ok(match end {
            End::Completed(value, _) => End::Completed(value, self.assumed.usage),
            end => end,
        })
    }

    /// What an isolated agent that runs is taken to leave: without a branch nothing would be merged, and what is merged again must
    /// be known before.
    fn kept(&mut self, token: FencingToken, end: &End) -> Vec<Kept> {
        let Some((call, _)) = self.issued.get(token.call.0 as usize) else {
            return Vec::new();
        };
        let (kind, options) = (call.kind, Arc::clone(&call.options));
        let is_isolated = self
            .machine
            .resolve(kind, &options)
            .options
            .isolation
            .is_some();
        let leaves = is_isolated && matches!(end, End::Completed(..));
        leaves.then(|| changes(token)).into_iter().collect()
    }

    /// The value that a call that runs had in the base, and what that took.
    fn answer_before(&mut self, call: CallNumber) -> Result<Option<(Packed, Usage)>, StoreError> {
        let Some((issued, _)) = self.issued.get(call.0 as usize) else {
            return Ok(None);
        };
        let (content, key) = self.known.get(call.0 as usize).copied().unwrap_or_default();
        let answers = &self.assumed_of;
        let was = self.assumed.find(answers, issued, content, key);
        let Some(base) = was.and_then(|number| answers.call(number)) else {
            return Ok(None);
        };
        let Some(answer) = base.answer.filter(|_| base.kind == issued.kind) else {
            return Ok(None);
        };
        let recalled = recalling::recall(self.store.as_ref(), self.base.run, answer.at, None)?;
        Ok(match recalled.outcome {
            Outcome::Completed(_) => recalled.value.map(|value| (value, base.usage)),
            _ => None,
        })
    }

    fn explain(self, rules: &Rules, notes: Vec<String>, status: Status) -> Explanation {
        let taken = self.reused.values().chain(self.adopted.values());
        let taken: HashSet<CallNumber> = taken.copied().collect();
        let mut counterparts = Counterparts::new(&self.base, &taken);
        let mut calls = Vec::new();
        let mut totals = Totals::default();
        let mut repeats = Vec::new();
        for (call, turn) in &self.issued {
            let (content, key) = self
                .known
                .get(call.number.0 as usize)
                .copied()
                .unwrap_or_default();
            if call.kind == CallKind::Workflow {
                continue;
            }
            let from = self.reused.get(&call.number).copied();
            let mut explained = Explained {
                agent_id: agent_id(call.number),
                kind: call.kind.name().to_owned(),
                label: call.label.as_deref().map(str::to_owned),
                phase: call.phase.as_deref().map(str::to_owned),
                line: call.line,
                fate: Fate::Reused,
                from: from.map(agent_id),
                reason: None,
                output_tokens: 0,
            };
            if let Some(base) = from.and_then(|from| self.base.call(from)) {
                explained.output_tokens = base.usage.output_tokens;
            } else if let Some(from) = self.adopted.get(&call.number).copied() {
                explained.fate = Fate::Adopted;
                explained.from = Some(agent_id(from));
                explained.reason = Some(format!("{} is at work on it and goes on", agent_id(from)));
                explained.output_tokens = self.assumed.usage.output_tokens;
            } else {
                let issued = Issued {
                    kind: call.kind,
                    content,
                    context: call.context,
                    key,
                    label: call.label.clone(),
                    line: call.line,
                    prompt: Arc::clone(&call.prompt),
                    options: Arc::clone(&call.options),
                    waited_for: self.waited_for(*turn),
                };
                self.explain_live(
                    &issued,
                    &mut counterparts,
                    rules,
                    &mut explained,
                    &mut repeats,
                );
            }
            count(&mut totals, &explained);
            calls.push(explained);
        }
        let dropped: Vec<Dropped> = counterparts
            .left()
            .filter(|(_, call)| call.kind == CallKind::Agent)
            .map(|(number, call)| Dropped {
                agent_id: agent_id(number),
                label: call.label.as_deref().map(str::to_owned),
                line: call.line,
            })
            .collect();
        totals.dropped = dropped.len() as u64;
        Explanation {
            run_id: self.base.run,
            status,
            generation: self.base.generation.0,
            calls,
            dropped,
            totals,
            error: self.end.and_then(Result::err),
            repeats,
            notes,
        }
    }

    fn explain_live(
        &self,
        issued: &Issued,
        counterparts: &mut Counterparts<'_>,
        rules: &Rules,
        explained: &mut Explained,
        repeats: &mut Vec<String>,
    ) {
        let instead = counterparts.take(issued);
        let instead = instead.and_then(|number| Some((number, self.base.call(number)?)));
        let texts = instead.and_then(|(_, call)| self.texts_of(call).ok());
        let reason = reason::of(issued, instead, texts, rules);
        if let Some((number, call)) = instead
            && call.kind == CallKind::Merge
            && call.end == BaseEnd::Completed
        {
            let name = explained.label.as_deref().unwrap_or("merge()");
            repeats.push(format!(
                "{name} of line {} ({}): {reason}",
                explained.line,
                agent_id(number)
            ));
        }
        explained.fate = match instead {
            Some(_) => Fate::Again,
            None => Fate::New,
        };
        explained.from = instead.map(|(number, _)| agent_id(number));
        explained.reason = Some(reason);
        let used = instead.map(|(_, call)| call.usage.output_tokens);
        explained.output_tokens = used
            .filter(|used| *used > 0)
            .unwrap_or(self.assumed.usage.output_tokens);
    }

    /// What a turn waited for, if that runs again: the call whose answer began it, else the newest such before it.
    fn waited_for(&self, turn: u64) -> Option<String> {
        let turn = usize::try_from(turn).ok()?;
        let runs = |call: &CallNumber| !self.reused.contains_key(call);
        let before = self.began.get(..=turn)?;
        let call = before.iter().rev().flatten().find(|call| runs(call))?;
        let label = self.issued.get(call.0 as usize)?.0.label.clone();
        Some(match label {
            Some(label) => format!("{} ({label})", agent_id(*call)),
            None => agent_id(*call),
        })
    }

    /// Prompt and options of a call of the base.
    fn texts_of(&self, call: &BaseCall) -> Result<(Arc<str>, Arc<str>), StoreError> {
        let (store, run) = (self.store.as_ref(), self.base.run);
        let damage = || Damage::new(format!("run {run}: there is no call at {}", call.scheduled));
        let rows = store.records(run, call.scheduled, 1)?;
        let row = rows.first().ok_or_else(damage)?;
        let Record::CallScheduled(scheduled) = codec::decode(run, row.position, &row.bytes)?.record
        else {
            return Err(damage().into());
        };
        let position: Position = call.scheduled;
        let text = |text| read::resolve(store, run, position, text);
        Ok((text(&scheduled.prompt)?, text(&scheduled.options)?))
    }
}

fn count(totals: &mut Totals, explained: &Explained) {
    if explained.kind != CallKind::Agent.name() {
        return;
    }
    match explained.fate {
        Fate::Reused => {
            totals.reused += 1;
            totals.output_tokens_saved += explained.output_tokens;
        }
        Fate::Adopted => totals.adopted += 1,
        Fate::Again => totals.again += 1,
        Fate::New => totals.new += 1,
    }
    if matches!(explained.fate, Fate::Again | Fate::New) {
        totals.output_tokens_expected += explained.output_tokens;
    }
}

/// Which answers of the base are assumed of calls that run, each once.
struct Assumed {
    by_content: HashMap<bellwether_journal::key::Digest, VecDeque<CallNumber>>,
    by_place: HashMap<(Option<Arc<str>>, u32), VecDeque<CallNumber>>,
    /// The mean use of the base's agents.
    usage: Usage,
}

impl Assumed {
    fn new(base: &recalling::Base) -> Self {
        let mut found = Self {
            by_content: HashMap::new(),
            by_place: HashMap::new(),
            usage: Usage::default(),
        };
        let (mut sum, mut agents) = (0_u64, 0_u64);
        for (number, call) in (0..).map(CallNumber).zip(&base.calls) {
            if call.end != BaseEnd::Completed {
                continue;
            }
            found
                .by_content
                .entry(call.content)
                .or_default()
                .push_back(number);
            let place = (call.label.clone(), call.line);
            found.by_place.entry(place).or_default().push_back(number);
            if call.kind == CallKind::Agent {
                sum = sum.saturating_add(call.usage.output_tokens);
                agents += 1;
            }
        }
        found.usage.output_tokens = sum.checked_div(agents).unwrap_or_default();
        found
    }

    fn find(
        &mut self,
        base: &recalling::Base,
        call: &Call,
        content: bellwether_journal::key::Digest,
        key: bellwether_journal::key::Digest,
    ) -> Option<CallNumber> {
        if let Some(same) = base.by_key(key) {
            return Some(same);
        }
        let by_content = self.by_content.get_mut(&content);
        if let Some(number) = by_content.and_then(VecDeque::pop_front) {
            return Some(number);
        }
        let place = (call.label.clone(), call.line);
        self.by_place.get_mut(&place)?.pop_front()
    }
}
