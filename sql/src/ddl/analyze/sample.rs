//! A sample of a table's rows, of bounded size and cost.
//!
//! 1. A few descents by chance tell how many leaves the table has, about.
//! 2. A table of few leaves is read whole, and its rows are drawn as they come by (Vitter's algorithm R, "Random
//!    sampling with a reservoir", 1985); how many rows it has is exact then.
//! 3. Of a larger one leaves are drawn. A leaf is met with a chance that depends on how full the nodes above it are:
//!    each is kept with a chance the other way round, so that all are equally likely. Of every leaf some rows are drawn.
//!
//! The draws depend on the table alone, so that the same rows give the same statistics.

use std::ops::{Bound, ControlFlow};

use helios_mvcc::{KeyRange, RandomLeaf, ScanStep};

use crate::catalog::Table;
use crate::error::Result;
use crate::execute::Execution;

/// PostgreSQL's: 300 rows for each of 100 histogram bounds.
pub const ROWS_MAX: usize = 30_000;
/// A sample that is larger than this is not drawn on.
const BYTES_MAX: usize = 64 << 20;
/// A table of more leaves is not read whole.
const LEAVES_MAX: f64 = 3_000.0;
/// Descents that tell how many leaves there are.
const PROBES: usize = 16;

/// Rows of a table, in its order.
pub struct Sample {
    pub rows: Vec<Vec<u8>>,
    /// The table's rows, exactly or about.
    pub total: f64,
    /// What all rows take, about.
    pub bytes: f64,
}

/// A generator of numbers that look random (splitmix64).
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % (bound.max(1) as u64)).unwrap_or(0)
    }

    /// Between 0 and 1.
    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Draws a sample.
///
/// # Errors
/// Those of reading pages.
pub async fn take(execution: &Execution, table: &Table) -> Result<Sample> {
    let mut draws = Draws(u64::from(table.oid));
    let mut leaves = Vec::new();
    for _ in 0..PROBES {
        leaves.push(random_leaf(execution, table, &mut draws).await?);
    }
    let count = leaves.iter().map(|leaf| leaf.ways).sum::<f64>() / PROBES as f64;
    // Rows that nobody else sees yet are in no leaf.
    if count <= LEAVES_MAX || execution.transaction.has_writes() {
        return whole(execution, table, &mut draws).await;
    }
    parts(execution, table, leaves, &mut draws).await
}

async fn random_leaf(execution: &Execution, table: &Table, draws: &mut Draws) -> Result<RandomLeaf> {
    loop {
        match execution.transaction.try_random_leaf(table.tree, &mut |count| draws.below(count)) {
            Ok(leaf) => return Ok(leaf),
            Err(fault) => execution.environment.store.resolve(fault).await?,
        }
    }
}

async fn whole(execution: &Execution, table: &Table, draws: &mut Draws) -> Result<Sample> {
    let mut drawn: Vec<(usize, Vec<u8>)> = Vec::new();
    let (mut seen, mut held, mut bytes) = (0, 0, 0usize);
    let mut scan = execution.transaction.scan(table.tree, KeyRange::all(), false);
    loop {
        let step = scan
            .next(&execution.transaction, &mut |key, value| {
                bytes += key.len() + value.len();
                let place =
                    if seen < ROWS_MAX && held < BYTES_MAX { drawn.len() } else { draws.below(seen + 1) };
                if place == drawn.len() {
                    held += value.len();
                    drawn.push((seen, value.to_vec()));
                } else if let Some(old) = drawn.get_mut(place) {
                    held = held + value.len() - old.1.len();
                    *old = (seen, value.to_vec());
                }
                seen += 1;
                ControlFlow::Continue(())
            })
            .await?;
        execution.check_cancel()?;
        if step == ScanStep::Done {
            break;
        }
    }
    drawn.sort_by_key(|row| row.0);
    let rows = drawn.into_iter().map(|row| row.1).collect();
    Ok(Sample { rows, total: seen as f64, bytes: bytes as f64 })
}

async fn parts(
    execution: &Execution,
    table: &Table,
    mut leaves: Vec<RandomLeaf>,
    draws: &mut Draws,
) -> Result<Sample> {
    while leaves.len() < LEAVES_MAX as usize {
        execution.check_cancel()?;
        leaves.push(random_leaf(execution, table, draws).await?);
    }
    let total = leaves.iter().map(|leaf| leaf.ways * leaf.rows as f64).sum::<f64>() / leaves.len() as f64;
    let most = leaves.iter().map(|leaf| leaf.ways).fold(1.0, f64::max);
    leaves.retain(|leaf| draws.fraction() < leaf.ways / most);
    leaves.sort_by(|left, right| left.lower.cmp(&right.lower));
    leaves.dedup_by(|left, right| left.lower == right.lower);
    let within = leaves.iter().map(|leaf| leaf.rows).sum::<usize>().max(1);
    let chance = ROWS_MAX as f64 / within as f64;
    let (mut rows, mut seen, mut bytes) = (Vec::new(), 0usize, 0usize);
    for leaf in leaves {
        execution.check_cancel()?;
        let upper = leaf.upper.map_or(Bound::Unbounded, Bound::Excluded);
        let range = KeyRange { lower: Bound::Included(leaf.lower), upper };
        let mut scan = execution.transaction.scan(table.tree, range, false);
        while scan
            .next(&execution.transaction, &mut |key, value| {
                seen += 1;
                bytes += key.len() + value.len();
                if draws.fraction() < chance && bytes < BYTES_MAX {
                    rows.push(value.to_vec());
                }
                ControlFlow::Continue(())
            })
            .await?
            == ScanStep::More
        {}
    }
    let total = total.max(seen as f64).round();
    Ok(Sample { rows, total, bytes: bytes as f64 / seen.max(1) as f64 * total })
}
