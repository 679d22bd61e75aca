//! The engine's side: asks, and waits for what comes back.
//!
//! There is no thread of its own. Whoever waits for an answer reads, and hands others what is theirs; while nobody waits,
//! nobody reads. Whoever waits also looks after his own turn, every tenth of a second, however busy the others are.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use super::frame::{self, Beginning, Decoder, Number, Reply, Request};
use super::{Lost, ScriptVm};
use crate::command::{Answer, Settlement, Turn, TurnStatus};
use crate::cpu;
use crate::limits::Limits;
use crate::trip::Limit;
use crate::vm::{Start, Vm};

/// After how long whoever waits looks after his turn, again and again.
const WAIT: Duration = Duration::from_millis(100);
/// So many looks long a turn is left alone.
const LOOKS_BEFORE_ASKING: u32 = 5;
/// After so many looks without an answer of any kind, or so many answers that tell of no progress, the process counts as
/// hung: half a minute.
const LOOKS_UNTIL_HUNG: u32 = 300;
/// Settlements that go at once, and bytes of their answers; more go one lot after the other.
const SETTLEMENTS_AT_ONCE: usize = 4_096;
const BYTES_AT_ONCE: usize = 64 << 20;
/// How it is told that VMs are lost.
const GONE: &str = "the process of the script VMs is gone";
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
    /// When he looked last, in time that passes.
    looked: Duration,
    /// Looks since the last turns.
    looks: u32,
    /// Looks since the last answer of any kind.
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
        // A write that waits for a process which hangs would wait for ever.
        let flags = fcntl_getfl(&input)?;
        fcntl_setfl(&input, flags | OFlags::NONBLOCK)?;
        let process = Self {
            input: Mutex::new(input),
            output: Mutex::new((output, Decoder::default())),
            news: Mutex::default(),
            changed: Condvar::new(),
            next: AtomicU32::new(0),
            peer,
        };
        for _ in 0..LOOKS_UNTIL_HUNG {
            match process.read(WAIT) {
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

    /// Writes a frame, for as long as the process takes some of it every now and then.
    fn send(&self, frame: &[u8]) -> io::Result<()> {
        let input = self.input.lock().unwrap_or_else(PoisonError::into_inner);
        write(&input, frame)
    }

    /// Asks for something that is not worth waiting for: when the pipe is taken, not at all.
    fn mention(&self, request: &Request<&[Settlement]>) {
        let Ok(input) = self.input.try_lock() else {
            return;
        };
        // Whoever waits hears of a process that is gone when he reads.
        let _ = frame::encode(request).and_then(|frame| write(&input, &frame));
    }

    /// The next frame; none when so long a wait brought nothing whole.
    fn read(&self, wait: Duration) -> io::Result<Option<Reply>> {
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, decoder) = &mut *output;
        loop {
            if let Some(reply) = decoder.next()? {
                return Ok(Some(reply));
            }
            if !is_ready(file, PollFlags::IN, wait)? {
                return Ok(None);
            }
            if !decoder.read(&mut *file)? {
                return Err(io::Error::other("it has ended"));
            }
        }
    }

    /// The process is no more: ended on its own, or ended here. The first reason counts, and is given.
    fn broke(&self, why: &str, culprit: Option<Number>) -> String {
        {
            let mut news = self.news();
            if let Some((why, _)) = &news.over {
                return why.to_string();
            }
            // Whose fault it is stands before the end does, which others will see at once.
            news.over = Some((format!("{GONE}: {why}").into(), culprit));
        }
        let ended = self.peer.end();
        let text = format!("{GONE}: {why} ({ended})");
        tracing::warn!(why = %text, "script VMs are lost");
        self.news().over = Some((text.as_str().into(), culprit));
        self.changed.notify_all();
        text
    }

    /// Waits for the turns of a request, reading for all if nobody does.
    fn wait(&self, vm: &RemoteVm, most: usize) -> Result<Vec<Turn>, Lost> {
        let mut turns = Vec::new();
        let mut watched = Watched {
            looked: cpu::passed(),
            ..Watched::default()
        };
        let mut news = self.news();
        loop {
            while let Some(reply) = news.of.get_mut(&vm.number).and_then(VecDeque::pop_front) {
                watched.silent = 0;
                match reply {
                    Reply::Turns(_, some, is_last) => {
                        watched = Watched {
                            looked: watched.looked,
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
                return Err(match culprit {
                    None => Lost::AtWork(why),
                    Some(_) => Lost::Elsewhere(why),
                });
            }
            let wait = (watched.looked + WAIT).saturating_sub(cpu::passed());
            if wait.is_zero() {
                drop(news);
                watched.looked = cpu::passed();
                self.look_after(vm, &mut watched);
                news = self.news();
            } else if news.is_read {
                (news, _) = self
                    .changed
                    .wait_timeout(news, wait)
                    .unwrap_or_else(PoisonError::into_inner);
            } else {
                news.is_read = true;
                drop(news);
                if let Some(why) = self.hand_over(self.read(wait)) {
                    self.broke(&why, None);
                }
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

    /// It is time to look after a turn that is under way.
    fn look_after(&self, vm: &RemoteVm, watched: &mut Watched) {
        watched.looks += 1;
        watched.silent += 1;
        if vm.abandoned.load(Ordering::Relaxed) && !watched.is_abandoned {
            watched.is_abandoned = true;
            self.mention(&Request::Abandon(vm.number));
        }
        if watched.silent >= LOOKS_UNTIL_HUNG {
            self.broke("it does not answer", None);
        } else if watched.looks >= LOOKS_BEFORE_ASKING {
            self.mention(&Request::Where(vm.number));
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
        let over = state.is_some_and(|state| {
            let (first, last) = match watched.turn {
                Some((seen, first, last)) if seen == turn => (first, last),
                _ => (state.cpu, Duration::ZERO),
            };
            watched.turn = Some((turn, first, state.cpu));
            // An answer alone is no progress: the thread must compute, or want to.
            if state.cpu > last || state.is_runnable {
                watched.stuck = 0;
            } else {
                watched.stuck += 1;
            }
            state.cpu.saturating_sub(first) >= vm.limits.turn_cpu.saturating_add(GRACE)
        });
        if state.is_none() {
            watched.stuck += 1;
        }
        if watched.stuck >= LOOKS_UNTIL_HUNG {
            self.broke("a turn of a script makes no progress", None);
            return false;
        }
        if !over {
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

/// How many settlements go in one request.
fn lot(settlements: &[Settlement]) -> usize {
    let mut bytes = 0;
    let lot = settlements
        .iter()
        .take(SETTLEMENTS_AT_ONCE)
        .take_while(|settlement| {
            let before = bytes;
            if let Answer::Value(text) = &settlement.answer {
                bytes += text.len();
            }
            before < BYTES_AT_ONCE
        });
    lot.count().max(1)
}

/// Whether a file can be read, or written, within so long.
fn is_ready(file: &File, how: PollFlags, within: Duration) -> io::Result<bool> {
    let wait = Timespec {
        tv_sec: 0,
        tv_nsec: within.min(WAIT).subsec_nanos().into(),
    };
    match poll(&mut [PollFd::new(&file.as_fd(), how)], Some(&wait)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Writes to a pipe that takes what it has room for.
fn write(mut pipe: &File, mut bytes: &[u8]) -> io::Result<()> {
    let mut waits = 0;
    while !bytes.is_empty() {
        match pipe.write(bytes) {
            Ok(written) => {
                waits = 0;
                bytes = bytes.get(written..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if !is_ready(pipe, PollFlags::OUT, WAIT)? {
                    waits += 1;
                }
                if waits >= LOOKS_UNTIL_HUNG {
                    return Err(io::Error::other("it does not take what it is given"));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
        let frame = frame::encode(request).map_err(|error| Lost::AtWork(error.to_string()))?;
        if let Err(error) = process.send(&frame) {
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
        let mut turns = Vec::with_capacity(settlements.len());
        let mut rest = settlements;
        while !rest.is_empty() && !self.is_over {
            let (lot, behind) = rest.split_at(lot(rest));
            turns.extend(self.ask(&Request::Deliver(self.number, lot), lot.len())?);
            rest = behind;
        }
        Ok(turns)
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
            let _ = frame::encode::<Request<&[Settlement]>>(&Request::Drop(self.number))
                .and_then(|frame| self.process.send(&frame));
        }
    }
}
