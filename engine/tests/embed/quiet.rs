//! What the engine does not do to the program around it.

use crate::bed::{engine, options, script};

/// Signals that every program with threads catches: the standard library's two for its message on a stack overflow, and
/// the C library's own two.
const OF_EVERY_PROGRAM: u64 = 1 << (7 - 1) | 1 << (11 - 1) | 1 << (32 - 1) | 1 << (33 - 1);

fn caught_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:"))
        .unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap()
}

#[tokio::test]
async fn it_installs_no_logger_and_no_signal_handler() {
    let (engine, _) = engine().await;
    let run = engine
        .start(script("log('line'); return agent('one')"), options())
        .await
        .unwrap();
    assert_eq!(run.result::<String>().await.unwrap(), "one");
    engine.shutdown(std::time::Duration::from_secs(5)).await;
    assert!(!tracing::dispatcher::has_been_set());
    let others = caught_signals() & !OF_EVERY_PROGRAM;
    assert_eq!(others, 0, "signals caught: {others:#x}");
}
