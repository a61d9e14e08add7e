//! Functions in FROM whose rows take reading and waiting: what a merge would do, how moments differ, what is kept of the
//! past.

use helios_mvcc::{Scn, Snapshot};

use super::transactions::{self, TransactionCall};
use super::{branches, diff, retention, row_history, row_writer};
use crate::branch_merge::{Finding, Report, Resolution};
use crate::catalog::{PG_CATALOG, Rights};
use crate::error::{Result, SqlError};
use crate::execute::Execution;
use crate::large_object::{self, LargeObjectCall};
use crate::plan::logical::NeededColumns;
use crate::rights::{denied, must_own, relation};
use crate::session::{BranchMerge, check_different, sibling};
use crate::types::{Oid, oids};
use crate::value::Datum;

use super::relation::{RelationRows, VirtualRelation};

/// Such a function.
pub struct ReportFunction {
    pub name: &'static str,
    /// The types of its arguments; all but the first `required` may be left out.
    pub arguments: &'static [Oid],
    pub required: usize,
    pub columns: &'static [(&'static str, Oid)],
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Branches,
    MergePreview,
    Diff,
    History,
    Retention,
    LargeObject(LargeObjectCall),
    Transaction(TransactionCall),
    RowWriter,
}

/// The columns of merges' findings.
const FINDING_COLUMNS: &[(&str, Oid)] = &[
    ("object", oids::TEXT),
    ("key", oids::TEXT),
    ("operation", oids::TEXT),
    ("conflict", oids::TEXT),
    ("base", oids::JSONB),
    ("target", oids::JSONB),
    ("source", oids::JSONB),
];

static REPORTS: &[ReportFunction] = &[
    ReportFunction {
        name: "heliosdb_merge_preview",
        arguments: &[oids::TEXT, oids::TEXT],
        required: 2,
        columns: FINDING_COLUMNS,
        kind: Kind::MergePreview,
    },
    ReportFunction {
        name: "heliosdb_diff",
        arguments: &[oids::REGCLASS, oids::TEXT, oids::TEXT],
        required: 2,
        columns: diff::COLUMNS,
        kind: Kind::Diff,
    },
    ReportFunction {
        name: "heliosdb_history",
        arguments: &[oids::REGCLASS],
        required: 1,
        columns: row_history::COLUMNS,
        kind: Kind::History,
    },
    ReportFunction {
        name: "pg_database_branches",
        arguments: &[],
        required: 0,
        columns: branches::COLUMNS,
        kind: Kind::Branches,
    },
    ReportFunction {
        name: "heliosdb_retention",
        arguments: &[],
        required: 0,
        columns: retention::COLUMNS,
        kind: Kind::Retention,
    },
];

/// `xmin`: the transaction that wrote the row of a table with a key.
pub static ROW_WRITER: ReportFunction = ReportFunction {
    name: "xmin",
    arguments: &[oids::OID, oids::BYTEA],
    required: 2,
    columns: &[("xmin", oids::XID)],
    kind: Kind::RowWriter,
};

/// The function of that name.
#[must_use]
pub fn report(name: &str) -> Option<&'static ReportFunction> {
    REPORTS.iter().find(|report| report.name == name)
}

/// Functions that give one value and can be called anywhere, but have to wait for it: the binder makes each call a subquery
/// over the function in FROM.
pub fn waiting() -> impl Iterator<Item = &'static ReportFunction> {
    large_object::FUNCTIONS.iter().chain(transactions::FUNCTIONS)
}

/// `heliosdb_conflicts()`: what was in the way of the session's last merge that was refused.
pub fn conflicts(oid: u32) -> VirtualRelation {
    VirtualRelation {
        oid,
        schema: PG_CATALOG,
        name: "heliosdb_conflicts",
        kind: b'f',
        columns: FINDING_COLUMNS.to_vec(),
        required: Vec::new(),
        make: |environment, _| {
            Ok(environment.listing.refused_merge.lock().iter().map(Finding::row).collect())
        },
    }
}

impl ReportFunction {
    /// A function of large objects, which gives one value.
    pub(crate) const fn large_object(
        name: &'static str,
        arguments: &'static [Oid],
        columns: &'static [(&'static str, Oid)],
        call: LargeObjectCall,
    ) -> ReportFunction {
        ReportFunction { name, arguments, required: arguments.len(), columns, kind: Kind::LargeObject(call) }
    }

    /// A function about transactions, which gives one value.
    pub(crate) const fn of_transactions(
        name: &'static str,
        arguments: &'static [Oid],
        columns: &'static [(&'static str, Oid)],
        call: TransactionCall,
    ) -> ReportFunction {
        ReportFunction { name, arguments, required: arguments.len(), columns, kind: Kind::Transaction(call) }
    }

    /// Whether each call of it counts: it may change something, or see what others did.
    #[must_use]
    pub fn is_volatile(&self) -> bool {
        matches!(self.kind, Kind::LargeObject(_))
    }

    /// Its rows; arguments that were left out are missing, and so may columns be that nobody needs.
    ///
    /// # Errors
    /// Those of the report.
    pub async fn rows(
        &self,
        arguments: &[Datum],
        needed: NeededColumns,
        execution: &mut Execution,
    ) -> Result<RelationRows> {
        if arguments.iter().any(Datum::is_null) {
            return Ok(Vec::new());
        }
        self.check_may_read(arguments, execution)?;
        match self.kind {
            Kind::Branches => branches::rows(needed, execution).await,
            Kind::MergePreview => preview(text_at(arguments, 0)?, text_at(arguments, 1)?, execution).await,
            Kind::History => {
                let now = execution.transaction.snapshot();
                row_history::rows(table_at(arguments)?, now, execution).await
            }
            Kind::RowWriter => row_writer::rows(arguments, execution).await,
            Kind::Retention => retention::rows(execution).await,
            Kind::Transaction(call) => transactions::rows(call, arguments, execution).await,
            Kind::LargeObject(call) => Ok(vec![vec![large_object::run(call, arguments, execution).await?]]),
            Kind::Diff => {
                let before = moment(text_at(arguments, 1)?, execution).await?;
                let after = match arguments.len() {
                    3 => moment(text_at(arguments, 2)?, execution).await?,
                    _ => execution.transaction.snapshot(),
                };
                diff::rows(table_at(arguments)?, before, after, execution).await
            }
        }
    }
}

impl ReportFunction {
    /// 42501 for who may not read what a report tells: a table's rows, or those of all of a database.
    fn check_may_read(&self, arguments: &[Datum], execution: &Execution) -> Result<()> {
        let environment = &execution.environment;
        let actor = environment.actor();
        if let Kind::MergePreview = self.kind {
            let may = actor.has_role(environment.who.database_owner);
            return if may { Ok(()) } else { Err(must_own("database", &environment.database)) };
        }
        if let Kind::Retention
        | Kind::Branches
        | Kind::LargeObject(_)
        | Kind::Transaction(_)
        | Kind::RowWriter = self.kind
        {
            // As sizes and sessions are everybody's to see; large objects are asked themselves, and so is the query for its
            // table.
            return Ok(());
        }
        let oid = table_at(arguments)?;
        match relation(&environment.catalog, oid) {
            Some(secured) if actor.rights(&secured, Rights::SELECT).has(Rights::SELECT) => Ok(()),
            // What was dropped has no rights that could be asked.
            None if actor.is_superuser() => Ok(()),
            _ => {
                let name = environment.catalog.table(oid).map(|entry| entry.table.name.clone());
                Err(denied("table", &name.unwrap_or_else(|| oid.to_string())))
            }
        }
    }
}

fn text_at(arguments: &[Datum], at: usize) -> Result<&str> {
    let text = arguments.get(at).and_then(Datum::as_text);
    text.ok_or_else(|| SqlError::internal("an argument is no text"))
}

fn table_at(arguments: &[Datum]) -> Result<u32> {
    match arguments.first() {
        Some(Datum::Oid(oid)) => Ok(*oid),
        _ => Err(SqlError::internal("an argument is no relation")),
    }
}

/// What a text means: a branch as it is now, an SCN, or a time, on the session's branch.
async fn moment(text: &str, execution: &Execution) -> Result<Snapshot> {
    let environment = &execution.environment;
    let own = execution.transaction.snapshot();
    if let Ok(branch) = sibling(&environment.directory.lock(), environment.branch, text) {
        return Ok(Snapshot { branch: branch.id, scn: own.scn });
    }
    let invalid = |message: String| {
        SqlError::invalid_parameter(message)
            .with_hint("A moment is the name of a branch, an SCN, or a timestamp.")
    };
    if let Ok(number) = text.parse::<u64>() {
        return match number {
            number if number > 0 && Scn(number) <= own.scn => Ok(Snapshot { scn: Scn(number), ..own }),
            _ => Err(invalid(format!("SCN {number} does not exist"))),
        };
    }
    let context = execution.context();
    let parsed = context.type_info(oids::TIMESTAMPTZ)?.parse_text(text, -1, &context);
    let Ok(Datum::TimestampTz(micros)) = parsed else {
        return Err(invalid(format!("\"{text}\" is no branch, SCN or timestamp")));
    };
    let since_1970 = u64::try_from(micros.saturating_add(crate::session::EPOCH_MICROS)).unwrap_or(0);
    match environment.store.scn_at(since_1970).await? {
        Some(scn) => Ok(Snapshot { scn: scn.min(own.scn), ..own }),
        None => Err(invalid(format!("\"{text}\" lies before the first commit of the database"))),
    }
}

/// What a merge would do.
async fn preview(source: &str, target: &str, execution: &mut Execution) -> Result<RelationRows> {
    let environment = execution.environment.clone();
    let (source, target) = {
        let directory = environment.directory.lock().clone();
        let named = |name| sibling(&directory, environment.branch, name);
        (named(source)?, named(target)?)
    };
    check_different(&source, &target)?;
    let merge = BranchMerge {
        source: &source,
        target: &target,
        user: &environment.user,
        database: &environment.database,
        settings: &environment.settings,
        cancel: &execution.cancel,
    };
    let mut report = Report::new(Resolution::Fail, true);
    environment.engine.merge_branches(&merge, &mut report, true).await?;
    Ok(report.findings.iter().map(Finding::row).collect())
}
