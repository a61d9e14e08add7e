//! The first steps with the embedded library: `cargo run --example quickstart [FOLDER]`.

use heliosdb_nano::{EmbeddedDatabase, Result, params};

fn main() -> Result<()> {
    let database = match std::env::args().nth(1) {
        Some(folder) => EmbeddedDatabase::new(folder)?,
        None => EmbeddedDatabase::new_in_memory()?,
    };
    database.execute(
        "CREATE TABLE IF NOT EXISTS users (id INT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, age INT)",
    )?;
    database.execute("DELETE FROM users")?;
    database.execute_with(
        "INSERT INTO users VALUES ($1, $2, $3, $4)",
        params![1, "Alice Johnson", "alice@example.com", 30],
    )?;
    database.execute("INSERT INTO users VALUES (2, 'Bob Smith', 'bob@example.com', 25)")?;

    let transaction = database.begin_transaction()?;
    transaction.execute("UPDATE users SET age = age + 1 WHERE id = 1")?;
    transaction.commit()?;

    for row in database.query("SELECT name, age FROM users WHERE age > $1 ORDER BY name", params![28])? {
        println!("{} is {}", row.get::<String>("name")?, row.get::<i32>("age")?);
    }
    Ok(())
}
