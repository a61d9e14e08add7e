//! The order of many joins: the two parts that are cheapest to join are joined, again and again.
//!
//! 1. Each part knows its rows and its cost; each pair of parts that something connects knows its *link*: what part of the
//!    pairs its conditions keep, and whether one is an equality.
//! 2. Pairs wait in a heap, the cheapest first. Joining two makes a new part with a new number, whose links are those of
//!    both put together; pairs of parts that are no more are passed over when they come up.
//! 3. Where no pair is left, parts that nothing connects may be joined too.
//!
//! So it takes time like the number of pairs, and not like that of pairs for every step.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use super::join_order::{Best, Order, Search};
use super::relation_set::Set;

/// Relations that are joined already.
struct Part {
    order: Order,
    set: Set,
    best: Best,
    /// Its rows, before they are rounded up to one.
    product: f64,
    /// The relation, if it is an attached one.
    attached: Option<usize>,
    /// By the other part's number.
    links: BTreeMap<usize, Link>,
}

/// What connects two parts.
#[derive(Clone, Default)]
struct Link {
    conditions: Vec<usize>,
}

/// Two parts that may be joined.
struct Pair {
    /// What the join adds to the cost.
    added: f64,
    rows: f64,
    product: f64,
    left: usize,
    right: usize,
}

impl Ord for Pair {
    /// The cheapest is the greatest; among equals the one that comes first.
    fn cmp(&self, other: &Pair) -> Ordering {
        let places = |pair: &Pair| (pair.left, pair.right);
        other.added.total_cmp(&self.added).then_with(|| places(other).cmp(&places(self)))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Pair) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Pair) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Pair {}

/// The search.
struct Greedy<'s, 'r> {
    search: &'s Search<'r>,
    /// By number; those that were joined to others are gone.
    parts: Vec<Option<Part>>,
    /// The part of each relation.
    part_of: Vec<usize>,
    /// The conditions that read more than two parts.
    wide: Vec<usize>,
    pairs: BinaryHeap<Pair>,
    crossing: bool,
}

/// The order of a region's joins.
pub(super) fn order(search: &Search<'_>, count: usize) -> Order {
    let mut greedy = Greedy {
        search,
        parts: Vec::with_capacity(2 * count),
        part_of: (0..count).collect(),
        wide: Vec::new(),
        pairs: BinaryHeap::new(),
        crossing: false,
    };
    greedy.begin(count);
    let mut left = count;
    while left > 1 {
        if crate::watch::is_over() {
            return greedy.give_up();
        }
        match greedy.pairs.pop() {
            Some(pair) if greedy.is_there(pair.left) && greedy.is_there(pair.right) => {
                greedy.join(&pair);
                left -= 1;
            }
            Some(_) => {}
            None if greedy.crossing => return greedy.give_up(),
            None => {
                greedy.crossing = true;
                let all: Vec<usize> = greedy.numbers().collect();
                for (at, part) in all.iter().enumerate() {
                    all[at + 1..].iter().for_each(|other| greedy.offer(*part, *other));
                }
            }
        }
    }
    greedy.give_up()
}

impl Greedy<'_, '_> {
    fn begin(&mut self, count: usize) {
        for at in 0..count {
            let (best, factor) = (self.search.single[at], self.search.factors[at]);
            let is_attached = self.search.is_attached(at);
            self.parts.push(Some(Part {
                order: Order::One(at),
                set: Set::of(at),
                best,
                product: if is_attached { factor } else { best.rows },
                attached: is_attached.then_some(at),
                links: BTreeMap::new(),
            }));
        }
        for condition in 0..self.search.conditions.len() {
            self.place(condition);
        }
        for part in 0..count {
            let links = self.parts[part].as_ref().map(|part| part.links.keys().copied().collect());
            let links: Vec<usize> = links.unwrap_or_default();
            for other in links.into_iter().filter(|other| *other > part) {
                self.offer(part, other);
            }
        }
        for at in 0..count {
            self.offer_attached(at);
        }
    }

    fn is_there(&self, part: usize) -> bool {
        self.parts[part].is_some()
    }

    fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.parts.len()).filter(|part| self.is_there(*part))
    }

    /// Notes a condition with the two parts that it connects; with none, if it reads more.
    fn place(&mut self, condition: usize) {
        let mut read: Vec<usize> =
            self.search.conditions[condition].read.iter().map(|at| self.part_of[at]).collect();
        read.sort_unstable();
        read.dedup();
        match read[..] {
            [first, second] => {
                for (part, other) in [(first, second), (second, first)] {
                    if let Some(part) = &mut self.parts[part] {
                        part.links.entry(other).or_default().conditions.push(condition);
                    }
                }
            }
            [only] => {
                if let Some(part) = &mut self.parts[only] {
                    part.product *= self.search.conditions[condition].part;
                }
            }
            [] => {}
            _ => self.wide.push(condition),
        }
    }

    /// The part of the pairs that a link keeps: of conditions that make the same columns equal one counts.
    fn part_kept(&self, link: &Link) -> f64 {
        let mut classes: BTreeMap<usize, f64> = BTreeMap::new();
        let mut kept = 1.0;
        for at in &link.conditions {
            let part = self.search.conditions[*at].part;
            match self.search.class_of(*at) {
                Some(class) => {
                    let known = classes.entry(class).or_insert(part);
                    *known = known.min(part);
                }
                None => kept *= part,
            }
        }
        kept * classes.values().product::<f64>()
    }

    /// Offers two parts to be joined, if they may be: either way round.
    fn offer(&mut self, one: usize, other: usize) {
        for (left, right) in [(one, other), (other, one)] {
            if let Some(pair) = self.pair(left, right) {
                self.pairs.push(pair);
            }
        }
    }

    fn pair(&self, left: usize, right: usize) -> Option<Pair> {
        let (first, second) = (self.parts[left].as_ref()?, self.parts[right].as_ref()?);
        let none = Link::default();
        let link = first.links.get(&right).unwrap_or(&none);
        let product = first.product * second.product * self.part_kept(link);
        let rows = product.max(1.0);
        let connected = !link.conditions.is_empty();
        if first.attached.is_some() || (second.attached.is_none() && !connected && !self.crossing) {
            return None;
        }
        let equality = link.conditions.iter().any(|at| self.search.conditions[*at].is_equality);
        let right_one = match &second.order {
            Order::One(at) => Some(*at),
            Order::Join(..) => None,
        };
        let sides = ((&first.set, &first.best), (right_one, &second.best));
        let cost = self.search.cost_of(sides.0, sides.1, equality, rows)?;
        // What a join adds: its own cost, and the rows that it gives to those above.
        let added = cost - first.best.cost - second.best.cost + rows * self.search.costs.cpu_tuple;
        Some(Pair { added, rows, product, left, right })
    }

    /// Offers an attached relation to the part that has what it needs, if one has.
    fn offer_attached(&mut self, at: usize) {
        let Some(attached) = self.search.attached_at(at) else { return };
        let Some(first) = attached.needs.iter().next() else { return };
        let part = self.part_of[first];
        if let Some(pair) = self.pair(part, self.part_of[at]) {
            self.pairs.push(pair);
        }
    }

    fn join(&mut self, pair: &Pair) {
        let (Some(left), Some(right)) = (self.parts[pair.left].take(), self.parts[pair.right].take()) else {
            return;
        };
        let number = self.parts.len();
        let mut set = left.set;
        set.extend(&right.set);
        set.iter().for_each(|at| self.part_of[at] = number);
        let cost = left.best.cost + right.best.cost + pair.added;
        let order = Order::Join(Box::new(left.order), Box::new(right.order));
        let mut links: BTreeMap<usize, Link> = BTreeMap::new();
        for (other, link) in left.links.into_iter().chain(right.links) {
            if other != pair.left && other != pair.right {
                links.entry(other).or_default().conditions.extend(link.conditions);
            }
        }
        for (other, link) in &links {
            if let Some(part) = &mut self.parts[*other] {
                part.links.remove(&pair.left);
                part.links.remove(&pair.right);
                part.links.insert(number, link.clone());
            }
        }
        let best = Best { cost, rows: pair.rows, split: None };
        self.parts.push(Some(Part { order, set, best, product: pair.product, attached: None, links }));
        for condition in std::mem::take(&mut self.wide) {
            self.place(condition);
        }
        let others: Vec<usize> = match (self.crossing, &self.parts[number]) {
            (false, Some(part)) => part.links.keys().copied().collect(),
            _ => self.numbers().filter(|other| *other != number).collect(),
        };
        others.into_iter().for_each(|other| self.offer(number, other));
        if !self.crossing {
            for at in 0..self.search.attached.len() {
                let relation = self.search.attached[at];
                let is_alone =
                    matches!(&self.parts[self.part_of[relation]], Some(part) if part.attached.is_some());
                if is_alone {
                    self.offer_attached(relation);
                }
            }
        }
    }

    /// What there is, joined as it comes: attached relations behind the others.
    fn give_up(mut self) -> Order {
        let mut parts: Vec<Part> = std::mem::take(&mut self.parts).into_iter().flatten().collect();
        parts.sort_by_key(|part| part.attached);
        let joined = |left: Order, right: Order| Order::Join(Box::new(left), Box::new(right));
        parts.into_iter().map(|part| part.order).reduce(joined).unwrap_or(Order::One(0))
    }
}
