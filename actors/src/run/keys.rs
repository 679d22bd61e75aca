//! By what a call is known: its options resolved, its content, its key.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bellwether_journal::key::{self, Context, Digest};
use bellwether_journal::record::CallKind;
use bellwether_journal::text::{self, Packed};
use bellwether_scripts::Call;
use serde_json::{Map, Value};

use crate::backend::{AgentBackend, AgentOptions};

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

/// The backends that a run can name.
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

    fn get(&self, name: Option<&str>) -> Result<(&str, &Arc<dyn AgentBackend>), String> {
        let name = name.unwrap_or(&self.default);
        self.by_name
            .get_key_value(name)
            .map(|(name, backend)| (name.as_str(), backend))
            .ok_or_else(|| {
                let mut known: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
                known.sort_unstable();
                format!(
                    "there is no backend `{name}` (there is: {})",
                    known.join(", ")
                )
            })
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
    pub backend: Result<Arc<dyn AgentBackend>, String>,
    canonical: String,
}

/// Gives calls their keys. Fed with the calls of a generation in their order, it gives the same keys every time.
pub struct Keys {
    backends: Backends,
    options: HashMap<Arc<str>, Arc<Resolved>>,
    occurrences: HashMap<Digest, u32>,
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
    pub fn new(backends: Backends) -> Self {
        Self {
            backends,
            options: HashMap::new(),
            occurrences: HashMap::new(),
        }
    }

    /// The key of the generation's next call, and its options.
    pub fn next(&mut self, call: &Call) -> (Known, Arc<Resolved>) {
        let resolved = self.resolve(&call.options);
        let canonical = match call.kind {
            CallKind::Agent => resolved.canonical.as_str(),
            _ => "{}",
        };
        let identity = resolved.key.as_deref().unwrap_or(&call.prompt);
        let content = key::content(call.kind.name(), identity, canonical);
        let pair = key::mix(content, call.context);
        let occurrence = self.occurrences.entry(pair).or_default();
        let key = key::key(content, call.context, *occurrence);
        *occurrence = occurrence.saturating_add(1);
        (Known { content, key }, resolved)
    }

    /// The last call that was given this key was not scheduled after all: its key is free again.
    pub fn take_back(&mut self, known: Known, context: Context) {
        if let Some(occurrence) = self.occurrences.get_mut(&key::mix(known.content, context)) {
            *occurrence = occurrence.saturating_sub(1);
        }
    }

    /// The options that `text` holds, a JSON object. Text that is none counts as an empty one: the VM writes nothing else.
    pub fn resolve(&mut self, text: &Arc<str>) -> Arc<Resolved> {
        if self.options.len() >= REMEMBERED_OPTIONS_MAX && !self.options.contains_key(text) {
            self.options.clear();
        }
        match self.options.entry(Arc::clone(text)) {
            Entry::Occupied(entry) => Arc::clone(entry.get()),
            Entry::Vacant(entry) => Arc::clone(entry.insert(Arc::new(read(&self.backends, text)))),
        }
    }
}

fn read(backends: &Backends, text: &Arc<str>) -> Resolved {
    let all: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    let options: AgentOptions = serde_json::from_str(text).unwrap_or_default();
    let mut canonical: Map<String, Value> = OPTIONS_OF_CONTENT
        .iter()
        .filter_map(|&name| Some((name.to_owned(), sorted(all.get(name)?))))
        .collect();
    let backend = backends
        .get(options.backend.as_deref())
        .map(|(name, backend)| {
            canonical.insert("backend".to_owned(), name.into());
            canonical.insert("fingerprint".to_owned(), backend.fingerprint().into());
            Arc::clone(backend)
        });
    Resolved {
        packed: text::pack_shared(Arc::clone(text)),
        key: all.get("key").and_then(Value::as_str).map(str::to_owned),
        backend,
        canonical: sorted(&Value::Object(canonical)).to_string(),
        options,
    }
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
