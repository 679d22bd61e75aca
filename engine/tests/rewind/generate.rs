//! Scripts that know what each of their calls waits for, edits of them, and what an edit makes run again.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Numbers that look random and are the same for the same seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

/// A call: its label tells it from all others, its prompt may be another's, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) label: usize,
    pub(crate) prompt: usize,
}

/// A statement, awaited by the one after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    /// One after the other.
    Sequence(Vec<Call>),
    /// Lanes side by side, each a sequence; with what of the language.
    Lanes(Lanes, Vec<Vec<Call>>),
}

/// By what lanes run side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lanes {
    Parallel,
    All,
    Pipeline,
}

/// A script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) statements: Vec<Statement>,
    labels: usize,
}

/// What is done to a script or asked of its rewind.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// Nothing at all.
    Nothing,
    /// The call of this label runs again.
    Again(usize),
    /// It has a prompt that no other has.
    Prompt(usize),
    /// A statement of one call more, before this one.
    Insert(usize),
    /// A statement less.
    Remove(usize),
    /// Two lanes of a statement change places.
    Swap(usize, usize, usize),
}

impl Program {
    pub(crate) fn random(random: &mut Random) -> Self {
        let mut program = Self {
            statements: Vec::new(),
            labels: 0,
        };
        for _ in 0..=random.below(4) {
            let statement = program.statement(random);
            program.statements.push(statement);
        }
        program
    }

    fn call(&mut self, random: &mut Random) -> Call {
        self.labels += 1;
        Call {
            label: self.labels,
            // Some prompts are many calls'.
            prompt: if random.below(3) == 0 { 0 } else { self.labels },
        }
    }

    fn statement(&mut self, random: &mut Random) -> Statement {
        let length = 1 + random.below(3);
        if random.below(3) == 0 {
            return Statement::Sequence((0..length).map(|_| self.call(random)).collect());
        }
        let by = [Lanes::Parallel, Lanes::All, Lanes::Pipeline][random.below(3)];
        let lanes = (0..=random.below(5))
            .map(|_| {
                let length = match by {
                    // All items of a pipeline have all its stages.
                    Lanes::Pipeline => length,
                    Lanes::Parallel => 1 + random.below(3),
                    Lanes::All => 1,
                };
                (0..length).map(|_| self.call(random)).collect()
            })
            .collect();
        Statement::Lanes(by, lanes)
    }

    /// The calls, each with its statement.
    pub(crate) fn calls(&self) -> Vec<(usize, Call)> {
        let mut calls = Vec::new();
        for (index, statement) in self.statements.iter().enumerate() {
            let lanes: Vec<&Call> = match statement {
                Statement::Sequence(sequence) => sequence.iter().collect(),
                Statement::Lanes(_, lanes) => lanes.iter().flatten().collect(),
            };
            calls.extend(lanes.into_iter().map(|call| (index, call.clone())));
        }
        calls
    }

    pub(crate) fn edit(&self, random: &mut Random) -> Edit {
        let calls = self.calls();
        let (_, call) = &calls[random.below(calls.len())];
        let label = call.label;
        let statement = random.below(self.statements.len());
        match random.below(6) {
            0 => Edit::Nothing,
            1 => Edit::Again(label),
            // Equal calls of lanes are told apart by their order: without one of them the others are others.
            2 if call.prompt != 0 => Edit::Prompt(label),
            3 => Edit::Insert(statement),
            4 => Edit::Remove(statement),
            _ => match &self.statements[statement] {
                Statement::Lanes(Lanes::Parallel, lanes)
                    if lanes.len() > 1 && lanes.iter().all(|lane| lane[0].prompt != 0) =>
                {
                    Edit::Swap(statement, 0, lanes.len() - 1)
                }
                _ => Edit::Again(label),
            },
        }
    }

    /// The edited script, and the labels of the calls that run.
    pub(crate) fn edited(&self, edit: &Edit) -> (Self, BTreeSet<usize>) {
        let mut edited = self.clone();
        let live = match edit {
            Edit::Nothing => BTreeSet::new(),
            Edit::Again(label) => self.descendants(*label),
            Edit::Prompt(label) => {
                for statement in &mut edited.statements {
                    let lanes: Vec<&mut Call> = match statement {
                        Statement::Sequence(sequence) => sequence.iter_mut().collect(),
                        Statement::Lanes(_, lanes) => lanes.iter_mut().flatten().collect(),
                    };
                    for call in lanes.into_iter().filter(|call| call.label == *label) {
                        call.prompt = 10_000;
                    }
                }
                edited.descendants(*label)
            }
            Edit::Insert(at) => {
                edited.labels += 1;
                let call = Call {
                    label: edited.labels,
                    prompt: 20_000,
                };
                let inserted = Statement::Sequence(vec![call]);
                edited.statements.insert(*at, inserted);
                edited.from(*at)
            }
            Edit::Remove(at) => {
                edited.statements.remove(*at);
                edited.from(*at)
            }
            Edit::Swap(at, left, right) => {
                if let Statement::Lanes(_, lanes) = &mut edited.statements[*at] {
                    lanes.swap(*left, *right);
                }
                edited.from(*at + 1)
            }
        };
        (edited, live)
    }

    /// The labels of all calls from a statement on.
    fn from(&self, at: usize) -> BTreeSet<usize> {
        let calls = self.calls().into_iter();
        calls
            .filter(|(statement, _)| *statement >= at)
            .map(|(_, call)| call.label)
            .collect()
    }

    /// A call, and all that waits for it.
    pub(crate) fn descendants(&self, label: usize) -> BTreeSet<usize> {
        let has = |lane: &[Call]| lane.iter().any(|call| call.label == label);
        for (index, statement) in self.statements.iter().enumerate() {
            let lanes: &[Vec<Call>] = match statement {
                Statement::Sequence(sequence) => std::slice::from_ref(sequence),
                Statement::Lanes(_, lanes) => lanes,
            };
            if let Some(lane) = lanes.iter().find(|lane| has(lane)) {
                let behind = lane.iter().skip_while(|call| call.label != label);
                let mut found: BTreeSet<usize> = behind.map(|call| call.label).collect();
                found.extend(self.from(index + 1));
                return found;
            }
        }
        BTreeSet::new()
    }

    /// The script's text.
    pub(crate) fn body(&self) -> String {
        let mut body = String::new();
        let agent = |call: &Call| {
            let Call { label, prompt } = call;
            format!("agent('do {prompt}', {{ label: 'c{label}' }})")
        };
        let sequence = |calls: &[Call]| {
            let calls: Vec<String> = calls
                .iter()
                .map(|call| format!("await {}", agent(call)))
                .collect();
            calls.join("; ")
        };
        for statement in &self.statements {
            let text = match statement {
                Statement::Sequence(calls) => sequence(calls),
                Statement::Lanes(Lanes::Parallel, lanes) => {
                    let lanes: Vec<String> = lanes
                        .iter()
                        .map(|lane| format!("async () => {{ {} }}", sequence(lane)))
                        .collect();
                    format!("await parallel([{}])", lanes.join(", "))
                }
                Statement::Lanes(Lanes::All, lanes) => {
                    let lanes: Vec<String> = lanes.iter().flatten().map(agent).collect();
                    format!("await Promise.all([{}])", lanes.join(", "))
                }
                Statement::Lanes(Lanes::Pipeline, lanes) => {
                    let items: Vec<String> = lanes
                        .iter()
                        .map(|lane| {
                            let calls: Vec<String> = lane
                                .iter()
                                .map(|call| format!("['do {}', 'c{}']", call.prompt, call.label))
                                .collect();
                            format!("[{}]", calls.join(", "))
                        })
                        .collect();
                    let stages: Vec<String> = (0..lanes[0].len())
                        .map(|stage| {
                            format!("(_, item) => agent(item[{stage}][0], {{ label: item[{stage}][1] }})")
                        })
                        .collect();
                    format!(
                        "await pipeline([{}], {})",
                        items.join(", "),
                        stages.join(", ")
                    )
                }
            };
            // Writing to a String cannot fail.
            let _ = writeln!(body, "{text}");
        }
        body + "return 'done'"
    }
}
