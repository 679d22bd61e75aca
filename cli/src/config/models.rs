//! Who has models, what they are called and what they cost: the tables `[providers]`, `[models]` and `[prices]`, and the
//! variables by which everybody names the usual providers' keys.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::Path;

use bellwether::gateway::{Auth, Provider, ProviderKey, Proxy, Wire};
use bellwether::models::{Names, Options, Price, ProviderLimits};
use schemars::JsonSchema;
use serde::Deserialize;

use super::file::place;
use crate::error::{CommandError, Result};

/// The tables of one settings file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(crate) struct Tables {
    /// Who has models, by a name of your own.
    providers: BTreeMap<String, ProviderTable>,
    /// Other names for models, such as `fast = "anthropic/claude-haiku-4-5"`.
    models: BTreeMap<String, String>,
    /// What models cost, by the beginnings of their ids; `provider/` may stand before one.
    prices: BTreeMap<String, PriceTable>,
}

impl ProviderTable {
    /// What `over` says goes before what stands here.
    fn under(self, over: Self) -> Self {
        let speaks = if over.speaks.is_empty() {
            self.speaks
        } else {
            over.speaks
        };
        Self {
            speaks,
            base_url: over.base_url.or(self.base_url),
            key_env: over.key_env.or(self.key_env),
            concurrency: over.concurrency.or(self.concurrency),
            requests_per_minute: over.requests_per_minute.or(self.requests_per_minute),
        }
    }
}

/// The names of the tables.
pub(super) const TABLES: [&str; 3] = ["providers", "models", "prices"];

#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProviderTable {
    /// What it speaks; of several the built-in agent takes the first. Default: `openai`, or what the name says.
    #[serde(default)]
    speaks: Vec<Speaks>,
    /// Where it is, as its documentation gives it: with `/v1` for `openai` and `responses`, without for the others. Default: for
    /// `anthropic`, `openai` and `gemini` the usual address.
    #[serde(default)]
    base_url: Option<String>,
    /// The environment variable that holds its key. Default: it needs none; `anthropic`, `openai` and `gemini` the usual one.
    #[serde(default)]
    key_env: Option<String>,
    /// Calls at once, of all runs. Default: no limit.
    #[serde(default)]
    concurrency: Option<NonZeroU32>,
    /// Calls begun in a minute, of all runs. Default: no limit.
    #[serde(default)]
    requests_per_minute: Option<NonZeroU32>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Speaks {
    /// Anthropic Messages.
    Anthropic,
    /// `OpenAI` chat completions, and all that is compatible with them.
    Openai,
    /// `OpenAI` responses.
    Responses,
    /// Gemini generateContent.
    Gemini,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PriceTable {
    /// Dollars for a million tokens that it reads.
    input: f64,
    /// Dollars for a million tokens that it writes.
    output: f64,
    /// Dollars for a million tokens that it reads from a cache. Default: as `input`.
    cache_read: Option<f64>,
    /// Dollars for a million tokens that it puts into a cache. Default: as `input`.
    cache_write: Option<f64>,
    /// Tokens that fit into it.
    context: Option<u64>,
    /// Tokens that it writes at most in one answer.
    max_output: Option<u64>,
}

impl From<PriceTable> for Price {
    fn from(table: PriceTable) -> Self {
        Self {
            input: table.input,
            output: table.output,
            cache_read: table.cache_read,
            cache_write: table.cache_write,
            context: table.context,
            max_output: table.max_output,
        }
    }
}

impl From<Speaks> for Wire {
    fn from(speaks: Speaks) -> Self {
        match speaks {
            Speaks::Anthropic => Self::Messages,
            Speaks::Openai => Self::ChatCompletions,
            Speaks::Responses => Self::Responses,
            Speaks::Gemini => Self::GenerateContent,
        }
    }
}

/// Those who need no table: name, variables of the key and of the address, the usual address, what they speak.
const USUAL: [Usual; 3] = [
    Usual {
        name: "anthropic",
        keys: &["ANTHROPIC_API_KEY"],
        address: "ANTHROPIC_BASE_URL",
        base_url: "https://api.anthropic.com",
        speaks: &[Wire::Messages],
    },
    Usual {
        name: "openai",
        keys: &["OPENAI_API_KEY"],
        address: "OPENAI_BASE_URL",
        base_url: "https://api.openai.com/v1",
        speaks: &[Wire::Responses, Wire::ChatCompletions],
    },
    Usual {
        name: "gemini",
        keys: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        address: "GOOGLE_GEMINI_BASE_URL",
        base_url: "https://generativelanguage.googleapis.com",
        speaks: &[Wire::GenerateContent],
    },
];

struct Usual {
    name: &'static str,
    keys: &'static [&'static str],
    address: &'static str,
    base_url: &'static str,
    speaks: &'static [Wire],
}

/// Reads the tables from a file's text, which is TOML.
///
/// # Errors
/// A usage error that names file, line and column.
pub(super) fn parse(text: &str, file: &Path) -> Result<Tables> {
    toml::from_str(text).map_err(|error| {
        let (line, column) = place(text, error.span().map_or(0, |span| span.start));
        let what = error.message().replace('\n', ", ");
        CommandError::usage(format!("{}:{line}:{column}: {what}", file.display()))
    })
}

impl Tables {
    /// What `over` says goes before what stands here.
    pub(super) fn under(mut self, over: Self) -> Self {
        for (name, over) in over.providers {
            let table = self.providers.remove(&name).unwrap_or_default();
            self.providers.insert(name, table.under(over));
        }
        self.models.extend(over.models);
        self.prices.extend(over.prices);
        self
    }

    /// The models that there are.
    ///
    /// # Errors
    /// A usage error that names the provider whose address is none.
    pub(super) fn options(self, environment: &[(OsString, OsString)]) -> Result<Options> {
        let variable = |name: &str| {
            let (_, value) = environment.iter().find(|(key, _)| key == name)?;
            value
                .to_str()
                .map(str::trim)
                .filter(|value| !value.is_empty())
        };
        let mut providers = Vec::new();
        let mut limits = BTreeMap::new();
        let mut secrets: Vec<String> = Vec::new();
        for usual in &USUAL {
            secrets.extend(usual.keys.iter().map(|name| (*name).to_owned()));
            let key = usual.keys.iter().find_map(|name| variable(name));
            if let Some(key) = key
                && !self.providers.contains_key(usual.name)
            {
                let base_url = variable(usual.address).unwrap_or(usual.base_url);
                let provider = provider(usual.name, usual.speaks, base_url)?;
                providers.push(provider.with_key(ProviderKey::new(key)));
            }
        }
        for (name, table) in &self.providers {
            let usual = USUAL.iter().find(|usual| usual.name == name);
            let speaks: Vec<Wire> = match (table.speaks.as_slice(), usual) {
                ([], Some(usual)) => usual.speaks.to_vec(),
                ([], None) => vec![Wire::ChatCompletions],
                (speaks, _) => speaks.iter().map(|speaks| Wire::from(*speaks)).collect(),
            };
            let known = usual.map(|usual| variable(usual.address).unwrap_or(usual.base_url));
            let base_url = table.base_url.as_deref().or(known).ok_or_else(|| {
                CommandError::usage(format!(
                    "the settings: the provider `{name}` has no `base_url`"
                ))
                .help("give the address that its documentation names")
            })?;
            let mut provider = provider(name, &speaks, base_url)?;
            // One of the usual at its usual place has its usual key.
            let keys: Vec<&str> = match (&table.key_env, &table.base_url, usual) {
                (Some(name), ..) => vec![name],
                (None, None, Some(usual)) => usual.keys.to_vec(),
                (None, ..) => Vec::new(),
            };
            if keys.is_empty() {
                for endpoint in &mut provider.endpoints {
                    endpoint.auth = Auth::None;
                }
            } else {
                secrets.extend(keys.iter().map(|name| (*name).to_owned()));
                // Without its key it is as if it were not there: others of the project may have no account.
                let Some(key) = keys.iter().find_map(|name| variable(name)) else {
                    continue;
                };
                provider = provider.with_key(ProviderKey::new(key));
            }
            let mut limited = ProviderLimits::default();
            limited.concurrency = table.concurrency;
            limited.requests_per_minute = table.requests_per_minute;
            if limited != ProviderLimits::default() {
                limits.insert(name.clone(), limited);
            }
            provider
                .check()
                .map_err(|error| CommandError::usage(format!("the settings: {error}")))?;
            providers.push(provider);
        }
        let mut options = Options::new(providers);
        let Names { own, aliases, .. } = &mut options.names;
        if own.is_none() {
            // What has none of the usual names has the first of its own.
            *own = self.models.keys().next().cloned();
        }
        aliases.extend(self.models);
        let prices = self.prices.into_iter();
        options.prices.0 = prices.map(|(name, table)| (name, table.into())).collect();
        options.secrets = secrets;
        options.limits = limits;
        options.proxy = Proxy::Environment;
        Ok(options)
    }
}

fn provider(name: &str, speaks: &[Wire], base_url: &str) -> Result<Provider> {
    let url = base_url.parse().map_err(|error| {
        CommandError::usage(format!(
            "the provider `{name}`: its address {base_url:?} cannot be read: {error}"
        ))
    })?;
    let provider = speaks.iter().fold(Provider::new(name), |provider, wire| {
        provider.with_endpoint(*wire, Clone::clone(&url))
    });
    Ok(provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str, environment: &[(&str, &str)]) -> Options {
        let pairs = environment.iter();
        let pairs: Vec<_> = pairs
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let tables = parse(text, Path::new("config.toml"));
        tables
            .and_then(|tables| tables.options(&pairs))
            .unwrap_or_else(|error| panic!("{}", error.message()))
    }

    fn names(options: &Options) -> Vec<&str> {
        options
            .providers
            .iter()
            .map(|provider| &*provider.name)
            .collect()
    }

    #[test]
    fn usual_providers_need_a_key_and_nothing_else() {
        assert!(names(&options("", &[])).is_empty());
        let found = options("", &[("OPENAI_API_KEY", "k"), ("ANTHROPIC_API_KEY", " ")]);
        assert_eq!(names(&found), ["openai"]);
        assert_eq!(
            found.names.model(None).map(|model| model.to_string()).ok(),
            Some("openai/gpt-5.2".to_owned())
        );
        let proxied = [
            ("ANTHROPIC_API_KEY", "k"),
            ("ANTHROPIC_BASE_URL", "http://localhost:9"),
        ];
        let found = options("", &proxied);
        assert_eq!(
            found.providers[0].endpoints[0].base_url.as_str(),
            "http://localhost:9/"
        );
    }

    #[test]
    fn what_a_provider_takes_at_once_and_in_a_minute_needs_nothing_else_said() {
        let text = "[providers.anthropic]\nconcurrency = 8\nrequests_per_minute = 50\n";
        let found = options(text, &[("ANTHROPIC_API_KEY", "k")]);
        let [provider] = found.providers.as_slice() else {
            panic!("{:?}", found.providers)
        };
        assert_eq!(
            provider.endpoints[0].base_url.as_str(),
            "https://api.anthropic.com/"
        );
        assert!(provider.key.is_some());
        let mut limited = ProviderLimits::default();
        limited.concurrency = NonZeroU32::new(8);
        limited.requests_per_minute = NonZeroU32::new(50);
        assert_eq!(found.limits.get("anthropic"), Some(&limited));
        let refused =
            parse("[providers.mine]\n", Path::new("c")).and_then(|tables| tables.options(&[]));
        let message = refused.map_or_else(|error| error.message().to_owned(), |_| String::new());
        assert!(message.contains("`mine` has no `base_url`"), "{message}");
    }

    #[test]
    fn tables_name_others_and_go_before() {
        let text = r#"
            [providers.local]
            base_url = "http://127.0.0.1:11434/v1"
            [providers.paid]
            speaks = ["anthropic", "openai"]
            base_url = "https://models.example"
            key_env = "PAID_KEY"
            [models]
            fast = "local/qwen3"
            [prices."local/"]
            input = 0
            output = 0.5
        "#;
        let found = options(text, &[]);
        assert_eq!(names(&found), ["local"], "one without its key is not there");
        let model = found.names.model(None).map(|model| model.to_string());
        assert_eq!(model.ok().as_deref(), Some("local/qwen3"));
        assert_eq!(
            found.prices.of("local", "qwen3").map(|price| price.output),
            Some(0.5)
        );
        assert!(found.secrets.contains(&"PAID_KEY".to_owned()));
        let found = options(text, &[("PAID_KEY", "k")]);
        assert_eq!(names(&found), ["local", "paid"]);
        assert_eq!(found.providers[1].endpoints.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (text, expected) in [
            (
                "[providers.x]\nbase = 1",
                "config.toml:2:1: unknown field `base`",
            ),
            (
                "[providers.x]\nspeaks = [\"morse\"]",
                "config.toml:2:11: unknown variant `morse`",
            ),
            (
                "[prices.x]\ninput = 1.0",
                "config.toml:1:1: missing field `output`",
            ),
        ] {
            let error = parse(text, Path::new("config.toml"));
            let message = error.err().map(|error| error.message().to_owned());
            assert!(
                message
                    .as_ref()
                    .is_some_and(|message| message.starts_with(expected)),
                "{message:?}"
            );
        }
        let tables = parse(
            "[providers.x]\nbase_url = \"nowhere\"",
            Path::new("config.toml"),
        );
        let error = tables.and_then(|tables| tables.options(&[])).err();
        assert!(
            error.is_some_and(|error| error.message().contains("`x`: its address \"nowhere\""))
        );
    }
}
