use crate::support::*;
#[test]
fn one() {
    let mut limits = bellwether_scripts::Limits::default();
    limits.turn_cpu = std::time::Duration::from_millis(300);
    limits.heap_bytes = 16 * 1024 * 1024;
    let b = std::env::var("BODY").unwrap();
    let run = Host { limits, ..Host::new() }.run(&script(&b));
    panic!("{:?}", run.status);
}
