//! Which tools an agent may use: what its type and its call list, less what they forbid, less what the settings leave
//! off.

use std::collections::BTreeSet;
use std::fmt;

use super::names::{self, Meaning, Name};

/// The name that is all of them.
const ALL: &str = "*";

/// Tools that are off until a setting turns them on, whatever an agent type says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Switches {
    /// `shell`: commands, with all that the engine's own user may do.
    pub(crate) shell: bool,
    /// `web_fetch`: pages of the web.
    pub(crate) web_fetch: bool,
}

/// The tools that an agent may use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permitted(BTreeSet<Name>);

impl Permitted {
    /// What is left of `tools` (`None` and `*` are all) without `disallowed` and what is switched off, and what to
    /// tell whoever wrote these lists.
    ///
    /// A name that means nothing here allows nothing: a list of unknown names is no tools at all. A pattern
    /// (`Bash(git *)`) is a part of a tool, and no part can be held to here: it allows nothing, and forbids the whole
    /// tool. A forbidden name of ours or of the table takes away all tools that it stands for; one that has no
    /// counterpart here has nothing to take away.
    pub(crate) fn new(
        tools: Option<&[String]>,
        disallowed: &[String],
        switches: Switches,
    ) -> (Self, Vec<Warning>) {
        let mut warnings = Vec::new();
        let mut permitted = match tools {
            None => BTreeSet::from(Name::ALL),
            Some(tools) => tools
                .iter()
                .flat_map(|text| allowed_by(text, switches, &mut warnings))
                .collect(),
        };
        for text in disallowed {
            for name in forbidden_by(text, &mut warnings) {
                permitted.remove(&name);
            }
        }
        permitted.retain(|name| switches.has_on(*name));
        (Self(permitted), warnings)
    }

    /// Whether it may use this tool.
    pub(crate) fn allows(&self, name: Name) -> bool {
        self.0.contains(&name)
    }

    /// All that it may use.
    pub(crate) fn names(&self) -> impl Iterator<Item = Name> + '_ {
        self.0.iter().copied()
    }
}

impl Switches {
    const fn has_on(self, name: Name) -> bool {
        match name {
            Name::Shell => self.shell,
            Name::WebFetch => self.web_fetch,
            _ => true,
        }
    }
}

fn allowed_by(text: &str, switches: Switches, warnings: &mut Vec<Warning>) -> Vec<Name> {
    let text = text.trim();
    if text == ALL {
        return Name::ALL.into();
    }
    let whole = names::whole(text);
    let (reason, allowed) = match names::meaning(whole) {
        Meaning::Tools(tools) if whole == text => {
            let off = tools.iter().find(|tool| !switches.has_on(**tool));
            (off.map(|tool| Reason::Off(*tool)), tools.to_vec())
        }
        Meaning::Tools(_) => (Some(Reason::PartAllowed), Vec::new()),
        Meaning::NotOffered => (Some(Reason::NotOffered), Vec::new()),
        Meaning::Server => (Some(Reason::Server), Vec::new()),
        Meaning::Unknown => (Some(Reason::UnknownAllowed), Vec::new()),
    };
    warnings.extend(reason.map(|reason| Warning::new(text, reason)));
    allowed
}

fn forbidden_by(text: &str, warnings: &mut Vec<Warning>) -> Vec<Name> {
    let text = text.trim();
    if text == ALL {
        return Name::ALL.into();
    }
    let whole = names::whole(text);
    let (reason, forbidden) = match names::meaning(whole) {
        Meaning::Tools(tools) => {
            let reason = (whole != text).then_some(Reason::PartForbidden(tools));
            (reason, tools.to_vec())
        }
        // It is not there, which is what was wanted.
        Meaning::NotOffered | Meaning::Server => (None, Vec::new()),
        Meaning::Unknown => (Some(Reason::UnknownForbidden), Vec::new()),
    };
    warnings.extend(reason.map(|reason| Warning::new(text, reason)));
    forbidden
}

/// A name in a list of tools that has not the effect it may have been written for. It shows itself as a sentence for
/// people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Warning {
    /// As it was written.
    pub(crate) name: String,
    /// Why it has not.
    pub(crate) reason: Reason,
}

/// Why a name has not the effect it may have been written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Nobody's name, among those that are allowed.
    UnknownAllowed,
    /// Nobody's name, among those that are forbidden.
    UnknownForbidden,
    /// A tool of another program that has no counterpart here.
    NotOffered,
    /// A tool of an MCP server, which this backend has none of.
    Server,
    /// A part of a tool is to be allowed.
    PartAllowed,
    /// A part of a tool is to be forbidden, so these are, wholly.
    PartForbidden(&'static [Name]),
    /// The settings leave this tool off.
    Off(Name),
}

impl Warning {
    fn new(name: &str, reason: Reason) -> Self {
        Self {
            name: name.to_owned(),
            reason,
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        let whole = names::whole(name);
        match self.reason {
            Reason::UnknownAllowed => write!(out, "no tool is called `{name}`: it allows nothing")?,
            Reason::UnknownForbidden => {
                write!(out, "no tool is called `{name}`: it forbids nothing")?;
            }
            Reason::NotOffered => write!(
                out,
                "the built-in agent has no tool like `{name}`: it allows nothing"
            )?,
            Reason::Server => write!(
                out,
                "`{name}` belongs to an MCP server, and the built-in agent has none: it allows nothing"
            )?,
            Reason::PartAllowed => write!(
                out,
                "`{name}` is a part of a tool, and the built-in agent cannot be held to a part: it allows nothing; \
                 `{whole}` allows the whole tool"
            )?,
            Reason::PartForbidden(tools) => {
                let tools: Vec<_> = tools.iter().map(|tool| tool.as_str()).collect();
                write!(
                    out,
                    "`{name}` is a part of a tool, and the built-in agent cannot be held to a part: all of `{}` is forbidden",
                    tools.join("`, `")
                )?;
            }
            Reason::Off(tool) => write!(
                out,
                "`{name}` is not allowed, because the settings leave `{}` off",
                tool.as_str()
            )?,
        }
        match self.reason {
            Reason::UnknownAllowed | Reason::UnknownForbidden => match names::nearest(whole) {
                Some(near) => write!(out, "; did you mean `{near}`?"),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}
