//! X03: what is known of questions to people.

use super::*;
use crate::record::{Order, Ordered};

fn answered(call: u32, answer: &str) -> Record {
    Record::Ordered(Box::new(Ordered {
        order: Order::Answer(CallNumber(call), Text::Inline(answer.into())),
        by: Actor::Caller("ann".to_owned()),
        reason: None,
    }))
}

fn asked(call: u32) -> Record {
    call_of(CallKind::Ask, call, 0)
}

#[test]
fn x03_an_answer_is_known_before_and_after_its_call_has_it() {
    let given = |records: Vec<Record>| fold(begun(records)).unwrap().answers;
    let known = |position| {
        let answer = (Position(position), Text::Inline("1".into()));
        BTreeMap::from([(CallNumber(0), answer)])
    };
    assert_eq!(given(vec![asked(0)]), BTreeMap::new());
    assert_eq!(given(vec![asked(0), answered(0, "1")]), known(3));
    // A takeover between the two does not lose it.
    assert_eq!(
        given(vec![asked(0), answered(0, "1"), recovered(2)]),
        known(3)
    );
    let settled = vec![asked(0), answered(0, "1"), completed(0, 0)];
    assert_eq!(given(settled.clone()), known(3));
    // Another generation asks anew.
    let again = settled.into_iter().chain([opened(2), asked(0)]).collect();
    assert_eq!(given(again), BTreeMap::new());
}

#[test]
fn x03_a_question_is_answered_without_an_attempt_and_is_no_agent() {
    let records = [
        asked(0),
        asked(1),
        status(Status::Waiting),
        answered(1, "1"),
        completed(1, 0),
    ];
    let state = fold(begun(records)).unwrap();
    assert_eq!(state.counts, Counts::default());
    assert_eq!(state.status, Status::Waiting);
    let open: Vec<CallNumber> = state.unsettled().map(|(number, _)| number).collect();
    assert_eq!(open, [CallNumber(0)]);
    // Twice is once too often, for the journal; whoever orders sees to that.
    let twice = begun([asked(0), completed(0, 0), completed(0, 0)]);
    assert!(fold(twice).is_err());
}
