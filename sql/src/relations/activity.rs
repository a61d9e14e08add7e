//! What sessions do and lock: pg_stat_activity, pg_locks.

use super::relation::{MakeRows, RelationRows, VirtualRelation, oid, text};
use super::roles::database_oid;
use crate::backends::{Activity, AdvisoryMode, Backend, ClientAddress, Doing, ListedLock, WaitEvent};
use crate::error::Result;
use crate::execute::Environment;
use crate::session::TransactionStatus;
use crate::value::Datum;

pub const MAKERS: &[(&str, MakeRows)] =
    &[("pg_stat_activity", sessions), ("pg_stat_ssl", encryption), ("pg_locks", locks)];

/// pg_read_all_stats.
const READ_ALL_STATS: u32 = 3375;

/// How connections are encrypted, of those whose activity one may see; sessions without a client have none.
fn encryption(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let sees_all = actor.has_role(READ_ALL_STATS);
    let sessions = environment.backend.others().list().into_iter().filter_map(|backend| {
        let role = environment.catalog.role_named(&backend.user).map(|role| role.oid);
        let may_see = sees_all || role.is_some_and(|role| actor.has_role(role));
        Some((backend.number, backend.activity().peer.filter(|_| may_see)?.encryption))
    });
    let rows = sessions.map(|(number, encryption)| {
        let mut columns = vec![("pid", Datum::Int32(number)), ("ssl", Datum::Bool(encryption.is_some()))];
        if let Some(encryption) = encryption {
            columns.extend([
                ("version", text(encryption.version)),
                ("cipher", text(encryption.cipher)),
                ("bits", Datum::Int32(encryption.bits)),
            ]);
        }
        relation.row(&columns)
    });
    Ok(rows.collect())
}

fn sessions(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let actor = environment.actor();
    let sees_all = actor.has_role(READ_ALL_STATS);
    let rows = environment.backend.others().list().into_iter().map(|backend| {
        let activity = backend.activity();
        let role = environment.catalog.role_named(&backend.user).map(|role| role.oid);
        let (wait_type, wait_event) = waits_for(environment, &backend, &activity);
        let peer = activity.peer.as_ref();
        let statement = activity.query().unwrap_or_default();
        let own_settings = backend.settings();
        let mut columns = vec![
            ("datid", oid(database_oid(environment, &backend.database))),
            ("datname", text(&backend.database)),
            ("pid", Datum::Int32(backend.number)),
            ("usesysid", role.map_or(Datum::Null, Datum::Oid)),
            ("usename", text(&backend.user)),
            ("application_name", text(own_settings.get("application_name").unwrap_or_default())),
        ];
        if !sees_all && !role.is_some_and(|role| actor.has_role(role)) {
            columns.push(("query", text("<insufficient privilege>")));
            return relation.row(&columns);
        }
        columns.extend([
            ("client_addr", peer.map_or(Datum::Null, ClientAddress::datum)),
            ("client_port", peer.map_or(Datum::Null, |peer| Datum::Int32(peer.port))),
            ("backend_start", Datum::TimestampTz(backend.since)),
            ("xact_start", activity.transaction_start.map_or(Datum::Null, Datum::TimestampTz)),
            ("query_start", Datum::TimestampTz(activity.statement_start)),
            ("state_change", Datum::TimestampTz(activity.changed_at)),
            ("wait_event_type", wait_type.map_or(Datum::Null, text)),
            ("wait_event", wait_event.map_or(Datum::Null, text)),
            ("state", text(state(activity.doing))),
            ("backend_xid", backend.transaction().map_or(Datum::Null, transaction_number)),
            ("backend_xmin", Datum::Null),
            ("query", text(statement)),
            ("backend_type", text("client backend")),
        ]);
        relation.row(&columns)
    });
    Ok(rows.collect())
}

fn state(doing: Doing) -> &'static str {
    match doing {
        Doing::Running => "active",
        Doing::Resting(TransactionStatus::Idle) => "idle",
        Doing::Resting(TransactionStatus::InTransaction) => "idle in transaction",
        Doing::Resting(TransactionStatus::Failed) => "idle in transaction (aborted)",
    }
}

/// PostgreSQL's names of what a session waits for.
fn waits_for(
    environment: &Environment,
    backend: &Backend,
    activity: &Activity,
) -> (Option<&'static str>, Option<&'static str>) {
    let (kind, event) = match (activity.doing, activity.waits_for) {
        (Doing::Resting(_), _) => ("Client", "ClientRead"),
        (_, Some(WaitEvent::Sleep)) => ("Timeout", "PgSleep"),
        (_, Some(WaitEvent::Advisory)) => ("Lock", "advisory"),
        _ if waits_for_row(environment, backend) => ("Lock", "transactionid"),
        _ => return (None, None),
    };
    (Some(kind), Some(event))
}

fn waits_for_row(environment: &Environment, backend: &Backend) -> bool {
    backend.lock_owner() != 0 && !environment.store.lock_blockers(backend.lock_owner()).is_empty()
}

/// As `xid` shows it: its lower half.
fn transaction_number(number: u64) -> Datum {
    Datum::Oid(number as u32)
}

/// The locks of running transactions on themselves, which others wait for, and the advisory locks.
fn locks(environment: &Environment, relation: &VirtualRelation) -> Result<RelationRows> {
    let backends = environment.backend.others();
    let mut rows = Vec::new();
    for backend in backends.list() {
        let Some(_) = backend.activity().transaction_start else { continue };
        let virtual_number = format!("{}/{}", backend.number, backend.lock_owner());
        let row = |kind: &str, values: &[(&str, Datum)], mode: &str, granted: bool| {
            let mut all = vec![
                ("locktype", text(kind)),
                ("virtualtransaction", text(&virtual_number)),
                ("pid", Datum::Int32(backend.number)),
                ("mode", text(mode)),
                ("granted", Datum::Bool(granted)),
                ("fastpath", Datum::Bool(kind == "virtualxid")),
            ];
            all.extend_from_slice(values);
            relation.row(&all)
        };
        rows.push(row("virtualxid", &[("virtualxid", text(&virtual_number))], "ExclusiveLock", true));
        if let Some(number) = backend.transaction() {
            let values = [("transactionid", transaction_number(number))];
            rows.push(row("transactionid", &values, "ExclusiveLock", true));
        }
        for owner in environment.store.lock_blockers(backend.lock_owner()) {
            let holder = backends.list().into_iter().find(|other| other.lock_owner() == owner);
            let number =
                holder.and_then(|holder| holder.transaction()).map_or(Datum::Null, transaction_number);
            rows.push(row("transactionid", &[("transactionid", number)], "ShareLock", false));
        }
    }
    rows.extend(backends.advisory_locks().iter().map(|lock| advisory_lock(relation, lock)));
    Ok(rows)
}

fn advisory_lock(relation: &VirtualRelation, lock: &ListedLock) -> Vec<Datum> {
    let ListedLock { key, backend, mode, granted } = lock;
    let mode = if *mode == AdvisoryMode::Shared { "ShareLock" } else { "ExclusiveLock" };
    relation.row(&[
        ("locktype", text("advisory")),
        ("database", oid(key.database)),
        ("classid", oid(key.high)),
        ("objid", oid(key.low)),
        ("objsubid", Datum::Int16(if key.is_pair { 2 } else { 1 })),
        ("virtualtransaction", text(format!("{backend}/0"))),
        ("pid", Datum::Int32(*backend)),
        ("mode", text(mode)),
        ("granted", Datum::Bool(*granted)),
        ("fastpath", Datum::Bool(false)),
    ])
}
