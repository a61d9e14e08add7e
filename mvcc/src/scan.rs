//! Walks over a range of rows: the tree as of a snapshot, overlaid with the transaction's own writes.

use std::iter::Peekable;
use std::ops::{Bound, ControlFlow};

use helios_btree::{Direction, LeafCell, Near, ValuePlace, Walk, walk_leaf, walk_leaf_values};
use helios_bufferpool::Scn;

use crate::error::{Fault, Result};
use crate::ids::TreeId;
use crate::large_value::PartialValue;
use crate::spill::OwnRows;
use crate::transaction::Transaction;
use crate::view::View;
use crate::write_set::Change;

/// Bounds of a scan, over encoded keys.
#[derive(Clone, Debug)]
pub struct KeyRange {
    /// Where it begins in key order.
    pub lower: Bound<Vec<u8>>,
    /// Where it ends in key order.
    pub upper: Bound<Vec<u8>>,
}

impl KeyRange {
    /// All keys.
    pub fn all() -> KeyRange {
        KeyRange { lower: Bound::Unbounded, upper: Bound::Unbounded }
    }

    /// All keys that start with `prefix`.
    pub fn prefix(prefix: &[u8]) -> KeyRange {
        let mut end = prefix.to_vec();
        while let Some(last) = end.last_mut() {
            if *last < 0xFF {
                *last += 1;
                return KeyRange { lower: Bound::Included(prefix.to_vec()), upper: Bound::Excluded(end) };
            }
            end.pop();
        }
        KeyRange { lower: Bound::Included(prefix.to_vec()), upper: Bound::Unbounded }
    }
}

/// Gets each visited row, as (key, value); stops the walk by breaking.
pub type RowVisitor<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + Send + 'a;

/// Gets rows as a scan comes to them, one by one or many together.
pub trait Visit: Send {
    /// A row, as [`RowVisitor`] gets it.
    fn row(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()>;

    /// The values of rows that follow one another, where they lie in `page`, of a scan for values alone. Tells how many of
    /// them it took, one at least; where that is not all, the scan stops behind those. There is at least one.
    fn values(&mut self, page: &[u8], places: &[ValuePlace]) -> usize;
}

/// A visitor that wants rows one by one.
struct OneByOne<'s, 'v>(&'s mut RowVisitor<'v>);

impl Visit for OneByOne<'_, '_> {
    fn row(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        (self.0)(key, value)
    }

    fn values(&mut self, page: &[u8], places: &[ValuePlace]) -> usize {
        let value = |place: &ValuePlace| &page[place.start as usize..place.end as usize];
        let stop = places.iter().position(|place| (self.0)(&[], value(place)).is_break());
        stop.map_or(places.len(), |last| last + 1)
    }
}

/// How far a call of [`Scan::try_next`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanStep {
    /// There may be more: call again.
    More,
    /// The range is exhausted.
    Done,
}

/// A walk over a range of one tree, in key order or backwards. It holds no page between calls, so it may be kept
/// across awaits and commits; it keeps seeing the snapshot and the statement it began with.
pub struct Scan {
    tree: TreeId,
    range: KeyRange,
    direction: Direction,
    done: bool,
    statement: u32,
    scn: Scn,
    /// The visitor is given no keys.
    values_only: bool,
    /// Where the walk was last, as of one SCN: keys that are near each other need not go down the tree again.
    near: Near,
    key: Vec<u8>,
    /// Room for the places of a leaf's values.
    places: Vec<ValuePlace>,
    /// The large value that the walk was in the middle of.
    partial: PartialValue,
    /// Own rows that are not in memory, for the part of the range at hand.
    own: Option<OwnRows>,
    own_partial: PartialValue,
}

impl Scan {
    pub(crate) fn new(tree: TreeId, range: KeyRange, reverse: bool, statement: u32, scn: Scn) -> Scan {
        let direction = if reverse { Direction::Backward } else { Direction::Forward };
        Scan {
            tree,
            range,
            direction,
            done: false,
            statement,
            scn,
            values_only: false,
            near: Near::default(),
            key: Vec::new(),
            places: Vec::new(),
            partial: PartialValue::default(),
            own: None,
            own_partial: PartialValue::default(),
        }
    }

    /// A scan of another range of the same tree, that sees what this one sees.
    #[must_use]
    pub fn over(&self, range: KeyRange) -> Scan {
        let scan =
            Scan::new(self.tree, range, self.direction == Direction::Backward, self.statement, self.scn);
        Scan { values_only: self.values_only, near: self.near, ..scan }
    }

    /// The same for a visitor that reads no keys: they may be empty then.
    #[must_use]
    pub fn values_only(self) -> Scan {
        Scan { values_only: true, ..self }
    }

    /// Reads another row as the scan sees things: the row that an entry of a scanned index names.
    ///
    /// # Errors
    /// [`Fault`] when a page is missing; `read` was not called then.
    pub fn try_get<R>(
        &self,
        transaction: &Transaction,
        tree: TreeId,
        key: &[u8],
        read: impl FnOnce(Option<&[u8]>) -> R,
    ) -> std::result::Result<R, Fault> {
        transaction
            .lookup(tree, key, self.scn, self.statement, |value| read(value.as_deref()))
            .map(|(result, _)| result)
    }

    /// Visits the next rows — those of about one page — as `visit(key, value)`, until `visit` breaks (the row it
    /// broke on counts as visited). Rows are seen exactly once each.
    ///
    /// # Errors
    /// [`Fault`] when a page is missing; nothing was visited in that call then.
    pub fn try_next(
        &mut self,
        transaction: &Transaction,
        visit: &mut RowVisitor<'_>,
    ) -> std::result::Result<ScanStep, Fault> {
        self.try_visit(transaction, &mut OneByOne(visit))
    }

    /// [`Scan::try_next`] for a visitor that takes many rows at once.
    ///
    /// # Errors
    /// [`Fault`] when a page is missing; nothing was visited in that call then.
    pub fn try_visit(
        &mut self,
        transaction: &Transaction,
        visit: &mut dyn Visit,
    ) -> std::result::Result<ScanStep, Fault> {
        if self.done {
            return Ok(ScanStep::Done);
        }
        let writes = transaction.writes();
        if writes.spilled().is_some_and(|spilled| spilled.touches(self.tree)) {
            return self.try_next_spilled(transaction, visit);
        }
        let range = std::mem::replace(&mut self.range, KeyRange::all());
        let own = (!writes.is_empty() && writes.touches(self.tree)).then(|| {
            let (lower, upper) = (as_slice(&range.lower), as_slice(&range.upper));
            writes.range(self.tree, lower, upper, self.statement, self.direction == Direction::Backward)
        });
        let next = self.run(transaction, &range, own.into_iter().flatten(), visit);
        self.range = range;
        match next? {
            Next::At(bound) => {
                self.go_on_at(bound);
                Ok(ScanStep::More)
            }
            Next::End => {
                self.done = true;
                Ok(ScanStep::Done)
            }
        }
    }

    /// [`Scan::try_next`] when own rows have left memory: keeps to the part of the range whose own rows are at hand.
    fn try_next_spilled(
        &mut self,
        transaction: &Transaction,
        visit: &mut dyn Visit,
    ) -> std::result::Result<ScanStep, Fault> {
        let writes = transaction.writes();
        let own = match (self.own.take(), writes.spilled()) {
            (None, Some(spilled)) => {
                let (range, partial) = (&self.range, &mut self.own_partial);
                OwnRows::read(spilled, self.tree, range, self.direction, self.statement, partial)?
            }
            (own, _) => own.unwrap_or_default(),
        };
        let range = own.covered(&self.range, self.direction);
        let (lower, upper) = (as_slice(&range.lower), as_slice(&range.upper));
        let reverse = self.direction == Direction::Backward;
        let memory = writes.range(self.tree, lower, upper, self.statement, reverse);
        let rows = own.merge(memory, &range, self.direction);
        let next = self.run(transaction, &range, rows, visit);
        match (next, own.next.clone()) {
            (Ok(Next::End), None) => {
                self.done = true;
                return Ok(ScanStep::Done);
            }
            (Ok(Next::End), Some(next)) => self.go_on_at(next),
            (Ok(Next::At(bound)), _) => {
                self.go_on_at(bound);
                self.own = Some(own);
            }
            (Err(fault), _) => {
                self.own = Some(own);
                return Err(fault);
            }
        }
        Ok(ScanStep::More)
    }

    fn go_on_at(&mut self, bound: Bound<Vec<u8>>) {
        match self.direction {
            Direction::Forward => self.range.lower = bound,
            Direction::Backward => self.range.upper = bound,
        }
    }

    /// Visits the rows of one leaf within `range`, merged with own rows.
    fn run<'a>(
        &mut self,
        transaction: &Transaction,
        range: &KeyRange,
        own: impl Iterator<Item = (&'a [u8], Change<'a>)>,
        visit: &mut dyn Visit,
    ) -> std::result::Result<Next, Fault> {
        let mut step = Step {
            range,
            direction: self.direction,
            own: own.peekable(),
            values_only: self.values_only,
            visit,
            key: std::mem::take(&mut self.key),
            places: std::mem::take(&mut self.places),
            partial: std::mem::take(&mut self.partial),
            last: None,
            broken: false,
            fault: None,
        };
        let walk = if transaction.writes().created(self.tree) {
            Ok(Walk::End)
        } else {
            step.walk(transaction, self.tree, self.scn, &mut self.near)
        };
        let outcome = step.finish(walk);
        self.key = outcome.key;
        self.places = outcome.places;
        self.partial = outcome.partial;
        outcome.result
    }

    /// [`Scan::try_next`], waiting for pages.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn next(&mut self, transaction: &Transaction, visit: &mut RowVisitor<'_>) -> Result<ScanStep> {
        self.visit(transaction, &mut OneByOne(visit)).await
    }

    /// [`Scan::try_visit`], waiting for pages.
    ///
    /// # Errors
    /// Those of reading pages.
    pub async fn visit(&mut self, transaction: &Transaction, visit: &mut dyn Visit) -> Result<ScanStep> {
        loop {
            match self.try_visit(transaction, visit) {
                Ok(step) => return Ok(step),
                Err(fault) => transaction.store().resolve(fault).await?,
            }
        }
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

enum Next {
    At(Bound<Vec<u8>>),
    End,
}

struct Finished {
    key: Vec<u8>,
    places: Vec<ValuePlace>,
    partial: PartialValue,
    result: std::result::Result<Next, Fault>,
}

/// One call: the rows of one leaf, merged with own writes.
struct Step<'s, I: Iterator> {
    range: &'s KeyRange,
    direction: Direction,
    own: Peekable<I>,
    values_only: bool,
    visit: &'s mut dyn Visit,
    key: Vec<u8>,
    places: Vec<ValuePlace>,
    partial: PartialValue,
    /// The key visited last, when the walk must go on right after it.
    last: Option<Vec<u8>>,
    /// The visitor broke.
    broken: bool,
    fault: Option<Fault>,
}

impl<'a, I: Iterator<Item = (&'a [u8], Change<'a>)>> Step<'_, I> {
    fn walk(
        &mut self,
        transaction: &Transaction,
        tree: TreeId,
        scn: Scn,
        near: &mut Near,
    ) -> std::result::Result<Walk, Fault> {
        let view = View::new(transaction.engine(), transaction.branch(), scn);
        let (start, end) = match self.direction {
            Direction::Forward => (&self.range.lower, &self.range.upper),
            Direction::Backward => (&self.range.upper, &self.range.lower),
        };
        if self.values_only && self.direction == Direction::Forward && self.own.peek().is_none() {
            let visit = &mut *self.visit;
            // The walk itself tells where it stopped.
            let walk = walk_leaf_values(
                &view,
                tree.root(),
                near,
                (start, end),
                &mut self.places,
                |page, places| visit.values(page, places),
            )?;
            if let Some(walk) = walk {
                return Ok(walk);
            }
        }
        let mut has_prefix = false;
        walk_leaf(&view, tree.root(), near, start, end, self.direction, |prefix, suffix, cell| {
            // All keys of a leaf have the same prefix.
            if has_prefix {
                self.key.truncate(prefix.len());
            } else {
                self.key.clear();
                self.key.extend_from_slice(prefix);
                has_prefix = true;
            }
            self.key.extend_from_slice(suffix);
            self.row(&view, cell)
        })
    }

    /// Visits a stored row, after the own rows before it.
    #[inline(always)]
    fn row(&mut self, view: &View<'_>, cell: LeafCell<'_>) -> ControlFlow<()> {
        if self.own.peek().is_some() {
            let key = std::mem::take(&mut self.key);
            let flow = self.own_rows_before(&key);
            self.key = key;
            flow?;
            if self.own.peek().is_some_and(|own| own.0 == self.key) {
                // Written over by this transaction.
                return match self.own.next() {
                    Some((_, Change::Put(value))) => {
                        let flow = self.visit.row(&self.key, value);
                        self.note(flow)
                    }
                    _ => ControlFlow::Continue(()),
                };
            }
        }
        if cell.overflow {
            return match self.partial.read(view, cell.value) {
                Ok(value) => {
                    let flow = self.visit.row(&self.key, &value);
                    self.note(flow)
                }
                Err(fault) => {
                    self.fault = Some(fault);
                    ControlFlow::Break(())
                }
            };
        }
        let flow = self.visit.row(&self.key, cell.value);
        self.note(flow)
    }

    /// Remembers the row just visited, if the walk stops or may have to stop after it.
    #[inline]
    fn note(&mut self, flow: ControlFlow<()>) -> ControlFlow<()> {
        self.broken = flow.is_break();
        if self.broken {
            self.last = Some(self.key.clone());
        }
        flow
    }

    fn precedes(&self, a: &[u8], b: &[u8]) -> bool {
        match self.direction {
            Direction::Forward => a < b,
            Direction::Backward => a > b,
        }
    }

    fn own_rows_before(&mut self, bound: &[u8]) -> ControlFlow<()> {
        while let Some(key) = self.own.peek().map(|row| row.0)
            && self.precedes(key, bound)
        {
            self.own_row()?;
        }
        ControlFlow::Continue(())
    }

    fn own_row(&mut self) -> ControlFlow<()> {
        if let Some((key, Change::Put(value))) = self.own.next()
            && self.visit.row(key, value).is_break()
        {
            self.broken = true;
            self.last = Some(key.to_vec());
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn is_beyond(&self, key: &[u8]) -> bool {
        match self.direction {
            Direction::Forward => match &self.range.upper {
                Bound::Included(end) => key > &end[..],
                Bound::Excluded(end) => key >= &end[..],
                Bound::Unbounded => false,
            },
            Direction::Backward => match &self.range.lower {
                Bound::Included(end) => key < &end[..],
                Bound::Excluded(end) => key <= &end[..],
                Bound::Unbounded => false,
            },
        }
    }

    /// Visits the own rows up to where the walk stands, and says where it goes on.
    fn finish(mut self, walk: std::result::Result<Walk, Fault>) -> Finished {
        let result = self.next_position(walk);
        Finished { key: self.key, places: self.places, partial: self.partial, result }
    }

    fn next_position(&mut self, walk: std::result::Result<Walk, Fault>) -> std::result::Result<Next, Fault> {
        let walk = walk?;
        if let Some(last) = self.last.take() {
            return Ok(Next::At(Bound::Excluded(last)));
        }
        if let Some(fault) = self.fault.take() {
            return self.stop_at_fault(fault);
        }
        match walk {
            Walk::At(bound) => {
                let key = match &bound {
                    Bound::Included(key) | Bound::Excluded(key) => key.clone(),
                    Bound::Unbounded => Vec::new(),
                };
                let mut flow = self.own_rows_before(&key);
                // Backwards, a leaf ends with its lower fence, and the next one is looked for below that.
                if flow.is_continue()
                    && self.direction == Direction::Backward
                    && self.own.peek().is_some_and(|own| own.0 == key)
                {
                    flow = self.own_row();
                }
                if flow.is_break()
                    && let Some(last) = self.last.take()
                {
                    return Ok(Next::At(Bound::Excluded(last)));
                }
                let beyond = match (&bound, self.direction) {
                    // Going on at exactly the end of the range finds nothing.
                    (Bound::Included(key), Direction::Forward) => self.is_beyond(key),
                    (Bound::Excluded(key), Direction::Backward) => match &self.range.lower {
                        Bound::Included(end) | Bound::Excluded(end) => key <= end,
                        Bound::Unbounded => false,
                    },
                    _ => false,
                };
                Ok(if beyond { Next::End } else { Next::At(bound) })
            }
            Walk::End => {
                while self.own.peek().is_some() {
                    if self.own_row().is_break()
                        && let Some(last) = self.last.take()
                    {
                        return Ok(Next::At(Bound::Excluded(last)));
                    }
                }
                Ok(Next::End)
            }
        }
    }

    /// A page of a large value is missing: go on right at its row, or, when that is the first one, say so.
    fn stop_at_fault(&mut self, fault: Fault) -> std::result::Result<Next, Fault> {
        let here = match self.direction {
            Direction::Forward => &self.range.lower,
            Direction::Backward => &self.range.upper,
        };
        let at = Bound::Included(std::mem::take(&mut self.key));
        if *here == at { Err(fault) } else { Ok(Next::At(at)) }
    }
}
