//! Fills in what the records of `.slt` files expect, from a real PostgreSQL 15:
//! `HELIOS_ORACLE='host=… port=… user=…' cargo run -p helios_tests --example expect -- FILE…`

use futures_lite::future::block_on;
use helios_tests::PostgreSql;
use sqllogictest::{Runner, default_column_validator, default_normalizer, default_validator};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parameters = std::env::var("HELIOS_ORACLE")?;
    for file in std::env::args().skip(1) {
        PostgreSql::create_database(&parameters, "expect")?;
        let mut runner = Runner::new(|| async { PostgreSql::connect(&parameters, "expect") });
        block_on(runner.update_test_file(
            &file,
            " ",
            default_validator,
            default_normalizer,
            default_column_validator,
        ))?;
        runner.shutdown();
    }
    Ok(())
}
