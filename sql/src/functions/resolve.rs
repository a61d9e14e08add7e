//! Which function a call means: PostgreSQL's rules of chapter 10 ("Type Conversion").
//!
//! 1. Candidates are those of the name and argument count (variadic ones expanded).
//! 2. An exact match of types wins at once; for a binary operator an `unknown` side is first taken for the
//!    other side's type.
//! 3. Candidates not reachable by implicit casts are dropped.
//! 4. Of the rest, keep those with most exact matches; then those with most exact or preferred types.
//! 5. For each `unknown` argument choose a category (string if any candidate takes it) and keep candidates of
//!    it, preferred types first.
//! 6. At last take the known arguments' type, if they have but one, for the unknown ones too.

use super::polymorphic::concrete;
use super::{Aggregate, CastContext, Function, Registry};
use crate::error::{Result, SqlError, SqlState};
use crate::types::domain::base_type;
use crate::types::{Category, DataType, Oid, TypeCatalog, format_type, oids};
use std::sync::Arc;

/// A chosen function, with what each argument must be converted to (implicitly).
#[derive(Clone)]
pub struct ResolvedFunction {
    pub function: Arc<Function>,
    /// The declared types, polymorphic ones made concrete; one for each argument given.
    pub argument_types: Vec<Oid>,
    pub return_type: Oid,
}

/// A chosen aggregate, likewise.
#[derive(Clone)]
pub struct ResolvedAggregate {
    pub aggregate: Arc<Aggregate>,
    pub argument_types: Vec<Oid>,
    pub return_type: Oid,
}

/// The outcome among candidate signatures.
enum Choice {
    One(usize),
    None,
    Ambiguous,
}

impl Registry {
    /// Finds the function a call means.
    ///
    /// # Errors
    /// 42883 if there is none, 42725 if several fit equally well.
    pub fn resolve_function(
        &self,
        name: &str,
        arguments: &[Oid],
        types: &dyn TypeCatalog,
    ) -> Result<ResolvedFunction> {
        self.resolve_among(name, self.functions(name), arguments, types)
    }

    /// The same among given candidates: built-in ones with the user's.
    pub fn resolve_among(
        &self,
        name: &str,
        functions: &[Arc<Function>],
        arguments: &[Oid],
        types: &dyn TypeCatalog,
    ) -> Result<ResolvedFunction> {
        let mut signatures = Vec::new();
        let mut owners = Vec::new();
        for function in functions {
            if let Some(signature) = expand(function, arguments.len()) {
                signatures.push(signature);
                owners.push(function);
            }
        }
        match self.choose(&signatures, arguments, types) {
            Choice::One(index) => {
                let function = owners[index].clone();
                let (argument_types, return_type) =
                    concrete(&signatures[index], arguments, function.return_type, self, types)?;
                Ok(ResolvedFunction { function, argument_types, return_type })
            }
            Choice::None => Err(undefined_function(name, arguments, types)),
            Choice::Ambiguous => Err(SqlError::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("function {}({}) is not unique", name, list(arguments, types)),
            )
            .with_hint(
                "Could not choose a best candidate function. You might need to add explicit type casts.",
            )),
        }
    }

    /// Finds the aggregate a call means, `None` if no aggregate has that name and count of arguments at all or
    /// none fits (a plain function may).
    pub fn resolve_aggregate(
        &self,
        name: &str,
        arguments: &[Oid],
        types: &dyn TypeCatalog,
    ) -> Result<Option<ResolvedAggregate>> {
        let candidates: Vec<&Arc<Aggregate>> = self
            .aggregates(name)
            .iter()
            .filter(|aggregate| aggregate.argument_types.len() == arguments.len())
            .collect();
        let signatures: Vec<Vec<Oid>> =
            candidates.iter().map(|aggregate| aggregate.argument_types.clone()).collect();
        match self.choose(&signatures, arguments, types) {
            Choice::One(index) => {
                let aggregate = candidates[index].clone();
                let (argument_types, return_type) =
                    concrete(&signatures[index], arguments, aggregate.return_type, self, types)?;
                Ok(Some(ResolvedAggregate { aggregate, argument_types, return_type }))
            }
            Choice::None => Ok(None),
            Choice::Ambiguous => Err(SqlError::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("function {}({}) is not unique", name, list(arguments, types)),
            )
            .with_hint(
                "Could not choose a best candidate function. You might need to add explicit type casts.",
            )),
        }
    }

    /// Finds the operator an expression means; `left` is `None` for a prefix operator.
    ///
    /// # Errors
    /// 42883 if there is none, 42725 if several fit equally well.
    pub fn resolve_operator(
        &self,
        name: &str,
        left: Option<Oid>,
        right: Oid,
        types: &dyn TypeCatalog,
    ) -> Result<ResolvedFunction> {
        let operators = self.operators(name);
        let arguments: Vec<Oid> = left.into_iter().chain([right]).collect();
        let same_arity: Vec<_> =
            operators.iter().filter(|operator| (operator.left != 0) == left.is_some()).collect();
        let signatures: Vec<Vec<Oid>> =
            same_arity.iter().map(|operator| operator.function.argument_types.clone()).collect();
        let choice = match (left, right) {
            // One unknown side is first assumed to be of the other's type.
            (Some(left), right) if (left == oids::UNKNOWN) != (right == oids::UNKNOWN) => {
                let known = base_type(if left == oids::UNKNOWN { right } else { left }, types);
                match signatures.iter().position(|signature| signature[..] == [known, known]) {
                    Some(index) => Choice::One(index),
                    None => self.choose(&signatures, &arguments, types),
                }
            }
            _ => self.choose(&signatures, &arguments, types),
        };
        let shown = || match left {
            Some(left) => format!("{} {name} {}", type_name(left, types), type_name(right, types)),
            None => format!("{name} {}", type_name(right, types)),
        };
        match choice {
            Choice::One(index) => {
                let function = same_arity[index].function.clone();
                let (argument_types, return_type) =
                    concrete(&signatures[index], &arguments, function.return_type, self, types)?;
                Ok(ResolvedFunction { function, argument_types, return_type })
            }
            Choice::None => Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("operator does not exist: {}", shown()),
            )
            .with_hint(if left.is_some() {
                "No operator matches the given name and argument types. You might need to add explicit type casts."
            } else {
                "No operator matches the given name and argument type. You might need to add an explicit type cast."
            })),
            Choice::Ambiguous => Err(SqlError::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("operator is not unique: {}", shown()),
            )
            .with_hint("Could not choose a best candidate operator. You might need to add explicit type casts.")),
        }
    }

    fn choose(&self, signatures: &[Vec<Oid>], arguments: &[Oid], types: &dyn TypeCatalog) -> Choice {
        if let Some(index) = signatures.iter().position(|signature| signature == arguments) {
            return Choice::One(index);
        }
        let mut candidates: Vec<usize> = (0..signatures.len())
            .filter(|&index| {
                let fits = |(&argument, &parameter): (&Oid, &Oid)| {
                    self.can_coerce(argument, parameter, CastContext::Implicit, types)
                };
                arguments.iter().zip(&signatures[index]).all(fits)
                    && concrete(&signatures[index], arguments, oids::VOID, self, types).is_ok()
            })
            .collect();
        match candidates[..] {
            [] => return Choice::None,
            [only] => return Choice::One(only),
            _ => {}
        }
        let inputs: Vec<Oid> = arguments.iter().map(|&oid| base_type(oid, types)).collect();
        let known = |position: usize| inputs[position] != oids::UNKNOWN;

        keep_best(&mut candidates, |index| {
            (0..inputs.len()).filter(|&at| known(at) && signatures[index][at] == inputs[at]).count()
        });
        keep_best(&mut candidates, |index| {
            (0..inputs.len())
                .filter(|&at| {
                    let parameter = signatures[index][at];
                    known(at)
                        && (parameter == inputs[at]
                            || is_preferred(parameter, category(inputs[at], types), types))
                })
                .count()
        });
        if let [only] = candidates[..] {
            return Choice::One(only);
        }
        if (0..inputs.len()).all(known) {
            return Choice::Ambiguous;
        }
        self.settle_unknowns(signatures, &inputs, candidates, types)
    }

    /// Steps 5 and 6: what the unknown arguments are.
    fn settle_unknowns(
        &self,
        signatures: &[Vec<Oid>],
        inputs: &[Oid],
        mut candidates: Vec<usize>,
        types: &dyn TypeCatalog,
    ) -> Choice {
        let mut slots = Vec::new();
        let mut settled = true;
        for at in (0..inputs.len()).filter(|&at| inputs[at] == oids::UNKNOWN) {
            let categories: Vec<Category> =
                candidates.iter().map(|&index| category(signatures[index][at], types)).collect();
            let chosen = if categories.contains(&Category::String) {
                Category::String
            } else if categories.iter().all(|category| *category == categories[0]) {
                categories[0]
            } else {
                settled = false;
                break;
            };
            let preferred =
                candidates.iter().any(|&index| is_preferred(signatures[index][at], chosen, types));
            slots.push((at, chosen, preferred));
        }
        if settled {
            let fitting: Vec<usize> = candidates
                .iter()
                .copied()
                .filter(|&index| {
                    slots.iter().all(|&(at, chosen, preferred)| {
                        let parameter = signatures[index][at];
                        category(parameter, types) == chosen
                            && (!preferred || is_preferred(parameter, chosen, types))
                    })
                })
                .collect();
            if !fitting.is_empty() {
                candidates = fitting;
            }
            if let [only] = candidates[..] {
                return Choice::One(only);
            }
        }
        let mut known = inputs.iter().copied().filter(|&oid| oid != oids::UNKNOWN);
        if let Some(common) = known.next()
            && known.all(|oid| oid == common)
        {
            let assumed = vec![common; inputs.len()];
            let mut accepting = candidates.iter().filter(|&&index| {
                signatures[index]
                    .iter()
                    .all(|&parameter| self.can_coerce(common, parameter, CastContext::Implicit, types))
                    && concrete(&signatures[index], &assumed, oids::VOID, self, types).is_ok()
            });
            if let (Some(&only), None) = (accepting.next(), accepting.next()) {
                return Choice::One(only);
            }
        }
        Choice::Ambiguous
    }
}

/// The signature of a call with `count` arguments, `None` if the function does not take so many.
fn expand(function: &Function, count: usize) -> Option<Vec<Oid>> {
    let declared = &function.argument_types;
    if let Some(element) = function.variadic {
        let fixed = declared.len() - 1;
        // VARIADIC needs at least one argument there, or the array itself when given explicitly.
        if count < declared.len() {
            return None;
        }
        let mut signature = declared[..fixed].to_vec();
        signature.resize(count, element);
        return Some(signature);
    }
    (count <= declared.len() && count + function.optional >= declared.len())
        .then(|| declared[..count].to_vec())
}

/// Keeps the candidates with the highest score.
fn keep_best(candidates: &mut Vec<usize>, score: impl Fn(usize) -> usize) {
    let best = candidates.iter().map(|&index| score(index)).max().unwrap_or(0);
    candidates.retain(|&index| score(index) == best);
}

fn category(oid: Oid, types: &dyn TypeCatalog) -> Category {
    types.type_by_oid(oid).map_or(Category::Pseudo, |info| info.category)
}

fn is_preferred(oid: Oid, wanted: Category, types: &dyn TypeCatalog) -> bool {
    types.type_by_oid(oid).is_some_and(|info| info.preferred && info.category == wanted)
}

fn type_name(oid: Oid, types: &dyn TypeCatalog) -> String {
    format_type(DataType::of(oid), types)
}

fn list(arguments: &[Oid], types: &dyn TypeCatalog) -> String {
    arguments.iter().map(|&oid| type_name(oid, types)).collect::<Vec<_>>().join(", ")
}

fn undefined_function(name: &str, arguments: &[Oid], types: &dyn TypeCatalog) -> SqlError {
    SqlError::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("function {}({}) does not exist", name, list(arguments, types)),
    )
    .with_hint(
        "No function matches the given name and argument types. You might need to add explicit type casts.",
    )
}

/// The type that the branches of CASE, COALESCE, UNION and the like agree on; `unknown` alone becomes text.
///
/// # Errors
/// 42804 `CASE types integer and text cannot be matched`, where `what` is the construct's name.
pub fn common_type(inputs: &[Oid], what: &str, registry: &Registry, types: &dyn TypeCatalog) -> Result<Oid> {
    if let Some(&first) = inputs.first()
        && first != oids::UNKNOWN
        && inputs.iter().all(|&oid| oid == first)
    {
        return Ok(first);
    }
    let coercible = |from: Oid, to: Oid| registry.can_coerce(from, to, CastContext::Implicit, types);
    let mut chosen = oids::UNKNOWN;
    for next in inputs.iter().map(|&oid| base_type(oid, types)) {
        if next == oids::UNKNOWN || next == chosen {
            continue;
        }
        if chosen == oids::UNKNOWN {
            chosen = next;
        } else if category(next, types) != category(chosen, types) {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "{what} types {} and {} cannot be matched",
                    type_name(chosen, types),
                    type_name(next, types)
                ),
            ));
        } else if !is_preferred(chosen, category(chosen, types), types)
            && coercible(chosen, next)
            && !coercible(next, chosen)
        {
            chosen = next;
        }
    }
    Ok(if chosen == oids::UNKNOWN { oids::TEXT } else { chosen })
}
