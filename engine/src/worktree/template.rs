//! The worktree that others are copied from: nobody works in it.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::base::Base;
use super::free::TEMPLATE;
use super::pool::Shared;
use super::slot::Slot;
use super::{WorktreeError, blocking, clean, create, disk};

/// A template at one commit at a time, made when the first copy is wanted. Who copies holds it where it is.
#[derive(Debug, Default)]
pub(super) struct Template(RwLock<Option<Slot>>);

impl Template {
    /// Takes up the one that an earlier opening of the pool has left, whatever it is like.
    pub(super) async fn find(&self, mut slot: Slot) {
        slot.state.base = None;
        *self.0.write().await = Some(slot);
    }

    /// The template at a base.
    pub(super) async fn at(
        &self,
        shared: &Shared,
        base: &Base,
    ) -> Result<RwLockReadGuard<'_, Option<Slot>>, WorktreeError> {
        let is_at_base = |slot: &Option<Slot>| {
            slot.as_ref().is_some_and(|slot| {
                slot.is_whole() && slot.state.base.as_deref() == Some(base.commit())
            })
        };
        let template = self.0.read().await;
        if is_at_base(&template) {
            return Ok(template);
        }
        drop(template);
        let mut template = self.0.write().await;
        if !is_at_base(&template) {
            let old = template.take();
            *template = Some(make(shared, old, base).await?);
        }
        Ok(RwLockWriteGuard::downgrade(template))
    }
}

async fn make(shared: &Shared, old: Option<Slot>, base: &Base) -> Result<Slot, WorktreeError> {
    let git = &shared.settings.git;
    let mut old = old.unwrap_or_else(|| shared.slot(TEMPLATE));
    if old.is_there() && clean::clean(git, &mut old, base.commit()).await.is_ok() {
        return Ok(old);
    }
    create::unregister(git, &old, base.top()).await?;
    let mut slot = shared.slot(TEMPLATE);
    let made = match shared.register(&mut slot, base).await {
        Ok(()) => create::check_out(git, &slot, base.commit()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = made {
        // What there is of it would take room for nothing.
        let _ = create::unregister(git, &slot, base.top()).await;
        return Err(error);
    }
    slot.restore_index()?;
    slot.state.base = Some(base.commit().to_owned());
    slot.save()?;
    if shared.settings.disk_limit.is_some() {
        let tree = slot.tree.clone();
        let bytes = blocking(move || Ok(disk::usage(&tree))).await?;
        shared.slots().measured(TEMPLATE, bytes);
    }
    Ok(slot)
}
