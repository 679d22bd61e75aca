//! A process for VMs, made when it is needed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bellwether_launcher::{Confined, Pipe, Program, can_be_launcher, start_confined};
use bellwether_scripts::process::{Lost, Peer, Process, RemoteVm, ScriptVm, ThreadState};
use bellwether_scripts::{Settlement, Start, Turn};

use super::{Beside, Started, Suspect};

/// How the process is named, in `ps` too.
pub(crate) const MODE: &str = "bellwether-vm";

/// VMs in processes that `program` becomes.
pub(crate) struct Processes {
    program: Program,
    shared: Mutex<Option<Arc<Process>>>,
    /// The helper program serves no VMs.
    is_impossible: AtomicBool,
    /// The program has been such a process.
    has_served: AtomicBool,
}

/// Why there is no process.
enum NoProcess {
    /// The machine has no room for one now.
    Refused(String),
    /// What was started is none.
    NotOne(String),
}

/// How often a start that the machine refuses is tried, and the pause after the first, in all some three seconds.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(50);

struct Child(Confined);

impl Peer for Child {
    fn thread(&self, thread: u32) -> Option<ThreadState> {
        let (cpu, is_runnable) = self.0.thread(thread)?;
        Some(ThreadState { cpu, is_runnable })
    }

    fn end(&self) -> String {
        self.0.end()
    }
}

impl Processes {
    pub(crate) fn new(program: Program) -> Self {
        let is_impossible = program == Program::CurrentExe && !can_be_launcher();
        Self {
            program,
            shared: Mutex::default(),
            is_impossible: AtomicBool::new(is_impossible),
            has_served: AtomicBool::new(false),
        }
    }

    fn shared(&self) -> Result<Arc<Process>, NoProcess> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(process) = shared.as_ref().filter(|process| process.is_alive()) {
            return Ok(Arc::clone(process));
        }
        let process = self.process()?;
        *shared = Some(Arc::clone(&process));
        Ok(process)
    }

    /// Starts a process; tries again for a while when the machine has no room for one.
    fn process(&self) -> Result<Arc<Process>, NoProcess> {
        let mut tries = 0;
        let pipe = loop {
            match start_confined(&self.program, MODE) {
                Ok(pipe) => break pipe,
                Err(error) => {
                    tries += 1;
                    if tries == TRIES {
                        return Err(NoProcess::Refused(error.to_string()));
                    }
                    tracing::warn!(%error, "no process for scripts yet");
                    std::thread::sleep(FIRST_PAUSE * 2_u32.pow(tries));
                }
            }
        };
        let Pipe {
            input,
            output,
            process,
        } = pipe;
        let process = Process::new(input, output, Box::new(Child(process)))
            .map_err(|error| NoProcess::NotOne(error.to_string()))?;
        self.has_served.store(true, Ordering::Relaxed);
        Ok(process)
    }
}

impl Beside for Processes {
    fn is_possible(&self) -> bool {
        !self.is_impossible.load(Ordering::Relaxed)
    }

    fn start(
        &self,
        start: &Start<'_>,
        abandoned: &Arc<AtomicBool>,
        suspect: &Suspect,
    ) -> Option<Started> {
        if !self.is_possible() {
            return None;
        }
        let process = if suspect.load(Ordering::Relaxed) {
            self.process()
        } else {
            self.shared()
        };
        match process {
            Ok(process) => {
                let started = process.start(start, Arc::clone(abandoned));
                Some(charged(started, suspect).map(|(vm, turn)| {
                    let suspect = Arc::clone(suspect);
                    (Box::new(Charged { vm, suspect }) as Box<dyn ScriptVm>, turn)
                }))
            }
            // What is not the script's doing is not charged to it: the VM is made anew until there is a process for it.
            Err(NoProcess::Refused(error)) => Some(Err(Lost::Elsewhere(format!(
                "no process for scripts can be started: {error}"
            )))),
            // A program that serves no VMs never will. One that did has changed, or is in trouble: no script that may be
            // why must get into this process.
            Err(NoProcess::NotOne(error)) => {
                let is_helper = self.program != Program::CurrentExe;
                if is_helper && !self.has_served.load(Ordering::Relaxed) {
                    tracing::warn!(%error, "the helper program cannot be a process for scripts");
                    self.is_impossible.store(true, Ordering::Relaxed);
                    return None;
                }
                Some(Err(Lost::AtWork(error)))
            }
        }
    }
}

/// A VM whose run is suspected when it is lost at work.
struct Charged {
    vm: RemoteVm,
    suspect: Suspect,
}

impl ScriptVm for Charged {
    fn deliver(&mut self, settlements: &[Settlement]) -> Result<Vec<Turn>, Lost> {
        charged(self.vm.deliver(settlements), &self.suspect)
    }
}

fn charged<T>(came: Result<T, Lost>, suspect: &Suspect) -> Result<T, Lost> {
    if let Err(Lost::AtWork(_)) = &came {
        suspect.store(true, Ordering::Relaxed);
    }
    came
}
