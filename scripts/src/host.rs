//! The table of functions that the prelude calls. A script can reach none of them: the table is an argument of the
//! prelude, never a property of anything.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bellwether_journal::id::TimerNumber;
use bellwether_journal::record::{CallKind, Level, ScriptError};
use rquickjs::function::Opt;
use rquickjs::{Ctx, Function, IntoJs, Module, Object, Value};

use crate::compiled::{self, Own};
use crate::limits::Limits;
use crate::script::parse;
use crate::state::{End, Form, Issue, State};
use crate::trip::{Limit, Trip};
use crate::{duration, paths, waiting, web};

/// Changes with every change of the table's meaning, and of what `rewrite.rs` writes: part of the VM's identity.
pub(crate) const TABLE_VERSION: u32 = 6;

/// A script's module is named this and its place in [`State::scripts`], so that a stack frame says whose it is.
const MODULE: &str = "script:";

/// The state that host functions and the VM share. Never contended: whoever runs the VM holds it.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the table is made of.
pub(crate) struct Host<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) trip: &'a Arc<Trip>,
    pub(crate) limits: &'a Limits,
    pub(crate) budget_total: Option<u64>,
}

/// Compiles a script's program; its default export makes bodies.
pub(crate) fn compile<'js>(
    ctx: &Ctx<'js>,
    index: usize,
    text: &str,
) -> rquickjs::Result<Value<'js>> {
    let module = Module::declare(ctx.clone(), format!("{MODULE}{index}"), text)?;
    let (module, _) = module.eval()?;
    module.get("default")
}

impl Host<'_> {
    /// The table as an object of the VM.
    pub(crate) fn table<'js>(&self, ctx: &Ctx<'js>) -> rquickjs::Result<Object<'js>> {
        let table = Object::new(ctx.clone())?;
        table.set_prototype(None)?;
        self.numbers(&table)?;
        self.calls(ctx, &table)?;
        self.contexts(ctx, &table)?;
        self.limits(ctx, &table)?;
        self.scripts(ctx, &table)?;
        Ok(table)
    }

    fn numbers(&self, table: &Object<'_>) -> rquickjs::Result<()> {
        table.set("itemsMax", f64::from(self.limits.items_max))?;
        table.set("nesting", f64::from(self.limits.nesting))?;
        table.set("parsesArgsText", self.limits.parse_args_text)?;
        let total = self.budget_total.map(|total| total as f64);
        match total {
            Some(total) => table.set("budgetTotal", total),
            None => table.set("budgetTotal", Value::new_null(table.ctx().clone())),
        }
    }

    fn calls<'js>(&self, ctx: &Ctx<'js>, table: &Object<'js>) -> rquickjs::Result<()> {
        for (name, kind, form) in [
            ("call", CallKind::Agent, Form::Value),
            ("attempt", CallKind::Agent, Form::Attempt),
            ("merge", CallKind::Merge, Form::Landing),
            ("ask", CallKind::Ask, Form::Value),
            ("workflow", CallKind::Workflow, Form::Value),
        ] {
            let shared = self.shared.clone();
            // The call's promise, `false` at a limit, nothing when the prompt is no text.
            let issue = move |ctx: Ctx<'js>,
                              prompt: rquickjs::String<'js>,
                              line: Value<'js>,
                              rolling: bool,
                              phase: Opt<Option<String>>,
                              options: Opt<Option<String>>,
                              label: Opt<Option<String>>| {
                let Ok(prompt) = prompt.to_string() else {
                    return Ok(Value::new_undefined(ctx));
                };
                waiting::promise(&ctx, || {
                    shared.lock().issue(Issue {
                        kind,
                        form,
                        prompt,
                        options: options.0.flatten(),
                        label: label.0.flatten(),
                        phase: phase.0.flatten(),
                        line: line.as_number().map_or(0, whole),
                        rolling,
                    })
                })
            };
            set(ctx, table, name, Function::new(ctx.clone(), issue)?)?;
        }
        let shared = self.shared.clone();
        let log = move |level: u32, text: String| {
            let level = [Level::Info, Level::Warning, Level::Error][(level as usize).min(2)];
            shared.lock().log(level, text)
        };
        set(ctx, table, "log", Function::new(ctx.clone(), log)?)?;
        let shared = self.shared.clone();
        let phase = move |title: String| shared.lock().phase(title);
        set(ctx, table, "phase", Function::new(ctx.clone(), phase)?)?;
        let shared = self.shared.clone();
        let sleep = move |ctx: Ctx<'js>, milliseconds: f64, rolling: bool| {
            waiting::promise(&ctx, || {
                let armed = shared.lock().arm(whole_long(milliseconds.ceil()), rolling);
                armed.map(|(_, slot)| slot)
            })
        };
        set(ctx, table, "sleep", Function::new(ctx.clone(), sleep)?)?;
        let shared = self.shared.clone();
        let timer = move |ctx: Ctx<'js>, fire: Function<'js>, milliseconds: f64| {
            // Whatever a callback does is not followed.
            let armed = shared.lock().arm(whole_long(milliseconds.ceil()), true);
            let Some((timer, slot)) = armed else {
                return Ok(-1.0);
            };
            waiting::put(&ctx, slot, fire, None)?;
            Ok::<_, rquickjs::Error>(f64::from(timer.0))
        };
        set(ctx, table, "timer", Function::new(ctx.clone(), timer)?)?;
        let shared = self.shared.clone();
        let clear = move |ctx: Ctx<'js>, timer: f64| {
            let slot = shared.lock().disarm(TimerNumber(whole(timer)));
            if let Some(slot) = slot {
                waiting::take(&ctx, slot);
            }
        };
        set(ctx, table, "clearTimer", Function::new(ctx.clone(), clear)?)?;
        let shared = self.shared.clone();
        let now = move || shared.lock().now as f64;
        set(ctx, table, "now", Function::new(ctx.clone(), now)?)?;
        let shared = self.shared.clone();
        let spent = move || shared.lock().spent as f64;
        set(ctx, table, "spent", Function::new(ctx.clone(), spent)?)?;
        let shared = self.shared.clone();
        let random = move |rolling: bool| shared.lock().random(rolling);
        set(ctx, table, "random", Function::new(ctx.clone(), random)?)?;
        let milliseconds = |text: String| duration::milliseconds(&text).unwrap_or(f64::NAN);
        set(
            ctx,
            table,
            "duration",
            Function::new(ctx.clone(), milliseconds)?,
        )
    }

    fn contexts<'js>(&self, ctx: &Ctx<'js>, table: &Object<'js>) -> rquickjs::Result<()> {
        let shared = self.shared.clone();
        let open = move |count: u32| shared.lock().open(count as usize);
        set(ctx, table, "open", Function::new(ctx.clone(), open)?)?;
        let shared = self.shared.clone();
        let lane = move |id: u32, index: u32| shared.lock().contexts.lane(id, index as usize);
        set(ctx, table, "lane", Function::new(ctx.clone(), lane)?)?;
        let shared = self.shared.clone();
        let join = move |id: u32| shared.lock().join(id);
        set(ctx, table, "join", Function::new(ctx.clone(), join)?)?;
        let shared = self.shared.clone();
        let won = move |id: u32, index: u32| shared.lock().won(id, index);
        set(ctx, table, "won", Function::new(ctx.clone(), won)?)?;
        let shared = self.shared.clone();
        let enter = move |name: String| shared.lock().contexts.enter(&name);
        set(ctx, table, "enter", Function::new(ctx.clone(), enter)?)?;
        let shared = self.shared.clone();
        let leave = move || shared.lock().contexts.leave_rolling();
        set(
            ctx,
            table,
            "leaveRolling",
            Function::new(ctx.clone(), leave)?,
        )?;
        let is_promise = |value: Value<'js>| value.is_promise();
        set(
            ctx,
            table,
            "isPromise",
            Function::new(ctx.clone(), is_promise)?,
        )
    }

    fn limits<'js>(&self, ctx: &Ctx<'js>, table: &Object<'js>) -> rquickjs::Result<()> {
        let trip = Arc::clone(self.trip);
        let tripped = move || trip.reached().is_some();
        set(ctx, table, "tripped", Function::new(ctx.clone(), tripped)?)?;
        let trip = Arc::clone(self.trip);
        let heap = move || trip.reach(Limit::Heap);
        set(ctx, table, "heapLimit", Function::new(ctx.clone(), heap)?)?;
        let trip = Arc::clone(self.trip);
        let stack = move || trip.reach(Limit::Stack);
        set(ctx, table, "stackLimit", Function::new(ctx.clone(), stack)?)?;
        let trip = Arc::clone(self.trip);
        let full = move |ctx: Ctx<'js>| {
            let full = heap_is_full(&ctx);
            if full {
                trip.reach(Limit::Heap);
            }
            full
        };
        set(ctx, table, "heapIsFull", Function::new(ctx.clone(), full)?)?;
        let out_of_memory = |message: Value<'js>| {
            message
                .as_string()
                .and_then(|text| text.to_string().ok())
                .is_some_and(|text| text.starts_with("out of memory"))
        };
        set(
            ctx,
            table,
            "isOutOfMemory",
            Function::new(ctx.clone(), out_of_memory)?,
        )
    }

    fn scripts<'js>(&self, ctx: &Ctx<'js>, table: &Object<'js>) -> rquickjs::Result<()> {
        let shared = self.shared.clone();
        let place = move |file: Value<'js>, line: Value<'js>, column: Value<'js>| {
            let file = file.as_string()?.to_string().ok()?;
            let index = file.strip_prefix(MODULE)?.parse().ok()?;
            let (line, column) = (whole(line.as_number()?), whole(column.as_number()?));
            let state = shared.lock();
            let (script, program) = state.program(index)?;
            let (line, column) = program.place(line, column)?;
            // The file's own name: a stack must say the same wherever the project lies (B05).
            let file = script.file_name();
            let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
            Some(format!("{name}:{line}:{column}"))
        };
        set(ctx, table, "place", Function::new(ctx.clone(), place)?)?;
        let resolve = |base: String, path: String| paths::resolve(&base, &path);
        set(ctx, table, "resolve", Function::new(ctx.clone(), resolve)?)?;
        let is_name = |text: String| {
            let plain =
                |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '$';
            !text.is_empty()
                && text.chars().all(plain)
                && !text.starts_with(|first: char| first.is_ascii_digit())
        };
        set(ctx, table, "isName", Function::new(ctx.clone(), is_name)?)?;
        let patterns = |ctx: Ctx<'js>| compiled::function(&ctx, Own::Patterns);
        set(ctx, table, "library", Function::new(ctx.clone(), patterns)?)?;
        let web = |ctx: Ctx<'js>| compiled::function(&ctx, Own::Web);
        set(ctx, table, "web", Function::new(ctx.clone(), web)?)?;
        web::fill(ctx, table)?;
        let (shared, limits) = (self.shared.clone(), self.limits.clone());
        let compile = move |ctx: Ctx<'js>, source: String, path: String| {
            let child = Object::new(ctx.clone())?;
            child.set_prototype(None)?;
            match parse(&source, &path, &limits) {
                Ok(script) => {
                    let index = {
                        let mut state = shared.lock();
                        state.scripts.push(script.clone());
                        state.scripts.len() - 1
                    };
                    child.set("factory", compile(&ctx, index, &script.program().text)?)?;
                    child.set("name", script.meta().name.as_str())?;
                    child.set("rolling", !script.program().exact)?;
                }
                Err(refusal) => child.set("refusal", refusal.to_string())?,
            }
            Ok::<_, rquickjs::Error>(child)
        };
        set(ctx, table, "compile", Function::new(ctx.clone(), compile)?)?;
        let shared = self.shared.clone();
        let returned = move |text: String| shared.lock().ended(End::Returned(text.into()));
        set(
            ctx,
            table,
            "returned",
            Function::new(ctx.clone(), returned)?,
        )?;
        let shared = self.shared.clone();
        let threw =
            move |name: String, code: Option<String>, message: String, stack: Opt<String>| {
                let stack = stack.0.unwrap_or_default();
                let mut state = shared.lock();
                let (line, column) = first_place(&stack);
                let error = ScriptError {
                    name,
                    code,
                    message,
                    line,
                    column,
                    stack,
                };
                state.ended(End::Threw(Box::new(error)));
            };
        set(ctx, table, "threw", Function::new(ctx.clone(), threw)?)
    }
}

pub(crate) fn set<'js>(
    _: &Ctx<'js>,
    table: &Object<'js>,
    name: &str,
    value: impl IntoJs<'js>,
) -> rquickjs::Result<()> {
    table.set(name, value)
}

/// A number of the prelude as an integer; what does not fit becomes the nearest that does.
#[expect(clippy::cast_sign_loss, reason = "the cast saturates")]
fn whole(number: f64) -> u32 {
    number as u32
}

/// As [`whole`], for milliseconds.
#[expect(clippy::cast_sign_loss, reason = "the cast saturates")]
fn whole_long(number: f64) -> u64 {
    number as u64
}

/// Line and column of the first frame of a stack that the prelude wrote.
fn first_place(stack: &str) -> (u32, u32) {
    let place = || {
        let frame = stack.lines().next()?.strip_suffix(')')?;
        let (rest, column) = frame.rsplit_once(':')?;
        let (_, line) = rest.rsplit_once(':')?;
        Some((line.parse().ok()?, column.parse().ok()?))
    };
    place().unwrap_or_default()
}

/// Whether not even a small object can be made.
fn heap_is_full(ctx: &Ctx<'_>) -> bool {
    const SMALL_BYTES: usize = 64 * 1024;
    let probe = rquickjs::String::from_str(ctx.clone(), &"x".repeat(SMALL_BYTES));
    if probe.is_err() {
        ctx.catch();
    }
    probe.is_err()
}
