//! A bound expression written out in PostgreSQL's words: every conversion shows, every operator has parentheses.
//!
//! Conversions that nobody wrote are left out where PostgreSQL leaves them out: around a whole expression, and around
//! operands of AND, OR and NOT.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, LazyLock};

use crate::binder::name::quote;
use crate::execute::{Environment, Timestamps};
use crate::expr::{Call, Cast, Expr};
use crate::functions::{Function, registry};
use crate::types::domain::base_type;
use crate::types::{DataType, format_type, oids};
use crate::value::Datum;

/// The operators, by their functions' addresses, which are the registry's for ever.
static OPERATORS: LazyLock<HashMap<usize, &'static str>> = LazyLock::new(|| {
    registry().all_operators().map(|operator| (address(&operator.function), operator.name)).collect()
});

fn address(function: &Arc<Function>) -> usize {
    Arc::as_ptr(function).addr()
}

/// The text of a literal that has no type of its own.
fn literal_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Cast(cast) if cast.data_type == DataType::TEXT => literal_of(&cast.argument),
        Expr::Const { value: Datum::Text(text), data_type } if data_type.oid == oids::UNKNOWN => Some(text),
        _ => None,
    }
}

/// Whether a call is written without parentheses.
fn is_keyword(call: &Call) -> bool {
    matches!(
        &*call.function.name,
        "current_timestamp"
            | "current_date"
            | "current_time"
            | "localtimestamp"
            | "localtime"
            | "session_user"
            | "current_user"
            | "user"
            | "current_role"
            | "current_catalog"
            | "current_schema"
    ) && call.arguments.is_empty()
}

/// What expressions are written with.
pub struct BoundText<'e> {
    environment: &'e Environment,
    /// The names of the row's columns, and what a domain's values are converted to, by their places.
    columns: &'e [(String, Option<DataType>)],
}

impl<'e> BoundText<'e> {
    /// A writer of expressions over a row with these columns.
    #[must_use]
    pub fn new(environment: &'e Environment, columns: &'e [(String, Option<DataType>)]) -> BoundText<'e> {
        BoundText { environment, columns }
    }

    /// The whole expression; `None` where it has something that is not written here.
    #[must_use]
    pub fn write(&self, expr: &Expr) -> Option<String> {
        self.text(expr, false)
    }

    fn type_name(&self, data_type: DataType) -> String {
        let name = format_type(data_type, self.environment);
        // Without a length these words alone would mean a length of 1.
        let (base, rest) = name.split_at(name.find('[').unwrap_or(name.len()));
        match base {
            "bit" => format!("\"bit\"{rest}"),
            "character" => format!("bpchar{rest}"),
            _ => name,
        }
    }

    fn list(&self, exprs: &[Expr]) -> Option<String> {
        let texts: Option<Vec<String>> = exprs.iter().map(|expr| self.operand(expr)).collect();
        Some(texts?.join(", "))
    }

    fn joined(&self, exprs: &[Expr], word: &str) -> Option<String> {
        let texts: Option<Vec<String>> = exprs.iter().map(|expr| self.text(expr, false)).collect();
        Some(format!("({})", texts?.join(word)))
    }

    /// What an operator or a function takes, which sees the type under a domain.
    fn operand(&self, expr: &Expr) -> Option<String> {
        let text = self.text(expr, true)?;
        match expr {
            Expr::Column { index, .. } => match self.columns.get(*index)?.1 {
                Some(base) => Some(format!("({text})::{}", self.type_name(DataType::of(base.oid)))),
                None => Some(text),
            },
            _ => Some(text),
        }
    }

    /// `implicit`: conversions that nobody wrote show too.
    fn text(&self, expr: &Expr, implicit: bool) -> Option<String> {
        Some(match expr {
            Expr::Const { value, data_type } => self.constant(value, *data_type)?,
            Expr::Column { index, .. } => self.columns.get(*index)?.0.clone(),
            Expr::Call(call) => self.call(call)?,
            Expr::Cast(cast) => self.cast(cast, implicit)?,
            Expr::And(operands) => self.joined(operands, " AND ")?,
            Expr::Or(operands) => self.joined(operands, " OR ")?,
            Expr::Not(operand) => format!("(NOT {})", self.text(operand, false)?),
            Expr::IsNull { argument, negated } => {
                format!("({} IS {}NULL)", self.text(argument, true)?, if *negated { "NOT " } else { "" })
            }
            Expr::IsTruth { argument, truth, negated } => {
                let not = if *negated { "NOT " } else { "" };
                let truth = if *truth { "TRUE" } else { "FALSE" };
                format!("({} IS {not}{truth})", self.text(argument, false)?)
            }
            Expr::IsDistinct { left, right, negated: false } => {
                format!("({} IS DISTINCT FROM {})", self.text(left, true)?, self.text(right, true)?)
            }
            Expr::IsDistinct { left, right, negated: true } => {
                format!("(NOT ({} IS DISTINCT FROM {}))", self.text(left, true)?, self.text(right, true)?)
            }
            Expr::Case { branches, otherwise, .. } => {
                let mut text = String::from("\nCASE");
                for (condition, result) in branches {
                    let (condition, result) = (self.text(condition, false)?, self.text(result, true)?);
                    let _ = write!(text, "\n    WHEN {condition} THEN {result}");
                }
                let otherwise = match otherwise {
                    Some(otherwise) => self.text(otherwise, true)?,
                    None => format!("NULL::{}", self.type_name(DataType::of(expr.data_type().oid))),
                };
                let _ = write!(text, "\n    ELSE {otherwise}\nEND");
                text
            }
            Expr::Coalesce { arguments, .. } => format!("COALESCE({})", self.list(arguments)?),
            Expr::Extreme { arguments, greatest, .. } => {
                format!("{}({})", if *greatest { "GREATEST" } else { "LEAST" }, self.list(arguments)?)
            }
            Expr::NullIf { equal, .. } => match equal.as_ref() {
                Expr::Call(call) => format!("NULLIF({})", self.list(&call.arguments)?),
                _ => return None,
            },
            Expr::InList { argument, list, negated, .. } => self.in_list(argument, list, *negated)?,
            Expr::Quantified { left, array, function, all } => {
                let operator = OPERATORS.get(&address(function))?;
                let quantifier = if *all { "ALL" } else { "ANY" };
                format!("({} {operator} {quantifier} ({}))", self.text(left, true)?, self.text(array, true)?)
            }
            Expr::Array { elements, data_type } if elements.is_empty() => {
                format!("ARRAY[]::{}", self.type_name(*data_type))
            }
            Expr::Array { elements, .. } => format!("ARRAY[{}]", self.list(elements)?),
            Expr::Subscript { array, indices, .. } => {
                let subject = self.text(array, true)?;
                let is_simple = matches!(array.as_ref(), Expr::Column { .. } | Expr::Field { .. });
                let mut text = if is_simple { subject } else { format!("({subject})") };
                for index in indices {
                    let _ = write!(text, "[{}]", self.text(index, true)?);
                }
                text
            }
            Expr::Row { fields, .. } => format!("ROW({})", self.list(fields)?),
            Expr::Field { record, index, .. } => self.field(record, *index)?,
            Expr::Parameter { .. } | Expr::Outer { .. } => return None,
        })
    }

    /// A field of a row of a type that names its fields.
    fn field(&self, record: &Expr, index: usize) -> Option<String> {
        let base = base_type(record.data_type().oid, self.environment);
        let shape = self.environment.catalog.type_info(base)?.row_shape()?;
        let name = quote(&shape.fields.get(index)?.0);
        let text = self.text(record, true)?;
        Some(match record {
            Expr::Field { .. } | Expr::Subscript { .. } => format!("{text}.{name}"),
            _ => format!("({text}).{name}"),
        })
    }

    /// PostgreSQL's rules for when a constant needs quotes, and its type.
    fn constant(&self, value: &Datum, data_type: DataType) -> Option<String> {
        // Intervals alone are read by their modifier.
        let shown = if data_type.oid == oids::INTERVAL { data_type } else { DataType::of(data_type.oid) };
        let type_name = self.type_name(shown);
        if value.is_null() {
            return Some(format!("NULL::{type_name}"));
        }
        let mut printed = String::new();
        let never = AtomicBool::new(false);
        let context = self.environment.context(Timestamps::default(), &never);
        context.type_info(data_type.oid).ok()?.print_text(value, &mut printed, &context).ok()?;
        let starts_with_digit = printed.starts_with(|character: char| character.is_ascii_digit());
        Some(match data_type.oid {
            oids::BOOL => if printed == "t" { "true" } else { "false" }.to_string(),
            oids::INT4 if starts_with_digit => printed,
            oids::NUMERIC if starts_with_digit && printed.contains(['e', 'E', '.']) => printed,
            _ => {
                format!("'{}'::{type_name}", printed.replace('\'', "''"))
            }
        })
    }

    fn call(&self, call: &Call) -> Option<String> {
        if let Some(operator) = OPERATORS.get(&address(&call.function)) {
            match call.arguments.as_slice() {
                [right] => return Some(format!("({operator} {})", self.operand(right)?)),
                [left, right] => {
                    return Some(format!("({} {operator} {})", self.operand(left)?, self.operand(right)?));
                }
                _ => {}
            }
        }
        // These have a grammar of their own.
        match (&*call.function.name, call.arguments.as_slice()) {
            ("extract", [Expr::Const { value: Datum::Text(field), .. }, source]) => {
                return Some(format!("EXTRACT({} FROM {})", quote(field), self.operand(source)?));
            }
            ("position", [text, part]) => {
                return Some(format!("POSITION(({}) IN ({}))", self.operand(part)?, self.operand(text)?));
            }
            _ => {}
        }
        if is_keyword(call) {
            return Some(call.function.name.to_ascii_uppercase());
        }
        let own = super::view_text::constructor_name(self.environment, call.function.return_type);
        let name = own.unwrap_or_else(|| quote(&call.function.name));
        if call.spread {
            let (last, others) = call.arguments.split_last()?;
            let others = self.list(others)?;
            let comma = if others.is_empty() { "" } else { ", " };
            return Some(format!("{name}({others}{comma}VARIADIC {})", self.text(last, true)?));
        }
        // PostgreSQL gathers them before it stores the call.
        if call.function.variadic.is_some_and(|element| element != oids::ANY) {
            let fixed = call.function.argument_types.len().saturating_sub(1);
            let (first, gathered) = call.arguments.split_at_checked(fixed)?;
            let (first, gathered) = (self.list(first)?, self.list(gathered)?);
            let comma = if first.is_empty() { "" } else { ", " };
            return Some(format!("{name}({first}{comma}VARIADIC ARRAY[{gathered}])"));
        }
        Some(format!("{name}({})", self.list(&call.arguments)?))
    }

    fn cast(&self, cast: &Cast, implicit: bool) -> Option<String> {
        // What depends on settings is read when it is needed: until then it is a literal without a type.
        if let Some(literal) = literal_of(&cast.argument) {
            let never = AtomicBool::new(false);
            let context = self.environment.context(Timestamps::default(), &never);
            let value = context.type_info(cast.data_type.oid).ok()?.parse_text(literal, -1, &context).ok()?;
            return self.constant(&value, cast.data_type);
        }
        if !cast.explicit && !implicit {
            return self.text(&cast.argument, implicit);
        }
        let target =
            self.type_name(if cast.explicit { cast.data_type } else { DataType::of(cast.data_type.oid) });
        // A literal of the very type is not converted twice.
        if let Expr::Const { value, data_type } = &cast.argument
            && data_type.oid == cast.data_type.oid
            && !value.is_null()
            && let Some((literal, _)) = self.constant(value, *data_type)?.rsplit_once("::")
        {
            return Some(format!("{literal}::{target}"));
        }
        if let Expr::Call(call) = &cast.argument
            && is_keyword(call)
            && cast.source.oid == cast.data_type.oid
        {
            return Some(format!("{}({})", self.call(call)?, cast.data_type.typmod));
        }
        Some(format!("({})::{target}", self.text(&cast.argument, implicit)?))
    }

    /// `x IN (…)`, as the comparison with an array that it is to PostgreSQL; character varying is compared as text.
    fn in_list(&self, argument: &Expr, list: &[Expr], negated: bool) -> Option<String> {
        let is_varchar = argument.data_type().oid == oids::VARCHAR;
        let mut value = self.text(argument, true)?;
        if is_varchar && !matches!(argument, Expr::Cast(_)) {
            value = format!("({value})::text");
        }
        let operator = if negated { "<>" } else { "=" };
        if let [only] = list {
            let only = self.text(only, true)?;
            let only = if is_varchar { only.replace("::character varying", "::text") } else { only };
            return Some(format!("({value} {operator} {only})"));
        }
        let quantifier = if negated { "ALL" } else { "ANY" };
        let array = format!("ARRAY[{}]", self.list(list)?);
        let array = if is_varchar { format!("({array})::text[]") } else { array };
        Some(format!("({value} {operator} {quantifier} ({array}))"))
    }
}
