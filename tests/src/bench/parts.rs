//! What the parts of a fan-out take, each alone: together they are the limit of the whole.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use bellwether_journal::batch::{BATCH_RECORDS_MAX, Queue, Submission};
use bellwether_journal::codec::Sealer;
use bellwether_journal::id::{Attempt, CallNumber, RunId};
use bellwether_journal::key::{self, Digest};
use bellwether_journal::record::{
    AttemptStarted, CallKind, CallScheduled, CallSettled, Outcome, Record, Usage,
};
use bellwether_journal::store::Store as _;
use bellwether_journal::text::Text;
use bellwether_scripts::{
    About, Answer, Command, Limits, Settlement, Start, Target, TurnStatus, Vm, parse,
};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::measure::{CountingStore, timed};
use super::scenarios::FANOUT;

/// Seconds in which the VM issues `n` calls and takes their settlements.
///
/// # Errors
/// When the script does not run.
pub fn vm(n: usize) -> anyhow::Result<f64> {
    let mut limits = Limits::default();
    limits.items_max = u32::try_from(n)?.max(limits.items_max);
    let script = parse(FANOUT, "fanout.js", &limits).map_err(|refusal| anyhow!("{refusal}"))?;
    let args = serde_json::json!({ "n": n }).to_string();
    let start = Start {
        script: &script,
        args: Some(&args),
        limits: &limits,
        seed: [7; 32],
        time: 0,
        budget_total: None,
    };
    let ((), seconds) = timed(|| {
        let (mut vm, first) = Vm::start(&start);
        let calls = first
            .commands
            .iter()
            .filter(|command| matches!(command, Command::Call(_)));
        ensure!(
            calls.count() == n,
            "not all calls were issued in the first turn"
        );
        let null: Arc<str> = "null".into();
        let settlements: Vec<Settlement> = (0..u32::try_from(n)?)
            .map(|call| Settlement {
                target: Target::Call(CallNumber(call)),
                answer: Answer::Value(Arc::clone(&null)),
                time: 0,
                version: Digest::default(),
                spent: 0,
                about: About::default(),
            })
            .collect();
        let turns = vm.deliver(&settlements);
        let last = turns.last().context("no turn")?;
        ensure!(
            matches!(last.status, TurnStatus::Returned(_)),
            "it ended as {:?}",
            last.status
        );
        Ok(())
    })?;
    Ok(seconds)
}

/// Seconds in which the journal seals and commits the records of `n` agents, in full batches.
///
/// # Errors
/// When the disk refuses.
pub fn journal(n: usize, folder: &Path) -> anyhow::Result<f64> {
    let store = CountingStore::open(&folder.join("parts.redb"))?;
    let run = RunId::from_entropy([0; 5]);
    let records = records(n)?;
    let ((), seconds) = timed(|| {
        let mut sealer = Sealer::new(run);
        let mut queue = Queue::default();
        for part in records.chunks(BATCH_RECORDS_MAX) {
            let rows = part
                .iter()
                .map(|record| sealer.seal(0, record))
                .collect::<Result<Vec<_>, _>>()?;
            let summary = Some(Vec::new());
            let (payloads, blobs) = (Vec::new(), Vec::new());
            queue.push(Submission {
                run,
                rows,
                payloads,
                blobs,
                summary,
                ticket: (),
            });
            while let Some((batch, _)) = queue.next_batch() {
                store.commit(&batch)?;
            }
        }
        Ok(())
    })?;
    Ok(seconds)
}

/// What an engine writes for `n` agents that answer `null`: each scheduled and started, then each settled.
fn records(n: usize) -> anyhow::Result<Vec<Record>> {
    let n = u32::try_from(n)?;
    let context = key::root();
    let mut records = Vec::with_capacity(3 * n as usize);
    for call in (0..n).map(CallNumber) {
        let prompt = format!("work {call}");
        let content = key::content(CallKind::Agent.name(), &prompt, "{}");
        records.push(Record::CallScheduled(Box::new(CallScheduled {
            call,
            kind: CallKind::Agent,
            turn: 0,
            content,
            context,
            key: key::key(content, context, 0),
            label: None,
            phase: None,
            prompt: Text::Inline(prompt.into()),
            options: Text::Inline("{}".into()),
            line: 2,
        })));
    }
    let attempt = Attempt(1);
    for call in (0..n).map(CallNumber) {
        records.push(Record::AttemptStarted(AttemptStarted { call, attempt }));
    }
    for call in (0..n).map(CallNumber) {
        let outcome = Outcome::Completed(Text::Inline("null".into()));
        let usage = Usage::default();
        records.push(Record::CallSettled(Box::new(CallSettled {
            call,
            attempt,
            outcome,
            usage,
        })));
    }
    Ok(records)
}

/// Seconds in which ractor starts `n` actors that do nothing, gives each one message, and sees each end.
///
/// # Errors
/// When an actor cannot be started.
pub async fn actors(n: usize) -> anyhow::Result<f64> {
    let start = std::time::Instant::now();
    let mut ends = Vec::with_capacity(n);
    for _ in 0..n {
        let (actor, end) = Empty::spawn(None, Empty, ()).await?;
        actor.cast(())?;
        ends.push(end);
    }
    for end in ends {
        end.await?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Ends with its first message.
struct Empty;

impl Actor for Empty {
    type Msg = ();
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<()>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        myself: ActorRef<()>,
        (): (),
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        myself.stop(None);
        Ok(())
    }
}
