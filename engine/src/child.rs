//! The host program's other modes.

/// Makes the program usable as launcher of its own agents (feature `command`) and as the process in which their runs'
/// scripts live (feature `vm-process`). To be called first in `main`, before threads, runtimes and argument parsers: when an
/// engine started this process as one of these it never returns, else it returns at once.
///
/// Without it, and without a helper program ([`Builder::helper`](crate::Builder::helper)), starting an agent that is a
/// process is an error, and scripts run within the engine's own process.
pub fn child_main() {
    bellwether_launcher::child_main();
    #[cfg(feature = "vm-process")]
    bellwether_launcher::confined_main(crate::vm::beside::MODE, bellwether_scripts::process::serve);
}

/// Calls [`child_main`] before `main`, for programs whose `main` is not theirs: test programs, whose `main` is the test
/// harness. Stands once at the root of such a program.
///
/// Programs with a `main` of their own call [`child_main`] there, where a reader sees it.
#[macro_export]
macro_rules! child_main_before_tests {
    () => {
        $crate::before_main!($crate::child_main_from_c);
    };
}

/// [`child_main`] for [`child_main_before_tests`].
#[doc(hidden)]
pub extern "C" fn child_main_from_c() {
    child_main();
}
