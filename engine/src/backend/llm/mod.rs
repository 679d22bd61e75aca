//! `llm`: the agent that comes with the engine. A model is asked by way of the gateway, and has tools for files, searches,
//! commands and web pages.
//!
//! [`conversation`] is the loop, [`tools`] what a model can do; neither knows of runs. This file puts them together for an
//! attempt: its task becomes a job, its working directory a toolbox, what happens becomes progress, and an end an outcome.
//! [`delegate`] lets an agent have agents of its own within its attempt.

pub(crate) mod conversation;
mod delegate;
mod progress;
mod shell;
pub(crate) mod tools;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bellwether_actors::backend::{
    AgentBackend, AgentOptions, AgentOutcome, AttemptContext, Ended, Task,
};
use bellwether_journal::record::{Failure, FailureKind, Millis, Usage};
use bellwether_launcher::Launcher;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::conversation::{
    Effort, Endpoint, Finished, Job, NativeSchema, Pace, ProjectNote, StopKind, Stopped,
    ToolAnswer, ToolDefinition, Tools, Worker,
};
use self::delegate::Within;
use self::progress::Reported;
use self::shell::LaunchedShell;
use self::tools::{Addresses, Fetcher, Means, Name, Permitted, Switches, Toolbox, Web};
use crate::gateway::{Provider, Wire};
use crate::models::{Hub, Model, Options};
use crate::options::Environment;

/// What all runs' built-in agents share.
pub(crate) struct Shared {
    hub: Arc<Hub>,
    launcher: Arc<Launcher>,
    /// Made when first wanted: a client reads the system's certificates, which takes some milliseconds.
    worker: OnceLock<Result<Worker, String>>,
    web: OnceLock<Option<Arc<dyn Web>>>,
}

/// The built-in agent of a run.
pub(crate) struct Llm {
    shared: Arc<Shared>,
    settings: Arc<Settings>,
}

/// What a run says of its built-in agents.
pub(crate) struct Settings {
    /// What of what is off elsewhere they may use.
    pub(crate) switches: Switches,
    /// The environment of their commands, where it is another than the engine's.
    pub(crate) environment: Option<Environment>,
}

impl Shared {
    /// For models of these.
    pub(crate) const fn new(hub: Arc<Hub>, launcher: Arc<Launcher>) -> Self {
        Self {
            hub,
            launcher,
            worker: OnceLock::new(),
            web: OnceLock::new(),
        }
    }

    fn worker(&self) -> Result<&Worker, String> {
        let made = self.worker.get_or_init(|| {
            let client = conversation::client().map_err(|error| error.to_string())?;
            let pace = Pace::new(Arc::new(crate::entropy::jitter));
            Ok(Worker::new(client, pace))
        });
        made.as_ref().map_err(Clone::clone)
    }

    /// The road to the web; `None` when no client can be made.
    fn web(&self) -> Option<Arc<dyn Web>> {
        let made = self.web.get_or_init(|| {
            let fetcher = Fetcher::new(Addresses::Public).ok()?;
            Some(Arc::new(fetcher))
        });
        made.clone()
    }

    /// Where the model is asked, and how large it is.
    fn endpoint(&self, task: &Task) -> Result<(Endpoint, Model), String> {
        let access = task.models.as_ref();
        let access = access.ok_or("there is no way to a model: the engine has no gateway")?;
        let model = task.options.model.as_deref().and_then(|model| {
            let (provider, id) = model.split_once('/')?;
            Some(Model {
                provider: provider.to_owned(),
                id: id.to_owned(),
            })
        });
        let model = model.ok_or("no model is named")?;
        let mut providers = self.hub.options().providers.iter();
        let provider = providers
            .find(|provider| *provider.name == *model.provider)
            .ok_or_else(|| format!("the provider `{}` is not set up", model.provider))?;
        let wire = spoken(provider).ok_or_else(|| {
            format!(
                "the provider `{}` speaks nothing that is known",
                model.provider
            )
        })?;
        let address = format!("{}/to/{}", access.address, model.provider);
        let mut endpoint = Endpoint::new(address, &access.key, wire, &model.id);
        let is_openai = provider.name.as_ref() == "openai";
        if wire == conversation::Wire::OpenAiChat && is_openai {
            endpoint.native_schema = NativeSchema::Always;
        }
        Ok((endpoint, model))
    }
}

/// The first wire that a provider speaks, as the loop knows it.
fn spoken(provider: &Provider) -> Option<conversation::Wire> {
    provider
        .endpoints
        .first()
        .map(|endpoint| match endpoint.wire {
            Wire::Messages => conversation::Wire::Anthropic,
            Wire::ChatCompletions => conversation::Wire::OpenAiChat,
            Wire::Responses => conversation::Wire::OpenAiResponses,
            Wire::GenerateContent => conversation::Wire::Gemini,
        })
}

impl Llm {
    /// For a run with these settings.
    pub(crate) fn new(shared: Arc<Shared>, settings: Settings) -> Self {
        let settings = Arc::new(settings);
        Self { shared, settings }
    }

    fn permitted(&self, options: &AgentOptions) -> (Permitted, Vec<tools::Warning>) {
        Permitted::new(
            options.tools.as_deref(),
            &options.disallowed_tools,
            self.settings.switches,
        )
    }
}

impl AgentBackend for Llm {
    fn run(&self, task: Arc<Task>, context: AttemptContext) -> BoxFuture<'static, Ended> {
        let shared = Arc::clone(&self.shared);
        let (permitted, _) = self.permitted(&task.options);
        let settings = Arc::clone(&self.settings);
        async move {
            let stop = CancellationToken::new();
            let work = work(&shared, &task, &permitted, &settings, &context, &stop);
            tokio::pin!(work);
            tokio::select! {
                biased;
                // Dropped, it ends all that it started.
                () = context.killed.cancelled() => Ended::cancelled(),
                () = context.cancelled.cancelled() => {
                    stop.cancel();
                    tokio::select! {
                        biased;
                        () = context.killed.cancelled() => Ended::cancelled(),
                        ended = &mut work => ended,
                        () = tokio::time::sleep(context.grace) => Ended::cancelled(),
                    }
                }
                ended = &mut work => ended,
            }
        }
        .boxed()
    }

    fn asks_models(&self) -> bool {
        true
    }

    fn takes_resolved_models(&self) -> bool {
        true
    }

    fn notices(&self, options: &AgentOptions) -> Vec<String> {
        let (_, warnings) = self.permitted(options);
        warnings.iter().map(ToString::to_string).collect()
    }

    fn fingerprint(&self) -> String {
        // What its tools can do is part of what it answers.
        format!("{:?}", self.settings.switches)
    }
}

async fn work(
    shared: &Shared,
    task: &Task,
    permitted: &Permitted,
    settings: &Settings,
    context: &AttemptContext,
    stop: &CancellationToken,
) -> Ended {
    let failed = |message: String| Ended::failed(FailureKind::Other, message);
    let found = shared.worker().and_then(|worker| {
        let (endpoint, model) = shared.endpoint(task)?;
        Ok((worker, endpoint, model))
    });
    let (worker, endpoint, model) = match found {
        Ok(found) => found,
        Err(message) => return failed(message),
    };
    let token = task.token;
    let folder = task.working_directory.clone();
    let project_notes = match tokio::task::spawn_blocking(move || notes(&folder)).await {
        Ok(notes) => notes,
        Err(error) => return failed(error.to_string()),
    };
    let means = Means {
        shell: settings.switches.shell.then(|| {
            let inherited = settings.environment.as_ref();
            let shell = LaunchedShell::new(&shared.launcher, task, inherited);
            Arc::new(shell) as Arc<dyn tools::Shell>
        }),
        web: settings.switches.web_fetch.then(|| shared.web()).flatten(),
    };
    let job = job(task, shared.hub.options(), &model, project_notes);
    let within = Within {
        worker: worker.clone(),
        endpoint,
        job,
        mark: format!("{}-{}-{}", token.run, token.generation, token.call),
        permitted: permitted.clone(),
        means,
        notes: context.notes.clone(),
        reported: Reported::new(token, context.progress.clone()),
        begun: Arc::default(),
        level: 0,
    };
    let toolbox = match within.toolbox().await {
        Ok(toolbox) => toolbox,
        Err(message) => return failed(message),
    };
    let Within {
        endpoint,
        job,
        reported,
        ..
    } = &within;
    let came = worker.work(endpoint, job, &toolbox, reported, stop).await;
    ended(came, job.schema.is_some())
}

fn job(task: &Task, models: &Options, model: &Model, project_notes: Vec<ProjectNote>) -> Job {
    let options = &task.options;
    let schema = options.schema.as_deref();
    let max_output = models.prices.max_output(&model.provider, &model.id);
    Job {
        prompt: task.prompt.to_string(),
        system_prompt: options.system_prompt.as_deref().map(str::to_owned),
        working_directory: task.working_directory.clone(),
        project_notes,
        schema: schema.and_then(|schema| serde_json::from_str(schema.get()).ok()),
        effort: options.effort.as_deref().and_then(Effort::named),
        max_turns: options.max_turns,
        earlier: task
            .previous_attempts
            .iter()
            .map(|past| format!("attempt {}: {}: {}", past.attempt, past.ended, past.message))
            .collect(),
        previous_answer: task.previous_answer.as_deref().map(str::to_owned),
        violations: task.violations.clone(),
        context_window: models.prices.context(&model.provider, &model.id),
        max_output_tokens: Some(u32::try_from(max_output).unwrap_or(u32::MAX)),
    }
}

/// What the repository that the folder is in tells agents.
fn notes(folder: &Path) -> Vec<ProjectNote> {
    let root = folder.ancestors().find(|above| above.join(".git").exists());
    let root: PathBuf = root.unwrap_or(folder).to_owned();
    conversation::project_notes(folder, &root)
}

fn ended(came: Result<Finished, Stopped>, has_schema: bool) -> Ended {
    let of = |tokens: conversation::Tokens| Usage {
        input_tokens: tokens.input,
        output_tokens: tokens.output,
    };
    match came {
        Ok(finished) => {
            let usage = of(finished.tokens);
            let value = match finished.value {
                Some(value) if has_schema => value,
                // Without a schema the answer is the text (A01); without JSON in it, whoever checks says so (S02).
                _ => Value::from(finished.text).to_string(),
            };
            Ended::new(AgentOutcome::Completed(value.into()), usage)
        }
        Err(stopped) => {
            let usage = of(stopped.tokens);
            let outcome = match kind(stopped.kind) {
                None => AgentOutcome::Cancelled,
                Some(kind) => AgentOutcome::Failed(Failure {
                    kind,
                    message: stopped.message,
                    evidence: stopped.last_text.clone(),
                    retry_after: stopped.retry_after.map(milliseconds),
                }),
            };
            let mut ended = Ended::new(outcome, usage);
            ended.written = stopped.last_text;
            ended
        }
    }
}

fn milliseconds(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

/// `None` is no failure: it was cancelled.
const fn kind(stop: StopKind) -> Option<FailureKind> {
    Some(match stop {
        StopKind::Cancelled => return None,
        StopKind::RateLimit => FailureKind::RateLimit,
        StopKind::Quota => FailureKind::Quota,
        StopKind::Transport | StopKind::Timeout => FailureKind::Transport,
        StopKind::Refused => FailureKind::Refused,
        StopKind::TurnsUsedUp | StopKind::MaxTokens => FailureKind::Limit,
        StopKind::BudgetUsedUp => FailureKind::Budget,
        StopKind::Denied | StopKind::Other | StopKind::ContextTooLong => FailureKind::Other,
    })
}

impl Tools for Toolbox {
    fn definitions(&self) -> Vec<ToolDefinition> {
        Self::definitions(self).to_vec()
    }

    fn call(
        &self,
        name: &str,
        arguments: Value,
        cancelled: CancellationToken,
    ) -> BoxFuture<'_, ToolAnswer> {
        let name = name.to_owned();
        async move { Self::call(self, &name, &arguments, &cancelled).await }.boxed()
    }

    fn is_parallel(&self, name: &str) -> bool {
        Name::ours(name).is_some_and(Name::only_reads)
    }
}
