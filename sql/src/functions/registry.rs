//! The table of built-in functions, operators, casts and aggregates, built once.

use super::{
    Aggregate, AggregateState, CallTypes, Cast, CastContext, CastMethod, Function, Kernel, RowsKernel,
    ScalarKernel, TypedKernel, VectorKernel, Volatility,
};
use crate::types::Oid;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// An operator: its operand types (left 0 for a prefix operator) and the function behind it.
#[derive(Clone)]
pub struct Operator {
    pub name: &'static str,
    pub left: Oid,
    pub right: Oid,
    pub function: Arc<Function>,
}

/// Everything callable that is built in.
#[derive(Default)]
pub struct Registry {
    functions: HashMap<String, Vec<Arc<Function>>>,
    operators: HashMap<&'static str, Vec<Operator>>,
    casts: HashMap<(Oid, Oid), Cast>,
    aggregates: HashMap<&'static str, Vec<Arc<Aggregate>>>,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry::default();
    super::arithmetic::register(&mut registry);
    super::comparison::register(&mut registry);
    super::conversion::register(&mut registry);
    super::pattern::register(&mut registry);
    super::math::register(&mut registry);
    super::aggregate::register(&mut registry);
    super::regression::register(&mut registry);
    super::string::register(&mut registry);
    super::text_output::register(&mut registry);
    super::moment::register(&mut registry);
    super::zoned::register(&mut registry);
    super::extract::register(&mut registry);
    super::overlaps::register(&mut registry);
    super::array::register(&mut registry);
    super::json::register(&mut registry);
    super::ordered_set::register(&mut registry);
    super::order_support::register(&mut registry);
    super::rows::register(&mut registry);
    super::series::register(&mut registry);
    super::regexp::register(&mut registry);
    super::template::register(&mut registry);
    super::template_input::register(&mut registry);
    super::number_template::register(&mut registry);
    super::session::register(&mut registry);
    super::buckets::register(&mut registry);
    super::bytes::register(&mut registry);
    super::bit_string::register(&mut registry);
    super::network::register(&mut registry);
    super::money::register(&mut registry);
    super::pg_lsn::register(&mut registry);
    super::snapshot::register(&mut registry);
    super::mac_address::register(&mut registry);
    super::send::register(&mut registry);
    super::digest::register(&mut registry);
    super::encoding::register(&mut registry);
    super::sizes::register(&mut registry);
    super::words::register(&mut registry);
    super::enumeration::register(&mut registry);
    super::range::register(&mut registry);
    super::waiting::register(&mut registry);
    super::surroundings::register(&mut registry);
    super::server_control::register(&mut registry);
    // Behind those that some of its functions are other names of.
    super::system::register(&mut registry);
    registry
});

/// The built-in functions.
#[must_use]
pub fn registry() -> &'static Registry {
    &REGISTRY
}

impl Registry {
    /// The functions of a name.
    #[must_use]
    pub fn functions(&self, name: &str) -> &[Arc<Function>] {
        self.functions.get(name).map_or(&[], Vec::as_slice)
    }

    /// All functions (for pg_proc).
    pub fn all_functions(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.functions.values().flatten()
    }

    /// The operators of a name.
    #[must_use]
    pub fn operators(&self, name: &str) -> &[Operator] {
        self.operators.get(name).map_or(&[], Vec::as_slice)
    }

    /// All operators (for pg_operator).
    pub fn all_operators(&self) -> impl Iterator<Item = &Operator> {
        self.operators.values().flatten()
    }

    /// The aggregates of a name.
    #[must_use]
    pub fn aggregates(&self, name: &str) -> &[Arc<Aggregate>] {
        self.aggregates.get(name).map_or(&[], Vec::as_slice)
    }

    /// All aggregates.
    pub fn all_aggregates(&self) -> impl Iterator<Item = &Arc<Aggregate>> {
        self.aggregates.values().flatten()
    }

    /// The pg_cast entry from one type to another.
    #[must_use]
    pub fn cast(&self, source: Oid, target: Oid) -> Option<&Cast> {
        self.casts.get(&(source, target))
    }

    /// All casts (for pg_cast).
    pub fn all_casts(&self) -> impl Iterator<Item = (&(Oid, Oid), &Cast)> {
        self.casts.iter()
    }

    /// Adds a function; the entry decides the rest.
    pub(super) fn add(&mut self, entry: Entry) -> Arc<Function> {
        let function = Arc::new(entry.0);
        self.functions.entry(function.name.to_string()).or_default().push(function.clone());
        function
    }

    /// Adds a function that was made.
    pub(super) fn add_made(&mut self, function: Arc<Function>) {
        self.functions.entry(function.name.to_string()).or_default().push(function);
    }

    /// Adds an operator and the function of its entry. A one-argument function makes a prefix operator.
    pub(super) fn add_operator(&mut self, name: &'static str, entry: Entry) {
        let function = self.add(entry);
        let (left, right) = match function.argument_types[..] {
            [right] => (0, right),
            [left, right] => (left, right),
            _ => unreachable!("an operator has one or two operands"),
        };
        self.operators.entry(name).or_default().push(Operator { name, left, right, function });
    }

    /// Adds an operator whose function cannot be called by name with these arguments.
    pub(super) fn add_operator_only(&mut self, name: &'static str, entry: Entry) {
        self.add_operator_for(name, Arc::new(entry.0));
    }

    /// Adds another name for an operator's function already made by [`Registry::add`].
    pub(super) fn add_operator_for(&mut self, name: &'static str, function: Arc<Function>) {
        let (left, right) = match function.argument_types[..] {
            [right] => (0, right),
            [left, right] => (left, right),
            _ => unreachable!("an operator has one or two operands"),
        };
        self.operators.entry(name).or_default().push(Operator { name, left, right, function });
    }

    /// Adds a cast.
    pub(super) fn add_cast(&mut self, source: Oid, target: Oid, context: CastContext, method: CastMethod) {
        self.casts.insert((source, target), Cast { context, method });
    }

    /// Adds an aggregate.
    pub(super) fn add_aggregate(
        &mut self,
        name: &'static str,
        argument_types: &[Oid],
        return_type: Oid,
        init: fn(&CallTypes<'_>) -> Box<dyn AggregateState>,
    ) -> &mut Aggregate {
        let aggregates = self.aggregates.entry(name).or_default();
        aggregates.push(Arc::new(Aggregate {
            name,
            argument_types: argument_types.to_vec(),
            return_type,
            init,
            order_sensitive: false,
            within_group: false,
            zero_when_empty: false,
        }));
        let last = aggregates.len() - 1;
        Arc::get_mut(&mut aggregates[last]).expect("just made")
    }
}

/// A function being described: strict and immutable unless said otherwise.
pub(super) struct Entry(Function);

impl Entry {
    /// A function of plain values.
    pub(super) fn new(
        name: impl Into<Cow<'static, str>>,
        argument_types: &[Oid],
        return_type: Oid,
        kernel: ScalarKernel,
    ) -> Entry {
        Entry::with_kernel(name.into(), argument_types, return_type, Kernel::Scalar(kernel))
    }

    /// A function that is told the types of its call.
    pub(super) fn typed(
        name: impl Into<Cow<'static, str>>,
        argument_types: &[Oid],
        return_type: Oid,
        kernel: TypedKernel,
    ) -> Entry {
        Entry::with_kernel(name.into(), argument_types, return_type, Kernel::Typed(kernel))
    }

    /// A function under another name.
    pub(super) fn named_after(name: &'static str, function: &Function) -> Entry {
        Entry(Function { name: name.into(), ..function.clone() })
    }

    /// A function the session answers; stable.
    pub(super) fn session(name: &'static str, argument_types: &[Oid], return_type: Oid) -> Entry {
        Entry::with_kernel(name.into(), argument_types, return_type, Kernel::Session).stable()
    }

    /// A function of rows; without [`Entry::columns`] of one column that is called as the function is.
    pub(super) fn rows(
        name: impl Into<Cow<'static, str>>,
        argument_types: &[Oid],
        return_type: Oid,
        kernel: RowsKernel,
    ) -> Entry {
        Entry::with_kernel(name.into(), argument_types, return_type, Kernel::Rows(kernel))
    }

    fn with_kernel(
        name: Cow<'static, str>,
        argument_types: &[Oid],
        return_type: Oid,
        kernel: Kernel,
    ) -> Entry {
        Entry(Function {
            name,
            argument_types: argument_types.to_vec(),
            variadic: None,
            optional: 0,
            return_type,
            parameters: &[],
            strict: true,
            volatility: Volatility::Immutable,
            infallible: false,
            kernel,
            columns: &[],
            vector_kernel: None,
        })
    }

    /// The function alone, for what no name calls.
    pub(super) fn into_function(self) -> Arc<Function> {
        Arc::new(self.0)
    }

    /// Called with NULLs too.
    pub(super) fn not_strict(mut self) -> Entry {
        self.0.strict = false;
        self
    }

    pub(super) fn stable(mut self) -> Entry {
        self.0.volatility = Volatility::Stable;
        self
    }

    pub(super) fn volatile(mut self) -> Entry {
        self.0.volatility = Volatility::Volatile;
        self
    }

    /// Never fails.
    pub(super) fn infallible(mut self) -> Entry {
        self.0.infallible = true;
        self
    }

    /// The last parameter is VARIADIC with elements of this type.
    pub(super) fn variadic(mut self, element: Oid) -> Entry {
        self.0.variadic = Some(element);
        self
    }

    /// The last `count` arguments may be left out.
    pub(super) fn optional(mut self, count: usize) -> Entry {
        self.0.optional = count;
        self
    }

    /// What the arguments are called, and the defaults of those that have one.
    pub(super) fn parameters(mut self, parameters: &'static [(&'static str, Option<&'static str>)]) -> Entry {
        self.0.parameters = parameters;
        self
    }

    /// The columns of the rows.
    pub(super) fn columns(mut self, columns: &'static [(&'static str, Oid)]) -> Entry {
        self.0.columns = columns;
        self
    }

    pub(super) fn vectorized(mut self, kernel: VectorKernel) -> Entry {
        self.0.vector_kernel = Some(kernel);
        self
    }
}
