//! How a run begins, is taken up and is rewound, as `start.rs`, `resume.rs` and `rewind.rs` of the engine do it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bellwether_actors::backend::{AgentBackend, AttemptContext, Ended, Task};
use bellwether_actors::run::keys::{Backends, Keys};
use bellwether_actors::run::machine::{Caps, Machine, Way};
use bellwether_actors::run::replay::{self, Recovered};
use bellwether_actors::run::rewind::{Base, Rewind, Rules};
use bellwether_journal::id::{CallNumber, Generation, Position};
use bellwether_journal::key::Digest;
use bellwether_journal::record::{
    Actor, Base as BaseRecord, FailureKind, GenerationOpened, GenerationRewound, Policy, Record,
    RunStarted,
};
use bellwether_journal::state::RunState;
use bellwether_journal::store::Store as _;
use bellwether_journal::text::{self, Text};
use futures_util::future::BoxFuture;

use crate::life::Life;
use crate::oracle::{Checked, Facts, ensure};
use crate::program::Program;
use crate::script::{Model, Told};
use crate::supervisor::{Script, Supervisor};

/// Whether there is more to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Step,
    Done,
}

/// A backend that is never asked: what becomes of agents is the world's affair.
struct Unused;

impl AgentBackend for Unused {
    fn run(&self, _: Arc<Task>, _: AttemptContext) -> BoxFuture<'static, Ended> {
        Box::pin(std::future::ready(Ended::failed(
            FailureKind::Other,
            "nobody runs here",
        )))
    }
}

fn keys() -> Keys {
    let unused: Arc<dyn AgentBackend> = Arc::new(Unused);
    let backends = Backends::new(HashMap::from([("model".to_owned(), unused)]), "model");
    Keys::new(Arc::new(backends))
}

impl Life {
    /// The journal is opened for writing, by an engine that has nothing to do with the one before.
    pub(crate) fn new_engine(&mut self) -> Checked {
        self.epoch = self
            .store
            .raise_epoch()
            .map_err(|error| error.to_string())?;
        Ok(())
    }

    /// Nobody has the run: it is begun, taken up, rewound, or over.
    pub(crate) fn goes_on(&mut self) -> Result<Next, String> {
        self.check_end()?;
        let has_ended_here = self
            .supervisor
            .as_ref()
            .is_some_and(|supervisor| !supervisor.has_failed_journal);
        self.drop_supervisor();
        if !has_ended_here {
            self.world.orphan_all(&mut self.random);
        }
        self.decided = self.durable.clone();
        if !has_ended_here || self.random.one_in(2) {
            self.new_engine()?;
        }
        if self.durable_state.generation.is_none() {
            self.begin_run()?;
            return Ok(Next::Step);
        }
        let may_rewind = !self.is_calm && self.durable.generation.0 < crate::life::GENERATIONS_MAX;
        if !self.durable_state.is_resumable() {
            if !may_rewind {
                return Ok(Next::Done);
            }
            self.rewind()?;
        } else if may_rewind && self.random.one_in(5) {
            self.rewind()?;
        } else {
            // With another limit than the one that may have ended it.
            self.is_limited = false;
            self.recover(Way::Running)?;
        }
        Ok(Next::Step)
    }

    /// Whether the generation that is decided may merge again what was merged.
    pub(crate) fn repeats_merges(&self) -> bool {
        let number = self.decided.generation.0;
        self.repeats_merges
            .get(&number)
            .copied()
            .unwrap_or_default()
    }

    fn caps_of(&self, state: &RunState) -> Caps {
        let limits = state.limits;
        let at_once = |limit: u32| (limit > 0).then_some(limit as usize);
        Caps {
            concurrency: limits.concurrency.map_or(self.caps.concurrency, at_once),
            agents: limits.agents.unwrap_or(self.caps.agents),
            budget: self.caps.budget,
        }
    }

    /// The script of a generation at its first line.
    fn script(&mut self, generation: Generation) -> Script {
        self.is_limited = true;
        self.told = Told::default();
        self.told_in = generation.0;
        let number = self.programs.len() - 1;
        let program = &self.programs[number];
        let (vm, first) = Model::begin(program, program.limit, self.told.clone());
        Script {
            vm: Box::new(vm),
            first: Some(first),
            inbox: VecDeque::new(),
        }
    }

    fn opened(
        &mut self,
        number: Generation,
        base: Option<BaseRecord>,
        rules: &Rules,
    ) -> GenerationOpened {
        let mut dirty: Vec<CallNumber> = rules.dirty.iter().copied().collect();
        dirty.sort_unstable();
        GenerationOpened {
            number,
            base,
            script: Text::Inline((self.programs.len() - 1).to_string().into()),
            args: None,
            vm_identity: Digest::default(),
            seed: [0; 32],
            time: 1_000_000,
            dirty,
            policy: rules.policy,
            budget_total: self
                .random
                .one_in(6)
                .then(|| 40 + self.random.below(400) as u64),
        }
    }

    fn begin_run(&mut self) -> Checked {
        self.decided = Facts::new(self.run);
        let rules = Rules {
            policy: Policy::Causal,
            keep_failed: false,
            dirty: HashSet::new(),
        };
        let opened = self.opened(Generation(1), None, &rules);
        let started = RunStarted {
            name: "simulated".to_owned(),
            script_path: None,
            options: text::pack("{}".into()).stored,
            working_directory: ".".to_owned(),
            base_commit: None,
            started_by: String::new(),
        };
        let records = vec![
            Record::RunStarted(Box::new(started)),
            Record::GenerationOpened(Box::new(opened)),
        ];
        self.repeats_merges.clear();
        let machine = Machine::new(
            RunState::new(self.run),
            self.epoch,
            self.caps,
            keys(),
            BTreeMap::new(),
        );
        let script = self.script(Generation(1));
        self.supervisor = Some(Supervisor::new(machine, script));
        self.begin(records)
    }

    fn begin(&mut self, records: Vec<Record>) -> Checked {
        self.decide(|machine, now, _, out| machine.begin(records, &[], Actor::Engine, now, out))
    }

    /// A run from its records up to a position; what its VM is told goes to `told`.
    fn recovered(&self, until: Position, told: &Told) -> Result<Recovered, String> {
        let generation = self
            .durable_state
            .generation
            .as_ref()
            .ok_or("there is nothing to recover")?;
        let source = replay::Source {
            store: &self.store,
            run: self.run,
            generation: generation.number,
            until,
            cancelled: &AtomicBool::new(false),
        };
        let program = self.program(&generation.script)?;
        let is_limited = self.is_limited && self.told_in == generation.number.0;
        let limit = program.limit.filter(|_| is_limited);
        let recovered = replay::recover(&source, keys(), |_| {
            let (vm, turn) = Model::begin(program, limit, told.clone());
            Ok((Box::new(vm), turn))
        });
        let recovered =
            recovered.map_err(|error| format!("the run cannot be recovered: {error}"))?;
        self.check_told(until, generation.number, told)?;
        Ok(recovered)
    }

    fn program(&self, script: &Text) -> Result<&Arc<Program>, String> {
        let Text::Inline(number) = script else {
            return Err("a script that is not the model's".to_owned());
        };
        let number: usize = number
            .parse()
            .map_err(|_| "a script that is not the model's")?;
        self.programs
            .get(number)
            .ok_or_else(|| format!("there is no script {number}"))
    }

    /// A new VM was told what the journal has, and what the old one was told before it.
    fn check_told(&self, until: Position, generation: Generation, told: &Told) -> Checked {
        let new = told.all();
        self.durable.was_told(0, &new)?;
        let expected = self.durable.answers_before(until);
        let is_all = new.len() == expected || (told.has_ended() && new.len() < expected);
        ensure(is_all, || {
            format!("the new VM was told {} of {expected} answers", new.len())
        })?;
        if self.told_in == generation.0 {
            let old = self.told.all();
            let differs = (0..old.len().min(new.len())).find(|index| old[*index] != new[*index]);
            if let Some(index) = differs {
                return Err(format!(
                    "the new VM is told {:?}, and the old one was told {:?}",
                    new[index], old[index]
                ));
            }
        }
        Ok(())
    }

    /// What a recovery would come to now is what the records say.
    pub(crate) fn probe(&mut self) -> Checked {
        let Some(supervisor) = &self.supervisor else {
            return Ok(());
        };
        if self.durable_state.generation.is_none() || !supervisor.machine.wants_script() {
            return Ok(());
        }
        let recovered = self.recovered(Position(u64::MAX), &Told::default())?;
        ensure(recovered.state == self.durable_state, || {
            "a recovery comes to another state than the records".to_owned()
        })?;
        let machine = &supervisor.machine;
        let is_quiet = machine.state().next == self.durable_state.next;
        ensure(!is_quiet || *machine.state() == self.durable_state, || {
            "the machine's state is another than that of its records".to_owned()
        })
    }

    /// Takes the run up where its records end.
    pub(crate) fn recover(&mut self, way: Way) -> Checked {
        self.figures.saw("recovery");
        let told = Told::default();
        let recovered = self.recovered(Position(u64::MAX), &told)?;
        ensure(recovered.state == self.durable_state, || {
            "the recovered state is another than that of the records".to_owned()
        })?;
        self.told = told;
        self.is_limited &= self.told_in == self.durable.generation.0;
        self.told_in = self.durable.generation.0;
        let Recovered {
            state,
            vm,
            keys,
            timers,
            pures,
            fresh,
        } = recovered;
        let rewind = match &state.generation {
            Some(generation) => Rewind::load(&self.store, self.run, generation)
                .map_err(|error| error.to_string())?,
            None => None,
        };
        let rewind = rewind.map(|rewind| rewind.repeating_merges(self.repeats_merges()));
        let caps = self.caps_of(&state);
        let machine = Machine::new(state, self.epoch, caps, keys, timers)
            .with_rewind(rewind)
            .with_pures(pures);
        let script = Script {
            vm,
            first: None,
            inbox: VecDeque::new(),
        };
        self.supervisor = Some(Supervisor::new(machine, script));
        self.decide(|machine, now, permits, out| {
            machine.go_on(fresh, Actor::Engine, way, now, permits, out);
        })
    }

    /// Its supervisor crashed too often.
    pub(crate) fn condemn(&mut self) -> Checked {
        let state = self.durable_state.clone();
        let machine = Machine::new(state, self.epoch, self.caps, keys(), BTreeMap::new());
        let mut supervisor = Supervisor::new(machine, self.script(Generation(0)));
        supervisor.lose_script();
        self.supervisor = Some(supervisor);
        self.decide(|machine, now, permits, out| {
            machine.condemn("it is a simulation", now, permits, out);
        })
    }

    /// A new VM, up to where the old one was lost.
    pub(crate) fn rebuild(&mut self) -> Checked {
        let Some(supervisor) = &mut self.supervisor else {
            return Ok(());
        };
        let Some(until) = supervisor.rebuild.take() else {
            return Ok(());
        };
        if !supervisor.machine.wants_script() {
            return Ok(());
        }
        let told = Told::default();
        let recovered = self.recovered(until, &told)?;
        self.told = told;
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.adopt_script(recovered.vm);
        }
        let (timers, fresh) = (recovered.timers, recovered.fresh);
        self.decide(|machine, now, permits, out| machine.rebuilt(timers, fresh, now, permits, out))
    }

    /// The next generation: a script that may be edited, and what of the base runs again.
    fn next_generation(&mut self) -> Result<(Rewind, Generation, Record), String> {
        self.figures.saw("rewind");
        let number = self.random.below(self.programs.len());
        let edited = self.programs[number].edited(&mut self.random);
        self.programs.push(Arc::new(edited));
        let open = self
            .durable_state
            .generation
            .clone()
            .ok_or("there is nothing to rewind")?;
        let cut = self.durable_state.next;
        let base = Base::read(&self.store, self.run, open.number, cut)
            .map_err(|error| error.to_string())?;
        let calls = base.calls.len();
        let dirty = (0..calls)
            .filter(|_| self.random.one_in(10))
            .map(|call| CallNumber(call as u32))
            .collect();
        let rules = Rules {
            policy: [
                Policy::Causal,
                Policy::Causal,
                Policy::Causal,
                Policy::Prefix,
                Policy::ReuseAll,
            ][self.random.below(5)],
            keep_failed: self.random.one_in(3),
            dirty,
        };
        let repeats_merges = self.random.one_in(2);
        self.repeats_merges
            .insert(open.number.next().0, repeats_merges);
        let from = BaseRecord {
            run: self.run,
            generation: open.number,
            cut,
        };
        let next = open.number.next();
        let rewound = GenerationRewound {
            opened: self.opened(next, Some(from), &rules),
            keep_failed: rules.keep_failed,
            options: text::pack("{}".into()).stored,
            script_path: None,
            epoch: self.epoch,
            by: Actor::Engine,
            reason: None,
        };
        let rewind = Rewind::new(Arc::new(base), rules).repeating_merges(repeats_merges);
        Ok((rewind, next, Record::GenerationRewound(Box::new(rewound))))
    }

    /// Of a run that nobody has.
    fn rewind(&mut self) -> Checked {
        let (rewind, number, record) = self.next_generation()?;
        let state = self.durable_state.clone();
        let caps = self.caps_of(&state);
        let machine = Machine::new(state, self.epoch, caps, keys(), BTreeMap::new())
            .with_rewind(Some(rewind));
        let script = self.script(number);
        self.supervisor = Some(Supervisor::new(machine, script));
        self.begin(vec![record])
    }

    /// Of a run that goes on: what is at work is not told.
    pub(crate) fn rewind_live(&mut self) -> Checked {
        let (rewind, number, record) = self.next_generation()?;
        let (state, epoch) = (self.durable_state.clone(), self.epoch);
        let caps = self.caps_of(&state);
        let script = self.script(number);
        self.scheduler.forget(self.run);
        if let Some(supervisor) = &mut self.supervisor {
            let make = |old: &mut Machine| {
                let left = old.leave();
                Machine::new(state, epoch, caps, keys(), BTreeMap::new())
                    .with_rewind(Some(rewind))
                    .with_left(left)
            };
            supervisor.change_over(make, script);
        }
        self.begin(vec![record])
    }
}
