//! The loop of a plan: events in the order of virtual time go into the run's machine, its answers into the VM, and what the
//! script does next into the machine again.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use bellwether_actors::pool::{End, Kept};
use bellwether_actors::run::keys::Keys;
use bellwether_actors::run::machine::{Caps, Machine};
use bellwether_actors::run::output::{Action, Output, Source};
use bellwether_actors::run::questions::Asked;
use bellwether_actors::run::supervisor::LoadScript;
use bellwether_journal::id::{CallNumber, Epoch, FencingToken, Generation, RunId};
use bellwether_journal::record::{
    Actor, GenerationOpened, Millis, Policy, Record, RunStarted, ScriptError,
};
use bellwether_journal::state::RunState;
use bellwether_journal::text;
use bellwether_scripts::{
    Command, Limits as VmLimits, Script as Parsed, Settlement, Start, Turn, TurnStatus, Vm,
};
use serde::Deserialize;

use super::PlanOptions;
use super::events::{Event, Events, Free};
use super::findings::Findings;
use super::made_up::{self, AGENT_MS, MadeUp, changes, merge};
use super::report::{Plan, PlanCaps, PlanStatus};
use super::rules::PlanRules;
use super::tally::Tally;
use crate::error::StartError;
use crate::options::{ResumeOptions, Script, StartOptions};
use crate::run;
use crate::start::{check_args, checked_args};

/// When plans begin: 2026-01-01T00:00:00Z, always, so that `now()` gives the same in each.
const BEGINNING: Millis = 1_767_225_600_000;
/// No plan goes on for longer, in virtual time: ten years.
const VIRTUAL_MS_MAX: Millis = 10 * 365 * 24 * 3_600_000;
/// A turn may compute for so long; a run's own limit counts where it is lower.
const TURN_CPU_MAX: Duration = Duration::from_secs(5);
/// A plan has so many turns, and some more for each agent that it may ask.
const TURNS: u64 = 100_000;
const TURNS_PER_AGENT: u64 = 4;
/// The options of `workflow(name)`, as the prelude writes them.
const BY_NAME: &str = r#"{"by":"name"}"#;

/// A plan on its way.
pub(super) struct Drive<'a> {
    script: Parsed,
    args: Option<Arc<str>>,
    limits: VmLimits,
    start: &'a StartOptions,
    options: &'a PlanOptions,
    caps: Caps,
    rules: Arc<PlanRules>,
    load_script: LoadScript,
    folder: PathBuf,
    plan_caps: PlanCaps,
}

impl<'a> Drive<'a> {
    /// Reads the script and its arguments as a run's start does.
    ///
    /// # Errors
    /// The plan of a script that is refused.
    pub(super) fn prepare(
        script: &Script,
        start: &'a StartOptions,
        options: &'a PlanOptions,
    ) -> Result<Self, Box<Plan>> {
        let unchanged = ResumeOptions::default();
        let mut limits = run::vm_limits(start, &unchanged);
        limits.turn_cpu = limits.turn_cpu.min(TURN_CPU_MAX);
        let caps = run::caps(start, &unchanged);
        let plan_caps = PlanCaps {
            concurrency: caps.concurrency.map(|limit| limit as u64),
            agents: caps.agents,
            items: limits.items_max.into(),
            budget: start.budget,
        };
        let refused = |name: &str, error| Box::new(empty(name.to_owned(), plan_caps, Some(error)));
        let path = script.path.as_ref();
        let path = path.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
        let file = run::file_name(path.as_deref());
        let parsed =
            bellwether_scripts::parse(&script.source, &file, &limits).map_err(|refusal| {
                let error = ScriptError {
                    line: refusal.line,
                    column: refusal.column,
                    ..error("SyntaxError", "SCRIPT_REFUSED", refusal.message)
                };
                refused("", error)
            })?;
        let name = &parsed.meta().name;
        let args_error =
            |why: StartError| refused(name, error("ArgsError", "ARGS", why.to_string()));
        let args = start.args.as_deref().map(checked_args).transpose();
        let args = args.map_err(args_error)?;
        if let Some(schema) = &parsed.meta().args_schema {
            check_args(schema, args.as_deref()).map_err(args_error)?;
        }
        let folder = match &start.working_directory {
            Some(folder) => folder.clone(),
            None => std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
        };
        Ok(Self {
            args,
            caps,
            start,
            options,
            rules: Arc::new(PlanRules::new(start, options)),
            load_script: run::load_script(folder.clone(), start.workflows.clone()),
            folder,
            script: parsed,
            limits,
            plan_caps,
        })
    }

    /// Drives the plan to its end, on a thread whose stack holds the script's.
    pub(super) fn carry_out(self, findings: Findings) -> Plan {
        let stack = self.limits.stack_bytes + 2 * VmLimits::THREAD_STACK_BYTES_SPARE;
        let caps = self.plan_caps;
        let name = self.script.meta().name.clone();
        let plan = thread::scope(|scope| {
            let builder = thread::Builder::new()
                .name("bellwether-plan".to_owned())
                .stack_size(stack);
            let driven = builder.spawn_scoped(scope, || Driven::begin(self, findings).go());
            driven.ok()?.join().ok()
        });
        plan.unwrap_or_else(|| {
            let message = "the plan failed: this is a mistake in Bellwether, or there is no memory for a thread; please report it \
                           with the script";
            empty(name, caps, Some(error("PlanError", "PLAN", message)))
        })
    }
}

/// A plan that is being driven.
struct Driven<'a> {
    drive: Drive<'a>,
    tally: Tally,
    vm: Vm,
    machine: Machine,
    events: Events,
    made_up: MadeUp,
    now: Millis,
    turns: u64,
    /// What the VM is still to be given.
    answers: VecDeque<Settlement>,
    /// Workflows that are being called: the call's number, what it names, how.
    loads: VecDeque<(CallNumber, Arc<str>, Arc<str>)>,
    /// Questions to people that nobody has answered: the call's number, what is asked, its options.
    asked: VecDeque<(CallNumber, Arc<str>, Arc<str>)>,
    /// How the script ended.
    end: Option<(PlanStatus, Option<ScriptError>)>,
}

impl<'a> Driven<'a> {
    /// The VM up to its first wait.
    fn begin(drive: Drive<'a>, findings: Findings) -> Self {
        let seed = [0; 32];
        let start = Start {
            script: &drive.script,
            args: drive.args.as_deref(),
            limits: &drive.limits,
            seed,
            time: BEGINNING,
            budget_total: drive.start.budget,
        };
        let (vm, turn) = Vm::start_until(&start, Arc::clone(&drive.options.stop));
        let machine = Machine::new(
            RunState::new(RunId::from_entropy([0; 5])),
            Epoch(1),
            drive.caps,
            Keys::new(Arc::clone(&drive.rules) as Arc<_>),
            BTreeMap::new(),
        );
        let meta = drive.script.meta();
        let plan = empty(meta.name.clone(), drive.plan_caps, None);
        let may_merge = drive.start.permissions.merge;
        let mut driven = Self {
            tally: Tally::new(plan, findings, meta.phases.clone(), may_merge),
            made_up: MadeUp::new(drive.options.items, drive.options.fail),
            vm,
            machine,
            events: Events::default(),
            now: BEGINNING,
            turns: 0,
            answers: VecDeque::new(),
            loads: VecDeque::new(),
            asked: VecDeque::new(),
            end: None,
            drive,
        };
        let records = first_records(&driven.drive, seed);
        driven.decide(|machine, now, out| machine.begin(records, &[], Actor::Engine, now, out));
        driven.turn(turn);
        driven
    }

    /// Until the script has ended, or the plan's bounds are reached.
    fn go(mut self) -> Plan {
        let (status, mut error) = loop {
            if let Some(end) = self.end.take() {
                break end;
            }
            if self.is_stopped() {
                self.give_up("it took too long to compute");
            } else if let Some(answer) = self.answers.pop_front() {
                for turn in self.vm.deliver(&[answer]) {
                    self.turn(turn);
                }
            } else if let Some((call, target, options)) = self.loads.pop_front() {
                self.load(call, &target, &options);
            } else if let Some((call, question, options)) = self.asked.pop_front() {
                let given = Some(made_up::answer(call, &options));
                let asked = Asked {
                    question,
                    options,
                    given,
                };
                self.decide(|machine, now, out| {
                    machine.asked(call, asked, now, out);
                });
            } else if let Some((at, event)) = self.events.next() {
                self.happen(at, event);
            } else {
                self.give_up("nothing more would happen, and the script waits");
            }
        };
        if let Some(error) = error.as_mut().filter(|error| error.line == 0) {
            // What the engine refuses has no stack: the call says where.
            error.line = self.tally.line_of(&error.message);
        }
        Plan {
            status,
            error,
            duration_ms: self.now - BEGINNING,
            ..self.tally.report(self.drive.options)
        }
    }

    fn is_stopped(&self) -> bool {
        self.drive.options.stop.load(Ordering::Relaxed)
    }

    /// Lets the machine decide, and does what it decided.
    fn decide(&mut self, decide: impl FnOnce(&mut Machine, Millis, &mut Output)) {
        let mut out = Output::default();
        decide(&mut self.machine, self.now, &mut out);
        for entry in out.entries {
            self.tally.recorded(entry.record);
        }
        for (_, action) in out.actions {
            self.act(action);
        }
    }

    /// The script has computed.
    fn turn(&mut self, turn: Turn) {
        self.turns += 1;
        if !matches!(turn.status, TurnStatus::LimitReached(_)) {
            for command in &turn.commands {
                if let Command::Call(call) = command {
                    let resolved = self.machine.resolve(call.kind, &call.options);
                    self.tally.called(call, resolved);
                }
            }
        }
        let status = turn.status.clone();
        self.decide(|machine, now, out| machine.turns(vec![turn], now, &mut Free, out));
        while self.machine.has_backlog() {
            self.decide(|machine, now, out| machine.work_off(now, &mut Free, out));
        }
        self.tally.turn_ended();
        let most = TURNS.saturating_add(self.drive.caps.agents.saturating_mul(TURNS_PER_AGENT));
        match status {
            TurnStatus::Running if self.turns > most => {
                self.give_up(&format!("it did not end within {most} steps"));
            }
            TurnStatus::Running => {}
            TurnStatus::Returned(value) => {
                self.tally.returned(&value);
                self.end = Some((PlanStatus::Completed, None));
            }
            TurnStatus::Threw(error) => self.end = Some((PlanStatus::Failed, Some(*error))),
            TurnStatus::LimitReached(_) if self.is_stopped() => {
                self.give_up("it took too long to compute");
            }
            TurnStatus::LimitReached(error) => {
                let status = match error.code.as_deref() {
                    Some("LIMIT_CPU") => PlanStatus::Timeout,
                    _ => PlanStatus::Failed,
                };
                self.end = Some((status, Some(*error)));
            }
        }
    }

    fn give_up(&mut self, why: &str) {
        let message = format!(
            "the plan was given up: {why}; look for a loop without a bound (`--outline` shows the bounds of loops), or give \
             `args` with which it ends"
        );
        let error = error("PlanTimeout", "PLAN_TIMEOUT", message);
        self.end = Some((PlanStatus::Timeout, Some(error)));
    }

    /// Does what the machine has decided; nothing waits for a disk.
    fn act(&mut self, action: Action) {
        match action {
            Action::Deliver(settlement) => {
                self.tally.settled(settlement.target);
                self.answers.push_back(settlement);
            }
            Action::Start(start) => {
                let at = self.now - BEGINNING;
                self.tally.started(start.token.call, at);
                let end = self.now.saturating_add(AGENT_MS);
                self.events.put(end, Event::Ended(start.token));
            }
            Action::Load(call, Source::AtHand(target, options)) => {
                self.loads.push_back((call, target, options));
            }
            Action::Ask(call, Source::AtHand(question, options), _) => {
                self.asked.push_back((call, question, options));
            }
            Action::RetryAfter(call, after) => {
                let at = self.now.saturating_add(after);
                self.events.put(at, Event::Retry(call));
            }
            Action::Arm(timer, at) => self.events.put(at, Event::Timer(timer)),
            Action::Disarm(timer) => self.events.clear(timer),
            // A plan has no journal to load from, and ends where the script does: nothing is left to be ended.
            Action::Load(_, Source::InJournal(_))
            | Action::Ask(_, Source::InJournal(_), _)
            | Action::ArmDeadline(..)
            | Action::DisarmDeadline(_)
            | Action::Recall(..)
            | Action::Adopted(_)
            | Action::Disowned(_)
            | Action::CancelAgent(_)
            | Action::CancelAgents
            | Action::KillAgents
            | Action::DropScript
            | Action::RebuildScript
            | Action::Finish => {}
        }
    }

    /// The next thing happens, at its time.
    fn happen(&mut self, at: Millis, event: Event) {
        if at.saturating_sub(BEGINNING) > VIRTUAL_MS_MAX {
            return self.give_up("it did not end within ten years of virtual time");
        }
        self.now = self.now.max(at);
        match event {
            Event::Ended(token) => {
                let (end, kept) = self.end_of(token);
                self.tally.ended(token.call);
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
    }

    /// How an attempt ends, and what it leaves.
    fn end_of(&mut self, token: FencingToken) -> (End, Vec<Kept>) {
        if let Some(asked) = self.tally.merge(token.call) {
            return (
                merge(token, &asked.branches, asked.into.as_deref()),
                Vec::new(),
            );
        }
        let options = self.tally.options(token.call);
        let schema = options.as_ref().and_then(|it| it.options.schema.as_deref());
        let end = self.made_up.agent(token.call, schema);
        let is_isolated = options.is_some_and(|it| it.options.isolation.is_some());
        let has_changes = is_isolated && matches!(end, End::Completed(..));
        let kept = has_changes.then(|| changes(token)).into_iter().collect();
        (end, kept)
    }

    /// Reads a workflow that the script calls. One that cannot be found gives null, unless the plan is strict.
    fn load(&mut self, call: CallNumber, target: &str, options: &str) {
        let script = match (self.drive.load_script)(target, options) {
            Ok(script) => {
                self.read(call, &script);
                Ok(script)
            }
            Err(why) => {
                let by_name = options == BY_NAME;
                self.tally.workflow_missing(call, target, by_name, &why);
                if self.drive.options.strict {
                    Err(why)
                } else {
                    Ok(absent(target))
                }
            }
        };
        let script = script.map(|script| text::pack(script.into()));
        self.decide(|machine, now, out| machine.loaded(call, script, now, out));
    }

    /// A workflow's script was read: `script` is what the VM gets.
    fn read(&mut self, call: CallNumber, script: &str) {
        #[derive(Deserialize)]
        struct Read {
            source: String,
            path: String,
        }
        let Ok(Read { source, path }) = serde_json::from_str::<Read>(script) else {
            return;
        };
        let file = Path::new(&path);
        let file = file.strip_prefix(&self.drive.folder).unwrap_or(file);
        let name = bellwether_scripts::parse(&source, &path, &self.drive.limits);
        let name = name.ok().map(|parsed| parsed.meta().name.clone());
        self.tally.workflow_found(call, name, file, &source);
    }
}

/// The script that stands for one which is not there: it gives null.
fn absent(target: &str) -> String {
    let source = "export const meta = { name: 'not found', description: 'stands for a workflow that is not there' }\nreturn null";
    serde_json::json!({ "source": source, "path": format!("{target} (not found)") }).to_string()
}

fn first_records(drive: &Drive<'_>, seed: [u8; 32]) -> Vec<Record> {
    let started = RunStarted {
        name: drive.script.meta().name.clone(),
        script_path: None,
        options: text::pack("{}".into()).stored,
        working_directory: String::new(),
        base_commit: None,
        started_by: String::new(),
    };
    let opened = GenerationOpened {
        number: Generation(1),
        base: None,
        // No journal keeps it.
        script: text::pack("".into()).stored,
        args: None,
        vm_identity: Vm::identity(),
        seed,
        time: BEGINNING,
        dirty: Vec::new(),
        policy: Policy::Causal,
        budget_total: drive.start.budget,
    };
    vec![
        Record::RunStarted(Box::new(started)),
        Record::GenerationOpened(Box::new(opened)),
    ]
}

/// A plan in which nothing has happened yet.
fn empty(name: String, caps: PlanCaps, error: Option<ScriptError>) -> Plan {
    Plan {
        status: PlanStatus::Failed,
        error,
        name,
        script: String::new(),
        agent_calls: 0,
        peak_in_flight: 0,
        peak_outstanding: 0,
        caps,
        duration_ms: 0,
        phases: Vec::new(),
        refused: Vec::new(),
        logs: Vec::new(),
        workflow_calls: Vec::new(),
        merges: Vec::new(),
        longest_prompt: None,
        result: None,
        findings: Vec::new(),
    }
}

fn error(name: &str, code: &str, message: impl Into<String>) -> ScriptError {
    ScriptError {
        name: name.to_owned(),
        code: Some(code.to_owned()),
        message: message.into(),
        line: 0,
        column: 0,
        stack: String::new(),
    }
}
