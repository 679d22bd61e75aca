//! Starts agents' processes so that none outlives its engine, and proves them dead before anybody says so.
//!
//! Between the engine and each agent stands one small process, the *launcher*: the host program itself in another mode
//! ([`child_main`]), or a helper program ([`Program::Path`]).
//!
//! ```text
//! engine ──stdin──────────────────────────────► agent (own session and process group)
//!    ▲ ◄───stdout───────────────────────────────┤
//!    │                                          │ stderr
//!    └───control (socket)─── launcher ◄─────────┘
//! ```
//!
//! Who watches whom:
//!
//! | what dies | who notices | what happens |
//! |---|---|---|
//! | the engine (`kill -9` too) | the launcher: its control socket ends | all descendants killed, then the launcher ends |
//! | the agent | the launcher: `SIGCHLD` | what it left running is killed, then the engine is told how it ended |
//! | the launcher | the kernel: parent-death signal of the agent | the agent dies; its descendants: [`sweep_attempt`] |
//! | engine and launcher | the next engine | [`sweep`] finds leftovers by their environment |
//!
//! The launcher is a *subreaper*: a grandchild that calls `setsid` or forks twice becomes the launcher's child when its
//! parent ends. So "the launcher has no child left" is the proof that nothing is left. It kills only its own unreaped
//! children and a group whose leader it has not reaped, whose ids the kernel cannot have given to anybody else.
//!
//! What escapes: a process of another user (an agent that calls `sudo`), which is reported, and one that somebody else
//! was asked to start (`systemd-run`, a container daemon). And when engine *and* launcher were killed, a descendant
//! that has wiped its environment.

#[cfg(not(target_os = "linux"))]
compile_error!("agents' processes need Linux: subreapers, parent-death signals and /proc");

mod child;
mod confined;
mod marker;
mod procfs;
mod protocol;
mod reaper;
mod start;
mod sweep;
mod system;
mod tree;

pub use child::{can_be_launcher, child_main};
pub use confined::{Confined, Pipe, confined_main, start_confined};
pub use marker::{MARKER_VARIABLE, Marker};
pub use protocol::{Decoder, Exit, Message, Order, ProtocolError};
pub use start::{Launcher, LauncherProcess, Program, Running, Start, StartError};
pub use sweep::{Leftover, SweepReport, sweep, sweep_attempt};

/// Calls [`child_main`] before `main`, for programs whose `main` is not theirs: test programs, whose `main` is the test
/// harness. Stands once at the root of such a program.
///
/// Programs with a `main` of their own call [`child_main`] there, where a reader sees it. A crate that has more modes gives
/// its own function for all of them.
#[macro_export]
macro_rules! child_main_before_tests {
    () => {
        $crate::child_main_before_tests!($crate::child_main_from_c);
    };
    ($child_main:path) => {
        const _: () = {
            // SAFETY: `.init_array` holds functions that take C's arguments and return nothing; the C library calls
            // each once, on the only thread there is, after the section that gives the standard library its arguments.
            #[used]
            #[unsafe(link_section = ".init_array")]
            static BEFORE_MAIN: extern "C" fn() = $child_main;
        };
    };
}

/// [`child_main`] for [`child_main_before_tests`].
#[doc(hidden)]
pub extern "C" fn child_main_from_c() {
    child_main();
}
