//! The child's side: VMs by number, and a thread for each turn under way.
//!
//! Whoever has read a request carries it out himself, and another thread reads on (the pattern "leader and followers"): a
//! turn costs no change of threads within the child, and a script that computes keeps nobody from asking where it is.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::frame::{self, Beginning, Decoder, Number, Reply, Request};
use crate::command::{Settlement, Turn, TurnStatus};
use crate::compiled;
use crate::cpu;
use crate::limits::Limits;
use crate::script::parse;
use crate::vm::{Start, Vm};

/// Turns are sent at the latest after so much CPU time: whoever watches them sees them go on.
const SEND_AFTER: Duration = Duration::from_millis(10);
/// However long a thread's stack is, only what a script uses of it takes memory.
const STACK_BYTES: usize = Limits::STACK_BYTES_MAX + Limits::THREAD_STACK_BYTES_SPARE;

/// Serves requests from `input` until it ends, which is when this returns: turns may be under way still, so the process
/// should end then.
///
/// # Errors
/// When the pipe breaks, or brings what is no request.
pub fn serve(input: File, output: File) -> io::Result<()> {
    let (ended, end) = channel();
    let server = Arc::new(Server {
        input: Mutex::new((input, Decoder::default())),
        output: Mutex::new(output),
        vms: Mutex::default(),
        readers: AtomicUsize::new(0),
        ended,
    });
    server.reply(&Reply::Hello(frame::VERSION, Vm::identity()))?;
    server.follow()?;
    // While the first request is on its way.
    compiled::prepare();
    end.recv().unwrap_or(Ok(()))
}

struct Server {
    input: Mutex<(File, Decoder)>,
    output: Mutex<File>,
    vms: Mutex<HashMap<Number, Arc<Slot>>>,
    /// Threads that read, or wait to.
    readers: AtomicUsize,
    ended: Sender<io::Result<()>>,
}

/// A VM and what is known of it while it is at work.
#[derive(Default)]
struct Slot {
    vm: Mutex<Option<Vm>>,
    abandoned: Arc<AtomicBool>,
    /// The thread that is at work on it; 0 when none is.
    thread: AtomicU32,
    turns: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    /// Starts a thread that reads and carries out.
    fn follow(self: &Arc<Self>) -> io::Result<()> {
        self.readers.fetch_add(1, Ordering::Relaxed);
        let server = Arc::clone(self);
        std::thread::Builder::new()
            .name("bw-vm".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                cpu::may_give_way();
                loop {
                    match server.next() {
                        Ok(Some(request)) => server.carry_out(request),
                        Ok(None) => return server.end(Ok(())),
                        Err(error) => return server.end(Err(error)),
                    }
                    if cpu::has_given_way() && server.readers.load(Ordering::Relaxed) > 0 {
                        // Others read on; the next turn is not to go behind all the rest for this one's sake.
                        return;
                    }
                    server.readers.fetch_add(1, Ordering::Relaxed);
                }
            })?;
        Ok(())
    }

    fn end(&self, how: io::Result<()>) {
        // Nobody listens when the end is known already.
        let _ = self.ended.send(how);
    }

    /// The next request, and somebody else to read on.
    fn next(self: &Arc<Self>) -> io::Result<Option<Request<Vec<Settlement>>>> {
        let request = {
            let mut input = lock(&self.input);
            let (file, decoder) = &mut *input;
            loop {
                if let Some(request) = decoder.next()? {
                    break request;
                }
                if !decoder.read(&mut *file)? {
                    return Ok(None);
                }
            }
        };
        if self.readers.fetch_sub(1, Ordering::Relaxed) == 1 && self.follow().is_err() {
            // No thread to be had: this one reads on when it has carried out what it has.
            self.readers.fetch_sub(1, Ordering::Relaxed);
        }
        Ok(Some(request))
    }

    fn reply(&self, reply: &Reply) -> io::Result<()> {
        let bytes = frame::encode(reply)?;
        lock(&self.output).write_all(&bytes)
    }

    fn slot(&self, number: Number) -> Option<Arc<Slot>> {
        lock(&self.vms).get(&number).cloned()
    }

    fn carry_out(&self, request: Request<Vec<Settlement>>) {
        let (number, replied) = match request {
            Request::Start(number, beginning) => {
                let slot = Arc::new(Slot::default());
                lock(&self.vms).insert(number, Arc::clone(&slot));
                (
                    number,
                    self.work(number, &slot, || self.start(number, &slot, &beginning)),
                )
            }
            Request::Deliver(number, settlements) => {
                let slot = self.slot(number).unwrap_or_default();
                (
                    number,
                    self.work(number, &slot, || self.deliver(number, &slot, &settlements)),
                )
            }
            Request::Where(number) => {
                let slot = self.slot(number);
                let thread = slot
                    .as_ref()
                    .map_or(0, |slot| slot.thread.load(Ordering::Relaxed));
                let turns = slot.map_or(0, |slot| slot.turns.load(Ordering::Relaxed));
                let at = Reply::At(number, (thread != 0).then_some(thread), turns);
                (number, self.reply(&at))
            }
            Request::Abandon(number) => {
                if let Some(slot) = self.slot(number) {
                    slot.abandoned.store(true, Ordering::Relaxed);
                }
                return;
            }
            Request::Drop(number) => {
                // What it frees takes its time, in which others go on.
                let gone = lock(&self.vms).remove(&number);
                drop(gone);
                return;
            }
        };
        if let Err(error) = replied {
            let failed = Reply::Failed(number, error.to_string());
            if self.reply(&failed).is_err() {
                self.end(Err(error));
            }
        }
    }

    /// Works on a VM: who asks meanwhile hears on which thread, and a panic is the VM's end alone.
    fn work(
        &self,
        number: Number,
        slot: &Slot,
        work: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        // A turn's number comes once: whoever looks must not take one for another.
        slot.turns.fetch_add(1, Ordering::Relaxed);
        let thread = cpu::thread_id();
        slot.thread.store(thread, Ordering::Relaxed);
        let worked = catch_unwind(AssertUnwindSafe(work));
        // The next request may be at work already: its thread stays.
        let _ = slot
            .thread
            .compare_exchange(thread, 0, Ordering::Relaxed, Ordering::Relaxed);
        worked.unwrap_or_else(|panic| {
            lock(&self.vms).remove(&number);
            let text = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            self.reply(&Reply::Failed(
                number,
                format!("the interpreter panicked: {text}"),
            ))
        })
    }

    fn start(&self, number: Number, slot: &Slot, beginning: &Beginning) -> io::Result<()> {
        // It was accepted, perhaps long ago under other limits.
        let mut parsing = beginning.limits.clone();
        parsing.source_bytes = usize::MAX;
        let script = parse(&beginning.source, &beginning.file_name, &parsing)
            .map_err(|refusal| io::Error::other(refusal.to_string()))?;
        let start = Start {
            script: &script,
            args: beginning.args.as_deref(),
            limits: &beginning.limits,
            seed: beginning.seed,
            time: beginning.time,
            budget_total: beginning.budget_total,
        };
        let (vm, turn) = Vm::start_until(&start, Arc::clone(&slot.abandoned));
        *lock(&slot.vm) = Some(vm);
        self.reply(&Reply::Turns(number, vec![turn], true))
    }

    fn deliver(&self, number: Number, slot: &Slot, settlements: &[Settlement]) -> io::Result<()> {
        let mut vm = lock(&slot.vm);
        let Some(vm) = vm.as_mut() else {
            return Err(io::Error::other("there is no such VM"));
        };
        let mut turns: Vec<Turn> = Vec::with_capacity(settlements.len().min(1_024));
        let mut sent = cpu::thread_time();
        for settlement in settlements {
            turns.extend(vm.deliver(std::slice::from_ref(settlement)));
            slot.turns.fetch_add(1, Ordering::Relaxed);
            if turns
                .last()
                .is_none_or(|turn| turn.status != TurnStatus::Running)
            {
                break;
            }
            let now = cpu::thread_time();
            if now.saturating_sub(sent) > SEND_AFTER {
                sent = now;
                let some = std::mem::take(&mut turns);
                self.reply(&Reply::Turns(number, some, false))?;
            }
        }
        self.reply(&Reply::Turns(number, turns, true))
    }
}
