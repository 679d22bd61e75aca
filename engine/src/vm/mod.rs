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
    #[cfg(feature = "vm-process")]
    beside: Option<beside::Beside>,
    /// Why they are within the engine, once that was said.
    said: AtomicBool,
}

/// Whether a run's VM was at work when its process crashed: from then on the run has a process of its own, so that the
/// script that is the reason harms no other, and one that is not is not charged with another's crash again.
pub(crate) type Suspect = Arc<AtomicBool>;

impl Vms {
    /// Within the engine, as its embedder wants it.
    pub(crate) fn within() -> Self {
        let said = AtomicBool::new(true);
        Self {
            said,
            ..Self::default()
        }
    }

    /// Beside the engine, by `program`.
    #[cfg(feature = "vm-process")]
    pub(crate) fn beside(program: bellwether_launcher::Program) -> Self {
        Self {
            beside: Some(beside::Beside::new(program)),
            said: AtomicBool::new(false),
        }
    }

    /// Whether the next VM will be within the engine.
    pub(crate) fn are_within(&self) -> bool {
        #[cfg(feature = "vm-process")]
        if let Some(beside) = &self.beside {
            return !beside.is_possible();
        }
        true
    }

    /// Makes a VM, and gives what its script did before it first waited. Blocks for as long as that takes.
    pub(crate) fn start(
        &self,
        start: &Start<'_>,
        abandoned: Arc<AtomicBool>,
        suspect: &Suspect,
    ) -> Result<(Box<dyn ScriptVm>, Turn), Lost> {
        #[cfg(feature = "vm-process")]
        if let Some(beside) = &self.beside
            && let Some(started) = beside.start(start, &abandoned, suspect)
        {
            return started;
        }
        #[cfg(not(feature = "vm-process"))]
        let _ = suspect;
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
