//! A program that does not call `child_main`.

use bellwether_launcher::{Launcher, Marker, Program, Start, StartError};

fn start() -> Start {
    Start {
        program: "true".into(),
        arguments: Vec::new(),
        working_directory: std::env::temp_dir(),
        marker: Marker::new("feed", 1, "r-00000000.1.0.1"),
        environment: Vec::new(),
        stderr_bytes: 0,
    }
}

#[test]
fn a_program_that_cannot_be_a_launcher_starts_none() {
    if std::env::var_os("BELLWETHER_LAUNCHER").is_some() {
        return;
    }
    let error = Launcher::new(Program::CurrentExe).start(&start());
    assert!(matches!(error, Err(StartError::NoLauncher)), "{error:?}");
}

/// What a program does that was named as helper but is none, and that starts agents in its turn: it must not go on.
#[test]
fn a_program_that_should_have_been_a_launcher_starts_none() -> std::io::Result<()> {
    if std::env::var_os("BELLWETHER_LAUNCHER").is_some() {
        let error = Launcher::new(Program::Path("/bin/true".into())).start(&start());
        assert!(
            matches!(error, Err(StartError::InsideLauncher)),
            "{error:?}"
        );
        return Ok(());
    }
    let status = std::process::Command::new(std::env::current_exe()?)
        .args([
            "--exact",
            "a_program_that_should_have_been_a_launcher_starts_none",
        ])
        .env("BELLWETHER_LAUNCHER", "1.1.0")
        .status()?;
    assert!(status.success());
    Ok(())
}
