//! What the options of a call mean in a run: merged with its agent type, checked before anything is spent (A03), and
//! turned into the backend that does the work.
//!
//! Backends are wrapped here, from the inside out: `Isolated(Placed(Limited(Metered(Checked(backend)))))`. A worktree and a limit
//! of time so hold for all answers that are asked for until one fits.

pub(crate) mod bounds;
mod given;
mod limited;
mod placed;

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bellwether_actors::backend::{AgentBackend, AgentOptions};
#[cfg(feature = "gateway")]
use bellwether_actors::run::budget::{Allowance, spent};
use bellwether_actors::run::keys::{Backends, Refusal, Resolution, Resolve, options_of_content};
#[cfg(feature = "gateway")]
use bellwether_journal::id::RunId;
use bellwether_journal::record::CallKind;
use bellwether_journal::state::RunState;
use serde_json::{Map, Value};

use self::given::Given;
use self::limited::Limited;
pub use self::limited::Stall;
pub(crate) use self::limited::Time;
use self::placed::Placed;
use crate::agent_type::{AgentType, built_in, may_write, unnamed};
#[cfg(feature = "gateway")]
use crate::models::{Hub, Metered, Names, NoModel, Till};
use crate::options::Isolate;
#[cfg(feature = "gateway")]
use crate::options::StartOptions;
use crate::schema::{Checked, Schema};

/// So many names of agent types are listed in an error, and of fields in a notice.
const NAMES_LISTED_MAX: usize = 20;
/// So many different schemas are kept; a script that has more pays for compiling them again.
const REMEMBERED_SCHEMAS_MAX: usize = 64;
/// Names are near from this likeness on (Jaro-Winkler, 0 to 1).
const LIKENESS_MIN: f64 = 0.8;
/// As much of a name that nobody knows is repeated, in characters.
const NAME_SHOWN_MAX: usize = 100;
/// How it begins to be told where what has a name is found.
pub(crate) const COME_FROM: &str = "they come from";
const WORKTREE: &str = "worktree";
/// The backend that makes all answers up.
const DRY: &str = "dry";
const ALL_TOOLS: &str = "*";
const EFFORTS: [&str; 5] = ["low", "medium", "high", "xhigh", "max"];

/// Gives a backend's agents a worktree each.
pub(crate) type Isolated =
    Arc<dyn Fn(Arc<dyn AgentBackend>) -> Arc<dyn AgentBackend> + Send + Sync>;

/// The backend of a type's own command; why there is none.
pub(crate) type Made = Result<Arc<dyn AgentBackend>, String>;

/// A run's rules. One value serves the run from its start to its end in this engine, so that processes which an agent
/// type's own command keeps are the same for all its calls.
pub(crate) struct RunRules {
    schemas: Mutex<HashMap<String, Arc<Schema>>>,
    backends: Backends,
    types: HashMap<String, Known>,
    isolate: Isolate,
    steps: Steps,
    /// The model of agents that name none.
    model: Option<String>,
    /// The effort of agents that name none.
    effort: Option<String>,
    #[cfg(feature = "gateway")]
    models: Option<Modelled>,
}

/// What of a run's rules needs the gateway.
#[cfg(feature = "gateway")]
struct Modelled {
    hub: Arc<Hub>,
    names: Names,
    till: Arc<Till>,
    budget: Allowance,
}

/// What of a run's rules needs git.
#[derive(Default)]
pub(crate) struct Steps {
    /// Without it a call that is to be isolated is refused.
    pub(crate) isolated: Option<Isolated>,
    /// Without it `merge` is refused.
    pub(crate) merge: Option<Merge>,
    /// The script may merge.
    pub(crate) may_merge: bool,
}

/// Makes what does a merge with these options.
pub(crate) type Merge =
    Arc<dyn Fn(Map<String, Value>) -> Result<Arc<dyn AgentBackend>, Refusal> + Send + Sync>;

/// An agent type of the run.
struct Known {
    definition: AgentType,
    is_built_in: bool,
    /// What its own command makes, if it has one; or why it makes nothing.
    own: Option<Made>,
}

impl RunRules {
    /// The rules over these backends and types. Of several types with one name the first counts. `make` makes the backend of a
    /// type's own command.
    pub(crate) fn new(
        backends: Backends,
        types: &[AgentType],
        isolate: Isolate,
        steps: Steps,
        make: &dyn Fn(&AgentType, &[String]) -> Made,
    ) -> Self {
        let mut known = HashMap::new();
        let given = types.iter().cloned().map(|definition| (definition, false));
        for (definition, is_built_in) in given.chain(built_in().map(|built_in| (built_in, true))) {
            known
                .entry(definition.name.clone())
                .or_insert_with(|| Known {
                    own: definition
                        .command
                        .as_ref()
                        .map(|command| make(&definition, command)),
                    definition,
                    is_built_in,
                });
        }
        Self {
            schemas: Mutex::default(),
            backends,
            types: known,
            isolate,
            steps,
            model: None,
            effort: None,
            #[cfg(feature = "gateway")]
            models: None,
        }
    }

    /// The same for a run with a model and an effort of its own.
    pub(crate) fn with_model(mut self, model: Option<String>, effort: Option<String>) -> Self {
        self.model = model;
        self.effort = effort;
        self
    }

    /// The same for a run whose agents reach models by the gateway.
    #[cfg(feature = "gateway")]
    pub(crate) fn with_models(
        mut self,
        hub: Option<&Arc<Hub>>,
        options: &StartOptions,
        run: RunId,
    ) -> Self {
        self.models = hub.map(|hub| Modelled {
            hub: Arc::clone(hub),
            // A run that began where there was no provider may ask those that there are now.
            names: options
                .names
                .clone()
                .filter(|names| !names.providers.is_empty())
                .unwrap_or_else(|| hub.options().names.clone()),
            till: hub.till(run),
            budget: Allowance {
                tokens: options.budget,
                cost: options.budget_cost,
            },
        });
        self
    }

    /// The run begins, or goes on, from here.
    #[cfg_attr(
        not(feature = "gateway"),
        expect(clippy::unused_self, reason = "there is nothing to begin")
    )]
    pub(crate) fn begin(&self, state: &RunState) {
        #[cfg(feature = "gateway")]
        if let Some(models) = &self.models {
            models.till.begin(models.budget, spent(state));
        }
        #[cfg(not(feature = "gateway"))]
        let _ = state;
    }

    /// The model as the backend wants it named.
    #[cfg_attr(
        not(feature = "gateway"),
        expect(
            clippy::unnecessary_wraps,
            reason = "with models a name may lead nowhere"
        )
    )]
    fn model(
        &self,
        named: Option<&String>,
        backend: &dyn AgentBackend,
        notices: &mut Vec<String>,
    ) -> Result<Option<String>, Refusal> {
        let named = model(named).or_else(|| self.model.clone());
        if !backend.takes_resolved_models() {
            return Ok(named);
        }
        #[cfg(feature = "gateway")]
        if let Some(models) = &self.models {
            let refuse = |error: NoModel| Refusal::new("MODEL", format!("agent(): {error}"));
            return match models.names.model(named.as_deref()) {
                Ok(model) => Ok(Some(model.to_string())),
                Err(error @ NoModel::NoneNamed(_)) => Err(refuse(error)),
                Err(error) => {
                    let own = self.model.as_deref();
                    let model = models
                        .names
                        .model(own)
                        .or_else(|_| models.names.model(None));
                    let model = model.map_err(|_| refuse(error.clone()))?;
                    notices.push(format!("agent(): {error}; {model} is asked in its place"));
                    Ok(Some(model.to_string()))
                }
            };
        }
        let _ = notices;
        Ok(named)
    }

    /// The queue that a call stands in with others: its provider's, where its model says which that is, else its backend's.
    #[cfg_attr(
        not(feature = "gateway"),
        expect(clippy::unused_self, reason = "no model says whose it is")
    )]
    fn queue(
        &self,
        name: &str,
        backend: &dyn AgentBackend,
        model: Option<&str>,
    ) -> Option<Arc<str>> {
        if !backend.asks_models() {
            return None;
        }
        #[cfg(feature = "gateway")]
        if let Some(models) = &self.models
            && let Ok(model) = models.names.model(model)
        {
            return Some(model.provider.into());
        }
        let _ = model;
        Some(name.into())
    }

    fn agent(&self, all: &Map<String, Value>) -> Result<Resolution, Refusal> {
        let given = Given::read(all)?;
        let known = match &given.agent_type {
            Some(name) => Some(self.known(name)?),
            None => None,
        };
        let mut notices = Vec::new();
        let default = unnamed();
        let definition = known.map_or(&default, |known| &known.definition);
        notices.extend(known.and_then(notice_of_type));

        let disallowed = united(&definition.disallowed_tools, &given.disallowed_tools);
        let mut options = AgentOptions::default();
        options.effort = match (&given.effort, &definition.effort) {
            (Some(effort), _) => Some(known_effort(effort)?),
            // A word of another program is no reason to refuse its type: nothing depends on it.
            (None, Some(effort)) => known_effort(effort)
                .map_err(|_| notices.push(unknown_effort(definition, effort)))
                .ok(),
            (None, None) => self.effort.clone(),
        };
        options.tools = given
            .tools
            .clone()
            .or_else(|| definition.tools.clone())
            .filter(|tools| !tools.iter().any(|tool| tool == ALL_TOOLS));
        options.isolation = self.isolation(&given, definition, &disallowed)?;
        options.disallowed_tools = disallowed;
        options.max_tokens = given.max_tokens;
        options.max_cost = given.max_cost;
        options.max_turns = given.max_turns.or(definition.max_turns);
        options.retries = given.retries.clone().or_else(|| definition.retries.clone());
        options.env.clone_from(&given.env);
        options.system_prompt.clone_from(&definition.system_prompt);
        options.agent_type.clone_from(&given.agent_type);
        let (name, backend) = self.backend(&given, known)?;
        let named = given.model.as_ref().or(definition.model.as_ref());
        options.model = self.model(named, backend.as_ref(), &mut notices)?;
        notices.extend(backend.notices(&options));
        options.backend.clone_from(&given.backend);

        let queue = self.queue(&name, backend.as_ref(), options.model.as_deref());

        let mut content = Map::new();
        let mut add = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                content.insert(name.to_owned(), value);
            }
        };
        let text = |text: &Option<String>| text.clone().map(Value::from);
        add("schema", given.schema.clone());
        add("model", text(&options.model));
        add("effort", text(&options.effort));
        add("isolation", text(&options.isolation));
        add("agentType", text(&given.agent_type));
        // A type's own tools, prompt and limits stand in the hash of its definition. Those that come with the engine have
        // none: a later version may word them better, and its recoveries must find the calls of this one.
        let hash = known.filter(|known| !known.is_built_in);
        add(
            "agentTypeContent",
            hash.map(|known| known.definition.content_hash().into()),
        );
        add("tools", given.tools.map(Value::from));
        let disallowed = (!given.disallowed_tools.is_empty()).then_some(given.disallowed_tools);
        add("disallowedTools", disallowed.map(Value::from));
        add("cwd", text(&given.cwd));
        add("env", given.env.map(Value::from));
        add("backend", Some(name.into()));
        add("fingerprint", Some(backend.fingerprint().into()));

        #[cfg(feature = "gateway")]
        let asks_models = backend.asks_models()
            && self
                .models
                .as_ref()
                .is_some_and(|models| !models.hub.options().providers.is_empty());
        let mut backend = backend;
        if let Some(schema) = &given.schema {
            backend = Arc::new(Checked::new(backend, self.schema("agent", schema)?));
        }
        #[cfg(feature = "gateway")]
        if let (Some(models), true) = (&self.models, asks_models) {
            let (hub, till) = (Arc::clone(&models.hub), Arc::clone(&models.till));
            backend = Arc::new(Metered::new(backend, hub, till));
        }
        let time = given.time.or(definition.time());
        if time != Time::default() {
            backend = Arc::new(Limited::new(backend, time));
        }
        if let Some(folder) = given.cwd {
            let folder = PathBuf::from(folder);
            if options.isolation.is_some() && leads_out(&folder) {
                let message = format!(
                    "agent(): the option `cwd` is `{}`; with isolation '{WORKTREE}' give a folder within the repository, from where \
                     the run works",
                    folder.display()
                );
                return Err(Refusal::new("OPTIONS", message));
            }
            backend = Arc::new(Placed::new(backend, folder));
        }
        if options.isolation.is_some() {
            let isolated = self.steps.isolated.as_ref().ok_or_else(|| {
                let message = "agent(): isolation 'worktree' needs the engine's feature `worktree`, which this program was built without";
                Refusal::new("ISOLATION", message)
            })?;
            backend = isolated(backend);
        }
        Ok(Resolution {
            options,
            content,
            backend: Ok(backend),
            notices,
            queue,
        })
    }

    /// A question whose schema is none, or whose default does not fit it, is never asked.
    fn ask(&self, all: Map<String, Value>) -> Resolution {
        let checked = match all.get("schema") {
            Some(schema) => self.fits(schema, all.get("default")),
            None => Ok(()),
        };
        let mut resolution = self.backends.resolve(CallKind::Ask, all);
        if let Err(refusal) = checked {
            resolution.backend = Err(refusal);
        }
        resolution
    }

    fn fits(&self, schema: &Value, default: Option<&Value>) -> Result<(), Refusal> {
        let schema = self.schema("ask", schema)?;
        let violations = default.map(|default| schema.violations(default));
        match violations.unwrap_or_default().first() {
            None => Ok(()),
            Some(violation) => {
                let message = format!(
                    "ask(): the default does not fit the schema: {}",
                    violation.message
                );
                Err(Refusal::new("DEFAULT", message))
            }
        }
    }

    /// Whether all answers are made up.
    pub(crate) fn is_dry(&self) -> bool {
        self.backends.get(None).is_ok_and(|(name, _)| name == DRY)
    }

    fn merge(&self, all: Map<String, Value>) -> Resolution {
        let mut content = all.clone();
        // How long a verification may take does not change what it says.
        content.remove("timeout");
        let backend = match &self.steps {
            Steps {
                may_merge: false, ..
            } => Err(Refusal::new(
                "NOT_ALLOWED",
                "merge() is not allowed: allow it with `--allow merge`, or with `merge = true` under `[permissions]` in the settings",
            )),
            Steps {
                merge: Some(merge), ..
            } => merge(all),
            Steps { merge: None, .. } => Err(Refusal::new(
                "NOT_ALLOWED",
                "merge() needs the engine's feature `worktree`, which this program was built without",
            )),
        };
        Resolution {
            options: AgentOptions::default(),
            content,
            backend,
            notices: Vec::new(),
            queue: None,
        }
    }

    /// Who does it: what the call names, else what its type is carried out by, else the run's own.
    fn backend(
        &self,
        given: &Given,
        known: Option<&Known>,
    ) -> Result<(String, Arc<dyn AgentBackend>), Refusal> {
        let of_type = known.filter(|_| given.backend.is_none());
        if let Some(Known {
            own: Some(own),
            definition,
            ..
        }) = of_type
        {
            let backend = own.as_ref().map_err(|error| {
                let message = format!("{}: {error}", definition.shown());
                Refusal::new("AGENT_TYPE", message)
            })?;
            return Ok(("command".to_owned(), Arc::clone(backend)));
        }
        let named_by = of_type.filter(|known| known.definition.backend.is_some());
        let of_type = named_by.and_then(|known| known.definition.backend.as_ref());
        let name = given.backend.as_ref().or(of_type);
        let found = self.backends.get(name.map(String::as_str));
        let (name, backend) = found.map_err(|refusal| match named_by {
            Some(known) => {
                let message = format!("{}: {}", known.definition.shown(), refusal.message);
                Refusal::new(refusal.code, message)
            }
            None => refusal,
        })?;
        Ok((name.to_owned(), Arc::clone(backend)))
    }

    /// Whether the agent works in a worktree of its own: because somebody said so, or because the run isolates all who may
    /// change something.
    fn isolation(
        &self,
        given: &Given,
        definition: &AgentType,
        disallowed: &[String],
    ) -> Result<Option<String>, Refusal> {
        let refused = |whose: &str, isolation: &str| {
            let isolation: String = isolation.chars().take(NAME_SHOWN_MAX).collect();
            let message =
                format!("{whose}: there is no isolation `{isolation}`; there is: {WORKTREE}");
            Refusal::new("UNKNOWN_ISOLATION", message)
        };
        match (&given.isolation, &definition.isolation) {
            (Some(isolation), _) if isolation != WORKTREE => Err(refused("agent()", isolation)),
            // Other than with an effort, going on without would let the agent into the main checkout.
            (None, Some(isolation)) if isolation != WORKTREE => {
                Err(refused(&definition.shown(), isolation))
            }
            (Some(isolation), _) | (None, Some(isolation)) => Ok(Some(isolation.clone())),
            (None, None) => {
                let tools = given.tools.as_deref().or(definition.tools.as_deref());
                let isolate = self.isolate == Isolate::Always && may_write(tools, disallowed);
                Ok(isolate.then(|| WORKTREE.to_owned()))
            }
        }
    }

    /// The schema, compiled. Calls whose options differ otherwise, such as by `key`, mostly share theirs.
    fn schema(&self, of: &str, schema: &Value) -> Result<Arc<Schema>, Refusal> {
        let text = schema.to_string();
        let mut compiled = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = compiled.get(&text) {
            return Ok(Arc::clone(known));
        }
        let schema = Schema::compile(schema).map_err(|malformed| {
            let message = format!("{of}(): the schema is malformed {malformed}");
            Refusal::new("SCHEMA_MALFORMED", message)
        })?;
        if compiled.len() >= REMEMBERED_SCHEMAS_MAX {
            compiled.clear();
        }
        let schema = Arc::new(schema);
        compiled.insert(text, Arc::clone(&schema));
        Ok(schema)
    }

    /// What a call that gives this option, and no other, is refused for. Backends and schemas are not asked about.
    pub(crate) fn refusal_of(&self, name: &str, value: &Value) -> Option<Refusal> {
        let one = Map::from_iter([(name.to_owned(), value.clone())]);
        let refused = || {
            let given = Given::read(&one)?;
            if let Some(name) = &given.agent_type {
                self.known(name)?;
            }
            if let Some(effort) = &given.effort {
                known_effort(effort)?;
            }
            self.isolation(&given, &AgentType::default(), &[])
        };
        refused().err()
    }

    /// The type of this name.
    fn known(&self, name: &str) -> Result<&Known, Refusal> {
        self.types.get(name).ok_or_else(|| {
            let mut names: Vec<&str> = self.types.keys().map(String::as_str).collect();
            names.sort_unstable();
            let near = nearest(name, &names)
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            let more = names.len().saturating_sub(NAMES_LISTED_MAX);
            names.truncate(NAMES_LISTED_MAX);
            let list = names.join(", ");
            let more = match more {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let name: String = name.chars().take(NAME_SHOWN_MAX).collect();
            let message = format!(
                "agent(): there is no agent type `{name}`{near}\n\
                 there is: {list}{more}\n\
                 {COME_FROM} .bellwether/agents/*.md and .claude/agents/*.md, from the working directory up to the \
                 repository's root, and from the personal folders ~/.config/bellwether/agents and ~/.claude/agents"
            );
            Refusal::new("UNKNOWN_AGENT_TYPE", message)
        })
    }
}

impl Resolve for RunRules {
    fn resolve(&self, kind: CallKind, all: Map<String, Value>) -> Resolution {
        match kind {
            CallKind::Agent => self.agent(&all).unwrap_or_else(|refusal| Resolution {
                options: AgentOptions::default(),
                content: options_of_content(&all),
                backend: Err(refusal),
                notices: Vec::new(),
                queue: None,
            }),
            CallKind::Merge => self.merge(all),
            CallKind::Ask => self.ask(all),
            _ => self.backends.resolve(kind, all),
        }
    }
}

/// Whether a path leads, or may lead, out of the folder that it starts from.
fn leads_out(path: &Path) -> bool {
    path.components()
        .any(|part| !matches!(part, Component::Normal(_) | Component::CurDir))
}

/// `inherit` is the run's own model, as if none were named.
fn model(name: Option<&String>) -> Option<String> {
    name.filter(|name| !name.eq_ignore_ascii_case("inherit"))
        .cloned()
}

fn known_effort(effort: &str) -> Result<String, Refusal> {
    if EFFORTS.contains(&effort) {
        return Ok(effort.to_owned());
    }
    let effort: String = effort.chars().take(NAME_SHOWN_MAX).collect();
    let message = format!(
        "agent(): there is no effort `{effort}`; there is: {}",
        EFFORTS.join(", ")
    );
    Err(Refusal::new("UNKNOWN_EFFORT", message))
}

fn unknown_effort(definition: &AgentType, effort: &str) -> String {
    format!(
        "{}: the effort `{effort}` is not known and has no effect; there is: {}",
        definition.shown(),
        EFFORTS.join(", ")
    )
}

/// What of a type reaches no agent.
fn notice_of_type(known: &Known) -> Option<String> {
    let definition = &known.definition;
    let short = |name: &String| name.chars().take(NAME_SHOWN_MAX).collect();
    let unread = definition.unread.iter().take(NAMES_LISTED_MAX);
    let mut idle: Vec<String> = unread.map(short).collect();
    if definition.permission_mode.is_some() {
        idle.push("permissionMode".to_owned());
    }
    if definition.mcp_servers.is_some() {
        idle.push("mcpServers".to_owned());
    }
    (!idle.is_empty()).then(|| {
        let verb = if idle.len() == 1 { "has" } else { "have" };
        format!(
            "{}: `{}` {verb} no effect",
            definition.shown(),
            idle.join("`, `")
        )
    })
}

/// What is forbidden by either stays forbidden.
fn united(one: &[String], other: &[String]) -> Vec<String> {
    let mut all = one.to_vec();
    all.extend(other.iter().filter(|tool| !one.contains(tool)).cloned());
    all
}

/// The name that is nearest, with the plugin's in front or without, if one is near.
pub(crate) fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        let last = candidate.rsplit(':').next().unwrap_or_default();
        strsim::jaro_winkler(&wanted, &candidate).max(strsim::jaro_winkler(&wanted, last))
    };
    names
        .iter()
        .map(|candidate| (likeness(candidate), *candidate))
        .filter(|(likeness, _)| *likeness > LIKENESS_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests;
