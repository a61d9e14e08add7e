//! Several searches of one table together: the rows that any of them finds, or all of them.
//!
//! 1. The terms of a conjunction can be searched for by each index that they bound, and by each disjunction among them of
//!    which every arm — a conjunction itself — can be searched for. An arm may use what holds beside the disjunction.
//! 2. Where terms can be searched for in several ways that share no term, those are put together as long as that makes all
//!    cheaper: the rows that a further search leaves out must be worth more than its entries.
//! 3. All filters stay: they are tested on the rows found, so a search may find more than it was asked for.

use super::access::{self, Candidate, Sides};
use super::cost::{self, Costs, FoundKeys};
use super::estimate;
use super::logical::{ColumnId, Logical};
use super::physical::{Combination, KeySearch, KeySet};
use super::selectivity::Scope;
use super::{special_index, walk};
use crate::catalog::{ColumnNumber, TableEntry};
use crate::expr::Expr;

/// So many ways to search for a conjunction are tried to begin with.
const BEGINNINGS_MAX: usize = 8;

/// Where one search finds no more rows, no other is worth asking.
const FEW_ROWS: f64 = 3.0;

/// A combination of searches, with what it costs to find the keys, and to read the rows.
pub struct Combined {
    pub combination: Combination,
    pub gathering: f64,
    pub reading: f64,
}

/// A way to find the rows that satisfy some terms.
#[derive(Clone)]
struct Way {
    set: KeySet,
    found: FoundKeys,
    /// The terms that it goes by, by position, and those of them that it says all of.
    used: Vec<usize>,
    said: Vec<usize>,
}

/// The cheapest combination of searches for a table's rows, beside single ones; `candidates` are those that its filters bound.
#[must_use]
pub fn cheapest(plan: &Logical, candidates: &[Candidate], costs: &Costs) -> Option<Combined> {
    let Logical::Table { table: entry, columns, filters, key, .. } = plan else { return None };
    let has_arms = filters.iter().any(|filter| matches!(filter, Expr::Or(_)));
    let is_single = candidates.len() < 2 && costs.enable_indexscan;
    if !has_arms && (is_single || candidates.is_empty()) {
        return None;
    }
    let search = Search { plan, entry, columns, key: *key, costs, filters: cost::tests(filters) };
    let found = candidates.iter().map(|candidate| (candidate, search.found(candidate, filters)));
    let found: Vec<(&Candidate, FoundKeys)> = found.collect();
    let is_little = |found: FoundKeys| found.rows.all() <= FEW_ROWS;
    if !has_arms && costs.enable_indexscan && found.iter().any(|(_, found)| is_little(*found)) {
        return None;
    }
    let ways =
        found.into_iter().filter_map(|(candidate, found)| search.by_candidate(candidate, found, filters));
    let mut ways: Vec<Way> = ways.collect();
    ways.extend(search.by_arms(filters, &[]));
    let best = search.cheapest(&ways)?;
    // A search alone reads its rows as it finds them.
    if matches!(best.set, KeySet::Search(_)) && costs.enable_indexscan {
        return None;
    }
    let reading = costs.rows_by_key(entry, best.found.rows, cost::tests(filters));
    let combination = Combination { set: best.set, said: best.said };
    Some(Combined { combination, gathering: best.found.cost, reading })
}

/// A table that is to be searched.
struct Search<'p> {
    plan: &'p Logical,
    entry: &'p TableEntry,
    columns: &'p [(ColumnId, ColumnNumber)],
    key: Option<ColumnId>,
    costs: &'p Costs,
    /// How many conditions are tested on each row.
    filters: usize,
}

impl Search<'_> {
    /// What a search finds that some terms bound.
    fn found(&self, candidate: &Candidate, terms: &[Expr]) -> FoundKeys {
        let part = Scope(&[self.plan]).conjunction(candidate.filters.iter().map(|at| &terms[*at]));
        let rows = (estimate::table_rows(self.entry) * part).max(1.0);
        let by_index = candidate.access.index_tree.is_some();
        self.costs.key_search(self.entry, by_index, rows, candidate.ranges)
    }

    fn by_candidate(&self, candidate: &Candidate, found: FoundKeys, terms: &[Expr]) -> Option<Way> {
        if candidate.access.by_place {
            return None;
        }
        let (access, rows) = (candidate.access.clone(), found.rows.all());
        let bounding: Vec<Expr> = candidate.bounding.iter().map(|at| terms[*at].clone()).collect();
        let mut conditions = special_index::over_row(&bounding, self.columns);
        for term in &candidate.predicate {
            if !conditions.iter().any(|condition| walk::same(condition, term)) {
                conditions.push(term.clone());
            }
        }
        let search = KeySearch { access, conditions, rows };
        Some(Way {
            set: KeySet::Search(Box::new(search)),
            found,
            used: candidate.filters.clone(),
            said: candidate.said.clone(),
        })
    }

    /// The ways to search for the disjunctions among terms, beside which `others` hold.
    fn by_arms(&self, terms: &[Expr], others: &[Expr]) -> Vec<Way> {
        let is_disjunction = |term: &&Expr| matches!(term, Expr::Or(_));
        if !terms.iter().any(|term| is_disjunction(&term)) {
            return Vec::new();
        }
        // Those with their positions: others come behind the terms.
        let others = others.iter().enumerate().map(|(at, other)| (terms.len() + at, other));
        let beside = terms.iter().enumerate().filter(|(_, term)| !is_disjunction(term)).chain(others);
        let (places, beside): (Vec<usize>, Vec<Expr>) = beside.map(|(at, term)| (at, term.clone())).unzip();
        let disjunctions = terms.iter().enumerate().filter_map(|(at, term)| match term {
            Expr::Or(arms) => Some((at, arms.as_slice())),
            _ => None,
        });
        let way = |(at, arms)| self.by_disjunction(at, arms, &places, &beside);
        disjunctions.filter_map(way).collect()
    }

    /// A way to search for the disjunction at a position; `places` are those of the terms beside it.
    fn by_disjunction(&self, at: usize, arms: &[Expr], places: &[usize], beside: &[Expr]) -> Option<Way> {
        let table_rows = estimate::table_rows(self.entry);
        let mut used = vec![at];
        let (mut sets, mut found, mut is_said) = (Vec::with_capacity(arms.len()), FoundKeys::default(), true);
        for arm in arms {
            let own = match arm {
                Expr::And(terms) => terms.as_slice(),
                other => std::slice::from_ref(other),
            };
            let way = self.by_conjunction(own, beside)?;
            found.cost += way.found.cost;
            found.rows = found.rows.or(way.found.rows, table_rows);
            is_said &= (0..own.len()).all(|at| way.said.contains(&at));
            used.extend(way.used.iter().filter_map(|at| places.get(at.checked_sub(own.len())?)));
            sets.push(way.set);
        }
        let said = if is_said { vec![at] } else { Vec::new() };
        Some(Way { set: KeySet::Any(sets), found, used, said })
    }

    /// The cheapest way to search for an arm's own terms, beside which others hold.
    fn by_conjunction(&self, own: &[Expr], beside: &[Expr]) -> Option<Way> {
        let terms: Vec<Expr> = own.iter().chain(beside).cloned().collect();
        let sides = Sides::new(self.columns, self.key);
        let bounds = access::bounds(sides, &self.entry.table, &terms);
        let lists = access::lists(sides, &self.entry.table, &terms);
        let candidates = access::candidates(self.entry, self.columns, &terms, &bounds, &lists);
        let goes_by_own = |candidate: &&Candidate| {
            candidate.is_promising(self.entry) && candidate.filters.iter().any(|at| *at < own.len())
        };
        let mut ways: Vec<Way> = candidates
            .iter()
            .filter(goes_by_own)
            .filter_map(|candidate| self.by_candidate(candidate, self.found(candidate, &terms), &terms))
            .collect();
        ways.extend(self.by_arms(own, beside));
        self.cheapest(&ways)
    }

    /// What finding the keys and reading their rows costs.
    fn total(&self, found: FoundKeys) -> f64 {
        found.cost + self.costs.rows_by_key(self.entry, found.rows, self.filters)
    }

    /// The cheapest of some ways, or of some together.
    fn cheapest(&self, ways: &[Way]) -> Option<Way> {
        let mut by_cost: Vec<&Way> = ways.iter().collect();
        by_cost.sort_by(|first, second| self.total(first.found).total_cmp(&self.total(second.found)));
        let beginnings = by_cost.iter().take(BEGINNINGS_MAX).enumerate();
        let together = beginnings.map(|(at, begin)| self.joined(begin, &by_cost[at + 1..]));
        together.min_by(|first, second| self.total(first.0).total_cmp(&self.total(second.0))).map(
            |(found, mut ways)| {
                if let [way] = ways.as_slice() {
                    return (*way).clone();
                }
                // What costs least is looked at first: the others need only have what it has.
                ways.sort_by(|first, second| first.found.cost.total_cmp(&second.found.cost));
                let of = |terms: fn(&Way) -> &Vec<usize>| {
                    ways.iter().flat_map(|way| terms(way)).copied().collect()
                };
                Way {
                    set: KeySet::All(ways.iter().map(|way| way.set.clone()).collect()),
                    found,
                    used: of(|way| &way.used),
                    said: of(|way| &way.said),
                }
            },
        )
    }

    /// A way with those others that make it cheaper.
    fn joined<'w>(&self, begin: &'w Way, others: &[&'w Way]) -> (FoundKeys, Vec<&'w Way>) {
        let table_rows = estimate::table_rows(self.entry);
        let (mut found, mut ways) = (begin.found, vec![begin]);
        for other in others {
            let is_new = |term: &usize| !ways.iter().any(|way| way.used.contains(term));
            if !other.used.iter().all(is_new) {
                continue;
            }
            let both = FoundKeys {
                cost: found.cost + other.found.cost,
                rows: found.rows.and(other.found.rows, table_rows),
            };
            if self.total(both) < self.total(found) {
                found = both;
                ways.push(other);
            }
        }
        (found, ways)
    }
}
