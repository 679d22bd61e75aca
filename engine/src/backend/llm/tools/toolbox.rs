//! One agent's tools.

use std::fmt::Write as _;
use std::sync::Arc;

use jsonschema::Validator;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::answer::{Answer, Definition};
use super::edit::Edit;
use super::fetch::{Fetch, Web};
use super::glob::Glob;
use super::grep::Grep;
use super::memory::Memory;
use super::names::{self, Meaning, Name};
use super::permitted::Permitted;
use super::read::Read;
use super::shell::{Command, Shell};
use super::todo::Todo;
use super::tool::Tool;
use super::workplace::Workplace;
use super::write::Write;
use super::writing::Writing;

/// How many faults of a call's arguments are named.
const FAULTS_SHOWN: usize = 5;

/// What tools need from outside of the agent's folder. Without it they are not there, whatever is permitted.
#[derive(Clone, Default)]
pub(crate) struct Means {
    /// For `shell`.
    pub(crate) shell: Option<Arc<dyn Shell>>,
    /// For `web_fetch`.
    pub(crate) web: Option<Arc<dyn Web>>,
}

/// The tools of one agent, with what it has read and what it means to do.
pub(crate) struct Toolbox {
    permitted: Permitted,
    definitions: Vec<Definition>,
    /// In the order of `definitions`.
    tools: Vec<(Arc<dyn Tool>, Validator)>,
}

/// Why a tool was not added.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdded {
    /// The agent may not use the tool that has this name.
    #[error("the agent may not use `{0}`")]
    Forbidden(String),
    /// There is one of this name.
    #[error("there is a tool `{0}` already: give this one another name")]
    NameTaken(String),
    /// What it says of its arguments is no JSON schema.
    #[error("the parameters of `{name}` are no JSON schema: {reason}")]
    Schema {
        /// The tool's.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Toolbox {
    /// The built-in tools that are permitted and for which there are means.
    pub(crate) fn new(workplace: Workplace, permitted: &Permitted, means: &Means) -> Self {
        let workplace = Arc::new(workplace);
        let memory = Arc::new(Memory::default());
        let writing = Arc::new(Writing {
            workplace: workplace.clone(),
            memory: memory.clone(),
            turn: Arc::default(),
        });
        let mut toolbox = Self {
            permitted: permitted.clone(),
            definitions: Vec::new(),
            tools: Vec::new(),
        };
        for name in permitted.names() {
            let workplace = workplace.clone();
            let tool: Option<Arc<dyn Tool>> = match name {
                Name::Read => Some(Arc::new(Read {
                    workplace,
                    memory: memory.clone(),
                })),
                Name::Write => Some(Arc::new(Write(writing.clone()))),
                Name::Edit => Some(Arc::new(Edit(writing.clone()))),
                Name::Glob => Some(Arc::new(Glob(workplace))),
                Name::Grep => Some(Arc::new(Grep(workplace))),
                Name::Shell => means
                    .shell
                    .clone()
                    .map(|shell| Arc::new(Command { workplace, shell }) as _),
                Name::WebFetch => means.web.clone().map(|web| Arc::new(Fetch(web)) as _),
                Name::Todo => Some(Arc::new(Todo::default())),
                // Whoever runs the loop adds them, with `add`.
                Name::WebSearch | Name::Agent => None,
            };
            // Their schemas are schemas, and no two have one name: a test goes through all.
            let _ = tool.map(|tool| toolbox.add(tool));
        }
        toolbox
    }

    /// Adds a tool. One that has a name of ours must be permitted; any other is the business of whoever adds it.
    ///
    /// # Errors
    /// It is forbidden, its name is taken, or what it says of its arguments is no schema.
    pub(crate) fn add(&mut self, tool: Arc<dyn Tool>) -> Result<(), NotAdded> {
        let definition = tool.definition();
        let name = definition.name.clone();
        if Name::ours(&name).is_some_and(|ours| !self.permitted.allows(ours)) {
            return Err(NotAdded::Forbidden(name));
        }
        if self.definitions.iter().any(|other| other.name == name) {
            return Err(NotAdded::NameTaken(name));
        }
        let validator = jsonschema::validator_for(&definition.parameters);
        let validator = validator.map_err(|error| NotAdded::Schema {
            name,
            reason: error.to_string(),
        })?;
        self.definitions.push(definition);
        self.tools.push((tool, validator));
        Ok(())
    }

    /// What the model is told, always in the same order.
    pub(crate) fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    /// Carries a call of the model out.
    ///
    /// Calls may run side by side; those that change files take turns. When `cancelled` is, it ends soon: a search is
    /// left to itself, a command is ended first, and a file is written wholly or not at all. Wait for it rather than
    /// drop it, if nothing may change any more afterwards.
    pub(crate) async fn call(
        &self,
        name: &str,
        arguments: &Value,
        cancelled: &CancellationToken,
    ) -> Answer {
        let mut named = self.definitions.iter().zip(&self.tools);
        let Some((_, (tool, validator))) = named.find(|(definition, _)| definition.name == name)
        else {
            return self.unknown(name);
        };
        let arguments = without_nulls(arguments);
        if let Some(faults) = faults(validator, &arguments) {
            return Answer::error(format!(
                "these arguments do not fit `{name}`, and nothing was done:{faults}"
            ));
        }
        if cancelled.is_cancelled() {
            return Answer::cancelled();
        }
        tool.call(arguments, cancelled.clone()).await
    }

    fn unknown(&self, name: &str) -> Answer {
        let has = |name: &str| self.definitions.iter().any(|tool| tool.name == name);
        let mut text = format!("there is no tool `{name}`");
        let meant = match names::meaning(name) {
            Meaning::Tools(tools) => tools
                .iter()
                .map(|tool| tool.as_str())
                .find(|tool| has(tool)),
            _ => names::nearest(name).filter(|near| has(near)),
        };
        if let Some(meant) = meant {
            // Writing to a text cannot fail.
            let _ = write!(text, "; it is called `{meant}` here");
        }
        let names: Vec<_> = self
            .definitions
            .iter()
            .map(|tool| format!("`{}`", tool.name))
            .collect();
        let _ = if names.is_empty() {
            write!(text, "; there are no tools: answer with what you know")
        } else {
            write!(text, "; there are {}", names.join(", "))
        };
        Answer::error(text)
    }
}

/// The arguments without those that are `null`: how some providers' models leave one out.
fn without_nulls(arguments: &Value) -> Value {
    match arguments {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        // A call without arguments.
        Value::Null => Value::Object(serde_json::Map::new()),
        other => other.clone(),
    }
}

/// What does not fit, each on a line of its own.
fn faults(validator: &Validator, arguments: &Value) -> Option<String> {
    let mut text = String::new();
    for error in validator.iter_errors(arguments).take(FAULTS_SHOWN) {
        let place = error.instance_path().to_string();
        let place = place.trim_start_matches('/');
        // Writing to a text cannot fail.
        let _ = match place {
            "" => write!(text, "\n- {}", error.masked()),
            place => write!(text, "\n- `{place}`: {}", error.masked()),
        };
    }
    (!text.is_empty()).then_some(text)
}
