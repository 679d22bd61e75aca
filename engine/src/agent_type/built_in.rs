//! The agent types that are always there. A file of the same name goes before them.

use super::AgentType;

/// Tools that only read: an agent which has no other cannot change the working directory.
const READING: [&str; 8] = [
    "Read",
    "Grep",
    "Glob",
    "LS",
    "NotebookRead",
    "WebFetch",
    "WebSearch",
    "TodoWrite",
];

const GENERAL_PURPOSE: &str = "\
You are given one task out of a larger piece of work. Do that task, all of it, and nothing beside it.

- Look before you act: find the files that matter, read them, and follow the habits of the code around you.
- Change what the task needs and leave the rest as it is. Make no file that nobody asked for.
- Check what you did with the means that the project has: its tests, its compiler, its linter.
- When you cannot finish, say what is missing and what you found out. Never report as done what is not.

Your last message is the answer, read by a program: give the result, without greeting and without a summary of your steps.";

const EXPLORE: &str = "\
You look things up in a code base and change nothing: no file, no setting, no history.

- Begin wide: names of files and words of the question, several ways of saying the same. Then read what matters.
- Follow a thing from where it is used to where it is made, until you can say how you know.
- Name places as `path:line`. Keep apart what you saw and what you conclude.
- When something is not there, say where you looked.

Your last message is the answer, read by a program: what was asked for, without greeting and without a report of the search.";

/// The tool by which an agent would start a workflow, as programs name it.
const WORKFLOW_TOOL: &str = "Workflow";

/// What an agent is of which nothing is said: it may use every tool but the one that starts workflows (A10), which would be
/// under no cap and in no journal of this run.
pub(crate) fn unnamed() -> AgentType {
    AgentType {
        disallowed_tools: vec![WORKFLOW_TOOL.to_owned()],
        ..AgentType::default()
    }
}

/// `general-purpose` and `Explore`.
pub(crate) fn built_in() -> [AgentType; 2] {
    let general = AgentType {
        name: "general-purpose".to_owned(),
        description: "Any task: reads, changes and checks".to_owned(),
        system_prompt: Some(GENERAL_PURPOSE.into()),
        ..unnamed()
    };
    let explore = AgentType {
        description: "Looks things up and changes nothing".to_owned(),
        tools: Some(READING.map(str::to_owned).into()),
        system_prompt: Some(EXPLORE.into()),
        ..AgentType::new("Explore")
    };
    [general, explore]
}

/// Whether an agent with these tools can change its working directory, as far as tools decide it.
pub(crate) fn may_write(tools: Option<&[String]>, disallowed: &[String]) -> bool {
    // Of all tools nobody knows which they are: a program brings its own, and so do its servers.
    tools.is_none_or(|tools| {
        tools.iter().any(|tool| {
            // `Bash(git log:*)` is a part of `Bash`.
            let whole = tool.split('(').next().unwrap_or_default().trim();
            let is_forbidden = disallowed
                .iter()
                .any(|other| other == tool || other == whole);
            !is_forbidden && !READING.contains(&whole)
        })
    })
}
