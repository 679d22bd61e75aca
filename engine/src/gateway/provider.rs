//! Providers: where the calls go, and with which key.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

use super::wire::Wire;

/// A provider's key. It is never shown.
#[derive(Clone)]
pub struct ProviderKey(Arc<str>);

impl ProviderKey {
    /// Takes a key; whitespace around it is not part of it.
    pub fn new(key: &str) -> Self {
        Self(key.trim().into())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for ProviderKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ProviderKey(…)")
    }
}

/// How a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Auth {
    /// `x-api-key: KEY` (Anthropic).
    ApiKey,
    /// `authorization: Bearer KEY` (`OpenAI` and most compatible servers).
    Bearer,
    /// `x-goog-api-key: KEY` (Gemini).
    GoogApiKey,
    /// `api-key: KEY` (`OpenAI` models on Azure).
    AzureApiKey,
    /// No key (a server on this machine).
    None,
}

/// One wire format that a provider speaks.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The format.
    pub wire: Wire,
    /// The base URL as the provider's documentation gives it for the wire's own libraries: without `/v1` for messages
    /// and Gemini, with it (or whatever stands there) for chat completions and responses.
    pub base_url: Url,
    /// How the key is sent.
    pub auth: Auth,
}

/// The field of a chat completion that limits its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChatLimit {
    /// `max_tokens`, which compatible servers know.
    MaxTokens,
    /// `max_completion_tokens`, without which `OpenAI`'s reasoning models refuse a limit.
    MaxCompletionTokens,
}

/// A provider of models.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name in settings, paths and ledgers.
    pub name: Arc<str>,
    /// What it speaks, one endpoint a wire format.
    pub endpoints: Vec<Endpoint>,
    /// Its key.
    pub key: Option<ProviderKey>,
    /// Headers for each call, in place of the agent's of the same name.
    pub headers: HeaderMap,
    /// The field that is set where a chat completion has no limit.
    pub chat_limit: ChatLimit,
    /// Whether streamed chat completions are asked for their usage (`stream_options`). Off for a server that refuses
    /// the field; its streams are then counted by estimate unless they tell their usage unasked.
    pub asks_for_usage: bool,
}

/// Why a provider cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// Its name cannot stand in a path.
    #[error("provider {0:?}: a name is letters, digits, `-`, `_` and `.`")]
    Name(String),
    /// Two have one name.
    #[error("provider {0}: there are two of this name")]
    Twice(Arc<str>),
    /// It has no endpoint.
    #[error("provider {0} has no endpoint: give the base URL of a wire format that it speaks")]
    NoEndpoint(Arc<str>),
    /// A base URL that is no `http` or `https` URL, or has a query.
    #[error("provider {provider}: {url} is no base URL: it is http or https, without a query")]
    BaseUrl {
        /// The provider.
        provider: Arc<str>,
        /// The URL.
        url: String,
    },
    /// Its key has characters that a header cannot have.
    #[error("provider {0}: its key has characters that no key has (a line break?)")]
    Key(Arc<str>),
}

impl Provider {
    /// A provider without endpoints and key.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            endpoints: Vec::new(),
            key: None,
            headers: HeaderMap::new(),
            chat_limit: ChatLimit::MaxTokens,
            asks_for_usage: true,
        }
    }

    /// Adds an endpoint, whose key is sent as the wire's own provider wants it.
    #[must_use]
    pub fn with_endpoint(mut self, wire: Wire, base_url: Url) -> Self {
        let host = base_url.host_str().unwrap_or_default();
        let is_azure = host.ends_with(".azure.com");
        if wire == Wire::ChatCompletions && (is_azure || host.ends_with(".openai.com")) {
            self.chat_limit = ChatLimit::MaxCompletionTokens;
        }
        let auth = match wire {
            Wire::Messages => Auth::ApiKey,
            Wire::ChatCompletions | Wire::Responses if is_azure => Auth::AzureApiKey,
            Wire::ChatCompletions | Wire::Responses => Auth::Bearer,
            Wire::GenerateContent => Auth::GoogApiKey,
        };
        self.endpoints.push(Endpoint {
            wire,
            base_url,
            auth,
        });
        self
    }

    /// Sets the key.
    #[must_use]
    pub fn with_key(mut self, key: ProviderKey) -> Self {
        self.key = Some(key);
        self
    }

    pub(super) fn endpoint(&self, wire: Wire) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.wire == wire)
    }

    /// Whether it can be used.
    ///
    /// # Errors
    ///
    /// [`ProviderError`]: why it cannot.
    pub fn check(&self) -> Result<(), ProviderError> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if self.name.is_empty() || !self.name.chars().all(is_plain) {
            return Err(ProviderError::Name(self.name.to_string()));
        }
        if self.endpoints.is_empty() {
            return Err(ProviderError::NoEndpoint(self.name.clone()));
        }
        for endpoint in &self.endpoints {
            let url = &endpoint.base_url;
            if !matches!(url.scheme(), "http" | "https") || url.query().is_some() {
                return Err(ProviderError::BaseUrl {
                    provider: self.name.clone(),
                    url: url.to_string(),
                });
            }
            self.auth(endpoint)?;
        }
        Ok(())
    }

    /// The header that carries the key.
    pub(super) fn auth(
        &self,
        endpoint: &Endpoint,
    ) -> Result<Option<(HeaderName, HeaderValue)>, ProviderError> {
        let Some(key) = &self.key else {
            return Ok(None);
        };
        let (name, value) = match endpoint.auth {
            Auth::ApiKey => ("x-api-key", key.0.to_string()),
            Auth::Bearer => ("authorization", format!("Bearer {}", key.0)),
            Auth::GoogApiKey => ("x-goog-api-key", key.0.to_string()),
            Auth::AzureApiKey => ("api-key", key.0.to_string()),
            Auth::None => return Ok(None),
        };
        let mut value =
            HeaderValue::try_from(value).map_err(|_| ProviderError::Key(self.name.clone()))?;
        value.set_sensitive(true);
        Ok(Some((HeaderName::from_static(name), value)))
    }
}
