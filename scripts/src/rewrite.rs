//! The program that `QuickJS` compiles: the author's body inside two functions, with a guard at the head of every `catch`
//! (B07) and the line in every call of an agent, all on the author's own lines; and the way back from its columns to the author's.

use oxc_ast::ast::{
    Argument, BindingPattern, CallExpression, CatchClause, Expression, Program as Ast, TryStatement,
};
use oxc_ast_visit::{Visit, walk};
use oxc_semantic::Semantic;
use oxc_span::GetSpan;

use crate::refusal::Lines;

/// What every body is given beyond the globals, so that a nested workflow has its own.
pub(crate) const OWN_NAMES: &str = "agent,attempt,merge,ask,patterns,workflow,phase,args";

/// The compiled text and how its places map to the author's.
#[derive(Debug)]
pub(crate) struct Program {
    /// A module whose default export takes the guard and [`OWN_NAMES`] and gives the body as a function.
    pub(crate) text: String,
    /// Whether the VM can follow every flow (`flow.rs`).
    pub(crate) exact: bool,
    text_lines: Lines,
    source: String,
    source_lines: Lines,
    /// (offset in `text`, offset in the source), ascending: what stands between two entries was copied.
    pieces: Vec<(u32, u32)>,
}

impl Program {
    /// The author's line and column, from 1, of a place as `QuickJS` names it; `None` when it lies outside the text.
    pub(crate) fn place(&self, line: u32, column: u32) -> Option<(u32, u32)> {
        let offset = self.text_lines.offset(line, column)?;
        let index = self
            .pieces
            .partition_point(|&(text, _)| text <= offset)
            .checked_sub(1)?;
        let (text_start, source_start) = self.pieces[index];
        let mut source_offset = source_start + (offset - text_start);
        if let Some(&(_, next)) = self.pieces.get(index + 1)
            && next >= source_start
        {
            // Within an insertion: the place where it was inserted.
            source_offset = source_offset.min(next);
        }
        Some(
            self.source_lines
                .place(&self.source, source_offset.min(self.source.len() as u32)),
        )
    }
}

/// One change: the bytes `start..end` of the body become `text`.
struct Edit {
    start: u32,
    end: u32,
    text: String,
}

pub(crate) fn program(
    ast: &Ast<'_>,
    semantic: &Semantic<'_>,
    body: &str,
    source: &str,
    exact: bool,
) -> Program {
    let guard = free_name(body);
    let source_lines = Lines::of(source);
    let mut rewriter = Rewriter {
        semantic,
        body,
        lines: &source_lines,
        guard: &guard,
        edits: Vec::new(),
    };
    rewriter.visit_program(ast);
    let mut edits = rewriter.edits;
    // Stable: of two insertions at one place the one found first, the outer one, stays in front.
    edits.sort_by_key(|edit| edit.start);

    let mut text = format!("export default({guard},{OWN_NAMES})=>async function main(){{");
    let mut pieces = Vec::with_capacity(edits.len() + 1);
    let mut from = 0;
    for edit in &edits {
        pieces.push((text.len() as u32, from));
        text.push_str(&body[from as usize..edit.start as usize]);
        text.push_str(&edit.text);
        from = edit.end;
    }
    pieces.push((text.len() as u32, from));
    text.push_str(&body[from as usize..]);
    // On a line of its own, since the body may end in a comment.
    text.push_str("\n}");
    let text_lines = Lines::of(&text);
    Program {
        text,
        exact,
        text_lines,
        source: source.to_owned(),
        source_lines,
        pieces,
    }
}

/// A name that the body does not contain.
fn free_name(body: &str) -> String {
    let mut name = "$g".to_owned();
    let mut number = 0_u32;
    while body.contains(&name) {
        name = format!("$g{number}");
        number += 1;
    }
    name
}

struct Rewriter<'s, 'a> {
    semantic: &'s Semantic<'a>,
    body: &'s str,
    lines: &'s Lines,
    guard: &'s str,
    edits: Vec<Edit>,
}

impl Rewriter<'_, '_> {
    fn insert(&mut self, at: u32, text: String) {
        self.edits.push(Edit {
            start: at,
            end: at,
            text,
        });
    }

    /// Whether a call of this takes its line as a third argument.
    fn wants_line(&self, callee: &Expression<'_>) -> bool {
        let (name, of) = match callee {
            Expression::Identifier(name) => (
                name,
                ["agent", "attempt", "merge", "ask", "workflow"].as_slice(),
            ),
            Expression::StaticMemberExpression(member) => match &member.object {
                Expression::Identifier(name) => (name, ["patterns"].as_slice()),
                _ => return false,
            },
            _ => return false,
        };
        let reference = self.semantic.scoping().get_reference(name.reference_id());
        of.contains(&name.name.as_str()) && reference.symbol_id().is_none()
    }
}

impl<'a> Visit<'a> for Rewriter<'_, 'a> {
    /// Tells the contract's own functions the author's line as a third argument: nothing else knows where a call stands
    /// without a look at the whole stack.
    fn visit_call_expression(&mut self, it: &CallExpression<'a>) {
        if self.wants_line(&it.callee)
            && let [first, rest @ ..] = it.arguments.as_slice()
            && rest.len() < 2
            && !it.arguments.iter().any(Argument::is_spread)
        {
            let (line, _) = self.lines.place(self.body, it.span.start);
            let last = rest.first().unwrap_or(first);
            let filler = if rest.is_empty() { ",void 0" } else { "" };
            walk::walk_call_expression(self, it);
            return self.insert(last.span().end, format!("{filler},{line}"));
        }
        walk::walk_call_expression(self, it);
    }

    /// A `finally` that returns or breaks would swallow what is thrown: it gets a `catch` that looks first.
    fn visit_try_statement(&mut self, it: &TryStatement<'a>) {
        let guard = self.guard;
        let rethrow = format!("catch({guard}e){{throw {guard}({guard}e)}}");
        if it.finalizer.is_some() && it.handler.is_some() {
            self.insert(it.block.span.start, "{try".to_owned());
        }
        walk::walk_block_statement(self, &it.block);
        if let Some(handler) = &it.handler {
            self.visit_catch_clause(handler);
            if it.finalizer.is_some() {
                self.insert(handler.span.end, format!("}}{rethrow}"));
            }
        } else {
            self.insert(it.block.span.end, rethrow);
        }
        if let Some(finalizer) = &it.finalizer {
            // Where the stack is too full for the guard to be called, the call itself throws, and nothing is swallowed.
            self.insert(finalizer.span.start + 1, format!("{guard}();"));
            walk::walk_block_statement(self, finalizer);
        }
    }

    fn visit_catch_clause(&mut self, it: &CatchClause<'a>) {
        let guard = self.guard;
        let open = it.body.span.start;
        match it.param.as_ref().map(|param| &param.pattern) {
            None => {
                self.insert(open, format!("({guard}e)"));
                self.insert(open + 1, format!("{guard}({guard}e);"));
            }
            Some(BindingPattern::BindingIdentifier(name)) => {
                let written = &self.body[name.span.start as usize..name.span.end as usize];
                self.insert(open + 1, format!("{guard}({written});"));
            }
            Some(pattern) => {
                let span = pattern.span();
                // The pattern moves into the block, where its parts are bound after the guard has looked. Guards that
                // its default values may need are left out: they cannot hold a statement but in a function.
                let written = self.body[span.start as usize..span.end as usize].to_owned();
                self.edits.push(Edit {
                    start: span.start,
                    end: span.end,
                    text: format!("{guard}e"),
                });
                self.insert(open + 1, format!("let {written}={guard}({guard}e);"));
            }
        }
        walk::walk_block_statement(self, &it.body);
    }
}
