//! Models: what they are called, what they cost, and the road that agents take to them.
//!
//! ```text
//! Options (providers, names, prices) ──► Hub ── one gateway, begun with the first agent that asks a model
//!   call's model ─► Names ─► provider/id        │
//!   attempt ─► Metered ─► Pass of the gateway ──┘ each call: Breaker, then Ledger (run) and Account (attempt)
//!                └─► what it used so far ─► journal
//! ```
//!
//! Names are pure and pinned in a run's options; prices, providers and their keys belong to the engine and are in no journal.

mod breaker;
mod forecast;
mod ledger;
mod limits;
mod meter;
mod metered;
mod names;
mod prices;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bellwether_actors::run::budget::{Allowance, Amount};
use bellwether_journal::id::RunId;
use tokio::sync::{Notify, OnceCell};

use self::breaker::Breaker;
pub use self::forecast::{Basis, Forecast, forecast};
use self::ledger::Ledger;
pub use self::limits::ProviderLimits;
use self::limits::Turnstiles;
pub(crate) use self::metered::Metered;
pub use self::names::{Model, Names, NoModel};
pub use self::prices::{Price, Prices};
use crate::clock::Clock;
use crate::gateway::{
    ClientFamily, Config, Gateway, Pass, Provider, Proxy, RouteTable, Rule, StartError, Wire,
};

/// The models of an engine.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// Who has them.
    pub providers: Vec<Provider>,
    /// What they are called.
    pub names: Names,
    /// What they cost, before what is known already.
    pub prices: Prices,
    /// What providers are asked for at once and in a minute, by their names; no limit where nothing is said.
    pub limits: BTreeMap<String, ProviderLimits>,
    /// Which proxy leads out.
    pub proxy: Proxy,
    /// Environment variables that hold the providers' keys: agents' programs do not get them.
    pub secrets: Vec<String>,
}

impl Options {
    /// Models of these providers, with the usual names.
    #[must_use]
    pub fn new(providers: Vec<Provider>) -> Self {
        let names = Names::usual(providers.iter().map(|provider| provider.name.to_string()));
        Self {
            providers,
            names,
            ..Self::default()
        }
    }
}

/// A run's ledger, as its agents' meters share it.
#[derive(Default)]
pub(crate) struct Till {
    ledger: Mutex<Ledger>,
    /// Told when a call has given back what it held.
    settled: Notify,
}

impl Till {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // What is in it is whole at every step.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run begins, or goes on: what it may spend, and what it has spent by its journal.
    pub(crate) fn begin(&self, budget: Allowance, spent: Amount) {
        self.ledger().begin(budget, spent);
    }
}

/// What all runs of an engine share of models.
pub(crate) struct Hub {
    options: Options,
    clock: Arc<dyn Clock>,
    gateway: OnceCell<Gateway>,
    breaker: Breaker,
    turnstiles: Turnstiles,
    tills: Mutex<HashMap<RunId, Weak<Till>>>,
}

impl Hub {
    pub(crate) fn new(options: Options, clock: Arc<dyn Clock>) -> Self {
        Self {
            turnstiles: Turnstiles::new(&options.limits),
            options,
            clock,
            gateway: OnceCell::new(),
            breaker: Breaker::default(),
            tills: Mutex::default(),
        }
    }

    pub(crate) const fn options(&self) -> &Options {
        &self.options
    }

    /// What programs find models by that are at `address` behind this key: for each wire that a provider speaks the variables
    /// of its usual clients, and none of the variables that hold a provider's own key.
    fn environment(&self, pass: &Pass) -> Vec<(String, Option<String>)> {
        let wires = self.options.providers.iter();
        let wires = wires.flat_map(|provider| provider.endpoints.iter().map(|one| one.wire));
        let wires: HashSet<Wire> = wires.collect();
        let has_any = |any: &[Wire]| any.iter().any(|wire| wires.contains(wire));
        let mut set: Vec<(&str, String)> = Vec::new();
        let key = || pass.key().to_owned();
        if has_any(&[Wire::Messages]) {
            set.push(("ANTHROPIC_BASE_URL", pass.base_url(ClientFamily::Anthropic)));
            set.push(("ANTHROPIC_API_KEY", key()));
        }
        if has_any(&[Wire::ChatCompletions, Wire::Responses]) {
            set.push(("OPENAI_BASE_URL", pass.base_url(ClientFamily::OpenAi)));
            set.push(("OPENAI_API_BASE", pass.base_url(ClientFamily::OpenAi)));
            set.push(("OPENAI_HOST", pass.base_url(ClientFamily::Host)));
            set.push(("OPENAI_API_KEY", key()));
        }
        if has_any(&[Wire::GenerateContent]) {
            set.push((
                "GOOGLE_GEMINI_BASE_URL",
                pass.base_url(ClientFamily::Gemini),
            ));
            set.push(("GEMINI_API_KEY", key()));
            set.push(("GOOGLE_API_KEY", key()));
        }
        let secret = self.options.secrets.iter();
        let secret = secret.filter(|name| set.iter().all(|(other, _)| other != name));
        let removed: Vec<_> = secret.map(|name| (name.clone(), None)).collect();
        let set = set
            .into_iter()
            .map(|(name, value)| (name.to_owned(), Some(value)));
        set.chain(removed).collect()
    }

    /// A run's ledger: the same for all who ask for it at a time, so that agents which outlive a rewind spend from it, too.
    pub(crate) fn till(&self, run: RunId) -> Arc<Till> {
        let mut tills = self.tills.lock().unwrap_or_else(PoisonError::into_inner);
        tills.retain(|_, till| till.strong_count() > 0);
        if let Some(till) = tills.get(&run).and_then(Weak::upgrade) {
            return till;
        }
        let till = Arc::<Till>::default();
        tills.insert(run, Arc::downgrade(&till));
        till
    }

    /// The gateway, which begins when the first agent wants it.
    async fn gateway(&self) -> Result<&Gateway, StartError> {
        let start = || async {
            let clock = Arc::clone(&self.clock);
            let config = Config {
                providers: self.options.providers.clone(),
                route: Arc::new(routes(&self.options)),
                proxy: self.options.proxy.clone(),
                now: Arc::new(move || clock.now()),
            };
            Gateway::start(config).await
        };
        self.gateway.get_or_try_init(start).await
    }
}

/// Where calls of foreign agents go, which name models as they please: by alias, by `provider/id`, by how ids begin, and what is
/// left by the wire alone.
fn routes(options: &Options) -> RouteTable {
    let names = &options.names;
    let mut rules = Vec::new();
    for alias in names.aliases.keys() {
        if let Ok(model) = names.model(Some(alias)) {
            rules.push(Rule {
                model: alias.clone(),
                wire: None,
                provider: model.provider,
                sends: Some(model.id),
            });
        }
    }
    for (beginning, provider) in &names.beginnings {
        rules.push(Rule {
            model: format!("{beginning}*"),
            wire: None,
            provider: provider.clone(),
            sends: None,
        });
    }
    let mut providers = Vec::new();
    for provider in &options.providers {
        let wires = provider.endpoints.iter().map(|endpoint| endpoint.wire);
        providers.push((provider.name.to_string(), wires.collect()));
        rules.push(Rule {
            model: "*".to_owned(),
            wire: None,
            provider: provider.name.to_string(),
            sends: None,
        });
    }
    RouteTable { rules, providers }
}
