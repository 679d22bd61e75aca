//! Determinism, shown on scripts that nobody wrote: whatever a script does and in whatever order its calls are settled, the
//! same settlements give the same turns, byte for byte: again (I5), from every prefix, in other groups (I6), in another
//! process under another time zone and locale.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking; a child process answers on stdout"
)]

mod generate;
mod host;

use std::process::Command;

use bellwether_journal::key::Digest;
use bellwether_scripts::{Turn, TurnStatus};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use generate::{Plan, plans};
use host::{Choices, Played, begin, play};

/// All that a turn is, as bytes.
fn bytes(turns: &[Turn]) -> String {
    format!("{turns:#?}")
}

fn check(plan: &Plan, choices: &[u16]) -> Result<(), TestCaseError> {
    let source = plan.source();
    let Played { turns, settlements } = play(&source, &mut Choices::of(choices));
    let ended = turns.last().map(|turn| &turn.status);
    prop_assert!(
        matches!(ended, Some(TurnStatus::Returned(_))),
        "{ended:?}\n{source}"
    );
    let live = bytes(&turns);

    // All at once.
    let (mut vm, first) = begin(&source);
    let mut again = vec![first];
    again.extend(vm.deliver(&settlements));
    prop_assert_eq!(&bytes(&again), &live, "in one group:\n{}", source);

    // A recovery is given the prefix as the journal's pages have it, and goes on with what comes; from every prefix, here
    // for all those up to a size where that is done in time.
    let step = settlements.len().div_ceil(12).max(1);
    for cut in (0..settlements.len()).step_by(step) {
        let (mut vm, first) = begin(&source);
        let mut again = vec![first];
        let (before, after) = settlements.split_at(cut);
        again.extend(vm.deliver(before));
        for group in after.chunks(1 + cut % 3) {
            again.extend(vm.deliver(group));
        }
        prop_assert_eq!(
            &bytes(&again),
            &live,
            "recovered after {}:\n{}",
            cut,
            source
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn r03_the_same_settlements_give_the_same_turns_from_every_prefix(
        plan in plans(),
        choices in proptest::collection::vec(any::<u16>(), 1..60),
    ) {
        check(&plan, &choices)?;
    }
}

/// What a script of everything that a host could have a say in comes to: times, numbers, orders, stacks.
const WORLDLY: &str = "
    const day = new Date(1_700_000_000_000), summer = new Date('2024-07-01T12:00:00')
    const words = ['zebra', 'Äpfel', 'apple', 'Zoo', 'ähnlich', 'ı', 'I', 'i']
    log([String(day), day.toLocaleString(), day.toLocaleDateString(), day.getHours(), summer.getTimezoneOffset(), summer.toISOString()])
    log([...words].sort((a, b) => a.localeCompare(b)).join(), [...words].sort().join(), 'I'.toLocaleLowerCase(), 'i'.toLocaleUpperCase())
    log((1234567.891).toLocaleString(), (0.1 + 0.2).toString(), (1e21).toFixed(2), Number.MAX_VALUE.toString(36))
    log(Array.from({ length: 5 }, () => random()), now(), Object.keys({ b: 1, 2: 1, a: 1, 1: 1 }), Math.sin(1e10), Math.pow(2.5, 17.3))
    try { null.x } catch (error) { log(error.stack, error.message) }
    log(new URL('http://ÜBER.example/ß?q=ä').href, JSON.stringify('\\ud800'), 'ﬀ'.normalize('NFKD'))
    const first = await Promise.race([agent('slow'), sleep(5), agent('fast')])
    return [first, await agent('end'), now(), random()]";

fn fingerprint() -> String {
    let mut runner = TestRunner::deterministic();
    let mut digests = Vec::new();
    let played = play(&Plan::of(WORLDLY).source(), &mut Choices::of(&[3, 1, 4]));
    digests.push(bytes(&played.turns));
    for number in 0..10_u16 {
        let plan = plans().new_tree(&mut runner).unwrap().current();
        let played = play(&plan.source(), &mut Choices::of(&[number, 7, 40_000, 11]));
        digests.push(bytes(&played.turns));
    }
    let digests: Vec<&[u8]> = digests.iter().map(String::as_bytes).collect();
    Digest::of("determinism", &digests).to_hex()
}

const CHILD: &str = "BELLWETHER_DETERMINISM_CHILD";

/// In the child it says what it comes to; in the test itself it asks children in other places of the world.
#[test]
fn r03_another_process_in_another_place_comes_to_the_same_bytes() {
    let own = fingerprint();
    if std::env::var_os(CHILD).is_some() {
        println!("fingerprint {own}");
        return;
    }
    for (zone, locale) in [
        ("Pacific/Kiritimati", "C"),
        ("America/St_Johns", "tr_TR.UTF-8"),
        ("Asia/Kathmandu", "de_DE.UTF-8"),
    ] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "r03_another_process_in_another_place_comes_to_the_same_bytes",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .env("TZ", zone)
            .env("LC_ALL", locale)
            .env("LANG", locale)
            .current_dir("/")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let theirs = said
            .split("fingerprint ")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next());
        assert_eq!(theirs, Some(own.as_str()), "{zone} {locale}: {said}");
    }
}
