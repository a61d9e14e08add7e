//! How much history trees have.

use helios_btree::{Node, node_at, top};
use helios_bufferpool::{MapKey, MapPart, PageKey};

use crate::divergence::read;
use crate::error::Result;
use crate::ids::{BranchId, Scn, TreeId};
use crate::snapshot::Snapshot;
use crate::store::Store;

impl Store {
    /// Bytes of the history that a branch has of the pages of a tree as it is now, as of the last checkpoint. Its inner nodes
    /// are read, and their parts of the page map.
    ///
    /// # Errors
    /// Those of the device.
    pub async fn history_bytes(&self, branch: BranchId, tree: TreeId) -> Result<u64> {
        let newest = Snapshot { branch, scn: Scn::MAX };
        let (mut bytes, mut part) = (0, None);
        let mut open = vec![(tree.root(), None)];
        while let Some((page, level)) = open.pop() {
            bytes += self.page_history_bytes(PageKey::new(branch, page), &mut part).await?;
            if level == Some(0) {
                continue;
            }
            let children = read(self, newest, |view| {
                let bytes = match level {
                    Some(level) => node_at(view, page, level)?,
                    None => top(view, page)?,
                };
                let node = Node::new(&bytes);
                let count = if node.is_leaf() { 0 } else { node.len() };
                let below = node.level().checked_sub(1);
                Ok((0..count).map(|index| (node.child(index), below)).collect::<Vec<_>>())
            });
            open.extend(children.await?);
        }
        Ok(bytes)
    }

    /// The same of a page; `part` is where the page before it was found.
    async fn page_history_bytes(&self, page: PageKey, part: &mut Option<MapPart>) -> Result<u64> {
        let mut from = MapKey::first_of(page);
        let mut bytes = 0;
        loop {
            let known = part.take().filter(|part| part.covers(from));
            let known = match known {
                Some(known) => known,
                None => self.engine().file.map_part(from).await?,
            };
            let of_page = known.entries.iter().filter(|(key, _)| key.page == page && *key >= from);
            let history = of_page.filter(|(key, _)| *key != MapKey::newest(page));
            bytes += history.map(|(_, located)| u64::from(located.extent.length_bytes)).sum::<u64>();
            let next = known.next.filter(|next| next.page == page);
            *part = Some(known);
            match next {
                Some(next) => from = next,
                None => return Ok(bytes),
            }
        }
    }
}
