//! Values that can be read off the text: literals, and names of variables that hold one and are never written to.

use oxc_ast::ast::{
    ArrayExpressionElement, BinaryOperator, Expression, ObjectPropertyKind, PropertyKind,
    TemplateLiteral, UnaryOperator,
};
use oxc_span::{GetSpan, Span};
use serde_json::{Map, Value};

use super::body::{Body, DEPTH_MAX};
use crate::header::number;

/// A value of JavaScript that JSON has, or nothing.
enum Read {
    Json(Value),
    Undefined,
}

impl<'a> Body<'_, 'a> {
    /// The value of an expression as JSON; `None` where it cannot be read off the text.
    pub(crate) fn json(&self, expression: &'a Expression<'a>) -> Option<Value> {
        match self.read(expression, 0)? {
            Read::Json(value) => Some(value),
            Read::Undefined => None,
        }
    }

    /// The text that an expression stands for.
    pub(crate) fn string(&self, expression: &'a Expression<'a>) -> Option<String> {
        match self.json(expression)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number that an expression stands for, from 0.
    pub(crate) fn count(&self, expression: &'a Expression<'a>) -> Option<u64> {
        match self.literal(expression) {
            Expression::BinaryExpression(binary) => {
                let (left, right) = (self.count(&binary.left)?, self.count(&binary.right)?);
                match binary.operator {
                    BinaryOperator::Addition => left.checked_add(right),
                    BinaryOperator::Subtraction => left.checked_sub(right),
                    BinaryOperator::Multiplication => left.checked_mul(right),
                    _ => None,
                }
            }
            literal @ Expression::NumericLiteral(_) => self.json(literal)?.as_u64(),
            _ => None,
        }
    }

    fn read(&self, expression: &'a Expression<'a>, depth: usize) -> Option<Read> {
        if depth > DEPTH_MAX || !self.take_value() {
            return None;
        }
        let literal = self.literal(expression);
        if self.global(literal) == Some("undefined") {
            return Some(Read::Undefined);
        }
        let value = match literal {
            Expression::BooleanLiteral(literal) => Value::Bool(literal.value),
            Expression::NullLiteral(_) => Value::Null,
            Expression::NumericLiteral(literal) => number(literal.value, literal.span).ok()?,
            Expression::UnaryExpression(unary)
                if unary.operator == UnaryOperator::UnaryNegation =>
            {
                match unary.argument.without_parentheses() {
                    Expression::NumericLiteral(literal) => {
                        number(-literal.value, literal.span).ok()?
                    }
                    _ => return None,
                }
            }
            Expression::StringLiteral(literal) if !literal.lone_surrogates => {
                Value::String(literal.value.to_string())
            }
            Expression::TemplateLiteral(template) => Value::String(plain(template)?),
            Expression::BinaryExpression(binary) if binary.operator == BinaryOperator::Addition => {
                let left = self.read(&binary.left, depth + 1)?;
                let right = self.read(&binary.right, depth + 1)?;
                match (left, right) {
                    (Read::Json(Value::String(left)), Read::Json(Value::String(right))) => {
                        Value::String(left + &right)
                    }
                    _ => return None,
                }
            }
            Expression::ArrayExpression(array) => {
                let mut items = Vec::new();
                for element in &array.elements {
                    match element {
                        ArrayExpressionElement::SpreadElement(spread) => {
                            match self.read(&spread.argument, depth + 1)? {
                                Read::Json(Value::Array(more)) => items.extend(more),
                                _ => return None,
                            }
                        }
                        _ => match self.read(element.as_expression()?, depth + 1)? {
                            Read::Json(item) => items.push(item),
                            Read::Undefined => items.push(Value::Null),
                        },
                    }
                }
                Value::Array(items)
            }
            Expression::ObjectExpression(object) => {
                let mut fields = Map::new();
                for property in &object.properties {
                    match property {
                        ObjectPropertyKind::ObjectProperty(property) => {
                            let name = property.key.static_name()?;
                            if property.kind != PropertyKind::Init || name == "__proto__" {
                                return None;
                            }
                            match self.read(&property.value, depth + 1)? {
                                Read::Json(value) => fields.insert(name.into_owned(), value),
                                Read::Undefined => fields.remove(name.as_ref()),
                            };
                        }
                        ObjectPropertyKind::SpreadProperty(spread) => {
                            match self.read(&spread.argument, depth + 1)? {
                                Read::Json(Value::Object(more)) => fields.extend(more),
                                _ => return None,
                            }
                        }
                    }
                }
                Value::Object(fields)
            }
            Expression::StaticMemberExpression(member) if !member.optional => {
                let field = self.field(&member.object, member.property.name.as_str())?;
                return self.read(field, depth + 1);
            }
            _ => return None,
        };
        Some(Read::Json(value))
    }

    /// The property of an object literal, where nothing that is spread may hide it.
    fn field(&self, object: &'a Expression<'a>, name: &str) -> Option<&'a Expression<'a>> {
        let (fields, is_all) = self.fields(self.object(object)?);
        let found = fields.into_iter().rev().find(|field| field.name == name)?;
        is_all.then_some(found.value)
    }

    /// What an expression is written as, a property of a literal too.
    fn member(&self, expression: &'a Expression<'a>) -> &'a Expression<'a> {
        let mut at = self.literal(expression);
        for _ in 0..DEPTH_MAX {
            let Expression::StaticMemberExpression(member) = at else {
                break;
            };
            match self.field(&member.object, member.property.name.as_str()) {
                Some(field) => at = self.literal(field),
                None => break,
            }
        }
        at
    }

    /// The place in a literal to which a JSON pointer leads, as far as it can be followed.
    pub(crate) fn place(&self, expression: &'a Expression<'a>, pointer: &str) -> Span {
        let mut at = self.member(expression);
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let inner = match at {
                Expression::ObjectExpression(object) => {
                    let (fields, _) = self.fields(object);
                    let mut named = fields.into_iter().rev();
                    named
                        .find(|field| field.name == step)
                        .map(|field| field.value)
                }
                Expression::ArrayExpression(array) => step
                    .parse::<usize>()
                    .ok()
                    .filter(|_| !array.elements.iter().any(ArrayExpressionElement::is_spread))
                    .and_then(|index| array.elements.get(index)?.as_expression()),
                _ => None,
            };
            match inner {
                Some(inner) => at = self.member(inner),
                None => break,
            }
        }
        at.span()
    }
}

/// The text of a template without `${}`.
pub(crate) fn plain(template: &TemplateLiteral<'_>) -> Option<String> {
    match template.quasis.as_slice() {
        [only] if template.expressions.is_empty() && !only.lone_surrogates => {
            Some(only.value.cooked?.to_string())
        }
        _ => None,
    }
}
