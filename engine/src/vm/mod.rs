//! Where the VMs of an engine's runs live: in one process beside the engine, or within it.

#[cfg(feature = "vm-process")]
pub(crate) mod beside;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bellwether_scripts::process::{Lost, ScriptVm};
use bellwether_scripts::{Start, Turn, Vm};

/// The VMs of an engine.
#[derive(Default)]
pub(crate) struct Vms {
    beside: Option<Box<dyn Beside>>,
    /// That they are within the engine was said, or is meant.
    said: AtomicBool,
}

/// A place for VMs beside the engine.
pub(crate) trait Beside: Send + Sync {
    /// Whether there can be VMs, as far as is known.
    fn is_possible(&self) -> bool;

    /// Makes a VM; none when it turns out that there can be none.
    fn start(
        &self,
        start: &Start<'_>,
        abandoned: &Arc<AtomicBool>,
        suspect: &Suspect,
    ) -> Option<Started>;
}

/// Whether a run's VM was at work when its process crashed: from then on the run has a process of its own, so that the
/// script that is the reason harms no other, and one that is not is not charged with another's crash again.
pub(crate) type Suspect = Arc<AtomicBool>;

/// A VM, and what its script did before it first waited.
pub(crate) type Started = Result<(Box<dyn ScriptVm>, Turn), Lost>;

impl Vms {
    /// Within the engine, as its embedder wants it.
    pub(crate) fn within() -> Self {
        Self {
            beside: None,
            said: AtomicBool::new(true),
        }
    }

    /// Beside the engine.
    #[cfg(feature = "vm-process")]
    pub(crate) fn beside(beside: impl Beside + 'static) -> Self {
        Self {
            beside: Some(Box::new(beside)),
            said: AtomicBool::new(false),
        }
    }

    /// Whether the next VM will be within the engine.
    pub(crate) fn are_within(&self) -> bool {
        !self
            .beside
            .as_ref()
            .is_some_and(|beside| beside.is_possible())
    }

    /// Makes a VM. Blocks for as long as that takes.
    pub(crate) fn start(
        &self,
        start: &Start<'_>,
        abandoned: Arc<AtomicBool>,
        suspect: &Suspect,
    ) -> Started {
        if let Some(beside) = &self.beside
            && let Some(started) = beside.start(start, &abandoned, suspect)
        {
            return started;
        }
        if !self.said.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "scripts run within this process: one that hangs in a single call of the interpreter cannot be ended. \
                 Enable the feature `vm-process` and call `bellwether::child_main()` first in `main`, or name a helper \
                 program in the engine's builder; or say that it is meant, with `vm_in_process()`"
            );
        }
        let (vm, turn) = Vm::start_until(start, abandoned);
        Ok((Box::new(vm), turn))
    }
}
