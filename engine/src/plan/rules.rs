//! What calls' options mean in a plan: what they mean in a run, except that every backend makes its answers up, and that an
//! agent type which is not there is the default one unless the plan is strict.

use std::collections::HashMap;
use std::sync::Arc;

use bellwether_actors::backend::AgentBackend;
use bellwether_actors::run::keys::{Backends, Resolution, Resolve};
use bellwether_journal::record::CallKind;
use serde_json::{Map, Value};

use super::PlanOptions;
use crate::backend::dry::Dry;
use crate::options::StartOptions;
use crate::resolve::{RunRules, Steps};

/// What a run calls the backend of an agent command that has no name.
const COMMAND: &str = "command";
const DRY: &str = "dry";

/// The rules of a plan.
pub(super) struct PlanRules {
    rules: RunRules,
    strict: bool,
}

impl PlanRules {
    pub(super) fn new(start: &StartOptions, options: &PlanOptions) -> Self {
        let dry: Arc<dyn AgentBackend> = Arc::new(Dry);
        let own = match (&start.backend, &start.agent_command) {
            (Some(name), _) => name,
            (None, Some(_)) => COMMAND,
            (None, None) => DRY,
        };
        let names = options.backends.iter().map(String::as_str).chain([own]);
        let by_name: HashMap<String, Arc<dyn AgentBackend>> = names
            .map(|name| (name.to_owned(), Arc::clone(&dry)))
            .collect();
        let made = Arc::clone(&dry);
        let steps = Steps {
            isolated: Some(Arc::new(|backend| backend)),
            merge: Some(Arc::new(move |_| Ok(Arc::clone(&made)))),
            may_merge: start.permissions.merge || !options.strict,
        };
        let rules = RunRules::new(
            Backends::new(by_name, own),
            &start.agent_types,
            start.isolate,
            steps,
            &|_, _| Ok(Arc::clone(&dry)),
        );
        Self {
            rules,
            strict: options.strict,
        }
    }
}

impl Resolve for PlanRules {
    fn resolve(&self, kind: CallKind, mut all: Map<String, Value>) -> Resolution {
        let mut resolution = self.rules.resolve(kind, all.clone());
        let is_unknown = |code| kind == CallKind::Agent && code == "UNKNOWN_AGENT_TYPE";
        if let Err(refusal) = &resolution.backend
            && is_unknown(refusal.code)
        {
            let named = all.remove("agentType");
            if !self.strict {
                resolution = self.rules.resolve(kind, all);
            }
            // As it was named, so that the plan can tell of it.
            resolution.options.agent_type = named.and_then(|name| name.as_str().map(str::to_owned));
        }
        resolution
    }
}
