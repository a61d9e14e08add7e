//! Columns that conditions make equal: `a = b AND b = c` says `a = c` too, so that `a` and `c` may be joined first.
//!
//! 1. Equalities of two columns of one type, which are of different relations, put both into one class.
//! 2. A class of three or more relations gets the equalities of all its pairs. Which of them are tested does not matter as
//!    long as they connect its relations: each join needs one.
//! 3. Where a class has two columns of one relation its conditions are left as they are.

use std::sync::Arc;

use super::logical::ColumnId;
use super::operators::{Comparison, as_comparison};
use crate::expr::Expr;
use crate::functions::Function;
use crate::types::DataType;

/// A class grows no further: its pairs are many.
const MEMBERS_MAX: usize = 8;

/// A column of a relation.
#[derive(Clone)]
struct Member {
    id: ColumnId,
    data_type: DataType,
    relation: usize,
}

struct Class {
    members: Vec<Member>,
    /// The conditions that make it, by position.
    conditions: Vec<usize>,
    equality: Arc<Function>,
}

impl Class {
    fn has(&self, member: &Member) -> bool {
        self.members.iter().any(|own| own.id == member.id)
    }

    fn is_usable(&self) -> bool {
        let relations = |at: usize| self.members.iter().filter(move |member| member.relation == at);
        (3..=MEMBERS_MAX).contains(&self.members.len())
            && self.members.iter().all(|member| relations(member.relation).count() == 1)
    }
}

/// Adds the equalities that follow from others to `conditions`, and tells of each condition which class it is of, if it is of
/// one. `relation_of` says whose a column is; `None` for columns that may not be compared earlier than they are.
pub fn complete(
    conditions: &mut Vec<Expr>,
    relation_of: impl Fn(ColumnId) -> Option<usize>,
) -> Vec<Option<usize>> {
    let mut classes: Vec<Class> = Vec::new();
    for (at, condition) in conditions.iter().enumerate() {
        if let Some((equality, left, right)) = equality(condition, &relation_of) {
            enter(&mut classes, at, equality, left, right);
        }
    }
    classes.retain(Class::is_usable);
    let mut class_of = vec![None; conditions.len()];
    for (number, class) in classes.iter().enumerate() {
        class.conditions.iter().for_each(|at| class_of[*at] = Some(number));
        let Some(pattern) = class.conditions.first().map(|at| conditions[*at].clone()) else { continue };
        for (at, left) in class.members.iter().enumerate() {
            for right in &class.members[at + 1..] {
                let is_known = |known: &usize| reads(&conditions[*known], left.id, right.id);
                if !class.conditions.iter().any(is_known) {
                    conditions.push(between(&pattern, left, right));
                    class_of.push(Some(number));
                }
            }
        }
    }
    class_of
}

/// Enters an equality; classes that it connects become one.
fn enter(classes: &mut Vec<Class>, at: usize, equality: &Arc<Function>, left: Member, right: Member) {
    let mut joined = Class { members: vec![left, right], conditions: vec![at], equality: equality.clone() };
    let connects = |class: &Class, joined: &Class| {
        Arc::ptr_eq(&class.equality, &joined.equality) && joined.members[..2].iter().any(|own| class.has(own))
    };
    for class in classes.extract_if(.., |class| connects(class, &joined)).collect::<Vec<_>>() {
        let new: Vec<Member> = class.members.into_iter().filter(|member| !joined.has(member)).collect();
        joined.members.extend(new);
        joined.conditions.extend(class.conditions);
    }
    joined.conditions.sort_unstable();
    classes.push(joined);
}

/// The sides of an equality of two relations' columns.
fn equality<'e>(
    condition: &'e Expr,
    relation_of: &impl Fn(ColumnId) -> Option<usize>,
) -> Option<(&'e Arc<Function>, Member, Member)> {
    let (Comparison::Equal, left, right) = as_comparison(condition)? else { return None };
    let Expr::Call(call) = condition else { return None };
    let member = |side: &Expr| match side {
        Expr::Column { index, data_type } => {
            Some(Member { id: *index, data_type: *data_type, relation: relation_of(*index)? })
        }
        _ => None,
    };
    let (left, right) = (member(left)?, member(right)?);
    let fits = left.relation != right.relation && left.data_type.oid == right.data_type.oid;
    fits.then_some((&call.function, left, right))
}

fn reads(condition: &Expr, first: ColumnId, second: ColumnId) -> bool {
    let mut both = [false; 2];
    super::walk::columns(condition, &mut |id| {
        both[0] |= id == first;
        both[1] |= id == second;
    });
    both == [true; 2]
}

/// An equality like another one, between other columns.
fn between(pattern: &Expr, left: &Member, right: &Member) -> Expr {
    let mut made = pattern.clone();
    if let Expr::Call(call) = &mut made {
        let column = |member: &Member| Expr::Column { index: member.id, data_type: member.data_type };
        call.arguments = vec![column(left), column(right)];
    }
    made
}
