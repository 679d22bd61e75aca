//! A new generation of a run, from the script's first line: what has not changed is reused (`docs/replay.md`, rewind).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bellwether_actors::run::adopt::Left;
use bellwether_actors::run::rewind::{Base, BaseEnd, Rewind, Rules};
use bellwether_actors::run::supervisor::{Arguments, Beginning};
use bellwether_journal::error::StoreError;
use bellwether_journal::id::{CallNumber, FencingToken, Generation, Position, RunId};
use bellwether_journal::read;
use bellwether_journal::record::{
    Actor, Base as BaseRecord, CallKind, GenerationOpened, GenerationRewound, Policy, Record,
    RunStarted, Status,
};
use bellwether_journal::state::{CallStatus, RunState};
use bellwether_journal::store::Store;
use bellwether_journal::text::{self, Packed};
use bellwether_scripts::{Script as Parsed, Vm};
use serde::{Deserialize, Serialize};

use crate::agent_type::AgentType;
use crate::engine::Engine;
use crate::error::RewindError;
use crate::explain;
use crate::handle::RunHandle;
use crate::observe::Watch;
use crate::options::{ResumeOptions, Script, StartOptions};
use crate::resume::opened;
use crate::run::{self, Opening, Parts, Standing};
use crate::start::{blocking, check_args, checked_args};
use crate::vm::Suspect;

/// How a run is rewound: what changes, and what is reused.
///
/// ```
/// use bellwether::{RewindOptions, Script};
///
/// let edited = Script::text("export const meta = { name: 'one', description: 'One' }\nreturn 1");
/// let options = RewindOptions::new().script(edited).by("the night shift");
/// assert!(!options.keep_failed);
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct RewindOptions {
    /// Another script; `None` keeps the one that the run has.
    pub script: Option<Script>,
    /// Other arguments, as JSON text; `None` keeps them.
    pub args: Option<String>,
    /// How a call is known again.
    pub reuse: Reuse,
    /// Whether calls that failed or were cancelled are reused like those that completed.
    pub keep_failed: bool,
    /// Agents that run again though nothing they depend on has changed: numbers of calls of the newest generation.
    pub again: Vec<CallNumber>,
    /// Agent types from here on; `None` keeps those of the run's start.
    pub agent_types: Option<Vec<AgentType>>,
    /// Workflows that can be called by name from here on; `None` keeps those of the run's start.
    pub workflows: Option<BTreeMap<String, PathBuf>>,
    /// Whether a merge that was done may be done again.
    pub repeat_merges: bool,
    /// The run's limits from here on, who wants it, and whether events are kept for a reader.
    pub resume: ResumeOptions,
    /// Why, for a person.
    pub reason: Option<String>,
}

/// By what a call of the generation before is known again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Reuse {
    /// By its content and by all that the code that makes it had waited for: a call runs again exactly when one of the two has changed.
    #[default]
    Causal,
    /// By its place: all calls before the first that differs, in the order in which they were made.
    Prefix,
    /// By its content alone.
    All,
}

impl Reuse {
    const fn policy(self) -> Policy {
        match self {
            Self::Causal => Policy::Causal,
            Self::Prefix => Policy::Prefix,
            Self::All => Policy::ReuseAll,
        }
    }
}

impl RewindOptions {
    /// Changes nothing: what failed or has no answer runs again, and what waited for it.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on with another script.
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.script = Some(script);
        self
    }

    /// Goes on with other arguments: JSON text.
    #[must_use]
    pub fn args_text(mut self, args: impl Into<String>) -> Self {
        self.args = Some(args.into());
        self
    }

    /// Says by what a call is known again.
    #[must_use]
    pub const fn reuse(mut self, reuse: Reuse) -> Self {
        self.reuse = reuse;
        self
    }

    /// Reuses failures, too.
    #[must_use]
    pub const fn keep_failed(mut self) -> Self {
        self.keep_failed = true;
        self
    }

    /// Runs these agents again.
    #[must_use]
    pub fn again(mut self, calls: impl IntoIterator<Item = CallNumber>) -> Self {
        self.again.extend(calls);
        self
    }

    /// Says who wants it, for the record.
    #[must_use]
    pub fn by(mut self, who: impl Into<String>) -> Self {
        self.resume.by = Some(who.into());
        self
    }
}

/// From where a generation is rewound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct From {
    /// The run whose generation is the base.
    pub(crate) run: RunId,
    /// The call of its newest generation before which the base ends; `None` takes all of it.
    pub(crate) before: Option<CallNumber>,
    /// The run that gets the new generation: a new one for a fork.
    pub(crate) to: RunId,
}

/// All that a new generation begins with, before anything is journaled.
pub(crate) struct Prepared {
    /// The run that gets it, as it is.
    pub(crate) state: RunState,
    pub(crate) options: StartOptions,
    pub(crate) script: Parsed,
    pub(crate) args: Option<Packed>,
    source: Packed,
    pub(crate) script_path: Option<PathBuf>,
    pub(crate) working_directory: PathBuf,
    pub(crate) base: Arc<Base>,
    /// The same without its cut: what calls answered then.
    pub(crate) answers: Arc<Base>,
    cut: Position,
    pub(crate) rules: Rules,
    /// Seed and time of the base's first turn.
    pub(crate) seed: [u8; 32],
    pub(crate) time: u64,
    pub(crate) budget_total: Option<u64>,
    started: Arc<RunStarted>,
}

/// Reads what a rewind begins with, and checks all that can be checked before.
///
/// # Errors
/// [`RewindError`]; nothing has changed then.
pub(crate) async fn prepare(
    engine: &Engine,
    from: From,
    change: &RewindOptions,
) -> Result<Prepared, RewindError> {
    let store = Arc::clone(&engine.0.surroundings().store);
    let reading = blocking(move || read_base(store.as_ref(), from)).await?;
    let Read {
        state,
        mut options,
        source,
        args,
        base,
        whole,
        cut,
    } = reading.ok_or(RewindError::Unknown(from.run))?;
    let generation = state
        .generation
        .clone()
        .ok_or(RewindError::Unknown(from.run))?;
    let started = state
        .started
        .clone()
        .ok_or(RewindError::Unknown(from.run))?;
    for call in &change.again {
        if base.call(*call).is_none() {
            return Err(RewindError::NoSuchAgent {
                run: from.run,
                call: *call,
            });
        }
    }
    if let Some(types) = &change.agent_types {
        options.agent_types.clone_from(types);
    }
    if let Some(workflows) = &change.workflows {
        options.workflows.clone_from(workflows);
    }
    options.concurrency = state.limits.concurrency.or(options.concurrency);
    options.max_agents = state.limits.agents.or(options.max_agents);
    take_limits(&mut options, &change.resume);
    options.environment.clone_from(&change.resume.environment);
    options.repeat_merges = change.repeat_merges;
    let vm_limits = run::vm_limits(&options, &change.resume);
    let args = match &change.args {
        Some(args) => {
            Some(checked_args(args).map_err(|error| RewindError::Refused(error.to_string()))?)
        }
        None => args,
    };
    let (source, script_path) = match &change.script {
        Some(script) => {
            let path = script.path.as_ref();
            let path = path.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
            (Arc::from(script.source.as_str()), path)
        }
        None => (source, started.script_path.as_ref().map(PathBuf::from)),
    };
    let file = run::file_name(script_path.as_deref());
    let text = Arc::clone(&source);
    let is_edited = change.script.is_some();
    let script = tokio::task::spawn_blocking(move || {
        let mut limits = vm_limits;
        if !is_edited {
            // What was accepted once may be longer than the limits of today.
            limits.source_bytes = usize::MAX;
        }
        bellwether_scripts::parse(&text, &file, &limits)
    });
    let script = script
        .await
        .map_err(|error| RewindError::Refused(format!("the script's parser failed: {error}")))?
        .map_err(|refusal| RewindError::Refused(refusal.to_string()))?;
    if let Some(schema) = &script.meta().args_schema {
        check_args(schema, args.as_deref())
            .map_err(|error| RewindError::Refused(error.to_string()))?;
    }
    options.args = args.as_deref().map(str::to_owned);
    let rules = Rules {
        policy: change.reuse.policy(),
        keep_failed: change.keep_failed,
        dirty: change.again.iter().copied().collect(),
    };
    let budget_total = options.budget;
    let base = Arc::new(base);
    let answers = whole.map_or_else(|| Arc::clone(&base), Arc::new);
    let state = if from.to == from.run {
        state
    } else {
        RunState::new(from.to)
    };
    Ok(Prepared {
        working_directory: PathBuf::from(&started.working_directory),
        state,
        options,
        script,
        args: args.map(text::pack_shared),
        source: text::pack_shared(source),
        script_path,
        base,
        answers,
        cut,
        rules,
        seed: generation.seed,
        time: generation.time,
        budget_total,
        started,
    })
}

/// The limits that change hold for as long as the generation does.
fn take_limits(options: &mut StartOptions, change: &ResumeOptions) {
    options.concurrency = change.concurrency.or(options.concurrency);
    options.max_agents = change.max_agents.or(options.max_agents);
    options.max_items = change.max_items.or(options.max_items);
    change.rebudget(options);
    options.script_limits = change.script_limits.or(options.script_limits);
}

struct Read {
    state: RunState,
    options: StartOptions,
    source: Arc<str>,
    args: Option<Arc<str>>,
    base: Base,
    /// Without the cut, where there is one.
    whole: Option<Base>,
    cut: Position,
}

fn read_base(store: &dyn Store, from: From) -> Result<Option<Read>, StoreError> {
    let run = from.run;
    let Some(summary) = read::summary(store, run)? else {
        return Ok(None);
    };
    let Some((_, options)) = opened(store, run, summary.generation)? else {
        return Ok(None);
    };
    let state = read::load_state(store, run)?;
    let Some(generation) = &state.generation else {
        return Ok(None);
    };
    let text = |text| read::resolve(store, run, generation.opened, text);
    let source = text(&generation.script)?;
    let args = generation.args.as_ref().map(text).transpose()?;
    let cut = from.before.and_then(|call| state.call(call));
    let cut = cut.map_or(state.next, |call| call.scheduled);
    let base = Base::read(store, run, generation.number, cut)?;
    let whole = (cut < state.next)
        .then(|| Base::read(store, run, generation.number, state.next))
        .transpose()?;
    Ok(Some(Read {
        state,
        options,
        source,
        args,
        base,
        whole,
        cut,
    }))
}

impl Prepared {
    /// What the run leaves at work when it is rewound without being stopped ([`rewind_live`]).
    pub(crate) fn left(&self, engine: &Engine) -> Left {
        let state = &self.state;
        let goes_on = matches!(state.status, Status::Running | Status::Waiting);
        let is_merging = state
            .unsettled()
            .any(|(_, call)| call.kind == CallKind::Merge && call.status == CallStatus::Running);
        if !goes_on || is_merging || engine.run(state.id).is_none() {
            return Left::default();
        }
        let generation = self.base.generation;
        Left::recorded(state, |call, attempt| FencingToken {
            epoch: engine.0.epoch,
            run: state.id,
            generation,
            call,
            attempt,
        })
    }

    /// The records with which the generation begins, and the texts that leave them.
    pub(crate) fn records(
        &self,
        engine: &Engine,
        change: &RewindOptions,
    ) -> Result<(Vec<Record>, Vec<Packed>), RewindError> {
        let by = &change.resume.by;
        let actor = by.clone().map_or(Actor::Engine, Actor::Caller);
        let options = serde_json::to_string(&self.options)
            .map_err(|error| RewindError::Refused(error.to_string()))?;
        let options = text::pack_shared(options.into());
        let script_path = self.script_path.as_ref();
        let script_path = script_path.map(|path| path.to_string_lossy().into_owned());
        let mut dirty: Vec<CallNumber> = self.rules.dirty.iter().copied().collect();
        dirty.sort_unstable();
        let number = self.state.generation.as_ref();
        let opened = GenerationOpened {
            number: number.map_or(Generation(1), |open| open.number.next()),
            base: Some(BaseRecord {
                run: self.base.run,
                generation: self.base.generation,
                cut: self.cut,
            }),
            script: self.source.stored.clone(),
            args: self.args.as_ref().map(|args| args.stored.clone()),
            vm_identity: Vm::identity(),
            seed: self.seed,
            time: self.time,
            dirty,
            policy: self.rules.policy,
            budget_total: self.budget_total,
        };
        let rewound = GenerationRewound {
            opened,
            keep_failed: self.rules.keep_failed,
            options: options.stored.clone(),
            script_path: script_path.clone(),
            epoch: engine.0.epoch,
            by: actor,
            reason: change.reason.clone(),
        };
        let mut records = Vec::new();
        if self.state.started.is_none() {
            let started = RunStarted {
                options: options.stored.clone(),
                script_path,
                started_by: by.clone().unwrap_or_default(),
                ..self.started.as_ref().clone()
            };
            records.push(Record::RunStarted(Box::new(started)));
        }
        records.push(Record::GenerationRewound(Box::new(rewound)));
        let packed = [Some(options), Some(self.source.clone()), self.args.clone()];
        Ok((records, packed.into_iter().flatten().collect()))
    }
}

/// Begins a new generation. The caller holds the lock, and the run is not live.
pub(crate) async fn rewind(
    engine: &Engine,
    from: From,
    change: RewindOptions,
) -> Result<RunHandle, RewindError> {
    let gone = |error: &dyn ToString| StoreError::Io(error.to_string());
    engine.0.tree.drain().await.map_err(|error| gone(&error))?;
    let prepared = prepare(engine, from, &change).await?;
    refuse_repeats(engine, &prepared, &change).await?;
    let watch = engine.watch(from.to);
    if change.resume.watched {
        watch.keep_for_the_first();
    }
    let store = Arc::clone(&engine.0.surroundings().store);
    let handle = RunHandle::new(from.to, store, Arc::clone(&watch));
    let arguments = arguments(engine, prepared, &change, &watch)?;
    handle.set_changed(change.resume);
    engine.supervise(&handle, arguments).await?;
    Ok(handle)
}

/// Begins a new generation of a run that is live, without stopping it: agents at work go on where the new generation asks for
/// the same. The caller holds the lock. `false` when it must be stopped first.
pub(crate) async fn rewind_live(
    engine: &Engine,
    live: &RunHandle,
    change: &RewindOptions,
) -> Result<bool, RewindError> {
    let run = live.id();
    let from = From {
        run,
        before: None,
        to: run,
    };
    // What cannot be done is refused before the run stands still for it.
    let gone = |error: &dyn ToString| StoreError::Io(error.to_string());
    engine.0.tree.drain().await.map_err(|error| gone(&error))?;
    let prepared = prepare(engine, from, change).await?;
    refuse_repeats(engine, &prepared, change).await?;
    let Some(standstill) = live.stand_still().await else {
        return Ok(false);
    };
    let prepared = prepare(engine, from, change).await?;
    refuse_repeats(engine, &prepared, change).await?;
    let arguments = arguments(engine, prepared, change, live.watch())?;
    let began = standstill.begin(arguments).await;
    let began = began.map_err(|error| gone(&error))?;
    if began {
        live.set_changed(change.resume.clone());
    }
    Ok(began)
}

/// A merge that was done is not done again unless that is allowed.
async fn refuse_repeats(
    engine: &Engine,
    prepared: &Prepared,
    change: &RewindOptions,
) -> Result<(), RewindError> {
    let may_repeat = change.repeat_merges
        || !prepared
            .base
            .calls
            .iter()
            .any(|call| call.kind == CallKind::Merge && call.end == BaseEnd::Completed);
    if may_repeat {
        return Ok(());
    }
    let explanation = explain::of(engine, prepared, change).await?;
    if explanation.repeats.is_empty() {
        Ok(())
    } else {
        Err(RewindError::Repeats(explanation.repeats))
    }
}

/// What the supervisor of the new generation begins with.
fn arguments(
    engine: &Engine,
    prepared: Prepared,
    change: &RewindOptions,
    watch: &Arc<Watch>,
) -> Result<Box<Arguments>, RewindError> {
    let (records, packed) = prepared.records(engine, change)?;
    let run = prepared.state.id;
    let rules = run::rules(engine, &prepared.options, run, &prepared.working_directory);
    let parts = Parts {
        rules: rules.map_err(RewindError::Backend)?,
        caps: run::caps(&prepared.options, &change.resume),
        workflows: prepared.options.workflows.clone(),
        vm_limits: run::vm_limits(&prepared.options, &change.resume),
        working_directory: prepared.working_directory.clone(),
        script_path: prepared.script_path.clone(),
        time_limit: prepared.options.timeout_ms,
        repeat_merges: change.repeat_merges,
        abandoned: Arc::default(),
        vms: Arc::clone(&engine.0.vms),
        suspect: Suspect::default(),
    };
    let opening = Opening {
        script: prepared.script,
        args: prepared.args.as_ref().map(|args| Arc::clone(&args.text)),
        seed: prepared.seed,
        time: prepared.time,
        budget_total: prepared.budget_total,
    };
    let by = change.resume.by.clone();
    let by = by.map_or(Actor::Engine, Actor::Caller);
    let beginning = Beginning::New(records, packed, parts.begin_vm(opening), by);
    let rewind = Rewind::new(prepared.base, prepared.rules).repeating_merges(change.repeat_merges);
    let keys = parts.keys();
    let standing = Standing {
        rewind: Some(rewind),
        ..Standing::at_the_beginning(prepared.state, keys)
    };
    Ok(parts.arguments(engine, watch, standing, beginning))
}
