//! What models are called (A09): aliases, the run's own model, and which provider a name belongs to. Pinned when a run starts
//! and journaled with its options, so that a recovery means by a name what the run meant by it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The names that a run knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Names {
    /// The run's own model, as a name; without it an agent that names none has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<String>,
    /// Other names for models: an alias and a model, as `provider/id`, an id, or another alias.
    pub aliases: BTreeMap<String, String>,
    /// The providers that there are.
    pub providers: BTreeSet<String>,
    /// How ids of models begin, and the provider that has those. The first that fits counts.
    pub beginnings: Vec<(String, String)>,
}

/// A model of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The provider's name.
    pub provider: String,
    /// The model's id there.
    pub id: String,
}

impl std::fmt::Display for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.provider, self.id)
    }
}

/// Why a name leads to no model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoModel {
    /// Nothing is named, and the run has no model of its own.
    #[error(
        "no model is set: give --model, or `model` in the settings, such as `sonnet` or `provider/id`; there is {0}"
    )]
    NoneNamed(String),
    /// Nothing is known of this name.
    #[error("the model `{0}` is not known")]
    Unknown(String),
    /// Its provider is not set up.
    #[error("the model `{model}` is one of {provider}, which is not set up; there is {there}")]
    NoProvider {
        /// The model.
        model: String,
        /// The provider that has it.
        provider: String,
        /// The providers that there are.
        there: String,
    },
}

/// How ids of models begin, by who makes them.
const BEGINNINGS: [(&str, &str); 8] = [
    ("claude-", "anthropic"),
    ("gpt-", "openai"),
    ("chatgpt-", "openai"),
    ("codex-", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("gemini-", "gemini"),
];
/// What models are called by scripts that were written for Claude Code, and what that is elsewhere: the first whose provider
/// there is counts.
const ALIASES: [(&str, &[&str]); 5] = [
    (
        "haiku",
        &[
            "anthropic/claude-haiku-4-5",
            "openai/gpt-5-mini",
            "gemini/gemini-3-flash-preview",
        ],
    ),
    (
        "sonnet",
        &[
            "anthropic/claude-sonnet-4-6",
            "openai/gpt-5.2",
            "gemini/gemini-3-pro-preview",
        ],
    ),
    (
        "opus",
        &[
            "anthropic/claude-opus-4-8",
            "openai/gpt-5.2",
            "gemini/gemini-3-pro-preview",
        ],
    ),
    (
        "fable",
        &[
            "anthropic/claude-fable-5",
            "openai/gpt-5.2-pro",
            "gemini/gemini-3-pro-preview",
        ],
    ),
    ("local", &["ollama/qwen3-coder"]),
];

impl Names {
    /// The usual names for models of these providers, of which the run's own is `sonnet`, or `local` where that is all there
    /// is.
    #[must_use]
    pub fn usual(providers: impl IntoIterator<Item = String>) -> Self {
        let providers: BTreeSet<String> = providers.into_iter().collect();
        let has = |model: &&&str| {
            let provider = model.split_once('/').map(|(provider, _)| provider);
            provider.is_some_and(|provider| providers.contains(provider))
        };
        let aliases: BTreeMap<String, String> = ALIASES
            .iter()
            .filter_map(|(alias, models)| {
                let model = models.iter().find(has)?;
                Some(((*alias).to_owned(), (*model).to_owned()))
            })
            .collect();
        let own = ["sonnet", "local"]
            .into_iter()
            .find(|own| aliases.contains_key(*own));
        let beginnings = BEGINNINGS.iter();
        Self {
            own: own.map(str::to_owned),
            aliases,
            providers,
            beginnings: beginnings
                .map(|(beginning, provider)| ((*beginning).to_owned(), (*provider).to_owned()))
                .collect(),
        }
    }

    /// The model of this name; the run's own without one.
    ///
    /// # Errors
    /// [`NoModel`].
    pub fn model(&self, name: Option<&str>) -> Result<Model, NoModel> {
        let own = || self.own.as_deref();
        let name = name
            .or_else(own)
            .ok_or_else(|| NoModel::NoneNamed(self.there()))?;
        self.named(name)
    }

    fn named(&self, name: &str) -> Result<Model, NoModel> {
        let mut meant = name;
        // Aliases of aliases; a circle ends.
        for _ in 0..=self.aliases.len() {
            match self.alias(meant) {
                Some(next) => meant = next,
                None => break,
            }
        }
        if let Some((provider, id)) = meant.split_once('/')
            && self.providers.contains(provider)
            && !id.is_empty()
        {
            return Ok(Model {
                provider: provider.to_owned(),
                id: id.to_owned(),
            });
        }
        let begins = |(beginning, _): &&(String, String)| meant.starts_with(beginning.as_str());
        let mut fitting = self.beginnings.iter().filter(begins);
        let first = fitting.clone().next();
        if let Some((_, provider)) = fitting.find(|(_, provider)| self.providers.contains(provider))
        {
            return Ok(Model {
                provider: provider.clone(),
                id: meant.to_owned(),
            });
        }
        Err(match first {
            Some((_, provider)) => NoModel::NoProvider {
                model: name.to_owned(),
                provider: provider.clone(),
                there: self.there(),
            },
            None => NoModel::Unknown(name.to_owned()),
        })
    }

    /// An alias, in whatever letters.
    fn alias(&self, name: &str) -> Option<&str> {
        let exact = self.aliases.get(name);
        let exact = exact.or_else(|| self.aliases.get(&name.to_ascii_lowercase()));
        exact.map(String::as_str)
    }

    /// What there is, for people.
    fn there(&self) -> String {
        if self.providers.is_empty() {
            return "no provider of models: set ANTHROPIC_API_KEY, OPENAI_API_KEY or GEMINI_API_KEY, or `[providers]` in the \
                    settings"
                .to_owned();
        }
        let providers: Vec<&str> = self.providers.iter().map(String::as_str).collect();
        providers.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let text = |text: &str| text.to_owned();
        Names {
            own: Some(text("sonnet")),
            aliases: BTreeMap::from([
                (text("sonnet"), text("claude-sonnet-4-6")),
                (text("fast"), text("haiku")),
                (text("haiku"), text("proxy/small")),
                (text("round"), text("about")),
                (text("about"), text("round")),
            ]),
            providers: BTreeSet::from([text("anthropic"), text("proxy")]),
            beginnings: vec![
                (text("claude-"), text("anthropic")),
                (text("gpt-"), text("openai")),
            ],
        }
    }

    #[test]
    fn a09_names_lead_to_a_provider_and_an_id() {
        let names = names();
        for (name, model) in [
            (None, "anthropic/claude-sonnet-4-6"),
            (Some("Sonnet"), "anthropic/claude-sonnet-4-6"),
            (Some("fast"), "proxy/small"),
            (Some("claude-opus-9"), "anthropic/claude-opus-9"),
            (Some("proxy/a/b:c"), "proxy/a/b:c"),
        ] {
            let found = names.model(name).map(|model| model.to_string());
            assert_eq!(found, Ok(model.to_owned()), "{name:?}");
        }
        for (name, message) in [
            ("round", "the model `round` is not known"),
            ("nonesuch", "the model `nonesuch` is not known"),
            ("other/x", "the model `other/x` is not known"),
            (
                "gpt-5",
                "the model `gpt-5` is one of openai, which is not set up; there is anthropic, proxy",
            ),
        ] {
            let error = names.model(Some(name)).map_err(|error| error.to_string());
            assert_eq!(error, Err(message.to_owned()));
        }
        let usual = Names::usual(["openai".to_owned(), "proxy".to_owned()]);
        for (name, model) in [
            (None, "openai/gpt-5.2"),
            (Some("haiku"), "openai/gpt-5-mini"),
            (Some("gpt-9"), "openai/gpt-9"),
        ] {
            let found = usual.model(name).map(|model| model.to_string());
            assert_eq!(found, Ok(model.to_owned()), "{name:?}");
        }
        assert!(usual.model(Some("local")).is_err());
        let empty = Names::default()
            .model(None)
            .map_err(|error| error.to_string());
        assert!(empty.is_err_and(|error| error.contains("ANTHROPIC_API_KEY")));
    }
}
