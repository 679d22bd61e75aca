//! The machine's rules for the run as a whole: pause, stop, crash, end.

use bellwether_journal::id::{Attempt, CallNumber};
use bellwether_journal::record::{
    Actor, CallSettled, Cancellation, Millis, OrchestratorLost, Outcome, Record, Recovered,
    RunEnded, ScriptError, Status, StatusChanged, Usage,
};
use bellwether_journal::state::CallStatus;
use bellwether_journal::text::{self};

use super::machine::{Ending, Machine, Permits, Stage, cut};
use super::output::{Action, Output};

impl Machine {
    /// Starts nothing new.
    pub fn pause(&mut self, by: Actor, reason: Option<String>, now: Millis, out: &mut Output) {
        if self.stage != Stage::Live {
            return;
        }
        self.stage = Stage::Pausing(by.clone());
        self.status(Status::Pausing, by, reason, now, out);
        self.settle_down(now, out);
    }

    /// Goes on after a pause.
    pub fn resume(&mut self, by: Actor, now: Millis, permits: &mut dyn Permits, out: &mut Output) {
        if !matches!(self.stage, Stage::Pausing(_) | Stage::Paused) {
            return;
        }
        self.stage = Stage::Live;
        self.status(Status::Running, by, None, now, out);
        self.arm_all(out);
        self.arm_deadlines(out);
        self.start_waiting(now, permits, out);
    }

    /// Ends the run's agents and leaves the run resumable: `to` is `Stopped` or `Killed`. A kill overtakes a stop.
    pub fn stop(
        &mut self,
        to: Status,
        by: Actor,
        reason: Option<String>,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        let kill = to == Status::Killed;
        match &self.stage {
            Stage::Stopping { .. } | Stage::Ending(_) if kill => {
                out.act(self.state.next, Action::KillAgents);
                return;
            }
            Stage::Stopping { .. } | Stage::Ending(_) | Stage::Over => return,
            Stage::Live | Stage::Pausing(_) | Stage::Paused => {}
        }
        permits.forget();
        self.backlog.clear();
        self.status(Status::Stopping, by.clone(), reason.clone(), now, out);
        self.stage = Stage::Stopping { to, by, reason };
        self.record_held(now, out);
        out.act(self.state.next, Action::DropScript);
        let end = if kill {
            Action::KillAgents
        } else {
            Action::CancelAgents
        };
        out.act(self.state.next, end);
        self.settle_down(now, out);
    }

    /// The VM is gone, and not for anything that the script did: it is made anew.
    pub fn vm_taken(&mut self, out: &mut Output) {
        if !self.wants_script() {
            return;
        }
        self.owed.clear();
        self.backlog.clear();
        out.act(self.state.next, Action::RebuildScript);
    }

    /// The VM's actor died.
    pub fn orchestrator_lost(
        &mut self,
        message: &str,
        spent: bool,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        if !self.wants_script() {
            return;
        }
        let at = self.delivered;
        let before = self
            .state
            .orchestrator_losses
            .iter()
            .any(|(position, _)| *position == at);
        let lost = OrchestratorLost {
            at,
            message: cut(message.to_owned()),
        };
        self.append(Record::OrchestratorLost(Box::new(lost)), now, out);
        self.owed.clear();
        self.backlog.clear();
        if before || spent {
            let why = if before {
                "twice at the same place"
            } else {
                "too often"
            };
            self.quarantine(
                format!("the script's VM crashed {why}: {message}"),
                now,
                permits,
                out,
            );
        } else {
            out.act(self.state.next, Action::RebuildScript);
        }
    }

    /// The run's supervisor crashed too often: the run ends here.
    pub fn condemn(&mut self, why: &str, now: Millis, permits: &mut dyn Permits, out: &mut Output) {
        self.append(Record::Recovered(Recovered { epoch: self.epoch }), now, out);
        self.quarantine(
            format!("the run's supervisor crashed too often: {why}"),
            now,
            permits,
            out,
        );
    }

    pub(super) fn quarantine(
        &mut self,
        message: String,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        let error = ScriptError {
            name: "QuarantineError".to_owned(),
            code: Some("QUARANTINED".to_owned()),
            message,
            line: 0,
            column: 0,
            stack: String::new(),
        };
        let end = Ending {
            result: None,
            error: Some(error),
            resumable: false,
            status: Status::Quarantined,
        };
        self.end(end, now, permits, out);
    }

    pub(super) fn end(
        &mut self,
        end: Ending,
        now: Millis,
        permits: &mut dyn Permits,
        out: &mut Output,
    ) {
        permits.forget();
        self.stage = Stage::Ending(Box::new(end));
        self.record_held(now, out);
        self.backlog.clear();
        self.waiting.clear();
        self.at_hand.clear();
        self.loading.clear();
        self.reading.clear();
        self.questions.clear();
        self.timers.clear();
        out.act(self.state.next, Action::DropScript);
        let resumable = matches!(&self.stage, Stage::Ending(end) if end.resumable);
        let idle: Vec<CallNumber> = self
            .state
            .unsettled()
            .filter(|(_, call)| !resumable && call.status != CallStatus::Running)
            .map(|(number, _)| number)
            .collect();
        for call in idle {
            let outcome = Outcome::Cancelled(Cancellation::ScriptEnded);
            let attempt = Attempt(0);
            let settled = CallSettled {
                call,
                attempt,
                outcome,
                usage: Usage::default(),
            };
            self.append(Record::CallSettled(Box::new(settled)), now, out);
        }
        if self.running() > 0 {
            out.act(self.state.next, Action::CancelAgents);
        }
        self.settle_down(now, out);
    }

    /// When the last agent has ended, whatever waited for that happens.
    pub(super) fn settle_down(&mut self, now: Millis, out: &mut Output) {
        if self.running() > 0 {
            return;
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Pausing(by) => {
                self.stage = Stage::Paused;
                self.status(Status::Paused, by, None, now, out);
            }
            Stage::Stopping { to, by, reason } => {
                self.status(to, by, reason, now, out);
                out.act(self.state.next, Action::Finish);
            }
            Stage::Ending(end) => self.finish(*end, now, out),
            stage @ (Stage::Live | Stage::Paused | Stage::Over) => self.stage = stage,
        }
    }

    pub(super) fn finish(&mut self, end: Ending, now: Millis, out: &mut Output) {
        let status = match end.status {
            Status::Completed if self.state.counts.failed > 0 => Status::Degraded,
            status => status,
        };
        let result = end.result.map(text::pack);
        let position = self.state.next;
        let by = if status == Status::Quarantined {
            Actor::Engine
        } else {
            Actor::Script
        };
        let ended = RunEnded {
            status,
            result: result.as_ref().map(|packed| packed.stored.clone()),
            error: end.error.map(|error| ScriptError {
                message: cut(error.message),
                stack: cut(error.stack),
                ..error
            }),
            by,
        };
        self.append(Record::RunEnded(Box::new(ended)), now, out);
        if let Some(packed) = &result {
            out.attach(position, packed);
        }
        out.act(self.state.next, Action::Finish);
    }

    pub(super) fn status(
        &mut self,
        status: Status,
        by: Actor,
        reason: Option<String>,
        now: Millis,
        out: &mut Output,
    ) {
        let changed = StatusChanged { status, by, reason };
        self.append(Record::StatusChanged(Box::new(changed)), now, out);
    }
}
