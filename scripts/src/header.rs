//! The header, `export const meta = { … }` (H01-H05): read from the syntax tree, never run.

use oxc_ast::ast::{
    ArrayExpressionElement, BinaryOperator, BindingPattern, Declaration, Expression,
    ObjectExpression, ObjectPropertyKind, Program, PropertyKey, PropertyKind, Statement,
    UnaryOperator, VariableDeclarationKind,
};
use oxc_span::{GetSpan, Span};
use serde_json::{Map, Number, Value};

use crate::script::{Meta, Phase};

/// Offset, message, help.
pub(crate) type Broken = (u32, String, String);

const FIRST: &str =
    "the first statement of a script is `export const meta = { name: '…', description: '…' }`";
const LITERAL: &str = "`meta` is a pure literal: strings, numbers, true, false, null, arrays, objects, templates \
                       without ${}, and strings joined by +";

fn broken<T>(at: u32, message: impl Into<String>, help: &str) -> Result<T, Broken> {
    Err((at, message.into(), help.to_owned()))
}

/// The header, and the statement's place.
pub(crate) fn read(ast: &Program<'_>) -> Result<(Meta, Span), Broken> {
    if let Some(directive) = ast.directives.first() {
        return broken(
            directive.span.start,
            "the script does not begin with its header",
            FIRST,
        );
    }
    let Some(statement) = ast.body.first() else {
        return broken(0, "the script has no header", FIRST);
    };
    let at = statement.span().start;
    let Statement::ExportDeclaration(export) = statement else {
        return broken(at, "the script does not begin with its header", FIRST);
    };
    let Declaration::VariableDeclaration(declaration) = &export.declaration else {
        return broken(at, "this export is not `meta`", FIRST);
    };
    let [declarator] = declaration.declarations.as_slice() else {
        return broken(at, "`meta` is declared together with something else", FIRST);
    };
    let BindingPattern::BindingIdentifier(name) = &declarator.id else {
        return broken(declarator.span.start, "this export is not `meta`", FIRST);
    };
    if name.name != "meta" {
        return broken(
            name.span.start,
            format!("`{}` is exported in place of `meta`", name.name),
            FIRST,
        );
    }
    if declaration.kind != VariableDeclarationKind::Const {
        return broken(
            declaration.span.start,
            "`meta` is not declared with `const`",
            FIRST,
        );
    }
    let Some(init) = &declarator.init else {
        return broken(declarator.span.start, "`meta` has no value", FIRST);
    };
    let Expression::ObjectExpression(literal) = init.without_parentheses() else {
        return broken(
            init.span().start,
            "`meta` is not an object literal",
            LITERAL,
        );
    };
    let all = object(literal)?;
    Ok((meta(all, literal)?, export.span))
}

/// What the fields mean (H03).
fn meta(all: Map<String, Value>, literal: &ObjectExpression<'_>) -> Result<Meta, Broken> {
    let required = |field: &str| match all.get(field) {
        Some(Value::String(value)) if !value.trim().is_empty() => Ok(value.clone()),
        found => {
            let place = field_place(literal, field).unwrap_or(literal.span.start);
            let message = match found {
                None => format!("`meta.{field}` is missing"),
                Some(Value::String(_)) => format!("`meta.{field}` is empty"),
                Some(_) => format!("`meta.{field}` is not a string"),
            };
            broken(
                place,
                message,
                "`name` and `description` are non-empty strings",
            )
        }
    };
    let optional = |field: &str| all.get(field).and_then(Value::as_str).map(str::to_owned);
    Ok(Meta {
        name: required("name")?,
        description: required("description")?,
        title: optional("title"),
        when_to_use: optional("whenToUse"),
        args_schema: all.get("args").cloned(),
        phases: all
            .get("phases")
            .and_then(Value::as_array)
            .map_or_else(Vec::new, |entries| {
                entries.iter().filter_map(phase).collect()
            }),
        all,
    })
}

fn phase(entry: &Value) -> Option<Phase> {
    match entry {
        Value::String(title) => Some(Phase {
            title: title.clone(),
            detail: None,
            model: None,
        }),
        Value::Object(fields) => {
            let text = |field: &str| fields.get(field).and_then(Value::as_str).map(str::to_owned);
            Some(Phase {
                title: text("title")?,
                detail: text("detail"),
                model: text("model"),
            })
        }
        _ => None,
    }
}

fn field_place(literal: &ObjectExpression<'_>, field: &str) -> Option<u32> {
    literal
        .properties
        .iter()
        .find_map(|property| match property {
            ObjectPropertyKind::ObjectProperty(property)
                if property.key.is_specific_static_name(field) =>
            {
                Some(property.value.span().start)
            }
            _ => None,
        })
}

fn object(literal: &ObjectExpression<'_>) -> Result<Map<String, Value>, Broken> {
    let mut fields = Map::new();
    for property in &literal.properties {
        let property = match property {
            ObjectPropertyKind::ObjectProperty(property) => property,
            ObjectPropertyKind::SpreadProperty(spread) => {
                return broken(spread.span.start, "a spread in `meta`", LITERAL);
            }
        };
        let at = property.span.start;
        if property.method || property.kind != PropertyKind::Init {
            return broken(at, "a method, getter or setter in `meta`", LITERAL);
        }
        if property.computed {
            return broken(at, "a computed key in `meta`", LITERAL);
        }
        if property.shorthand {
            return broken(at, "a variable in `meta`", LITERAL);
        }
        let key = match &property.key {
            PropertyKey::StaticIdentifier(name) => name.name.to_string(),
            PropertyKey::StringLiteral(text) if !text.lone_surrogates => text.value.to_string(),
            PropertyKey::NumericLiteral(number) => javascript_number(number.value),
            other => return broken(other.span().start, "a key of this kind in `meta`", LITERAL),
        };
        if matches!(key.as_str(), "__proto__" | "constructor" | "prototype") {
            return broken(
                at,
                format!("the key `{key}` in `meta`"),
                "choose another name for this field",
            );
        }
        fields.insert(key, value(&property.value)?);
    }
    Ok(fields)
}

fn value(expression: &Expression<'_>) -> Result<Value, Broken> {
    let at = expression.span().start;
    Ok(match expression {
        Expression::ParenthesizedExpression(inner) => value(&inner.expression)?,
        Expression::BooleanLiteral(literal) => Value::Bool(literal.value),
        Expression::NullLiteral(_) => Value::Null,
        Expression::NumericLiteral(literal) => number(literal.value, at)?,
        Expression::UnaryExpression(unary) if unary.operator == UnaryOperator::UnaryNegation => {
            match unary.argument.without_parentheses() {
                Expression::NumericLiteral(literal) => number(-literal.value, at)?,
                _ => return broken(at, "an expression in `meta`", LITERAL),
            }
        }
        Expression::StringLiteral(_)
        | Expression::TemplateLiteral(_)
        | Expression::BinaryExpression(_) => Value::String(text(expression)?),
        Expression::ObjectExpression(literal) => Value::Object(object(literal)?),
        Expression::ArrayExpression(literal) => {
            let mut items = Vec::with_capacity(literal.elements.len());
            for element in &literal.elements {
                match element {
                    ArrayExpressionElement::SpreadElement(_) => {
                        return broken(element.span().start, "a spread in `meta`", LITERAL);
                    }
                    ArrayExpressionElement::Elision(_) => {
                        return broken(
                            element.span().start,
                            "an array with holes in `meta`",
                            LITERAL,
                        );
                    }
                    _ => match element.as_expression() {
                        Some(item) => items.push(value(item)?),
                        None => {
                            return broken(
                                element.span().start,
                                "an expression in `meta`",
                                LITERAL,
                            );
                        }
                    },
                }
            }
            Value::Array(items)
        }
        Expression::Identifier(name) => {
            return broken(
                at,
                format!("the variable `{}` in `meta`", name.name),
                LITERAL,
            );
        }
        Expression::CallExpression(_) => return broken(at, "a call in `meta`", LITERAL),
        _ => return broken(at, "an expression in `meta`", LITERAL),
    })
}

/// A string literal, a template without `${}`, or such joined by `+`. A chain leans to the left: it is walked, not
/// descended.
fn text(expression: &Expression<'_>) -> Result<String, Broken> {
    let mut parts = Vec::new();
    let mut rest = expression.without_parentheses();
    while let Expression::BinaryExpression(binary) = rest {
        if binary.operator != BinaryOperator::Addition {
            return broken(binary.span.start, "an expression in `meta`", LITERAL);
        }
        parts.push(text_part(binary.right.without_parentheses())?);
        rest = binary.left.without_parentheses();
    }
    parts.push(text_part(rest)?);
    parts.reverse();
    Ok(parts.concat())
}

fn text_part(expression: &Expression<'_>) -> Result<String, Broken> {
    let at = expression.span().start;
    match expression {
        Expression::StringLiteral(literal) if literal.lone_surrogates => broken(
            at,
            "half a surrogate pair in `meta`",
            "write the whole character",
        ),
        Expression::StringLiteral(literal) => Ok(literal.value.to_string()),
        Expression::TemplateLiteral(template) => match template.quasis.as_slice() {
            [only] if template.expressions.is_empty() && !only.lone_surrogates => {
                Ok(only.value.cooked.unwrap_or(only.value.raw).to_string())
            }
            _ => broken(at, "a template with ${} in `meta`", LITERAL),
        },
        Expression::BinaryExpression(_) => text(expression),
        _ => broken(
            at,
            "something other than a string joined by + in `meta`",
            LITERAL,
        ),
    }
}

fn number(value: f64, at: u32) -> Result<Value, Broken> {
    const EXACT: f64 = 9_007_199_254_740_991.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Ok(Value::Number(Number::from(value as i64)));
    }
    match Number::from_f64(value) {
        Some(number) => Ok(Value::Number(number)),
        None => broken(at, "a number beyond what JSON can hold in `meta`", LITERAL),
    }
}

/// A number as JavaScript writes it in a key.
fn javascript_number(value: f64) -> String {
    number(value, 0).map_or_else(|_| value.to_string(), |number| number.to_string())
}
