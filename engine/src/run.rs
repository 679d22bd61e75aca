//! What starting and resuming have in common: from a run's options to its backends, caps and VM.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bellwether_actors::backend::{AgentBackend, Progress};
use bellwether_actors::observe::Observer as _;
use bellwether_actors::orchestrator;
use bellwether_actors::run::budget::Allowance;
use bellwether_actors::run::keys::{Backends, Keys};
use bellwether_actors::run::machine::{Armed, Caps, Machine};
use bellwether_actors::run::rewind::Rewind;
use bellwether_actors::run::supervisor::{Arguments, Beginning, LoadScript, MakeVm};
use bellwether_actors::run::version::Pures;
use bellwether_journal::error::{Damage, StoreError};
use bellwether_journal::id::{RunId, TimerNumber};
use bellwether_journal::read;
use bellwether_journal::record::{Millis, RunLimits};
use bellwether_journal::state::RunState;
use bellwether_scripts::{Limits as VmLimits, Script as Parsed, Start};
use tokio::sync::mpsc;

use crate::agent_type::AgentType;
use crate::bundled::bundled;
use crate::engine::Engine;
use crate::observe::Watch;
use crate::options::{AgentInput, ResumeOptions, StartOptions, default_concurrency};
use crate::resolve::{COME_FROM, RunRules, Steps};
use crate::vm::{Suspect, Vms};

/// Agents of a run in all, where nothing else is said (C01).
const AGENTS: u64 = 1_000;
/// Progress reports that wait for their reader; beyond that they are shed.
const PROGRESS_WAITING: usize = 256;
/// A script's stack lies on a thread of the runtime, which has 2 MiB where nobody says otherwise; a larger limit would
/// not be one.
const STACK_BYTES_MAX: usize = 1 << 20;
/// A workflow's script may have so many bytes when it is read; the VM's own limit refuses less.
const SCRIPT_BYTES_MAX: u64 = 4 << 20;
/// So deep workflows may call workflows, whatever is asked for (W03).
const NESTING_MAX: u32 = 5;
/// So many names of workflows are listed in an error, and as much of a name is repeated, in characters.
const NAMES_LISTED_MAX: usize = 20;
const NAME_SHOWN_MAX: usize = 100;

/// Agents at once, where nothing else is said (C01).
fn concurrency() -> usize {
    default_concurrency(std::thread::available_parallelism().map_or(2, usize::from))
}

pub(crate) fn caps(options: &StartOptions, changed: &ResumeOptions) -> Caps {
    let concurrency = match changed.concurrency.or(options.concurrency) {
        Some(0) => None,
        Some(limit) => Some(limit as usize),
        None => Some(concurrency()),
    };
    Caps {
        concurrency,
        agents: changed.max_agents.or(options.max_agents).unwrap_or(AGENTS),
        budget: Allowance {
            tokens: options.budget,
            cost: options.budget_cost,
        },
    }
}

/// The caps of a run that is taken up: those that were set while it went on hold, unless it is resumed with others.
pub(crate) fn caps_set(caps: Caps, set: RunLimits, changed: &ResumeOptions) -> Caps {
    let concurrency = set.concurrency.filter(|_| changed.concurrency.is_none());
    let agents = set.agents.filter(|_| changed.max_agents.is_none());
    Caps {
        concurrency: match concurrency {
            Some(0) => None,
            Some(limit) => Some(limit as usize),
            None => caps.concurrency,
        },
        agents: agents.unwrap_or(caps.agents),
        budget: caps.budget,
    }
}

pub(crate) fn vm_limits(options: &StartOptions, changed: &ResumeOptions) -> VmLimits {
    let mut limits = VmLimits::default();
    if let Some(items) = changed.max_items.or(options.max_items) {
        limits.items_max = items;
    }
    if let Some(levels) = options.nesting {
        limits.nesting = levels.clamp(1, NESTING_MAX);
    }
    limits.parse_args_text = !options.args_as_text;
    let script = changed.script_limits.or(options.script_limits);
    if let Some(bytes) = script.source_bytes {
        limits.source_bytes = bytes;
    }
    if let Some(bytes) = script.heap_bytes {
        limits.heap_bytes = bytes;
    }
    if let Some(bytes) = script.stack_bytes {
        limits.stack_bytes = bytes.min(STACK_BYTES_MAX);
    }
    if let Some(milliseconds) = script.turn_cpu_ms {
        limits.turn_cpu = Duration::from_millis(milliseconds);
    }
    limits
}

/// What the options of the run's calls mean: its backends, its agent types, and the rules over them.
///
/// # Errors
/// Which backend is missing, and what there is.
pub(crate) fn rules(
    engine: &Engine,
    options: &StartOptions,
    run: RunId,
    folder: &Path,
) -> Result<Arc<RunRules>, String> {
    let make = |definition: &AgentType, command: &[String]| {
        let input = definition.agent_input.unwrap_or(options.agent_input);
        command_backend(engine, command, input, options, folder)
    };
    let backends = backends(engine, options, folder)?;
    let steps = steps(engine, options, run, folder);
    let rules = RunRules::new(
        backends,
        &options.agent_types,
        options.isolate,
        steps,
        &make,
    );
    let rules = rules.with_model(options.model.clone(), options.effort.clone());
    #[cfg(feature = "gateway")]
    let rules = rules.with_models(engine.0.models.as_ref(), options, run);
    Ok(Arc::new(rules))
}

/// What of a run's rules needs git.
#[cfg(feature = "worktree")]
fn steps(engine: &Engine, options: &StartOptions, run: RunId, folder: &Path) -> Steps {
    let isolation = crate::isolation::Isolation::new(&engine.0.ground, run, folder, options);
    let merging = Arc::clone(&isolation);
    Steps {
        isolated: Some(Arc::new(move |inner| isolation.isolated(inner))),
        merge: Some(Arc::new(move |options| merging.merge(options))),
        may_merge: options.permissions.merge,
    }
}

#[cfg(not(feature = "worktree"))]
fn steps(_engine: &Engine, options: &StartOptions, _run: RunId, _folder: &Path) -> Steps {
    Steps {
        may_merge: options.permissions.merge,
        ..Steps::default()
    }
}

/// The backends that a run may name, and the one that serves its calls.
///
/// # Errors
/// Which one is missing, and what there is.
fn backends(engine: &Engine, options: &StartOptions, folder: &Path) -> Result<Backends, String> {
    let mut by_name: HashMap<String, Arc<dyn AgentBackend>> = engine.0.backends.clone();
    #[cfg(feature = "llm")]
    if let Some(shared) = &engine.0.llm {
        let switches = crate::backend::llm::tools::Switches {
            shell: options.permissions.shell,
            web_fetch: options.permissions.web_fetch,
        };
        let settings = crate::backend::llm::Settings {
            switches,
            environment: options.environment.clone(),
        };
        let llm = crate::backend::llm::Llm::new(Arc::clone(shared), settings);
        by_name
            .entry("llm".to_owned())
            .or_insert_with(|| Arc::new(llm));
    }
    let default = match (&options.agent_command, &options.backend) {
        (Some(command), name) => {
            let name = name.clone().unwrap_or_else(|| "command".to_owned());
            let backend = command_backend(engine, command, options.agent_input, options, folder)?;
            by_name.insert(name.clone(), backend);
            name
        }
        (None, Some(name)) if by_name.contains_key(name) => name.clone(),
        (None, Some(name)) => {
            let mut known: Vec<&str> = by_name.keys().map(String::as_str).collect();
            known.sort_unstable();
            return Err(format!(
                "there is no backend `{name}`; there is: {}",
                known.join(", ")
            ));
        }
        (None, None) => {
            return Err(
                "no backend is named: say `backend` (such as `dry`) or `agent_command`".to_owned(),
            );
        }
    };
    Ok(Backends::new(by_name, default))
}

#[cfg(feature = "command")]
fn command_backend(
    engine: &Engine,
    command: &[String],
    input: AgentInput,
    options: &StartOptions,
    folder: &Path,
) -> Result<Arc<dyn AgentBackend>, String> {
    let clock = &engine.0.surroundings().clock;
    crate::processes::command_backend(&engine.0.launcher, clock, command, input, options, folder)
}

#[cfg(not(feature = "command"))]
fn command_backend(
    _engine: &Engine,
    _command: &[String],
    _input: AgentInput,
    _options: &StartOptions,
    _folder: &Path,
) -> Result<Arc<dyn AgentBackend>, String> {
    Err("an agent command needs the engine's feature `command`".to_owned())
}

/// Where a run stands, for its machine.
pub(crate) struct Standing {
    pub(crate) state: RunState,
    pub(crate) keys: Keys,
    pub(crate) timers: BTreeMap<TimerNumber, Armed>,
    pub(crate) rewind: Option<Rewind>,
    pub(crate) pures: Pures,
}

impl Standing {
    /// One whose script has not begun.
    pub(crate) fn at_the_beginning(state: RunState, keys: Keys) -> Self {
        Self {
            state,
            keys,
            timers: BTreeMap::new(),
            rewind: None,
            pures: Pures::default(),
        }
    }
}

/// What the VM of a generation starts from.
pub(crate) struct Opening {
    pub(crate) script: Parsed,
    pub(crate) args: Option<Arc<str>>,
    pub(crate) seed: [u8; 32],
    pub(crate) time: Millis,
    pub(crate) budget_total: Option<u64>,
}

/// Everything of a run's arguments that follows from its options.
pub(crate) struct Parts {
    pub(crate) rules: Arc<RunRules>,
    pub(crate) caps: Caps,
    pub(crate) workflows: BTreeMap<String, PathBuf>,
    pub(crate) vm_limits: VmLimits,
    pub(crate) working_directory: PathBuf,
    pub(crate) script_path: Option<PathBuf>,
    pub(crate) time_limit: Option<Millis>,
    /// Whether a merge that the generation before did may be done again.
    pub(crate) repeat_merges: bool,
    /// Set when the run's VM is not wanted any more.
    pub(crate) abandoned: Arc<AtomicBool>,
    pub(crate) vms: Arc<Vms>,
    pub(crate) suspect: Suspect,
}

impl Parts {
    pub(crate) fn keys(&self) -> Keys {
        Keys::new(Arc::clone(&self.rules) as Arc<_>)
    }

    /// The run's arguments for the tree.
    pub(crate) fn arguments(
        self,
        engine: &Engine,
        watch: &Arc<Watch>,
        standing: Standing,
        beginning: Beginning,
    ) -> Box<Arguments> {
        let Standing {
            state,
            keys,
            timers,
            rewind,
            pures,
        } = standing;
        let make_vm = self.make_vm();
        self.rules.begin(&state);
        let (state_id, is_dry) = (state.id, self.rules.is_dry());
        let rules = Arc::clone(&self.rules);
        Box::new(Arguments {
            surroundings: engine.0.surroundings().clone(),
            machine: Machine::new(state, engine.0.epoch, self.caps, keys, timers)
                .with_rewind(rewind)
                .with_pures(pures),
            beginning,
            make_vm,
            make_keys: Arc::new(move || Keys::new(Arc::clone(&rules) as Arc<_>)),
            load_script: load_script(self.working_directory.clone(), self.workflows),
            tell_asked: crate::approve::tell_asked(engine, state_id, is_dry),
            observer: Arc::clone(watch) as Arc<_>,
            progress: progress(watch),
            working_directory: self.working_directory,
            grace: engine.0.limits.stop_grace,
            time_limit: self.time_limit,
            vm_idle: engine.0.limits.vm_idle,
            abandoned: self.abandoned,
        })
    }

    /// Makes the VM of a generation that begins.
    pub(crate) fn begin_vm(&self, opening: Opening) -> orchestrator::Start {
        let (limits, abandoned) = (self.vm_limits.clone(), Arc::clone(&self.abandoned));
        let (vms, suspect) = (Arc::clone(&self.vms), Arc::clone(&self.suspect));
        Box::new(move || {
            let start = Start {
                script: &opening.script,
                args: opening.args.as_deref(),
                limits: &limits,
                seed: opening.seed,
                time: opening.time,
                budget_total: opening.budget_total,
            };
            vms.start(&start, abandoned, &suspect)
        })
    }

    /// Makes the run's VM from what its records say.
    pub(crate) fn make_vm(&self) -> MakeVm {
        let (limits, path) = (self.vm_limits.clone(), self.script_path.clone());
        let abandoned = Arc::clone(&self.abandoned);
        let (vms, suspect) = (Arc::clone(&self.vms), Arc::clone(&self.suspect));
        Arc::new(move |state, store| {
            let damage = |what: &str| Damage::new(format!("run {}: {what}", state.id));
            let generation = state
                .generation
                .as_ref()
                .ok_or_else(|| damage("it has no generation"))?;
            let text = |text| read::resolve(store, state.id, generation.opened, text);
            let source = text(&generation.script)?;
            let args = generation.args.as_ref().map(text).transpose()?;
            // What was accepted once may be longer than the limits of today.
            let mut parsing = limits.clone();
            parsing.source_bytes = usize::MAX;
            let script = bellwether_scripts::parse(&source, &file_name(path.as_deref()), &parsing)
                .map_err(|refusal| StoreError::from(damage(&refusal.to_string())))?;
            let args = args.as_deref();
            let start = Start {
                script: &script,
                args,
                limits: &limits,
                seed: generation.seed,
                time: generation.time,
                budget_total: generation.budget_total,
            };
            Ok(vms.start(&start, Arc::clone(&abandoned), &suspect)?)
        })
    }
}

/// The script's file as errors name it.
pub(crate) fn file_name(path: Option<&Path>) -> String {
    path.map_or_else(
        || "workflow.js".to_owned(),
        |path| path.to_string_lossy().into_owned(),
    )
}

/// Where agents' progress goes: to the watchers, past the run's mailbox.
fn progress(watch: &Arc<Watch>) -> Progress {
    let (sender, mut receiver) = mpsc::channel(PROGRESS_WAITING);
    let watch = Arc::clone(watch);
    tokio::spawn(async move {
        while let Some(event) = receiver.recv().await {
            watch.progress(event);
        }
    });
    Progress::new(sender)
}

/// Reads the scripts that `workflow()` names (W01, W02): by their files, or by the names that the run was started with.
pub(crate) fn load_script(folder: PathBuf, workflows: BTreeMap<String, PathBuf>) -> LoadScript {
    Arc::new(move |reference, options| {
        let by: serde_json::Value = serde_json::from_str(options).unwrap_or_default();
        let file = match by["by"].as_str() {
            Some("name") => workflows
                .get(reference)
                .ok_or_else(|| unknown_workflow(reference, &workflows))?,
            _ => Path::new(reference),
        };
        if let Some(source) = bundled(file) {
            let path = file.to_string_lossy();
            return Ok(serde_json::json!({ "source": source, "path": path }).to_string());
        }
        let path = folder.join(file);
        let shown = path.display();
        let length = std::fs::metadata(&path)
            .map_err(|error| format!("workflow file {shown} cannot be read: {error}"))?
            .len();
        if length > SCRIPT_BYTES_MAX {
            return Err(format!(
                "workflow file {shown} has {length} bytes, and {SCRIPT_BYTES_MAX} is the most"
            ));
        }
        let source = std::fs::read_to_string(&path)
            .map_err(|error| format!("workflow file {shown} cannot be read: {error}"))?;
        let path = file.to_string_lossy();
        Ok(serde_json::json!({ "source": source, "path": path }).to_string())
    })
}

/// That there is no workflow of this name, and what there is.
pub(crate) fn unknown_workflow(name: &str, workflows: &BTreeMap<String, PathBuf>) -> String {
    let names: Vec<&str> = workflows.keys().map(String::as_str).collect();
    let near = crate::resolve::nearest(name, &names)
        .map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default();
    let shown: String = name.chars().take(NAME_SHOWN_MAX).collect();
    let list = match names.as_slice() {
        [] => "there is none".to_owned(),
        names => {
            let more = names.len().saturating_sub(NAMES_LISTED_MAX);
            let names = names.iter().take(NAMES_LISTED_MAX).copied();
            let names: Vec<&str> = names.collect();
            match more {
                0 => format!("there is: {}", names.join(", ")),
                more => format!("there is: {} and {more} more", names.join(", ")),
            }
        }
    };
    format!(
        "workflow(): there is no workflow `{shown}`{near}\n{list}\n\
         {COME_FROM} .bellwether/workflows and .claude/workflows, from the working directory up to the repository's root, \
         from the personal folders ~/.config/bellwether/workflows and ~/.claude/workflows, and from plugins; \
         any file is called as workflow({{scriptPath: '…'}})"
    )
}
