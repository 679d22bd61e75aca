//! Scripts that nobody wrote, of all that scripts are made of.

use std::fmt::Write as _;

use proptest::prelude::*;

/// The script that `workflow()` runs.
pub(crate) const CHILD: &str =
    "export const meta = { name: 'child', description: 'A child', phases: ['In'] }
phase('In')
const both = await parallel([() => agent('child one ' + args.n), () => agent('child two')])
log('child', both, budget.spent())
if (both[0] === null) throw new Error('the child has nothing')
return { both, random: random() }
";

/// A piece of a script: an expression that is awaited within an async function.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Agent(u8),
    Attempt(u8),
    Workflow(u8),
    Now,
    Sequence(Vec<Piece>),
    Parallel(Vec<Piece>),
    Pipeline(u8, Vec<Piece>),
    All(Vec<Piece>),
    Race(Box<Piece>, u16),
    Timeout(u16),
    Loop(u8, Box<Piece>),
    Try(Box<Piece>, Box<Piece>),
    If(Box<Piece>, Box<Piece>),
    Then(Box<Piece>),
    Kept(Box<Piece>),
    Throw(Box<Piece>),
}

/// A script of a piece, or of a body that somebody wrote.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    Piece(Piece),
    Body(&'static str),
}

impl Plan {
    pub(crate) const fn of(body: &'static str) -> Self {
        Self::Body(body)
    }

    pub(crate) fn source(&self) -> String {
        let header = "export const meta = { name: 'generated', description: 'Nobody wrote it', phases: ['One'] }";
        match self {
            Self::Body(body) => format!("{header}\n{body}\n"),
            // What a piece may throw is a value of the run like any other.
            Self::Piece(piece) => format!(
                "{header}
const seen = []
const note = (value) => {{ seen.push(value); log(seen.length, value); return value }}
let result
try {{ result = {} }} catch (error) {{ result = [error.name, error.code, error.message] }}
return {{ result, seen, spent: budget.spent(), left: budget.remaining(), random: random() }}
",
                piece.expression()
            ),
        }
    }
}

impl Piece {
    /// The piece as an expression in an async function.
    fn expression(&self) -> String {
        match self {
            Self::Agent(n) => format!("(await agent('agent {n}', {{ label: 'l{n}' }}))"),
            Self::Attempt(n) => {
                format!(
                    "(await attempt('attempt {n}', {{ schema: {{ type: 'object' }} }})).error?.kind"
                )
            }
            Self::Workflow(n) => {
                format!("(await workflow({{ scriptPath: 'child.js' }}, {{ n: {n} }}))")
            }
            Self::Now => "(phase('One'), [now(), random()])".to_owned(),
            Self::Sequence(pieces) => {
                let all: Vec<String> = pieces.iter().map(Self::expression).collect();
                format!("[{}]", all.join(", "))
            }
            Self::Parallel(pieces) => format!("(await parallel([{}]))", functions(pieces)),
            Self::Pipeline(items, stages) => {
                let mut stages_text = String::new();
                for stage in stages {
                    let _ = write!(
                        stages_text,
                        ", async (previous, item, index) => [typeof previous, item, index, {}]",
                        stage.expression()
                    );
                }
                format!(
                    "(await pipeline(Array.from({{ length: {items} }}, (_, i) => i){stages_text}))"
                )
            }
            Self::All(pieces) => {
                let called = pieces
                    .iter()
                    .map(|piece| format!("(async () => {})()", piece.expression()))
                    .collect::<Vec<_>>();
                format!(
                    "(await Promise.allSettled([{}])).map((one) => one.value ?? String(one.reason))",
                    called.join(", ")
                )
            }
            Self::Race(piece, wait) => format!(
                "note(await Promise.race([(async () => {})(), sleep({wait})]))",
                piece.expression()
            ),
            Self::Timeout(wait) => format!(
                "(await new Promise((resolve) => {{ const late = setTimeout(() => resolve('late'), 9e6); setTimeout(() => {{ clearTimeout(late); resolve(note({wait})) }}, {wait}) }}))"
            ),
            Self::Loop(count, piece) => format!(
                "(await (async () => {{ const all = []; for (let i = 0; i < {count}; i++) {{ all.push({}); if (all.length > 1 && all.at(-1) === null) break }} return all }})())",
                piece.expression()
            ),
            Self::Try(one, other) => format!(
                "(await (async () => {{ try {{ return {} }} catch (error) {{ note(error.message); return {} }} finally {{ log('finally') }} }})())",
                one.expression(),
                other.expression()
            ),
            Self::If(one, other) => format!(
                "(note({}) === null ? 'nothing' : {})",
                one.expression(),
                other.expression()
            ),
            Self::Then(piece) => format!(
                "(await (async () => {})().then((value) => [value, 'then'], (error) => ['rejected', error.message]))",
                piece.expression()
            ),
            // A promise that is kept and awaited later: the flow is not followed exactly.
            Self::Kept(piece) => format!(
                "(await (async () => {{ const kept = (async () => {})(); const between = await agent('between'); return [between, await kept.catch((error) => error.message)] }})())",
                piece.expression()
            ),
            Self::Throw(piece) => format!(
                "(await (async () => {{ throw new RangeError('thrown ' + JSON.stringify({})) }})())",
                piece.expression()
            ),
        }
    }
}

fn functions(pieces: &[Piece]) -> String {
    let functions = pieces
        .iter()
        .map(|piece| format!("async () => {}", piece.expression()));
    functions.collect::<Vec<_>>().join(", ")
}

fn pieces() -> impl Strategy<Value = Piece> {
    let leaf = prop_oneof![
        6 => (0..5_u8).prop_map(Piece::Agent),
        2 => (0..3_u8).prop_map(Piece::Attempt),
        1 => (0..3_u8).prop_map(Piece::Workflow),
        1 => Just(Piece::Now),
        1 => (1..500_u16).prop_map(Piece::Timeout),
    ];
    leaf.prop_recursive(4, 48, 4, |inner| {
        let several = || proptest::collection::vec(inner.clone(), 1..4);
        let one = || inner.clone().prop_map(Box::new);
        prop_oneof![
            3 => several().prop_map(Piece::Parallel),
            3 => (0..4_u8, proptest::collection::vec(inner.clone(), 1..3)).prop_map(|(items, stages)| Piece::Pipeline(items, stages)),
            1 => several().prop_map(Piece::All),
            2 => (one(), 1..500_u16).prop_map(|(piece, wait)| Piece::Race(piece, wait)),
            2 => (1..4_u8, one()).prop_map(|(count, piece)| Piece::Loop(count, piece)),
            2 => (one(), one()).prop_map(|(one, other)| Piece::Try(one, other)),
            2 => (one(), one()).prop_map(|(one, other)| Piece::If(one, other)),
            1 => one().prop_map(Piece::Then),
            1 => one().prop_map(Piece::Kept),
            1 => one().prop_map(Piece::Throw),
        ]
    })
}

pub(crate) fn plans() -> impl Strategy<Value = Plan> {
    let several = || proptest::collection::vec(pieces(), 2..7);
    prop_oneof![
        several().prop_map(Piece::Sequence),
        several().prop_map(Piece::Parallel),
        several().prop_map(Piece::All),
    ]
    .prop_map(Plan::Piece)
}
