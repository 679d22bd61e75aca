//! Calls of the contract's functions, and what is said of them.

use oxc_ast::ast::Expression;
use oxc_semantic::NodeId;
use oxc_span::GetSpan;

use super::draw::{Drawing, shortened};
use super::{AgentSays, Kind, Node, Role};
use crate::check::body::{Call, Called, Field};
use crate::check::unverified::{beginning, edits, speaks_of_verifying, verifies};

/// So many words of a prompt say what its agent is to do.
const TASK_WORDS: usize = 8;

impl<'a> Drawing<'_, '_, 'a> {
    pub(super) fn of_contract(&mut self, id: NodeId, call: Call<'a>) {
        self.drawn.insert(id);
        let span = call.written.span;
        match call.called {
            Called::Phase => {
                let title = call.argument(0).map(|title| self.said(title));
                let title = title.unwrap_or_default();
                let node = self.node(Kind::Phase, span, format!("{title:?}"));
                self.phase = title;
                self.push(node);
            }
            Called::Parallel => match call.argument(0) {
                Some(list) => {
                    let fan = self.fan(list, 0);
                    self.fanned(Kind::Parallel, span, fan);
                }
                None => self.walk_children(id),
            },
            Called::Pipeline => self.pipeline(&call),
            Called::Agent | Called::Attempt => {
                self.arguments(&call);
                let node = self.agent(&call);
                self.push(node);
            }
            Called::Workflow => {
                self.arguments(&call);
                let target = call.argument(0).map(|target| {
                    let fields = self
                        .body
                        .object(target)
                        .map(|object| self.body.fields(object).0);
                    let path = fields.and_then(|fields| {
                        let path = fields
                            .into_iter()
                            .find(|field| field.name == "scriptPath")?;
                        Some(path.value)
                    });
                    format!("{:?}", self.said(path.unwrap_or(target)))
                });
                let node = self.node(Kind::Workflow, span, target.unwrap_or_default());
                self.push(node);
            }
            Called::Merge => {
                self.arguments(&call);
                let node = self.merge(&call);
                self.push(node);
            }
            Called::Pattern(name) => {
                // Functions among its options are called by it.
                let children = self.collect(|it| it.arguments(&call));
                let mut node = self.node(Kind::Pattern, span, name);
                node.role = Some(Role::Verifies);
                self.place(node, children);
            }
            Called::Ask => {
                self.arguments(&call);
                let question = call
                    .argument(0)
                    .map(|asked| format!("{:?}", self.said(asked)));
                let node = self.node(Kind::Ask, span, question.unwrap_or_default());
                self.push(node);
            }
            Called::Sleep => self.arguments(&call),
        }
    }

    pub(super) fn arguments(&mut self, call: &Call<'a>) {
        for argument in &call.written.arguments {
            self.argument(argument);
        }
    }

    /// What a text says, with what is filled in within braces.
    pub(super) fn said(&self, expression: &'a Expression<'a>) -> String {
        if let Some(text) = self.body.string(expression) {
            return shortened(&text);
        }
        match self.body.literal(expression) {
            Expression::TemplateLiteral(template) => {
                let mut text = String::new();
                for (index, part) in template.quasis.iter().enumerate() {
                    text.push_str(part.value.cooked.unwrap_or(part.value.raw).as_str());
                    if let Some(filled) = template.expressions.get(index) {
                        let filled = self.text(filled.span());
                        text = text + "{" + &filled + "}";
                    }
                }
                shortened(&text)
            }
            other => format!("{{{}}}", self.text(other.span())),
        }
    }

    /// The options of a call, as far as they stand there.
    fn options(&self, call: &Call<'a>) -> Vec<Field<'a>> {
        let object = call
            .argument(1)
            .and_then(|options| self.body.object(options));
        object
            .map(|object| self.body.fields(object).0)
            .unwrap_or_default()
    }

    pub(super) fn agent(&self, call: &Call<'a>) -> Node {
        let kind = if call.called == Called::Agent {
            Kind::Agent
        } else {
            Kind::Attempt
        };
        let fields = self.options(call);
        let option = |name: &str| fields.iter().rev().find(|field| field.name == name);
        let said = |name: &str| option(name).map(|field| self.said(field.value));
        let prompt = call.argument(0);
        let label = said("label").or_else(|| prompt.map(|prompt| self.said(prompt)));
        let mut node = self.node(
            kind,
            call.written.span,
            format!("{:?}", label.unwrap_or_default()),
        );
        node.options = Some(AgentSays {
            model: said("model"),
            agent_type: said("agentType"),
            isolation: said("isolation"),
            schema: option("schema").is_some(),
        });
        let task = prompt
            .map(|prompt| beginning(self.body, prompt))
            .unwrap_or_default();
        let task: Vec<&str> = task.split_whitespace().take(TASK_WORDS).collect();
        let phase = said("phase").unwrap_or_else(|| self.phase.clone());
        let texts = [
            Some(phase),
            said("label"),
            said("agentType"),
            Some(task.join(" ")),
        ];
        let speaks = texts.iter().flatten().any(|text| speaks_of_verifying(text));
        node.role = if edits(self.body, call).is_some() {
            Some(Role::Edits)
        } else {
            speaks.then_some(Role::Verifies)
        };
        node
    }

    pub(super) fn merge(&self, call: &Call<'a>) -> Node {
        let fields = self.options(call);
        let said = |name: &str| {
            let field = fields.iter().rev().find(|field| field.name == name)?;
            Some(self.said(field.value))
        };
        let verified = match said("verify") {
            Some(command) => format!("verified by {command:?}"),
            None if verifies(self.body, call) => "with options that are computed".to_owned(),
            None => "without verification".to_owned(),
        };
        let text = match said("into") {
            Some(into) => format!("into {into:?} {verified}"),
            None => verified,
        };
        let mut node = self.node(Kind::Merge, call.written.span, text);
        node.role = verifies(self.body, call).then_some(Role::Verifies);
        node
    }
}
