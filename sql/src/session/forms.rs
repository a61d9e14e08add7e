//! Plans of statements for one row whose texts differ in their constants alone, as those of the simple query protocol do.
//!
//! A text that comes with ever other constants would be parsed and planned each time, which costs several times what a
//! statement for one row does. When its form, which has parameters in place of the constants, is seen for the second
//! time, the form is planned too. It serves all texts of that form if it is for a single row as well and gives the same
//! columns. Errors are the plain text's: a constant that its parameter's type does not read sends the text the general way.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::plans::Plans;
use super::prepare::{have_same_shape, is_catalog_type};
use super::{Portal, Prepared, Session};
use crate::error::Result;
use crate::functions::EvalContext;
use crate::parser::Form;
use crate::types::{DataType, oids};
use crate::value::Datum;

/// How many forms are remembered; then all are forgotten.
const FORMS_MAX: usize = 256;

/// What is known of a form that has no plan.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It came once, or its plan is out of date.
    Seen,
    /// It has none that would serve.
    Refused,
}

/// The forms that came so far.
#[derive(Default)]
pub(super) struct Forms {
    /// The one being looked at.
    form: Form,
    known: HashMap<String, Known>,
    plans: Plans,
}

impl Forms {
    fn note(&mut self, known: Known) {
        if let Some(before) = self.known.get_mut(&self.form.text) {
            *before = known;
            return;
        }
        if self.known.len() >= FORMS_MAX {
            self.known.clear();
        }
        self.known.insert(self.form.text.clone(), known);
    }
}

impl Session {
    /// Forgets all plans that are kept by their texts.
    pub(super) fn forget_plans(&mut self) {
        self.plans.clear();
        self.forms = Forms::default();
    }

    /// A text of one statement whose plan is known, or that of its form, bound and ready to run.
    ///
    /// # Errors
    /// 08P01 for a text with parameters.
    pub fn known_portal(&mut self, text: &str) -> Result<Option<Portal>> {
        let known = match self.known_plan(text, &[]) {
            Some(prepared) => Some((prepared, Vec::new())),
            None => self.known_form(text),
        };
        known.map(|(prepared, constants)| self.bind_text(prepared, constants, text)).transpose()
    }

    /// The plan of a text's form, with the text's constants as its parameters, where it is known and still holds.
    #[inline]
    pub fn known_form(&mut self, text: &str) -> Option<(Arc<Prepared>, Vec<Datum>)> {
        let failed = self.active.as_ref().is_some_and(|active| active.failed);
        if failed || !self.forms.form.take(text) {
            return None;
        }
        #[cfg(test)]
        if self.never_at_once {
            return None;
        }
        let Forms { form, plans, .. } = &mut self.forms;
        let prepared = plans.get(&form.text, &form.types)?.clone();
        if !self.is_current(&prepared) {
            return None;
        }
        let form = &self.forms.form;
        let never = AtomicBool::new(false);
        let context = self.value_context(&prepared, &never);
        let mut constants = Vec::with_capacity(form.places.len());
        for (place, data_type) in form.places.iter().zip(&prepared.parameter_types) {
            constants.push(constant(&text[place.clone()], *data_type, &context)?);
        }
        Some((prepared, constants))
    }

    /// Keeps the plan of a text of one statement for when the text comes again, or one of the same form.
    pub async fn keep_plan_of_form(&mut self, text: &str, prepared: &Arc<Prepared>) {
        let may_have_form = prepared.point.is_some()
            && !prepared.transient
            && !self.frequent.strings.escapes
            && self.forms.form.take(text);
        let known = if may_have_form { self.forms.known.get(&self.forms.form.text).copied() } else { None };
        match known {
            _ if !may_have_form => {}
            None => self.forms.note(Known::Seen),
            Some(Known::Refused) => {}
            Some(Known::Seen) => {
                let (of_form, types) = (self.forms.form.text.clone(), self.forms.form.types.clone());
                match self.prepare_form(&of_form, types, prepared).await {
                    Some(plan) => return self.forms.plans.insert(&of_form, plan),
                    None => self.forms.note(Known::Refused),
                }
            }
        }
        self.keep_plan(text, prepared);
    }

    /// The plan of a form, if it serves for a text whose plan is `of_text`.
    async fn prepare_form(
        &mut self,
        form: &str,
        types: Vec<DataType>,
        of_text: &Prepared,
    ) -> Option<Arc<Prepared>> {
        let statement = self.parse(form).ok()?.pop()?;
        let plan = self.prepare_statement(form, statement, types).await.ok()?;
        let serves = plan.point.is_some()
            && !plan.transient
            && !plan.parameter_types.iter().any(|data_type| is_catalog_type(*data_type))
            && have_same_shape(plan.columns.as_deref(), of_text.columns.as_deref());
        serves.then(|| Arc::new(plan))
    }
}

/// The value of a constant, as it stands in a text; `None` where it is none of its type.
fn constant(text: &str, data_type: DataType, context: &EvalContext<'_>) -> Option<Datum> {
    match data_type.oid {
        oids::INT4 => text.parse().ok().map(Datum::Int32),
        oids::INT8 => text.parse().ok().map(Datum::Int64),
        oid => {
            let unquoted = if text.contains('\'') { &text.replace("''", "'") } else { text };
            match oid {
                oids::TEXT | oids::VARCHAR | oids::UNKNOWN => Some(Datum::text(unquoted)),
                oid => context.type_info(oid).ok()?.parse_text(unquoted, data_type.typmod, context).ok(),
            }
        }
    }
}
