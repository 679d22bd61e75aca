//! Which provider and which model of its a call goes to.

use super::wire::Wire;

/// Decides where calls go.
pub trait Route: Send + Sync + 'static {
    /// Where a call goes: by its wire format, the model as the agent has named it, and the provider where the path
    /// names one.
    ///
    /// # Errors
    ///
    /// [`NoRoute`], whose text lists what there is.
    fn route(&self, wire: Wire, model: &str, provider: Option<&str>) -> Result<Routed, NoRoute>;

    /// The names that an agent can ask for, for the lists of models.
    fn models(&self) -> Vec<String>;
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// The provider's name.
    pub provider: String,
    /// The model's id there.
    pub model: String,
}

/// There is nowhere to go.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no provider serves {} by {wire}; there is {}", what(.model, .provider.as_deref()), list(.offered))]
pub struct NoRoute {
    /// The wire format.
    pub wire: Wire,
    /// The model that was asked for.
    pub model: String,
    /// The provider that was named.
    pub provider: Option<String>,
    /// What there is for this wire format.
    pub offered: Vec<String>,
}

fn what(model: &str, provider: Option<&str>) -> String {
    match provider {
        Some(provider) => format!("the model {model:?} at {provider:?}"),
        None => format!("the model {model:?}"),
    }
}

fn list(offered: &[String]) -> String {
    if offered.is_empty() {
        return "nothing: no provider is set up for it".to_owned();
    }
    offered.join(", ")
}

/// One line of a [`RouteTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The model's name, or the beginning of it and `*`.
    pub model: String,
    /// The wire format, where the rule is for one only.
    pub wire: Option<Wire>,
    /// The provider.
    pub provider: String,
    /// The model's id there, where it is another than what was asked for.
    pub sends: Option<String>,
}

impl Rule {
    fn covers(&self, wire: Wire, model: &str, provider: Option<&str>) -> bool {
        self.wire.is_none_or(|only| only == wire)
            && provider.is_none_or(|named| named == self.provider)
            && match self.model.strip_suffix('*') {
                Some(beginning) => model.starts_with(beginning),
                None => model == self.model,
            }
    }
}

/// Routes by rules, the first that covers a call. A provider that the path names is asked for any model of its,
/// by the name of the rules where they have one for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable {
    /// The rules.
    pub rules: Vec<Rule>,
    /// The providers that a path may name, each with what it speaks.
    pub providers: Vec<(String, Vec<Wire>)>,
}

impl Route for RouteTable {
    fn route(&self, wire: Wire, model: &str, provider: Option<&str>) -> Result<Routed, NoRoute> {
        let speaks = |name: &str| {
            self.providers
                .iter()
                .any(|(provider, wires)| provider == name && wires.contains(&wire))
        };
        let rule = self
            .rules
            .iter()
            .find(|rule| rule.covers(wire, model, provider) && speaks(&rule.provider));
        if let Some(rule) = rule {
            return Ok(Routed {
                provider: rule.provider.clone(),
                model: rule.sends.clone().unwrap_or_else(|| model.to_owned()),
            });
        }
        match provider {
            Some(named) if speaks(named) => Ok(Routed {
                provider: named.to_owned(),
                model: model.to_owned(),
            }),
            _ => Err(NoRoute {
                wire,
                model: model.to_owned(),
                provider: provider.map(str::to_owned),
                offered: self.offered(wire),
            }),
        }
    }

    fn models(&self) -> Vec<String> {
        let mut models: Vec<String> = Vec::new();
        for rule in &self.rules {
            if !rule.model.ends_with('*') && !models.contains(&rule.model) {
                models.push(rule.model.clone());
            }
        }
        models
    }
}

impl RouteTable {
    fn offered(&self, wire: Wire) -> Vec<String> {
        let rules = self
            .rules
            .iter()
            .filter(|rule| rule.wire.is_none_or(|only| only == wire))
            .map(|rule| rule.model.clone());
        let providers = self
            .providers
            .iter()
            .filter(|(_, wires)| wires.contains(&wire))
            .map(|(provider, _)| format!("any at /to/{provider}/"));
        rules.chain(providers).collect()
    }
}
