//! The clocks of the VM: CPU time of the thread that runs a turn, and time that passes for whoever waits for one. They decide
//! only whether a turn is ended, never what a script sees.

use std::cell::Cell;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time that the calling thread has used so far.
pub(crate) fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

/// The lowest priority there is among threads of the ordinary class.
const NICENESS: i32 = 19;

thread_local! {
    static PLACE: Cell<Place> = const { Cell::new(Place::Stays) };
}

/// Whether a thread may give way, and whether it has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is somebody else's, and keeps its priority.
    Stays,
    MayGiveWay,
    GaveWay,
}

/// The calling thread may give way when it computes for long: whoever has it replaces it then, since a thread does not get
/// its priority back.
pub(crate) fn may_give_way() {
    PLACE.set(Place::MayGiveWay);
}

/// Lets all others go first from here on, where the thread may: on a full machine a script that computes costs those
/// beside it nothing.
pub(crate) fn give_way() {
    if PLACE.get() == Place::MayGiveWay {
        PLACE.set(Place::GaveWay);
        // On Linux this is the calling thread's alone. It goes on as it is where that is not allowed.
        let _ = rustix::process::nice(NICENESS);
    }
}

/// Whether the calling thread has given way.
pub(crate) fn has_given_way() -> bool {
    PLACE.get() == Place::GaveWay
}

/// Time that passes, from no particular moment on: for whoever looks after a turn in another process.
pub(crate) fn passed() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

/// The kernel's number of the calling thread, as `/proc/<process>/task/` has it.
pub(crate) fn thread_id() -> u32 {
    rustix::thread::gettid()
        .as_raw_nonzero()
        .get()
        .unsigned_abs()
}
