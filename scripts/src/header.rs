//! The header, `export const meta = { … }` (H01-H05): read from the syntax tree, never run.

use oxc_ast::ast::{
    ArrayExpressionElement, BinaryOperator, BindingPattern, Declaration, Expression,
    ObjectExpression, ObjectPropertyKind, Program, PropertyKey, PropertyKind, Statement,
    UnaryOperator, VariableDeclarationKind,
};
use oxc_span::{GetSpan, Span};
use serde_json::{Map, Number, Value};

use crate::script::{Meta, Phase};

/// Place, message, help.
pub(crate) type Broken = (Span, String, &'static str);

/// What was read of a header.
pub(crate) struct Header {
    /// What it says, if all of it is well.
    pub(crate) meta: Option<Meta>,
    /// The statement's place, if it is one that begins as a header does.
    pub(crate) span: Option<Span>,
    /// Where the literal stands, if there is one.
    pub(crate) literal: Option<Span>,
    /// Where the schema of the arguments stands in it.
    pub(crate) args: Option<Span>,
    /// What is wrong with it: in the order of reading, none but where `meta` is missing.
    pub(crate) broken: Vec<Broken>,
}

const FIRST: &str =
    "the first statement of a script is `export const meta = { name: '…', description: '…' }`";
const LITERAL: &str = "`meta` is a pure literal: strings, numbers, true, false, null, arrays, objects, templates \
                       without ${}, and strings joined by +";
const NAMES: &str = "`name` and `description` are non-empty strings";

fn broken<T>(at: Span, message: impl Into<String>, help: &'static str) -> Result<T, Broken> {
    Err((at, message.into(), help))
}

/// The header, with all that is wrong with it.
pub(crate) fn read(ast: &Program<'_>) -> Header {
    let mut header = Header {
        meta: None,
        span: None,
        literal: None,
        args: None,
        broken: Vec::new(),
    };
    let literal = match literal(ast, &mut header.span) {
        Ok(literal) => literal,
        Err(wrong) => {
            header.broken.push(wrong);
            return header;
        }
    };
    header.literal = Some(literal.span);
    header.args = field_place(literal, "args");
    let mut reader = Reader { broken: Vec::new() };
    let all = reader.object(literal);
    header.broken = reader.broken;
    header.meta = meta(all, literal, &mut header.broken);
    header
}

/// The object after `export const meta =`; `span` becomes the statement's.
fn literal<'e, 'a>(
    ast: &'e Program<'a>,
    span: &mut Option<Span>,
) -> Result<&'e ObjectExpression<'a>, Broken> {
    let message = "the script does not begin with its header";
    if let Some(directive) = ast.directives.first() {
        return broken(directive.span, message, FIRST);
    }
    let Some(statement) = ast.body.first() else {
        return broken(Span::new(0, 0), "the script has no header", FIRST);
    };
    let at = statement.span();
    let Statement::ExportDeclaration(export) = statement else {
        return broken(at, message, FIRST);
    };
    let Declaration::VariableDeclaration(declaration) = &export.declaration else {
        return broken(at, "this export is not `meta`", FIRST);
    };
    let [declarator] = declaration.declarations.as_slice() else {
        return broken(at, "`meta` is declared together with something else", FIRST);
    };
    let BindingPattern::BindingIdentifier(name) = &declarator.id else {
        return broken(declarator.span, "this export is not `meta`", FIRST);
    };
    if name.name != "meta" {
        let message = format!("`{}` is exported in place of `meta`", name.name);
        return broken(name.span, message, FIRST);
    }
    *span = Some(export.span);
    if declaration.kind != VariableDeclarationKind::Const {
        let message = "`meta` is not declared with `const`";
        return broken(declaration.span, message, FIRST);
    }
    let Some(init) = &declarator.init else {
        return broken(declarator.span, "`meta` has no value", FIRST);
    };
    match init.without_parentheses() {
        Expression::ObjectExpression(literal) => Ok(literal),
        _ if begins_with_object(init) => broken(
            init.span(),
            "`meta` is an object with something behind it",
            "put a `;` behind the header: the next line begins with a bracket, which belongs to the object without it",
        ),
        _ => broken(init.span(), "`meta` is not an object literal", LITERAL),
    }
}

/// Whether it is a call of, or a look into, an object literal: what a header becomes that ends without a semicolon before a
/// line that begins with `(`, `[` or a backtick.
fn begins_with_object(expression: &Expression<'_>) -> bool {
    let inner = match expression.without_parentheses() {
        Expression::ObjectExpression(_) => return true,
        Expression::CallExpression(call) => &call.callee,
        Expression::TaggedTemplateExpression(tagged) => &tagged.tag,
        Expression::ComputedMemberExpression(member) => &member.object,
        Expression::StaticMemberExpression(member) => &member.object,
        _ => return false,
    };
    begins_with_object(inner)
}

/// What the fields mean (H03). `wrong` is what was wrong before, and what is wrong with them besides.
fn meta(
    all: Map<String, Value>,
    literal: &ObjectExpression<'_>,
    wrong: &mut Vec<Broken>,
) -> Option<Meta> {
    let before = wrong.clone();
    let mut required = |field: &str| match all.get(field) {
        Some(Value::String(value)) if !value.trim().is_empty() => value.clone(),
        found => {
            let place = field_place(literal, field);
            let message = match found {
                None => format!("`meta.{field}` is missing"),
                Some(Value::String(_)) => format!("`meta.{field}` is empty"),
                Some(_) => format!("`meta.{field}` is not a string"),
            };
            // What could not be read was told, and is none of these.
            let is_told = |place: Span| before.iter().any(|(at, ..)| place.contains_inclusive(*at));
            if !place.is_some_and(is_told) {
                wrong.push((place.unwrap_or(literal.span), message, NAMES));
            }
            String::new()
        }
    };
    let (name, description) = (required("name"), required("description"));
    if !wrong.is_empty() {
        return None;
    }
    let optional = |field: &str| all.get(field).and_then(Value::as_str).map(str::to_owned);
    Some(Meta {
        name,
        description,
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

/// The place of a field's value.
fn field_place(literal: &ObjectExpression<'_>, field: &str) -> Option<Span> {
    literal
        .properties
        .iter()
        .find_map(|property| match property {
            ObjectPropertyKind::ObjectProperty(property)
                if property.key.is_specific_static_name(field) =>
            {
                Some(property.value.span())
            }
            _ => None,
        })
}

/// Reads literals, and goes on behind what is none.
struct Reader {
    broken: Vec<Broken>,
}

impl Reader {
    fn object(&mut self, literal: &ObjectExpression<'_>) -> Map<String, Value> {
        let mut fields = Map::new();
        for property in &literal.properties {
            match self.field(property) {
                Ok((key, value)) => {
                    fields.insert(key, value);
                }
                Err(wrong) => self.broken.push(wrong),
            }
        }
        fields
    }

    fn field(&mut self, property: &ObjectPropertyKind<'_>) -> Result<(String, Value), Broken> {
        let property = match property {
            ObjectPropertyKind::ObjectProperty(property) => property,
            ObjectPropertyKind::SpreadProperty(spread) => {
                return broken(spread.span, "a spread in `meta`", LITERAL);
            }
        };
        let at = property.span;
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
            other => return broken(other.span(), "a key of this kind in `meta`", LITERAL),
        };
        if matches!(key.as_str(), "__proto__" | "constructor" | "prototype") {
            let message = format!("the key `{key}` in `meta`");
            return broken(at, message, "choose another name for this field");
        }
        Ok((key, self.value(&property.value)))
    }

    /// The value; null for what is none.
    fn value(&mut self, expression: &Expression<'_>) -> Value {
        match self.try_value(expression) {
            Ok(value) => value,
            Err(wrong) => {
                self.broken.push(wrong);
                Value::Null
            }
        }
    }

    fn try_value(&mut self, expression: &Expression<'_>) -> Result<Value, Broken> {
        let at = expression.span();
        Ok(match expression {
            Expression::ParenthesizedExpression(inner) => self.value(&inner.expression),
            Expression::BooleanLiteral(literal) => Value::Bool(literal.value),
            Expression::NullLiteral(_) => Value::Null,
            Expression::NumericLiteral(literal) => number(literal.value, at)?,
            Expression::UnaryExpression(unary)
                if unary.operator == UnaryOperator::UnaryNegation =>
            {
                match unary.argument.without_parentheses() {
                    Expression::NumericLiteral(literal) => number(-literal.value, at)?,
                    _ => return broken(at, "an expression in `meta`", LITERAL),
                }
            }
            Expression::StringLiteral(_)
            | Expression::TemplateLiteral(_)
            | Expression::BinaryExpression(_) => Value::String(text(expression)?),
            Expression::ObjectExpression(literal) => Value::Object(self.object(literal)),
            Expression::ArrayExpression(literal) => {
                let items = literal.elements.iter();
                Value::Array(items.map(|element| self.element(element)).collect())
            }
            Expression::Identifier(name) => {
                let message = format!("the variable `{}` in `meta`", name.name);
                return broken(at, message, LITERAL);
            }
            Expression::CallExpression(_) => return broken(at, "a call in `meta`", LITERAL),
            _ => return broken(at, "an expression in `meta`", LITERAL),
        })
    }

    fn element(&mut self, element: &ArrayExpressionElement<'_>) -> Value {
        let message = match element {
            ArrayExpressionElement::SpreadElement(_) => "a spread in `meta`",
            ArrayExpressionElement::Elision(_) => "an array with holes in `meta`",
            _ => match element.as_expression() {
                Some(item) => return self.value(item),
                None => "an expression in `meta`",
            },
        };
        self.broken
            .push((element.span(), message.to_owned(), LITERAL));
        Value::Null
    }
}

/// A string literal, a template without `${}`, or such joined by `+`. A chain leans to the left: it is walked, not
/// descended.
fn text(expression: &Expression<'_>) -> Result<String, Broken> {
    let mut parts = Vec::new();
    let mut rest = expression.without_parentheses();
    while let Expression::BinaryExpression(binary) = rest {
        if binary.operator != BinaryOperator::Addition {
            return broken(binary.span, "an expression in `meta`", LITERAL);
        }
        parts.push(text_part(binary.right.without_parentheses())?);
        rest = binary.left.without_parentheses();
    }
    parts.push(text_part(rest)?);
    parts.reverse();
    Ok(parts.concat())
}

fn text_part(expression: &Expression<'_>) -> Result<String, Broken> {
    let at = expression.span();
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

pub(crate) fn number(value: f64, at: Span) -> Result<Value, Broken> {
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
pub(crate) fn javascript_number(value: f64) -> String {
    number(value, Span::new(0, 0)).map_or_else(|_| value.to_string(), |number| number.to_string())
}
