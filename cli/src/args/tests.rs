//! The command line as people see it.

use clap::CommandFactory as _;

use super::*;

fn parse(line: &str) -> std::result::Result<Arguments, clap::Error> {
    Arguments::try_parse_from(std::iter::once("bellwether").chain(line.split_whitespace()))
}

#[test]
fn the_command_line_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn help_is_as_recorded() {
    let mut program = Arguments::command().term_width(80);
    program.build();
    let mut pages = vec![program.render_long_help().to_string()];
    let mut open = vec![program];
    while let Some(command) = open.pop() {
        for sub in command
            .get_subcommands()
            .filter(|sub| sub.get_name() != "help")
        {
            let mut sub = sub.clone().term_width(80);
            let name = sub.get_bin_name().unwrap_or_default().to_owned();
            pages.push(format!("==== {name}\n{}", sub.render_long_help()));
            open.push(sub);
        }
    }
    insta::assert_snapshot!(pages.join("\n"));
}

#[test]
fn every_command_takes_json_and_a_journal() {
    for line in [
        "run a.js",
        "check a.js b.js -",
        "resume",
        "ps",
        "show",
        "result",
        "logs",
        "stop last",
        "journal dump",
        "config show",
        "config schema",
    ] {
        let line = format!("{line} --json --journal j.redb");
        assert!(parse(&line).is_ok(), "{line}");
    }
    assert!(parse("resume r-1 --foreground --yes --json --events --concurrency 0 --max-agents 5 --max-items 9").is_ok());
    assert!(parse("run a.js --foreground -y --name n --args-file - --timeout PT90S").is_ok());
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for line in [
        "",
        "run",
        "check",
        "run a.js --timeout 5",
        "run a.js --timeout 0s",
        "run a.js --max-agents 0",
        "run a.js --max-items 0",
        "run a.js --concurrency -1",
        "run a.js --args 1 --args-file f",
        "run a.js --agent-input file",
        "run a.js --journal=",
        "stop",
        "show a b c",
    ] {
        let Err(error) = parse(line) else {
            panic!("`{line}` was accepted")
        };
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn a_word_that_is_no_command_may_be_a_workflow() {
    // It may be a workflow's name; `list::named` says what is near when it is none.
    let Ok(Arguments {
        command: Command::Named(words),
        ..
    }) = parse("resum")
    else {
        panic!("not taken for a name")
    };
    assert_eq!(words, ["resum"]);
}

#[test]
fn flags_become_the_highest_layer_of_settings_a_user_has() {
    let Ok(Arguments {
        command: Command::Run(run),
        ..
    }) = parse("run a.js --journal j --backend dry --timeout 2m --concurrency 0")
    else {
        panic!("refused")
    };
    let read = layer(
        Path::new("/here"),
        &run.common.journal,
        Some(&run.agents),
        Some(&run.limits),
    );
    let Ok(read) = read else { panic!("refused") };
    assert_eq!(
        read,
        [
            (Key::Journal, Value::Path("/here/j".into())),
            (Key::Backend, Value::Text("dry".to_owned())),
            (Key::Timeout, Value::Duration(Duration::from_mins(2))),
            (Key::Concurrency, Value::Count(0)),
        ]
    );
}

#[test]
fn two_ways_to_carry_out_agents_are_one_too_many() {
    let both = |backend: &str, command: &str| {
        let flags = AgentFlags {
            backend: Some(backend.to_owned()),
            agent_command: Some(command.to_owned()),
            ..AgentFlags::default()
        };
        layer(Path::new("/"), &JournalFlag::default(), Some(&flags), None)
    };
    assert!(both("command", "claude -p").is_ok());
    assert!(both("dry", "claude -p").is_err_and(|error| error.message().contains("--backend dry")));
    assert!(
        both("command", "claude 'p")
            .is_err_and(|error| error.message().contains("--agent-command"))
    );
}
