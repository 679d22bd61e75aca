//! The model gateway: the one road to the models, for our own agents and for foreign programs.
//!
//! An HTTP server on loopback. Each attempt of an agent is given a [`Pass`]: a key and base URLs. What it sends there
//! goes on to a provider with the provider's key in place of the pass's, and the answer comes back as it is. On the
//! way a [`Meter`] admits each call and is told what it has cost. The gateway knows nothing of runs and journals.
//!
//! ```text
//! agent ──► handle: whose key, which wire ──► request: read ──► Route ──► Meter::admit ──► request: edited ──► provider
//!   ◄────── answer: bytes as they come ◄── tap: events, count ◄─────────────────────────────────────────────────┘
//!                                           └──► Meter::settle, exactly once (call)
//! ```
//!
//! What is changed in a body: the model where routing names another, the output limit where less is admitted, and for
//! streamed chat completions the request for usage, which is taken out of the answer again. All else passes byte for
//! byte. Answers are asked for uncompressed, since they are read on their way.

mod answer;
mod body;
mod call;
mod count;
mod events;
mod failure;
mod handle;
mod headers;
mod json;
mod key;
mod letters;
mod meter;
mod models;
mod pass;
mod provider;
mod refusal;
mod request;
mod route;
mod serve;
mod stopwatch;
mod tap;
#[cfg(test)]
mod tests;
mod upstream;
mod usage;
mod wait;
mod wire;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::HeaderValue;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use handle::Shared;
use pass::{Holder, Passes};
use upstream::Upstream;

pub use meter::{
    Admitted, CallEnd, CallFailure, CallFailureKind, CallId, CallOutcome, Meter, ModelCall,
    RefusalKind, Refused, Tokens,
};
pub use pass::Pass;
pub use provider::{Auth, ChatLimit, Endpoint, Provider, ProviderError, ProviderKey};
pub use route::{NoRoute, Route, RouteTable, Routed, Rule};
pub use upstream::Proxy;
pub use wire::{ClientFamily, Wire};

/// The wall clock, in milliseconds since 1970. It only serves to read dates in providers' errors.
pub type Now = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What a gateway is started with.
#[derive(Clone)]
pub struct Config {
    /// The providers.
    pub providers: Vec<Provider>,
    /// Decides where calls go.
    pub route: Arc<dyn Route>,
    /// Which proxy leads out.
    pub proxy: Proxy,
    /// The clock.
    pub now: Now,
}

/// Why a gateway cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A provider is not set up well.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// No port of this machine.
    #[error("the model gateway cannot listen on 127.0.0.1: {0}")]
    Listen(#[from] std::io::Error),
}

/// Why no pass is given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The system has no random bytes.
    #[error("the system gives no random bytes for a key: {0}")]
    Entropy(String),
    /// The trace context cannot be sent.
    #[error("{0:?} is no traceparent: it has characters that a header cannot have")]
    Traceparent(String),
    /// The gateway has been shut down.
    #[error("the model gateway is shut down")]
    ShutDown,
}

/// A gateway that is running. Dropped, it stops as if it were shut down, but nobody waits for that.
pub struct Gateway {
    address: SocketAddr,
    passes: Arc<Passes>,
    stopped: CancellationToken,
    server: JoinHandle<()>,
}

impl Gateway {
    /// Starts to listen on a free port of 127.0.0.1, within the tokio runtime of the caller.
    ///
    /// # Errors
    ///
    /// A provider that cannot be used, or no port.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let mut providers = HashMap::new();
        for provider in config.providers {
            provider.check()?;
            let name = provider.name.clone();
            if providers.insert(name.clone(), Arc::new(provider)).is_some() {
                return Err(ProviderError::Twice(name).into());
            }
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let passes = Arc::new(Passes::default());
        let shared = Arc::new(Shared {
            passes: passes.clone(),
            providers,
            route: config.route,
            upstream: Upstream::new(config.proxy),
            now: config.now,
            calls: AtomicU64::new(1),
        });
        let stopped = CancellationToken::new();
        let server = tokio::spawn(serve::serve(listener, shared, stopped.clone()));
        Ok(Self {
            address,
            passes,
            stopped,
            server,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives an attempt its pass. `traceparent` is put on its calls where the agent sends none of its own.
    ///
    /// # Errors
    ///
    /// No random bytes, a trace context that no header can hold, or a gateway that is shut down.
    pub fn open(
        &self,
        meter: Arc<dyn Meter>,
        traceparent: Option<&str>,
    ) -> Result<Pass, OpenError> {
        if self.stopped.is_cancelled() {
            return Err(OpenError::ShutDown);
        }
        let traceparent = traceparent
            .map(|text| {
                HeaderValue::from_str(text).map_err(|_| OpenError::Traceparent(text.to_owned()))
            })
            .transpose()?;
        let key = key::draw().map_err(|error| OpenError::Entropy(error.to_string()))?;
        let holder = Holder {
            meter,
            traceparent,
            revoked: self.stopped.child_token(),
            calls: TaskTracker::new(),
        };
        Ok(self.passes.open(key, self.address, holder))
    }

    /// Cuts all calls off, closes all connections, and waits until every call is settled.
    pub async fn shutdown(mut self) {
        self.stopped.cancel();
        // It can only fail by a panic, which has been reported where it happened.
        let _ = (&mut self.server).await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}
