package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/lib/pq"
)

func pqChecks() []check {
	return []check{
		{"types", pqTypes}, {"shop", pqShop}, {"errors", pqErrors}, {"copy", pqCopy}, {"transactions", pqTransactions},
		{"notifications", pqNotifications}, {"cancelling", pqCancelling}, {"pool", pqPool}, {"metadata", pqMetadata},
	}
}

// A database whose tables are in a schema of their own, empty at first.
func pqOpen() *sql.DB {
	db, err := sql.Open("postgres", "search_path=go_pq application_name=go_checks")
	must(err)
	_, err = db.Exec("DROP SCHEMA IF EXISTS go_pq CASCADE; CREATE SCHEMA go_pq")
	must(err)
	return db
}

func pqClose(db *sql.DB) {
	_, err := db.Exec("DROP SCHEMA go_pq CASCADE")
	must(err)
	must(db.Close())
}

func pqError(err error, code string) *pq.Error {
	var problem *pq.Error
	if !errors.As(err, &problem) {
		panic(failure(fmt.Sprintf("no %s but %v", code, err)))
	}
	equal(string(problem.Code), code, problem.Message)
	return problem
}

func pqTypes() {
	db := pqOpen()
	defer pqClose(db)
	at := time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.FixedZone("", 2*3600))
	row := db.QueryRow(`SELECT $1::bool, $2::smallint, $3::bigint, $4::real, $5::double precision, $6::numeric, $7::text,
		$8::bytea, $9::timestamptz, $10::date, $11::uuid, $12::jsonb, $13::int[], $14::text[], $15::interval, $16::text`,
		true, -32768, int64(9223372036854775807), 1.5, -2.25e300, "12345678901234567890.0123456789", "Grüße, 世界",
		[]byte{0, 255, '\\'}, at, "1999-12-31", "0123abcd-1234-5678-9abc-def012345678", `{"a": [1, null]}`,
		pq.Array([]int64{1, 2, 3}), pq.Array([]sql.NullString{{String: `a,"b`, Valid: true}, {}}), "1 day 02:03:04", nil)
	var (
		truth          bool
		small          int16
		big            int64
		single, double float64
		number, text   string
		bytes          []byte
		moment, day    time.Time
		id, interval   string
		document       []byte
		integers       []int64
		texts          []sql.NullString
		missing        sql.NullString
	)
	must(row.Scan(&truth, &small, &big, &single, &double, &number, &text, &bytes, &moment, &day, &id, &document,
		pq.Array(&integers), pq.Array(&texts), &interval, &missing))
	equal([]interface{}{truth, small, big, single, double}, []interface{}{true, int16(-32768), int64(9223372036854775807), 1.5, -2.25e300}, "numbers")
	equal([]string{number, text, id, interval}, []string{"12345678901234567890.0123456789", "Grüße, 世界", "0123abcd-1234-5678-9abc-def012345678", "1 day 02:03:04"}, "texts")
	equal(bytes, []byte{0, 255, '\\'}, "bytea")
	equal(moment.Equal(at), true, "timestamptz")
	equal(day.Format("2006-01-02"), "1999-12-31", "date")
	equal(integers, []int64{1, 2, 3}, "int[]")
	equal(texts, []sql.NullString{{String: `a,"b`, Valid: true}, {}}, "text[]")
	equal(missing.Valid, false, "NULL")
	var parsed map[string][]*int
	must(json.Unmarshal(document, &parsed))
	equal(len(parsed["a"]), 2, "jsonb")
	var bc time.Time
	must(db.QueryRow("SELECT timestamptz '0044-03-15 12:00+00 BC'").Scan(&bc))
	equal(bc.Year(), -43, "before Christ")
}

func pqShop() {
	db := pqOpen()
	defer pqClose(db)
	_, err := db.Exec(`
		CREATE TYPE state AS ENUM ('open', 'paid', 'sent');
		CREATE TABLE articles (id serial PRIMARY KEY, name text UNIQUE NOT NULL, price numeric(8, 2) CHECK (price >= 0), tags text[]);
		CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state state DEFAULT 'open', at timestamptz DEFAULT now(), note jsonb);
		CREATE TABLE lines (order_id bigint REFERENCES orders ON DELETE CASCADE, article int REFERENCES articles, count int NOT NULL, PRIMARY KEY (order_id, article))`)
	must(err)
	insert, err := db.Prepare("INSERT INTO articles (name, price, tags) VALUES ($1, $2, $3) RETURNING id")
	must(err)
	for number, name := range []string{"pen", "ink", "paper"} {
		var id int
		must(insert.QueryRow(name, fmt.Sprintf("%d.50", number+1), pq.Array([]string{name, "all"})).Scan(&id))
		equal(id, number+1, "serial")
	}
	must(insert.Close())
	tx, err := db.Begin()
	must(err)
	var order int64
	must(tx.QueryRow(`INSERT INTO orders (note) VALUES ('{"gift": true}') RETURNING id`).Scan(&order))
	for article := 1; article <= 3; article++ {
		_, err := tx.Exec("INSERT INTO lines VALUES ($1, $2, $3)", order, article, article*2)
		must(err)
	}
	must(tx.Commit())
	var sum string
	must(db.QueryRow(`SELECT sum(price * count) FROM lines JOIN articles ON articles.id = article WHERE order_id = $1`, order).Scan(&sum))
	equal(sum, "34.00", "sum")
	result, err := db.Exec("UPDATE orders SET state = $1 WHERE id = ANY($2) AND note ->> 'gift' = 'true'", "paid", pq.Array([]int64{order, 99}))
	must(err)
	changed, err := result.RowsAffected()
	must(err)
	equal(changed, int64(1), "rows of UPDATE")
	rows, err := db.Query("SELECT name, row_number() OVER (ORDER BY price DESC) FROM articles WHERE 'all' = ANY (tags) ORDER BY 2")
	must(err)
	var names []string
	for rows.Next() {
		var name string
		var place int
		must(rows.Scan(&name, &place))
		names = append(names, name)
	}
	must(rows.Err())
	equal(names, []string{"paper", "ink", "pen"}, "by price")
	_, err = db.Exec("DELETE FROM orders")
	must(err)
	var left int
	must(db.QueryRow("SELECT count(*) FROM lines").Scan(&left))
	equal(left, 0, "lines of a deleted order")
}

func pqErrors() {
	db := pqOpen()
	defer pqClose(db)
	_, err := db.Exec("CREATE TABLE limited (id int PRIMARY KEY, small int CONSTRAINT is_small CHECK (small < 10), name varchar(3) NOT NULL)")
	must(err)
	_, err = db.Exec("INSERT INTO limited VALUES (1, 1, 'a'), (1, 2, 'b')")
	problem := pqError(err, "23505")
	equal([]string{problem.Severity, problem.Detail, problem.Schema, problem.Table, problem.Constraint},
		[]string{"ERROR", "Key (id)=(1) already exists.", "go_pq", "limited", "limited_pkey"}, "fields")
	_, err = db.Exec("INSERT INTO limited VALUES (1, 11, 'a')")
	equal(pqError(err, "23514").Constraint, "is_small", "constraint")
	_, err = db.Exec("INSERT INTO limited VALUES (1, 1, NULL)")
	equal(pqError(err, "23502").Column, "name", "column")
	_, err = db.Exec("INSERT INTO limited VALUES (1, 1, $1)", "long")
	pqError(err, "22001")
	_, err = db.Query("SELECT 1, nothing FROM limited")
	equal(pqError(err, "42703").Position, "11", "position")
	_, err = db.Query("SELECT $1::int", "x")
	pqError(err, "22P02")
	_, err = db.Query("SELEC 1")
	pqError(err, "42601")
	_, err = db.Query("SELECT len('x')")
	equal(pqError(err, "42883").Hint != "", true, "hint")
}

func pqCopy() {
	db := pqOpen()
	defer pqClose(db)
	_, err := db.Exec("CREATE TABLE copied (id int, name text, at timestamptz, bytes bytea)")
	must(err)
	load := func(last interface{}) error {
		tx, err := db.Begin()
		must(err)
		defer tx.Rollback()
		statement, err := tx.Prepare(pq.CopyInSchema("go_pq", "copied", "id", "name", "at", "bytes"))
		must(err)
		for number := 0; number < 1000; number++ {
			_, err = statement.Exec(number, fmt.Sprintf("tab\t%d", number), time.Unix(0, 0), []byte{byte(number)})
			must(err)
		}
		if _, err = statement.Exec(last, nil, nil, nil); err == nil {
			_, err = statement.Exec()
		}
		statement.Close()
		if err == nil {
			err = tx.Commit()
		}
		return err
	}
	must(load(1000))
	var count, names int
	must(db.QueryRow("SELECT count(*), count(name) FROM copied").Scan(&count, &names))
	equal([]int{count, names}, []int{1001, 1000}, "rows copied")
	equal(pqError(load("x"), "22P02").Where != "", true, "context")
	must(db.QueryRow("SELECT count(*) FROM copied").Scan(&count))
	equal(count, 1001, "rows after a failed COPY")
}

func pqTransactions() {
	db := pqOpen()
	defer pqClose(db)
	_, err := db.Exec("CREATE TABLE counted (id int PRIMARY KEY)")
	must(err)
	for _, level := range []sql.IsolationLevel{sql.LevelReadUncommitted, sql.LevelReadCommitted, sql.LevelRepeatableRead, sql.LevelSerializable} {
		tx, err := db.BeginTx(context.Background(), &sql.TxOptions{Isolation: level, ReadOnly: true})
		must(err)
		var isolation, readOnly string
		must(tx.QueryRow("SELECT current_setting('transaction_isolation'), current_setting('transaction_read_only')").Scan(&isolation, &readOnly))
		equal([]string{isolation, readOnly}, []string{map[sql.IsolationLevel]string{
			sql.LevelReadUncommitted: "read uncommitted", sql.LevelReadCommitted: "read committed",
			sql.LevelRepeatableRead: "repeatable read", sql.LevelSerializable: "serializable"}[level], "on"}, "modes")
		_, err = tx.Exec("INSERT INTO counted VALUES (1)")
		pqError(err, "25006")
		_, err = tx.Exec("SELECT 1")
		pqError(err, "25P02")
		must(tx.Rollback())
	}
	tx, err := db.Begin()
	must(err)
	_, err = tx.Exec("INSERT INTO counted VALUES (1); SAVEPOINT a; INSERT INTO counted VALUES (2)")
	must(err)
	_, err = tx.Exec("INSERT INTO counted VALUES (1)")
	pqError(err, "23505")
	_, err = tx.Exec("ROLLBACK TO a")
	must(err)
	must(tx.Commit())
	var count int
	must(db.QueryRow("SELECT count(*) FROM counted").Scan(&count))
	equal(count, 1, "rows behind a savepoint")
	tx, err = db.Begin()
	must(err)
	_, err = tx.Exec("SELECT 1 / 0")
	pqError(err, "22012")
	equal(tx.Commit() != nil, true, "commit of a failed transaction")
}

func pqNotifications() {
	db := pqOpen()
	defer pqClose(db)
	listener := pq.NewListener("", 10*time.Millisecond, time.Second, nil)
	defer listener.Close()
	must(listener.Listen("go checks"))
	_, err := db.Exec(`BEGIN; NOTIFY "go checks", 'lost'; ROLLBACK; NOTIFY "go checks", 'kept'`)
	must(err)
	select {
	case notification := <-listener.Notify:
		equal([]string{notification.Channel, notification.Extra}, []string{"go checks", "kept"}, "notification")
	case <-time.After(10 * time.Second):
		panic(failure("no notification"))
	}
	must(listener.Ping())
	must(listener.Unlisten("go checks"))

	var heard []string
	connector, err := pq.NewConnector("search_path=go_pq")
	must(err)
	noticed := sql.OpenDB(pq.ConnectorWithNoticeHandler(connector, func(notice *pq.Error) { heard = append(heard, notice.Message) }))
	defer noticed.Close()
	_, err = noticed.Exec("DROP TABLE IF EXISTS nothing_here")
	must(err)
	equal(heard, []string{`table "nothing_here" does not exist, skipping`}, "notices")
}

func pqCancelling() {
	db := pqOpen()
	defer pqClose(db)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	started := time.Now()
	_, err := db.ExecContext(ctx, "SELECT pg_sleep(60)")
	pqError(err, "57014")
	equal(time.Since(started) < 10*time.Second, true, "cancelled soon")
	var one int
	must(db.QueryRow("SELECT 1").Scan(&one))
	_, err = db.Exec("SET statement_timeout = 50; SELECT pg_sleep(60)")
	pqError(err, "57014")
	connection, err := db.Conn(context.Background())
	must(err)
	var pid int
	must(connection.QueryRowContext(context.Background(), "SELECT pg_backend_pid()").Scan(&pid))
	_, err = db.Exec("SELECT pg_terminate_backend($1)", pid)
	must(err)
	_, err = connection.ExecContext(context.Background(), "SELECT 1")
	if !errors.Is(err, driver.ErrBadConn) {
		pqError(err, "57P01")
	}
	connection.Close()
}

func pqPool() {
	db := pqOpen()
	defer pqClose(db)
	db.SetMaxOpenConns(8)
	_, err := db.Exec("CREATE TABLE hits (id int PRIMARY KEY, count int); INSERT INTO hits VALUES (1, 0)")
	must(err)
	var group sync.WaitGroup
	problems := make(chan error, 16)
	for worker := 0; worker < 16; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for turn := 0; turn < 20; turn++ {
				for {
					_, err := db.Exec("INSERT INTO hits VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET count = hits.count + 1")
					var problem *pq.Error
					// Snapshot isolation may ask for another try.
					if errors.As(err, &problem) && problem.Code == "40001" {
						continue
					}
					if err != nil {
						problems <- err
					}
					break
				}
			}
		}()
	}
	group.Wait()
	close(problems)
	must(<-problems)
	var count int
	must(db.QueryRow("SELECT count FROM hits").Scan(&count))
	equal(count, 320, "updates of many")
}

func pqMetadata() {
	db := pqOpen()
	defer pqClose(db)
	rows, err := db.Query("SELECT 1 AS a, 'x'::varchar(7) AS b, 1.5::numeric(6, 2) AS c, now() AS d, '{1}'::int[] AS e")
	must(err)
	defer rows.Close()
	types, err := rows.ColumnTypes()
	must(err)
	var names []string
	for _, each := range types {
		names = append(names, each.Name()+" "+each.DatabaseTypeName())
	}
	equal(names, []string{"a INT4", "b VARCHAR", "c NUMERIC", "d TIMESTAMPTZ", "e _INT4"}, "types of columns")
	length, _ := types[1].Length()
	precision, scale, _ := types[2].DecimalSize()
	equal([]int64{length, precision, scale}, []int64{7, 6, 2}, "modifiers")
	equal(rows.Next(), true, "a row")
	equal(rows.NextResultSet(), false, "one result")
	several, err := db.Query("SELECT 1; SELECT 2, 3")
	must(err)
	defer several.Close()
	equal(several.Next() && !several.Next() && several.NextResultSet() && several.Next(), true, "two results")
}
