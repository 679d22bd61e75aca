//! The helper program of embedders who cannot call `bellwether::child_main` first in their own `main`: they name this one
//! in the engine's builder. Started by hand it does nothing.

use std::process::ExitCode;

fn main() -> ExitCode {
    bellwether::child_main();
    // Reached only when a person starts it: there is nothing to do, which exit code 2 (wrong use) says.
    ExitCode::from(2)
}
