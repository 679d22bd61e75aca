//! The bounds of a script (B07), each with its reason.

use std::time::Duration;

use bincode::{Decode, Encode};

/// What a script may use. Reaching one of these ends the VM, not a statement.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[non_exhaustive]
pub struct Limits {
    /// Length of the source in bytes. The largest script seen in the wild has 403 KB.
    pub source_bytes: usize,
    /// The VM's heap in bytes; what one turn asks of the host (prompts, log lines) is held to the same number.
    pub heap_bytes: usize,
    /// Stack of the VM in bytes. The thread that drives the VM needs at least [`Limits::THREAD_STACK_BYTES_SPARE`] more.
    pub stack_bytes: usize,
    /// CPU time of the thread for one turn.
    pub turn_cpu: Duration,
    /// Items of one `parallel` or `pipeline` (P03).
    pub items_max: u32,
    /// How deep workflows may nest (W03).
    pub nesting: u32,
    /// Whether `args` that are a string holding an object or an array are given parsed (G01).
    pub parse_args_text: bool,
}

impl Limits {
    /// What the host's own frames take of the thread's stack, generously.
    pub const THREAD_STACK_BYTES_SPARE: usize = 512 * 1024;
    /// `QuickJS` takes any larger stack limit for none at all.
    pub(crate) const STACK_BYTES_MAX: usize = 16 * 1024 * 1024;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            source_bytes: 512 * 1024,
            heap_bytes: 256 * 1024 * 1024,
            // Half of what threads of a runtime usually have.
            stack_bytes: 1024 * 1024,
            turn_cpu: Duration::from_secs(30),
            items_max: 4096,
            nesting: 1,
            parse_args_text: true,
        }
    }
}
