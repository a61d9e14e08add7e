//! The plans of a session's statements, by their texts.

use std::collections::HashMap;
use std::sync::Arc;

use super::Prepared;

/// How many plans are kept.
const PLANS_MAX: usize = 256;

/// Plans by text.
#[derive(Default)]
pub(super) struct Plans {
    plans: HashMap<String, Arc<Prepared>>,
    /// The one asked for last: programs run one statement again and again.
    last: Option<Arc<Prepared>>,
}

impl Plans {
    /// The plan of a text, which may be out of date.
    #[inline]
    pub(super) fn get(&mut self, text: &str) -> Option<&Arc<Prepared>> {
        if self.last.as_ref().is_none_or(|last| last.text != text) {
            self.last = Some(self.plans.get(text)?.clone());
        }
        self.last.as_ref()
    }

    /// Keeps a plan.
    pub(super) fn insert(&mut self, text: &str, plan: Arc<Prepared>) {
        if self.plans.len() >= PLANS_MAX {
            self.plans.clear();
        }
        self.plans.insert(text.to_string(), plan);
        self.last = None;
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.plans.clear();
        self.last = None;
    }
}
