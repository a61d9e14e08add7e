//! Rows that come from another branch: written under all constraints, but foreign keys do nothing to other rows. What
//! they do elsewhere, such as deleting along, was done on that branch too, and comes as changes of its own.

use super::attempt::{self, Attempt, Stop};
use super::{OldRow, TableWriter, Writing, unique};
use crate::error::{Result, SqlError, SqlState};
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
        unique::note_doubles(execution);
        self.follow_references(old.map(|old| old.values), new, execution).await
    }

    /// Puts a row that [`TableWriter::put_merged`] refused, whatever it breaks, so that what hangs on it can be tested too;
    /// gives what its unique keys collide with, whose entries are left out. The transaction has to be rolled back.
    ///
    /// # Errors
    /// 23505 where another row has its primary key, 23503; those of locking and reading.
    pub async fn put_refused(
        &self,
        old: Option<OldRow<'_>>,
        new: &[Datum],
        execution: &mut Execution,
    ) -> Result<Vec<SqlError>> {
        let start = execution.transaction.savepoint();
        let mut collisions = Vec::new();
        let written = attempt::retried(execution, |writing| {
            collisions.clear();
            if let Some(old) = &old {
                self.try_delete(old, writing)?;
            }
            self.try_colliding(new, &mut collisions, writing)
        });
        if let Err(error) = written.await {
            execution.transaction.rollback_to(start);
            return Err(error);
        }
        unique::note_doubles(execution);
        self.follow_references(old.map(|old| old.values), Some(new), execution).await?;
        Ok(collisions)
    }

    fn try_colliding(
        &self,
        row: &[Datum],
        collisions: &mut Vec<SqlError>,
        writing: &mut Writing<'_>,
    ) -> Attempt<()> {
        writing.buffers.doubles.clear();
        let mut key = std::mem::take(&mut writing.buffers.key);
        let written = self.new_key(row, &mut key, writing).and_then(|()| {
            self.write_row(&key, row, writing)?;
            self.indexes.iter().try_for_each(|index| match self.add_entry(index, &key, row, writing) {
                Err(Stop::Failed(error)) if error.state() == SqlState::UNIQUE_VIOLATION => {
                    collisions.push(error);
                    Ok(())
                }
                added => added,
            })
        });
        writing.buffers.key = key;
        written
    }

    /// Looks at what a written row refers to, and at what refers to the one in whose place it is.
    async fn follow_references(
        &self,
        before: Option<&[Datum]>,
        new: Option<&[Datum]>,
        execution: &mut Execution,
    ) -> Result<()> {
        execution.transaction.make_room().await?;
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
