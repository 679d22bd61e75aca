//! The harness of Bellwether's end-to-end tests, crash campaigns and benches: the real program under a watch, projects in
//! temporary folders, and an agent that does what its prompt says.
//!
//! Nothing here sleeps or measures. Who waits, waits for a thing itself: a line of output, the end of a process, a byte
//! in a named pipe. The time limits are guards that end a test which hangs.

pub mod bench;
pub mod campaign;
pub mod fake_agent;
pub mod fifo;
pub mod model_server;
pub mod program;
pub mod project;
pub mod random;

use std::time::Duration;

/// How long anything may take before a test is given up. Far above what it takes on a busy machine.
pub const GUARD: Duration = Duration::from_mins(2);
