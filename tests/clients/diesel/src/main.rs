//! What programs do with Diesel: a small blog, its migrations and associations.
//!
//! The connection's parameters come from the environment (PGHOST, PGPORT, PGUSER, PGDATABASE).

mod schema;

use std::str::FromStr;

use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::dsl::{count_star, exists, max, sql};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::r2d2::{ConnectionManager, CustomizeConnection, Pool};
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types as types;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use schema::{authors, posts, tags};
use serde_json::json;
use uuid::Uuid;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!();

type Outcome = Result<(), Box<dyn std::error::Error>>;

#[derive(Debug, Identifiable, Queryable, Selectable, PartialEq)]
struct Author {
    id: i32,
    name: String,
    key: Uuid,
    settings: Option<serde_json::Value>,
}

#[derive(Insertable)]
#[diesel(table_name = authors)]
struct NewAuthor<'a> {
    name: &'a str,
    settings: Option<serde_json::Value>,
}

#[derive(Associations, Debug, Identifiable, Queryable, Selectable)]
#[diesel(belongs_to(Author))]
struct Post {
    id: i64,
    author_id: i32,
    title: String,
    score: Option<BigDecimal>,
    created: DateTime<Utc>,
    words: Vec<Option<i32>>,
}

#[derive(AsChangeset)]
#[diesel(table_name = posts)]
struct Published<'a> {
    published: bool,
    score: Option<BigDecimal>,
    day: Option<NaiveDate>,
    title: Option<&'a str>,
}

/// Makes the tables of a connection be those of the blog's own schema.
#[derive(Debug)]
struct InSchema;

impl CustomizeConnection<PgConnection, diesel::r2d2::Error> for InSchema {
    fn on_acquire(&self, connection: &mut PgConnection) -> Result<(), diesel::r2d2::Error> {
        connection.batch_execute("SET search_path = diesel_checks").map_err(diesel::r2d2::Error::QueryError)
    }
}

fn migrated(connection: &mut PgConnection) -> Outcome {
    connection.batch_execute("DROP SCHEMA IF EXISTS diesel_checks CASCADE; CREATE SCHEMA diesel_checks")?;
    connection.batch_execute("SET search_path = diesel_checks")?;
    let run = connection.run_pending_migrations(MIGRATIONS).map_err(|error| error.to_string())?;
    assert_eq!(run.len(), 2);
    connection.revert_last_migration(MIGRATIONS).map_err(|error| error.to_string())?;
    assert!(connection.has_pending_migration(MIGRATIONS).map_err(|error| error.to_string())?);
    connection.run_pending_migrations(MIGRATIONS).map_err(|error| error.to_string())?;
    Ok(())
}

fn written(connection: &mut PgConnection) -> Outcome {
    let ann: Author = diesel::insert_into(authors::table)
        .values(NewAuthor { name: "Ann", settings: Some(json!({"theme": "dark", "size": 2})) })
        .returning(Author::as_returning())
        .get_result(connection)?;
    assert_eq!((ann.id, ann.settings.as_ref()), (1, Some(&json!({"theme": "dark", "size": 2}))));
    let several = [NewAuthor { name: "Bob", settings: None }, NewAuthor { name: "Cyd", settings: None }];
    assert_eq!(diesel::insert_into(authors::table).values(&several).execute(connection)?, 2);
    // An upsert.
    let again = diesel::insert_into(authors::table)
        .values(NewAuthor { name: "Bob", settings: Some(json!([])) })
        .on_conflict(authors::name)
        .do_update()
        .set(authors::settings.eq(json!("new")))
        .returning(authors::id)
        .get_result::<i32>(connection)?;
    assert_eq!(again, 2);
    let ignored = diesel::insert_into(authors::table)
        .values(authors::name.eq("Bob"))
        .on_conflict_do_nothing()
        .execute(connection)?;
    assert_eq!(ignored, 0);
    for number in 1..=6_i32 {
        let post: i64 = diesel::insert_into(posts::table)
            .values((
                posts::author_id.eq(1 + number % 2),
                posts::title.eq(format!("Post {number}")),
                posts::words.eq(vec![Some(number), None]),
            ))
            .returning(posts::id)
            .get_result(connection)?;
        diesel::insert_into(tags::table)
            .values((tags::post_id.eq(post), tags::tag.eq("rust")))
            .execute(connection)?;
    }
    let change = Published {
        published: true,
        score: Some(BigDecimal::from_str("9.75")?),
        day: NaiveDate::from_ymd_opt(2024, 2, 29),
        title: None,
    };
    let changed =
        diesel::update(posts::table.filter(posts::id.eq_any([1, 2, 99]))).set(change).execute(connection)?;
    assert_eq!(changed, 2);
    Ok(())
}

fn read(connection: &mut PgConnection) -> Outcome {
    let authors_all = authors::table.order(authors::id).select(Author::as_select()).load(connection)?;
    assert_eq!(authors_all.len(), 3);
    let posts_of =
        Post::belonging_to(&authors_all).select(Post::as_select()).order(posts::id).load(connection)?;
    let grouped = posts_of.grouped_by(&authors_all);
    assert_eq!(grouped.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 0]);
    assert_eq!((grouped[1][0].id, grouped[1][0].title.as_str(), grouped[1][0].author_id), (1, "Post 1", 2));
    assert_eq!(
        (grouped[1][0].score.clone(), grouped[1][0].words.clone()),
        (Some(BigDecimal::from_str("9.75")?), vec![Some(1), None])
    );
    assert!(grouped[1][0].created <= Utc::now() + chrono::TimeDelta::minutes(1));
    let joined: Vec<(String, Option<String>)> = authors::table
        .left_join(posts::table.inner_join(tags::table))
        .filter(authors::name.ne("Bob"))
        .order((authors::name, posts::id.desc()))
        .select((authors::name, posts::title.nullable()))
        .load(connection)?;
    assert_eq!(joined.first(), Some(&("Ann".to_string(), Some("Post 6".to_string()))));
    assert_eq!(joined.last(), Some(&("Cyd".to_string(), None)));
    let counts: Vec<(i32, i64, Option<i64>)> = posts::table
        .group_by(posts::author_id)
        .select((posts::author_id, count_star(), max(posts::id)))
        .having(count_star().gt(1))
        .order(posts::author_id)
        .load(connection)?;
    assert_eq!(counts, [(1, 3, Some(6)), (2, 3, Some(5))]);
    let dark: i64 = authors::table
        .filter(authors::settings.retrieve_as_text("theme").eq("dark"))
        .filter(exists(posts::table.filter(posts::author_id.eq(authors::id))))
        .count()
        .get_result(connection)?;
    assert_eq!(dark, 1);
    let found: Option<Author> =
        authors::table.find(99).select(Author::as_select()).first(connection).optional()?;
    assert!(found.is_none());
    let ranked: Vec<i64> = posts::table
        .filter(posts::words.contains(vec![Some(2)]).or(posts::title.ilike("%5")))
        .order(sql::<types::Integer>("row_number() OVER (ORDER BY id DESC)"))
        .select(posts::id)
        .limit(5)
        .offset(0)
        .load(connection)?;
    assert_eq!(ranked, [5, 2]);
    let locked: Vec<i64> = connection.transaction(|connection| {
        posts::table
            .select(posts::id)
            .filter(posts::published)
            .order(posts::id)
            .for_update()
            .skip_locked()
            .load(connection)
    })?;
    assert_eq!(locked, [1, 2]);
    Ok(())
}

fn values(connection: &mut PgConnection) -> Outcome {
    let moment = DateTime::from_timestamp(1_709_210_096, 789_012_000).expect("a moment");
    let time = NaiveTime::from_hms_micro_opt(23, 59, 59, 999_999).expect("a time");
    #[derive(QueryableByName)]
    struct Values {
        #[diesel(sql_type = types::SmallInt)]
        small: i16,
        #[diesel(sql_type = types::Double)]
        double: f64,
        #[diesel(sql_type = types::Numeric)]
        number: BigDecimal,
        #[diesel(sql_type = types::Binary)]
        bytes: Vec<u8>,
        #[diesel(sql_type = types::Timestamptz)]
        moment: DateTime<Utc>,
        #[diesel(sql_type = types::Timestamp)]
        plain: NaiveDateTime,
        #[diesel(sql_type = types::Time)]
        time: NaiveTime,
        #[diesel(sql_type = types::Array<types::Text>)]
        texts: Vec<String>,
        #[diesel(sql_type = types::Nullable<types::Uuid>)]
        missing: Option<Uuid>,
    }
    let number = BigDecimal::from_str("-12345678901234567890.0123456789")?;
    let got: Values = diesel::sql_query(
        "SELECT $1 AS small, $2 AS double, $3 AS number, $4 AS bytes, $5 AS moment, $6 AS plain, $7 AS time, $8 AS texts, $9 AS missing",
    )
    .bind::<types::SmallInt, _>(-32768)
    .bind::<types::Double, _>(-2.25e300)
    .bind::<types::Numeric, _>(&number)
    .bind::<types::Binary, _>([0_u8, 255].as_slice())
    .bind::<types::Timestamptz, _>(moment)
    .bind::<types::Timestamp, _>(moment.naive_utc())
    .bind::<types::Time, _>(time)
    .bind::<types::Array<types::Text>, _>(vec!["a,b", "Grüße"])
    .bind::<types::Nullable<types::Uuid>, _>(None::<Uuid>)
    .get_result(connection)?;
    assert_eq!((got.small, got.double, got.number), (-32768, -2.25e300, number));
    assert_eq!(
        (got.bytes, got.moment, got.plain, got.time),
        (vec![0, 255], moment, moment.naive_utc(), time)
    );
    assert_eq!((got.texts, got.missing), (vec!["a,b".to_string(), "Grüße".to_string()], None));
    Ok(())
}

fn errors(connection: &mut PgConnection) -> Outcome {
    let twice = diesel::insert_into(authors::table).values(authors::name.eq("Ann")).execute(connection);
    let Err(Error::DatabaseError(DatabaseErrorKind::UniqueViolation, fields)) = twice else {
        return Err("no unique violation".into());
    };
    assert_eq!((fields.constraint_name(), fields.table_name()), (Some("authors_name_key"), Some("authors")));
    assert_eq!(fields.details(), Some("Key (name)=(Ann) already exists."));
    let orphan = diesel::insert_into(posts::table)
        .values((posts::author_id.eq(77), posts::title.eq("x")))
        .execute(connection);
    assert!(matches!(orphan, Err(Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _))));
    let empty = diesel::insert_into(posts::table)
        .values((posts::author_id.eq(1), posts::title.eq("")))
        .execute(connection);
    assert!(matches!(empty, Err(Error::DatabaseError(DatabaseErrorKind::CheckViolation, _))));
    let outcome = connection
        .build_transaction()
        .serializable()
        .read_only()
        .deferrable()
        .run(|connection| diesel::delete(authors::table).execute(connection));
    assert!(matches!(outcome, Err(Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _))));
    let before: i64 = posts::table.count().get_result(connection)?;
    let undone = connection.transaction::<(), Error, _>(|connection| {
        diesel::delete(posts::table).execute(connection)?;
        // Within a transaction another one is a savepoint.
        let inner = connection.transaction::<(), Error, _>(|connection| {
            diesel::sql_query("SELECT 1 / 0").execute(connection).map(|_| ())
        });
        assert!(matches!(inner, Err(Error::DatabaseError(DatabaseErrorKind::Unknown, _))));
        assert_eq!(posts::table.count().get_result::<i64>(connection)?, 0);
        Err(Error::RollbackTransaction)
    });
    assert_eq!(undone, Err(Error::RollbackTransaction));
    assert_eq!(posts::table.count().get_result::<i64>(connection)?, before);
    Ok(())
}

fn copied(connection: &mut PgConnection) -> Outcome {
    let lines = "500,1,First\n501,2,Second\n";
    let count = diesel::copy_from(posts::table)
        .from_raw_data((posts::id, posts::author_id, posts::title), |target| {
            std::io::Write::write_all(target, lines.as_bytes())
                .map_err(|error| Error::SerializationError(error.into()))
        })
        .with_format(diesel::pg::CopyFormat::Csv)
        .execute(connection)?;
    assert_eq!(count, 2);
    let mut out = String::new();
    let mut source =
        diesel::copy_to(tags::table).with_format(diesel::pg::CopyFormat::Csv).load_raw(connection)?;
    std::io::Read::read_to_string(&mut source, &mut out)?;
    assert_eq!(out.lines().count(), 6);
    Ok(())
}

fn pooled() -> Outcome {
    let manager = ConnectionManager::<PgConnection>::new("postgresql://");
    let pool = Pool::builder().max_size(4).connection_customizer(Box::new(InSchema)).build(manager)?;
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let pool = pool.clone();
            std::thread::spawn(move || -> Result<i64, String> {
                let mut connection = pool.get().map_err(|error| error.to_string())?;
                posts::table.count().get_result(&mut connection).map_err(|error| error.to_string())
            })
        })
        .collect();
    for worker in workers {
        assert_eq!(worker.join().expect("no panic")?, 8);
    }
    Ok(())
}

fn all() -> Outcome {
    // libpq takes its parameters from the environment.
    let mut connection = PgConnection::establish("postgresql://")?;
    migrated(&mut connection)?;
    written(&mut connection)?;
    read(&mut connection)?;
    values(&mut connection)?;
    errors(&mut connection)?;
    copied(&mut connection)?;
    pooled()?;
    connection.batch_execute("DROP SCHEMA diesel_checks CASCADE")?;
    Ok(())
}

fn main() {
    if let Err(error) = all() {
        eprintln!("diesel: {error}");
        std::process::exit(1);
    }
    println!("diesel: passed");
}
