//! One process for many tasks: a line of JSON each way.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bellwether_actors::backend::{AgentOutcome, AttemptContext, Ended, Task};
use bellwether_journal::id::Epoch;
use bellwether_journal::key::Digest;
use bellwether_journal::record::FailureKind;
use bellwether_launcher::{Message, Order, Running};

use super::answer::{Answer, Parts};
use super::once::report;
use super::process::{Input, News, Over, Process, Stop, Stops, failed, start_error};
use super::{Shared, task};

/// Processes that wait for tasks.
pub(super) struct Pool {
    idle: Mutex<VecDeque<Idle>>,
    idle_max: usize,
}

struct Idle {
    place: Place,
    running: Running,
}

/// What a process cannot change once it runs: where it works, its environment, and the opening of the journal by which it is found as a
/// leftover.
#[derive(Clone, PartialEq, Eq)]
struct Place {
    journal: Digest,
    epoch: Epoch,
    directory: PathBuf,
    env: Option<Vec<String>>,
}

impl Place {
    fn of(task: &Task) -> Self {
        Self {
            journal: task.journal,
            epoch: task.token.epoch,
            directory: task.working_directory.clone(),
            env: task.options.env.clone(),
        }
    }
}

impl Pool {
    pub(super) fn new(idle_max: usize) -> Self {
        Self {
            idle: Mutex::default(),
            idle_max,
        }
    }

    /// A process that waits in this place; those that have ended or spoken meanwhile are dropped.
    fn take(&self, place: &Place) -> Option<Running> {
        loop {
            let idle = {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                // The one used last: the others may be given up one day.
                let index = idle.iter().rposition(|idle| idle.place == *place)?;
                idle.remove(index)?
            };
            if let Some(running) = if_silent(idle.running) {
                return Some(running);
            }
        }
    }

    fn put(&self, place: Place, running: Running) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push_back(Idle { place, running });
        while idle.len() > self.idle_max {
            idle.pop_front();
        }
    }
}

/// The process, if it runs and has written nothing since its last answer. Nothing blocks: the descriptors do not since
/// they were in a runtime.
fn if_silent(running: Running) -> Option<Running> {
    let Running {
        stdin,
        stdout,
        mut control,
        mut decoder,
        process,
    } = running;
    let mut stdout = File::from(stdout);
    if !would_block(&stdout.read(&mut [0])) {
        return None;
    }
    let mut bytes = [0; 256];
    loop {
        match control.read(&mut bytes) {
            Ok(read) if read > 0 => decoder.push(bytes.get(..read).unwrap_or_default()),
            other if would_block(&other) => break,
            _ => return None,
        }
    }
    // The news of its start may come after its first answer.
    while let Some(message) = decoder.next_message().ok()? {
        if !matches!(message, Message::Hello | Message::Started { .. }) {
            return None;
        }
    }
    Some(Running {
        stdin,
        stdout: stdout.into(),
        control,
        decoder,
        process,
    })
}

fn would_block(read: &io::Result<usize>) -> bool {
    matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// So many characters of a line that is no answer are shown.
const LINE_SHOWN_MAX: usize = 100;

pub(super) async fn run(shared: &Shared, task: &Task, context: &AttemptContext) -> Ended {
    let line = match task::line(task) {
        Ok(line) => line,
        Err(error) => return failed(FailureKind::Other, error.to_string(), None),
    };
    let start = match shared.start(task) {
        Ok(start) => start,
        Err(ended) => return *ended,
    };
    let place = Place::of(task);
    let program = start.program.to_string_lossy().into_owned();
    let mut stops = Stops::new(context, &shared.options);
    let waiting = shared
        .pool
        .take(&place)
        .and_then(|running| Process::attach(running).ok());
    let mut process = match waiting {
        Some(process) => process,
        None => match Process::start(&shared.launcher, start).await {
            Ok(process) => process,
            Err(error) => return start_error(&error, &program),
        },
    };
    let mut input = Input::new(line, false);
    let mut output = Vec::new();
    let mut answers = Lines {
        task,
        context,
        shared,
        looked: 0,
        kept: 0,
    };
    let over = loop {
        tokio::select! {
            biased;
            order = stops.next() => process.order(order).await,
            news = process.next(&mut input, &mut output, &context.pressure) => match news {
                News::Output if stops.stop.is_some() => output.clear(),
                News::Output => {
                    match answers.take(&mut output) {
                        Some(found) => {
                            // Kept for the next task, unless it has not read this one or says more than it was asked.
                            if input.is_done()
                                && output.is_empty()
                                && let Some(running) = process.detach()
                            {
                                shared.pool.put(place, running);
                            }
                            return ended(found);
                        }
                        None if answers.kept + output.len() > shared.options.output_bytes_max => {
                            stops.stop = Some(Stop::TooMuchOutput);
                            process.close_stdout();
                            process.order(Order::Kill).await;
                        }
                        None => {}
                    }
                }
                // It cannot answer any more. Most often it is about to end by itself, and its exit says why.
                News::Closed => process.order(Order::Terminate { grace: context.grace }).await,
                News::Over(over) => break over,
            },
        }
    };
    if let Some(ended) = stops.ended(&over, &shared.options) {
        return ended;
    }
    // It may have answered with its last breath.
    process.rest(&mut output, shared.options.output_bytes_max);
    output.push(b'\n');
    match (answers.take(&mut output), &over) {
        (Some(found), Over::Ended { .. }) => ended(found),
        _ => over.crash(&program),
    }
}

fn ended(answer: Answer) -> Ended {
    match answer {
        Answer::Value(value, usage) => Ended::new(AgentOutcome::Completed(value.into()), usage),
        Answer::Error(failure, usage) => Ended::new(AgentOutcome::Failed(failure), usage),
    }
}

/// Reads the lines that come while a task is at work.
struct Lines<'a> {
    task: &'a Task,
    context: &'a AttemptContext,
    shared: &'a Shared,
    /// Up to where there is no end of a line.
    looked: usize,
    /// Bytes of lines that were neither answer nor event.
    kept: usize,
}

impl Lines<'_> {
    /// Takes whole lines off `output` up to the answer, which it gives.
    fn take(&mut self, output: &mut Vec<u8>) -> Option<Answer> {
        let mut start = 0;
        let mut found = None;
        while found.is_none()
            && let Some(offset) = output
                .get(self.looked..)
                .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            let end = self.looked + offset + 1;
            let line = String::from_utf8_lossy(output.get(start..end).unwrap_or_default());
            found = self.line(line.trim());
            start = end;
            self.looked = end;
        }
        output.drain(..start);
        self.looked = if found.is_some() { 0 } else { output.len() };
        found
    }

    fn line(&mut self, line: &str) -> Option<Answer> {
        let token = self.task.token;
        let parts = Parts::of(line).filter(|parts| {
            let key = self.task.idempotency_key.to_hex();
            let (run, agent) = (token.run.to_string(), task::agent_id(self.task));
            !parts.names_another(&run, &agent, token.attempt.0, &key)
        });
        let answer = parts
            .as_ref()
            .and_then(|parts| parts.answer(&*self.shared.now));
        if answer.is_none() {
            if parts.is_some_and(|parts| parts.is_event()) {
                report(self.task, self.context, line);
            } else {
                if self.kept == 0 && !line.is_empty() {
                    tracing::warn!(
                        %token,
                        line = %line.chars().take(LINE_SHOWN_MAX).collect::<String>(),
                        "an agent that is given lines wrote one that is no answer to its task: {{\"value\": …}} or \
                         {{\"error\": …}} is expected"
                    );
                }
                self.kept += line.len();
            }
        }
        answer
    }
}
