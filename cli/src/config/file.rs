//! A settings file: reading one layer, and the JSON Schema of what may stand in it.

use std::io;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use toml::de::{DeTable, DeValue};

use super::key::{Key, Raw, Value, nearest};
use super::models::{self, TABLES, Tables};
use crate::error::{CommandError, Result};

/// The settings of one layer.
pub(crate) type Layer = Vec<(Key, Value)>;

/// Reads the layer in `file` and its tables of models; a file that is not there is an empty one. Paths in it are taken from
/// `base`.
///
/// # Errors
/// A usage error that names file, line and column.
pub(crate) fn read_all(file: &Path, base: &Path) -> Result<(Layer, Tables)> {
    match text_of(file)? {
        Some(text) => {
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            // First the settings, whose errors say more.
            Ok((parse(text, file, base)?, models::parse(text, file)?))
        }
        None => Ok((Layer::new(), Tables::default())),
    }
}

fn text_of(file: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if missing(&error) => Ok(None),
        Err(error) => Err(CommandError::usage(format!(
            "{}: cannot be read: {error}",
            file.display()
        ))),
    }
}

fn missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Reads a layer from its text.
fn parse(text: &str, file: &Path, base: &Path) -> Result<Layer> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let wrong = |offset: usize, what: String| {
        let (line, column) = place(text, offset);
        CommandError::usage(format!("{}:{line}:{column}: {what}", file.display()))
    };
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        wrong(offset, error.message().replace('\n', ", "))
    })?;
    // Settings of a table are read as `table.key`.
    let settings = table.get_ref().iter().flat_map(|(name, value)| {
        let inner = match value.get_ref() {
            DeValue::Table(inner) if Key::is_table(name.get_ref()) => Some(inner),
            _ => None,
        };
        let within = inner.into_iter().flatten().map(move |(key, value)| {
            (
                format!("{}.{}", name.get_ref(), key.get_ref()),
                key.span(),
                value,
            )
        });
        let alone = (inner.is_none()).then(|| (name.get_ref().to_string(), name.span(), value));
        within.chain(alone)
    });
    let mut layer = Layer::new();
    for (name, span, value) in settings {
        if TABLES.contains(&name.as_str()) {
            continue;
        }
        let Some(key) = Key::named(&name) else {
            let known = Key::ALL.iter().map(|key| key.name());
            let error = wrong(span.start, format!("unknown key `{name}`"));
            return Err(match nearest(&name, known.clone()) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help(format!(
                    "known keys: {}",
                    known.collect::<Vec<_>>().join(", ")
                )),
            });
        };
        let read = key
            .read(raw(value.get_ref()), base)
            .map_err(|what| wrong(value.span().start, format!("`{}`: {what}", key.name())))?;
        layer.push((key, read));
    }
    Ok(layer)
}

fn raw<'a>(value: &'a DeValue<'a>) -> Raw<'a> {
    match value {
        DeValue::String(text) => Raw::Text(text),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Raw::Other, Raw::Number)
        }
        DeValue::Boolean(flag) => Raw::Flag(*flag),
        DeValue::Array(items) => items
            .iter()
            .map(|item| match item.get_ref() {
                DeValue::String(text) => Some(text.to_string()),
                _ => None,
            })
            .collect::<Option<Vec<_>>>()
            .map_or(Raw::Other, Raw::Texts),
        _ => Raw::Other,
    }
}

/// Line and column of a byte, both from 1.
pub(super) fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before
        .chars()
        .rev()
        .take_while(|&letter| letter != '\n')
        .count()
        + 1;
    (line, column)
}

/// The settings of Bellwether: `.bellwether/config.toml` in a project,
/// `~/.config/bellwether/config.toml` of a person, `/etc/bellwether/managed.toml` of an
/// administrator.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "Bellwether settings")]
#[expect(
    dead_code,
    reason = "the shape of the file, from which its schema is made"
)]
struct File {
    /// The journal's file. A relative path starts at the project's root (in the personal and the
    /// managed file: at the folder of that file). Default: `.bellwether/local/journal.redb`.
    #[schemars(length(min = 1))]
    journal: Option<PathBuf>,
    /// The backend that agents run in, by name, such as `dry` or `command`.
    #[schemars(length(min = 1))]
    backend: Option<String>,
    /// A program that is the agent: as a shell would split it, or as a list of words.
    agent_command: Option<Command>,
    /// How that program is given its task: one JSON object (`task`), the prompt alone (`prompt`), or
    /// one process for many tasks, one JSON object a line (`lines`). Default: `task`.
    agent_input: Option<AgentInput>,
    /// Which agents work in a git worktree of their own: those whose call or agent type asks for it (`asked`), or all
    /// whose tools are not limited to reading ones (`always`). Default: `asked`.
    isolate: Option<Isolate>,
    /// Agents of a run at once; 0 is no limit.
    #[schemars(range(min = 0, max = 4_294_967_295_u64))]
    concurrency: Option<u32>,
    /// Agents of a run in all. Default: 1000.
    #[schemars(range(min = 1))]
    max_agents: Option<u64>,
    /// What a run's agents may use: output tokens (`2000000`, `"2M"`, `"500k"`) or money (`"$5"`). Default: no limit.
    budget: Option<Budget>,
    /// How deep workflows may call workflows. Default: 1.
    #[schemars(range(min = 1, max = 5))]
    nesting: Option<u32>,
    /// Whether a script gets `args` that are a text parsed, where the text is JSON of an object or an array. Default: true.
    parse_args: Option<bool>,
    /// Items of one `parallel` or `pipeline`. Default: 4096.
    #[schemars(range(min = 1, max = 4_294_967_295_u64))]
    max_items: Option<u32>,
    /// How long a run may take before it is stopped, such as `90s`, `2h` or `PT90S`. Default: no limit.
    timeout: Option<String>,
    /// What a shell does when a run has ended or waits for somebody, such as `notify-send "$BELLWETHER_RUN"`.
    notify: Option<String>,
    /// Whether a command carries out its run itself, and not a host process that outlives it. Default: false.
    foreground: Option<bool>,
    /// How long agents may take to end when a run is stopped. Default: `10s`.
    stop_grace: Option<String>,
    /// How long a script's source may be, in bytes. Default: 524288.
    #[schemars(range(min = 1, max = 1_099_511_627_776_u64))]
    script_source_bytes: Option<u64>,
    /// How much a script may keep, in bytes. Default: 268435456. A run that broke this limit can be resumed with another.
    #[schemars(range(min = 1, max = 1_099_511_627_776_u64))]
    script_heap_bytes: Option<u64>,
    /// A script's stack, in bytes. Default: 1048576, which is also the most.
    #[schemars(range(min = 65_536, max = 1_048_576_u64))]
    script_stack_bytes: Option<u64>,
    /// CPU time of one turn of a script. Default: `30s`.
    script_turn_cpu: Option<String>,
    /// How the working trees of isolated agents are made.
    worktree: Option<Worktree>,
    /// What scripts may do beside starting agents.
    permissions: Option<Permissions>,
    /// The model of agents whose call and type name none: an alias or an id. Default: `sonnet`.
    #[schemars(length(min = 1))]
    model: Option<String>,
    /// How much a run may do: a row of the table in `docs/models.md`. Default: none.
    effort: Option<Effort>,
    /// Whether runs that will use much are confirmed before they begin. Default: true.
    confirm: Option<bool>,
    /// Whether agents' programs find models by the engine's gateway, which counts what they use and keeps the keys. Logins of
    /// subscriptions break behind another address. Default: true.
    gateway: Option<bool>,
    /// Who has models, what they are called, what they cost.
    #[schemars(flatten)]
    tables: Tables,
}

/// How the working trees of isolated agents are made.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "the shape of the file, from which its schema is made"
)]
struct Worktree {
    /// The branch, tag or commit that isolated agents begin from. Default: what is checked out.
    #[schemars(length(min = 1))]
    base: Option<String>,
    /// What becomes of uncommitted changes to tracked files: isolated agents are refused (`refuse`), or the changes are
    /// part of what they begin from (`include`). Default: `refuse`.
    uncommitted: Option<Uncommitted>,
    /// What every worktree shares with the checkout by a link, such as `node_modules`.
    link: Option<Vec<String>>,
    /// What is copied from the checkout into every worktree, such as `.env`.
    copy: Option<Vec<String>>,
    /// A command for the shell that makes a worktree ready, such as `npm ci`.
    #[schemars(length(min = 1))]
    setup: Option<String>,
    /// Files on whose content the setup depends: it runs again when they change.
    setup_inputs: Option<Vec<String>>,
    /// How long a setup may take. Default: `15m`.
    setup_timeout: Option<String>,
    /// How much all worktrees may take on the disk, in bytes. Default: no limit.
    #[schemars(range(min = 1_048_576))]
    disk_limit: Option<u64>,
}

/// What scripts may do beside starting agents.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(
    dead_code,
    reason = "the shape of the file, from which its schema is made"
)]
struct Permissions {
    /// Whether they may merge the branches that agents leave. Default: false.
    merge: Option<bool>,
    /// Whether built-in agents may run commands, with all that you may do. Default: false.
    shell: Option<bool>,
    /// Whether built-in agents may fetch pages of the web. Default: false.
    web_fetch: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(
    dead_code,
    reason = "the shape of the file, from which its schema is made"
)]
enum Uncommitted {
    Refuse,
    Include,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(
    dead_code,
    reason = "the shape of the file, from which its schema is made"
)]
enum Budget {
    /// Output tokens.
    Tokens(#[schemars(range(min = 1))] u64),
    /// Output tokens or dollars.
    Text(#[schemars(length(min = 1))] String),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(
    dead_code,
    reason = "the shape of the file, from which its schema is made"
)]
enum Command {
    /// As a shell would split it.
    Line(#[schemars(length(min = 1))] String),
    /// Word by word.
    Words(#[schemars(length(min = 1))] Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(
    dead_code,
    reason = "the shape of the file, from which its schema is made"
)]
enum AgentInput {
    Task,
    Prompt,
    Lines,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is wanted")]
enum Effort {
    Low,
    Medium,
    High,
    Xhigh,
    Max,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
#[expect(
    dead_code,
    reason = "the shape of the file, from which its schema is made"
)]
enum Isolate {
    Asked,
    Always,
}

/// The JSON Schema of a settings file.
pub(crate) fn schema() -> serde_json::Value {
    schemars::schema_for!(File).to_value()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::Duration;

    use super::*;

    fn read(text: &str) -> Result<Layer> {
        parse(text, Path::new("config.toml"), Path::new("/project"))
    }

    #[test]
    fn reads_every_key() {
        let layer = read(
            r#"
            journal = "j.redb"
            backend = "dry"
            agent_command = "claude -p 'a b'"
            agent_input = "prompt"
            isolate = "always"
            concurrency = 0
            max_agents = 0x10
            budget = "$2.50"
            model = "haiku"
            effort = "high"
            confirm = false
            gateway = false
            nesting = 3
            notify = "notify-send done"
            foreground = true
            parse_args = false
            max_items = 5
            timeout = "2h"
            stop_grace = "PT5S"
            script_source_bytes = 1000
            script_heap_bytes = 2000
            script_stack_bytes = 100000
            script_turn_cpu = "5s"

            [worktree]
            base = "main"
            uncommitted = "include"
            link = ["node_modules"]
            copy = [".env", "certificates"]
            setup = "npm ci && npm run build"
            setup_inputs = ["package-lock.json"]
            setup_timeout = "10m"
            disk_limit = 10000000000

            [permissions]
            merge = true
            shell = true
            web_fetch = false
            "#,
        )
        .unwrap();
        assert_eq!(layer.len(), Key::ALL.len());
        for (key, value) in [
            (Key::Journal, Value::Path("/project/j.redb".into())),
            (
                Key::AgentCommand,
                Value::Words(vec!["claude".into(), "-p".into(), "a b".into()]),
            ),
            (Key::MaxAgents, Value::Count(16)),
            (Key::Budget, Value::Dollars(2_500_000)),
            (Key::Timeout, Value::Duration(Duration::from_hours(2))),
            (Key::StopGrace, Value::Duration(Duration::from_secs(5))),
            (
                Key::WorktreeSetup,
                Value::Text("npm ci && npm run build".into()),
            ),
            (
                Key::WorktreeCopy,
                Value::Paths(vec![".env".into(), "certificates".into()]),
            ),
            (Key::PermissionsMerge, Value::Flag(true)),
        ] {
            assert!(layer.contains(&(key, value.clone())), "{key:?} {value:?}");
        }
    }

    #[test]
    fn an_unknown_key_names_its_place_and_the_nearest() {
        let error = read("backend = \"dry\"\n\n  concurency = 3\n").unwrap_err();
        assert_eq!(error.message(), "config.toml:3:3: unknown key `concurency`");
        assert_eq!(error.help_text(), Some("did you mean `concurrency`?"));
        let error = read("agent-command = \"x\"").unwrap_err();
        assert_eq!(error.help_text(), Some("did you mean `agent_command`?"));
        let error = read("zzz = 1").unwrap_err();
        assert!(
            error
                .help_text()
                .unwrap()
                .starts_with("known keys: journal, backend")
        );
        assert!(read("[agent]\ncommand = 1").is_err());
        let error = read("[worktree]\nlinks = []").unwrap_err();
        assert_eq!(
            error.message(),
            "config.toml:2:1: unknown key `worktree.links`"
        );
        assert_eq!(error.help_text(), Some("did you mean `worktree.link`?"));
        let error = read("[worktree]\nlink = [\"../other\"]").unwrap_err();
        assert!(error.message().contains("below the project's root"));
    }

    #[test]
    fn a_wrong_type_names_its_place() {
        for (text, place, what) in [
            (
                "concurrency = \"3\"",
                "1:15",
                "`concurrency`: expected a whole number from 0",
            ),
            (
                "concurrency = -1",
                "1:15",
                "`concurrency`: expected a whole number from 0",
            ),
            (
                "concurrency = 4294967296",
                "1:15",
                "`concurrency`: expected a whole number from 0",
            ),
            (
                "\nmax_items = 0",
                "2:13",
                "`max_items`: expected a whole number from 1",
            ),
            (
                "timeout = 90",
                "1:11",
                "`timeout`: expected a duration above zero, such as",
            ),
            ("timeout = \"90\"", "1:11", "`timeout`: `90` is no duration"),
            (
                "timeout = \"0s\"",
                "1:11",
                "`timeout`: expected a duration above zero",
            ),
            (
                "agent_input = \"file\"",
                "1:15",
                "`agent_input`: expected one of task, prompt, lines",
            ),
            (
                "agent_command = [1]",
                "1:17",
                "`agent_command`: expected a command",
            ),
            (
                "agent_command = []",
                "1:17",
                "`agent_command`: expected a command",
            ),
            (
                "agent_command = \"a 'b\"",
                "1:17",
                "`agent_command`: a quotation mark",
            ),
            ("backend = true", "1:11", "`backend`: expected a name"),
            ("backend = ", "1:", ""),
            ("backend = \"a\"\nbackend = \"b\"", "2:1", "duplicate"),
        ] {
            let error = read(text).unwrap_err();
            let message = error.message();
            assert!(
                message.starts_with(&format!("config.toml:{place}")),
                "{text}: {message}"
            );
            assert!(message.contains(what), "{text}: {message}");
            assert_eq!(error.exit_code().number(), 2);
        }
    }

    /// The settings that properties name, those of a table as `table.key`.
    fn names(schema: &serde_json::Value, properties: &serde_json::Value) -> Vec<String> {
        let properties = properties.as_object().unwrap();
        let within = |name: &String, property: &serde_json::Value| {
            let reference = property["anyOf"][0]["$ref"].as_str()?;
            let table = schema.pointer(reference.strip_prefix('#')?)?;
            let keys = table["properties"].as_object()?.keys();
            Some(keys.map(|key| format!("{name}.{key}")).collect())
        };
        properties
            .iter()
            .flat_map(|(name, property)| {
                within(name, property).unwrap_or_else(|| vec![name.clone()])
            })
            .collect()
    }

    #[test]
    fn the_schema_says_what_the_reader_does() {
        let schema = schema();
        let names: Vec<String> = names(&schema, &schema["properties"]);
        let known = Key::ALL.iter().map(|key| key.name()).chain(TABLES);
        assert_eq!(names, known.collect::<Vec<_>>());
        let validator = jsonschema::validator_for(&schema).unwrap();
        for text in [
            "",
            "concurrency = 3",
            "concurrency = \"3\"",
            "concurrency = -1",
            "max_items = 0",
            "backend = \"\"",
            "backend = 1",
            "agent_command = [\"a\", \"b\"]",
            "agent_command = \"a b\"",
            "agent_command = []",
            "agent_command = 5",
            "agent_input = \"lines\"",
            "agent_input = \"line\"",
            "timeout = 5",
            "timeout = \"5s\"",
            "unknown = 1",
            "worktree = 1",
            "worktree.link = [\"node_modules\"]",
            "worktree.link = \"node_modules\"",
            "worktree.links = []",
            "worktree.uncommitted = \"ignore\"",
            "worktree.disk_limit = 5",
            "permissions.merge = true",
            "permissions.merge = \"yes\"",
        ] {
            let value: toml::Value = toml::from_str(text).unwrap();
            let value = serde_json::to_value(value).unwrap();
            assert_eq!(validator.is_valid(&value), read(text).is_ok(), "{text}");
        }
    }
}
