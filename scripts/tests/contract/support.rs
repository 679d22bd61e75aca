//! A small deterministic host: answers calls, fires timers, remembers everything.

use std::collections::HashMap;

use bellwether_journal::id::{Attempt, Generation, RunId};
use bellwether_journal::key::{self, Digest};
use bellwether_journal::record::{CallKind, FailureKind, Level, Millis, ScriptError};
use bellwether_scripts::{
    About, Answer, Call, Command, Limits, Nothing, Script, Settlement, Start, Target, Turn,
    TurnStatus, Vm, parse,
};

pub(crate) const HEADER: &str = "export const meta = { name: 'test', description: 'A test' };\n";

/// What a script may do to its own world.
pub(crate) const PATCHES: [&str; 13] = [
    "Array.prototype.map = Array.prototype.push = Array.prototype[Symbol.iterator] = () => { throw 1 }",
    "Promise.prototype.then = function () { throw 1 }",
    "Object.defineProperty(Object.prototype, '0', { set() { throw 1 }, get() { throw 2 } })",
    "Object.prototype.label = 'stolen'; Object.prototype.get = Object.prototype.set = () => { throw 1 }",
    "Object.prototype.value = 1; Object.prototype.writable = false; Object.prototype.toJSON = undefined",
    "JSON.parse = JSON.stringify = () => { throw 1 }; Reflect.apply = Object.freeze = null; String.prototype.trim = null",
    "Promise.resolve = Promise.all = null; globalThis.Promise = undefined",
    "Object.defineProperty(Promise, Symbol.species, { get() { throw 1 } })",
    "Function.prototype.call = Function.prototype.apply = Function.prototype.bind = null; globalThis.Array = globalThis.Object = null",
    "Error.prepareStackTrace = () => { throw 1 }; Error.stackTraceLimit = -1; Error.captureStackTrace = null",
    "Map.prototype.get = Map.prototype.set = WeakSet.prototype.has = () => { throw 1 }; Object.defineProperty(Map.prototype, 'size', { get() { throw 1 } })",
    "Error.prototype.name = { toString() { throw 1 } }; Error.isError = null",
    "delete globalThis.globalThis; Object.freeze(Object.prototype); Object.freeze(Array.prototype)",
];

/// A script of this body. Its first line is the author's line 2.
pub(crate) fn script(body: &str) -> Script {
    script_of(&format!("{HEADER}{body}"))
}

pub(crate) fn script_of(source: &str) -> Script {
    match parse(source, "flows/test.js", &Limits::default()) {
        Ok(script) => script,
        Err(refusal) => panic!("refused:\n{refusal}"),
    }
}

/// What a run came to.
pub(crate) struct Run {
    pub(crate) status: TurnStatus,
    pub(crate) calls: Vec<Call>,
    /// Of each call, by number: its key (`docs/replay.md`).
    pub(crate) keys: Vec<Digest>,
    pub(crate) logs: Vec<(Level, String)>,
    pub(crate) phases: Vec<String>,
    pub(crate) timers: Vec<u64>,
    pub(crate) turns: Vec<Turn>,
}

impl Run {
    pub(crate) fn value(&self) -> serde_json::Value {
        match &self.status {
            TurnStatus::Returned(text) => match serde_json::from_str(text) {
                Ok(value) => value,
                Err(error) => panic!("{text} is no JSON: {error}"),
            },
            other => panic!("not returned but {other:?}; log: {:?}", self.logs),
        }
    }

    pub(crate) fn text(&self) -> &str {
        match &self.status {
            TurnStatus::Returned(text) => text,
            other => panic!("not returned but {other:?}"),
        }
    }

    pub(crate) fn error(&self) -> &ScriptError {
        match &self.status {
            TurnStatus::Threw(error) => error,
            other => panic!("not thrown but {other:?}"),
        }
    }

    pub(crate) fn limit(&self) -> &ScriptError {
        match &self.status {
            TurnStatus::LimitReached(error) => error,
            other => panic!("no limit reached but {other:?}"),
        }
    }

    pub(crate) fn prompts(&self) -> Vec<&str> {
        self.calls.iter().map(|call| call.prompt.as_ref()).collect()
    }

    pub(crate) fn call(&self, prompt: &str) -> &Call {
        match self
            .calls
            .iter()
            .find(|call| call.prompt.as_ref() == prompt)
        {
            Some(call) => call,
            None => panic!("no call {prompt:?} in {:?}", self.prompts()),
        }
    }

    pub(crate) fn warnings(&self) -> Vec<&str> {
        let of_level = self
            .logs
            .iter()
            .filter(|(level, _)| *level == Level::Warning);
        of_level.map(|(_, text)| text.as_str()).collect()
    }
}

type Answers<'a> = Box<dyn FnMut(&Call) -> Answer + 'a>;
type Abouts<'a> = Box<dyn FnMut(&Call) -> About + 'a>;
type Order<'a> = Box<dyn FnMut(usize) -> usize + 'a>;

/// What is to be settled.
type Open = (Target, Answer, Digest, About);

/// How a run is driven.
pub(crate) struct Host<'a> {
    pub(crate) limits: Limits,
    pub(crate) args: Option<&'a str>,
    pub(crate) budget_total: Option<u64>,
    pub(crate) tokens_a_call: u64,
    pub(crate) seed: [u8; 32],
    /// Which of the open calls settles next, of how many.
    pub(crate) order: Order<'a>,
    pub(crate) answers: Answers<'a>,
    /// What is told beside each answer.
    pub(crate) about: Abouts<'a>,
    /// How many settlements go into one `deliver`.
    pub(crate) grouping: usize,
    /// A call, by prompt, that comes out as if it had run again.
    pub(crate) repeated: Option<String>,
    /// Whether keys are made without contexts: what a matcher without them would see.
    pub(crate) drop_contexts: bool,
}

impl<'a> Host<'a> {
    /// Answers every agent with `done: <prompt>`, first come first served.
    pub(crate) fn new() -> Self {
        Self {
            limits: Limits::default(),
            args: None,
            budget_total: None,
            tokens_a_call: 10,
            seed: [7; 32],
            order: Box::new(|_| 0),
            answers: Box::new(|call| text(&format!("done: {}", call.prompt))),
            about: Box::new(|_| About::default()),
            grouping: 1,
            repeated: None,
            drop_contexts: false,
        }
    }

    pub(crate) fn answering(answers: impl FnMut(&Call) -> Answer + 'a) -> Self {
        Self {
            answers: Box::new(answers),
            ..Self::new()
        }
    }

    pub(crate) fn args(self, args: &'a str) -> Self {
        Self {
            args: Some(args),
            ..self
        }
    }

    pub(crate) fn run(mut self, script: &Script) -> Run {
        let start = Start {
            script,
            args: self.args,
            limits: &self.limits,
            seed: self.seed,
            time: 1_000_000,
            budget_total: self.budget_total,
        };
        let (mut vm, turn) = Vm::start(&start);
        let mut run = Run {
            status: turn.status.clone(),
            calls: Vec::new(),
            keys: Vec::new(),
            logs: Vec::new(),
            phases: Vec::new(),
            timers: Vec::new(),
            turns: Vec::new(),
        };
        let mut open: Vec<Open> = Vec::new();
        let mut occurrences = HashMap::new();
        let mut clock: Millis = 1_000_000;
        let mut spent = 0;
        self.take(turn, &mut run, &mut open, &mut occurrences);
        while run.status == TurnStatus::Running && !open.is_empty() {
            let mut batch = Vec::new();
            for _ in 0..self.grouping.min(open.len()) {
                let (target, answer, version, about) = open.remove((self.order)(open.len()));
                clock += 1000;
                spent += self.tokens_a_call;
                batch.push(Settlement {
                    target,
                    answer,
                    time: clock,
                    version,
                    spent,
                    about,
                });
            }
            for turn in vm.deliver(&batch) {
                self.take(turn, &mut run, &mut open, &mut occurrences);
            }
        }
        run
    }

    fn take(
        &mut self,
        turn: Turn,
        run: &mut Run,
        open: &mut Vec<Open>,
        occurrences: &mut HashMap<(Digest, Digest), u32>,
    ) {
        for command in &turn.commands {
            match command {
                Command::Call(call) => {
                    assert_eq!(call.number.0 as usize, run.calls.len(), "numbers are dense");
                    let content = key::content(call.kind.name(), &call.prompt, &call.options);
                    let context = if self.drop_contexts {
                        key::root()
                    } else {
                        call.context
                    };
                    let occurrence = occurrences.entry((content, context)).or_insert(0);
                    let key = key::key(content, context, *occurrence);
                    *occurrence += 1;
                    let answer = (self.answers)(call);
                    let about = (self.about)(call);
                    let repeated = self.repeated.as_deref() == Some(call.prompt.as_ref());
                    let version = version(key, if repeated { 2 } else { 1 });
                    open.push((Target::Call(call.number), answer, version, about));
                    run.keys.push(key);
                    run.calls.push(Call::clone(call));
                }
                Command::Log { level, text } => run.logs.push((*level, text.clone())),
                Command::Phase { title } => run.phases.push(title.to_string()),
                Command::Timer {
                    timer,
                    milliseconds,
                    ..
                } => {
                    run.timers.push(*milliseconds);
                    let version = Digest::of("timer", &[&timer.0.to_le_bytes()]);
                    open.push((
                        Target::Timer(*timer),
                        Answer::Fired,
                        version,
                        About::default(),
                    ));
                }
                Command::ClearTimer { timer } => {
                    open.retain(|(target, ..)| *target != Target::Timer(*timer));
                }
            }
        }
        run.status = turn.status.clone();
        run.turns.push(turn);
    }
}

/// The version of a call that ran in a generation of the test's one run.
fn version(key: Digest, generation: u32) -> Digest {
    key::version(
        key,
        RunId::from_entropy([1; 5]),
        Generation(generation),
        Attempt(1),
    )
}

pub(crate) fn value(json: &str) -> Answer {
    Answer::Value(json.into())
}

pub(crate) fn text(text: &str) -> Answer {
    Answer::Value(serde_json::Value::from(text).to_string().into())
}

/// Answers workflow calls from a folder of scripts, agents with `done: <prompt>`.
pub(crate) fn folder<'a>(files: &'a [(&'a str, &'a str)]) -> impl FnMut(&Call) -> Answer + 'a {
    move |call| match call.kind {
        CallKind::Workflow => match files.iter().find(|(name, _)| *name == call.prompt.as_ref()) {
            Some((name, source)) => {
                value(&serde_json::json!({ "source": source, "path": name }).to_string())
            }
            None => Answer::Refused {
                code: "WORKFLOW_UNKNOWN".to_owned(),
                message: format!("workflow('{}'): no workflow with that name", call.prompt),
            },
        },
        _ => text(&format!("done: {}", call.prompt)),
    }
}

/// Runs a body whose agents all answer.
pub(crate) fn run(body: &str) -> Run {
    Host::new().run(&script(body))
}

/// An agent's failure.
pub(crate) fn crashed() -> Answer {
    Answer::Nothing(Nothing::Failed {
        kind: FailureKind::Crash,
        message: "it crashed".into(),
    })
}
