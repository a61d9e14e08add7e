//! The signatures of the functions that wait, by which calls are resolved; the binder makes them calls that do.

use super::registry::{Entry, Registry};
use crate::relations::waiting;

pub(super) fn register(registry: &mut Registry) {
    for function in waiting() {
        let result = function.columns.first().map_or(0, |(_, result)| *result);
        let entry = Entry::session(function.name, function.arguments, result);
        registry.add(if function.is_volatile() { entry.volatile() } else { entry });
    }
}
