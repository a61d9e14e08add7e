//! Portals of the protocol under names, where SQL finds them too: `FETCH` and `MOVE` go on with them, `CLOSE` closes them,
//! `pg_cursors` lists them. They only go forward.

use super::cursor::forward_only;
use super::portal::{Given, Portal};
use super::{CursorPlace, ListedCursor, Session, Step};
use crate::binder::ResultColumn;
use crate::error::Result;
use crate::parser::{Direction, Fetch};

impl Session {
    /// Whether a portal or a cursor has a name.
    #[must_use]
    pub fn has_portal(&self, name: &str) -> bool {
        self.cursors.contains_key(name) || self.portals.lock().contains_key(name)
    }

    /// Keeps a portal of a query under a name until it is taken out to be executed. A new one is listed.
    pub fn keep_portal(&mut self, name: &str, portal: Portal) {
        let is_listed = self.listing.cursors.lock().iter().any(|listed| listed.name == name);
        if !is_listed && portal.prepared.columns.is_some() {
            self.listing.add_cursor(ListedCursor {
                name: name.to_owned(),
                text: portal.prepared.text.to_string(),
                since: self.now(),
                is_holdable: false,
                is_binary: false,
                is_scrollable: false,
                is_held: false,
                table: None,
                place: CursorPlace::NoRow,
            });
        }
        self.portals.get_mut().insert(name.to_owned(), portal);
    }

    /// Takes a portal out, to execute it.
    pub fn take_portal(&mut self, name: &str) -> Option<Portal> {
        self.portals.get_mut().remove(name)
    }

    /// Closes a portal, if there is one of that name.
    pub fn forget_portal(&mut self, name: &str) -> bool {
        let found = self.portals.get_mut().remove(name).is_some();
        if found {
            self.list_cursors();
        }
        found
    }

    /// Closes all portals: their transaction has ended.
    pub fn forget_portals(&mut self) {
        if !self.portals.get_mut().is_empty() {
            self.portals.get_mut().clear();
            self.list_cursors();
        }
    }

    /// The columns of a portal that FETCH can go on with.
    pub(super) fn portal_columns(&self, name: &str) -> Option<Vec<ResultColumn>> {
        self.portals.lock().get(name)?.prepared.columns.clone()
    }

    /// FETCH and MOVE of a portal.
    ///
    /// # Errors
    /// 55000 for ways that lead back; those of the query.
    pub(super) async fn fetch_portal(&mut self, name: &str, fetch: &Fetch) -> Result<Option<Given>> {
        let Some(mut portal) = self.take_portal(name) else { return Ok(None) };
        // One that failed is not there any more.
        let given = self.go_in_portal(&mut portal, fetch).await?;
        self.portals.get_mut().insert(name.to_owned(), portal);
        Ok(Some(given))
    }

    async fn go_in_portal(&mut self, portal: &mut Portal, fetch: &Fetch) -> Result<Given> {
        let (mut skipped, mut wanted) = match fetch.direction {
            Direction::Forward(None) => (0, None),
            Direction::Forward(Some(rows)) if rows > 0 => (0, usize::try_from(rows).ok()),
            Direction::Relative(rows) if rows > 0 => {
                (usize::try_from(rows - 1).unwrap_or(usize::MAX), Some(1))
            }
            _ => return Err(forward_only()),
        };
        let (mut batches, mut count) = (Vec::new(), 0);
        while skipped > 0 {
            let mut most = Some(skipped);
            match Box::pin(self.step(portal, &mut most)).await? {
                Step::Rows(batch) => skipped = skipped.saturating_sub(batch.row_count),
                _ => break,
            }
        }
        while wanted != Some(0) {
            match Box::pin(self.step(portal, &mut wanted)).await? {
                Step::Rows(batch) => {
                    count += batch.row_count;
                    if !fetch.moves_only {
                        batches.push(batch);
                    }
                }
                _ => break,
            }
        }
        let verb = if fetch.moves_only { "MOVE" } else { "FETCH" };
        Ok(Given { batches, tag: format!("{verb} {count}") })
    }
}
