//! Scripts that nobody wrote: small trees of calls, and edits of them.

use std::sync::Arc;

use bellwether_journal::record::CallKind;

use crate::random::Random;

/// What a call asks for.
#[derive(Clone, Debug)]
pub(crate) struct Asks {
    pub(crate) kind: CallKind,
    pub(crate) prompt: Arc<str>,
    pub(crate) options: Arc<str>,
    /// Only its value counts.
    pub(crate) is_pure: bool,
}

/// A part of a script. Each is done when what it waits for is, and has the last value that it heard.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// Awaits one call.
    Call(Asks),
    /// One after the other.
    Sequence(Vec<Arc<Node>>),
    /// Side by side, each lane from the same context; then a barrier.
    Lanes(Vec<Arc<Node>>),
    /// Against a timer of so many milliseconds; whether the timer is cleared when it loses.
    Race(Arc<Node>, u64, bool),
    /// Again while the value is odd, so many times at most.
    Loop(Arc<Node>, usize),
    /// One of two, by the value.
    Choice(Arc<Node>, Arc<Node>),
    /// Waits so many milliseconds.
    Sleep(u64),
    /// Shows a line.
    Log(usize),
    /// Enters a phase.
    Phase(usize),
}

/// A script.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Its statements.
    pub(crate) statements: Vec<Arc<Node>>,
    /// Whether a refusal ends it, or is a null like others.
    pub(crate) throws: bool,
    /// After so many calls a limit ends it, until it is resumed with another one.
    pub(crate) limit: Option<u32>,
}

impl Program {
    pub(crate) fn random(random: &mut Random) -> Self {
        let statements = (0..2 + random.below(4)).map(|_| node(random, 3)).collect();
        Self {
            statements,
            throws: random.one_in(8),
            limit: random.one_in(8).then(|| 2 + random.below(10) as u32),
        }
    }

    /// The same script, edited at one place; now and then not at all.
    pub(crate) fn edited(&self, random: &mut Random) -> Self {
        let mut edited = self.clone();
        let statement = random.below(edited.statements.len());
        match random.below(6) {
            0 | 1 => {}
            2 => edited.statements.insert(statement, node(random, 1)),
            3 if edited.statements.len() > 1 => _ = edited.statements.remove(statement),
            4 => {
                let last = edited.statements.len() - 1;
                edited.statements.swap(statement, last);
            }
            _ => {
                let whole = Node::Sequence(edited.statements.clone());
                let mut left = random.below(calls(&whole));
                let fresh = Arc::new(Node::Call(asks(random)));
                if let Node::Sequence(statements) = replaced(&whole, &mut left, &fresh).as_ref() {
                    edited.statements.clone_from(statements);
                }
            }
        }
        edited.limit = random.one_in(8).then(|| 2 + random.below(10) as u32);
        edited
    }
}

fn node(random: &mut Random, depth: usize) -> Arc<Node> {
    let deeper = depth.saturating_sub(1);
    let some = |random: &mut Random, most: usize| -> Vec<Arc<Node>> {
        (0..=random.below(most))
            .map(|_| node(random, deeper))
            .collect()
    };
    Arc::new(match random.below(if depth == 0 { 4 } else { 13 }) {
        0..=2 | 10 => Node::Call(asks(random)),
        3 => match random.below(3) {
            0 => Node::Sleep(1 + random.below(2_000) as u64),
            1 => Node::Log(random.below(100)),
            _ => Node::Phase(random.below(3)),
        },
        4 | 5 => Node::Sequence(some(random, 3)),
        6 | 7 | 11 => Node::Lanes(some(random, 5)),
        8 => Node::Race(
            node(random, deeper),
            1 + random.below(3_000) as u64,
            random.one_in(2),
        ),
        9 => Node::Loop(node(random, deeper), 1 + random.below(3)),
        _ => Node::Choice(node(random, deeper), node(random, deeper)),
    })
}

/// Few prompts, so that many calls are equal; some are too long to stand in their records.
fn asks(random: &mut Random) -> Asks {
    let number = random.below(12);
    let prompt = match number {
        10 | 11 => format!("do {number} {}", "at length ".repeat(300)),
        _ => format!("do {number}"),
    };
    let (kind, options) = match random.below(24) {
        0 | 1 => {
            let options = [
                "{}",
                r#"{"timeout":1500,"default":"3"}"#,
                r#"{"timeout":2500}"#,
            ];
            (CallKind::Ask, options[random.below(3)])
        }
        2 => (CallKind::Merge, "{}"),
        3 | 4 => (CallKind::Workflow, r#"{"by":"name"}"#),
        5..=7 => (CallKind::Agent, r#"{"pure":true}"#),
        8 => (CallKind::Agent, r#"{"retries":2}"#),
        9 if random.one_in(4) => (CallKind::Agent, r#"{"backend":"nobody"}"#),
        _ => (CallKind::Agent, "{}"),
    };
    Asks {
        kind,
        prompt: prompt.into(),
        options: options.into(),
        is_pure: options.contains("pure"),
    }
}

fn children(node: &Node) -> Vec<&Arc<Node>> {
    match node {
        Node::Sequence(all) | Node::Lanes(all) => all.iter().collect(),
        Node::Race(one, ..) | Node::Loop(one, _) => vec![one],
        Node::Choice(one, other) => vec![one, other],
        Node::Call(_) | Node::Sleep(_) | Node::Log(_) | Node::Phase(_) => Vec::new(),
    }
}

fn calls(node: &Node) -> usize {
    let below: usize = children(node).into_iter().map(|child| calls(child)).sum();
    below + usize::from(matches!(node, Node::Call(_)))
}

/// The same with the call that `left` others stand before replaced.
fn replaced(node: &Node, left: &mut usize, fresh: &Arc<Node>) -> Arc<Node> {
    let mut all = |nodes: &[Arc<Node>]| -> Vec<Arc<Node>> {
        nodes
            .iter()
            .map(|node| replaced(node, left, fresh))
            .collect()
    };
    Arc::new(match node {
        Node::Call(_) => {
            let is_meant = *left == 0;
            *left = left.wrapping_sub(1);
            return if is_meant {
                Arc::clone(fresh)
            } else {
                Arc::new(node.clone())
            };
        }
        Node::Sequence(nodes) => Node::Sequence(all(nodes)),
        Node::Lanes(nodes) => Node::Lanes(all(nodes)),
        Node::Race(one, wait, clears) => Node::Race(replaced(one, left, fresh), *wait, *clears),
        Node::Loop(one, most) => Node::Loop(replaced(one, left, fresh), *most),
        Node::Choice(one, other) => {
            let one = replaced(one, left, fresh);
            Node::Choice(one, replaced(other, left, fresh))
        }
        Node::Sleep(_) | Node::Log(_) | Node::Phase(_) => node.clone(),
    })
}
