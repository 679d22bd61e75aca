//! The command line.

pub(crate) mod cost;
mod live;
mod retention;
mod rewind;
mod write;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bellwether::plan::Fail;
use clap::{Args, Parser, Subcommand};

pub(crate) use self::live::{Answer, Attach, Host, OneLive, Pause, Set, Skip, Stop, Wait};
pub(crate) use self::retention::{Export, Gc, Import};
pub(crate) use self::rewind::{Explain, Fork, Restart, Resume, RewindFlags};
pub(crate) use self::write::{Size, Write};

use crate::config::file::Layer;
use crate::config::key::{AGENT_INPUTS, ISOLATES, Key, Value};
use crate::config::{duration, effort};
use crate::error::{CommandError, Result};
use crate::output::ColorChoice;

/// Runs dynamic workflows: scripts that fan work out over many agents, journaled so that nothing
/// that was done is done again.
#[derive(Debug, Parser)]
#[command(
    name = "bellwether",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100,
    after_help = "Examples:
  bellwether run review.js --backend dry
  bellwether run fix.js --agent-command 'claude -p' --agent-input prompt
  bellwether resume
  bellwether show last

Exit codes:
  0  the run completed
  1  it failed, was killed, or is quarantined; `check` or `plan` found errors
  2  wrong usage, or a script that was refused
  3  it is stopped, paused or waiting
  4  it ended, but agents failed
  5  the journal or its host cannot be used
  130, 143  a signal ended the command; the run is stopped"
)]
pub(crate) struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Display")]
pub(crate) struct Global {
    /// When to use colours; `auto` is on a terminal without `NO_COLOR`
    #[arg(long, value_enum, default_value_t, value_name = "WHEN", global = true)]
    pub(crate) color: ColorChoice,
    /// Show only results and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// Show what the program does; twice or thrice for more (`RUST_LOG` overrides)
    #[arg(long, short, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put a first workflow, settings and types for editors into a project; nothing is overwritten
    Init(Init),
    /// Have an agent write a workflow script for a task in plain words
    Write(Box<Write>),
    /// Run a workflow script
    Run(Run),
    /// Say what is wrong with workflow scripts, or may be; nothing is run
    Check(Check),
    /// Show what a workflow would do, with made-up agents and in no time
    Plan(Box<Plan>),
    /// Go on with an unfinished run where its journal ends, or from its first line with what has changed
    Resume(Resume),
    /// Run agents of a run again, and what waited for them
    Restart(Restart),
    /// Begin a new run with what another one has done
    Fork(Fork),
    /// Say call by call what a resume, restart or fork would do, and why; nothing is run
    Explain(Explain),
    /// Watch a live run until it ends, or Ctrl-C leaves it
    Attach(Attach),
    /// Wait until a run has ended; the exit code is the run's
    Wait(Wait),
    /// List the workflows that have a name here, and where they are
    List(List),
    /// List runs: the unfinished and the latest
    Ps(Ps),
    /// Show a run: phases, agents, attempts, time, tokens, failures
    Show(Show),
    /// Sum up what runs used and cost: by run, workflow, phase, model or day
    Cost(cost::Cost),
    /// Print what a run's isolated agents changed, as patches
    Diff(Diff),
    /// Land the branches that a run's agents left, one at a time
    Land(Land),
    /// Print a run's result
    Result(OneRun),
    /// Print a run's log
    Logs(Logs),
    /// Answer a question of a live run
    Answer(Answer),
    /// Start no new agents in a live run, until it is resumed
    Pause(Pause),
    /// Stop a live run; it keeps its results and can be resumed. Or stop one agent of it
    Stop(Stop),
    /// End a live run at once; it can be resumed as after a crash
    Kill(OneLive),
    /// Let agents of a live run that have not started never start
    Skip(Skip),
    /// Change the limits of a live run
    Set(Set),
    /// The process that carries out runs and outlives the commands that begin them
    Host {
        /// What to do.
        #[command(subcommand)]
        command: Host,
    },
    /// Print who did what in a run, when and why
    Trail(OneRun),
    /// Remove runs that ended long ago, and give their space back
    Gc(Gc),
    /// Write a run to a file of its own
    Export(Export),
    /// Take the runs of a file over into the journal
    Import(Import),
    /// Look into the journal
    Journal {
        /// What to look at.
        #[command(subcommand)]
        command: Journal,
    },
    /// `bellwether <name>`: a workflow.
    #[command(external_subcommand)]
    Named(Vec<OsString>),
    /// Show settings and where they come from
    Config {
        /// What to show.
        #[command(subcommand)]
        command: Config,
    },
}

/// Where the journal is.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct JournalFlag {
    /// The journal's file [default: .bellwether/local/journal.redb in the project]
    #[arg(long, value_name = "FILE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) journal: Option<String>,
}

/// Where the journal is, and in which form to print.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Common {
    /// Where the journal is.
    #[command(flatten)]
    pub(crate) journal: JournalFlag,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Limits that a run may be resumed with, too.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitFlags {
    /// Agents at once; 0 is no limit [default: CPUs - 2, from 2 to 16]
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<u32>,
    /// Agents in all [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=i64::MAX as u64))]
    pub(crate) max_agents: Option<u64>,
    /// Items of one parallel or pipeline [default: 4096]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_items: Option<u32>,
    /// What agents may use in all: output tokens such as 2M, or money such as '$5' [default: no limit]
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) budget: Option<String>,
}

/// Who is told of the run's end.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct NotifyFlag {
    /// What a shell does when the run has ended or waits for somebody; it gets the run's final object on stdin
    #[arg(long, value_name = "COMMAND", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) notify: Option<String>,
}

/// Who does the agents' work.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Agents")]
pub(crate) struct AgentFlags {
    /// The backend that agents run in, such as `dry`, which answers at once from the schema
    #[arg(long, value_name = "NAME")]
    pub(crate) backend: Option<String>,
    /// A program that is the agent, split as a shell would
    #[arg(long, value_name = "COMMAND")]
    pub(crate) agent_command: Option<String>,
    /// What that program is given: one JSON object, the prompt alone, or one JSON object a line
    #[arg(long, value_name = "FORM", value_parser = clap::builder::PossibleValuesParser::new(AGENT_INPUTS))]
    pub(crate) agent_input: Option<String>,
    /// Which agents work in a git worktree of their own: those that ask for it, or all that may write
    #[arg(long, value_name = "WHICH", value_parser = clap::builder::PossibleValuesParser::new(ISOLATES))]
    pub(crate) isolate: Option<String>,
    /// How long the run may take before it is stopped, such as 90s or 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    pub(crate) timeout: Option<Duration>,
    /// The model of agents that name none: an alias such as `sonnet`, or `provider/id`
    #[arg(long, value_name = "NAME")]
    pub(crate) model: Option<String>,
    /// How much the run may do: agents, agents at once, their effort, budget; `bellwether run --help` has the table
    #[arg(long, value_name = "LEVEL", value_parser = clap::builder::PossibleValuesParser::new(effort::NAMES))]
    pub(crate) effort: Option<String>,
    /// Something more: `merge` lets scripts merge the branches that agents leave, `shell` and `web-fetch` let built-in
    /// agents run commands and fetch pages
    #[arg(long, value_name = "WHAT", value_enum)]
    pub(crate) allow: Vec<Allowed>,
}

/// What a script may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Allowed {
    // No doc comment: it would be help of its own for one word.
    Merge,
    Shell,
    WebFetch,
}

/// How a run is shown while it goes on.
#[derive(Clone, Copy, Debug, Default, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct AttachFlags {
    /// Print each event as one line of JSON; the last line is the run's final object
    #[arg(long)]
    pub(crate) events: bool,
    /// Carry the run out in this process, which ends with it, not in a host process that outlives it
    #[arg(long)]
    pub(crate) foreground: bool,
    /// Leave when the run has begun; `bellwether attach` comes back to it
    #[arg(long, conflicts_with_all = ["foreground", "events"])]
    pub(crate) detach: bool,
    /// Ask nothing: a large run begins without its forecast being confirmed
    #[arg(long, short)]
    pub(crate) yes: bool,
}

macro_rules! effort_table {
    () => {
        "--effort    agents  at once  agents' effort  budget
low             50        4  low             500k
medium         250        8  medium          2M
high          1000       16  high            10M
xhigh         2500       32  xhigh           25M
max          10000       64  max             no limit
"
    };
}
/// What the words of `--effort` mean, as help shows it.
#[cfg(test)]
pub(crate) const EFFORT_TABLE: &str = effort_table!();

/// What a script gets as its `args`.
#[derive(Debug, Default, Args)]
pub(crate) struct ArgsFlags {
    /// A text that the script gets as its `args`; as JSON if it is an object or an array
    #[arg(conflicts_with_all = ["args", "args_file"], value_name = "TEXT")]
    pub(crate) text: Option<String>,
    /// The script's `args`, as JSON
    #[arg(
        long,
        value_name = "JSON",
        conflicts_with = "args_file",
        allow_hyphen_values = true
    )]
    pub(crate) args: Option<String>,
    /// A file with the script's `args` as JSON; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub(crate) args_file: Option<PathBuf>,
}

/// `run`
#[derive(Debug, Args)]
#[command(after_help = concat!("Examples:
  bellwether run hello.js --backend dry
  bellwether run fix.js --args '{\"path\": \"src\"}' --agent-command ./agent
  bellwether run fix.js --agent-command 'codex exec -' --agent-input prompt
  bellwether run audit.js --backend llm --effort low --budget '$2'
  git ls-files | jq -R . | jq -s . | bellwether run fix.js --args-file -

The value that the script returns goes to stdout, progress to stderr.
The run is carried out by a host process that outlives this command; with
--foreground by this one. Ctrl-C asks whether to leave the run or to stop it.

A run that is expected to start more than 25 agents on models, to write more than
1.5M tokens or to cost more than $5 is confirmed before it begins; where nobody can
be asked it needs --yes. `bellwether plan` shows the same forecast.

", effort_table!(), "
Flags such as --budget win over the table."))]
pub(crate) struct Run {
    /// The script's file, or the name of a workflow (`bellwether list`)
    pub(crate) script: PathBuf,
    /// What the script gets.
    #[command(flatten)]
    pub(crate) given: ArgsFlags,
    /// The run's name [default: the script's]
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) name: Option<String>,
    /// How it is shown.
    #[command(flatten)]
    pub(crate) attach: AttachFlags,
    /// Who is told.
    #[command(flatten)]
    pub(crate) notify: NotifyFlag,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
    /// Who works.
    #[command(flatten)]
    pub(crate) agents: AgentFlags,
    /// Limits.
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
}

/// `list`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether list
  bellwether run review 'only what changed since main'

Found are *.js and *.mjs in .bellwether/workflows and .claude/workflows, from the
working directory up to the repository's root, then your own in
~/.config/bellwether/workflows and ~/.claude/workflows, then those of plugins, then
those that come with the program: deep-research, research and review.
Of several with one name the first counts.")]
pub(crate) struct List {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `init`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether init
  bellwether init ../other

Written below .bellwether, where there is nothing of the name: workflows/first.js,
config.toml with everything as a comment, and jsconfig.json with bellwether.d.ts, by
which an editor knows what a workflow script finds.

Exit code: 0 all is there now, 2 a file cannot be written.")]
pub(crate) struct Init {
    /// The project's folder; the repository's root where it is left out
    pub(crate) folder: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `check`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether check review.js
  bellwether check .bellwether/workflows/*.js --json
  git show main:flows/fix.js | bellwether check -

All findings at once, each with its place and what helps: header and syntax, what
is forbidden, options, schemas, agent types and scripts that are not there, phases
without a use, fan-outs beyond a cap, promises that nobody waits for, edits that
nothing verifies. Agent types are looked up from the working directory.

Exit code: 0 nothing, or warnings only, 1 errors, 2 a file that cannot be read.")]
pub(crate) struct Check {
    /// The scripts' files; `-` is stdin
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
    /// Limits.
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
}

/// `plan`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether plan review.js
  bellwether plan review.js --args '{\"path\": \"src\"}' --items 20
  bellwether plan review.js --fail 0.3 --json
  bellwether plan review.js --outline

The script runs with made-up agents: each takes a minute of virtual time and
answers from its schema, timers fire in virtual time, merge() lands what it is
given. Shown are phases, agents, caps, the longest prompt and what comes back;
then what `check` finds, and agent types and workflows that are not there: such
a type is answered as the default one, such a workflow gives null. The same
script, arguments and flags give the same plan.

Exit code: 0 it would get through, 1 it fails, does not end or has errors,
2 wrong usage.")]
pub(crate) struct Plan {
    /// The script's file, `-` for stdin, or the name of a workflow (`bellwether list`)
    pub(crate) script: PathBuf,
    /// What the script gets.
    #[command(flatten)]
    pub(crate) given: ArgsFlags,
    /// Look agent types and workflows up as from this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// Throw for what cannot be found or is not allowed, as a run does
    #[arg(long)]
    pub(crate) strict: bool,
    /// Items of made-up arrays [default: 3]
    #[arg(long, value_name = "N")]
    pub(crate) items: Option<u64>,
    /// Make agents fail: `all`, or a part of them from 0 to 1
    #[arg(long, value_name = "all|P", value_parser = parse_fail)]
    pub(crate) fail: Option<Fail>,
    /// Draw the script's shape from its syntax tree instead; nothing of it runs
    #[arg(long)]
    pub(crate) outline: bool,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
    /// Who would work.
    #[command(flatten)]
    pub(crate) agents: AgentFlags,
    /// Limits.
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
}

/// `ps`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether ps
  bellwether ps --all --json | jq '.[].runId'")]
pub(crate) struct Ps {
    /// All runs, not only the unfinished and the latest
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `show`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether show
  bellwether show r-7k2m9q4d
  bellwether show last a-17         one agent, by id or label")]
pub(crate) struct Show {
    /// The run: its id, a unique beginning of it, or `last` [default: last]
    pub(crate) run: Option<String>,
    /// One agent of it: its id, or its label
    pub(crate) agent: Option<String>,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `diff`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether diff last              all patches
  bellwether diff last a-17         those of one agent
  bellwether diff last --stat       the files only
  bellwether diff last a-17 | git apply")]
pub(crate) struct Diff {
    /// The run: its id, a unique beginning of it, or `last` [default: last]
    pub(crate) run: Option<String>,
    /// One agent of it: its id, or its label
    pub(crate) agent: Option<String>,
    /// Print the files and the lines that were added and removed, not the patches
    #[arg(long)]
    pub(crate) stat: bool,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `land`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  bellwether land last --verify 'npm test'
  bellwether land r-7k2m --into migration
  bellwether land last a-3 a-17            two agents' branches only

Each branch is merged with all that landed before it, verified in a worktree at
that very commit, and only then the target moves. A branch in conflict, or one
that does not verify, is left out and the target untouched by it. Landing again
is safe: what is in the target stays as it is.

Exit code: 0 all landed, 4 some were left out, 1 all were.")]
pub(crate) struct Land {
    /// The run: its id, a unique beginning of it, or `last` [default: last]
    pub(crate) run: Option<String>,
    /// Agents of it, by id or label, whose branches to land [default: all that left one]
    pub(crate) agents: Vec<String>,
    /// The branch to land in; made at the run's base when it is not there [default: what is checked out]
    #[arg(long, value_name = "BRANCH", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) into: Option<String>,
    /// A command for the shell that must end with exit code 0 for each branch
    #[arg(long, value_name = "COMMAND", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) verify: Option<String>,
    /// How long that command may take [default: 30m]
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    pub(crate) timeout: Option<Duration>,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `logs`
#[derive(Debug, Args)]
pub(crate) struct Logs {
    /// The run: its id, a unique beginning of it, or `last` [default: last]
    pub(crate) run: Option<String>,
    /// Go on until the run is no longer at work (with `--json`: one object a line)
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `result`, `journal dump`
#[derive(Debug, Args)]
pub(crate) struct OneRun {
    /// The run: its id, a unique beginning of it, or `last` [default: last]
    pub(crate) run: Option<String>,
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// `journal …`
#[derive(Debug, Subcommand)]
pub(crate) enum Journal {
    /// Print every record of a run
    Dump(OneRun),
    /// Check that no record was changed, lost or cut off
    Verify(OneRun),
}

/// `config …`
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Print each setting as it holds, and where it comes from
    Show(Box<ConfigShow>),
    /// Print the JSON Schema of a settings file
    Schema(Common),
}

/// `config show`
#[derive(Debug, Args)]
#[command(
    after_help = "Where settings come from, the later deciding over the earlier:
  person       ~/.config/bellwether/config.toml
  project      .bellwether/config.toml
  environment  BELLWETHER_*, such as BELLWETHER_BACKEND
  flag         of this command
  managed      /etc/bellwether/managed.toml, by an administrator

Flags of `run` may be given here, to see what they would change."
)]
pub(crate) struct ConfigShow {
    /// Journal and form.
    #[command(flatten)]
    pub(crate) common: Common,
    /// Who works.
    #[command(flatten)]
    pub(crate) agents: AgentFlags,
    /// Limits.
    #[command(flatten)]
    pub(crate) limits: LimitFlags,
}

fn parse_fail(text: &str) -> std::result::Result<Fail, String> {
    if text == "all" {
        return Ok(Fail::All);
    }
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(Fail::Share(share)),
        _ => Err("give `all`, or a number from 0 to 1 such as 0.3".to_owned()),
    }
}

fn parse_timeout(text: &str) -> std::result::Result<Duration, String> {
    match duration::parse(text)? {
        Duration::ZERO => Err("a run needs some time".to_owned()),
        duration => Ok(duration),
    }
}

/// The flags' layer of the settings.
///
/// # Errors
/// When flags say what cannot be meant.
pub(crate) fn layer(
    directory: &Path,
    journal: &JournalFlag,
    agents: Option<&AgentFlags>,
    limits: Option<&LimitFlags>,
) -> Result<Layer> {
    let mut layer = Layer::new();
    if let Some(path) = &journal.journal {
        layer.push((Key::Journal, Value::Path(directory.join(path))));
    }
    let flag = |key: Key, text: &Option<String>| {
        let read = text.as_ref().map(|text| key.read_text(text, directory));
        read.transpose().map_err(|what| {
            CommandError::usage(format!("{}: {what}", key.flag().unwrap_or_default()))
        })
    };
    if let Some(agents) = agents {
        for (key, text) in [
            (Key::Backend, &agents.backend),
            (Key::AgentCommand, &agents.agent_command),
            (Key::AgentInput, &agents.agent_input),
            (Key::Isolate, &agents.isolate),
            (Key::Model, &agents.model),
            (Key::Effort, &agents.effort),
        ] {
            layer.extend(flag(key, text)?.map(|value| (key, value)));
        }
        for allowed in &agents.allow {
            match allowed {
                Allowed::Merge => layer.push((Key::PermissionsMerge, Value::Flag(true))),
                Allowed::Shell => layer.push((Key::PermissionsShell, Value::Flag(true))),
                Allowed::WebFetch => layer.push((Key::PermissionsWebFetch, Value::Flag(true))),
            }
        }
        if let (Some(backend), Some(_)) = (&agents.backend, &agents.agent_command)
            && backend != "command"
        {
            return Err(CommandError::usage(format!(
                "--backend {backend} and --agent-command cannot both carry out the agents"
            ))
            .help("give one of them"));
        }
        layer.extend(
            agents
                .timeout
                .map(|value| (Key::Timeout, Value::Duration(value))),
        );
    }
    if let Some(limits) = limits {
        let budget = flag(Key::Budget, &limits.budget)?;
        layer.extend(budget.map(|value| (Key::Budget, value)));
        let counts = [
            (Key::Concurrency, limits.concurrency.map(u64::from)),
            (Key::MaxAgents, limits.max_agents),
            (Key::MaxItems, limits.max_items.map(u64::from)),
        ];
        layer.extend(
            counts
                .into_iter()
                .filter_map(|(key, n)| Some((key, Value::Count(n?)))),
        );
    }
    Ok(layer)
}

#[cfg(test)]
mod tests;
