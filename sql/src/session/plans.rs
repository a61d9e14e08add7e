//! The plans of a session's statements, by their texts and the parameter types that the client declared.
//!
//! Plans are kept in two generations: those asked for since the younger one began, and those before. When the younger
//! is full it becomes the older, and what was there is forgotten. So a program whose statements differ in their
//! constants does not push out the plans of those that come again and again.

use std::collections::HashMap;
use std::sync::Arc;

use super::Prepared;
use crate::types::DataType;

/// How many texts a generation has.
const TEXTS_MAX: usize = 128;

/// How many bytes all texts of a generation have: plans are larger than their texts, by about the same factor.
const TEXT_BYTES_MAX: usize = 128 * 1024;

/// The plans of a text: one for each list of declared types.
type Generation = HashMap<String, Vec<Arc<Prepared>>>;

/// Plans by text.
#[derive(Default)]
pub(super) struct Plans {
    younger: Generation,
    younger_bytes: usize,
    older: Generation,
    /// The one asked for last: programs run one statement again and again.
    last: Option<(String, Arc<Prepared>)>,
}

impl Plans {
    /// The plan of a text, which may be out of date.
    #[inline]
    pub(super) fn get(&mut self, text: &str, declared: &[DataType]) -> Option<&Arc<Prepared>> {
        let is_last = |(known, plan): &(String, Arc<Prepared>)| known == text && plan.declared == declared;
        if !self.last.as_ref().is_some_and(is_last) {
            let plan = self.find(text, declared)?;
            self.last = Some((text.to_string(), plan));
        }
        self.last.as_ref().map(|(_, plan)| plan)
    }

    fn find(&mut self, text: &str, declared: &[DataType]) -> Option<Arc<Prepared>> {
        if let Some(plan) = of_types(self.younger.get(text), declared) {
            return Some(plan.clone());
        }
        let plan = of_types(self.older.get(text), declared)?.clone();
        self.insert(text, plan.clone());
        Some(plan)
    }

    /// Keeps a plan, unless its text is too long.
    pub(super) fn insert(&mut self, text: &str, plan: Arc<Prepared>) {
        if text.len() > TEXT_BYTES_MAX / 4 {
            return;
        }
        if self.younger.len() >= TEXTS_MAX || self.younger_bytes + text.len() > TEXT_BYTES_MAX {
            self.older = std::mem::take(&mut self.younger);
            self.younger_bytes = 0;
        }
        self.younger_bytes += text.len();
        let plans = self.younger.entry(text.to_string()).or_default();
        plans.retain(|known| known.declared != plan.declared);
        plans.push(plan);
        self.last = None;
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        *self = Plans::default();
    }
}

fn of_types<'p>(plans: Option<&'p Vec<Arc<Prepared>>>, declared: &[DataType]) -> Option<&'p Arc<Prepared>> {
    plans?.iter().find(|plan| plan.declared == declared)
}
