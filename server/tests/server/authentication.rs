//! Who may connect: passwords by SCRAM-SHA-256, roles that may not log in, roles that do not exist, as a real driver and
//! a raw connection see it.

use std::time::Duration;

use helios_server::Authentication;
use tokio_postgres::{Client, Config, Error, NoTls};

use crate::driver::runtime;
use crate::support::{TestServer, message, startup};

/// A server that asks for passwords; the superuser's is `first`.
fn guarded() -> TestServer {
    TestServer::over(
        |options| options.authentication = Authentication::ScramSha256,
        |database| assert!(database.set_first_password("first").expect("set")),
    )
}

async fn connect(server: &TestServer, user: &str, password: Option<&str>) -> Result<Client, Error> {
    let mut config = Config::new();
    config.host("127.0.0.1").port(server.address.port()).dbname("postgres").user(user);
    if let Some(password) = password {
        config.password(password);
    }
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(async move { connection.await.ok() });
    Ok(client)
}

/// How the server refuses a client.
async fn refusal(server: &TestServer, user: &str, password: &str) -> String {
    let Err(error) = connect(server, user, Some(password)).await else { panic!("{user} is let in") };
    let error = error.as_db_error().expect("an answer of the server");
    format!("{} {} {}", error.severity(), error.code().code(), error.message())
}

fn wrong_password(user: &str) -> String {
    format!("FATAL 28P01 password authentication failed for user \"{user}\"")
}

#[test]
fn passwords_let_in_who_knows_them() {
    let server = guarded();
    runtime().block_on(async {
        let client = connect(&server, "postgres", Some("first")).await.expect("the right password");
        let row =
            client.query_one("SELECT current_user::text, session_user::text", &[]).await.expect("a row");
        assert_eq!((row.get(0), row.get(1)), ("postgres", "postgres"));
        for wrong in ["", "First", "first ", "second"] {
            assert_eq!(refusal(&server, "postgres", wrong).await, wrong_password("postgres"));
        }
        client
            .batch_execute(
                "CREATE ROLE anna LOGIN PASSWORD 'geheim ☺'; CREATE ROLE group_role PASSWORD 'x'; \
                 CREATE ROLE late LOGIN PASSWORD 'x' VALID UNTIL '2001-01-01'; CREATE ROLE bare LOGIN; \
                 CREATE ROLE old LOGIN PASSWORD 'md5c4ca4238a0b923820dcc509a6f75849b'; \
                 CREATE ROLE few LOGIN PASSWORD 'x' CONNECTION LIMIT 1; \
                 ALTER ROLE anna SET search_path = anna, public",
            )
            .await
            .expect("roles");
        let anna = connect(&server, "anna", Some("geheim ☺")).await.expect("the right password");
        let row = anna
            .query_one("SELECT current_setting('is_superuser'), current_setting('search_path')", &[])
            .await
            .expect("a row");
        assert_eq!((row.get(0), row.get(1)), ("off", "anna, public"));
        let denied = anna.batch_execute("CREATE ROLE other").await.expect_err("no right to");
        assert_eq!(denied.code().expect("a code").code(), "42501");
        for user in ["late", "bare", "old", "nobody"] {
            assert_eq!(refusal(&server, user, "x").await, wrong_password(user));
        }
        assert_eq!(refusal(&server, "group_role", "y").await, wrong_password("group_role"));
        let no_login = "FATAL 28000 role \"group_role\" is not permitted to log in";
        assert_eq!(refusal(&server, "group_role", "x").await, no_login);
        let one = connect(&server, "few", Some("x")).await.expect("the first");
        let too_many = "FATAL 53300 too many connections for role \"few\"";
        assert_eq!(refusal(&server, "few", "x").await, too_many);
        drop(one);
        // Another password, another name: what was known is no good any more.
        client.batch_execute("ALTER ROLE anna PASSWORD 'other'").await.expect("changed");
        assert_eq!(refusal(&server, "anna", "geheim ☺").await, wrong_password("anna"));
        connect(&server, "anna", Some("other")).await.expect("the new password");
        client.batch_execute("ALTER ROLE anna RENAME TO berta").await.expect("renamed");
        assert_eq!(refusal(&server, "anna", "other").await, wrong_password("anna"));
        connect(&server, "berta", Some("other")).await.expect("the new name");
        client.batch_execute("ALTER ROLE berta PASSWORD NULL").await.expect("cleared");
        assert_eq!(refusal(&server, "berta", "other").await, wrong_password("berta"));
        // What PostgreSQL 15 stored for a password.
        client
            .batch_execute(
                "CREATE ROLE moved LOGIN PASSWORD 'SCRAM-SHA-256$4096:IsY2qLYpj2XSNY54N/i9Tg==$\
                 9Qv3nDwJZ6r2EbNzV2lAEu74/TXzUbJAuSgcsRDKa7M=:8rOQ/Limr7AsJvSv4+MbuZw//V6ivunGHXi9+sjBBUI='",
            )
            .await
            .expect("a verifier");
        connect(&server, "moved", Some("pencil ☺")).await.expect("the password of the verifier");
        assert_eq!(refusal(&server, "moved", "pencil").await, wrong_password("moved"));
    });
}

#[test]
fn trusted_clients_need_a_role_that_may_log_in() {
    let server = TestServer::start();
    runtime().block_on(async {
        let client = connect(&server, "postgres", None).await.expect("trusted");
        client.batch_execute("CREATE ROLE group_role").await.expect("made");
        let no_login = "FATAL 28000 role \"group_role\" is not permitted to log in";
        assert_eq!(refusal(&server, "group_role", "").await, no_login);
        assert_eq!(refusal(&server, "nobody", "").await, "FATAL 28000 role \"nobody\" does not exist");
        client.batch_execute("ALTER ROLE group_role LOGIN").await.expect("allowed");
        connect(&server, "group_role", None).await.expect("allowed now");
    });
}

#[test]
fn challenges_do_not_tell_which_roles_there_are() {
    let server = guarded();
    let challenge = |user: &str| {
        let mut wire = server.dial();
        wire.send(&startup(&[("user", user)]));
        let offer = wire.answer().expect("an offer");
        assert_eq!(offer.body, b"\0\0\0\x0aSCRAM-SHA-256\0\0");
        let first = b"n,,n=,r=abc";
        let length = (first.len() as u32).to_be_bytes();
        wire.send(&message(b'p', &[b"SCRAM-SHA-256\0", &length[..], first].concat()));
        let body = wire.answer().expect("a challenge").body;
        let text = String::from_utf8(body[4..].to_vec()).expect("text");
        let (nonce, rest) = text.split_once(',').expect("attributes");
        assert!(nonce.starts_with("r=abc") && nonce.len() == "r=abc".len() + 24, "{text}");
        assert!(rest.starts_with("s=") && rest.ends_with(",i=4096") && rest.len() == 2 + 24 + 7, "{text}");
        rest.to_string()
    };
    assert_eq!(challenge("nobody"), challenge("nobody"));
    assert_eq!(challenge("postgres"), challenge("postgres"));
    assert_ne!(challenge("nobody"), challenge("somebody"));
}

#[test]
fn what_is_no_answer_to_a_challenge_ends_the_connection() {
    let server = guarded();
    let first = |mechanism: &str, body: &[u8]| {
        message(b'p', &[mechanism.as_bytes(), b"\0", &(body.len() as u32).to_be_bytes(), body].concat())
    };
    for (bytes, expected) in [
        (message(b'Q', b"SELECT 1\0"), "E FATAL 08P01 expected SASL response, got message type 81"),
        (
            first("SCRAM-SHA-1", b"n,,n=,r=a"),
            "E FATAL 08P01 client selected an invalid SASL authentication mechanism",
        ),
        (first("SCRAM-SHA-256", b""), "E FATAL 08P01 malformed SCRAM message"),
        (first("SCRAM-SHA-256", b"n,,n=\xff,r=a"), "E FATAL 08P01 malformed SCRAM message"),
        (
            message(b'p', b"SCRAM-SHA-256\0\x7f\xff\xff\xff"),
            "E FATAL 08P01 insufficient data left in message",
        ),
        (message(b'p', &[b'x'; 4_000]), "E FATAL 08P01 invalid message length"),
    ] {
        let mut wire = server.dial();
        wire.send(&startup(&[("user", "postgres")]));
        assert_eq!(wire.answer().expect("an offer").kind, 'R');
        wire.send(&bytes);
        assert_eq!(wire.answer().expect("a refusal").short(), expected);
        assert_eq!(wire.answer(), None);
    }
}

#[test]
fn clients_that_do_not_answer_are_let_go() {
    let server = TestServer::over(
        |options| {
            options.authentication = Authentication::ScramSha256;
            options.startup_patience = Duration::from_millis(200);
        },
        |database| assert!(database.set_first_password("first").expect("set")),
    );
    let mut wire = server.dial();
    wire.send(&startup(&[("user", "postgres")]));
    assert_eq!(wire.answer().expect("an offer").kind, 'R');
    assert_eq!(wire.answer(), None);
}

#[test]
fn passwords_are_not_asked_for_where_there_are_none() {
    use heliosdb_nano::EmbeddedDatabase;
    let options = helios_server::ServerOptions {
        port: 0,
        authentication: Authentication::ScramSha256,
        ..helios_server::ServerOptions::default()
    };
    let database = EmbeddedDatabase::new_in_memory().expect("a database");
    let server = helios_server::Server::bind(options).expect("a free port");
    let stop = helios_runtime::executor::StopToken::new();
    let error = server.serve(database.engine().clone(), &stop).expect_err("refused");
    assert!(error.to_string().contains("no role has one"), "{error}");
}

/// Whoever may not connect to a database is told so, and who may not use one of its branches neither.
#[test]
fn the_right_to_connect_is_asked_for() {
    let server = TestServer::start();
    runtime().block_on(async {
        let client = connect(&server, "postgres", None).await.expect("the superuser");
        client
            .batch_execute(
                "CREATE ROLE guest LOGIN; CREATE ROLE host; CREATE DATABASE closed; \
                 REVOKE CONNECT ON DATABASE closed FROM PUBLIC; GRANT CONNECT ON DATABASE closed TO host",
            )
            .await
            .expect("roles and a database");
        let mut config = Config::new();
        config.host("127.0.0.1").port(server.address.port()).dbname("closed").user("guest");
        let error = config.connect(NoTls).await.map(|_| ()).expect_err("no right to connect");
        let error = error.as_db_error().expect("an answer of the server");
        assert_eq!(
            (error.severity(), error.code().code(), error.message(), error.detail()),
            (
                "FATAL",
                "42501",
                "permission denied for database \"closed\"",
                Some("User does not have CONNECT privilege.")
            )
        );
        connect(&server, "guest", None).await.expect("the first database is open");
        client.batch_execute("GRANT host TO guest").await.expect("a member");
        drop(config.connect(NoTls).await.expect("its group may connect"));
    });
}

/// A right that goes takes prepared statements with it, in other sessions too; and a role that gets another name keeps
/// its rights.
#[test]
fn rights_are_those_of_now() {
    let server = TestServer::start();
    runtime().block_on(async {
        let owner = connect(&server, "postgres", None).await.expect("the superuser");
        owner
            .batch_execute(
                "CREATE TABLE t (a integer PRIMARY KEY, b integer); INSERT INTO t VALUES (1, 1); \
                 CREATE ROLE reader LOGIN; GRANT SELECT, UPDATE (b) ON t TO reader",
            )
            .await
            .expect("a table");
        let reader = connect(&server, "reader", None).await.expect("a reader");
        let query = reader.prepare("SELECT b FROM t WHERE a = $1").await.expect("prepared");
        let change = reader.prepare("UPDATE t SET b = b + 1 WHERE a = $1").await.expect("prepared");
        for _ in 0..3 {
            reader.execute(&change, &[&1]).await.expect("may change");
            reader.query_one(&query, &[&1]).await.expect("may read");
        }
        owner.batch_execute("ALTER ROLE reader RENAME TO reader_too").await.expect("renamed");
        reader.query_one(&query, &[&1]).await.expect("may still read");
        let row = reader.query_one("SELECT current_user::text", &[]).await.expect("a row");
        assert_eq!(row.get::<_, &str>(0), "reader_too");
        owner.batch_execute("REVOKE UPDATE (b) ON t FROM reader_too").await.expect("revoked");
        let denied = reader.execute(&change, &[&1]).await.expect_err("no right to");
        let denied = denied.as_db_error().expect("an answer of the server");
        assert_eq!((denied.code().code(), denied.message()), ("42501", "permission denied for table t"));
        reader.query_one(&query, &[&1]).await.expect("may read yet");
        owner.batch_execute("REVOKE SELECT ON t FROM reader_too").await.expect("revoked");
        reader.query_one(&query, &[&1]).await.expect_err("no right to");
        owner.batch_execute("GRANT SELECT ON t TO PUBLIC").await.expect("granted");
        reader.query_one(&query, &[&1]).await.expect("may read again");
    });
}
