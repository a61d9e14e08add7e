//! Rows that come from another branch: written under all constraints, but foreign keys do nothing to other rows. What
//! they do elsewhere, such as deleting along, was done on that branch too, and comes as changes of its own.

use super::attempt::{self, Stop};
use super::{OldRow, TableWriter};
use crate::error::Result;
use crate::execute::Execution;
use crate::value::Datum;

impl TableWriter {
    /// Puts a row in the place of another: a new one where there is no old one, none where there is no new one. The
    /// foreign keys that this breaks for now are pending.
    ///
    /// # Errors
    /// 23502, 23514, 23505; the conflict. Nothing was written then.
    pub async fn put_merged(
        &self,
        old: Option<OldRow<'_>>,
        new: Option<&[Datum]>,
        execution: &mut Execution,
    ) -> Result<()> {
        let start = execution.transaction.savepoint();
        let written = attempt::retried(execution, |writing| match (&old, new) {
            (Some(old), Some(new)) => self.try_update(old, new, writing),
            (Some(old), None) => self.try_delete(old, writing),
            (None, Some(new)) => self.try_insert(new, writing),
            (None, None) => Ok::<(), Stop>(()),
        });
        if let Err(error) = written.await {
            execution.transaction.rollback_to(start);
            return Err(error);
        }
        execution.transaction.make_room().await?;
        let before = old.map(|old| old.values);
        if let Some(new) = new {
            for reference in &self.references {
                if before.is_none_or(|before| reference.differs(before, new)) {
                    reference.check(self, new, execution).await?;
                }
            }
        }
        if let Some(before) = before {
            for referenced in &self.referenced {
                referenced.note(self, before, new, execution)?;
            }
        }
        Ok(())
    }
}
