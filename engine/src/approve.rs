//! Questions of scripts to people (X03): who is asked, and whether an answer may be one.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bellwether_actors::run::message::TellAsked;
use bellwether_journal::error::StoreError;
use bellwether_journal::id::{CallNumber, Generation, RunId};
use bellwether_journal::read;
use bellwether_journal::store::Store;
use futures_util::future::{BoxFuture, Either, select};
use serde_json::Value;

use crate::engine::{Engine, Inner};
use crate::error::ControlError;
use crate::handle::RunHandle;
use crate::plan::made_up;
use crate::schema::Schema;
use crate::view::Question;

/// Who answers by the backend that makes all answers up.
const DRY: &str = "dry";
/// Who answers by [`Approver`].
const APPROVER: &str = "approver";

/// Somebody whom scripts may ask: a window, a chat, a rule.
///
/// ```
/// use std::sync::Arc;
/// use bellwether::{Approver, Engine, Question, Script, StartOptions};
/// use futures_util::future::BoxFuture;
/// use serde_json::{Value, json};
/// # use bellwether::backend::dry::Dry;
///
/// /// Says yes to whatever may be answered so.
/// struct Obliging;
///
/// impl Approver for Obliging {
///     fn ask(&self, question: Question) -> BoxFuture<'static, Option<Value>> {
///         let yes = json!("yes");
///         Box::pin(async move { question.choices.contains(&yes).then_some(yes) })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let engine = Engine::builder().memory().approver(Arc::new(Obliging));
/// # let engine = engine.backend("own", Arc::new(Dry));
/// let engine = engine.build().await?;
/// let source = "export const meta = { name: 'gate', description: 'A gate' }
///     return await ask('Deploy?', { choices: ['no', 'yes'] })";
/// let run = engine.start(Script::text(source), StartOptions::new().backend("own")).await?;
/// assert_eq!(run.result::<String>().await?, "yes");
/// # Ok(())
/// # }
/// ```
pub trait Approver: Send + Sync + 'static {
    /// Asks. Once for each question in each engine, and again after a restart; several at once. `None` leaves the question
    /// open for others, as does an answer that may not be one. What is given after somebody else has answered
    /// has no effect; when the run ends, the future is dropped.
    fn ask(&self, question: Question) -> BoxFuture<'static, Option<Value>>;
}

/// Whom an engine's scripts ask.
#[derive(Default)]
pub(crate) struct Asking {
    approver: Option<Arc<dyn Approver>>,
    asked: Mutex<HashSet<(RunId, Generation, CallNumber)>>,
}

impl Asking {
    pub(crate) fn new(approver: Option<Arc<dyn Approver>>) -> Self {
        Self {
            approver,
            asked: Mutex::default(),
        }
    }

    /// Whether the question was not asked before.
    fn is_first(&self, run: RunId, generation: Generation, call: CallNumber) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.insert((run, generation, call))
    }

    /// Forgets the questions of a run that is not live any more.
    pub(crate) fn forget(&self, run: RunId) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|(of, _, _)| *of != run);
    }
}

/// Is told of a run's questions. `is_dry`: all its answers are made up, those of people, too.
pub(crate) fn tell_asked(engine: &Engine, run: RunId, is_dry: bool) -> TellAsked {
    let weak = Arc::downgrade(&engine.0);
    let is_asked = is_dry || engine.0.asking.approver.is_some();
    Arc::new(move |call, asked| {
        if is_asked {
            let options = is_dry.then(|| Arc::clone(&asked.options));
            tokio::spawn(answered(Weak::clone(&weak), run, call, options));
        }
    })
}

/// Asks, and gives the answer to the run. `dry` are the options of a question whose answer is made up.
async fn answered(engine: Weak<Inner>, run: RunId, call: CallNumber, dry: Option<Arc<str>>) {
    let Some(strong) = engine.upgrade().map(Engine) else {
        return;
    };
    // Whoever takes the run up holds this until others can find it.
    drop(strong.0.entering.lock().await);
    let Some(handle) = strong.run(run) else {
        return;
    };
    let (answer, by) = if let Some(options) = dry {
        let answer = made_up::answer(call, &options);
        (serde_json::from_str(&answer).ok(), DRY)
    } else {
        let Some(approver) = strong.0.asking.approver.clone() else {
            return;
        };
        let question = match read(&handle, call).await {
            Ok((generation, Some(question))) if strong.0.asking.is_first(run, generation, call) => {
                question
            }
            Ok(_) => return,
            Err(error) => {
                tracing::error!(%run, %error, "a question cannot be read");
                return;
            }
        };
        // A person may take days, for which nobody is to hold the engine.
        drop(strong);
        let asking = approver.ask(question);
        let ended = std::pin::pin!(handle.wait());
        match select(asking, ended).await {
            Either::Left((answer, _)) => (answer, APPROVER),
            Either::Right(_) => return,
        }
    };
    let Some(answer) = answer else {
        return;
    };
    if let Err(error) = handle.answer(call, &answer, by).await {
        tracing::warn!(%run, %call, %error, "an answer was not taken");
    }
}

/// A question as the journal has it, with its generation.
async fn read(
    handle: &RunHandle,
    call: CallNumber,
) -> Result<(Generation, Option<Question>), StoreError> {
    let (store, run) = (handle.store(), handle.id());
    blocking(move || {
        let state = read::load_state(store.as_ref(), run)?;
        let generation = state.generation.as_ref().map(|open| open.number);
        let question = Question::of_call(store.as_ref(), &state, call)?;
        Ok((generation.unwrap_or_default(), question))
    })
    .await
}

/// Checks that a question may be answered so. What is no question is let pass: the run says so.
///
/// # Errors
/// [`ControlError::Answer`] says what may be answered; [`ControlError::Journal`].
pub(crate) async fn check(
    handle: &RunHandle,
    call: CallNumber,
    answer: &Value,
) -> Result<(), ControlError> {
    let (_, question) = read(handle, call).await?;
    let Some(question) = question else {
        return Ok(());
    };
    let refused = |message: String| Err(ControlError::Answer(message));
    if !question.choices.is_empty() && !question.choices.contains(answer) {
        let choices: Vec<String> = question.choices.iter().map(Value::to_string).collect();
        return refused(format!(
            "{answer} is none of the choices of {}: {}",
            question.id,
            choices.join(", ")
        ));
    }
    // One that is none was refused when it was asked.
    let schema = question.schema.as_ref().map(Schema::compile);
    if let Some(Ok(schema)) = schema {
        let violations = schema.violations(answer);
        if !violations.is_empty() {
            let told: Vec<String> = violations
                .iter()
                .map(|violation| match violation.path.as_str() {
                    "" => violation.message.clone(),
                    path => format!("at {path}: {}", violation.message),
                })
                .collect();
            let id = &question.id;
            return refused(format!(
                "it does not fit the schema of {id}: {}",
                told.join("; ")
            ));
        }
    }
    Ok(())
}

/// The questions of a run that are open.
pub(crate) async fn open(store: Arc<dyn Store>, run: RunId) -> Result<Vec<Question>, StoreError> {
    blocking(move || {
        let state = read::load_state(store.as_ref(), run)?;
        Question::open(store.as_ref(), &state)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|gone| Err(StoreError::Io(gone.to_string())))
}
