//! A request as all wires mean it: what was asked, without the names that a provider has for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::wire::Wire;

/// Who a message is from. What tools gave stands in the user's messages, as [`Part::Result`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The client.
    User,
    /// The model.
    Assistant,
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Words.
    Text(String),
    /// What the model thought, as the client sent it back.
    Reasoning(String),
    /// A call of a tool by the model.
    Call {
        /// The call's id; empty on wires that have none.
        id: String,
        /// The tool as the client calls it.
        name: String,
        /// Its arguments.
        input: Value,
    },
    /// What a tool gave.
    Result {
        /// The id of the call; empty on wires that have none.
        id: String,
        /// What it gave, as text.
        text: String,
    },
}

/// A message of the conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// Who it is from.
    pub role: Role,
    /// Its pieces, in order.
    pub parts: Vec<Part>,
}

impl Message {
    /// Its words alone, a line break between pieces.
    pub fn text(&self) -> String {
        let texts: Vec<&str> = self
            .parts
            .iter()
            .filter_map(|part| match part {
                Part::Text(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        texts.join("\n")
    }

    /// How many tools it calls.
    pub fn calls(&self) -> usize {
        self.parts
            .iter()
            .filter(|part| matches!(part, Part::Call { .. }))
            .count()
    }

    /// Bytes of what a model reads of it.
    pub(super) fn bytes(&self) -> u64 {
        let bytes: usize = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Text(text) | Part::Reasoning(text) | Part::Result { text, .. } => text.len(),
                Part::Call { name, input, .. } => name.len() + input.to_string().len(),
            })
            .sum();
        bytes as u64
    }
}

/// A tool that the client declares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub description: String,
    /// The JSON schema of its arguments; null when it has none.
    pub schema: Value,
}

impl Tool {
    pub(super) fn bytes(&self) -> u64 {
        (self.name.len() + self.description.len() + self.schema.to_string().len()) as u64
    }
}

/// Whether the model may, must or must not call tools.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// No tool.
    None,
    /// One tool at least.
    Required,
    /// This one.
    Named(String),
}

/// How long an Anthropic cache mark keeps what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheTime {
    /// Five minutes, the default.
    FiveMinutes,
    /// An hour.
    Hour,
}

/// Where a client marks the prompt to be cached (`cache_control`; Anthropic alone).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheMarks {
    /// Behind the tools.
    pub tools: Option<CacheTime>,
    /// Behind the system text.
    pub system: Option<CacheTime>,
    /// Behind messages, by their place.
    pub messages: BTreeMap<usize, CacheTime>,
}

/// A request for an answer of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The format in which it came.
    pub wire: Wire,
    /// The model that was asked for.
    pub model: String,
    /// The key that came with it.
    pub key: Option<String>,
    /// Whether the answer is to come piece by piece.
    pub streaming: bool,
    /// All that was said as the system or the developer.
    pub system: Arc<str>,
    /// The conversation. Equal messages of different requests share their memory.
    pub messages: Vec<Arc<Message>>,
    /// The tools that may be called.
    pub tools: Arc<[Tool]>,
    /// Whether they may, must or must not.
    pub tool_choice: ToolChoice,
    /// The JSON schema of the answer, where the request has one of its own.
    pub schema: Option<Arc<Value>>,
    /// The most tokens that the answer may have.
    pub max_tokens: Option<u64>,
    /// How hard the model is to think: the provider's word for it or its number of tokens.
    pub effort: Option<String>,
    /// Whether the client wants to see what the model thinks.
    pub shows_reasoning: bool,
    /// Where the prompt is marked to be cached.
    pub cache_marks: CacheMarks,
    /// The HTTP headers, names in lower case.
    pub headers: BTreeMap<String, String>,
}

impl Request {
    pub(super) fn new(wire: Wire, key: Option<String>, headers: BTreeMap<String, String>) -> Self {
        Self {
            wire,
            model: String::new(),
            key,
            streaming: false,
            system: Arc::from(""),
            messages: Vec::new(),
            tools: Arc::from([]),
            tool_choice: ToolChoice::Auto,
            schema: None,
            max_tokens: None,
            effort: None,
            shows_reasoning: false,
            cache_marks: CacheMarks::default(),
            headers,
        }
    }

    /// The tokens of its prompt: bytes of system text, tools and messages through four, rounded up.
    pub fn input_tokens(&self) -> u64 {
        let tools: u64 = self.tools.iter().map(Tool::bytes).sum();
        let messages: u64 = self.messages.iter().map(|message| message.bytes()).sum();
        tokens(self.system.len() as u64 + tools + messages)
    }

    /// The words of the last message of the user that has any.
    pub fn last_prompt(&self) -> Option<String> {
        self.messages.iter().rev().find_map(|message| {
            let text = message.text();
            (message.role == Role::User && !text.is_empty()).then_some(text)
        })
    }

    /// What the last tool gave, if one was called.
    pub fn last_result(&self) -> Option<&str> {
        let parts = self
            .messages
            .iter()
            .rev()
            .flat_map(|message| message.parts.iter().rev());
        parts.into_iter().find_map(|part| match part {
            Part::Result { text, .. } => Some(text.as_str()),
            _ => None,
        })
    }

    /// What is wrong with the order of calls and results, in a provider's sense: each call is answered by the message
    /// behind it, and each result answers a call of the message before it.
    pub(super) fn unpaired(&self) -> Option<String> {
        let mut open: Vec<&str> = Vec::new();
        for message in &self.messages {
            for part in &message.parts {
                match part {
                    Part::Call { id, .. } => open.push(id),
                    Part::Result { id, .. } => match open.iter().position(|call| call == id) {
                        Some(place) => {
                            open.swap_remove(place);
                        }
                        None => {
                            return Some(format!("the tool result {id} answers no call before it"));
                        }
                    },
                    Part::Text(_) | Part::Reasoning(_) => {}
                }
            }
            if message.role == Role::User && !open.is_empty() {
                break;
            }
        }
        open.first()
            .map(|id| format!("the tool call {id} has no result behind it"))
    }

    /// Adds to the last message when it is of this role, else begins one.
    pub(super) fn push(&mut self, role: Role, parts: Vec<Part>) {
        match self.messages.last_mut().map(Arc::make_mut) {
            Some(last) if last.role == role => last.parts.extend(parts),
            _ => self.messages.push(Arc::new(Message { role, parts })),
        }
    }

    /// Adds to the system text, an empty line between.
    pub(super) fn push_system(&mut self, text: &str) {
        if self.system.is_empty() {
            self.system = Arc::from(text);
        } else if !text.is_empty() {
            self.system = Arc::from(format!("{}\n\n{text}", self.system));
        }
    }
}

/// Tokens of so many bytes: a quarter, rounded up.
pub(super) const fn tokens(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}
