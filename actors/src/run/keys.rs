//! By what a call is known: its options resolved, its content, its key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bellwether_journal::id::CallNumber;
use bellwether_journal::key::{self, Context, Digest};
use bellwether_journal::record::{CallKind, FailureKind, Millis};
use bellwether_journal::state::CallState;
use bellwether_journal::text::{self, Packed};
use bellwether_scripts::Call;
use futures_util::future::BoxFuture;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::backend::{AgentBackend, AgentOptions, AttemptContext, Ended, Task};

/// So many different options are remembered; a script that has more pays for reading them again.
const REMEMBERED_OPTIONS_MAX: usize = 256;

/// Options that change the result (R02), besides the backend.
const OPTIONS_OF_CONTENT: [&str; 7] = [
    "schema",
    "model",
    "effort",
    "isolation",
    "agentType",
    "tools",
    "disallowedTools",
];

/// What the options of calls mean in a run: its backends, agent types, rules. Pure: the same options mean the same from a
/// run's start to its end, however often its engine changes.
pub trait Resolve: Send + Sync + 'static {
    /// What a call of this kind with these options is.
    fn resolve(&self, kind: CallKind, options: Map<String, Value>) -> Resolution;
}

/// Options of a question that change its answer.
const OPTIONS_OF_QUESTION: [&str; 3] = ["choices", "schema", "default"];

/// What a call's options mean.
pub struct Resolution {
    /// As the agent gets them.
    pub options: AgentOptions,
    /// What of them changes the answer (R02), and what they stand for.
    pub content: Map<String, Value>,
    /// Who does it; why nobody can.
    pub backend: Result<Arc<dyn AgentBackend>, Refusal>,
    /// What the script's author should hear, once a run each.
    pub notices: Vec<String>,
    /// The provider, or program, that it is done by, whose calls wait together when that takes none for now (A06).
    pub queue: Option<Arc<str>>,
}

/// Why a call is refused before anything is spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The error's `code`.
    pub code: &'static str,
    /// Its message, with the remedy.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }
}

/// Of a call's options those that change the answer, as the script gave them.
#[must_use]
pub fn options_of_content(options: &Map<String, Value>) -> Map<String, Value> {
    some_of(options, &OPTIONS_OF_CONTENT)
}

fn some_of(options: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    names
        .iter()
        .filter_map(|&name| Some((name.to_owned(), options.get(name)?.clone())))
        .collect()
}

/// The backends that a run can name. By themselves they resolve options as they stand.
#[derive(Clone, Default)]
pub struct Backends {
    by_name: HashMap<String, Arc<dyn AgentBackend>>,
    default: String,
}

impl Backends {
    /// Backends by name; `default` serves calls that name none.
    #[must_use]
    pub fn new(
        by_name: HashMap<String, Arc<dyn AgentBackend>>,
        default: impl Into<String>,
    ) -> Self {
        Self {
            by_name,
            default: default.into(),
        }
    }

    /// The backend of this name, or the run's own without one, with its name.
    ///
    /// # Errors
    /// There is none of this name: what there is.
    pub fn get(&self, name: Option<&str>) -> Result<(&str, &Arc<dyn AgentBackend>), Refusal> {
        let name = name.unwrap_or(&self.default);
        self.by_name
            .get_key_value(name)
            .map(|(name, backend)| (name.as_str(), backend))
            .ok_or_else(|| {
                let mut known: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
                known.sort_unstable();
                let known = known.join(", ");
                let message = format!("there is no backend `{name}` (there is: {known})");
                Refusal::new("UNKNOWN_BACKEND", message)
            })
    }
}

/// Who works on a question: no agent does.
struct Person;

impl AgentBackend for Person {
    fn run(&self, _: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        let ended = Ended::failed(FailureKind::Other, "a person answers a question, no agent");
        Box::pin(std::future::ready(ended))
    }
}

impl Resolve for Backends {
    fn resolve(&self, kind: CallKind, all: Map<String, Value>) -> Resolution {
        if kind == CallKind::Ask {
            return Resolution {
                options: AgentOptions::default(),
                content: some_of(&all, &OPTIONS_OF_QUESTION),
                backend: Ok(Arc::new(Person)),
                notices: Vec::new(),
                queue: None,
            };
        }
        let mut content = options_of_content(&all);
        let options: AgentOptions = serde_json::from_value(Value::Object(all)).unwrap_or_default();
        let mut queue = None;
        let backend = self.get(options.backend.as_deref()).map(|(name, backend)| {
            queue = backend.asks_models().then(|| name.into());
            content.insert("backend".to_owned(), name.into());
            content.insert("fingerprint".to_owned(), backend.fingerprint().into());
            Arc::clone(backend)
        });
        Resolution {
            options,
            content,
            backend,
            notices: Vec::new(),
            queue,
        }
    }
}

/// A call's options, read once for all calls that say the same.
pub struct Resolved {
    /// As the agent gets them.
    pub options: AgentOptions,
    /// As the journal keeps them.
    pub packed: Packed,
    /// The call's own identity in place of its prompt.
    pub key: Option<String>,
    /// Who does it; why nobody can.
    pub backend: Result<Arc<dyn AgentBackend>, Refusal>,
    /// What the script's author should hear, once a run each.
    pub notices: Vec<String>,
    queue: Option<Arc<str>>,
    canonical: String,
}

/// Gives calls their keys. Fed with the calls of a generation in their order, it gives the same keys every time.
pub struct Keys {
    rules: Arc<dyn Resolve>,
    options: HashMap<(CallKind, Arc<str>), Arc<Resolved>>,
    occurrences: HashMap<Digest, u32>,
    /// The queue that each call stands in, of those that have one and no answer.
    queues: HashMap<CallNumber, Arc<str>>,
}

/// What a call is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Hash of what it asks for.
    pub content: Digest,
    /// Hash of content, context and occurrence.
    pub key: Digest,
}

impl Keys {
    /// Keys for a generation's calls, from the first on.
    #[must_use]
    pub fn new(rules: Arc<dyn Resolve>) -> Self {
        Self {
            rules,
            options: HashMap::new(),
            occurrences: HashMap::new(),
            queues: HashMap::new(),
        }
    }

    /// The key of the generation's next call, and its options.
    pub fn next(&mut self, call: &Call) -> (Known, Arc<Resolved>) {
        let resolved = self.resolve(call.kind, &call.options);
        let identity = resolved.key.as_deref().unwrap_or(&call.prompt);
        let content = key::content(call.kind.name(), identity, &resolved.canonical);
        let key = self.next_of(content, call.context);
        if let Some(queue) = &resolved.queue {
            self.queues.insert(call.number, Arc::clone(queue));
        }
        (Known { content, key }, resolved)
    }

    /// The queue that a call stands in.
    pub(super) fn queue(&self, call: CallNumber) -> Option<&Arc<str>> {
        self.queues.get(&call)
    }

    /// A call has its answer, and stands in no queue any more.
    pub(super) fn leave_queue(&mut self, call: CallNumber) {
        self.queues.remove(&call);
    }

    /// Of calls that were replayed those that have their answer leave their queues.
    pub(super) fn leave_queues(&mut self, calls: &[CallState]) {
        self.queues.retain(|number, _| {
            let call = calls.get(number.0 as usize);
            call.is_none_or(|call| !call.status.is_settled())
        });
    }

    /// What a timer is known by in a rewind.
    pub fn timer(&mut self, milliseconds: Millis, context: Context) -> Digest {
        let content = key::content("timer", &milliseconds.to_string(), "");
        self.next_of(content, context)
    }

    /// The key of the next occurrence of this content in this context.
    fn next_of(&mut self, content: Digest, context: Context) -> Digest {
        let pair = key::mix(content, context);
        let occurrence = self.occurrences.entry(pair).or_default();
        let key = key::key(content, context, *occurrence);
        *occurrence = occurrence.saturating_add(1);
        key
    }

    /// The last call that was given this key was not scheduled after all: its key is free again.
    pub fn take_back(&mut self, known: Known, context: Context) {
        if let Some(occurrence) = self.occurrences.get_mut(&key::mix(known.content, context)) {
            *occurrence = occurrence.saturating_sub(1);
        }
    }

    /// The options that `text` holds, a JSON object. Text that cannot be read as one is refused.
    pub fn resolve(&mut self, kind: CallKind, text: &Arc<str>) -> Arc<Resolved> {
        let named = (kind, Arc::clone(text));
        if self.options.len() >= REMEMBERED_OPTIONS_MAX && !self.options.contains_key(&named) {
            self.options.clear();
        }
        match self.options.entry(named) {
            Entry::Occupied(entry) => Arc::clone(entry.get()),
            Entry::Vacant(entry) => {
                let read = Arc::new(read(self.rules.as_ref(), kind, text));
                Arc::clone(entry.insert(read))
            }
        }
    }
}

fn read(rules: &dyn Resolve, kind: CallKind, text: &Arc<str>) -> Resolved {
    let parsed = serde_json::from_str::<Map<String, Value>>(text);
    // The VM writes JSON and nothing else, but may nest it deeper than a reader goes along.
    let unread = parsed.as_ref().err().map(|error| {
        let message = format!("the options cannot be read: {error}; nest them less deeply");
        Refusal::new("OPTIONS", message)
    });
    let all = parsed.unwrap_or_default();
    let key = all.get("key").and_then(Value::as_str).map(str::to_owned);
    let mut resolution = rules.resolve(kind, all);
    if let Some(refusal) = unread {
        resolution.backend = Err(refusal);
    }
    // Schemas are passed on as they were written, so that an agent sees what its author sees.
    resolution.options.schema = schema_of(text);
    if kind == CallKind::Workflow {
        // How a workflow is named does not change what it is.
        resolution.content.clear();
    }
    Resolved {
        packed: text::pack_shared(Arc::clone(text)),
        key,
        backend: resolution.backend,
        notices: resolution.notices,
        queue: resolution.queue,
        canonical: sorted(&Value::Object(resolution.content)).to_string(),
        options: resolution.options,
    }
}

fn schema_of(options: &str) -> Option<Box<RawValue>> {
    #[derive(serde::Deserialize)]
    struct Schema {
        #[serde(default)]
        schema: Option<Box<RawValue>>,
    }
    serde_json::from_str(options)
        .ok()
        .and_then(|Schema { schema }| schema)
}

/// The same value with the keys of its objects in order: how a schema is written does not matter.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| name.as_str());
            Value::Object(
                fields
                    .into_iter()
                    .map(|(name, field)| (name.clone(), sorted(field)))
                    .collect(),
            )
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
