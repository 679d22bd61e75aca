//! Where the model is: one base URL, one key, one wire format.

use std::fmt;

use genai::adapter::AdapterKind;
use genai::resolver::{AuthData, Endpoint as ServiceEndpoint};
use genai::{ModelIden, ServiceTarget};

/// A wire format that models are spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wire {
    /// Anthropic Messages.
    Anthropic,
    /// `OpenAI` chat completions, and all that is compatible with them.
    OpenAiChat,
    /// `OpenAI` responses.
    OpenAiResponses,
    /// Gemini `generateContent`.
    Gemini,
    /// Ollama's own chat.
    Ollama,
}

/// When a request asks the provider itself to keep to the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NativeSchema {
    /// From the first turn on, beside the tools.
    Always,
    /// Only in turns without tools: where both are asked for, the provider refuses the request or calls no tool.
    WithoutTools,
    /// Not at all.
    Never,
}

impl Wire {
    /// What holds of every provider that speaks this wire. One that is known to do more says so in its [`Endpoint`].
    #[must_use]
    pub(crate) const fn native_schema(self) -> NativeSchema {
        match self {
            Self::Anthropic | Self::OpenAiResponses => NativeSchema::Always,
            Self::OpenAiChat | Self::Gemini | Self::Ollama => NativeSchema::WithoutTools,
        }
    }

    /// Whether a turn that may call no tool still lists them, with `tool_choice: none`.
    ///
    /// Anthropic refuses a history with tool calls in it otherwise, and the listed tools are part of the cached prefix.
    /// The other wires need no list, and some servers refuse one beside a schema.
    pub(super) const fn keeps_tools_listed(self) -> bool {
        matches!(self, Self::Anthropic | Self::OpenAiResponses)
    }

    pub(super) const fn adapter(self) -> AdapterKind {
        match self {
            Self::Anthropic => AdapterKind::Anthropic,
            Self::OpenAiChat => AdapterKind::OpenAI,
            Self::OpenAiResponses => AdapterKind::OpenAIResp,
            Self::Gemini => AdapterKind::Gemini,
            Self::Ollama => AdapterKind::Ollama,
        }
    }

    /// What stands between the base URL and the wire's own path.
    const fn version(self) -> &'static str {
        match self {
            Self::Anthropic | Self::OpenAiChat | Self::OpenAiResponses => "v1/",
            Self::Gemini => "v1beta/",
            Self::Ollama => "",
        }
    }
}

/// The model that an agent talks to.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// What stands before `/v1/messages` and the like: an address of the gateway.
    pub(crate) base_url: String,
    /// The attempt's key at the gateway.
    pub(crate) key: String,
    /// The wire format.
    pub(crate) wire: Wire,
    /// The model, as the gateway is asked for it.
    pub(crate) model: String,
    /// When the provider itself is asked to keep to the schema.
    pub(crate) native_schema: NativeSchema,
}

impl Endpoint {
    /// A model behind `base_url`, with what holds of every provider that speaks `wire`.
    #[must_use]
    pub(crate) fn new(
        base_url: impl Into<String>,
        key: impl Into<String>,
        wire: Wire,
        model: impl Into<String>,
    ) -> Self {
        Self {
            base_url: base_url.into(),
            key: key.into(),
            wire,
            model: model.into(),
            native_schema: wire.native_schema(),
        }
    }

    pub(super) fn target(&self) -> ServiceTarget {
        let url = format!(
            "{}/{}",
            self.base_url.trim_end_matches('/'),
            self.wire.version()
        );
        ServiceTarget {
            endpoint: ServiceEndpoint::from_owned(url),
            auth: AuthData::from_single(self.key.clone()),
            model: ModelIden::new(self.wire.adapter(), self.model.clone()),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Endpoint")
            .field("base_url", &self.base_url)
            .field("wire", &self.wire)
            .field("model", &self.model)
            .field("native_schema", &self.native_schema)
            .finish_non_exhaustive()
    }
}

/// A client for the gateway: plain HTTP on loopback, and through no proxy whatever the environment says.
///
/// # Errors
/// The client cannot be built; its text says why.
pub(crate) fn client() -> Result<genai::Client, genai::Error> {
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(|error| genai::Error::ClientBuildFail {
            cause: error.to_string(),
        })?;
    genai::Client::builder().with_reqwest(http).build()
}
