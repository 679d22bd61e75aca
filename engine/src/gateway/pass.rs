//! Passes: an attempt's way to the models, which ends when the attempt does.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::HeaderValue;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::meter::Meter;
use super::wire::ClientFamily;

/// An attempt's key to the gateway. Dropped or closed, its key is no longer valid and its open calls are cut off.
#[must_use = "dropping a pass revokes it"]
pub struct Pass {
    key: String,
    address: SocketAddr,
    holder: Arc<Holder>,
    passes: Arc<Passes>,
}

impl Pass {
    /// The key that the agent is given in place of the provider's.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The base URL for a family of clients.
    pub fn base_url(&self, family: ClientFamily) -> String {
        self.url("", family)
    }

    /// The base URL that sends everything to one provider, whatever model is named.
    pub fn base_url_of(&self, provider: &str, family: ClientFamily) -> String {
        self.url(&format!("/to/{provider}"), family)
    }

    fn url(&self, prefix: &str, family: ClientFamily) -> String {
        let version = match family {
            ClientFamily::OpenAi => "/v1",
            ClientFamily::Anthropic | ClientFamily::Gemini | ClientFamily::Host => "",
        };
        format!("http://{}{prefix}{version}", self.address)
    }

    /// Makes the key invalid and cuts open calls off. Their meter is told of each soon after.
    pub fn revoke(&self) {
        self.passes.remove(&digest(&self.key));
        self.holder.revoked.cancel();
    }

    /// Revokes, and waits until the meter has been told of every call.
    pub async fn close(self) {
        self.revoke();
        self.holder.calls.close();
        self.holder.calls.wait().await;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.revoke();
    }
}

impl fmt::Debug for Pass {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pass").finish_non_exhaustive()
    }
}

/// Who stands behind a key.
pub(super) struct Holder {
    pub(super) meter: Arc<dyn Meter>,
    pub(super) traceparent: Option<HeaderValue>,
    pub(super) revoked: CancellationToken,
    /// Requests that are under way.
    pub(super) calls: TaskTracker,
}

type Digest = [u8; blake3::OUT_LEN];

/// The keys that are valid, by their hash: how long a look-up takes tells nothing about a key.
#[derive(Default)]
pub(super) struct Passes {
    holders: Mutex<HashMap<Digest, Arc<Holder>>>,
}

impl Passes {
    /// Who holds a key, with a token that [`Pass::close`] waits for.
    pub(super) fn find(&self, key: &str) -> Option<(Arc<Holder>, TaskTrackerToken)> {
        let holders = self.holders();
        let holder = holders.get(&digest(key))?;
        // While the key is there it has not been revoked, so a close cannot miss this token.
        Some((holder.clone(), holder.calls.token()))
    }

    /// Adds a pass for a key that has just been drawn.
    pub(super) fn open(self: &Arc<Self>, key: String, address: SocketAddr, holder: Holder) -> Pass {
        let holder = Arc::new(holder);
        self.holders().insert(digest(&key), holder.clone());
        Pass {
            key,
            address,
            holder,
            passes: self.clone(),
        }
    }

    fn remove(&self, digest: &Digest) {
        self.holders().remove(digest);
    }

    fn holders(&self) -> MutexGuard<'_, HashMap<Digest, Arc<Holder>>> {
        // Nothing panics while it is held.
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(key: &str) -> Digest {
    *blake3::hash(key.as_bytes()).as_bytes()
}
