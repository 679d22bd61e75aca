//! What cannot follow.

use super::*;

#[test]
fn illegal_records_are_refused_and_named() {
    let cases: Vec<(&str, Vec<Record>, Kind, &str)> = vec![
        (
            "nothing before the start",
            vec![status(Status::Running)],
            Kind::StatusChanged,
            "start",
        ),
        (
            "no second start",
            vec![started(), started()],
            Kind::RunStarted,
            "no second start",
        ),
        (
            "no call before a generation",
            vec![started(), call(0)],
            Kind::CallScheduled,
            "gener",
        ),
        (
            "generations in order",
            begun([opened(3)]),
            Kind::GenerationOpened,
            "generation 2",
        ),
        (
            "calls are dense",
            begun([call(1)]),
            Kind::CallScheduled,
            "call 0, not 1",
        ),
        (
            "no turn from the future",
            begun([call_of(CallKind::Agent, 0, 1)]),
            Kind::CallScheduled,
            "turn",
        ),
        (
            "no attempt of no call",
            begun([attempt(0, 1)]),
            Kind::AttemptStarted,
            "not call 0",
        ),
        (
            "attempts in order",
            begun([call(0), attempt(0, 2)]),
            Kind::AttemptStarted,
            "attempt 1",
        ),
        (
            "one attempt at a time",
            begun([call(0), attempt(0, 1), attempt(0, 2)]),
            Kind::AttemptStarted,
            "the end of attempt 1",
        ),
        (
            "no attempt is adopted beside another",
            begun([call(0), attempt(0, 1), adopted(0, 2)]),
            Kind::AttemptAdopted,
            "call 0 before its first attempt",
        ),
        (
            "an adopted attempt has a number",
            begun([call(0), adopted(0, 0)]),
            Kind::AttemptAdopted,
            "from 1 on",
        ),
        (
            "nothing is counted for an attempt that is not at work",
            begun([call(0), counted(0, 1, 1, None)]),
            Kind::UsageCounted,
            "a start of",
        ),
        (
            "nothing is reused where there is no base",
            begun([call(0), counted(0, 0, 1, None)]),
            Kind::UsageCounted,
            "has begun",
        ),
        (
            "no end before a start",
            begun([call(0), failed(0, 1)]),
            Kind::AttemptFailed,
            "a start of",
        ),
        (
            "no end of another attempt",
            begun([call(0), attempt(0, 1), failed(0, 2)]),
            Kind::AttemptFailed,
            "attempt 1 of call 0, not 2",
        ),
        (
            "an interrupted attempt is over",
            begun([call(0), attempt(0, 1), recovered(2), completed(0, 1)]),
            Kind::CallSettled,
            "a start of attempt 2",
        ),
        (
            "no value without an attempt",
            begun([call(0), completed(0, 0)]),
            Kind::CallSettled,
            "start",
        ),
        (
            "one answer",
            begun([call(0), attempt(0, 1), completed(0, 1), completed(0, 1)]),
            Kind::CallSettled,
            "nothing more about call 0, which is completed",
        ),
        (
            "a refused call stays so",
            begun([call(0), refused(0), attempt(0, 1)]),
            Kind::AttemptStarted,
            "refused",
        ),
        (
            "no refusal of what was begun",
            begun([call(0), attempt(0, 1), refused(0)]),
            Kind::CallRefused,
            "no refusal",
        ),
        (
            "interrupted is not recorded",
            begun([status(Status::Interrupted)]),
            Kind::StatusChanged,
            "can be",
        ),
        (
            "an end is an end",
            begun([status(Status::Completed)]),
            Kind::StatusChanged,
            "the end of",
        ),
        (
            "running is no end",
            begun([ended(Status::Running)]),
            Kind::RunEnded,
            "ends the run",
        ),
        (
            "nothing after the end",
            begun([ended(Status::Completed), logged(0, 0)]),
            Kind::Logged,
            "completed",
        ),
        (
            "no second end",
            begun([ended(Status::Failed), ended(Status::Failed)]),
            Kind::RunEnded,
            "failed",
        ),
        (
            "quarantine is an end",
            begun([status(Status::Quarantined), recovered(2)]),
            Kind::Recovered,
            "quar",
        ),
        (
            "nothing happens while stopped",
            begun([status(Status::Stopped), call(0)]),
            Kind::CallScheduled,
            "stopped",
        ),
        (
            "no changes without an attempt",
            begun([call(0), changes_kept(0, 1)]),
            Kind::ChangesKept,
            "while one is running",
        ),
        (
            "no changes of an attempt to come",
            begun([call(0), attempt(0, 1), changes_kept(0, 2)]),
            Kind::ChangesKept,
            "that has begun",
        ),
        (
            "no note of a replaced attempt",
            begun([
                call(0),
                attempt(0, 1),
                failed(0, 1),
                attempt(0, 2),
                noted(0, 1),
            ]),
            Kind::StepNoted,
            "expected attempt 2 of call 0, not 1",
        ),
        (
            "epochs never fall",
            begun([recovered(3), recovered(2)]),
            Kind::Recovered,
            "epoch from 3",
        ),
    ];
    for (name, records, kind, expected) in cases {
        let position = Position(records.len() as u64 - 1);
        let illegal = fold(records).unwrap_err();
        assert_eq!((illegal.kind, illegal.position), (kind, position), "{name}");
        assert!(illegal.to_string().contains(expected), "{name}: {illegal}");
    }
}

#[test]
fn a_record_at_another_position_is_refused() {
    let mut state = RunState::new(run());
    let entry = Entry {
        position: Position(1),
        at: 0,
        chain: Digest::default(),
        record: started(),
    };
    let illegal = state.apply(&entry).unwrap_err();
    assert_eq!(
        illegal.to_string(),
        "record 1 (RunStarted) cannot stand here: expected position 0"
    );
}
