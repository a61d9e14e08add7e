//! Reading the pages that a commit starts from, before anything of it is done.

use helios_bufferpool::{PageId, Scn};

use super::Request;
use crate::apply::{Apply, Workspace};
use crate::engine::Engine;
use crate::error::Result;
use crate::ids::TreeId;
use crate::log::OPERATION_BYTES;
use crate::steps::Steps;
use crate::write_set::Operation;

/// Inner nodes and the like that a small commit may change besides its leaves.
const PAGES_MORE: usize = 16;

/// Reads what a commit starts from, some leaves at a time.
pub(super) struct Reading<'r> {
    request: &'r Request,
    steps: Steps<'r>,
    last: Option<(TreeId, PageId)>,
    leaves: usize,
    /// The newest version among the leaves.
    pub(super) newest: Scn,
}

impl<'r> Reading<'r> {
    pub(super) fn new(request: &'r Request) -> Reading<'r> {
        Reading {
            request,
            // There is nothing to read of trees that it makes.
            steps: Steps::in_old_trees(&request.writes),
            last: None,
            leaves: 0,
            newest: Scn(0),
        }
    }

    /// Reads up to so many leaves; tells whether there may be more. Others may commit between two calls.
    ///
    /// # Errors
    /// Those of the device.
    pub(super) async fn next(
        &mut self,
        engine: &Engine,
        workspace: &mut Workspace,
        leaves_max: usize,
    ) -> Result<bool> {
        // It may have been left by those who committed since.
        self.last = None;
        let until = self.leaves.saturating_add(leaves_max);
        while self.steps.fill().await? {
            if self.leaves >= until {
                return Ok(true);
            }
            let fault = {
                let mut apply = Apply::new(engine, workspace, self.request.branch, Scn::MAX);
                let mut fault = None;
                while self.leaves < until
                    && let Some(operation) = self.steps.current()
                {
                    if let Operation::Change(tree, key, _) = operation {
                        let leaf = self.last.filter(|last| last.0 == tree).map(|last| last.1);
                        match apply.prepare(tree, key, leaf) {
                            Ok(leaf) if self.last == Some((tree, leaf)) => {}
                            Ok(leaf) => {
                                self.leaves += 1;
                                self.last = Some((tree, leaf));
                                self.newest = self.newest.max(apply.version(leaf));
                            }
                            Err(missed) => {
                                fault = Some(missed);
                                break;
                            }
                        }
                    }
                    self.steps.advance();
                }
                apply.finish();
                fault
            };
            if let Some(fault) = fault {
                engine.resolve(fault).await?;
            }
        }
        Ok(false)
    }

    /// How many pages are changed and made, about.
    pub(super) fn pages(&self, engine: &Engine) -> usize {
        self.leaves + self.others(engine)
    }

    /// How many of them are not the leaves that were read.
    fn others(&self, engine: &Engine) -> usize {
        // Half of a page that splits is new, and inner nodes are few.
        let added = self.request.writes.log_bytes_max(OPERATION_BYTES) / (engine.pool.page_size() / 2);
        self.leaves / 16 + added + PAGES_MORE
    }

    /// Makes room for changing what was read.
    ///
    /// # Errors
    /// Those of the device; where there is no room, that it is full.
    pub(super) async fn make_room(&self, engine: &Engine) -> Result<()> {
        engine.make_room_for_commit(self.leaves, self.others(engine)).await
    }
}
