//! The functions about sessions and transactions: what they do, wait for, lock and say to each other.

use std::time::Duration;

use super::roles::may_signal;
use crate::backends::{AdvisoryKey, AdvisoryLock, AdvisoryMode, ClientAddress, Lifetime, Signal};
use crate::error::{Result, SqlState};
use crate::execute::Environment;
use crate::functions::EvalContext;
use crate::rights::denied;
use crate::types::{oids, pg_lsn};
use crate::value::{ArrayValue, Datum};

/// Calls a function; `None` for one that is not of this family.
pub(super) fn call(
    environment: &Environment,
    name: &str,
    arguments: &[Datum],
    context: &EvalContext<'_>,
) -> Option<Result<Datum>> {
    if name.contains("advisory") {
        return Some(advisory(environment, name, arguments));
    }
    let backend = &environment.backend;
    let number = |at: usize| arguments.get(at).and_then(Datum::as_i64).unwrap_or(0);
    Some(Ok(match name {
        "txid_current" => number_of_transaction(Some(backend.assigned_transaction(&environment.store))),
        "txid_current_if_assigned" => number_of_transaction(backend.transaction()),
        "pg_current_xact_id" => number_of_transaction(Some(backend.assigned_transaction(&environment.store))),
        "pg_current_xact_id_if_assigned" => number_of_transaction(backend.transaction()),
        "pg_current_wal_lsn" | "pg_current_wal_insert_lsn" | "pg_current_wal_flush_lsn" => {
            // Where nothing is logged, commits are all that goes on.
            let end = environment.store.log_end().unwrap_or_else(|| environment.store.visible_scn().0);
            pg_lsn::of_place(end)
        }
        "pg_sleep" => {
            let Some(Datum::Float64(seconds)) = arguments.first() else { return Some(Ok(Datum::Null)) };
            sleep(environment, *seconds)
        }
        "pg_sleep_for" => match arguments.first() {
            Some(Datum::Interval(interval)) => sleep(environment, interval.span() as f64 / 1e6),
            _ => Datum::Null,
        },
        "pg_sleep_until" => match arguments.first() {
            Some(Datum::TimestampTz(moment)) => {
                sleep(environment, moment.saturating_sub(context.session.clock_timestamp()) as f64 / 1e6)
            }
            _ => Datum::Null,
        },
        "pg_notify" => {
            let text = |at| arguments.get(at).and_then(Datum::as_text).unwrap_or_default();
            return Some(backend.say(text(0), text(1)).map(|()| Datum::text("")));
        }
        "pg_listening_channels" => {
            let channels = backend.channels().iter().map(Datum::text).collect();
            ArrayValue::from_elements(oids::TEXT, channels).into()
        }
        "pg_notification_queue_usage" => Datum::Float64(backend.others().mail_usage()),
        "pg_cancel_backend" => return Some(signal(environment, number(0), Signal::Cancel)),
        "pg_terminate_backend" => return Some(signal(environment, number(0), Signal::Terminate)),
        "pg_reload_conf" if environment.actor().is_superuser() => {
            if let Some(files) = environment.engine.server_files() {
                files.reload();
            }
            Datum::Bool(true)
        }
        "pg_reload_conf" => return Some(Err(denied("function", name))),
        "inet_client_addr" => backend.activity().peer.as_ref().map_or(Datum::Null, ClientAddress::datum),
        "inet_client_port" => match &backend.activity().peer {
            Some(peer) if peer.address.is_some() => Datum::Int32(peer.port),
            _ => Datum::Null,
        },
        "inet_server_addr" => {
            backend.activity().peer.as_ref().map_or(Datum::Null, ClientAddress::server_datum)
        }
        "inet_server_port" => {
            let server = backend.activity().peer.as_ref().and_then(|peer| peer.server);
            server.map_or(Datum::Null, |address| Datum::Int32(address.port().into()))
        }
        "pg_blocking_pids" => {
            let found = blockers(environment, number(0)).into_iter().map(Datum::Int32).collect();
            ArrayValue::from_elements(oids::INT4, found).into()
        }
        "pg_isolation_test_session_is_blocked" => {
            let found = blockers(environment, number(0));
            let asked = match arguments.get(1) {
                Some(Datum::Array(array)) => array.elements.as_slice(),
                _ => &[],
            };
            let is_asked = |number: &i32| asked.contains(&Datum::Int32(*number));
            Datum::Bool(found.iter().any(is_asked))
        }
        _ => return None,
    }))
}

fn number_of_transaction(number: Option<u64>) -> Datum {
    number.map_or(Datum::Null, |number| Datum::Int64(i64::try_from(number).unwrap_or(i64::MAX)))
}

fn sleep(environment: &Environment, seconds: f64) -> Datum {
    if let Ok(duration) = Duration::try_from_secs_f64(seconds.min(1e10)) {
        environment.backend.sleep(duration);
    }
    Datum::text("")
}

/// Asks something of another session.
fn signal(environment: &Environment, number: i64, signal: Signal) -> Result<Datum> {
    let found = i32::try_from(number).ok().and_then(|number| environment.backend.others().get(number));
    let Some(other) = found else {
        let message = format!("PID {number} is not a PostgreSQL server process");
        environment.backend.warn(SqlState::WARNING, message);
        return Ok(Datum::Bool(false));
    };
    may_signal(&environment.catalog, &environment.actor(), &other.user, signal)?;
    other.signal(signal);
    if other.number == environment.backend.number {
        other.look_for_signals();
    }
    Ok(Datum::Bool(true))
}

/// Who has what a session waits for.
fn blockers(environment: &Environment, number: i64) -> Vec<i32> {
    i32::try_from(number).map_or_else(|_| Vec::new(), |number| environment.backend.others().blockers(number))
}

/// `pg_[try_]advisory_[xact_]{lock,unlock}[_shared]` of one number or two.
fn advisory(environment: &Environment, name: &str, arguments: &[Datum]) -> Result<Datum> {
    let backend = &environment.backend;
    if name == "pg_advisory_unlock_all" {
        backend.unlock_all();
        return Ok(Datum::text(""));
    }
    let number = |at: usize| arguments.get(at).and_then(Datum::as_i64).unwrap_or(0);
    let (high, low) = match arguments.len() {
        1 => ((number(0) >> 32) as u32, number(0) as u32),
        _ => (number(0) as u32, number(1) as u32),
    };
    let key = AdvisoryKey { database: backend.database_oid, high, low, is_pair: arguments.len() > 1 };
    let mode = if name.ends_with("_shared") { AdvisoryMode::Shared } else { AdvisoryMode::Exclusive };
    if name.starts_with("pg_advisory_unlock") {
        return Ok(Datum::Bool(backend.unlock(&key, mode)));
    }
    let lifetime = if name.contains("_xact_") { Lifetime::Transaction } else { Lifetime::Session };
    let lock = AdvisoryLock { key, mode, lifetime };
    if name.starts_with("pg_try_") {
        return Ok(Datum::Bool(backend.try_lock(&lock)));
    }
    backend.lock(lock);
    Ok(Datum::text(""))
}
