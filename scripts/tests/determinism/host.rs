//! A host that settles what is open in an order, and with outcomes, that somebody else chooses.

use bellwether_journal::key::{self, Digest};
use bellwether_journal::record::{CallKind, FailureKind, Usage};
use bellwether_scripts::{
    About, Answer, Call, Command, Limits, Nothing, Settlement, Start, Target, Turn, TurnStatus, Vm,
    parse,
};

use crate::generate::CHILD;

/// Numbers that decide, round and round.
pub(crate) struct Choices<'a> {
    numbers: &'a [u16],
    next: usize,
}

impl<'a> Choices<'a> {
    pub(crate) const fn of(numbers: &'a [u16]) -> Self {
        Self { numbers, next: 0 }
    }

    fn below(&mut self, bound: usize) -> usize {
        let number = self.numbers.get(self.next % self.numbers.len());
        self.next += 1;
        // Round and round is not the same each time.
        (usize::from(number.copied().unwrap_or_default()) + self.next / self.numbers.len()) % bound
    }
}

/// A run: what came out, and what went in.
pub(crate) struct Played {
    pub(crate) turns: Vec<Turn>,
    pub(crate) settlements: Vec<Settlement>,
}

/// A VM at its first wait.
pub(crate) fn begin(source: &str) -> (Vm, Turn) {
    let limits = Limits::default();
    let script = parse(source, "flows/generated.js", &limits).unwrap();
    Vm::start(&Start {
        script: &script,
        args: Some("{\"depth\":3}"),
        limits: &limits,
        seed: [11; 32],
        time: 1_700_000_000_000,
        budget_total: Some(10_000),
    })
}

pub(crate) fn play(source: &str, choices: &mut Choices<'_>) -> Played {
    let (mut vm, first) = begin(source);
    let (mut turns, mut settlements) = (vec![first], Vec::new());
    let mut open: Vec<(Target, Option<Call>)> = Vec::new();
    loop {
        let turn = turns.last().unwrap();
        for command in &turn.commands {
            match command {
                Command::Call(call) => {
                    open.push((Target::Call(call.number), Some(Call::clone(call))));
                }
                Command::Timer { timer, .. } => open.push((Target::Timer(*timer), None)),
                Command::ClearTimer { timer } => {
                    open.retain(|(target, _)| *target != Target::Timer(*timer));
                }
                Command::Log { .. } | Command::Phase { .. } => {}
            }
        }
        if turn.status != TurnStatus::Running || open.is_empty() {
            return Played { turns, settlements };
        }
        let (target, call) = open.remove(choices.below(open.len()));
        let count = settlements.len() as u64 + 1;
        let settlement = Settlement {
            target,
            answer: call.map_or(Answer::Fired, |call| answer(&call, choices)),
            time: 1_700_000_000_000 + count * 37,
            version: Digest::of("version", &[&count.to_le_bytes()]),
            spent: count * 10,
            about: About {
                usage: Usage {
                    input_tokens: count,
                    output_tokens: 10,
                },
                cost: Some(1_250_000),
                attempts: 1 + choices.below(3) as u32,
                worktree: None,
            },
        };
        turns.extend(vm.deliver(std::slice::from_ref(&settlement)));
        settlements.push(settlement);
    }
}

fn answer(call: &Call, choices: &mut Choices<'_>) -> Answer {
    if call.kind == CallKind::Workflow {
        let child = serde_json::json!({ "source": CHILD, "path": "flows/child.js" });
        return Answer::Value(child.to_string().into());
    }
    let content = key::content("agent", &call.prompt, &call.options);
    match choices.below(9) {
        0 => Answer::Nothing(Nothing::Failed {
            kind: FailureKind::Crash,
            message: "it fell over".into(),
        }),
        1 => Answer::Nothing(Nothing::Skipped),
        2 => Answer::Value("null".into()),
        3 => Answer::Refused {
            code: "OPTIONS".to_owned(),
            message: "refused for the test".to_owned(),
        },
        4 => Answer::Value("{\"z\":1,\"a\":[1.5,\"é\"],\"7\":null}".into()),
        5 => Answer::Nothing(Nothing::Failed {
            kind: FailureKind::Schema,
            message: "five answers did not fit".into(),
        }),
        _ => Answer::Value(format!("\"did {}\"", content.to_hex()).into()),
    }
}
