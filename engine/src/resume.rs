//! Taking a run up where the journal ends (`docs/replay.md`, recovery).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bellwether_actors::run::machine::Way;
use bellwether_actors::run::replay::{self, ReplayError};
use bellwether_actors::run::supervisor::Beginning;
use bellwether_journal::error::{Damage, StoreError};
use bellwether_journal::id::{Position, RunId};
use bellwether_journal::read;
use bellwether_journal::record::{Actor, Status};
use bellwether_journal::state::RunState;

use crate::engine::Engine;
use crate::error::ResumeError;
use crate::handle::RunHandle;
use crate::options::{ResumeOptions, StartOptions};
use crate::run::{self, Parts};
use crate::start::blocking;
use crate::vm::Suspect;

/// What became of a run's supervisor in this engine.
pub(crate) enum Crash {
    /// It crashed: the run is as it was, paused if it was paused and stopped if that had been asked for.
    Once,
    /// It crashed too often, for this reason: the run is quarantined.
    TooOften(String),
}

/// Takes `run` up: for a caller, or after a crash of its supervisor. The caller holds the lock on entering.
pub(crate) async fn resume(
    engine: &Engine,
    run: RunId,
    changed: ResumeOptions,
    crash: Option<Crash>,
) -> Result<RunHandle, ResumeError> {
    let surroundings = engine.0.surroundings();
    // What a supervisor that is gone had sent may still be on its way.
    engine
        .0
        .tree
        .drain()
        .await
        .map_err(|gone| StoreError::Io(gone.to_string()))?;
    let store = Arc::clone(&surroundings.store);
    let (state, options) = blocking(move || first_records(store.as_ref(), run))
        .await?
        .ok_or(ResumeError::Unknown(run))?;
    let store = Arc::clone(&surroundings.store);
    let summary = blocking(move || read::summary(store.as_ref(), run))
        .await?
        .ok_or(ResumeError::Unknown(run))?;
    if !summary.resumable {
        return Err(ResumeError::Ended {
            run,
            status: summary.status,
        });
    }
    let identity = bellwether_scripts::Vm::identity();
    let recorded = state
        .generation
        .as_ref()
        .map(|generation| generation.vm_identity);
    if recorded != Some(identity) {
        let recorded = recorded.unwrap_or_default();
        return Err(ResumeError::OtherVm {
            run,
            recorded: recorded.to_hex(),
            known: identity.to_hex(),
        });
    }
    let started = state.started.as_deref();
    let working_directory = started.map(|started| PathBuf::from(&started.working_directory));
    let working_directory = working_directory.unwrap_or_default();
    let parts = Parts {
        rules: run::rules(engine, &options, run, &working_directory)
            .map_err(ResumeError::Backend)?,
        caps: run::caps(&options, &changed),
        workflows: options.workflows.clone(),
        vm_limits: run::vm_limits(&options, &changed),
        working_directory,
        script_path: started
            .and_then(|started| started.script_path.as_ref())
            .map(PathBuf::from),
        time_limit: options.timeout_ms,
        abandoned: Arc::default(),
        vms: Arc::clone(&engine.0.vms),
        suspect: Suspect::default(),
    };
    let by = changed.by.clone().map_or(Actor::Engine, Actor::Caller);
    let watch = match engine.run(run) {
        Some(handle) => Arc::clone(handle.watch()),
        None => engine.watch(run),
    };
    if changed.watched {
        watch.keep_for_the_first();
    }
    let handle = engine.run(run).unwrap_or_else(|| {
        RunHandle::new(run, Arc::clone(&surroundings.store), Arc::clone(&watch))
    });
    handle.set_changed(changed.clone());
    let way = match (&crash, summary.status) {
        (Some(_), Status::Pausing | Status::Paused) => Way::Paused,
        (Some(_), Status::Stopping) => Way::Stopped,
        _ => Way::Running,
    };
    let arguments = if let Some(Crash::TooOften(why)) = crash {
        let store = Arc::clone(&surroundings.store);
        let state = blocking(move || read::load_state(store.as_ref(), run)).await?;
        let keys = parts.keys();
        let beginning = Beginning::Condemned(why);
        parts.arguments(engine, &watch, state, keys, BTreeMap::new(), beginning)
    } else {
        let recovered = recover(engine, run, &parts).await?;
        let beginning = Beginning::Recovered(recovered.vm, recovered.fresh, by, way);
        let replay::Recovered {
            state,
            keys,
            timers,
            ..
        } = recovered;
        parts.arguments(engine, &watch, state, keys, timers, beginning)
    };
    engine.supervise(&handle, arguments).await?;
    Ok(handle)
}

async fn recover(
    engine: &Engine,
    run: RunId,
    parts: &Parts,
) -> Result<replay::Recovered, ResumeError> {
    // The process of the VMs may go for another script's sake, which ends that script: so this ends too. When this one was
    // at work as well, it gets a process of its own and with that another try.
    let recovered = loop {
        let was_suspect = parts.suspect.load(Ordering::Relaxed);
        let store = Arc::clone(&engine.0.surroundings().store);
        let (keys, make_vm) = (parts.keys(), parts.make_vm());
        let cancelled = Arc::clone(&parts.abandoned);
        let recovering = tokio::task::spawn_blocking(move || {
            let source = replay::Source {
                store: store.as_ref(),
                run,
                until: Position(u64::MAX),
                cancelled: &cancelled,
            };
            replay::recover(&source, keys, |state| make_vm(state, store.as_ref()))
        });
        match recovering.await {
            Ok(Err(ReplayError::Taken(_))) => {}
            Ok(Err(ReplayError::Crashed(_)))
                if !was_suspect && parts.suspect.load(Ordering::Relaxed) => {}
            recovered => break recovered,
        }
    };
    match recovered {
        Ok(Ok(recovered)) => Ok(recovered),
        Ok(Err(ReplayError::Store(error))) => Err(error.into()),
        Ok(Err(error @ ReplayError::Limit { .. })) => Err(ResumeError::Limit(error.to_string())),
        Ok(Err(error)) => Err(ResumeError::Diverged(error.to_string())),
        Err(panic) => Err(ResumeError::Diverged(format!(
            "the script's VM crashed: {panic}"
        ))),
    }
}

/// The run as of its first two records, and its options; `None` when there is no such run.
fn first_records(
    store: &dyn bellwether_journal::store::Store,
    run: RunId,
) -> Result<Option<(RunState, StartOptions)>, StoreError> {
    let mut state = RunState::new(run);
    for entry in read::entries(store, run, Position(0)).take(2) {
        state
            .apply(&entry?)
            .map_err(|error| Damage::new(error.to_string()))?;
    }
    let Some(started) = state.started.clone() else {
        return Ok(None);
    };
    let options = read::resolve(store, run, Position(0), &started.options)?;
    let options = serde_json::from_str(&options)
        .map_err(|error| Damage::new(format!("run {run}: its options: {error}")))?;
    Ok(Some((state, options)))
}
