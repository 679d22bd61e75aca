//! A VM without an interpreter: carries a [`Program`] out as the prelude would (`docs/replay.md`, "Context, key, version"), a
//! settlement a turn, and writes down what it was told.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bellwether_journal::id::{CallNumber, TimerNumber};
use bellwether_journal::key::{self, Context};
use bellwether_journal::record::{Level, ScriptError};
use bellwether_scripts::process::{Lost, ScriptVm};
use bellwether_scripts::{Answer, Call, Command, Settlement, Target, Turn, TurnStatus};

use crate::program::{Asks, Node, Program};

/// No script makes more calls: so many fit into a set of ancestors.
const CALLS_MAX: u32 = 120;

/// What a script was told, in order.
#[derive(Clone, Default)]
pub(crate) struct Told {
    settlements: Arc<Mutex<Vec<Settlement>>>,
    has_ended: Arc<AtomicBool>,
}

impl Told {
    pub(crate) fn all(&self) -> MutexGuard<'_, Vec<Settlement>> {
        self.settlements
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the script has ended, and hears nothing more.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }
}

/// What code that runs has waited for, and the last value that it heard.
#[derive(Clone, Copy)]
struct Flow {
    context: Context,
    /// The calls that it waited for, a bit each.
    ancestors: u128,
    value: u64,
}

/// A part of the script that has begun.
struct Frame {
    node: Arc<Node>,
    /// Who waits for it, and as the how manieth.
    parent: Option<(usize, usize)>,
    began: Flow,
    lanes: Vec<Option<Flow>>,
    times: usize,
    is_done: bool,
}

/// A script at work.
pub(crate) struct Model {
    program: Arc<Program>,
    frames: Vec<Frame>,
    calls: HashMap<CallNumber, usize>,
    timers: HashMap<TimerNumber, usize>,
    next_call: u32,
    next_timer: u32,
    limit: Option<u32>,
    commands: Vec<Command>,
    ended: Option<TurnStatus>,
    told: Told,
}

/// What of a call's label is not for people: the calls that it waited for, and whether only its value counts.
pub(crate) fn read_label(label: &str) -> Option<(u128, bool)> {
    let (ancestors, is_pure) = label.split_once(' ')?;
    Some((u128::from_str_radix(ancestors, 16).ok()?, is_pure == "pure"))
}

impl Model {
    /// A script at its first line, and its first turn.
    pub(crate) fn begin(program: &Arc<Program>, limit: Option<u32>, told: Told) -> (Self, Turn) {
        let mut model = Self {
            program: Arc::clone(program),
            frames: Vec::new(),
            calls: HashMap::new(),
            timers: HashMap::new(),
            next_call: 0,
            next_timer: 0,
            limit,
            commands: Vec::new(),
            ended: None,
            told,
        };
        let flow = Flow {
            context: key::root(),
            ancestors: 0,
            value: 0,
        };
        let whole = Arc::new(Node::Sequence(program.statements.clone()));
        model.start(&whole, None, flow);
        let turn = model.turn();
        (model, turn)
    }

    fn turn(&mut self) -> Turn {
        let commands = std::mem::take(&mut self.commands);
        if self.limit.is_some_and(|limit| self.next_call > limit) {
            let error = error("LIMIT_MEMORY", "too much");
            let status = TurnStatus::LimitReached(Box::new(error));
            self.ended = Some(status.clone());
            self.told.has_ended.store(true, Ordering::Relaxed);
            let commands = Vec::new();
            return Turn { commands, status };
        }
        let status = self.ended.clone().unwrap_or(TurnStatus::Running);
        self.told
            .has_ended
            .fetch_or(self.ended.is_some(), Ordering::Relaxed);
        Turn { commands, status }
    }

    fn start(&mut self, node: &Arc<Node>, parent: Option<(usize, usize)>, flow: Flow) {
        let frame = self.frames.len();
        self.frames.push(Frame {
            node: Arc::clone(node),
            parent,
            began: flow,
            lanes: Vec::new(),
            times: 0,
            is_done: false,
        });
        match node.as_ref() {
            Node::Call(asks) if self.next_call < CALLS_MAX => self.call(asks, frame, flow),
            Node::Call(_) => self.done(frame, flow),
            Node::Sequence(nodes) => match nodes.first() {
                Some(first) => self.start(first, Some((frame, 0)), flow),
                None => self.done(frame, flow),
            },
            Node::Lanes(nodes) => {
                self.frames[frame].lanes = vec![None; nodes.len()];
                for (lane, node) in nodes.iter().enumerate() {
                    self.start(node, Some((frame, lane)), flow);
                }
            }
            Node::Race(node, wait, _) => {
                self.start(node, Some((frame, 0)), flow);
                let sleep = Arc::new(Node::Sleep(*wait));
                self.start(&sleep, Some((frame, 1)), flow);
            }
            Node::Loop(node, _) => self.start(node, Some((frame, 0)), flow),
            Node::Choice(one, other) => {
                let chosen = if flow.value.is_multiple_of(2) {
                    one
                } else {
                    other
                };
                self.start(chosen, Some((frame, 0)), flow);
            }
            Node::Sleep(milliseconds) => {
                let timer = TimerNumber(self.next_timer);
                self.next_timer += 1;
                self.timers.insert(timer, frame);
                self.commands.push(Command::Timer {
                    timer,
                    milliseconds: *milliseconds,
                    context: flow.context,
                });
            }
            Node::Log(number) => {
                let (level, text) = (Level::Info, format!("line {number}"));
                self.commands.push(Command::Log { level, text });
                self.done(frame, flow);
            }
            Node::Phase(number) => {
                let title = format!("phase {number}").into();
                self.commands.push(Command::Phase { title });
                self.done(frame, flow);
            }
        }
    }

    fn call(&mut self, asks: &Asks, frame: usize, flow: Flow) {
        let number = CallNumber(self.next_call);
        self.next_call += 1;
        self.calls.insert(number, frame);
        let pure = if asks.is_pure { "pure" } else { "" };
        self.commands.push(Command::Call(Box::new(Call {
            number,
            kind: asks.kind,
            prompt: Arc::clone(&asks.prompt),
            options: Arc::clone(&asks.options),
            label: Some(format!("{:x} {pure}", flow.ancestors).into()),
            phase: None,
            context: flow.context,
            line: 1,
        })));
    }

    fn done(&mut self, frame: usize, flow: Flow) {
        if std::mem::replace(&mut self.frames[frame].is_done, true) {
            return;
        }
        if let Some((parent, place)) = self.frames[frame].parent {
            self.part_done(parent, place, flow);
        } else {
            let value = format!("\"{} {}\"", flow.value, flow.context);
            self.ended.get_or_insert(TurnStatus::Returned(value.into()));
        }
    }

    fn part_done(&mut self, frame: usize, place: usize, flow: Flow) {
        if self.frames[frame].is_done {
            return;
        }
        let node = Arc::clone(&self.frames[frame].node);
        match node.as_ref() {
            Node::Sequence(nodes) => match nodes.get(place + 1) {
                Some(next) => self.start(next, Some((frame, place + 1)), flow),
                None => self.done(frame, flow),
            },
            Node::Lanes(_) => {
                let lanes = &mut self.frames[frame].lanes;
                lanes[place] = Some(flow);
                let Some(lanes) = lanes.iter().copied().collect::<Option<Vec<Flow>>>() else {
                    return;
                };
                let contexts: Vec<Context> = lanes.iter().map(|lane| lane.context).collect();
                let joined = Flow {
                    context: key::join(&contexts),
                    ancestors: lanes.iter().fold(0, |all, lane| all | lane.ancestors),
                    value: lanes.iter().fold(0, |sum, lane| sum + lane.value),
                };
                self.done(frame, joined);
            }
            Node::Race(_, _, clears) => {
                let before = self.frames[frame].began.context;
                let context = key::race(before, place as u32, flow.context);
                if *clears && place == 0 {
                    self.clear_timer_of(frame);
                }
                self.done(frame, Flow { context, ..flow });
            }
            Node::Loop(node, most) => {
                self.frames[frame].times += 1;
                if self.frames[frame].times < *most && flow.value % 2 == 1 {
                    self.start(node, Some((frame, 0)), flow);
                } else {
                    self.done(frame, flow);
                }
            }
            _ => self.done(frame, flow),
        }
    }

    fn clear_timer_of(&mut self, race: usize) {
        let frames = &self.frames;
        let found = self
            .timers
            .iter()
            .find(|(_, frame)| frames[**frame].parent == Some((race, 1)));
        if let Some(timer) = found.map(|(timer, _)| *timer) {
            self.timers.remove(&timer);
            self.commands.push(Command::ClearTimer { timer });
        }
    }

    fn settle(&mut self, settlement: &Settlement) -> Result<(), Lost> {
        let target = settlement.target;
        let frame = match target {
            Target::Call(call) => self.calls.remove(&call),
            Target::Timer(timer) => match self.timers.remove(&timer) {
                // It fired while the turn that clears it was under way.
                None if timer.0 < self.next_timer => return Ok(()),
                found => found,
            },
        };
        let Some(frame) = frame else {
            return Err(Lost::AtWork(format!(
                "nothing waits for {target:?}: it was told twice or never asked"
            )));
        };
        let before = self.frames[frame].began;
        let value = match &settlement.answer {
            Answer::Value(text) => text.bytes().map(u64::from).sum(),
            Answer::Nothing(_) => 0,
            Answer::Refused { code, .. } => {
                if self.program.throws {
                    let thrown = TurnStatus::Threw(Box::new(error(code, "refused")));
                    self.ended.get_or_insert(thrown);
                }
                0
            }
            Answer::Fired => before.value,
        };
        let ancestor = match target {
            Target::Call(call) => 1 << call.0,
            Target::Timer(_) => 0,
        };
        let flow = Flow {
            context: key::mix(before.context, settlement.version),
            ancestors: before.ancestors | ancestor,
            value,
        };
        self.done(frame, flow);
        Ok(())
    }
}

impl ScriptVm for Model {
    fn deliver(&mut self, settlements: &[Settlement]) -> Result<Vec<Turn>, Lost> {
        let mut turns = Vec::new();
        for settlement in settlements {
            if self.ended.is_some() {
                break;
            }
            self.told.all().push(settlement.clone());
            self.settle(settlement)?;
            turns.push(self.turn());
        }
        Ok(turns)
    }
}

fn error(code: &str, message: &str) -> ScriptError {
    ScriptError {
        name: "Error".to_owned(),
        code: Some(code.to_owned()),
        message: message.to_owned(),
        line: 1,
        column: 1,
        stack: String::new(),
    }
}
