//! A live run is rewound without being stopped: it stands still while its journal is read, then its next generation begins
//! under the same supervisor, and the agents at work are not told.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bellwether_journal::record::CallKind;
use ractor::{ActorProcessingErr, ActorRef, RpcReplyPort};

use super::message::{Arguments, Message};
use super::supervisor::{State, spawn_orchestrator};
use crate::journal::Acknowledgement;
use crate::restart::History;

/// Whether the run stands still.
#[derive(Default)]
pub(super) enum Still {
    /// It goes on.
    #[default]
    No,
    /// It is to, as soon as it is at rest.
    Wanted(RpcReplyPort<bool>),
    /// It does: nothing is decided, and these messages wait.
    Yes(Vec<Message>),
}

impl State {
    /// Puts a message by that has to wait until the run goes on.
    pub(super) fn put_by(&mut self, message: Message) -> Option<Message> {
        let Still::Yes(waiting) = &mut self.still else {
            return Some(message);
        };
        match message {
            Message::Acknowledged(Acknowledgement::Failed(_)) => {
                // Whoever reads the journal will see; the run is over for this engine.
                self.go_on();
                Some(message)
            }
            Message::Acknowledged(_) | Message::GoOn | Message::Rewound(..) => Some(message),
            message => {
                waiting.push(message);
                None
            }
        }
    }

    pub(super) fn stand_still(&mut self, reply: RpcReplyPort<bool>) {
        if matches!(self.still, Still::No) {
            self.still = Still::Wanted(reply);
        } else {
            // Somebody else is at it.
            let _ = reply.send(false);
        }
    }

    /// Stands still if that is wanted and the run is at rest. What takes its time to come to rest is not waited for.
    pub(super) fn come_to_rest(&mut self) {
        if !matches!(self.still, Still::Wanted(_)) {
            return;
        }
        let will_rest = self.machine.is_live()
            && !self.finished
            && self.journal_failed.is_none()
            && !self.machine.is_at_work_on(CallKind::Merge);
        let rests = self.machine.is_at_rest()
            && self.fetching == 0
            && self.turns_owed == 0
            && self.pool.is_some()
            && self.orchestrator.is_some()
            && self.effects.is_empty()
            && self.output.rows.is_empty()
            && self.durable == self.machine.state().next;
        if (rests || !will_rest)
            && let Still::Wanted(reply) = std::mem::take(&mut self.still)
        {
            if will_rest {
                self.still = Still::Yes(Vec::new());
            }
            if reply.send(will_rest).is_err() {
                self.go_on();
            }
        }
    }

    /// What waited is heard now.
    pub(super) fn go_on(&mut self) {
        if let Still::Yes(waiting) = &mut self.still {
            self.unheard.extend(std::mem::take(waiting));
            self.still = Still::No;
        }
    }

    /// The next generation begins. `false` when the run does not stand still any more.
    pub(super) async fn change_over(
        &mut self,
        myself: &ActorRef<Message>,
        arguments: Arguments,
    ) -> Result<bool, ActorProcessingErr> {
        if !matches!(self.still, Still::Yes(_)) {
            return Ok(false);
        }
        let orchestrator = spawn_orchestrator(myself, arguments.vm_idle).await?;
        if let Some(old) = self.orchestrator.replace(orchestrator) {
            old.stop(None);
        }
        self.abandoned.store(true, Ordering::Relaxed);
        let timers = self.timers.drain().map(|(_, task)| task);
        let deadlines = self.deadlines.drain().map(|(_, task)| task);
        for task in timers.chain(deadlines) {
            task.abort();
        }
        self.surroundings.scheduler.forget(self.run);
        let left = self.machine.leave();
        self.machine = arguments.machine.with_left(left);
        self.round += 1;
        self.make_vm = arguments.make_vm;
        self.make_keys = arguments.make_keys;
        self.load_script = arguments.load_script;
        self.tell_asked = arguments.tell_asked;
        self.working_directory = arguments.working_directory;
        self.grace = arguments.grace;
        self.abandoned = arguments.abandoned;
        self.vm_idle = arguments.vm_idle;
        self.orchestrator_history = History::default();
        self.rebuild_after = Duration::ZERO;
        self.answers.clear();
        self.recalls.clear();
        self.limit_time(myself, arguments.time_limit);
        self.begin(arguments.beginning);
        self.go_on();
        Ok(true)
    }
}
