//! The signatures of the functions of large objects, by which calls are resolved; the binder makes them calls that wait.

use super::registry::{Entry, Registry};
use crate::large_object::FUNCTIONS;

pub(super) fn register(registry: &mut Registry) {
    for function in FUNCTIONS {
        let result = function.columns.first().map_or(0, |(_, result)| *result);
        registry.add(Entry::session(function.name, function.arguments, result).volatile());
    }
}
