//! `bellwether <name> …`: a workflow as a command of its own. What its header says of its arguments (`meta.args`, a JSON
//! Schema of an object) becomes flags, and the text behind the name the first property that it requires.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::Path;

use bellwether::Script;
use bellwether::workflow::{self, discover};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _};
use serde_json::{Map, Value};

use super::{Place, list, script};
use crate::args::{Arguments, Command, JournalFlag};
use crate::config::key::nearest;
use crate::error::{CommandError, Result};
use crate::output::Screen;

/// What flags of workflows are called within clap.
const PREFIX: &str = "workflow.";
const HEADING: &str = "Arguments of the workflow";

/// A property of a workflow's arguments.
struct Property<'a> {
    name: &'a str,
    flag: String,
    schema: &'a Value,
    kind: Kind,
}

/// How its flag is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The text itself.
    Text,
    /// There or not.
    Switch,
    /// JSON: numbers, objects, whatever else.
    Json,
    /// One text for each time that it is given.
    Texts,
}

/// What `bellwether <name> [text] …` means: `run` of the workflow with that name.
///
/// # Errors
/// A usage error that names the nearest command or workflow, or what is wrong with the flags.
pub(super) fn named(words: &[OsString], screen: Screen) -> Result<Arguments> {
    let name = words.first().map(|word| word.to_string_lossy());
    let name = name.unwrap_or_default();
    let place = Place::load(screen, &JournalFlag::default(), None, None)?;
    let found = discover(&place.directory, &place.config.home);
    if !found.files().contains_key(name.as_ref()) {
        let mut known: Vec<String> = Arguments::command()
            .get_subcommands()
            .map(|command| command.get_name().to_owned())
            .collect();
        known.extend(found.workflows.into_iter().map(|workflow| workflow.name));
        let error = CommandError::usage(format!("there is no command and no workflow `{name}`"));
        return Err(match nearest(&name, known.iter().map(String::as_str)) {
            Some(near) => error.help(format!("did you mean `{near}`?")),
            None => error
                .help("`bellwether --help` lists the commands, `bellwether list` the workflows"),
        });
    }
    let schema = found.get(&name).and_then(|found| found.args.clone());
    arguments(words, schema.as_ref())
}

/// What `bellwether run <script> …` means where it has flags that `run` does not know: those of the script.
///
/// # Errors
/// There is no such script, or what is wrong with the flags.
pub(super) fn run(words: &[OsString], screen: Screen) -> Result<Arguments> {
    let place = Place::load(screen, &JournalFlag::default(), None, None)?;
    // The script is the first word that is the name of one: flags may stand before it.
    let schema = words.iter().find_map(|word| {
        let file = list::script_file(Path::new(word), &place.directory, &place.config.home).ok()?;
        let source = script::read(&file).ok()?;
        workflow::arguments(&Script::file(file, source))
    });
    arguments(words, schema.as_ref())
}

fn arguments(words: &[OsString], schema: Option<&Value>) -> Result<Arguments> {
    let properties = schema.map(properties).unwrap_or_default();
    let mut command = Arguments::command();
    // Names are freed first: what `run` has itself goes before what a script would like.
    let own: Vec<String> = command
        .find_subcommand("run")
        .into_iter()
        .flat_map(clap::Command::get_arguments)
        .chain(command.get_arguments())
        .filter_map(|arg| arg.get_long().map(str::to_owned))
        .collect();
    // Of two names that make one flag the first has it.
    let mut taken: HashSet<String> = own.into_iter().chain(["help".to_owned()]).collect();
    let properties: Vec<Property<'_>> = properties
        .into_iter()
        .filter(|property| taken.insert(property.flag.clone()))
        .collect();
    command = command.mut_subcommand("run", |run| run.args(properties.iter().map(Property::arg)));
    let program = [OsString::from("bellwether"), OsString::from("run")];
    let matches = command
        .try_get_matches_from(program.iter().chain(words))
        .unwrap_or_else(|error| error.exit());
    let mut arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let Command::Run(run) = &mut arguments.command else {
        return Ok(arguments);
    };
    let Some(matches) = matches.subcommand_matches("run") else {
        return Ok(arguments);
    };
    let mut given = Map::new();
    for property in &properties {
        if let Some(value) = property.value(matches)? {
            given.insert(property.name.to_owned(), value);
        }
    }
    let first = schema.and_then(|schema| schema["required"][0].as_str());
    if given.is_empty() {
        // A text that is an object or a list is all of the arguments (G01).
        let is_all = |text: &String| {
            serde_json::from_str::<Value>(text)
                .is_ok_and(|value| value.is_object() || value.is_array())
        };
        let is_object = schema.is_some_and(|schema| schema["type"] == "object");
        let is_first = run.given.text.as_ref().is_some_and(|text| !is_all(text));
        if !(is_object && is_first && first.is_some()) {
            return Ok(arguments);
        }
    }
    if run.given.args.is_some() || run.given.args_file.is_some() {
        return Err(CommandError::usage(
            "the workflow's own flags and --args both say what it gets",
        )
        .help("give one of them"));
    }
    if let Some(text) = run.given.text.take() {
        let Some(first) = first else {
            return Err(CommandError::usage(
                "a text beside flags: the workflow does not say what the text is",
            )
            .help("`required` of its `meta.args` begins with the property that it is, or give all of it with --args"));
        };
        if given.contains_key(first) {
            return Err(CommandError::usage(format!(
                "the text and a flag both say what `{first}` is"
            ))
            .help("give one of them"));
        }
        let kind = schema.map_or(Kind::Text, |schema| Kind::of(&schema["properties"][first]));
        let value = match kind {
            Kind::Text | Kind::Switch => Value::String(text),
            Kind::Texts => Value::Array(vec![Value::String(text)]),
            // What is no JSON is a text, and the workflow's schema says whether it may be one.
            Kind::Json => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        };
        given.insert(first.to_owned(), value);
    }
    run.given.args = Some(Value::Object(given).to_string());
    Ok(arguments)
}

fn properties(schema: &Value) -> Vec<Property<'_>> {
    let all = schema["properties"].as_object().into_iter().flatten();
    all.map(|(name, schema)| Property {
        name,
        flag: flag(name),
        schema,
        kind: Kind::of(schema),
    })
    .filter(|property| !property.flag.is_empty())
    .collect()
}

/// A property's name as a flag's: `maxRounds` is `max-rounds`. Empty for one that no flag can have.
fn flag(name: &str) -> String {
    let mut flag = String::new();
    for letter in name.chars() {
        match letter {
            'A'..='Z' => {
                flag.push('-');
                flag.push(letter.to_ascii_lowercase());
            }
            '_' => flag.push('-'),
            'a'..='z' | '0'..='9' | '-' => flag.push(letter),
            _ => return String::new(),
        }
    }
    flag.trim_matches('-').to_owned()
}

impl Kind {
    fn of(schema: &Value) -> Self {
        match schema["type"].as_str() {
            Some("boolean") => Self::Switch,
            Some("array") if schema["items"]["type"] == "string" => Self::Texts,
            Some("string") => Self::Text,
            // An enumeration of texts needs no type.
            None if schema["enum"]
                .as_array()
                .is_some_and(|words| words.iter().all(Value::is_string)) =>
            {
                Self::Text
            }
            _ => Self::Json,
        }
    }
}

impl Property<'_> {
    fn id(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.id())
            .long(self.flag.clone())
            .help_heading(HEADING);
        let arg = match self.schema["description"].as_str() {
            Some(description) => arg.help(description.to_owned()),
            None => arg,
        };
        match self.kind {
            Kind::Switch => arg.action(ArgAction::SetTrue),
            Kind::Texts => arg.action(ArgAction::Append).value_name("TEXT"),
            Kind::Text => {
                let words: Option<Vec<String>> = self.schema["enum"].as_array().map(|words| {
                    words
                        .iter()
                        .filter_map(Value::as_str)
                        .map(str::to_owned)
                        .collect()
                });
                let arg = arg.value_name("TEXT");
                match words {
                    Some(words) => arg.value_parser(PossibleValuesParser::new(words)),
                    None => arg,
                }
            }
            Kind::Json => {
                let name = match self.schema["type"].as_str() {
                    Some("integer" | "number") => "N",
                    _ => "JSON",
                };
                arg.value_name(name).allow_hyphen_values(true)
            }
        }
    }

    fn value(&self, matches: &clap::ArgMatches) -> Result<Option<Value>> {
        let id = self.id();
        let id = id.as_str();
        Ok(match self.kind {
            Kind::Switch => matches.get_flag(id).then_some(Value::Bool(true)),
            Kind::Text => matches.get_one::<String>(id).cloned().map(Value::String),
            Kind::Texts => matches
                .get_many::<String>(id)
                .map(|texts| texts.cloned().map(Value::String).collect()),
            Kind::Json => {
                let Some(text) = matches.get_one::<String>(id) else {
                    return Ok(None);
                };
                let value = serde_json::from_str(text).map_err(|error| {
                    let what = match self.schema["type"].as_str() {
                        Some("integer" | "number") => "no number".to_owned(),
                        _ => format!("no JSON: {error}"),
                    };
                    CommandError::usage(format!("--{}: `{text}` is {what}", self.flag))
                })?;
                Some(value)
            }
        })
    }
}
