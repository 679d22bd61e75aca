//! Taking a run up where the journal ends (`docs/replay.md`, recovery).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bellwether_actors::run::machine::Way;
use bellwether_actors::run::replay::{self, ReplayError};
use bellwether_actors::run::rewind::Rewind;
use bellwether_actors::run::supervisor::Beginning;
use bellwether_journal::error::{Damage, StoreError};
use bellwether_journal::id::{Generation, Position, RunId};
use bellwether_journal::read;
use bellwether_journal::record::{Actor, Status};
use bellwether_journal::state::RunState;
use bellwether_journal::store::Store;

use crate::engine::Engine;
use crate::error::ResumeError;
use crate::handle::RunHandle;
use crate::options::{ResumeOptions, StartOptions};
use crate::rewind::{self, RewindOptions};
use crate::run::{self, Parts, Standing};
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
    let summary = blocking(move || read::summary(store.as_ref(), run))
        .await?
        .ok_or(ResumeError::Unknown(run))?;
    let store = Arc::clone(&surroundings.store);
    let generation = summary.generation;
    let (state, mut options) = blocking(move || opened(store.as_ref(), run, generation))
        .await?
        .ok_or(ResumeError::Unknown(run))?;
    options.environment.clone_from(&changed.environment);
    changed.rebudget(&mut options);
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
    if recorded != Some(identity) && crash.is_none() {
        // Another VM may take other turns with the same answers: what was done is found again by its key (R06).
        let from = rewind::From {
            run,
            before: None,
            to: run,
        };
        let change = RewindOptions {
            keep_failed: true,
            resume: changed,
            reason: Some("another version of the script VM recorded the run".to_owned()),
            ..RewindOptions::default()
        };
        return Ok(rewind::rewind(engine, from, change).await?);
    }
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
        repeat_merges: options.repeat_merges,
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
        let standing = Standing::at_the_beginning(state, keys);
        parts.arguments(engine, &watch, standing, beginning)
    } else {
        let (recovered, rewind) = recover(engine, run, generation, &parts).await?;
        let mut parts = parts;
        parts.caps = run::caps_set(parts.caps, recovered.state.limits, &changed);
        let beginning = Beginning::Recovered(recovered.vm, recovered.fresh, by, way);
        let replay::Recovered {
            state,
            keys,
            timers,
            pures,
            ..
        } = recovered;
        let standing = Standing {
            state,
            keys,
            timers,
            rewind,
            pures,
        };
        parts.arguments(engine, &watch, standing, beginning)
    };
    engine.supervise(&handle, arguments).await?;
    Ok(handle)
}

async fn recover(
    engine: &Engine,
    run: RunId,
    generation: Generation,
    parts: &Parts,
) -> Result<(replay::Recovered, Option<Rewind>), ResumeError> {
    // The process of the VMs may go for another script's sake, which ends that script: so this ends too. When this one was
    // at work as well, it gets a process of its own and with that another try.
    let recovered = loop {
        let was_suspect = parts.suspect.load(Ordering::Relaxed);
        let store = Arc::clone(&engine.0.surroundings().store);
        let (keys, make_vm) = (parts.keys(), parts.make_vm());
        let (cancelled, repeat_merges) = (Arc::clone(&parts.abandoned), parts.repeat_merges);
        let recovering = tokio::task::spawn_blocking(move || {
            let source = replay::Source {
                store: store.as_ref(),
                run,
                generation,
                until: Position(u64::MAX),
                cancelled: &cancelled,
            };
            let recovered = replay::recover(&source, keys, |state| make_vm(state, store.as_ref()))?;
            let rewind = match &recovered.state.generation {
                Some(generation) => Rewind::load(store.as_ref(), run, generation)?
                    .map(|rewind| rewind.repeating_merges(repeat_merges)),
                None => None,
            };
            Ok((recovered, rewind))
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

/// The run as of the record that opens this generation, and its options from there on; `None` when there is no such run.
pub(crate) fn opened(
    store: &dyn Store,
    run: RunId,
    generation: Generation,
) -> Result<Option<(RunState, StartOptions)>, StoreError> {
    let mut state = RunState::new(run);
    for entry in read::entries(store, run, Position(0)) {
        state
            .apply(&entry?)
            .map_err(|error| Damage::new(error.to_string()))?;
        if state.generation.as_ref().map(|open| open.number) == Some(generation) {
            break;
        }
    }
    let Some(started) = state.started.clone() else {
        return Ok(None);
    };
    let changed = state
        .generation
        .as_ref()
        .and_then(|open| Some((open.opened, open.options.as_ref()?)));
    let (position, options) = changed.unwrap_or((Position(0), &started.options));
    let options = read::resolve(store, run, position, options)?;
    let options = serde_json::from_str(&options)
        .map_err(|error| Damage::new(format!("run {run}: its options: {error}")))?;
    Ok(Some((state, options)))
}
