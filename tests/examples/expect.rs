//! Fills in what the records of `.slt` files expect, from a real PostgreSQL 15:
//! `HELIOS_ORACLE='host=… port=… user=…' cargo run -p helios_tests --example expect -- FILE…`
//!
//! Files of what PostgreSQL does not have (`tests/sql/own`) get what this database answers: to be read before it is
//! believed.

use futures_lite::future::block_on;
use helios_tests::{Embedded, Failure, PostgreSql, is_own};
use heliosdb_nano::EmbeddedDatabase;
use sqllogictest::{
    AsyncDB, MakeConnection, Runner, default_column_validator, default_normalizer, default_validator,
};

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    for file in std::env::args().skip(1) {
        if is_own(file.as_ref()) {
            let database = EmbeddedDatabase::new_in_memory()?;
            fill_in(Runner::new(|| async { Ok::<_, Failure>(Embedded::new(&database)) }), &file)?;
        } else {
            let parameters = std::env::var("HELIOS_ORACLE")?;
            PostgreSql::create_database(&parameters, "expect")?;
            fill_in(Runner::new(|| async { PostgreSql::connect(&parameters, "expect") }), &file)?;
        }
    }
    Ok(())
}

fn fill_in<D: AsyncDB, M: MakeConnection<Conn = D>>(mut runner: Runner<D, M>, file: &str) -> Outcome {
    block_on(runner.update_test_file(
        file,
        " ",
        default_validator,
        default_normalizer,
        default_column_validator,
    ))?;
    runner.shutdown();
    Ok(())
}
