//! Starting a run.

use std::path::PathBuf;
use std::sync::Arc;

use bellwether_actors::run::supervisor::Beginning;
use bellwether_journal::error::StoreError;
use bellwether_journal::id::{Generation, Position, RunId};
use bellwether_journal::read;
use bellwether_journal::record::{Actor, GenerationOpened, Policy, Record, RunStarted, Status};
use bellwether_journal::state::RunState;
use bellwether_journal::text;
use bellwether_scripts::Vm;
use serde_json::Value;

use crate::bundled::bundled;
use crate::engine::Engine;
use crate::entropy;
use crate::error::StartError;
use crate::handle::RunHandle;
#[cfg(feature = "worktree")]
use crate::isolation;
use crate::observe::Watch;
use crate::options::{ResumeOptions, Script, StartOptions};
use crate::run::{self, Opening, Parts, Standing};
use crate::schema::Schema;
use crate::vm::Suspect;

pub(crate) async fn start(
    engine: &Engine,
    script: Script,
    options: StartOptions,
) -> Result<RunHandle, StartError> {
    let Script { source, path } = script;
    let source: Arc<str> = source.into();
    let changed = ResumeOptions::default();
    let vm_limits = run::vm_limits(&options, &changed);
    let args = options.args.as_deref().map(checked_args).transpose()?;

    // The script sees its path (in stacks, and in those of workflows relative to it), so it is the one that is journaled:
    // a recovery gives it the same.
    let script_path = path.as_ref().map(|path| match bundled(path) {
        Some(_) => path.clone(),
        None => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
    });
    let name = run::file_name(script_path.as_deref());
    let shown = run::file_name(path.as_deref());
    let (text, limits) = (Arc::clone(&source), vm_limits.clone());
    let parsing = tokio::task::spawn_blocking(move || {
        let parsed = bellwether_scripts::parse(&text, &name, &limits);
        // A refusal names the file as the caller does.
        parsed.or_else(|_| bellwether_scripts::parse(&text, &shown, &limits))
    });
    let script = parsing
        .await
        .map_err(|error| StartError::Refused(format!("the script's parser failed: {error}")))?
        .map_err(|refusal| StartError::Refused(refusal.to_string()))?;
    if let Some(schema) = &script.meta().args_schema {
        check_args(schema, args.as_deref())?;
    }

    let (entering, run) = loop {
        let entering = engine.0.entering.lock().await;
        if engine.is_closing() {
            return Err(StartError::ShuttingDown);
        }
        let Some(run) = options.run_id else {
            break (entering, fresh_id(engine).await?);
        };
        let live = engine.run(run);
        // A run that is being started just now is in the journal in a moment; its supervisor may need the lock.
        let entering = if let Some(live) = live {
            drop(entering);
            if let Some(error) = live.refused().await {
                return Err(error.into());
            }
            None
        } else {
            Some(entering)
        };
        match (
            known(engine, run, &source, args.as_deref()).await?,
            entering,
        ) {
            (Some(handle), _) => return Ok(handle),
            (None, Some(entering)) => break (entering, run),
            (None, None) => {}
        }
    };

    let working_directory = match &options.working_directory {
        Some(folder) => folder.clone(),
        None => std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
    };
    #[cfg(feature = "worktree")]
    let options = isolation::pin(&engine.0.ground, options, &working_directory, run, &source).await;
    #[cfg(feature = "gateway")]
    let options = {
        let mut options = options;
        let models = engine.0.models.as_ref();
        options.names = models.map(|models| models.options().names.clone());
        options
    };
    let rules = run::rules(engine, &options, run, &working_directory);
    let rules = rules.map_err(StartError::Backend)?;
    let now = engine.0.surroundings().clock.now();
    let seed = entropy::seed()?;
    let packed_options = text::pack_shared(
        serde_json::to_string(&options)
            .map_err(|error| StartError::Args(error.to_string()))?
            .into(),
    );
    let packed_script = text::pack_shared(Arc::clone(&source));
    let packed_args = args.map(text::pack_shared);
    let started = RunStarted {
        name: options
            .name
            .clone()
            .unwrap_or_else(|| script.meta().name.clone()),
        script_path: script_path
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned()),
        options: packed_options.stored.clone(),
        working_directory: working_directory.to_string_lossy().into_owned(),
        base_commit: options.base_commit.clone(),
        started_by: options.started_by.clone().unwrap_or_default(),
    };
    let opened = GenerationOpened {
        number: Generation(1),
        base: None,
        script: packed_script.stored.clone(),
        args: packed_args.as_ref().map(|packed| packed.stored.clone()),
        vm_identity: Vm::identity(),
        seed,
        time: now,
        dirty: Vec::new(),
        policy: Policy::Causal,
        budget_total: options.budget,
    };
    let records = vec![
        Record::RunStarted(Box::new(started)),
        Record::GenerationOpened(Box::new(opened)),
    ];
    let opening = Opening {
        script,
        args: packed_args.as_ref().map(|packed| Arc::clone(&packed.text)),
        seed,
        time: now,
        budget_total: options.budget,
    };
    let packed = [Some(packed_options), Some(packed_script), packed_args];
    let packed = packed.into_iter().flatten().collect();

    let parts = Parts {
        rules,
        caps: run::caps(&options, &changed),
        workflows: options.workflows.clone(),
        vm_limits,
        working_directory,
        script_path,
        time_limit: options.timeout_ms,
        repeat_merges: options.repeat_merges,
        abandoned: Arc::default(),
        vms: Arc::clone(&engine.0.vms),
        suspect: Suspect::default(),
    };
    let beginning = Beginning::New(records, packed, parts.begin_vm(opening), Actor::Engine);
    let keys = parts.keys();
    let watch = engine.watch(run);
    if options.watched {
        watch.keep_for_the_first();
    }
    let handle = RunHandle::new(
        run,
        Arc::clone(&engine.0.surroundings().store),
        Arc::clone(&watch),
    );
    let changed = ResumeOptions {
        environment: options.environment.clone(),
        ..ResumeOptions::default()
    };
    handle.set_changed(changed);
    let state = RunState::new(run);
    let arguments = parts.arguments(
        engine,
        &watch,
        Standing::at_the_beginning(state, keys),
        beginning,
    );
    engine.supervise(&handle, arguments).await?;
    // A supervisor that crashes from here on is taken up again, which needs the lock.
    drop(entering);
    match handle.refused().await {
        Some(error) => Err(error.into()),
        None => Ok(handle),
    }
}

/// The arguments as the journal keeps them: the text as it came, if it is JSON.
pub(crate) fn checked_args(text: &str) -> Result<Arc<str>, StartError> {
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map_err(|error| StartError::Args(format!("no JSON: {error}")))?;
    Ok(text.trim().into())
}

/// `meta.args` as a JSON Schema over the arguments (G01); without any they count as an empty object.
pub(crate) fn check_args(schema: &Value, args: Option<&str>) -> Result<(), StartError> {
    let schema = Schema::compile(schema).map_err(|malformed| {
        StartError::Refused(format!("meta.args is no JSON Schema: {malformed}"))
    })?;
    let parse = |text: &str| serde_json::from_str::<Value>(text);
    let mut args = args
        .map(parse)
        .transpose()
        .map_err(|error| StartError::Args(error.to_string()))?
        .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    // The script gets an object or array that came as a string parsed (G01), so that is what is checked.
    if let Value::String(text) = &args
        && let Ok(parsed @ (Value::Object(_) | Value::Array(_))) = parse(text)
    {
        args = parsed;
    }
    let violations: Vec<String> = schema
        .violations(&args)
        .iter()
        .map(|violation| format!("args{}: {}", violation.path, violation.message))
        .collect();
    if violations.is_empty() {
        Ok(())
    } else {
        Err(StartError::Args(format!(
            "they do not fit the script's meta.args:\n  {}",
            violations.join("\n  ")
        )))
    }
}

/// An id that no run has.
pub(crate) async fn fresh_id(engine: &Engine) -> Result<RunId, StoreError> {
    loop {
        let run = entropy::run_id()?;
        let store = Arc::clone(&engine.0.surroundings().store);
        let taken = blocking(move || store.summary(run)).await?.is_some();
        if !taken && engine.run(run).is_none() {
            return Ok(run);
        }
    }
}

/// The run that has this id already, if it is the same script with the same arguments.
async fn known(
    engine: &Engine,
    run: RunId,
    source: &Arc<str>,
    args: Option<&str>,
) -> Result<Option<RunHandle>, StartError> {
    let store = Arc::clone(&engine.0.surroundings().store);
    let (source, args) = (Arc::clone(source), args.map(str::to_owned));
    let compared = blocking(move || {
        if read::summary(store.as_ref(), run)?.is_none() {
            return Ok(None);
        }
        // The generation's own record says it all; the rest of the run is not read.
        let mut state = RunState::new(run);
        for entry in read::entries(store.as_ref(), run, Position(0)).take(2) {
            let entry = entry?;
            let damage = |error: bellwether_journal::state::IllegalRecord| {
                StoreError::Damage(bellwether_journal::error::Damage::new(error.to_string()))
            };
            state.apply(&entry).map_err(damage)?;
        }
        let Some(generation) = &state.generation else {
            return Ok(None);
        };
        let text = |text| read::resolve(store.as_ref(), run, generation.opened, text);
        let same_script = text(&generation.script)? == source;
        let known_args = generation.args.as_ref().map(text).transpose()?;
        let same_args = known_args.as_deref() == args.as_deref();
        Ok(Some((same_script, same_args)))
    })
    .await?;
    let Some((same_script, same_args)) = compared else {
        return Ok(None);
    };
    if !same_script {
        return Err(StartError::Conflict {
            run,
            what: "another script",
        });
    }
    if !same_args {
        return Err(StartError::Conflict {
            run,
            what: "other arguments",
        });
    }
    if let Some(handle) = engine.run(run) {
        return Ok(Some(handle));
    }
    // Only now, when it is not live: it may have ended while this was being read.
    let store = Arc::clone(&engine.0.surroundings().store);
    let summary = blocking(move || read::summary(store.as_ref(), run)).await?;
    let status = match summary.map(|summary| summary.status) {
        Some(status) if !status.needs_engine() => status,
        _ => Status::Interrupted,
    };
    let watch = Arc::new(Watch::new(run, status, true, 1));
    let store = Arc::clone(&engine.0.surroundings().store);
    Ok(Some(RunHandle::new(run, store, watch)))
}

pub(crate) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(read).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::Io(error.to_string())),
    }
}
