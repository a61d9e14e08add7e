//! Join order: a region of joins is taken apart and put together again in the order that costs least.
//!
//! 1. A region is relations, conditions, and *attached* relations: the right sides of LEFT, semi and anti joins. (A RIGHT
//!    join is a LEFT one from the other side; FULL joins and lateral ones end a region.)
//! 2. An attached relation can be joined to any set of relations that has what its condition reads: `(A ⟕ B) ⋈ C` is
//!    `(A ⋈ C) ⟕ B`. Conditions that read it are tested above its join, never in it.
//! 3. Up to [`EXHAUSTIVE_MAX`] relations the best plan of each set of relations is found from those of its parts: dynamic
//!    programming over connected sets, as in Moerkotte and Neumann, "Analysis of two existing and one new dynamic
//!    programming algorithm" (2006). Beyond that the order is found greedily (`greedy_order`).
//! 4. Of the conditions that make the same columns equal (`equal_columns`) each join tests one.
//! 5. Parts that nothing connects are joined only where there is no other way.

use super::cost::Costs;
use super::equal_columns;
use super::estimate;
use super::greedy_order;
use super::index_join;
use super::logical::{ColumnId, JoinKind, Logical};
use super::operators::{Comparison, as_comparison};
use super::relation_set::Set;
use super::selectivity::Scope;
use super::simplify::map_inputs;
use super::{disjunction, walk};
use crate::expr::Expr;
use std::collections::HashMap;

/// Beyond so many relations not all orders are looked at.
const EXHAUSTIVE_MAX: usize = 10;
/// A set of few relations, by bits.
type Few = u64;

/// Reorders all joins of a plan.
pub fn order_joins(plan: Logical, costs: &Costs) -> Logical {
    if !is_region(&plan) {
        let mut other = plan;
        map_inputs(&mut other, &mut |input| order_joins(input, costs));
        return other;
    }
    let mut region = Region::default();
    region.take_apart(plan, costs);
    region.put_together(costs)
}

/// Whether a plan is a join that can be taken apart.
fn is_region(plan: &Logical) -> bool {
    match plan {
        Logical::Join { kind, lateral, .. } => *kind != JoinKind::Full && lateral.is_empty(),
        Logical::Filter { input, predicates } => {
            is_region(input) && !predicates.iter().any(walk::is_volatile)
        }
        _ => false,
    }
}

/// How a relation is attached to others.
pub(super) struct Attached {
    kind: JoinKind,
    on: Vec<Expr>,
    /// The relations that must be there before.
    pub(super) needs: Set,
}

struct Relation {
    plan: Logical,
    columns: Vec<ColumnId>,
    attached: Option<Attached>,
}

#[derive(Default)]
struct Region {
    relations: Vec<Relation>,
    /// The relation that a column is of.
    relation_of: HashMap<ColumnId, usize>,
    conditions: Vec<Expr>,
    /// Of each condition, the class of columns that it makes equal, if there are more of those than two.
    classes: Vec<Option<usize>>,
}

impl Region {
    fn take_apart(&mut self, plan: Logical, costs: &Costs) {
        if !is_region(&plan) {
            return self.add(order_joins(plan, costs), None);
        }
        stacker::maybe_grow(256 << 10, 4 << 20, || self.take_region_apart(plan, costs));
    }

    fn take_region_apart(&mut self, plan: Logical, costs: &Costs) {
        match plan {
            Logical::Filter { input, predicates } => {
                self.take_apart(*input, costs);
                self.conditions.extend(predicates);
            }
            Logical::Join { kind: JoinKind::Inner, left, right, on, .. } => {
                self.take_apart(*left, costs);
                self.take_apart(*right, costs);
                self.conditions.extend(on);
            }
            Logical::Join { kind, left, right, on, .. } => {
                let (kind, left, right) = match kind {
                    JoinKind::Right => (JoinKind::Left, right, left),
                    kind => (kind, left, right),
                };
                let first = self.relations.len();
                self.take_apart(*left, costs);
                let mut whole_left = Set::default();
                (first..self.relations.len()).for_each(|at| whole_left.insert(at));
                let mut read = Set::default();
                on.iter().for_each(|term| read.extend(&self.read_by(term)));
                let needs = if read.is_empty() { whole_left } else { read };
                self.add(order_joins(*right, costs), Some(Attached { kind, on, needs }));
            }
            other => self.add(other, None),
        }
    }

    fn add(&mut self, plan: Logical, attached: Option<Attached>) {
        let columns = plan.outputs();
        for column in &columns {
            self.relation_of.entry(*column).or_insert(self.relations.len());
        }
        self.relations.push(Relation { plan, columns, attached });
    }

    /// The relations that an expression reads.
    fn read_by(&self, expr: &Expr) -> Set {
        let mut set = Set::default();
        walk::columns(expr, &mut |id| {
            if let Some(at) = self.relation_of.get(&id) {
                set.insert(*at);
            }
        });
        set
    }

    /// The part of the pairs that a condition keeps, beyond what was tested on single relations already.
    fn part(&self, condition: &Expr, scope: Scope<'_, '_>) -> f64 {
        let read = self.read_by(condition);
        let tested = read.iter().filter_map(|at| {
            disjunction::implied(condition, &self.relations[at].columns)
                .map(|implied| scope.selectivity(&implied))
        });
        (scope.selectivity(condition) / tested.product::<f64>().max(1e-9)).min(1.0)
    }

    fn put_together(mut self, costs: &Costs) -> Logical {
        // What a join may have filled with NULLs is compared after it.
        let (relations, known) = (&self.relations, &self.relation_of);
        let relation_of = |id| known.get(&id).copied().filter(|at| relations[*at].attached.is_none());
        self.classes = equal_columns::complete(&mut self.conditions, relation_of);
        let best = Search::new(&self, costs).run();
        self.assemble(&best)
    }

    /// The plan of an order.
    fn assemble(self, order: &Order) -> Logical {
        let masks: Vec<Set> = self.conditions.iter().map(|condition| self.read_by(condition)).collect();
        let places = masks.into_iter().zip(self.classes);
        let waiting = |(condition, (read, class))| Some(Waiting { condition, read, class });
        let mut parts = Parts {
            relations: self.relations.into_iter().map(Some).collect(),
            conditions: self.conditions.into_iter().zip(places).map(waiting).collect(),
        };
        let plan = parts.build(order);
        // What reads no relation is tested on the result.
        let rest: Vec<Expr> =
            parts.conditions.into_iter().flatten().map(|waiting| waiting.condition).collect();
        filtered(plan, rest)
    }
}

fn filtered(plan: Logical, predicates: Vec<Expr>) -> Logical {
    if predicates.is_empty() { plan } else { Logical::Filter { input: Box::new(plan), predicates } }
}

/// A tree of joins over relations.
pub(super) enum Order {
    One(usize),
    Join(Box<Order>, Box<Order>),
}

impl Order {
    fn set(&self) -> Set {
        match self {
            Order::One(at) => Set::of(*at),
            Order::Join(left, right) => {
                let mut set = left.set();
                set.extend(&right.set());
                set
            }
        }
    }
}

/// A condition that is not tested yet.
struct Waiting {
    condition: Expr,
    read: Set,
    class: Option<usize>,
}

/// What is left to be put into the plan.
struct Parts {
    relations: Vec<Option<Relation>>,
    conditions: Vec<Option<Waiting>>,
}

impl Parts {
    fn build(&mut self, order: &Order) -> Logical {
        let (left, right) = match order {
            Order::One(at) => {
                let relation = self.relations[*at].take();
                let conditions = self.conditions_of(&order.set());
                let plan = relation.map_or_else(Logical::one_row, |relation| relation.plan);
                return filtered(plan, conditions);
            }
            Order::Join(left, right) => (left, right),
        };
        let attached = match right.as_ref() {
            Order::One(at) => self.relations[*at].as_mut().and_then(|relation| relation.attached.take()),
            Order::Join(..) => None,
        };
        let left = Box::new(self.build(left));
        let Some(Attached { kind, on, .. }) = attached else {
            let right = Box::new(self.build(right));
            let on = self.conditions_of(&order.set());
            return Logical::Join { kind: JoinKind::Inner, left, right, on, lateral: Vec::new() };
        };
        let Order::One(at) = right.as_ref() else { return *left };
        let right = self.relations[*at].take().map_or_else(Logical::one_row, |relation| relation.plan);
        let right = Box::new(right);
        let join = Logical::Join { kind, left, right, on, lateral: Vec::new() };
        // Conditions on what the join may have filled with NULLs come after it.
        let conditions = self.conditions_of(&order.set());
        filtered(join, conditions)
    }

    /// The conditions that can be tested on a set of relations and were not yet.
    fn conditions_of(&mut self, set: &Set) -> Vec<Expr> {
        let (mut ready, mut classes) = (Vec::new(), Vec::new());
        let is_ready = |waiting: &mut Waiting| !waiting.read.is_empty() && waiting.read.is_within(set);
        for waiting in self.conditions.iter_mut().filter_map(|condition| condition.take_if(is_ready)) {
            // Within each side the columns of a class are equal already.
            if waiting.class.is_some_and(|class| classes.contains(&class)) {
                continue;
            }
            classes.extend(waiting.class);
            ready.push(waiting.condition);
        }
        ready
    }
}

/// The best way to join a set of relations.
#[derive(Clone, Copy)]
pub(super) struct Best {
    pub(super) cost: f64,
    pub(super) rows: f64,
    /// The sets that are joined last; `None` for a single relation.
    pub(super) split: Option<(Few, Few)>,
}

/// A condition, as the search sees it.
pub(super) struct Condition {
    pub(super) read: Set,
    pub(super) part: f64,
    pub(super) is_equality: bool,
}

pub(super) struct Search<'r> {
    region: &'r Region,
    pub(super) costs: &'r Costs,
    pub(super) conditions: Vec<Condition>,
    /// The conditions that make the same columns equal, those that keep the fewest rows first.
    classes: Vec<Vec<usize>>,
    /// For attached relations: what the join makes of the number of rows.
    pub(super) factors: Vec<f64>,
    /// The attached relations.
    pub(super) attached: Vec<usize>,
    lookups: Vec<Vec<index_join::Lookup>>,
    pub(super) single: Vec<Best>,
    /// Whether parts that no condition connects may be joined.
    crossing: bool,
}

impl<'r> Search<'r> {
    fn new(region: &'r Region, costs: &'r Costs) -> Search<'r> {
        let plans: Vec<&Logical> = region.relations.iter().map(|relation| &relation.plan).collect();
        let scope = Scope(&plans);
        let conditions = region.conditions.iter().map(|condition| Condition {
            read: region.read_by(condition),
            part: region.part(condition, scope),
            is_equality: is_equality(condition),
        });
        let conditions: Vec<Condition> = conditions.collect();
        let mut classes = vec![Vec::new(); region.classes.iter().flatten().max().map_or(0, |last| last + 1)];
        for (at, class) in region.classes.iter().enumerate() {
            if let Some(class) = class {
                classes[*class].push(at);
            }
        }
        for class in &mut classes {
            class.sort_by(|one, other| conditions[*one].part.total_cmp(&conditions[*other].part));
        }
        let mut search = Search {
            region,
            costs,
            conditions,
            classes,
            factors: Vec::new(),
            attached: Vec::new(),
            lookups: Vec::new(),
            single: Vec::new(),
            crossing: false,
        };
        // Each relation looks for what can search it among the conditions that read it.
        let mut reading: Vec<Vec<Expr>> = vec![Vec::new(); region.relations.len()];
        for (condition, known) in region.conditions.iter().zip(&search.conditions) {
            known.read.iter().for_each(|at| reading[at].push(condition.clone()));
        }
        for (at, relation) in region.relations.iter().enumerate() {
            if crate::watch::is_over() {
                search.single.push(Best { cost: 0.0, rows: 1.0, split: None });
                search.factors.push(1.0);
                search.lookups.push(Vec::new());
                continue;
            }
            if relation.attached.is_some() {
                search.attached.push(at);
            }
            let rows = estimate::rows(&relation.plan);
            let conditions = match &relation.attached {
                Some(attached) => &attached.on,
                None => &reading[at],
            };
            search.factors.push(relation.attached.as_ref().map_or(1.0, |attached| {
                let partners = estimate::partners(attached.kind, &relation.plan, &attached.on);
                factor(attached.kind, partners * scope.conjunction(&attached.on))
            }));
            search.lookups.push(index_join::lookups(&relation.plan, conditions, |expr| region.read_by(expr)));
            let cost = super::cost::of_logical(&relation.plan, costs);
            search.single.push(Best { cost, rows, split: None });
        }
        search
    }

    fn attached(&self, set: Few) -> Option<&'r Attached> {
        if set.count_ones() != 1 {
            return None;
        }
        self.attached_at(set.trailing_zeros() as usize)
    }

    /// How a relation is attached, if it is.
    pub(super) fn attached_at(&self, at: usize) -> Option<&'r Attached> {
        self.region.relations[at].attached.as_ref()
    }

    /// Whether a relation is attached.
    pub(super) fn is_attached(&self, at: usize) -> bool {
        self.region.relations[at].attached.is_some()
    }

    /// The class of columns that a condition makes equal.
    pub(super) fn class_of(&self, condition: usize) -> Option<usize> {
        self.region.classes[condition]
    }

    /// The rows of a set, in whatever order it is joined.
    fn rows(&self, set: Few) -> f64 {
        let mut rows = 1.0;
        for (at, relation) in self.region.relations.iter().enumerate() {
            if set & (1 << at) != 0 {
                rows *= if relation.attached.is_some() { self.factors[at] } else { self.single[at].rows };
            }
        }
        for (condition, class) in self.conditions.iter().zip(&self.region.classes) {
            if condition.read.bits() & !set == 0 && class.is_none() {
                rows *= condition.part;
            }
        }
        rows *= self.classes.iter().map(|class| self.part_of_class(class, set)).product::<f64>();
        rows.max(1.0)
    }

    /// The part of the pairs that a class of equal columns keeps: as many conditions as connect its relations.
    fn part_of_class(&self, class: &[usize], set: Few) -> f64 {
        let mut part = 1.0;
        let mut connected: Vec<Few> = Vec::new();
        for condition in class.iter().map(|at| &self.conditions[*at]) {
            let read = condition.read.bits();
            let follows = connected.iter().any(|known| read & !known == 0);
            if read & !set != 0 || follows {
                continue;
            }
            part *= condition.part;
            let touched = connected.extract_if(.., |known| *known & read != 0);
            let whole = touched.fold(read, |whole, known| whole | known);
            connected.push(whole);
        }
        part
    }

    /// Joining two sets: what it costs, if it is allowed.
    fn join(&self, left: (Few, &Best), right: (Few, &Best), rows: f64) -> Option<f64> {
        let both = left.0 | right.0;
        if self.attached(left.0).is_some() {
            return None;
        }
        let alone = (right.0.count_ones() == 1).then(|| right.0.trailing_zeros() as usize);
        let mut equality = false;
        if alone.is_none_or(|at| !self.is_attached(at)) {
            let mut links = self.conditions.iter().filter(|condition| {
                let read = condition.read.bits();
                read & !both == 0 && read & left.0 != 0 && read & right.0 != 0
            });
            let first = links.next();
            if first.is_none() && !self.crossing {
                return None;
            }
            equality = first.into_iter().chain(links).any(|condition| condition.is_equality);
        }
        self.cost_of((&Set::of_bits(left.0), left.1), (alone, right.1), equality, rows)
    }

    /// What joining two sets costs, by a hash table where an equality connects them; `None` where the right one is a
    /// relation that needs others before. The left one is a set and the right one a relation, if it is one alone.
    pub(super) fn cost_of(
        &self,
        left: (&Set, &Best),
        right: (Option<usize>, &Best),
        equality: bool,
        rows: f64,
    ) -> Option<f64> {
        let below = left.1.cost + right.1.cost;
        let attached = right.0.and_then(|at| self.attached_at(at));
        if attached.is_some_and(|attached| !attached.needs.is_within(left.0)) {
            return None;
        }
        let kind = attached.map_or(JoinKind::Inner, |attached| attached.kind);
        let equality = attached.map_or(equality, |attached| attached.on.iter().any(is_equality));
        let cost = if equality {
            below + self.costs.best_hash_join(kind, left.1.rows, right.1.rows, rows)
        } else {
            below + self.costs.nested_loop(left.1.rows, right.1.rows, rows)
        };
        Some(right.0.map_or(cost, |at| cost.min(self.by_search(left, at, rows))))
    }

    /// What it costs to search a table for each row of a set.
    fn by_search(&self, left: (&Set, &Best), right: usize, rows: f64) -> f64 {
        let each = self.lookups[right].iter().filter(|lookup| lookup.read.is_within(left.0));
        let each = each.map(|lookup| lookup.cost(self.costs, left.1.rows)).fold(f64::INFINITY, f64::min);
        left.1.cost + self.costs.search_loop(left.1.rows, each, rows)
    }

    fn run(mut self) -> Order {
        let count = self.region.relations.len();
        if count <= EXHAUSTIVE_MAX {
            for crossing in [false, true] {
                self.crossing = crossing;
                if let Some(order) = self.exhaustive(count) {
                    return order;
                }
            }
        }
        greedy_order::order(&self, count)
    }

    fn exhaustive(&self, count: usize) -> Option<Order> {
        let all: Few = (1 << count) - 1;
        let mut best: Vec<Option<Best>> = vec![None; 1 << count];
        for (at, single) in self.single.iter().enumerate() {
            best[1 << at] = Some(*single);
        }
        for set in 1..=all {
            if crate::watch::is_over() {
                return None;
            }
            if set.count_ones() < 2 {
                continue;
            }
            let rows = self.rows(set);
            let mut found: Option<Best> = None;
            let mut left = (set - 1) & set;
            while left != 0 {
                let right = set & !left;
                if let (Some(first), Some(second)) = (&best[left as usize], &best[right as usize])
                    && let Some(cost) = self.join((left, first), (right, second), rows)
                {
                    // Among orders that cost the same, the one that was written.
                    let as_written = left & set & set.wrapping_neg() != 0;
                    if found.is_none_or(|found| cost < found.cost || (as_written && cost == found.cost)) {
                        found = Some(Best { cost, rows, split: Some((left, right)) });
                    }
                }
                left = (left - 1) & set;
            }
            best[set as usize] = found;
        }
        fn order(best: &[Option<Best>], set: Few) -> Option<Order> {
            Some(match best[set as usize]?.split {
                None => Order::One(set.trailing_zeros() as usize),
                Some((left, right)) => {
                    Order::Join(Box::new(order(best, left)?), Box::new(order(best, right)?))
                }
            })
        }
        order(&best, all)
    }
}

fn is_equality(condition: &Expr) -> bool {
    matches!(as_comparison(condition), Some((Comparison::Equal, ..)))
}

/// What an attached relation makes of each row, where so many of its rows match on average.
fn factor(kind: JoinKind, matches: f64) -> f64 {
    match kind {
        JoinKind::Semi => matches.min(1.0),
        JoinKind::Anti => (1.0 - matches).max(0.01),
        _ => matches.max(1.0),
    }
}
