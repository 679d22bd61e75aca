//! What an attempt that was cut off has left in a worktree becomes a patch for its call's next one.

use bellwether_journal::id::FencingToken;
use bellwether_launcher::sweep_attempt;

use super::pool::Shared;
use super::slot::{Lease, Slot};
use super::{WorktreeError, blocking, changes};

impl Shared {
    /// Makes the patch, if a worktree bears the mark of an attempt, and takes the mark away. What cannot be read is lost:
    /// the next attempt starts from a clean base in any case.
    pub(super) async fn salvage(&self, slot: &Slot) {
        let Some(lease) = slot.lease() else {
            return;
        };
        if let Some(token) = lease.token()
            && let Err(error) = self.salvage_of(slot, &lease, token).await
        {
            let worktree = slot.tree.display();
            tracing::warn!(%worktree, %error, "what an attempt left in its worktree is lost");
        }
        if let Err(error) = slot.unmark() {
            tracing::warn!(%error, "a worktree keeps the mark of an attempt that is gone");
        }
    }

    async fn salvage_of(
        &self,
        slot: &Slot,
        lease: &Lease,
        token: FencingToken,
    ) -> Result<(), WorktreeError> {
        let marker = self.marker(token);
        // What the attempt had started may be about to die, and must have before its files are read.
        blocking(move || {
            for leftover in sweep_attempt(&marker).left {
                tracing::error!(?leftover, "a process of a lost attempt cannot be ended");
            }
            Ok(())
        })
        .await?;
        if !lease.keep || !slot.is_there() {
            return Ok(());
        }
        let git = &self.settings.git;
        slot.unlock();
        slot.restore_admin()?;
        let found = changes::find(git, slot).await?;
        if found.is_empty() {
            return Ok(());
        }
        let tree = changes::tree(git, slot, &found).await?;
        match changes::between(git, slot, &lease.base, &tree, token.attempt).await? {
            Some(changes) => self.leftovers.put(token, &changes),
            None => Ok(()),
        }
    }
}
