//! A worktree while an attempt has it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bellwether_actors::backend::{Changes, PreviousAttempt};
use bellwether_journal::id::{Attempt, FencingToken};

use super::WorktreeError;
use super::base::Base;
use super::changes::{self, Found};
use super::leftovers::INTERRUPTED;
use super::pool::{Claim, Shared};

/// A worktree that one attempt has for itself. Ends with [`keep`](Self::keep), [`discard`](Self::discard) or
/// [`release`](Self::release); one that is dropped is cleaned before anybody else gets it, and what was changed in it is
/// kept as a patch for the call's next attempt.
pub struct Worktree {
    shared: Arc<Shared>,
    claim: Claim,
    base: Base,
    token: FencingToken,
    leftovers: Vec<Changes>,
}

impl std::fmt::Debug for Worktree {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Worktree")
            .field(&self.path())
            .finish()
    }
}

/// What is left of an attempt's work.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Kept {
    /// What it changed; `None`: nothing.
    pub changes: Option<Changes>,
    /// Repositories that it made inside of its worktree: no commit can hold them, and they are gone.
    pub left_out: Vec<String>,
}

impl Worktree {
    pub(super) const fn new(
        shared: Arc<Shared>,
        claim: Claim,
        base: Base,
        token: FencingToken,
    ) -> Self {
        Self {
            shared,
            claim,
            base,
            token,
            leftovers: Vec::new(),
        }
    }

    /// The worktree's topmost folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.claim.slot.tree
    }

    /// Where to work in place of `folder`, which lies in the caller's checkout.
    #[must_use]
    pub fn folder(&self, folder: &Path) -> PathBuf {
        let below = folder.canonicalize().ok();
        let below =
            below.and_then(|folder| Some(folder.strip_prefix(self.base.top()).ok()?.to_owned()));
        match below {
            Some(below) if below.as_os_str().is_empty() => self.path().to_owned(),
            Some(below) => self.path().join(below),
            None => self.base.place().within(self.path()),
        }
    }

    /// What earlier attempts of the call changed that a crash cut off, oldest first. To be journaled with this attempt's
    /// end.
    #[must_use]
    pub fn leftovers(&self) -> &[Changes] {
        &self.leftovers
    }

    /// Ends the work and keeps what was changed: one commit of the engine's own on the base, on the attempt's branch.
    /// Whatever commits the attempt made itself are part of that one.
    ///
    /// # Errors
    /// [`WorktreeError`]; then nothing is kept.
    pub async fn keep(self, message: impl Into<String>) -> Result<Kept, WorktreeError> {
        let message = message.into();
        self.end(|mut worktree| async move { worktree.end_with(Some(message)).await })
            .await
    }

    /// Ends the work and keeps what was changed as a patch alone.
    ///
    /// # Errors
    /// [`WorktreeError`]; then nothing is kept.
    pub async fn discard(self) -> Result<Kept, WorktreeError> {
        self.end(|mut worktree| async move { worktree.end_with(None).await })
            .await
    }

    /// Ends the work and keeps nothing.
    ///
    /// # Errors
    /// [`WorktreeError`]: the worktree could not be cleaned. It will be tried again before anybody gets it.
    pub async fn release(self) -> Result<(), WorktreeError> {
        self.end(|mut worktree| async move {
            // Only what it did to the setup's inputs matters now.
            let paths = worktree.find().await.unwrap_or_default().paths();
            worktree.shared.tidy(&mut worktree.claim, &paths).await
        })
        .await
    }

    /// Ends the work on a task of its own: whoever stops waiting leaves nothing half done.
    async fn end<T, F>(self, work: impl FnOnce(Self) -> F) -> Result<T, WorktreeError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, WorktreeError>> + Send + 'static,
    {
        let joined = tokio::spawn(work(self)).await;
        joined.unwrap_or_else(|error| Err(WorktreeError::Interrupted(error.to_string())))
    }

    /// What was changed, whatever was done to git's own files meanwhile.
    async fn find(&self) -> Result<Found, WorktreeError> {
        let slot = &self.claim.slot;
        slot.unlock();
        let was_made_sparse = slot.was_made_sparse();
        slot.restore_admin()?;
        if was_made_sparse {
            return Err(WorktreeError::MadeSparse);
        }
        changes::find(&self.shared.settings.git, slot).await
    }

    async fn end_with(&mut self, message: Option<String>) -> Result<Kept, WorktreeError> {
        let found = self.find().await;
        let kept = match &found {
            Ok(found) => self.take_down(found, message).await,
            Err(_) => Ok(None),
        };
        let paths = found.as_ref().map(Found::paths).unwrap_or_default();
        let tidied = self.shared.tidy(&mut self.claim, &paths).await;
        let found = found?;
        let changes = kept?;
        if let Err(error) = tidied {
            // The work is safe; the worktree is cleaned before anybody gets it.
            tracing::warn!(%error, "a worktree could not be cleaned after its agent");
            self.claim.slot.unmark()?;
        }
        Ok(Kept {
            changes,
            left_out: found
                .nested
                .iter()
                .map(crate::git::RepoPath::text)
                .collect(),
        })
    }

    async fn take_down(
        &self,
        found: &Found,
        message: Option<String>,
    ) -> Result<Option<Changes>, WorktreeError> {
        if found.is_empty() {
            return Ok(None);
        }
        let (git, slot) = (&self.shared.settings.git, &self.claim.slot);
        let (base, attempt) = (self.base.commit(), self.token.attempt);
        let tree = changes::tree(git, slot, found).await?;
        let Some(mut changes) = changes::between(git, slot, base, &tree, attempt).await? else {
            return Ok(None);
        };
        if let Some(message) = message {
            let branch = changes::branch_of(self.token);
            let commit = changes::commit(git, slot, &tree, base, &message).await?;
            changes::make_branch(git, slot, &branch, &commit).await?;
            changes.branch = Some(branch);
            changes.commit = Some(commit);
        }
        Ok(Some(changes))
    }

    /// Looks for what earlier attempts of the call have left: patches that the pool found, and branches of attempts whose
    /// end was never journaled, which are taken back.
    pub(super) async fn take_leftovers(
        &mut self,
        earlier: &[PreviousAttempt],
    ) -> Result<(), WorktreeError> {
        let mut leftovers = self.shared.leftovers.of_earlier(self.token, earlier);
        let (git, slot) = (&self.shared.settings.git, &self.claim.slot);
        for attempt in earlier
            .iter()
            .filter(|attempt| attempt.ended == INTERRUPTED)
        {
            let attempt = Attempt(attempt.attempt);
            let branch = changes::branch_of(FencingToken {
                attempt,
                ..self.token
            });
            let base = self.base.commit();
            if let Some(changes) = changes::take_back(git, slot, &branch, base, attempt).await? {
                leftovers.retain(|leftover| leftover.attempt != attempt);
                leftovers.push(changes);
            }
        }
        leftovers.sort_by_key(|changes| changes.attempt);
        self.leftovers = leftovers;
        Ok(())
    }
}
