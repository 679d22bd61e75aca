//! The VM: settlements in, turns out.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bellwether_journal::key::Digest;
use bellwether_journal::record::{Millis, ScriptError};
use rquickjs::context::intrinsic;
use rquickjs::function::IntoArgs;
use rquickjs::{Context, Ctx, Function, Runtime, Value};

use crate::command::{Settlement, Target, Turn, TurnStatus};
use crate::compiled::{self, Own};
use crate::host::{self, Host, Shared};
use crate::library;
use crate::limits::Limits;
use crate::script::Script;
use crate::settle::settle;
use crate::state::{End, State};
use crate::trip::{Limit, Trip};
use crate::waiting;
use crate::web;

pub(crate) const PRELUDE: &str = concat!(
    "(function (host) { 'use strict';\n",
    include_str!("prelude/1-capture.js"),
    include_str!("prelude/2-json.js"),
    include_str!("prelude/3-calls.js"),
    include_str!("prelude/4-fanout.js"),
    include_str!("prelude/5-workflow.js"),
    include_str!("prelude/6-ask.js"),
    include_str!("prelude/6-merge.js"),
    include_str!("prelude/7-patterns.js"),
    include_str!("prelude/7-web.js"),
    include_str!("prelude/8-globals.js"),
    include_str!("prelude/9-seal.js"),
    "})",
);

/// The version of `QuickJS` that the pinned rquickjs brings.
const QUICKJS: &str = "quickjs-ng 0.16.2 (rquickjs 0.14.0)";

/// How often the job loop looks at the clock by itself: native jobs never reach the interrupt handler.
const JOBS_BETWEEN_CHECKS: u32 = 1024;

/// Where the interpreter first looks for cycles of garbage, as a part of the limit on its heap, and at the least and the most.
/// What is in no cycle is freed at once, and the prelude leaves none behind; its own threshold of 256 KiB is less than a new
/// VM has.
const CYCLES_HEAP_PARTS: usize = 64;
const CYCLES_BYTES_MIN: usize = 256 * 1024;
const CYCLES_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a VM starts from. All of it is recorded by the caller: the same start and settlements give the same turns.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// The script.
    pub script: &'a Script,
    /// Its arguments as JSON text (G01).
    pub args: Option<&'a str>,
    /// What it may use.
    pub limits: &'a Limits,
    /// Where `random()` comes from.
    pub seed: [u8; 32],
    /// The time of its first turn.
    pub time: Millis,
    /// Output tokens that it may spend: `budget.total`.
    pub budget_total: Option<u64>,
}

/// A running script. See the [crate] for the flow.
pub struct Vm {
    /// `None` when there was no memory for it.
    context: Option<Context>,
    shared: Shared,
    trip: Arc<Trip>,
    limits: Limits,
    status: TurnStatus,
}

/// A VM may be driven from any thread, one at a time.
const _: fn() = || {
    fn is_send<T: Send>() {}
    is_send::<Vm>();
};

/// The prelude's functions for the host, in the order in which it gives them. They live in the runtime's own store, since
/// nothing outside may hold on to a value of it.
#[derive(Clone, Copy)]
pub(crate) enum Entry {
    Start,
    Threw,
    Refuse,
    RefuseValue,
    Track,
    ReportUnhandled,
    Poison,
}

type Entries<'js> = Vec<Function<'js>>;

/// One of the prelude's functions; `None` before it has run.
fn entry<'js>(ctx: &Ctx<'js>, entry: Entry) -> Option<Function<'js>> {
    ctx.userdata::<Entries<'js>>()?.get(entry as usize).cloned()
}

/// Calls one of the prelude's functions.
pub(crate) fn call<'js>(
    ctx: &Ctx<'js>,
    which: Entry,
    args: impl IntoArgs<'js>,
) -> rquickjs::Result<()> {
    entry(ctx, which)
        .ok_or(rquickjs::Error::Unknown)?
        .call(args)
}

impl std::fmt::Debug for Vm {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Vm")
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Vm {
    /// What recovery needs to be the same: the prelude, the patterns, the interpreter, the table of host functions.
    #[must_use]
    pub fn identity() -> Digest {
        let table = host::TABLE_VERSION.to_le_bytes();
        let parts = [
            PRELUDE.as_bytes(),
            library::PATTERNS.as_bytes(),
            library::WEB.as_bytes(),
            QUICKJS.as_bytes(),
            web::LIBRARY.as_bytes(),
            &table,
        ];
        Digest::of("vm", &parts)
    }

    /// A new VM, and what the script did before it first waited.
    #[must_use]
    pub fn start(start: &Start<'_>) -> (Self, Turn) {
        Self::start_until(start, Arc::default())
    }

    /// As [`Vm::start`]. When `abandoned` is set, from whatever thread, the turn under way ends as soon as the interpreter
    /// looks up from its work, and there are no more: for a host that wants nothing more of the script.
    #[must_use]
    pub fn start_until(start: &Start<'_>, abandoned: Arc<AtomicBool>) -> (Self, Turn) {
        let limits = start.limits.clone();
        let trip = Arc::new(Trip::new(abandoned));
        let state = State::new(
            start.script.clone(),
            start.seed,
            start.time,
            limits.heap_bytes,
            Arc::clone(&trip),
        );
        let shared = Shared::new(state);
        let context = new_context(&limits, &trip);
        let mut vm = Self {
            context: context.ok(),
            shared,
            trip,
            limits,
            status: TurnStatus::Running,
        };
        vm.trip.begin_turn(vm.limits.turn_cpu);
        match &vm.context {
            Some(context) => context.with(|ctx| {
                if vm.enter(&ctx, start).is_err() {
                    vm.broken(&ctx);
                }
                vm.run_jobs(&ctx);
                vm.look_back(&ctx);
            }),
            None => vm.trip.reach(Limit::Heap),
        }
        let turn = vm.end_turn();
        (vm, turn)
    }

    /// Gives settlements to the script, each its own turn, until one ends it. How they are grouped into calls makes no
    /// difference. A settlement that nothing waits for, such as that of a cleared timer, is a turn without commands.
    pub fn deliver(&mut self, settlements: &[Settlement]) -> Vec<Turn> {
        let mut turns = Vec::with_capacity(settlements.len());
        for settlement in settlements {
            if self.status != TurnStatus::Running {
                break;
            }
            turns.push(self.turn(settlement));
        }
        turns
    }

    /// Whether the script waits for this target's settlement.
    pub fn waits_for(&self, target: Target) -> bool {
        self.shared.lock().waits_for(target)
    }

    fn turn(&mut self, settlement: &Settlement) -> Turn {
        let pending = self.shared.lock().begin_turn(settlement);
        let Some(pending) = pending else {
            tracing::debug!(target = ?settlement.target, "nothing waits for this settlement");
            return Turn {
                commands: Vec::new(),
                status: TurnStatus::Running,
            };
        };
        self.trip.begin_turn(self.limits.turn_cpu);
        if let Some(context) = &self.context {
            context.with(|ctx| {
                if settle(&ctx, pending, settlement).is_err() {
                    self.broken(&ctx);
                }
                self.run_jobs(&ctx);
                self.look_back(&ctx);
            });
        }
        self.end_turn()
    }

    /// Makes the world, compiles the script and runs its beginning.
    fn enter<'js>(&self, ctx: &Ctx<'js>, start: &Start<'_>) -> rquickjs::Result<()> {
        let host = Host {
            shared: &self.shared,
            trip: &self.trip,
            limits: &self.limits,
            budget_total: start.budget_total,
        };
        let prelude = compiled::function(ctx, Own::Prelude)?;
        let entries: Entries<'js> = prelude.call((host.table(ctx)?,))?;
        ctx.store_userdata(entries)
            .map_err(|_| rquickjs::Error::Unknown)?;
        waiting::prepare(ctx)?;
        let program = start.script.program();
        match host::compile(ctx, 0, &program.text) {
            Ok(body) => {
                let name = start.script.meta().name.as_str();
                let path = start.script.file_name().as_ref();
                call(
                    ctx,
                    Entry::Start,
                    (body, name, path, start.args, !program.exact),
                )
            }
            Err(_) => call(ctx, Entry::Threw, (ctx.catch(),)),
        }
    }

    /// Runs what the turn has set going, until nothing is left, the script has ended or a limit is reached.
    fn run_jobs(&self, ctx: &Ctx<'_>) {
        let mut jobs: u32 = 0;
        while !self.trip.is_over() {
            if !ctx.execute_pending_job() {
                return;
            }
            jobs = jobs.wrapping_add(1);
            if jobs.is_multiple_of(JOBS_BETWEEN_CHECKS) && self.trip.must_end() {
                return;
            }
        }
    }

    /// The prelude itself threw: for want of memory or stack, or in a world that the script has broken.
    fn broken(&self, ctx: &Ctx<'_>) {
        let error = ctx.catch();
        if self.trip.reached().is_some() {
            return;
        }
        if let Some(limit) = limit_of(&error) {
            self.trip.reach(limit);
        } else if call(ctx, Entry::Threw, (error,)).is_err() {
            ctx.catch();
            self.trip.reach(Limit::Heap);
        }
    }

    /// What a turn has left behind in the interpreter.
    fn look_back(&self, ctx: &Ctx<'_>) {
        if self.trip.take_rejected()
            && self.trip.reached().is_none()
            && entry(ctx, Entry::ReportUnhandled).is_some()
            && call(ctx, Entry::ReportUnhandled, ()).is_err()
        {
            self.broken(ctx);
        }
        // A job that was lost for want of memory leaves only its error behind.
        if ctx.has_exception()
            && let Some(limit) = limit_of(&ctx.catch())
        {
            self.trip.reach(limit);
        }
    }

    /// Closes a turn: what it asked for, and where the script stands.
    fn end_turn(&mut self) -> Turn {
        let mut state = self.shared.lock();
        let mut commands = mem::take(&mut state.commands);
        let end = state.take_end();
        let waits = state.waits();
        drop(state);
        let status = if let Some(limit) = self.trip.reached() {
            commands.clear();
            TurnStatus::LimitReached(Box::new(limit.error(&self.limits)))
        } else if let Some(end) = end {
            match end {
                End::Returned(value) => TurnStatus::Returned(value),
                End::Threw(error) => TurnStatus::Threw(error),
            }
        } else if waits {
            TurnStatus::Running
        } else {
            TurnStatus::Threw(Box::new(stalled()))
        };
        self.status = status.clone();
        Turn { commands, status }
    }
}

/// An interpreter without what a script may not have (B04); the prelude takes the rest away.
fn new_context(limits: &Limits, trip: &Arc<Trip>) -> rquickjs::Result<Context> {
    let runtime = Runtime::new()?;
    runtime.set_memory_limit(limits.heap_bytes);
    let cycles_bytes = limits.heap_bytes / CYCLES_HEAP_PARTS;
    runtime.set_gc_threshold(cycles_bytes.clamp(CYCLES_BYTES_MIN, CYCLES_BYTES_MAX));
    runtime.set_max_stack_size(limits.stack_bytes.clamp(1, Limits::STACK_BYTES_MAX));
    let interrupt = Arc::clone(trip);
    runtime.set_interrupt_handler(Some(Box::new(move || interrupt.must_end())));
    let trip = Arc::clone(trip);
    runtime.set_host_promise_rejection_tracker(Some(Box::new(
        move |ctx, promise, reason, is_handled| {
            // After the end of the VM the interpreter may turn it into a rejection and let the script go on. It cannot
            // be stopped from here, but without memory it can make neither the next promise nor the next call.
            let tracked = if trip.reached().is_some() {
                call(&ctx, Entry::Poison, (promise,))
            } else {
                if !is_handled {
                    trip.reject();
                }
                call(&ctx, Entry::Track, (promise, reason, is_handled))
            };
            if tracked.is_err() {
                ctx.catch();
            }
        },
    )));
    Context::builder()
        .with::<(
            intrinsic::Date,
            intrinsic::Eval,
            intrinsic::RegExpCompiler,
            intrinsic::RegExp,
            intrinsic::Json,
            intrinsic::Proxy,
            intrinsic::MapSet,
            intrinsic::TypedArrays,
            intrinsic::Promise,
        )>()
        .build(&runtime)
}

/// The limit that an error of the interpreter means, if it means one. A full heap may not even hold its error.
fn limit_of(error: &Value<'_>) -> Option<Limit> {
    if error.is_null() {
        return Some(Limit::Heap);
    }
    let message = error.as_exception()?.message()?;
    match message.as_str() {
        "Maximum call stack size exceeded" => Some(Limit::Stack),
        text if text.starts_with("out of memory") => Some(Limit::Heap),
        _ => None,
    }
}

/// A script that waits for nothing that could ever come.
fn stalled() -> ScriptError {
    ScriptError {
        name: "StalledError".to_owned(),
        code: Some("STALLED".to_owned()),
        message: "the script waits for a promise that nothing can settle: no agent, timer or workflow is outstanding"
            .to_owned(),
        line: 0,
        column: 0,
        stack: String::new(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::command::{About, Answer, Command};
    use crate::script::parse;

    /// What the prelude keeps of calls that are settled and of barriers that have ended is freed at once: the search for
    /// cycles, which is put off until the heap is large, finds nothing.
    #[test]
    fn the_prelude_leaves_no_cycles() {
        let source = "export const meta = { name: 'cycles', description: 'Leaves nothing' }
            const items = Array.from({ length: 50 }, (_, i) => i)
            await pipeline(items, (i) => agent('one ' + i), (r, i) => agent('two ' + i), (r, i) => i % 2 ? null : i)
            await parallel(items.map((i) => async () => { await agent('lane ' + i); if (i % 2) throw new Error('odd') }))
            await Promise.allSettled(items.map((i) => agent('all ' + i, { label: 'x' })))
            await Promise.race([agent('race'), sleep(1), new Promise((done) => setTimeout(done, 1))])
            await Promise.any([attempt('any'), agent('other')])
            await agent('last')";
        let limits = Limits::default();
        let script = parse(source, "cycles.js", &limits).unwrap();
        let start = Start {
            script: &script,
            args: None,
            limits: &limits,
            seed: [0; 32],
            time: 0,
            budget_total: None,
        };
        let (mut vm, mut turn) = Vm::start(&start);
        let mut open = Vec::new();
        let mut is_last = false;
        loop {
            assert_eq!(turn.status, TurnStatus::Running);
            for command in &turn.commands {
                match command {
                    Command::Call(call) if &*call.prompt == "last" => is_last = true,
                    Command::Call(call) => open.push(Target::Call(call.number)),
                    Command::Timer { timer, .. } => open.push(Target::Timer(*timer)),
                    _ => {}
                }
            }
            if open.is_empty() {
                break;
            }
            let target = open.remove(0);
            let settlement = Settlement {
                target,
                answer: match target {
                    Target::Call(_) => Answer::Value("\"done\"".into()),
                    Target::Timer(_) => Answer::Fired,
                },
                time: 0,
                version: Digest::default(),
                spent: 0,
                about: About::default(),
            };
            turn = vm.deliver(&[settlement]).remove(0);
        }
        assert!(is_last, "all of it has run");
        let runtime = vm.context.as_ref().unwrap().runtime();
        let before = runtime.memory_usage().malloc_size;
        runtime.run_gc();
        assert_eq!(runtime.memory_usage().malloc_size, before);
    }
}
