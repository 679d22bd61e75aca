//! The wire formats that agents speak, and what a path of theirs asks for.

use std::fmt;

use http::{HeaderMap, Method};

/// A model API's wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Wire {
    /// Anthropic's Messages API.
    Messages,
    /// `OpenAI`'s chat completions, which most compatible servers speak.
    ChatCompletions,
    /// `OpenAI`'s responses.
    Responses,
    /// Gemini's `generateContent`.
    GenerateContent,
}

impl Wire {
    /// The name that errors and settings use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::ChatCompletions => "chat completions",
            Self::Responses => "responses",
            Self::GenerateContent => "generateContent",
        }
    }

    /// What follows an endpoint's base URL, but for Gemini, whose path names the model.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Messages => "/v1/messages",
            Self::ChatCompletions => "/chat/completions",
            Self::Responses => "/responses",
            Self::GenerateContent => "/v1beta/models/",
        }
    }
}

impl fmt::Display for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The ways of a family of clients to build paths from a base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientFamily {
    /// Anthropic's libraries and Claude Code: they append `/v1/messages` (`ANTHROPIC_BASE_URL`).
    Anthropic,
    /// `OpenAI`'s libraries and most compatible ones: their base ends with `/v1` (`OPENAI_BASE_URL`).
    OpenAi,
    /// Google's libraries and gemini: they append `/v1beta/…` (`GOOGLE_GEMINI_BASE_URL`).
    Gemini,
    /// Clients that ask for a host and append all of the path (`OPENAI_HOST`).
    Host,
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// The provider that stands in the path, `/to/<provider>/…`.
    pub(super) provider: Option<&'a str>,
    pub(super) endpoint: Endpoint<'a>,
    /// The wire in whose shape errors are answered.
    pub(super) wire: Wire,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Endpoint<'a> {
    /// A call of a model. Gemini says in the path which, and whether it streams.
    Generate(Option<InPath<'a>>),
    /// Counts a prompt's tokens, free of charge.
    CountTokens(Option<InPath<'a>>),
    /// The list of models.
    Models,
    /// One of them.
    Model(&'a str),
    /// Known, and refused for what it says.
    Refused(&'static str),
    /// The method is not the endpoint's.
    WrongMethod,
    /// Nothing that is known.
    Unknown,
}

/// What Gemini says in the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InPath<'a> {
    pub(super) model: &'a str,
    pub(super) is_streaming: bool,
}

const STORED: &str = "answers that a provider has stored are not served: its key is shared by all agents. Ask for the whole answer with POST";
const BATCHES: &str = "batches are not served: they run on when their agent is stopped, and nobody counts them. Send single calls";
const NOT_COUNTED: &str =
    "this endpoint is not served: the gateway cannot count it. Use chat completions or responses";
const GEMINI_NOT_COUNTED: &str =
    "this method is not served: the gateway counts generateContent and streamGenerateContent only";

/// Reads a method and a path. The headers only decide the shape of a list or an error.
pub(super) fn target<'a>(method: &Method, path: &'a str, headers: &HeaderMap) -> Target<'a> {
    let (provider, path) = match path.strip_prefix("/to/").and_then(|rest| {
        let at = rest.find('/')?;
        Some(rest.split_at(at))
    }) {
        Some((provider, rest)) => (Some(provider), rest),
        None => (None, path),
    };
    let (wire, endpoint) = endpoint(method, path.trim_end_matches('/'), headers);
    Target {
        provider,
        endpoint,
        wire,
    }
}

fn endpoint<'a>(method: &Method, path: &'a str, headers: &HeaderMap) -> (Wire, Endpoint<'a>) {
    for version in ["/v1beta", "/v1alpha"] {
        if let Some(rest) = path.strip_prefix(version) {
            return (Wire::GenerateContent, gemini(method, rest));
        }
    }
    // Clients differ on whether `/v1` belongs to the base URL.
    let rest = path.strip_prefix("/v1").unwrap_or(path);
    let posted = |endpoint| {
        if *method == Method::POST {
            endpoint
        } else {
            Endpoint::WrongMethod
        }
    };
    let anthropic = headers.contains_key("anthropic-version");
    match rest {
        "/messages" => (Wire::Messages, posted(Endpoint::Generate(None))),
        "/messages/count_tokens" => (Wire::Messages, posted(Endpoint::CountTokens(None))),
        "/chat/completions" => {
            let endpoint = if *method == Method::POST {
                Endpoint::Generate(None)
            } else {
                Endpoint::Refused(STORED)
            };
            (Wire::ChatCompletions, endpoint)
        }
        "/responses" => (Wire::Responses, posted(Endpoint::Generate(None))),
        "/models" => {
            let wire = if anthropic {
                Wire::Messages
            } else {
                Wire::ChatCompletions
            };
            (wire, listed(method, Endpoint::Models))
        }
        "/completions" | "/embeddings" | "/audio" | "/images" => {
            (Wire::ChatCompletions, Endpoint::Refused(NOT_COUNTED))
        }
        _ if rest.starts_with("/messages/batches") => (Wire::Messages, Endpoint::Refused(BATCHES)),
        _ if rest.starts_with("/batches") => (Wire::ChatCompletions, Endpoint::Refused(BATCHES)),
        _ if rest.starts_with("/chat/completions/") => {
            (Wire::ChatCompletions, Endpoint::Refused(STORED))
        }
        _ if rest.starts_with("/responses/") => (Wire::Responses, Endpoint::Refused(STORED)),
        _ => match rest.strip_prefix("/models/") {
            Some(rest) if rest.contains(':') && headers.contains_key("x-goog-api-key") => (
                Wire::GenerateContent,
                gemini(method, path.strip_prefix("/v1").unwrap_or(path)),
            ),
            Some(name) if anthropic => (Wire::Messages, listed(method, Endpoint::Model(name))),
            Some(name) => (Wire::ChatCompletions, listed(method, Endpoint::Model(name))),
            None if anthropic => (Wire::Messages, Endpoint::Unknown),
            None => (Wire::ChatCompletions, Endpoint::Unknown),
        },
    }
}

fn listed<'a>(method: &Method, endpoint: Endpoint<'a>) -> Endpoint<'a> {
    if *method == Method::GET {
        endpoint
    } else {
        Endpoint::WrongMethod
    }
}

/// Whether a model's name would be another place on the provider's side of the path.
fn leads_out(model: &str) -> bool {
    model.split('/').any(|part| {
        let part = part.to_ascii_lowercase().replace("%2e", ".");
        part == "." || part == ".." || part.contains("%2f") || part.contains('\\')
    })
}

/// `/models`, `/models/{model}` or `/models/{model}:{method}`. A model's name may have slashes and colons.
fn gemini<'a>(method: &Method, rest: &'a str) -> Endpoint<'a> {
    if rest == "/models" {
        return listed(method, Endpoint::Models);
    }
    let Some(rest) = rest.strip_prefix("/models/") else {
        return Endpoint::Unknown;
    };
    let in_path = |model, is_streaming| {
        Some(InPath {
            model,
            is_streaming,
        })
    };
    let endpoint = match rest.rsplit_once(':') {
        Some((model, _)) if leads_out(model) => return Endpoint::Unknown,
        Some((model, "generateContent")) => Endpoint::Generate(in_path(model, false)),
        Some((model, "streamGenerateContent")) => Endpoint::Generate(in_path(model, true)),
        Some((model, "countTokens")) => Endpoint::CountTokens(in_path(model, false)),
        _ if *method == Method::GET => return Endpoint::Model(rest),
        _ => return Endpoint::Refused(GEMINI_NOT_COUNTED),
    };
    if *method == Method::POST {
        endpoint
    } else {
        Endpoint::WrongMethod
    }
}
