//! Supervision, on a paused clock: each kind of actor panics, fails, is killed or hangs, and each test states what the
//! journal says afterwards. Hours pass in no time; nothing sleeps.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod bed;

use std::sync::atomic::Ordering;
use std::time::Duration;

use bed::{Bed, Gate, Kind, VM_IDLE};
use bellwether_journal::record::{Actor as By, FailureKind, Outcome, Record, Status};
use bellwether_journal::state::{CallStatus, PastEnd};
use bellwether_scripts::process::Lost;

const TWO: &str =
    "const values = await parallel([() => agent('ok a'), () => agent('ok b')]); return values";

/// How often a record of some sort is in the run's journal.
fn count_of(records: &[Record], wanted: impl Fn(&Record) -> bool) -> usize {
    records.iter().filter(|record| wanted(record)).count()
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_from_script_to_result() {
    let bed = Bed::new().await;
    let run = bed.start(TWO).await;
    assert_eq!(run.done().await.status, Status::Completed);
    let state = run.state();
    assert_eq!(run.result().as_deref(), Some(r#"["ok a","ok b"]"#));
    assert_eq!((state.counts.total, state.counts.completed), (2, 2));
    assert_eq!(bed.backend.started(), ["ok a", "ok b"]);
}

#[tokio::test(start_paused = true)]
async fn an_agent_whose_work_panics_fails_as_crash_after_one_more_attempt() {
    let bed = Bed::new().await;
    let run = bed.start("return await agent('panic')").await;
    assert_eq!(run.done().await.status, Status::Degraded);
    let state = run.state();
    let call = &state.calls[0];
    let failure = call.failure.as_ref().expect("it failed");
    assert_eq!((call.status, call.attempts), (CallStatus::Failed, 2));
    assert_eq!(failure.kind, FailureKind::Crash);
    assert!(
        failure.message.contains("an agent lost its head"),
        "{}",
        failure.message
    );
    assert_eq!(run.result().as_deref(), Some("null"));
}

#[tokio::test(start_paused = true)]
async fn an_agent_whose_actor_is_killed_gets_another_attempt() {
    let bed = Bed::new().await;
    let run = bed.start("return await agent('ok after a kill')").await;
    bed.backend.hold();
    bed.backend.begun(1).await;
    bed.kill(Kind::Agent);
    bed.backend.all_dropped().await;
    bed.backend.release();
    assert_eq!(run.done().await.status, Status::Completed);
    let state = run.state();
    let past = state.calls[0].past();
    assert_eq!(past.len(), 1);
    assert_eq!(past[0].end, PastEnd::Failed(FailureKind::Crash));
    assert_eq!(state.calls[0].attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_fails_is_null_for_the_script_and_a_failure_for_the_journal() {
    let bed = Bed::new().await;
    let run = bed
        .start("return [await agent('fail'), await agent('ok')]")
        .await;
    assert_eq!(run.done().await.status, Status::Degraded);
    assert_eq!(run.result().as_deref(), Some(r#"[null,"ok"]"#));
    let failed = |record: &Record| matches!(record, Record::CallSettled(settled) if matches!(settled.outcome, Outcome::Failed(_)));
    assert_eq!(count_of(&run.records(), failed), 1);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_hangs_past_every_grace_does_not_hold_a_stop() {
    let bed = Bed::new().await;
    let run = bed.start("return await agent('deaf')").await;
    bed.backend.begun(1).await;
    run.control
        .stop(Some(Duration::from_secs(10)), By::Engine, None)
        .await
        .unwrap();
    assert_eq!(run.done().await.status, Status::Stopped);
    let state = run.state();
    assert_eq!(
        state.calls[0].status,
        CallStatus::Running,
        "it runs again when the run is resumed"
    );
    assert_eq!(state.counts.pending, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_killed_is_started_again_and_its_agents_too() {
    let bed = Bed::new().await;
    let run = bed.start(TWO).await;
    bed.backend.hold();
    bed.backend.begun(2).await;
    bed.kill(Kind::Pool);
    bed.backend.all_dropped().await;
    bed.backend.release();
    assert_eq!(run.done().await.status, Status::Completed);
    let state = run.state();
    assert!(
        state.calls.iter().all(|call| call.attempts == 2),
        "each had one more attempt"
    );
    assert_eq!(run.result().as_deref(), Some(r#"["ok a","ok b"]"#));
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_pool_dies_twice_has_failed() {
    let bed = Bed::new().await;
    let run = bed.start("return await agent('ok')").await;
    bed.backend.hold();
    for attempt in 1..=2 {
        bed.backend.begun(attempt).await;
        bed.kill(Kind::Pool);
    }
    // The engine's own part of an attempt may break twice; then the call has failed.
    assert_eq!(run.done().await.status, Status::Degraded);
    assert_eq!(run.state().calls[0].attempts, 2);
}

#[tokio::test(start_paused = true)]
async fn an_orchestrator_that_is_killed_is_made_anew_and_nothing_runs_twice() {
    let bed = Bed::new().await;
    let run = bed
        .start("const a = await agent('ok a'); const b = await agent('ok b'); return a + b")
        .await;
    bed.backend.hold_prompt("ok b");
    bed.backend.begun(2).await;
    bed.kill(Kind::Orchestrator);
    bed.backend.release();
    assert_eq!(run.done().await.status, Status::Completed);
    assert_eq!(run.result().as_deref(), Some(r#""ok aok b""#));
    assert_eq!(
        bed.backend.started(),
        ["ok a", "ok b"],
        "no agent ran again"
    );
    let lost = |record: &Record| matches!(record, Record::OrchestratorLost(_));
    assert_eq!(count_of(&run.records(), lost), 1);
}

/// A run that only waits has no VM: its next answer makes it anew, and the journal knows nothing of that.
#[tokio::test(start_paused = true)]
async fn a_script_that_waits_lets_go_of_its_vm() {
    let bed = Bed::new().await;
    let body = "const first = await agent('ok a'); await sleep('PT3H'); return [first, await agent('ok b')]";
    let run = bed.start(body).await;
    let report = run.done().await;
    assert_eq!(report.status, Status::Completed, "{:?}", run.state().error);
    assert_eq!(run.result().as_deref(), Some(r#"["ok a","ok b"]"#));
    assert_eq!(bed.vms.made.load(Ordering::Relaxed), 2);
    assert_eq!(bed.backend.started(), ["ok a", "ok b"]);
    assert!(run.state().orchestrator_losses.is_empty());

    let quick = bed.start("await sleep(59_000); return agent('ok c')").await;
    assert_eq!(quick.done().await.status, Status::Completed);
    assert_eq!(
        bed.vms.made.load(Ordering::Relaxed),
        3,
        "59 s is short of {VM_IDLE:?}"
    );
}

/// Whose process went for another script's sake is not charged, however often.
#[tokio::test(start_paused = true)]
async fn a_vm_that_goes_for_anothers_sake_is_made_anew_and_not_charged() {
    let bed = Bed::new().await;
    let taken = || Lost::Elsewhere("another's turn".to_owned());
    bed.vms
        .losses
        .lock()
        .unwrap()
        .extend((0..20).map(|_| taken()));
    let run = bed.start(TWO).await;
    assert_eq!(run.done().await.status, Status::Completed);
    assert_eq!(run.result().as_deref(), Some(r#"["ok a","ok b"]"#));
    assert!(bed.vms.losses.lock().unwrap().is_empty());
    assert_eq!(
        bed.backend.started(),
        ["ok a", "ok b"],
        "no agent ran again"
    );
    assert!(run.state().orchestrator_losses.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_vm_that_is_lost_at_work_is_charged() {
    let bed = Bed::new().await;
    let crashed = || Lost::AtWork("signal 11".to_owned());
    bed.vms
        .losses
        .lock()
        .unwrap()
        .extend([crashed(), crashed()]);
    let run = bed.start("return agent('ok a')").await;
    assert_eq!(run.done().await.status, Status::Quarantined);
    let state = run.state();
    let error = state.error.expect("it says why");
    assert!(error.message.contains("signal 11"), "{}", error.message);
}

#[tokio::test(start_paused = true)]
async fn a_vm_that_panics_twice_at_the_same_place_is_quarantined() {
    let bed = Bed::new().await;
    let run = bed.start_with_broken_vm("return 1").await;
    let report = run.done().await;
    assert_eq!(report.status, Status::Quarantined);
    let state = run.state();
    assert_eq!(state.orchestrator_losses.len(), 2);
    assert_eq!(
        state.orchestrator_losses[0].0,
        state.orchestrator_losses[1].0
    );
    let message = state.error.expect("a reason").message;
    assert!(message.contains("twice at the same place"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_script_that_never_ends_its_turn_fails_by_its_limit() {
    let bed = Bed::new().await;
    let run = bed.start("await agent('ok'); for (;;) {}").await;
    assert_eq!(run.done().await.status, Status::Failed);
    let error = run.state().error.expect("a reason");
    assert_eq!(error.code.as_deref(), Some("LIMIT_CPU"), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_supervisor_that_is_killed_is_reported_and_leaves_no_permit_taken() {
    let bed = Bed::new().await;
    let _run = bed.start(TWO).await;
    bed.backend.hold();
    bed.backend.begun(2).await;
    assert_eq!(bed.scheduler.in_use(), 2);
    bed.kill(Kind::RunSupervisor);
    let (_, after, _) = bed.crashed().await;
    assert_eq!(
        after,
        Some(Duration::from_millis(50)),
        "to be taken up again"
    );
    bed.backend.all_dropped().await;
    assert_eq!(bed.scheduler.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_pauses_the_run_and_no_agent_looks_failed() {
    let bed = Bed::new().await;
    let run = bed
        .start("await agent('ok a'); return await agent('ok b')")
        .await;
    bed.backend.hold_prompt("ok b");
    bed.backend.begun(2).await;
    bed.store.fail_from_now_on("no space left on device");
    bed.backend.release();
    let report = run.done().await;
    assert_eq!(
        (report.status, report.journal_failed),
        (Status::Paused, true)
    );
    assert!(
        report
            .reason
            .expect("a reason")
            .contains("no space left on device")
    );
    let state = run.state();
    assert_eq!((state.counts.failed, state.counts.completed), (0, 1));
    assert_eq!(state.status, Status::Running, "what the journal last heard");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_is_a_journal_that_failed() {
    let bed = Bed::new().await;
    let run = bed.start("return await agent('ok')").await;
    bed.backend.hold();
    bed.backend.begun(1).await;
    bed.store.panic_from_now_on();
    bed.backend.release();
    let report = run.done().await;
    assert_eq!(
        (report.status, report.journal_failed),
        (Status::Paused, true)
    );
}

/// The disk is stopped in the middle of a sync for as long as the test likes: a pause is heard all the same, and what it
/// answers, that it is durable, comes only when the disk goes on.
#[tokio::test(start_paused = true)]
async fn a_pause_is_heard_while_the_disk_hangs() {
    let bed = Bed::new().await;
    let body = "return await parallel([1, 2, 3].map(n => () => agent('ok ' + n)))";
    let run = bed.start(body).await;
    bed.backend.hold();
    bed.backend.begun(3).await;
    let gate: Gate = bed.store.stop_at_next_commit();
    bed.backend.hold_prompt("ok 3");
    gate.reached().await;
    let control = run.control.clone();
    let pausing = tokio::spawn(async move { control.pause(false, By::Engine, None).await });
    // The disk is still standing while this is asked and answered.
    loop {
        let status = run.control.status().await.unwrap();
        if matches!(status, Status::Pausing | Status::Paused) {
            break;
        }
        assert_eq!(status, Status::Running);
        tokio::task::yield_now().await;
    }
    assert!(
        !pausing.is_finished(),
        "nothing is acknowledged that is not durable"
    );
    gate.open();
    pausing.await.unwrap().unwrap();
    bed.backend.release();
    run.control.resume(By::Engine).await.unwrap();
    assert_eq!(run.done().await.status, Status::Completed);
}

/// In ractor a child's end overtakes its last message: ten thousand at once, and none may be taken for crashed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_agents_that_end_at_once_are_none_of_them_lost() {
    let bed = Bed::new().await;
    let run = bed
        .start("const all = await parallel(Array.from({ length: 4000 }, (_, n) => () => agent('ok ' + n))); \
                const more = await parallel(Array.from({ length: 4000 }, (_, n) => () => agent('ok ' + n))); \
                const last = await parallel(Array.from({ length: 2000 }, (_, n) => () => agent('ok ' + n))); \
                return all.length + more.length + last.length")
        .await;
    assert_eq!(run.done().await.status, Status::Completed);
    assert_eq!(run.result().as_deref(), Some("10000"));
    let failed = |record: &Record| matches!(record, Record::AttemptFailed(_));
    assert_eq!(count_of(&run.records(), failed), 0);
    assert_eq!(run.state().counts.completed, 10_000);
}

/// R01, I5: whatever prefix of a run's records a dead engine leaves, another goes on with it to the same result; what had
/// its answer does not run again, and everything else runs once more.
#[tokio::test(start_paused = true)]
async fn r01_every_prefix_of_a_journal_is_recovered_to_the_same_result() {
    let body = "
        const drawn = random(); // later draws depend on which attempts answered
        log(`begins with ${drawn}`); phase('One');
        const one = await parallel([1, 2, 3].map(n => async () => {
            const first = await agent(`ok ${n}`);
            return await agent(`ok again ${first}`);
        }));
        await sleep(1000);
        phase('Two');
        const two = await pipeline(one, value => agent(`ok third ${value}`), value => value.length);
        const lost = await agent('fail for good');
        log('ends');
        return { one, two, lost, drawn, raced: await Promise.race([agent('ok quick'), sleep(60000)]) };";
    let bed = Bed::new().await;
    let whole = bed.start(body).await;
    assert_eq!(whole.done().await.status, Status::Degraded);
    let (result, records) = (whole.result(), whole.records());
    assert!(records.len() > 40, "{} records", records.len());
    let prompts = bed.backend.started().len();
    for count in 2..records.len() {
        let settled = records[..count]
            .iter()
            .filter(|record| matches!(record, Record::CallSettled(_)))
            .count();
        let bed = Bed::with_beginning_of(&whole, count).await;
        let run = bed.resume(&whole).await;
        assert_eq!(
            run.done().await.status,
            Status::Degraded,
            "after {count} records"
        );
        assert_eq!(run.result(), result, "after {count} records");
        assert_eq!(
            bed.backend.started().len(),
            prompts - settled,
            "after {count} records"
        );
        let shown = |record: &Record| matches!(record, Record::Logged(_) | Record::PhaseEntered(_));
        let (again, before) = (run.records(), &records);
        assert_eq!(
            count_of(&again, shown),
            count_of(before, shown),
            "after {count} records"
        );
    }
}

/// A long prompt is read back from the journal when its turn comes; a stop that is heard meanwhile is for that agent, too.
#[tokio::test(start_paused = true)]
async fn a_stop_reaches_an_agent_whose_prompt_is_still_being_read() {
    let bed = Bed::new().await;
    let gate: Gate = bed.store.stop_at_next_read();
    let run = bed
        .start("return await agent('deaf ' + 'x'.repeat(5000))")
        .await;
    gate.reached().await;
    let control = run.control.clone();
    let grace = Some(Duration::from_secs(10));
    let stopping = tokio::spawn(async move { control.stop(grace, By::Engine, None).await });
    while run.control.status().await.unwrap() != Status::Stopping {
        tokio::task::yield_now().await;
    }
    gate.open();
    stopping.await.unwrap().unwrap();
    assert_eq!(run.done().await.status, Status::Stopped);
    assert_eq!(bed.backend.started().len(), 0, "it never began");
}
