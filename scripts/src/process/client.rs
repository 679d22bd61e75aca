//! The engine's side: asks, and waits for what comes back.
//!
//! There is no thread of its own. Whoever waits for an answer reads, and hands others what is theirs; while nobody waits,
//! nobody reads. Time is counted in waits without news, so that no clock is asked.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::frame::{self, Beginning, Decoder, Number, Reply, Request};
use super::{Lost, ScriptVm};
use crate::command::{Settlement, Turn, TurnStatus};
use crate::limits::Limits;
use crate::trip::Limit;
use crate::vm::{Start, Vm};

/// How long a wait lasts before whoever waits looks after the turn.
const WAIT: Duration = Duration::from_millis(100);
/// So many waits long a turn is left alone.
const WAITS_BEFORE_LOOKING: u32 = 5;
/// After so many waits without an answer of any kind, or so many answers that tell of no progress, the process counts as
/// hung: half a minute.
const WAITS_UNTIL_HUNG: u32 = 300;
/// How much longer than its limit a turn may compute before the process is ended: the VM ends most turns itself.
const GRACE: Duration = Duration::from_secs(1);

/// The process at the other end of the pipe.
pub trait Peer: Send + Sync {
    /// What `/proc` says of one of its threads; nothing when there is no such thread.
    fn thread(&self, thread: u32) -> Option<ThreadState>;

    /// Ends it at once; says how it ended, for people.
    fn end(&self) -> String;
}

/// What the kernel says of a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadState {
    /// CPU time that it has used, to a hundredth of a second.
    pub cpu: Duration,
    /// Whether it computes, or would if the machine had time for it.
    pub is_runnable: bool,
}

/// A process that serves VMs ([`serve`](super::serve)).
pub struct Process {
    input: Mutex<File>,
    output: Mutex<(File, Decoder)>,
    news: Mutex<News>,
    changed: Condvar,
    next: AtomicU32,
    peer: Box<dyn Peer>,
}

/// What has come and nobody has taken.
#[derive(Default)]
struct News {
    /// Somebody reads.
    is_read: bool,
    of: HashMap<Number, VecDeque<Reply>>,
    /// Why the process is no more, and whose turn was why.
    over: Option<(Arc<str>, Option<Number>)>,
}

/// A VM in a process.
pub struct RemoteVm {
    process: Arc<Process>,
    number: Number,
    limits: Limits,
    abandoned: Arc<AtomicBool>,
    is_over: bool,
}

/// What somebody who waits has seen so far.
#[derive(Default)]
struct Watched {
    /// Waits since the last turns.
    waits: u32,
    /// Waits since the last answer of any kind.
    silent: u32,
    /// Answers that told of no progress, one after another.
    stuck: u32,
    /// The turn under way and the CPU time of its thread when it was first seen, and last.
    turn: Option<(u64, Duration, Duration)>,
    is_abandoned: bool,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Process")
            .field("is_alive", &self.is_alive())
            .finish_non_exhaustive()
    }
}

impl Process {
    /// Takes up a process that has just been started: `input` leads to it, `output` comes from it.
    ///
    /// # Errors
    /// When what is there does not serve VMs, or those of another version.
    pub fn new(input: File, output: File, peer: Box<dyn Peer>) -> io::Result<Arc<Self>> {
        let process = Self {
            input: Mutex::new(input),
            output: Mutex::new((output, Decoder::default())),
            news: Mutex::default(),
            changed: Condvar::new(),
            next: AtomicU32::new(0),
            peer,
        };
        for _ in 0..WAITS_UNTIL_HUNG {
            match process.read() {
                Ok(Some(Reply::Hello(frame::VERSION, identity))) if identity == Vm::identity() => {
                    return Ok(Arc::new(process));
                }
                Ok(None) => {}
                Ok(Some(_)) => return Err(process.no_vms("it is of another version")),
                Err(error) => return Err(process.no_vms(&error.to_string())),
            }
        }
        Err(process.no_vms("it says nothing"))
    }

    fn no_vms(&self, why: &str) -> io::Error {
        let ended = self.peer.end();
        io::Error::other(format!(
            "the program does not serve script VMs: {why} ({ended})"
        ))
    }

    /// Whether the process was there when it was last used.
    pub fn is_alive(&self) -> bool {
        self.news().over.is_none()
    }

    /// Makes a VM, and gives what the script did before it first waited. When `abandoned` is set the turn under way ends as
    /// soon as the interpreter looks up from its work.
    ///
    /// # Errors
    /// [`Lost`].
    pub fn start(
        self: &Arc<Self>,
        start: &Start<'_>,
        abandoned: Arc<AtomicBool>,
    ) -> Result<(RemoteVm, Turn), Lost> {
        let mut vm = RemoteVm {
            process: Arc::clone(self),
            number: self.next.fetch_add(1, Ordering::Relaxed),
            limits: start.limits.clone(),
            abandoned,
            is_over: false,
        };
        let beginning = Beginning {
            source: Arc::clone(start.script.source()),
            file_name: Arc::clone(start.script.file_name()),
            args: start.args.map(Arc::from),
            limits: start.limits.clone(),
            seed: start.seed,
            time: start.time,
            budget_total: start.budget_total,
        };
        let mut turns = vm.ask(&Request::Start(vm.number, Box::new(beginning)), 1)?;
        match turns.pop() {
            Some(turn) => Ok((vm, turn)),
            None => Err(Lost::AtWork(self.broke("a start without a turn", None))),
        }
    }

    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, request: &Request<&[Settlement]>) -> io::Result<()> {
        let bytes = frame::encode(request)?;
        self.input
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write_all(&bytes)
    }

    /// The next frame; none when a wait brought nothing whole.
    fn read(&self) -> io::Result<Option<Reply>> {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, decoder) = &mut *output;
        loop {
            if let Some(reply) = decoder.next()? {
                return Ok(Some(reply));
            }
            let wait = Timespec {
                tv_sec: 0,
                tv_nsec: WAIT.subsec_nanos().into(),
            };
            let there = poll(
                &mut [PollFd::new(&file.as_fd(), PollFlags::IN)],
                Some(&wait),
            );
            match there {
                Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            if !decoder.read(&mut *file)? {
                return Err(io::Error::other("it has ended"));
            }
        }
    }

    /// The process is no more: ended on its own, or ended here. The first reason counts, and is given.
    fn broke(&self, why: &str, culprit: Option<Number>) -> String {
        if let Some((why, _)) = &self.news().over {
            return why.to_string();
        }
        let ended = self.peer.end();
        let text: Arc<str> =
            format!("the process of the script VMs is gone: {why} ({ended})").into();
        tracing::warn!(why = %text, "script VMs are lost");
        let mut news = self.news();
        let over = news.over.get_or_insert((text, culprit)).0.to_string();
        drop(news);
        self.changed.notify_all();
        over
    }

    /// Waits for the turns of a request, reading for all if nobody does.
    fn wait(&self, vm: &RemoteVm, most: usize) -> Result<Vec<Turn>, Lost> {
        let mut turns = Vec::new();
        let mut watched = Watched::default();
        let mut news = self.news();
        loop {
            while let Some(reply) = news.of.get_mut(&vm.number).and_then(VecDeque::pop_front) {
                watched.silent = 0;
                match reply {
                    Reply::Turns(_, some, is_last) => {
                        watched = Watched {
                            is_abandoned: watched.is_abandoned,
                            ..Watched::default()
                        };
                        turns.extend(some);
                        if turns.len() > most {
                            drop(news);
                            return Err(Lost::AtWork(
                                self.broke("more turns than settlements", None),
                            ));
                        }
                        if is_last {
                            return Ok(turns);
                        }
                    }
                    Reply::Failed(_, why) => return Err(Lost::AtWork(why)),
                    Reply::At(_, thread, turn) => {
                        drop(news);
                        if self.overran(vm, &mut watched, thread, turn) {
                            turns.push(over_limit(&vm.limits));
                            return Ok(turns);
                        }
                        news = self.news();
                    }
                    Reply::Hello(..) => {}
                }
            }
            if let Some((why, culprit)) = &news.over {
                let why = why.to_string();
                return Err(if culprit.is_none() {
                    Lost::AtWork(why)
                } else {
                    Lost::Elsewhere(why)
                });
            }
            let waited = if news.is_read {
                let (back, waited) = self
                    .changed
                    .wait_timeout(news, WAIT)
                    .unwrap_or_else(PoisonError::into_inner);
                news = back;
                waited.timed_out()
            } else {
                news.is_read = true;
                drop(news);
                let read = self.read();
                let nothing = matches!(read, Ok(None));
                let broken = self.hand_over(read);
                if let Some(why) = broken {
                    self.broke(&why, None);
                }
                news = self.news();
                nothing
            };
            if waited {
                drop(news);
                self.look_after(vm, &mut watched);
                news = self.news();
            }
        }
    }

    /// Hands a frame to whom it is for, and the reading to whoever is next; what is wrong with it, if anything.
    fn hand_over(&self, read: io::Result<Option<Reply>>) -> Option<String> {
        let mut news = self.news();
        news.is_read = false;
        let broken = match read {
            Ok(None) => None,
            Ok(Some(reply)) => {
                let number = match &reply {
                    Reply::Turns(number, ..) | Reply::At(number, ..) | Reply::Failed(number, _) => {
                        Some(*number)
                    }
                    Reply::Hello(..) => None,
                };
                match number.and_then(|number| news.of.get_mut(&number)) {
                    Some(replies) => {
                        replies.push_back(reply);
                        None
                    }
                    // Where somebody is may be told when he does not wait for it any more; nothing else.
                    None if matches!(reply, Reply::At(..)) => None,
                    None => {
                        Some("it broke the protocol: an answer that nobody asked for".to_owned())
                    }
                }
            }
            Err(error) => Some(error.to_string()),
        };
        drop(news);
        self.changed.notify_all();
        broken
    }

    /// A wait brought nothing.
    fn look_after(&self, vm: &RemoteVm, watched: &mut Watched) {
        watched.waits += 1;
        if vm.abandoned.load(Ordering::Relaxed) && !watched.is_abandoned {
            watched.is_abandoned = true;
            // Whoever waits hears of a process that is gone when he reads.
            let _ = self.send(&Request::Abandon(vm.number));
        }
        watched.silent += 1;
        if watched.silent >= WAITS_UNTIL_HUNG {
            self.broke("it does not answer", None);
        } else if watched.waits >= WAITS_BEFORE_LOOKING {
            let _ = self.send(&Request::Where(vm.number));
        }
    }

    /// Whether the turn under way has computed longer than it may without the VM noticing, for which the process was ended.
    fn overran(
        &self,
        vm: &RemoteVm,
        watched: &mut Watched,
        thread: Option<u32>,
        turn: u64,
    ) -> bool {
        let state = thread.and_then(|thread| self.peer.thread(thread));
        let cpu = state.map_or(Duration::ZERO, |state| state.cpu);
        let (first, last) = match watched.turn {
            Some((seen, first, last)) if seen == turn => (first, last),
            _ => (cpu, Duration::ZERO),
        };
        watched.turn = Some((turn, first, cpu));
        // An answer alone is no progress: the thread must compute, or want to.
        if cpu > last || state.is_some_and(|state| state.is_runnable) {
            watched.stuck = 0;
        } else {
            watched.stuck += 1;
        }
        if watched.stuck >= WAITS_UNTIL_HUNG {
            self.broke("a turn of a script makes no progress", None);
            return false;
        }
        if cpu.saturating_sub(first) < vm.limits.turn_cpu.saturating_add(GRACE) {
            return false;
        }
        self.broke(
            "a turn of a script computed longer than it may and could not be ended in it",
            Some(vm.number),
        );
        // Only if this turn was the reason: another's may have been first.
        matches!(self.news().over, Some((_, Some(culprit))) if culprit == vm.number)
    }
}

/// What the VM itself would have said (B07).
fn over_limit(limits: &Limits) -> Turn {
    Turn {
        commands: Vec::new(),
        status: TurnStatus::LimitReached(Box::new(Limit::Cpu.error(limits))),
    }
}

#[cfg(test)]
impl Process {
    /// How many VMs were asked for.
    pub(super) fn started(&self) -> u32 {
        self.next.load(Ordering::Relaxed)
    }
}

impl RemoteVm {
    fn ask(&mut self, request: &Request<&[Settlement]>, most: usize) -> Result<Vec<Turn>, Lost> {
        let process = &self.process;
        {
            let mut news = process.news();
            if let Some((why, _)) = &news.over {
                return Err(Lost::Elsewhere(why.to_string()));
            }
            news.of.entry(self.number).or_default();
        }
        if let Err(error) = process.send(request) {
            // It was gone before it heard of this.
            return Err(Lost::Elsewhere(process.broke(&error.to_string(), None)));
        }
        let turns = process.wait(self, most)?;
        self.is_over = turns
            .last()
            .is_some_and(|turn| turn.status != TurnStatus::Running);
        Ok(turns)
    }
}

impl ScriptVm for RemoteVm {
    fn deliver(&mut self, settlements: &[Settlement]) -> Result<Vec<Turn>, Lost> {
        if self.is_over || settlements.is_empty() {
            return Ok(Vec::new());
        }
        let request = Request::Deliver(self.number, settlements);
        self.ask(&request, settlements.len())
    }
}

impl Drop for RemoteVm {
    fn drop(&mut self) {
        let mut news = self.process.news();
        news.of.remove(&self.number);
        let alive = news.over.is_none();
        drop(news);
        if alive {
            // A process that is gone has dropped it.
            let _ = self.process.send(&Request::Drop(self.number));
        }
    }
}
