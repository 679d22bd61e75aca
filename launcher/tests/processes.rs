//! Real processes behind real launchers. This test program is its own launcher.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bellwether_launcher::{
    Exit, Launcher, LauncherProcess, Marker, Message, Order, Program, Running, Start, StartError,
    sweep, sweep_attempt,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};

bellwether_launcher::child_main_before_tests!();

/// The role of this program in which it is an engine that gets killed.
const ENGINE_ROLE: &str = "BELLWETHER_TEST_ENGINE";
const LONG: Duration = Duration::from_hours(1);

fn start(program: &str, arguments: &[&str], marker: Marker) -> Start {
    Start {
        program: program.into(),
        arguments: arguments.iter().map(OsString::from).collect(),
        working_directory: std::env::temp_dir(),
        marker,
        environment: Vec::new(),
        stderr_bytes: 16,
    }
}

fn marker() -> Marker {
    Marker::new("feed", 1, "r-00000000.1.0.1")
}

fn shell(script: &str) -> Agent {
    Agent::new(
        Launcher::default()
            .start(&start("sh", &["-c", script], marker()))
            .unwrap(),
    )
}

/// An agent as a blocking engine sees it.
struct Agent {
    stdin: Option<File>,
    stdout: BufReader<File>,
    running: (std::os::unix::net::UnixStream, bellwether_launcher::Decoder),
    launcher: LauncherProcess,
}

impl Agent {
    fn new(running: Running) -> Self {
        let Running {
            stdin,
            stdout,
            control,
            decoder,
            process,
            ..
        } = running;
        Self {
            stdin: Some(stdin.into()),
            stdout: BufReader::new(stdout.into()),
            running: (control, decoder),
            launcher: process,
        }
    }

    fn message(&mut self) -> Option<Message> {
        let (control, decoder) = &mut self.running;
        loop {
            if let Some(message) = decoder.next_message().unwrap() {
                return Some(message);
            }
            let mut bytes = [0; 4096];
            // A launcher that was killed resets the socket when orders are unread.
            match control.read(&mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(read) => decoder.push(&bytes[..read]),
            }
        }
    }

    fn order(&mut self, order: Order) {
        self.running.0.write_all(&order.encode()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The number that the agent prints, held as a process.
    fn process(&mut self) -> OwnedFd {
        hold(self.line().parse().expect("a process id"))
    }

    fn started(&mut self) -> u32 {
        assert_eq!(self.message(), Some(Message::Hello));
        match self.message() {
            Some(Message::Started { process }) => process,
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the end: exit, rest of stdout, end of stderr.
    fn ended(mut self) -> (Exit, Vec<u8>, Vec<u8>) {
        self.stdin = None;
        let mut output = Vec::new();
        self.stdout.read_to_end(&mut output).unwrap();
        loop {
            match self.message() {
                Some(Message::Ended {
                    exit,
                    survivors,
                    stderr,
                }) => {
                    assert_eq!(survivors, Vec::<u32>::new());
                    let launcher = self.launcher.id();
                    drop(self);
                    no_zombie(launcher);
                    return (exit, output, stderr);
                }
                Some(_) => {}
                None => panic!("the launcher said nothing of the end"),
            }
        }
    }
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.cast_signed()).unwrap()
}

fn hold(number: u32) -> OwnedFd {
    pidfd_open(pid(number), PidfdFlags::empty()).unwrap()
}

/// Waits until the process has ended; one that does not end fails the test.
fn dies(process: &OwnedFd) {
    let timeout = Timespec {
        tv_sec: 120,
        tv_nsec: 0,
    };
    let ready = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&timeout)).unwrap();
    assert_eq!(ready, 1, "it lives on");
}

fn lives(process: &OwnedFd) -> bool {
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&now)).unwrap() == 0
}

/// The reaper takes leave of the launcher soon.
fn no_zombie(launcher: u32) {
    while Path::new(&format!("/proc/{launcher}")).exists() {
        std::thread::yield_now();
    }
}

#[test]
fn ends_are_reported_as_they_were() {
    assert_eq!(shell("exit 0").ended().0, Exit::Code(0));
    assert_eq!(shell("exit 37").ended().0, Exit::Code(37));
    assert_eq!(shell("kill -SEGV $$").ended().0, Exit::Signal(11));
    let (exit, output, stderr) =
        shell("echo out; i=0; while [ $i -lt 9999 ]; do echo $i >&2; i=$((i+1)); done").ended();
    assert_eq!(
        (exit, output.as_slice()),
        (Exit::Code(0), b"out\n".as_slice())
    );
    assert_eq!(stderr, b"\n9996\n9997\n9998\n");
}

#[test]
fn what_cannot_be_started_says_so() {
    let launcher = Launcher::default();
    let mut agent = Agent::new(
        launcher
            .start(&start("/no/such/program", &[], marker()))
            .unwrap(),
    );
    assert_eq!(agent.message(), Some(Message::Hello));
    assert_eq!(agent.message(), Some(Message::StartFailed { errno: 2 }));
    assert_eq!(agent.message(), None);
    let nowhere = Start {
        working_directory: "/no/such".into(),
        ..start("true", &[], marker())
    };
    assert!(matches!(
        launcher.start(&nowhere),
        Err(StartError::WorkingDirectory(_))
    ));
    let other = Launcher::new(Program::Path("/bin/cat".into()));
    assert!(matches!(
        other.start(&start("true", &[], marker())),
        Err(StartError::NotALauncher(_))
    ));
}

#[test]
fn the_helper_program_is_a_launcher() {
    let launcher = Launcher::new(Program::Path(
        env!("CARGO_BIN_EXE_bellwether-launcher").into(),
    ));
    for _ in 0..2 {
        let agent = Agent::new(
            launcher
                .start(&start("sh", &["-c", "exit 4"], marker()))
                .unwrap(),
        );
        assert_eq!(agent.ended().0, Exit::Code(4));
    }
}

#[test]
fn stdin_reaches_stdout_however_much_it_is() {
    let mut agent = shell("cat");
    let text = vec![b'x'; 20 << 20];
    let mut stdin = agent.stdin.take().unwrap();
    let copy = text.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&copy).unwrap());
    let (exit, output, _) = agent.ended();
    writer.join().unwrap();
    assert_eq!(exit, Exit::Code(0));
    assert!(output == text);
}

#[test]
fn an_agent_inherits_the_marker_and_nothing_of_the_engine() {
    // A descriptor that the host program forgot to mark.
    let leak = File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(leak.as_fd(), rustix::io::FdFlags::empty()).unwrap();
    let mut agent = shell(
        "echo $BELLWETHER_AGENT; echo ${BELLWETHER_LAUNCHER-none}; exec cat /proc/self/status -",
    );
    let process = agent.started();
    assert_eq!(agent.line(), marker().to_string());
    assert_eq!(agent.line(), "none");
    let mut masks = Vec::new();
    while masks.len() < 2 {
        let line = agent.line();
        if line.starts_with("SigBlk:") || line.starts_with("SigIgn:") {
            let mask = line.split_whitespace().nth(1).unwrap().to_owned();
            masks.push(u64::from_str_radix(&mask, 16).unwrap() & !OF_THE_C_LIBRARY);
        }
    }
    assert_eq!(masks, [0, 0]);
    // It has read all of the status by now and waits for its stdin.
    let descriptors = || {
        std::fs::read_dir(format!("/proc/{process}/fd"))
            .unwrap()
            .count()
    };
    while descriptors() > 3 && !at_stdin(process) {
        std::thread::yield_now();
    }
    assert_eq!(descriptors(), 3);
    assert_eq!(agent.ended().0, Exit::Code(0));
}

/// Signals 32 and 33, which no program may set.
const OF_THE_C_LIBRARY: u64 = 0b11 << 31;

/// Whether the process waits in a read of descriptor 0.
fn at_stdin(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/syscall"))
        .is_ok_and(|line| line.starts_with("0 0x0 "))
}

/// Background processes: in the group; in a session of their own; orphaned at once; deaf to SIGTERM.
const BROOD: &str = r#"
    deaf='trap "" TERM; echo $$; exec sleep 10000'
    sh -c "$deaf" &
    setsid sh -c "$deaf" &
    (setsid sh -c "$deaf" &)
    (setsid sh -c "setsid sh -c '$deaf' & $deaf" &)
"#;
const BROOD_SIZE: usize = 5;

#[test]
fn what_an_agent_leaves_behind_ends_with_it() {
    let mut agent = shell(&format!("{BROOD} read line; exit 5"));
    let brood: Vec<OwnedFd> = (0..BROOD_SIZE).map(|_| agent.process()).collect();
    assert!(brood.iter().all(lives));
    // Its stdin ends, so it does.
    assert_eq!(agent.ended().0, Exit::Code(5));
    assert!(
        !brood.iter().any(lives),
        "the end was reported before it was true"
    );
}

#[test]
fn a_kill_takes_all() {
    let mut agent = shell(&format!("{BROOD} echo $$; read line"));
    let brood: Vec<OwnedFd> = (0..=BROOD_SIZE).map(|_| agent.process()).collect();
    agent.order(Order::Kill);
    let stdin = agent.stdin.take();
    assert_eq!(agent.ended().0, Exit::Signal(9));
    assert!(!brood.iter().any(lives));
    drop(stdin);
}

#[test]
fn a_kill_takes_those_that_are_just_being_started() {
    let marker = Marker::new(format!("f0{:x}", std::process::id()), 1, "r-00000000.1.0.1");
    // Bounded, so that a failing test leaves a machine that still works.
    let script = "i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo $i
        (setsid sh -c 'setsid sleep 10000 & sleep 10000' &); done; read line";
    let start = start("sh", &["-c", script], marker.clone());
    let mut agent = Agent::new(Launcher::default().start(&start).unwrap());
    while agent.line() != "20" {}
    agent.order(Order::Kill);
    assert_eq!(agent.ended().0, Exit::Signal(9));
    assert_eq!(
        sweep_attempt(&marker),
        bellwether_launcher::SweepReport::default()
    );
}

#[test]
fn a_closed_control_socket_kills_all() {
    let mut agent = shell(&format!("{BROOD} echo $$; read line"));
    let brood: Vec<OwnedFd> = (0..=BROOD_SIZE).map(|_| agent.process()).collect();
    let launcher = agent.launcher.id();
    drop(agent);
    brood.iter().for_each(dies);
    no_zombie(launcher);
}

#[test]
fn an_agent_that_is_asked_to_end_has_its_grace() {
    // The program behind a shell that dies at once has the grace too.
    let script =
        r#"sh -c 'trap "echo bye; exit 0" TERM; echo ready; while :; do sleep 0.01; done'; :"#;
    for script in [
        script,
        r#"trap "echo bye; exit 6" TERM; echo ready; while :; do sleep 0.01; done"#,
    ] {
        let mut agent = shell(script);
        assert_eq!(agent.line(), "ready");
        agent.order(Order::Terminate { grace: LONG });
        let (exit, output, _) = agent.ended();
        assert_eq!(output, b"bye\n");
        assert!(matches!(exit, Exit::Code(6) | Exit::Signal(15)), "{exit:?}");
    }
    // One in a session of its own hears it too, and one that is stopped.
    let mut agent = shell(
        r#"setsid sh -c 'trap "echo bye; exit 0" TERM; echo $$; kill -STOP $$; while :; do sleep 0.01; done' & wait"#,
    );
    let grandchild = agent.process();
    agent.order(Order::Terminate { grace: LONG });
    let (exit, output, _) = agent.ended();
    assert_eq!(
        (exit, output.as_slice()),
        (Exit::Signal(15), b"bye\n".as_slice())
    );
    assert!(!lives(&grandchild));
}

#[test]
fn a_grace_ends() {
    let mut agent = shell(r#"trap "" TERM; echo ready; while :; do sleep 0.01; done"#);
    assert_eq!(agent.line(), "ready");
    agent.order(Order::Terminate {
        grace: Duration::from_millis(20),
    });
    assert_eq!(agent.ended().0, Exit::Signal(9));
    let mut agent = shell(r#"trap "" TERM; echo ready; while :; do sleep 0.01; done"#);
    assert_eq!(agent.line(), "ready");
    agent.order(Order::Terminate { grace: LONG });
    agent.order(Order::Kill);
    assert_eq!(agent.ended().0, Exit::Signal(9));
}

#[test]
fn the_end_of_the_starting_thread_is_not_the_end_of_the_engine() {
    let mut agent = std::thread::spawn(|| shell("read line; echo $line"))
        .join()
        .unwrap();
    // The parent-death signal has come by now: the launcher answers after it.
    agent.started();
    agent.stdin.as_mut().unwrap().write_all(b"alive\n").unwrap();
    let (exit, output, _) = agent.ended();
    assert_eq!(
        (exit, output.as_slice()),
        (Exit::Code(0), b"alive\n".as_slice())
    );
}

#[test]
fn orphans_do_not_pile_up() {
    // Each subshell leaves an orphan that ends at once; the launcher takes leave of them while the agent lives.
    let mut agent =
        shell("i=0; while [ $i -lt 20 ]; do (true & ); i=$((i+1)); done; echo ready; read line");
    let launcher = agent.launcher.id();
    assert_eq!(agent.line(), "ready");
    let children = format!("/proc/{launcher}/task/{launcher}/children");
    while std::fs::read_to_string(&children)
        .unwrap()
        .split_whitespace()
        .count()
        > 1
    {
        std::thread::yield_now();
    }
    assert_eq!(agent.ended().0, Exit::Code(1));
}

#[test]
fn fifty_at_once() {
    let launcher = Launcher::default();
    let agents: Vec<Agent> = (0..50)
        .map(|number| {
            let script = format!("read line; echo $line; exit {number}");
            Agent::new(
                launcher
                    .start(&start("sh", &["-c", &script], marker()))
                    .unwrap(),
            )
        })
        .collect();
    for (number, mut agent) in agents.into_iter().enumerate().rev() {
        writeln!(agent.stdin.as_mut().unwrap(), "{number}").unwrap();
        let (exit, output, _) = agent.ended();
        assert_eq!(exit, Exit::Code(i32::try_from(number).unwrap()));
        assert_eq!(output, format!("{number}\n").as_bytes());
    }
}

/// Not a test by itself: the engine that [`a_killed_engine_takes_its_agents_along`] kills. It passes on what its agents
/// print and never ends.
#[test]
fn engine_role() {
    if std::env::var_os(ENGINE_ROLE).is_none() {
        return;
    }
    let mut agents = [
        shell(&format!("{BROOD} read line")),
        shell(&format!("{BROOD} read line")),
    ];
    let mut stdout = std::io::stdout().lock();
    for agent in &mut agents {
        writeln!(stdout, "held {}", agent.launcher.id()).unwrap();
        let process = agent.started();
        writeln!(stdout, "held {process}").unwrap();
        for _ in 0..BROOD_SIZE {
            writeln!(stdout, "held {}", agent.line()).unwrap();
        }
    }
    writeln!(stdout, "complete").unwrap();
    let _ = agents[0].message();
}

#[test]
fn a_killed_engine_takes_its_agents_along() {
    let mut engine = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "engine_role", "--nocapture"])
        .env(ENGINE_ROLE, "yes")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut held = Vec::new();
    for line in BufReader::new(engine.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
    {
        if line == "complete" {
            break;
        }
        // The harness may write before the first.
        if let Some((_, number)) = line.split_once("held ") {
            held.push(hold(number.parse().unwrap()));
        }
    }
    assert_eq!(held.len(), 2 * (2 + BROOD_SIZE));
    assert!(held.iter().all(lives));
    engine.kill().unwrap();
    held.iter().for_each(dies);
    engine.wait().unwrap();
}

/// An agent whose launcher is killed; gives the grandchild that escapes.
fn escaped(launcher: &Launcher, marker: Marker) -> OwnedFd {
    let script = "setsid sleep 10000 & echo $!; read line";
    let mut agent = Agent::new(
        launcher
            .start(&start("sh", &["-c", script], marker))
            .unwrap(),
    );
    let process = hold(agent.started());
    let escaped = agent.process();
    kill_process(pid(agent.launcher.id()), Signal::KILL).unwrap();
    dies(&process);
    while agent.message().is_some() {}
    assert!(lives(&escaped));
    escaped
}

#[test]
fn a_sweep_kills_leftovers_of_older_openings_and_nothing_else() {
    let launcher = Launcher::default();
    // Journals of this process alone, so that tests that run beside this one are not swept.
    let journal = format!("5eed{:x}", std::process::id());
    let other = format!("0dd{:x}", std::process::id());
    let left = [
        escaped(&launcher, Marker::new(&journal, 1, "r-00000000.1.0.1")),
        escaped(&launcher, Marker::new(&journal, 6, "r-00000000.1.0.2")),
    ];
    let spared = [
        escaped(&launcher, Marker::new(&journal, 7, "r-00000000.1.0.3")),
        escaped(&launcher, Marker::new(&journal, 8, "r-00000000.1.0.4")),
        escaped(&launcher, Marker::new(&other, 1, "r-00000000.1.0.1")),
    ];
    let report = sweep(&journal, 7);
    assert_eq!(report.left, []);
    assert_eq!(report.killed.len(), 2, "{report:?}");
    assert!(
        report
            .killed
            .iter()
            .all(|leftover| leftover.command.contains("sleep 10000"))
    );
    assert!(!left.iter().any(lives));
    assert!(spared.iter().all(lives));
    assert_eq!(
        sweep(&journal, 7),
        bellwether_launcher::SweepReport::default()
    );

    let one = Marker::new(&journal, 8, "r-00000000.1.0.4");
    assert_eq!(sweep_attempt(&one).killed.len(), 1);
    assert_eq!(sweep(&journal, 9).killed.len(), 1);
    assert_eq!(sweep(&other, 2).killed.len(), 1);
    assert!(!spared.iter().any(lives));
}

/// Not a test by itself: an engine inside an agent of the very journal that it sweeps.
#[test]
fn nested_engine_role() {
    let Ok(marker) = std::env::var("BELLWETHER_AGENT") else {
        return;
    };
    let own = Marker::parse(&marker).unwrap();
    let report = sweep(own.journal(), own.epoch() + 1);
    writeln!(std::io::stdout().lock(), "swept {}", report.killed.len()).unwrap();
}

#[test]
fn a_sweep_spares_its_own_agent_and_ancestors() {
    let launcher = Launcher::default();
    let journal = format!("ace{:x}", std::process::id());
    let sibling = escaped(&launcher, Marker::new(&journal, 1, "r-00000000.1.0.1"));
    let program = std::env::current_exe().unwrap();
    // Between launcher and inner engine stands a shell, beside it another process of the same agent.
    let script = format!(
        "sleep 10000 & {} --exact nested_engine_role --nocapture; kill -0 $! && echo spared; exit 8",
        program.display()
    );
    let marker = Marker::new(&journal, 1, "r-00000000.1.0.2");
    let agent = Agent::new(
        launcher
            .start(&start("sh", &["-c", &script], marker))
            .unwrap(),
    );
    let (exit, output, _) = agent.ended();
    let output = String::from_utf8(output).unwrap();
    assert_eq!(exit, Exit::Code(8));
    assert!(
        output.contains("swept 1\n") && output.contains("spared\n"),
        "{output}"
    );
    dies(&sibling);
}
