//! What is to be done before an attempt can work in a worktree, and after it did.

use std::fs;
use std::sync::Arc;

use bellwether_journal::id::FencingToken;
use tokio_util::sync::CancellationToken;

use super::base::Base;
use super::extras::Extras;
use super::free::Condition;
use super::pool::{Claim, Shared, cut_off};
use super::slot::Slot;
use super::{WorktreeError, blocking, clean, create, disk, setup, submodule};
use crate::git::{GitError, RepoPath};

/// The extras of so many runs are remembered.
const EXTRAS_MAX: usize = 64;

impl Shared {
    /// Brings a worktree to a base, whatever it was, with all that belongs there.
    pub(super) async fn make_ready(
        &self,
        claim: &mut Claim,
        base: &Base,
        token: FencingToken,
        gone: &CancellationToken,
    ) -> Result<(), WorktreeError> {
        let git = &self.settings.git;
        self.make_clean(claim, base).await?;
        let extras = self.extras(base, token).await?;
        if !extras.is_expected(&claim.slot) {
            // What is no longer asked for goes with whatever else does not belong there.
            claim.slot.state.links.clear();
            claim.slot.state.copies.clear();
            claim.condition = Condition::Dirty;
            clean::clean(git, &mut claim.slot, base.commit()).await?;
        }
        claim.condition = Condition::Dirty;
        if !extras.is_empty() {
            let mut slot = claim.slot.clone();
            claim.slot = blocking(move || extras.place(&mut slot).map(|()| slot)).await?;
        }
        submodule::fill(git, &claim.slot, base.top()).await?;
        let marker = self.marker(token);
        let (settings, launcher) = (&self.settings, &self.launcher);
        let setup = setup::run(settings, launcher, &self.project, &mut claim.slot, marker);
        tokio::select! {
            biased;
            () = gone.cancelled() => return Err(cut_off()),
            done = setup => done?,
        }
        self.measure(claim, base).await?;
        let folder = base.place().within(&claim.slot.tree);
        fs::create_dir_all(&folder).map_err(|error| WorktreeError::io(&folder, error))
    }

    async fn make_clean(&self, claim: &mut Claim, base: &Base) -> Result<(), WorktreeError> {
        let git = &self.settings.git;
        let slot = &mut claim.slot;
        if claim.condition == Condition::Dirty {
            self.salvage(slot).await;
        }
        if claim.condition != Condition::New && slot.is_there() {
            let is_at_base = slot.state.base.as_deref() == Some(base.commit());
            if claim.condition == Condition::Clean && is_at_base && slot.is_whole() {
                return Ok(());
            }
            claim.condition = Condition::Dirty;
            match clean::clean(git, slot, base.commit()).await {
                Ok(()) => {
                    claim.condition = Condition::Clean;
                    return Ok(());
                }
                Err(error) if error.is_disk_full() => return Err(error),
                // Something is wrong with it that cannot be put right: another one takes its place.
                Err(error) => {
                    let worktree = slot.tree.display();
                    tracing::warn!(%worktree, %error, "a worktree cannot be cleaned and is made anew");
                }
            }
        }
        create::unregister(git, slot, base.top()).await?;
        *slot = self.slot(slot.number);
        claim.condition = Condition::New;
        self.create(&mut claim.slot, base, claim.alone).await?;
        claim.condition = Condition::Clean;
        Ok(())
    }

    /// Makes a new worktree. The first is checked out; the others are copies, which costs a third less.
    async fn create(&self, slot: &mut Slot, base: &Base, alone: bool) -> Result<(), WorktreeError> {
        self.register(slot, base).await?;
        if alone || !self.copy_template(slot, base).await? {
            create::check_out(&self.settings.git, slot, base.commit()).await?;
        }
        slot.restore_index()?;
        slot.state.base = Some(base.commit().to_owned());
        slot.save()
    }

    async fn copy_template(&self, slot: &Slot, base: &Base) -> Result<bool, WorktreeError> {
        let template = self.template.at(self, base).await?;
        let Some(from) = template.clone() else {
            return Ok(false);
        };
        let to = slot.clone();
        let _one_of_few = self.copying.acquire().await;
        blocking(move || create::copy(&from, &to)).await
    }

    pub(super) async fn register(&self, slot: &mut Slot, base: &Base) -> Result<(), WorktreeError> {
        let _only = self.registering.lock().await;
        create::register(&self.settings.git, slot, base.top(), base.commit()).await
    }

    /// What the worktrees of a run have beside its files: found out once, and looked through at each commit.
    async fn extras(&self, base: &Base, token: FencingToken) -> Result<Arc<Extras>, WorktreeError> {
        let mut known = self.extras.lock().await;
        let key = (base.top().to_owned(), token.run);
        let extras = if let Some(extras) = known.get(&key) {
            Arc::clone(extras)
        } else {
            let found = Extras::of(&self.settings, &self.project, base.top(), &self.own);
            let extras = Arc::new(found.await?);
            // Runs that are over leave theirs; they are small, and found again when they are wanted.
            if known.len() >= EXTRAS_MAX {
                known.clear();
            }
            known.insert(key, Arc::clone(&extras));
            extras
        };
        drop(known);
        extras.check(&self.settings.git, base).await?;
        Ok(extras)
    }

    /// Where there is a limit, finds out what a worktree takes. One that is too much is taken away again; whoever was to
    /// get it waits for another, if there is another.
    async fn measure(&self, claim: &mut Claim, base: &Base) -> Result<(), WorktreeError> {
        let Some(limit) = self.settings.disk_limit else {
            return Ok(());
        };
        let tree = claim.slot.tree.clone();
        let bytes = blocking(move || Ok(disk::usage(&tree))).await?;
        claim.slot.state.bytes = bytes;
        claim.slot.save()?;
        let needed = self.slots().measured(claim.slot.number, bytes);
        self.freed.notify_waiters();
        if needed <= limit {
            return Ok(());
        }
        self.give_up(claim, base).await;
        Err(WorktreeError::DiskLimit { limit, needed })
    }

    /// Takes a worktree away; if that fails too, it is for the next opening of the pool to try.
    pub(super) async fn give_up(&self, claim: &mut Claim, base: &Base) {
        match create::unregister(&self.settings.git, &claim.slot, base.top()).await {
            Ok(()) => claim.condition = Condition::Gone,
            Err(error) => {
                claim.condition = Condition::Dirty;
                tracing::warn!(%error, "a worktree that is of no use cannot be removed");
            }
        }
    }

    /// Cleans a worktree after an attempt that changed these paths.
    pub(super) async fn tidy(
        &self,
        claim: &mut Claim,
        changed: &[RepoPath],
    ) -> Result<(), WorktreeError> {
        let commit = claim.slot.state.base.clone();
        let commit = commit.ok_or_else(|| GitError::unreadable("worktree state"))?;
        clean::clean(&self.settings.git, &mut claim.slot, &commit).await?;
        setup::check(&self.settings, &self.project, &mut claim.slot, changed)?;
        if self.settings.disk_limit.is_some() && !claim.slot.state.products.is_empty() {
            let tree = claim.slot.tree.clone();
            let bytes = blocking(move || Ok(disk::usage(&tree))).await?;
            self.slots().measured(claim.slot.number, bytes);
        }
        claim.slot.unmark()?;
        claim.condition = Condition::Clean;
        Ok(())
    }
}
