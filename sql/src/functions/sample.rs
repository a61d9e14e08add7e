//! TABLESAMPLE: whether a row is in a sample.

use std::sync::{Arc, LazyLock};

use super::registry::Entry;
use super::vector::wrong_arguments;
use super::{EvalContext, Function};
use crate::error::{Result, SqlError, SqlState};
use crate::types::oids::{BOOL, BYTEA, FLOAT4, FLOAT8};
use crate::value::Datum;

/// `(key, percentage, seed)`: whether the row of that key is in the sample that a seed gives.
#[must_use]
pub fn is_sampled() -> Arc<Function> {
    static SAMPLED: LazyLock<Arc<Function>> = LazyLock::new(|| {
        Entry::new("is_sampled", &[BYTEA, FLOAT4, FLOAT8], BOOL, kernel).not_strict().into_function()
    });
    SAMPLED.clone()
}

/// The share of rows, out of one, that a percentage stands for.
///
/// # Errors
/// 2202H for one that is NULL or out of range.
pub fn share(percentage: &Datum) -> Result<f64> {
    let refused = |message: &str| SqlError::new(SqlState::INVALID_TABLESAMPLE_ARGUMENT, message);
    match percentage {
        Datum::Float32(percentage) if (0.0..=100.0).contains(percentage) => {
            Ok(f64::from(*percentage) / 100.0)
        }
        Datum::Float32(_) => Err(refused("sample percentage must be between 0 and 100")),
        Datum::Null => Err(refused("TABLESAMPLE parameter cannot be null")),
        _ => Err(wrong_arguments()),
    }
}

fn kernel(arguments: &[Datum], _: &EvalContext<'_>) -> Result<Datum> {
    let [key, percentage, seed] = arguments else { return Err(wrong_arguments()) };
    let share = share(percentage)?;
    let seed = match seed {
        Datum::Float64(seed) => seed.to_bits(),
        Datum::Null => {
            let message = "TABLESAMPLE REPEATABLE parameter cannot be null";
            return Err(SqlError::new(SqlState::INVALID_TABLESAMPLE_REPEAT, message));
        }
        _ => return Err(wrong_arguments()),
    };
    let Datum::Bytes(key) = key else { return Err(wrong_arguments()) };
    Ok(Datum::Bool(place(key, seed) < share))
}

/// A place in [0, 1), as evenly distributed as keys and seeds allow: FNV-1a, finished as SplitMix64 does.
fn place(key: &[u8], seed: u64) -> f64 {
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let mut mixed = key.iter().chain(&seed.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, hash);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}
