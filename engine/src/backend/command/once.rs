//! One process for one task.

use bellwether_actors::backend::{AgentOutcome, AttemptContext, Ended, ProgressEvent, Task};
use bellwether_journal::record::{FailureKind, Usage};
use bellwether_launcher::{Exit, Order};

use super::answer::{self, Answer, Parts};
use super::process::{Input, News, Over, Process, Stop, Stops, failed, start_error};
use super::{InputMode, Shared, task};

/// A longer event is not passed on: progress is for people.
const EVENT_BYTES_MAX: usize = 64 * 1024;

/// As much of what an agent had written before it was ended is kept, in bytes.
const WRITTEN_BYTES_MAX: usize = 4 * 1024;

pub(super) async fn run(shared: &Shared, task: &Task, context: &AttemptContext) -> Ended {
    let input = match shared.options.input {
        InputMode::Prompt => task::text(&shared.options.command, task)
            .into_owned()
            .into_bytes(),
        InputMode::Task | InputMode::Lines => match task::line(task) {
            Ok(line) => line,
            Err(error) => return failed(FailureKind::Other, error.to_string(), None),
        },
    };
    let start = match shared.start(task) {
        Ok(start) => start,
        Err(ended) => return *ended,
    };
    let program = start.program.to_string_lossy().into_owned();
    let mut stops = Stops::new(context, &shared.options);
    let mut process = match Process::start(&shared.launcher, start).await {
        Ok(process) => process,
        Err(error) => return start_error(&error, &program),
    };
    let mut input = Input::new(input, true);
    let limit = shared.options.output_bytes_max;
    let mut output = Output::default();
    let over = loop {
        tokio::select! {
            biased;
            order = stops.next() => process.order(order).await,
            news = process.next(&mut input, &mut output.bytes, &context.pressure) => match news {
                News::Output => {
                    output.take_events(&mut |event| report(task, context, event));
                    if output.bytes.len() > limit {
                        process.close_stdout();
                        output = Output::default();
                        if stops.stop.is_none() {
                            stops.stop = Some(Stop::TooMuchOutput);
                            process.order(Order::Kill).await;
                        }
                    }
                }
                News::Closed => {}
                News::Over(over) => break over,
            },
        }
    };
    process.rest(&mut output.bytes, limit);
    output.take_events(&mut |event| report(task, context, event));
    if output.bytes.len() > limit && stops.stop.is_none() {
        stops.stop = Some(Stop::TooMuchOutput);
    }
    if let Some(mut ended) = stops.ended(&over, &shared.options) {
        ended.written = over.evidence().or_else(|| output.end());
        return ended;
    }
    conclude(&over, &output.into_text(), shared, &program)
}

/// Passes an agent's event on.
pub(super) fn report(task: &Task, context: &AttemptContext, event: &str) {
    if event.len() <= EVENT_BYTES_MAX {
        context.progress.report(ProgressEvent {
            token: task.token,
            event: event.into(),
        });
    }
}

/// What an end and an output mean together.
fn conclude(over: &Over, output: &str, shared: &Shared, program: &str) -> Ended {
    let answer = match over {
        Over::Ended { .. } => answer::read(output, &*shared.now),
        Over::NotStarted { .. } | Over::LauncherLost { .. } => return over.crash(program),
    };
    match (answer, over) {
        (Answer::Error(failure, usage), _) => error(failure, usage, over),
        (
            Answer::Value(value, usage),
            Over::Ended {
                exit: Exit::Code(0),
                ..
            },
        ) => Ended::new(AgentOutcome::Completed(value.into()), usage),
        (Answer::Value(_, usage), _) => Ended {
            usage,
            ..over.crash(program)
        },
    }
}

/// The failure that an agent reports, with the end of its stderr beside it.
fn error(mut failure: bellwether_journal::record::Failure, usage: Usage, over: &Over) -> Ended {
    failure.evidence = over.evidence();
    Ended::new(AgentOutcome::Failed(failure), usage)
}

/// What an agent has written, without its events.
#[derive(Default)]
struct Output {
    bytes: Vec<u8>,
    /// Where the line begins that has not ended yet.
    line: usize,
    /// Up to where there is no end of it.
    looked: usize,
}

impl Output {
    /// Takes out the lines that are events.
    fn take_events(&mut self, report: &mut dyn FnMut(&str)) {
        while let Some(offset) = self
            .bytes
            .get(self.looked..)
            .and_then(|rest| rest.iter().position(|byte| *byte == b'\n'))
        {
            let end = self.looked + offset + 1;
            if self.is_event(end, report) {
                self.bytes.drain(self.line..end);
                self.looked = self.line;
            } else {
                self.line = end;
                self.looked = end;
            }
        }
        self.looked = self.bytes.len();
    }

    fn is_event(&self, end: usize, report: &mut dyn FnMut(&str)) -> bool {
        let Some(line) = self.bytes.get(self.line..end) else {
            return false;
        };
        // Only from the first column on: what is indented belongs to an object over several lines.
        if line.first() != Some(&b'{') {
            return false;
        }
        let Ok(line) = std::str::from_utf8(line) else {
            return false;
        };
        let line = line.trim_end();
        let is_event = Parts::of(line).is_some_and(|parts| parts.is_event());
        if is_event {
            report(line);
        }
        is_event
    }

    /// The last of what was written; `None` when that is nothing.
    fn end(&self) -> Option<String> {
        let from = self.bytes.len().saturating_sub(WRITTEN_BYTES_MAX);
        let text = String::from_utf8_lossy(self.bytes.get(from..)?);
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn into_text(mut self) -> String {
        // A last line without a newline may be an event too, but then nobody waits for progress any more.
        if self.is_event(self.bytes.len(), &mut |_| {}) {
            self.bytes.truncate(self.line);
        }
        String::from_utf8(self.bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_out_whatever_the_pieces() {
        let text = "log\n{\"event\": 1}\n{\"event\": \"é\"}\r\n{\n  \"value\": 1\n}\n{\"event\": 2, \"value\": 3}\n{\"event\"";
        for size in 1..=text.len() {
            let mut output = Output::default();
            let mut events = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                output.bytes.extend_from_slice(piece);
                output.take_events(&mut |event| events.push(event.to_owned()));
            }
            assert_eq!(events, ["{\"event\": 1}", "{\"event\": \"é\"}"]);
            let rest = "log\n{\n  \"value\": 1\n}\n{\"event\": 2, \"value\": 3}\n{\"event\"";
            assert_eq!(output.into_text(), rest);
        }
    }
}
