//! The types file for editors against what there is: the VM's globals, the options that the engine knows.

use std::collections::BTreeSet;

use oxc_allocator::Allocator;
use oxc_ast::ast::{
    BindingPattern, ClassElement, Program, Statement, TSSignature, TSType, TSTypeName,
};
use oxc_parser::Parser;
use oxc_span::SourceType;

use super::options::{AGENT, ASK, MERGE, SHOWN};
use super::patterns::PATTERNS;
use crate::command::{About, Answer, Settlement, Target, TurnStatus};
use crate::limits::Limits;
use crate::script::parse;
use crate::vm::{Start, Vm};

const TYPES: &str = include_str!("../../../types/bellwether.d.ts");

/// What ECMAScript has itself, of all that the VM has.
const ECMASCRIPT: &str = "AggregateError Array ArrayBuffer BigInt BigInt64Array BigUint64Array Boolean DataView Date Error EvalError \
    Float16Array Float32Array Float64Array Function Infinity Int16Array Int32Array Int8Array Iterator JSON Map Math NaN Number Object \
    Promise Proxy RangeError ReferenceError Reflect RegExp Set String Symbol SyntaxError TypeError URIError Uint16Array Uint32Array \
    Uint8Array Uint8ClampedArray WeakMap WeakSet decodeURI decodeURIComponent encodeURI encodeURIComponent escape globalThis isFinite \
    isNaN parseFloat parseInt undefined unescape AsyncDisposableStack DisposableStack SuppressedError";

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

/// What the types declare: values, and the members of an interface, a class or an object.
struct Declared<'a>(Program<'a>);

impl<'a> Declared<'a> {
    fn read(allocator: &'a Allocator) -> Self {
        let parsed = Parser::new(allocator, TYPES, SourceType::d_ts()).parse();
        assert!(parsed.diagnostics.is_empty(), "{:?}", parsed.diagnostics);
        Self(parsed.program)
    }

    fn values(&self) -> BTreeSet<String> {
        let mut values = BTreeSet::new();
        for statement in &self.0.body {
            match statement {
                Statement::FunctionDeclaration(function) => {
                    values.extend(function.id.as_ref().map(|id| id.name.to_string()));
                }
                Statement::ClassDeclaration(class) => {
                    values.extend(class.id.as_ref().map(|id| id.name.to_string()));
                }
                Statement::VariableDeclaration(variables) => {
                    for variable in &variables.declarations {
                        if let BindingPattern::BindingIdentifier(id) = &variable.id {
                            values.insert(id.name.to_string());
                        }
                    }
                }
                _ => {}
            }
        }
        values
    }

    fn members(&self, wanted: &str) -> BTreeSet<String> {
        for statement in &self.0.body {
            match statement {
                Statement::TSInterfaceDeclaration(interface) if interface.id.name == wanted => {
                    let mut all = signatures(&interface.body.body);
                    for base in &interface.extends {
                        if let TSTypeName::IdentifierReference(base) = &base.type_name {
                            all.extend(self.members(&base.name));
                        }
                    }
                    return all;
                }
                Statement::ClassDeclaration(class)
                    if class.id.as_ref().is_some_and(|id| id.name == wanted) =>
                {
                    return class
                        .body
                        .body
                        .iter()
                        .filter(|element| !element.r#static())
                        .filter_map(ClassElement::static_name)
                        .map(|name| name.to_string())
                        .filter(|name| name != "constructor")
                        .collect();
                }
                Statement::VariableDeclaration(variables) => {
                    for variable in &variables.declarations {
                        let BindingPattern::BindingIdentifier(id) = &variable.id else {
                            continue;
                        };
                        let annotation = variable.type_annotation.as_ref();
                        if id.name == wanted
                            && let Some(TSType::TSTypeLiteral(literal)) =
                                annotation.map(|annotation| &annotation.type_annotation)
                        {
                            return signatures(&literal.members);
                        }
                    }
                }
                _ => {}
            }
        }
        panic!("nothing with members is declared as {wanted}");
    }
}

fn signatures(signatures: &[TSSignature<'_>]) -> BTreeSet<String> {
    signatures
        .iter()
        .filter_map(|signature| match signature {
            TSSignature::TSPropertySignature(property) => property.key.static_name(),
            TSSignature::TSMethodSignature(method) => method.key.static_name(),
            _ => None,
        })
        .map(|name| name.to_string())
        .collect()
}

/// The names that a script's expression comes to; its one agent answers.
fn returned(expression: &str) -> BTreeSet<String> {
    let source = format!(
        "export const meta = {{ name: 'types', description: 'looks at its world' }}; return {expression}"
    );
    let limits = Limits::default();
    let script = parse(&source, "types.js", &limits).unwrap_or_else(|refusal| panic!("{refusal}"));
    let start = Start {
        script: &script,
        args: None,
        limits: &limits,
        seed: [0; 32],
        time: 0,
        budget_total: None,
    };
    let (mut vm, mut turn) = Vm::start(&start);
    if turn.status == TurnStatus::Running {
        let answer = Settlement {
            target: Target::Call(bellwether_journal::id::CallNumber(0)),
            answer: Answer::Value("1".into()),
            time: 0,
            version: bellwether_journal::key::Digest::default(),
            spent: 0,
            about: About::default(),
        };
        turn = vm.deliver(&[answer]).remove(0);
    }
    let TurnStatus::Returned(names) = &turn.status else {
        panic!("{expression}: {turn:?}");
    };
    serde_json::from_str(names).unwrap_or_else(|error| panic!("{names}: {error}"))
}

#[test]
fn the_types_file_declares_the_globals_that_there_are() {
    let allocator = Allocator::default();
    let declared = Declared::read(&allocator);
    let ours: BTreeSet<String> = returned("Object.getOwnPropertyNames(globalThis)")
        .difference(&names(ECMASCRIPT.split_whitespace()))
        .cloned()
        .collect();
    assert_eq!(declared.values(), ours);
    for object in ["budget", "patterns", "console"] {
        let real = returned(&format!("Object.getOwnPropertyNames({object})"));
        assert_eq!(declared.members(object), real, "{object}");
    }
    for class in ["URL", "URLSearchParams", "TextEncoder", "TextDecoder"] {
        let real = returned(&format!(
            "Object.getOwnPropertyNames({class}.prototype).filter((name) => name !== 'constructor')"
        ));
        assert_eq!(declared.members(class), real, "{class}");
    }
    let attempted = returned("Object.keys(await attempt('x'))");
    assert_eq!(declared.members("Attempt"), attempted);
}

#[test]
fn the_types_file_declares_the_options_that_there_are() {
    let allocator = Allocator::default();
    let declared = Declared::read(&allocator);
    assert_eq!(
        declared.members("AgentOptions"),
        names(AGENT.into_iter().chain(SHOWN))
    );
    assert_eq!(declared.members("MergeOptions"), names(MERGE));
    assert_eq!(
        declared.members("AskOptions"),
        names(ASK.into_iter().chain(SHOWN))
    );
    for (pattern, _, options) in PATTERNS {
        let interface = match pattern {
            "refute" => "RefuteOptions",
            _ => "ConvergeOptions",
        };
        assert_eq!(
            declared.members(interface),
            names(options.iter().copied()),
            "{pattern}"
        );
    }
}
