//! Gives each attempt its own way to the models, and counts what it uses there.

use std::sync::Arc;

use bellwether_actors::backend::{
    AgentBackend, AgentOutcome, AttemptContext, Ended, ModelAccess, Task,
};
use bellwether_actors::run::budget::Amount;
use bellwether_journal::record::{Failure, FailureKind};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::meter::{AttemptMeter, Trouble};
use super::{Hub, Till};
use crate::gateway::ClientFamily;

/// A backend whose attempts reach models through the gateway.
pub(crate) struct Metered {
    inner: Arc<dyn AgentBackend>,
    hub: Arc<Hub>,
    till: Arc<Till>,
}

impl Metered {
    pub(crate) fn new(inner: Arc<dyn AgentBackend>, hub: Arc<Hub>, till: Arc<Till>) -> Self {
        Self { inner, hub, till }
    }
}

impl AgentBackend for Metered {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        let inner = Arc::clone(&self.inner);
        let (hub, till) = (Arc::clone(&self.hub), Arc::clone(&self.till));
        async move {
            let gateway = match hub.gateway().await {
                Ok(gateway) => gateway,
                Err(error) => return Ended::failed(FailureKind::Other, error.to_string()),
            };
            let meter = AttemptMeter::new(
                Arc::clone(&hub),
                Arc::clone(&till),
                context.notes.clone(),
                task.allowance,
            );
            let pass = match gateway.open(Arc::new(meter.clone()), None) {
                Ok(pass) => pass,
                Err(error) => return Ended::failed(FailureKind::Other, error.to_string()),
            };
            let mut task = task;
            Arc::make_mut(&mut task).models = Some(ModelAccess {
                address: pass.base_url(ClientFamily::Host),
                key: pass.key().to_owned(),
                environment: hub.environment(&pass),
            });
            let mut ended = inner.run(task, context).await;
            // Calls that are still under way are cut off, and counted.
            pass.close().await;
            let (counted, trouble) = meter.stand();
            if counted.requests == 0 {
                // It went another way, so what it says itself is all that is known.
                till.ledger().add(Amount {
                    tokens: ended.usage.output_tokens,
                    cost: 0,
                });
            } else {
                ended.usage = counted.usage();
            }
            ended.outcome = explained(ended.outcome, trouble);
            ended
        }
        .boxed()
    }

    fn fingerprint(&self) -> String {
        self.inner.fingerprint()
    }
}

/// Whether an agent that fails so may have failed of what its models did.
const fn is_vague(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Other
            | FailureKind::Crash
            | FailureKind::Transport
            | FailureKind::RateLimit
            | FailureKind::Quota
            | FailureKind::Budget
            | FailureKind::Limit
    )
}

/// An agent that fails mostly cannot tell why its model did not answer; whoever stood on the road can.
fn explained(outcome: AgentOutcome, trouble: Option<Trouble>) -> AgentOutcome {
    match (outcome, trouble) {
        (AgentOutcome::Failed(failure), Some(trouble)) if is_vague(failure.kind) => {
            let evidence = failure
                .evidence
                .or_else(|| (failure.message != trouble.message).then_some(failure.message));
            AgentOutcome::Failed(Failure {
                kind: trouble.kind,
                message: trouble.message,
                evidence,
                retry_after: trouble.retry_after.or(failure.retry_after),
            })
        }
        (outcome, _) => outcome,
    }
}
