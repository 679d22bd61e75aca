//! The plans of a script: one in which all goes well, and some in which agents fail.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::options::{Script, StartOptions};
use crate::plan::{Fail, Plan, PlanOptions, PlanStatus, plan};

/// A script keeps no more than this while it is planned, in bytes: made-up answers are small, and other runs live in the same process.
const HEAP_BYTES_MAX: usize = 64 << 20;
/// One turn computes no longer, in milliseconds: with made-up answers none needs a hundredth of it.
const TURN_CPU_MS_MAX: u64 = 5_000;

/// What was planned.
#[derive(Debug)]
pub(super) struct Plans {
    /// No agent fails.
    pub(super) well: Plan,
    /// How agents fail, in words, and the plan of it; empty when already the first did not complete.
    pub(super) failing: Vec<(&'static str, Plan)>,
}

/// Plans `script` until all is planned, or `stop` is set. Blocks.
pub(super) fn of(
    script: &str,
    start: &StartOptions,
    backends: &[String],
    stop: &Arc<AtomicBool>,
) -> Plans {
    let script = Script::text(script);
    let mut start = start.clone();
    let limits = &mut start.script_limits;
    let heap = limits.heap_bytes.unwrap_or(HEAP_BYTES_MAX);
    limits.heap_bytes = Some(heap.min(HEAP_BYTES_MAX));
    let turn = limits.turn_cpu_ms.unwrap_or(TURN_CPU_MS_MAX);
    limits.turn_cpu_ms = Some(turn.min(TURN_CPU_MS_MAX));
    let with = |fail| {
        let mut options = PlanOptions::new().backends(backends).fail(fail);
        options.stop = Arc::clone(stop);
        plan(&script, &start, &options)
    };
    let well = with(Fail::None);
    let failing = if well.status == PlanStatus::Completed {
        vec![
            ("every agent fails", with(Fail::All)),
            ("half of the agents fail", with(Fail::Share(0.5))),
        ]
    } else {
        Vec::new()
    };
    Plans { well, failing }
}
