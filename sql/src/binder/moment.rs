//! AS OF in FROM: relations as they were.
//!
//! What moment is meant must be known before anything is bound, since the columns of a relation are those that it had
//! then. So a binder that meets one it does not know gives up and says which ([`Moments::take_wanted`]); whoever called
//! it finds out, and binds again. From there on it is a matter of catalogs: names are looked up in the one of that
//! moment, and its tables say what they are read as of ([`TableEntry::as_of`](crate::catalog::TableEntry)).

use std::collections::HashMap;
use std::sync::Arc;

use helios_mvcc::Scn;
use parking_lot::Mutex;
use sqlparser::ast::{self, ObjectName, TableAlias, TableVersion};

use super::from::Item;
use super::{Binder, Relation, name};
use crate::catalog::CatalogSnapshot;
use crate::error::{Result, SqlError, SqlState};
use crate::parser::marked;
use crate::types::DataType;

/// How a moment is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MomentKind {
    Timestamp,
    Transaction,
    Scn,
}

impl MomentKind {
    /// What kind of expression gives it.
    #[must_use]
    pub fn data_type(self) -> DataType {
        match self {
            MomentKind::Timestamp => DataType::TIMESTAMPTZ,
            MomentKind::Transaction | MomentKind::Scn => DataType::INT8,
        }
    }

    /// The word behind AS OF.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            MomentKind::Timestamp => "TIMESTAMP",
            MomentKind::Transaction => "TRANSACTION",
            MomentKind::Scn => "SCN",
        }
    }
}

/// The kind and the expression of an AS OF, as `parser/rewrite.rs` spells it.
///
/// # Errors
/// 0A000 for other databases' clauses.
pub fn moment_of(version: &TableVersion) -> Result<(MomentKind, &ast::Expr)> {
    if let TableVersion::ForSystemTimeAsOf(ast::Expr::BinaryOp { left, right, .. }) = version
        && let ast::Expr::Identifier(mark) = left.as_ref()
    {
        match marked(mark) {
            Some("timestamp") => return Ok((MomentKind::Timestamp, right)),
            Some("transaction") => return Ok((MomentKind::Transaction, right)),
            Some("scn") => return Ok((MomentKind::Scn, right)),
            _ => {}
        }
    }
    Err(SqlError::unsupported(format!("this clause is not supported: {version}"))
        .with_hint("Write AS OF TIMESTAMP, AS OF TRANSACTION or AS OF SCN."))
}

/// A moment that a statement names, and the commit that it turned out to be.
#[derive(Clone, Debug)]
pub struct KnownMoment {
    pub version: TableVersion,
    pub scn: Scn,
}

/// The moments that a statement names, with their catalogs, by their text.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    known: HashMap<String, (KnownMoment, Arc<CatalogSnapshot>)>,
    wanted: Arc<Mutex<Option<TableVersion>>>,
}

impl Moments {
    /// The moment for want of which binding failed.
    pub fn take_wanted(&self) -> Option<TableVersion> {
        self.wanted.lock().take()
    }

    /// The commit that a moment is, and the catalog as it was then.
    pub fn learn(&mut self, version: &TableVersion, scn: Scn, catalog: Arc<CatalogSnapshot>) {
        let moment = KnownMoment { version: version.clone(), scn };
        self.known.insert(version.to_string(), (moment, catalog));
    }

    /// All that are known; none where the statement does not read the past.
    #[must_use]
    pub fn into_known(self) -> Vec<KnownMoment> {
        self.known.into_values().map(|(moment, _)| moment).collect()
    }
}

impl Binder<'_> {
    /// Binds a table or view as it was.
    pub(super) fn bind_past(
        &mut self,
        object: &ObjectName,
        version: &TableVersion,
        alias: Option<&TableAlias>,
    ) -> Result<Item> {
        let (kind, expr) = moment_of(version)?;
        // Decides the types of parameters; whether it can be evaluated is found out by doing it.
        let _ = self.bind_argument(1, expr, kind.data_type());
        let moments = &self.environment.moments;
        let Some((_, then)) = moments.known.get(&version.to_string()) else {
            *moments.wanted.lock() = Some(version.clone());
            return Err(SqlError::internal("a moment is not known yet"));
        };
        let now = std::mem::replace(&mut self.catalog, then);
        let bound = self.bind_then(object, alias);
        self.catalog = now;
        bound
    }

    fn bind_then(&mut self, object: &ObjectName, alias: Option<&TableAlias>) -> Result<Item> {
        let (schema, base) = name::split(object)?;
        let is_common = schema.is_none() && self.common_tables.iter().any(|common| common.name == base);
        let relation = match self.view_source(object)? {
            Some((relation, ..)) => Some(relation),
            None if is_common => None,
            None => Some(self.relation(object)?),
        };
        match relation {
            Some(Relation::Stored(_) | Relation::View(_)) => self.bind_table(object, alias),
            _ => Err(self.locate(
                SqlError::new(SqlState::WRONG_OBJECT_TYPE, format!("AS OF cannot be applied to \"{base}\""))
                    .with_detail("Only tables and views have a past."),
                name::location(object),
            )),
        }
    }

    /// # Errors
    /// 25006 for AS OF behind the name of a table that is to be changed.
    pub(super) fn refuse_past(version: Option<&TableVersion>) -> Result<()> {
        match version {
            None => Ok(()),
            Some(_) => Err(crate::parser::past_is_read_only()),
        }
    }
}
