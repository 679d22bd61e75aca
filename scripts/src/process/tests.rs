//! Both sides over real pipes: `serve` on a thread in place of a process, and children that lie.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use bellwether_journal::key::Digest;
use proptest::prelude::*;

use super::frame::{self, Decoder, Reply, Request};
use super::*;
use crate::command::{About, Answer, Command, Settlement, Target, TurnStatus};
use crate::limits::Limits;
use crate::script::{Script, parse};
use crate::vm::{Start, Vm};

/// A process that never was one. Its threads have used as much CPU time as is looked at: a second more each time.
#[derive(Clone, Default)]
struct Pretended {
    looks: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
}

impl Peer for Pretended {
    fn thread(&self, _: u32) -> Option<ThreadState> {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        Some(ThreadState {
            cpu: Duration::from_secs(looks),
            is_runnable: true,
        })
    }

    fn end(&self) -> String {
        self.ended.store(true, Ordering::Relaxed);
        "ended for the test".to_owned()
    }
}

/// A process whose child does this with its ends of the pipes.
fn process(
    child: impl FnOnce(File, File) + Send + 'static,
) -> (io::Result<Arc<Process>>, Pretended) {
    let (from_engine, to_child) = io::pipe().unwrap();
    let (from_child, to_engine) = io::pipe().unwrap();
    let file = |end: OwnedFd| File::from(end);
    let (input, output) = (file(from_engine.into()), file(to_engine.into()));
    std::thread::spawn(move || child(input, output));
    let peer = Pretended::default();
    let process = Process::new(
        file(to_child.into()),
        file(from_child.into()),
        Box::new(peer.clone()),
    );
    (process, peer)
}

fn serving() -> Arc<Process> {
    let (process, _) = process(|input, output| {
        // It ends with the test's end of the pipe.
        let _ = serve(input, output);
    });
    process.unwrap()
}

fn script(body: &str) -> Script {
    let source = format!("export const meta = {{ name: 'test', description: 'a test' }}\n{body}");
    parse(&source, "test.js", &Limits::default()).unwrap()
}

fn start<'a>(script: &'a Script, limits: &'a Limits) -> Start<'a> {
    Start {
        script,
        args: Some("[1]"),
        limits,
        seed: [7; 32],
        time: 1_000,
        budget_total: Some(5),
    }
}

/// The answers to the first calls: each the number of its call.
fn answers(count: u32) -> Vec<Settlement> {
    let answer = |call| Settlement {
        target: Target::Call(bellwether_journal::id::CallNumber(call)),
        answer: Answer::Value(call.to_string().into()),
        time: 2_000 + u64::from(call),
        version: Digest::of("version", &[&call.to_le_bytes()]),
        spent: u64::from(call),
        about: About::default(),
    };
    (0..count).map(answer).collect()
}

const FAN_OUT: &str = "
    log(JSON.stringify([args, budget.total, now(), random()]))
    const all = await parallel(Array.from({ length: 3000 }, (_, i) => () => agent('look at ' + i)))
    setTimeout(() => {}, 5)
    return all.reduce((sum, each) => sum + each, 0)";

#[test]
fn a_script_does_the_same_in_a_process() {
    let (script, limits) = (script(FAN_OUT), Limits::default());
    let (mut within, first_within) = Vm::start(&start(&script, &limits));
    let process = serving();
    let (mut beside, first_beside) = process
        .start(&start(&script, &limits), Arc::default())
        .unwrap();
    assert_eq!(first_beside, first_within);
    assert!(matches!(first_beside.commands[0], Command::Log { .. }));
    let answers = answers(3_000);
    let turns = ScriptVm::deliver(&mut within, &answers).unwrap();
    assert_eq!(beside.deliver(&answers).unwrap(), turns);
    let sum: u32 = (0..3_000).sum();
    let status = &turns.last().unwrap().status;
    assert_eq!(*status, TurnStatus::Returned(sum.to_string().into()));
    assert_eq!(beside.deliver(&answers).unwrap(), [], "it has returned");
}

#[test]
fn many_vms_at_once_each_get_their_own_turns() {
    const VMS: usize = 16;
    let (process, barrier) = (serving(), Arc::new(Barrier::new(VMS)));
    let threads: Vec<_> = (0..VMS)
        .map(|vm| {
            let (process, barrier) = (Arc::clone(&process), Arc::clone(&barrier));
            std::thread::spawn(move || {
                let body = format!(
                    "let sum = {vm}; for (let i = 0; i < 200; i++) sum += await agent('x'); return sum"
                );
                let (script, limits) = (script(&body), Limits::default());
                let (mut vm, _) = process
                    .start(&start(&script, &limits), Arc::default())
                    .unwrap();
                barrier.wait();
                let turns = answers(200)
                    .chunks(3)
                    .flat_map(|some| vm.deliver(some).unwrap())
                    .collect::<Vec<_>>();
                turns.last().unwrap().status.clone()
            })
        })
        .collect();
    for (vm, thread) in threads.into_iter().enumerate() {
        let sum = vm + (0..200).sum::<usize>();
        let status = thread.join().unwrap();
        assert_eq!(status, TurnStatus::Returned(sum.to_string().into()));
    }
}

#[test]
fn a_turn_that_nobody_wants_ends() {
    let (script, limits) = (script("while (true) {}"), Limits::default());
    let abandoned: Arc<AtomicBool> = Arc::default();
    abandoned.store(true, Ordering::Relaxed);
    let (_, turn) = serving()
        .start(&start(&script, &limits), abandoned)
        .unwrap();
    assert!(
        matches!(turn.status, TurnStatus::LimitReached(_)),
        "{turn:?}"
    );
}

fn say(output: &mut File, reply: &Reply) {
    output.write_all(&frame::encode(reply).unwrap()).unwrap();
}

fn hello(output: &mut File) {
    say(output, &Reply::Hello(frame::VERSION, Vm::identity()));
}

fn next(input: &mut File, decoder: &mut Decoder) -> Option<Request<Vec<Settlement>>> {
    loop {
        if let Some(request) = decoder.next().unwrap() {
            return Some(request);
        }
        if !decoder.read(&mut *input).unwrap() {
            return None;
        }
    }
}

#[test]
fn what_does_not_begin_as_a_process_of_vms_is_none() {
    type Child = fn(&mut File);
    let children: [(&str, Child); 4] = [
        ("it has ended", |_| {}),
        ("another version", |output| {
            say(output, &Reply::Hello(frame::VERSION + 1, Vm::identity()));
        }),
        ("another version", |output| {
            say(output, &Reply::Hello(frame::VERSION, Digest::default()));
        }),
        ("a message", |output| {
            output.write_all(b"usage: program [options]\n").unwrap();
        }),
    ];
    for (says, child) in children {
        let (process, peer) = process(move |_input, mut output| child(&mut output));
        let error = process.unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
        assert!(peer.ended.load(Ordering::Relaxed), "{says}");
    }
}

/// Whatever a child says, its process is ended and named, and the script is charged that was at work.
#[test]
fn a_child_that_breaks_the_protocol_is_ended_and_named() {
    type Child = fn(&mut File);
    let children: [(&str, Child); 7] = [
        ("it has ended", |_| {}),
        ("nobody asked for", |output| {
            say(output, &Reply::Turns(99, Vec::new(), true));
        }),
        ("more turns than settlements", |output| {
            let turn = || Turn {
                commands: Vec::new(),
                status: TurnStatus::Running,
            };
            say(output, &Reply::Turns(0, vec![turn(), turn()], true));
        }),
        ("a start without a turn", |output| {
            say(output, &Reply::Turns(0, Vec::new(), true));
        }),
        ("that says it has", |output| {
            output.write_all(&[0xff; 64]).unwrap();
        }),
        ("a message that is none", |output| {
            // One turn with more commands than there is memory for.
            let body = [&[1, 0, 1, 253][..], &[0xff; 8]].concat();
            let length = (body.len() as u32).to_le_bytes();
            output.write_all(&[&length[..], &body].concat()).unwrap();
        }),
        ("nobody asked for", |output| hello(output)),
    ];
    for (says, child) in children {
        let (process, peer) = process(move |mut input, mut output| {
            hello(&mut output);
            next(&mut input, &mut Decoder::default());
            child(&mut output);
        });
        let (script, limits) = (script("return 1"), Limits::default());
        let process = process.unwrap();
        let lost = process
            .start(&start(&script, &limits), Arc::default())
            .map(|(_, turn)| turn)
            .unwrap_err();
        let Lost::AtWork(why) = &lost else {
            panic!("{lost:?}");
        };
        assert!(
            why.contains(says) && why.contains("ended for the test"),
            "{says}: {why}"
        );
        assert!(peer.ended.load(Ordering::Relaxed), "{says}");
        assert!(!process.is_alive());
        let after = process.start(&start(&script, &limits), Arc::default());
        assert!(
            matches!(after, Err(Lost::Elsewhere(_))),
            "it had no part in that"
        );
    }
}

/// B07: a turn that the VM itself cannot end is ended with its process, and the others are not charged.
#[test]
fn b07_a_turn_that_never_looks_up_is_ended_and_alone_is_charged() {
    let (process, peer) = process(|mut input, mut output| {
        hello(&mut output);
        let mut decoder = Decoder::default();
        // VM 0 computes on thread 5 and never answers; VM 1 is only slow, on a thread that comes and goes.
        let mut turns = 0;
        while let Some(request) = next(&mut input, &mut decoder) {
            match request {
                Request::Where(0) => say(&mut output, &Reply::At(0, Some(5), 0)),
                Request::Where(number) => {
                    turns += 1;
                    say(&mut output, &Reply::At(number, Some(6), turns));
                }
                _ => {}
            }
        }
    });
    let process = process.unwrap();
    let limits = Limits {
        turn_cpu: Duration::from_secs(3),
        ..Limits::default()
    };
    let script = script("return 1");
    let slow = std::thread::spawn({
        let (process, script, limits) = (Arc::clone(&process), script.clone(), limits.clone());
        move || {
            // The second to start.
            while process.started() < 1 {
                std::thread::yield_now();
            }
            process
                .start(&start(&script, &limits), Arc::default())
                .map(|(_, turn)| turn)
        }
    });
    let (_, turn) = process
        .start(&start(&script, &limits), Arc::default())
        .unwrap();
    let TurnStatus::LimitReached(error) = turn.status else {
        panic!("{turn:?}");
    };
    assert_eq!(error.code.as_deref(), Some("LIMIT_CPU"));
    let lost = slow.join().unwrap().unwrap_err();
    assert!(
        matches!(&lost, Lost::Elsewhere(why) if why.contains("longer than it may")),
        "{lost}"
    );
    assert!(peer.ended.load(Ordering::Relaxed));
}

proptest! {
    /// Frames come whole however their bytes come in pieces.
    #[test]
    fn frames_come_whole(cuts in proptest::collection::vec(1_usize..40, 1..40)) {
        let replies = [
            Reply::Hello(1, Vm::identity()),
            Reply::At(3, Some(4), 5),
            Reply::Failed(1, "x".repeat(300)),
            Reply::Turns(7, vec![Turn { commands: Vec::new(), status: TurnStatus::Returned("1".into()) }], false),
        ];
        let bytes: Vec<u8> = replies.iter().flat_map(|it| frame::encode(it).unwrap()).collect();
        let (mut decoder, mut came, mut rest) = (Decoder::default(), Vec::new(), bytes.as_slice());
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            decoder.read(piece).unwrap();
            while let Some(reply) = decoder.next::<Reply>().unwrap() {
                came.push(reply);
            }
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(came, replies);
    }

    /// No bytes make the decoder panic, or take memory that is not there.
    #[test]
    fn bytes_of_any_kind_are_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut decoder = Decoder::default();
        decoder.read(bytes.as_slice()).unwrap();
        while let Ok(Some(_)) = decoder.next::<Reply>() {}
        let _ = frame::decode::<Reply>(&bytes);
    }
}
