//! What a request's body asks for, and the few changes that are made to it. Pure.

use bytes::Bytes;

use super::json::{self, Edit, Object};
use super::provider::{ChatLimit, Provider};
use super::wire::{InPath, Wire};

/// A request's body, read as far as the gateway needs to.
#[derive(Debug)]
pub(super) struct Request {
    wire: Wire,
    body: Bytes,
    object: Object,
    /// Gemini's `generationConfig`, where the limits stand.
    config: Option<Object>,
    /// Gemini has two spellings for each field; this is the one of the config.
    config_name: &'static str,
    pub(super) model: String,
    pub(super) is_streaming: bool,
    /// As many answers are asked for.
    pub(super) choices: u64,
    /// The limit of one answer's output.
    limit: Option<u64>,
}

/// Why a body is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestError {
    #[error("the body is not UTF-8")]
    NotText,
    #[error("the body cannot be read as JSON: {0}")]
    Json(String),
    #[error("the body has no \"model\": name one as a string")]
    NoModel,
    #[error("{0:?} cannot be read: {1}")]
    Field(&'static str, String),
    #[error("{0:?} and {1:?} are the same field: give one of them")]
    BothSpellings(&'static str, &'static str),
    #[error(
        "\"background\" is not served: such an answer goes on when its agent is stopped. Leave it out"
    )]
    Background,
}

const MESSAGES: &[&str] = &["model", "stream", "max_tokens", "thinking"];
const THINKING: &[&str] = &["budget_tokens"];
const CHAT: &[&str] = &[
    "model",
    "stream",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "stream_options",
];
const STREAM_OPTIONS: &[&str] = &["include_usage"];
const RESPONSES: &[&str] = &["model", "stream", "max_output_tokens", "background"];
const GEMINI: &[&str] = &["generationConfig", "generation_config"];
const GEMINI_CONFIG: &[&str] = &[
    "maxOutputTokens",
    "max_output_tokens",
    "candidateCount",
    "candidate_count",
];

/// Anthropic takes no smaller budget for thinking, and none that reaches `max_tokens`.
const THINKING_TOKENS_MIN: u64 = 1_024;

impl Request {
    /// Reads a body. For Gemini the path says which model it is and whether it streams.
    pub(super) fn read(
        wire: Wire,
        body: Bytes,
        in_path: Option<InPath<'_>>,
    ) -> Result<Self, RequestError> {
        let text = str::from_utf8(&body).map_err(|_| RequestError::NotText)?;
        let wanted = match wire {
            Wire::Messages => MESSAGES,
            Wire::ChatCompletions => CHAT,
            Wire::Responses => RESPONSES,
            Wire::GenerateContent => GEMINI,
        };
        let fault = |error: serde_json::Error| RequestError::Json(error.to_string());
        let object = Object::read(text, 0..text.len(), wanted).map_err(fault)?;
        let at = |name| object.field(name).map(|at| &text[at]);
        let (mut config, mut config_name) = (None, "generationConfig");
        if wire == Wire::GenerateContent {
            config_name = one_of(&object, "generationConfig", "generation_config")?;
            if let Some(at) = object
                .field(config_name)
                .filter(|at| &text[at.clone()] != "null")
            {
                config = Some(Object::read(text, at, GEMINI_CONFIG).map_err(fault)?);
            }
        }
        let model = match in_path {
            Some(in_path) => in_path.model.to_owned(),
            None => at("model")
                .and_then(|value| serde_json::from_str(value).ok())
                .ok_or(RequestError::NoModel)?,
        };
        let is_streaming = match in_path {
            Some(in_path) => in_path.is_streaming,
            None => flag("stream", at("stream"))?,
        };
        if flag("background", at("background"))? {
            return Err(RequestError::Background);
        }
        let (limits, choices): (Vec<_>, _) = if let Some(config) = &config {
            let limit = one_of(config, "maxOutputTokens", "max_output_tokens")?;
            let count = one_of(config, "candidateCount", "candidate_count")?;
            let at = |name: &'static str| (name, config.field(name).map(|at| &text[at]));
            (vec![at(limit)], at(count))
        } else {
            let names = limit_names(wire);
            let limits = names.iter().map(|name| (*name, at(name)));
            (limits.collect(), ("n", at("n")))
        };
        let mut limit: Option<u64> = None;
        for (name, value) in limits {
            if let Some(tokens) = count(name, value)? {
                limit = Some(limit.map_or(tokens, |other| other.max(tokens)));
            }
        }
        Ok(Self {
            wire,
            model,
            is_streaming,
            choices: count(choices.0, choices.1)?.unwrap_or(1).max(1),
            limit,
            config,
            config_name,
            object,
            body,
        })
    }

    pub(super) fn bytes(&self) -> u64 {
        self.body.len() as u64
    }

    /// The most output that all choices together may have.
    pub(super) fn max_output_tokens(&self) -> Option<u64> {
        Some(self.limit?.saturating_mul(self.choices))
    }

    fn text(&self) -> &str {
        // It has been read as text; an empty one could not have been.
        str::from_utf8(&self.body).unwrap_or_default()
    }

    /// Whether usage is to be asked for in the agent's place.
    fn lacks_usage(&self) -> bool {
        if self.wire != Wire::ChatCompletions || !self.is_streaming {
            return false;
        }
        let text = self.text();
        let Some(at) = self.object.field("stream_options") else {
            return true;
        };
        let options = Object::read(text, at, STREAM_OPTIONS);
        let asked = options
            .ok()
            .and_then(|options| options.field("include_usage"));
        asked.is_none_or(|at| &text[at] != "true")
    }

    /// The body as it goes out, and whether the usage in its answer is there for the gateway alone.
    ///
    /// `limit` is the most output of one choice.
    pub(super) fn edited(
        &self,
        provider: &Provider,
        model: &str,
        limit: Option<u64>,
    ) -> (Bytes, bool) {
        let mut edits = Vec::new();
        if self.wire != Wire::GenerateContent && model != self.model {
            edits.push(self.object.set("model", &quoted(model)));
        }
        if let Some(limit) = limit {
            self.cut(limit, provider.chat_limit, &mut edits);
        }
        let hides_usage = provider.asks_for_usage && self.lacks_usage();
        if hides_usage {
            edits.push(self.ask_for_usage());
        }
        if edits.is_empty() {
            return (self.body.clone(), false);
        }
        (json::apply(self.text(), edits).into(), hides_usage)
    }

    fn ask_for_usage(&self) -> Edit {
        let text = self.text();
        let options = self
            .object
            .field("stream_options")
            .and_then(|at| Object::read(text, at, STREAM_OPTIONS).ok());
        match options {
            Some(options) => options.set("include_usage", "true"),
            None => self
                .object
                .set("stream_options", r#"{"include_usage":true}"#),
        }
    }

    /// Cuts the limit of one choice, or sets it.
    fn cut(&self, limit: u64, chat_limit: ChatLimit, edits: &mut Vec<Edit>) {
        if self.limit.is_some_and(|asked| asked <= limit) {
            return;
        }
        let value = limit.to_string();
        if self.wire == Wire::GenerateContent {
            edits.push(if let Some(config) = &self.config {
                let name = ["maxOutputTokens", "max_output_tokens"]
                    .into_iter()
                    .find(|name| config.field(name).is_some());
                config.set(name.unwrap_or("maxOutputTokens"), &value)
            } else {
                let config = format!("{{\"maxOutputTokens\":{value}}}");
                self.object.set(self.config_name, &config)
            });
            return;
        }
        let text = self.text();
        let names = limit_names(self.wire);
        if self.limit.is_some() {
            for name in names {
                let at = self.object.field(name).map(|at| &text[at]);
                if count(name, at)
                    .ok()
                    .flatten()
                    .is_some_and(|asked| asked > limit)
                {
                    edits.push(self.object.set(name, &value));
                }
            }
        } else {
            // One that stands there as null is set in its place.
            let present = names.iter().find(|name| self.object.field(name).is_some());
            let name = present.copied().unwrap_or(match (self.wire, chat_limit) {
                (Wire::Responses, _) => "max_output_tokens",
                (Wire::ChatCompletions, ChatLimit::MaxCompletionTokens) => "max_completion_tokens",
                _ => "max_tokens",
            });
            edits.push(self.object.set(name, &value));
        }
        edits.extend(self.cut_thinking(limit));
    }

    /// Thinking must stay below the limit; where too little is left for any, it is off.
    fn cut_thinking(&self, limit: u64) -> Option<Edit> {
        let text = self.text();
        let at = self.object.field("thinking")?;
        let thinking = Object::read(text, at, THINKING).ok()?;
        let budget: u64 = text[thinking.field("budget_tokens")?].parse().ok()?;
        if budget < limit {
            return None;
        }
        Some(if limit > THINKING_TOKENS_MIN {
            thinking.set("budget_tokens", &(limit - 1).to_string())
        } else {
            self.object.set("thinking", r#"{"type":"disabled"}"#)
        })
    }
}

fn limit_names(wire: Wire) -> &'static [&'static str] {
    match wire {
        Wire::Messages => &["max_tokens"],
        Wire::ChatCompletions => &["max_completion_tokens", "max_tokens"],
        Wire::Responses => &["max_output_tokens"],
        Wire::GenerateContent => &[],
    }
}

/// The spelling that an object uses, the first where it uses none.
fn one_of(
    object: &Object,
    name: &'static str,
    other: &'static str,
) -> Result<&'static str, RequestError> {
    match (object.field(name), object.field(other)) {
        (Some(_), Some(_)) => Err(RequestError::BothSpellings(name, other)),
        (None, Some(_)) => Ok(other),
        _ => Ok(name),
    }
}

fn flag(name: &'static str, value: Option<&str>) -> Result<bool, RequestError> {
    match value {
        Some("true") => Ok(true),
        None | Some("false" | "null") => Ok(false),
        Some(other) => Err(RequestError::Field(name, format!("{other} is no flag"))),
    }
}

/// A number of tokens or answers; a whole one in any of the ways that JSON and Gemini have for it.
fn count(name: &'static str, value: Option<&str>) -> Result<Option<u64>, RequestError> {
    let Some(value) = value.filter(|value| *value != "null") else {
        return Ok(None);
    };
    let digits = value.trim_matches('"');
    if let Ok(count) = digits.parse() {
        return Ok(Some(count));
    }
    match digits.parse::<f64>() {
        #[expect(clippy::cast_sign_loss, reason = "it is not negative")]
        Ok(number) if number >= 0.0 && number.fract() == 0.0 => Ok(Some(number as u64)),
        _ => Err(RequestError::Field(name, format!("{value} is no count"))),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
