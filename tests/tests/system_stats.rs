//! Shows that `system_stats` tells the truth about memory: all hits while everything fits, and misses, in proportion,
//! when the data is many times the cache.

use heliosdb_nano::{Config, EmbeddedDatabase, params};

struct Stats {
    hits: i64,
    misses: i64,
    rate: f64,
}

fn stats(db: &EmbeddedDatabase) -> Stats {
    let sql = "SELECT cache_hits + compressed_hits AS hits, cache_misses, cache_hit_rate FROM system_stats";
    let rows = db.query(sql, params![]).expect("statistics");
    let number = |name: &str| rows[0].get::<i64>(name).expect("a number");
    let rate = rows[0].get::<f64>("cache_hit_rate").expect("a rate");
    Stats { hits: number("hits"), misses: number("cache_misses"), rate }
}

#[test]
fn the_hit_rate_is_real() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::default();
    config.storage.cache_size = 2 << 20;
    let db = EmbeddedDatabase::with_config(folder.path(), config).expect("a database");
    db.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, text TEXT)").expect("a table");
    let insert =
        "INSERT INTO t SELECT n, repeat('x', 900) || n FROM generate_series($1::bigint, $1 + 99) AS g(n)";
    db.execute_with(insert, params![0i64]).expect("rows");
    let read = |id: i64| {
        let rows = db.query("SELECT text FROM t WHERE id = $1", params![id]).expect("a row");
        assert_eq!(rows.len(), 1);
    };
    let small = stats(&db);
    (0..100).for_each(read);
    let fits = stats(&db);
    assert_eq!(fits.misses, small.misses, "all of it is in memory");
    assert!(fits.hits >= small.hits + 100, "{} hits after {}", fits.hits, small.hits);
    for first in (100..12_000i64).step_by(100) {
        db.execute_with(insert, params![first]).expect("rows");
    }
    // Each on a page that was not read for long; rows like these are found in the compressed tier often enough.
    for round in 0..20 {
        (0..100).map(|step| step * 113 + round).for_each(read);
    }
    let large = stats(&db);
    assert!(large.misses - fits.misses > 200, "{} misses", large.misses - fits.misses);
    assert!(
        large.rate > 0.0 && large.rate < 1.0 && large.rate < fits.rate,
        "{} after {}",
        large.rate,
        fits.rate
    );
    let expected = large.hits as f64 / (large.hits + large.misses) as f64;
    // The statement that reads them counts as well.
    assert!((large.rate - expected).abs() < 0.01, "{} is not {expected}", large.rate);
}
