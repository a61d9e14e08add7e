//! Join order: a region of joins is taken apart and put together again in the order that costs least.
//!
//! 1. A region is relations, conditions, and *attached* relations: the right sides of LEFT, semi and anti joins. (A RIGHT
//!    join is a LEFT one from the other side; FULL joins and lateral ones end a region.)
//! 2. An attached relation can be joined to any set of relations that has what its condition reads: `(A ⟕ B) ⋈ C` is
//!    `(A ⋈ C) ⟕ B`. Conditions that read it are tested above its join, never in it.
//! 3. Up to [`EXHAUSTIVE_MAX`] relations the best plan of each set of relations is found from those of its parts: dynamic
//!    programming over connected sets, as in Moerkotte and Neumann, "Analysis of two existing and one new dynamic
//!    programming algorithm" (2006). Beyond that the two parts that are cheapest to join are joined, again and again.
//! 4. Of the conditions that make the same columns equal (`equal_columns`) each join tests one.
//! 5. Parts that nothing connects are joined only where there is no other way.

use super::cost::Costs;
use super::equal_columns;
use super::estimate;
use super::index_join;
use super::logical::{ColumnId, JoinKind, Logical};
use super::operators::{Comparison, as_comparison};
use super::selectivity::Scope;
use super::simplify::map_inputs;
use super::{disjunction, walk};
use crate::expr::Expr;

/// Beyond so many relations not all orders are looked at.
const EXHAUSTIVE_MAX: usize = 10;
/// A region has no more relations than a set has bits.
const RELATIONS_MAX: usize = 60;

/// A set of relations, by bits.
type Set = u64;

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
struct Attached {
    kind: JoinKind,
    on: Vec<Expr>,
    /// The relations that must be there before.
    needs: Set,
}

struct Relation {
    plan: Logical,
    columns: Vec<ColumnId>,
    attached: Option<Attached>,
}

#[derive(Default)]
struct Region {
    relations: Vec<Relation>,
    conditions: Vec<Expr>,
    /// Of each condition, the class of columns that it makes equal, if there are more of those than two.
    classes: Vec<Option<usize>>,
}

impl Region {
    fn take_apart(&mut self, plan: Logical, costs: &Costs) {
        if !is_region(&plan) || self.relations.len() >= RELATIONS_MAX / 2 {
            let mut plan = plan;
            if is_region(&plan) {
                map_inputs(&mut plan, &mut |input| order_joins(input, costs));
                return self.add(plan, None);
            }
            return self.add(order_joins(plan, costs), None);
        }
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
                let whole_left = (first..self.relations.len()).fold(0, |set, at| set | (1 << at));
                let read = on.iter().fold(0, |set, term| set | self.read_by(term));
                let needs = if read == 0 { whole_left } else { read };
                self.add(order_joins(*right, costs), Some(Attached { kind, on, needs }));
            }
            other => self.add(other, None),
        }
    }

    fn add(&mut self, plan: Logical, attached: Option<Attached>) {
        let columns = plan.outputs();
        self.relations.push(Relation { plan, columns, attached });
    }

    /// The relations that an expression reads.
    fn read_by(&self, expr: &Expr) -> Set {
        let mut set = 0;
        walk::columns(expr, &mut |id| {
            if let Some(at) = self.relations.iter().position(|relation| relation.columns.contains(&id)) {
                set |= 1 << at;
            }
        });
        set
    }

    /// The part of the pairs that a condition keeps, beyond what was tested on single relations already.
    fn part(&self, condition: &Expr, scope: Scope<'_, '_>) -> f64 {
        let tested = self.relations.iter().filter_map(|relation| {
            disjunction::implied(condition, &relation.columns).map(|implied| scope.selectivity(&implied))
        });
        (scope.selectivity(condition) / tested.product::<f64>().max(1e-9)).min(1.0)
    }

    fn put_together(mut self, costs: &Costs) -> Logical {
        // What a join may have filled with NULLs is compared after it.
        let is_own = |relation: &Relation, id| relation.attached.is_none() && relation.columns.contains(&id);
        let relations = &self.relations;
        let relation_of = |id| relations.iter().position(|relation| is_own(relation, id));
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
enum Order {
    One(usize),
    Join(Box<Order>, Box<Order>),
}

impl Order {
    fn set(&self) -> Set {
        match self {
            Order::One(at) => 1 << at,
            Order::Join(left, right) => left.set() | right.set(),
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
                let conditions = self.conditions_of(order.set());
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
            let on = self.conditions_of(order.set());
            return Logical::Join { kind: JoinKind::Inner, left, right, on, lateral: Vec::new() };
        };
        let Order::One(at) = right.as_ref() else { return *left };
        let right = self.relations[*at].take().map_or_else(Logical::one_row, |relation| relation.plan);
        let right = Box::new(right);
        let join = Logical::Join { kind, left, right, on, lateral: Vec::new() };
        // Conditions on what the join may have filled with NULLs come after it.
        let conditions = self.conditions_of(order.set());
        filtered(join, conditions)
    }

    /// The conditions that can be tested on a set of relations and were not yet.
    fn conditions_of(&mut self, set: Set) -> Vec<Expr> {
        let (mut ready, mut classes) = (Vec::new(), Vec::new());
        let is_ready = |waiting: &mut Waiting| waiting.read != 0 && waiting.read & !set == 0;
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
struct Best {
    cost: f64,
    rows: f64,
    /// The sets that are joined last; `None` for a single relation.
    split: Option<(Set, Set)>,
}

/// A condition, as the search sees it.
struct Condition {
    read: Set,
    part: f64,
    is_equality: bool,
}

struct Search<'r> {
    region: &'r Region,
    costs: &'r Costs,
    conditions: Vec<Condition>,
    /// The conditions that make the same columns equal, those that keep the fewest rows first.
    classes: Vec<Vec<usize>>,
    /// For attached relations: what the join makes of the number of rows.
    factors: Vec<f64>,
    lookups: Vec<Vec<index_join::Lookup>>,
    single: Vec<Best>,
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
            lookups: Vec::new(),
            single: Vec::new(),
            crossing: false,
        };
        for relation in &region.relations {
            let rows = estimate::rows(&relation.plan);
            let conditions = match &relation.attached {
                Some(attached) => &attached.on,
                None => &region.conditions,
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

    fn attached(&self, set: Set) -> Option<&'r Attached> {
        if set.count_ones() != 1 {
            return None;
        }
        self.region.relations[set.trailing_zeros() as usize].attached.as_ref()
    }

    /// The rows of a set, in whatever order it is joined.
    fn rows(&self, set: Set) -> f64 {
        let mut rows = 1.0;
        for (at, relation) in self.region.relations.iter().enumerate() {
            if set & (1 << at) != 0 {
                rows *= if relation.attached.is_some() { self.factors[at] } else { self.single[at].rows };
            }
        }
        for (condition, class) in self.conditions.iter().zip(&self.region.classes) {
            if condition.read & !set == 0 && class.is_none() {
                rows *= condition.part;
            }
        }
        rows *= self.classes.iter().map(|class| self.part_of_class(class, set)).product::<f64>();
        rows.max(1.0)
    }

    /// The part of the pairs that a class of equal columns keeps: as many conditions as connect its relations.
    fn part_of_class(&self, class: &[usize], set: Set) -> f64 {
        let mut part = 1.0;
        let mut connected: Vec<Set> = Vec::new();
        for condition in class.iter().map(|at| &self.conditions[*at]) {
            let follows = connected.iter().any(|known| condition.read & !known == 0);
            if condition.read & !set != 0 || follows {
                continue;
            }
            part *= condition.part;
            let touched = connected.extract_if(.., |known| *known & condition.read != 0);
            let whole = touched.fold(condition.read, |whole, known| whole | known);
            connected.push(whole);
        }
        part
    }

    /// Joining two sets: what it costs, if it is allowed.
    fn join(&self, left: (Set, &Best), right: (Set, &Best), rows: f64) -> Option<f64> {
        let both = left.0 | right.0;
        if self.attached(left.0).is_some() {
            return None;
        }
        let below = left.1.cost + right.1.cost;
        if let Some(attached) = self.attached(right.0) {
            if attached.needs & !left.0 != 0 {
                return None;
            }
            let cost = if attached.on.iter().any(is_equality) {
                below + self.costs.best_hash_join(attached.kind, left.1.rows, right.1.rows, rows)
            } else {
                below + self.costs.nested_loop(left.1.rows, right.1.rows, rows)
            };
            return Some(cost.min(self.by_search(left, right.0, rows)));
        }
        let mut links = self.conditions.iter().filter(|condition| {
            condition.read & !both == 0 && condition.read & left.0 != 0 && condition.read & right.0 != 0
        });
        let first = links.next();
        if first.is_none() && !self.crossing {
            return None;
        }
        let equality = first.into_iter().chain(links).any(|condition| condition.is_equality);
        let cost = if equality {
            below + self.costs.best_hash_join(JoinKind::Inner, left.1.rows, right.1.rows, rows)
        } else {
            below + self.costs.nested_loop(left.1.rows, right.1.rows, rows)
        };
        Some(cost.min(self.by_search(left, right.0, rows)))
    }

    /// What it costs to search a table for each row of a set.
    fn by_search(&self, left: (Set, &Best), right: Set, rows: f64) -> f64 {
        if right.count_ones() != 1 {
            return f64::INFINITY;
        }
        let lookups = &self.lookups[right.trailing_zeros() as usize];
        let each = lookups.iter().filter(|lookup| lookup.read & !left.0 == 0);
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
        self.greedy(count)
    }

    fn exhaustive(&self, count: usize) -> Option<Order> {
        let all: Set = (1 << count) - 1;
        let mut best: Vec<Option<Best>> = vec![None; 1 << count];
        for (at, single) in self.single.iter().enumerate() {
            best[1 << at] = Some(*single);
        }
        for set in 1..=all {
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
        fn order(best: &[Option<Best>], set: Set) -> Option<Order> {
            Some(match best[set as usize]?.split {
                None => Order::One(set.trailing_zeros() as usize),
                Some((left, right)) => {
                    Order::Join(Box::new(order(best, left)?), Box::new(order(best, right)?))
                }
            })
        }
        order(&best, all)
    }

    fn greedy(&mut self, count: usize) -> Order {
        let mut parts: Vec<(Order, Set, Best)> =
            (0..count).map(|at| (Order::One(at), 1 << at, self.single[at])).collect();
        while parts.len() > 1 {
            let mut found: Option<(usize, usize, Best)> = None;
            for first in 0..parts.len() {
                for second in (0..parts.len()).filter(|second| *second != first) {
                    let (left, right) = (&parts[first], &parts[second]);
                    let rows = self.rows(left.1 | right.1);
                    let Some(cost) = self.join((left.1, &left.2), (right.1, &right.2), rows) else {
                        continue;
                    };
                    // What a join adds: its own cost, and the rows that it gives to those above.
                    let added = cost - left.2.cost - right.2.cost + rows * self.costs.cpu_tuple;
                    let before = |best: &Best| best.cost;
                    if found.as_ref().is_none_or(|(.., best)| added < before(best)) {
                        found = Some((first, second, Best { cost: added, rows, split: None }));
                    }
                }
            }
            let Some((first, second, best)) = found else {
                // Nothing connects what is left.
                self.crossing = true;
                continue;
            };
            let right = parts.remove(second);
            let left = parts.remove(if second < first { first - 1 } else { first });
            let set = left.1 | right.1;
            let cost = left.2.cost + right.2.cost + best.cost;
            parts.push((
                Order::Join(Box::new(left.0), Box::new(right.0)),
                set,
                Best { cost, rows: best.rows, split: None },
            ));
        }
        parts.pop().map_or(Order::One(0), |part| part.0)
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
