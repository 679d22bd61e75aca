//! What the tools share that change files.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::memory::Memory;
use super::workplace::Workplace;

/// Where is written, by an agent that has seen what.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) workplace: Arc<Workplace>,
    pub(super) memory: Arc<Memory>,
    /// A model may ask for several changes at once, and two of one file would lose one of them.
    pub(super) turn: Arc<Mutex<()>>,
}
