package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgtype"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

func pgxChecks() []check {
	return []check{
		{"types", pgxTypes}, {"batches", pgxBatches}, {"copy", pgxCopy}, {"errors", pgxErrors}, {"transactions", pgxTransactions},
		{"notifications", pgxNotifications}, {"pool", pgxPool}, {"enums", pgxEnums}, {"simple protocol", pgxSimple},
	}
}

var background = context.Background()

// A connection whose tables are in a schema of their own, empty at first.
func pgxOpen() *pgx.Conn {
	connection, err := pgx.Connect(background, "application_name=go_checks search_path=go_pgx")
	must(err)
	_, err = connection.Exec(background, "DROP SCHEMA IF EXISTS go_pgx CASCADE; CREATE SCHEMA go_pgx")
	must(err)
	return connection
}

func pgxClose(connection *pgx.Conn) {
	_, err := connection.Exec(background, "DROP SCHEMA go_pgx CASCADE")
	must(err)
	must(connection.Close(background))
}

func pgxError(err error, code string) *pgconn.PgError {
	var problem *pgconn.PgError
	if !errors.As(err, &problem) {
		panic(failure(fmt.Sprintf("no %s but %v", code, err)))
	}
	equal(problem.Code, code, problem.Message)
	return problem
}

// Values go in binary where pgx knows how, both ways.
func pgxTypes() {
	connection := pgxOpen()
	defer pgxClose(connection)
	at := time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.UTC)
	var (
		small      int16
		big        int64
		double     float64
		number     pgtype.Numeric
		text       string
		raw        []byte
		moment     time.Time
		plain      time.Time
		day        pgtype.Date
		id         pgtype.UUID
		document   map[string]interface{}
		integers   [][]int32
		texts      []*string
		interval   pgtype.Interval
		clock      pgtype.Time
		address    pgtype.Inet
		hardware   pgtype.Macaddr
		bits       pgtype.Varbit
		missing    *string
		infinite   pgtype.Timestamptz
		identifier uint32
	)
	must(number.Set("12345678901234567890.0123456789"))
	wanted := number
	row := connection.QueryRow(background, `SELECT $1::smallint, $2::bigint, $3::double precision, $4::numeric, $5::text, $6::bytea,
		$7::timestamptz, $8::timestamp, $9::date, $10::uuid, $11::jsonb, '{{1,2},{3,4}}'::int[], $12::text[], '1 mon 2 days 00:00:03'::interval,
		'12:34:56.5'::time, '10.1.2.3/24'::inet, '08:00:2b:01:02:03'::macaddr, '10101'::varbit, $13::text, 'infinity'::timestamptz, 'pg_class'::regclass::oid`,
		-32768, int64(9223372036854775807), -2.25e300, &number, "Grüße, 世界", []byte{0, 255}, at, at, at, "0123abcd-1234-5678-9abc-def012345678",
		map[string]interface{}{"a": []int{1}}, []string{`a,"b`, ""}, nil)
	must(row.Scan(&small, &big, &double, &number, &text, &raw, &moment, &plain, &day, &id, &document, &integers, &texts, &interval,
		&clock, &address, &hardware, &bits, &missing, &infinite, &identifier))
	equal([]interface{}{small, big, double, text, raw}, []interface{}{int16(-32768), int64(9223372036854775807), -2.25e300, "Grüße, 世界", []byte{0, 255}}, "plain values")
	equal(number.Int.Cmp(wanted.Int) == 0 && number.Exp == wanted.Exp, true, "numeric")
	equal(moment.Equal(at) && plain.Equal(at) && day.Time.Format("2006-01-02") == "2024-02-29", true, "moments")
	equal(document, map[string]interface{}{"a": []interface{}{1.0}}, "jsonb")
	equal(integers, [][]int32{{1, 2}, {3, 4}}, "int[][]")
	equal([]string{*texts[0], *texts[1]}, []string{`a,"b`, ""}, "text[]")
	equal([]interface{}{interval.Months, interval.Days, interval.Microseconds}, []interface{}{int32(1), int32(2), int64(3000000)}, "interval")
	equal(clock.Microseconds, int64(45296500000), "time")
	equal(address.IPNet.String(), "10.1.2.3/24", "inet")
	equal(hardware.Addr.String(), "08:00:2b:01:02:03", "macaddr")
	equal(bits.Len, int32(5), "varbit")
	equal(missing == nil, true, "NULL")
	equal(infinite.InfinityModifier, pgtype.Infinity, "infinity")
	equal(identifier, uint32(1259), "OID of pg_class")
}

func pgxBatches() {
	connection := pgxOpen()
	defer pgxClose(connection)
	_, err := connection.Exec(background, "CREATE TABLE ledger (id serial PRIMARY KEY, amount int NOT NULL CHECK (amount <> 0))")
	must(err)
	batch := &pgx.Batch{}
	for amount := 1; amount <= 100; amount++ {
		batch.Queue("INSERT INTO ledger (amount) VALUES ($1) RETURNING id", amount)
	}
	batch.Queue("SELECT sum(amount) FROM ledger")
	results := connection.SendBatch(background, batch)
	for wanted := 1; wanted <= 100; wanted++ {
		var id int
		must(results.QueryRow().Scan(&id))
		equal(id, wanted, "id in a batch")
	}
	var sum int
	must(results.QueryRow().Scan(&sum))
	equal(sum, 5050, "sum in a batch")
	must(results.Close())
	// A batch is one transaction: what came before the error is undone.
	batch = &pgx.Batch{}
	for _, amount := range []int{7, 0, 8} {
		batch.Queue("INSERT INTO ledger (amount) VALUES ($1)", amount)
	}
	results = connection.SendBatch(background, batch)
	_, err = results.Exec()
	must(err)
	_, err = results.Exec()
	pgxError(err, "23514")
	_, err = results.Exec()
	equal(err != nil, true, "behind an error")
	equal(results.Close() != nil, true, "closing a failed batch")
	var count int
	must(connection.QueryRow(background, "SELECT count(*) FROM ledger").Scan(&count))
	equal(count, 100, "rows after a failed batch")
	rows, err := connection.Query(background, "SELECT generate_series(1, $1::int)", 100000)
	must(err)
	for rows.Next() {
		count++
	}
	must(rows.Err())
	equal(count, 100100, "many rows")
	equal(rows.CommandTag().String(), "SELECT 100000", "tag")
}

func pgxCopy() {
	connection := pgxOpen()
	defer pgxClose(connection)
	_, err := connection.Exec(background, "CREATE TABLE measured (id int PRIMARY KEY, at timestamptz, value double precision, tags text[], note jsonb)")
	must(err)
	var input [][]interface{}
	for id := 0; id < 2000; id++ {
		input = append(input, []interface{}{id, time.Unix(int64(id), 0), float64(id) / 2, []string{"a", "b"}, map[string]int{"id": id}})
	}
	columns := []string{"id", "at", "value", "tags", "note"}
	count, err := connection.CopyFrom(background, pgx.Identifier{"go_pgx", "measured"}, columns, pgx.CopyFromRows(input))
	must(err)
	equal(count, int64(2000), "rows copied")
	_, err = connection.CopyFrom(background, pgx.Identifier{"measured"}, columns, pgx.CopyFromRows(input[:1]))
	pgxError(err, "23505")
	var out bytes.Buffer
	tag, err := connection.PgConn().CopyTo(background, &out, "COPY (SELECT id, note ->> 'id' FROM measured WHERE id < 3 ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER)")
	must(err)
	equal([]string{tag.String(), out.String()}, []string{"COPY 3", "id,?column?\n0,0\n1,1\n2,2\n"}, "COPY TO")
	tag, err = connection.PgConn().CopyFrom(background, strings.NewReader("5000,1\n5001,2\n5002,3\n"), "COPY measured (id, value) FROM STDIN WITH (FORMAT csv) WHERE value > 1 AND tags IS NULL")
	must(err)
	equal(tag.String(), "COPY 2", "COPY FROM with WHERE")
	_, err = connection.PgConn().CopyFrom(background, strings.NewReader("6000,x\n"), "COPY measured (id, value) FROM STDIN WITH (FORMAT csv)")
	equal(pgxError(err, "22P02").Where, `COPY measured, line 1, column value: "x"`, "context")
}

func pgxErrors() {
	connection := pgxOpen()
	defer pgxClose(connection)
	_, err := connection.Exec(background, "CREATE TABLE parents (id int PRIMARY KEY); CREATE TABLE children (parent int REFERENCES parents)")
	must(err)
	_, err = connection.Exec(background, "INSERT INTO children VALUES ($1)", 7)
	problem := pgxError(err, "23503")
	equal([]string{problem.TableName, problem.ConstraintName, problem.Detail},
		[]string{"children", "children_parent_fkey", `Key (parent)=(7) is not present in table "parents".`}, "fields")
	_, err = connection.Exec(background, "SELECT * FROM missing")
	equal(pgxError(err, "42P01").Position, int32(15), "position")
	_, err = connection.Exec(background, "SELECT 'x'::int")
	pgxError(err, "22P02")
	_, err = connection.Exec(background, "SELECT ($1::int)::text || $2", 1)
	equal(err != nil, true, "a missing argument")
	// A plan that was prepared before its table changed.
	_, err = connection.Exec(background, "INSERT INTO parents VALUES (1)")
	must(err)
	var id int
	must(connection.QueryRow(background, "SELECT * FROM parents").Scan(&id))
	_, err = connection.Exec(background, "ALTER TABLE parents ADD name text")
	must(err)
	err = connection.QueryRow(background, "SELECT * FROM parents").Scan(&id, new(*string))
	if err != nil {
		pgxError(err, "0A000")
	}
	var name *string
	must(connection.QueryRow(background, "SELECT * FROM parents").Scan(&id, &name))
	ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
	defer cancel()
	other, err := pgx.Connect(background, "")
	must(err)
	_, err = other.Exec(ctx, "SELECT pg_sleep(60)")
	equal(err != nil && other.IsClosed(), true, "a timeout closes")
}

func pgxTransactions() {
	connection := pgxOpen()
	defer pgxClose(connection)
	_, err := connection.Exec(background, "CREATE TABLE accounts (id int PRIMARY KEY, balance int CHECK (balance >= 0)); INSERT INTO accounts VALUES (1, 100), (2, 0)")
	must(err)
	pay := func(amount int) error {
		return connection.BeginTxFunc(background, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error {
			if _, err := tx.Exec(background, "UPDATE accounts SET balance = balance + $1 WHERE id = 2", amount); err != nil {
				return err
			}
			_, err := tx.Exec(background, "UPDATE accounts SET balance = balance - $1 WHERE id = 1", amount)
			return err
		})
	}
	must(pay(30))
	pgxError(pay(300), "23514")
	var balance int
	must(connection.QueryRow(background, "SELECT balance FROM accounts WHERE id = 2").Scan(&balance))
	equal(balance, 30, "balance")
	tx, err := connection.BeginTx(background, pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.Deferrable})
	must(err)
	var deferrable string
	must(tx.QueryRow(background, "SHOW transaction_deferrable").Scan(&deferrable))
	equal(deferrable, "on", "deferrable")
	nested, err := tx.Begin(background)
	must(err)
	_, err = nested.Exec(background, "DELETE FROM accounts")
	pgxError(err, "25006")
	must(nested.Rollback(background))
	must(tx.Commit(background))
	tx, err = connection.Begin(background)
	must(err)
	_, err = tx.Exec(background, "SELECT 1 / 0")
	pgxError(err, "22012")
	equal(errors.Is(tx.Commit(background), pgx.ErrTxCommitRollback), true, "commit of a failed transaction")
}

func pgxNotifications() {
	connection := pgxOpen()
	defer pgxClose(connection)
	other, err := pgx.Connect(background, "")
	must(err)
	defer other.Close(background)
	_, err = connection.Exec(background, "LISTEN go_pgx")
	must(err)
	_, err = other.Exec(background, "SELECT pg_notify('go_pgx', $1)", "hello")
	must(err)
	ctx, cancel := context.WithTimeout(background, 10*time.Second)
	defer cancel()
	notification, err := connection.WaitForNotification(ctx)
	must(err)
	equal([]interface{}{notification.Payload, notification.PID}, []interface{}{"hello", other.PgConn().PID()}, "notification")
}

func pgxPool() {
	connection := pgxOpen()
	defer pgxClose(connection)
	_, err := connection.Exec(background, "CREATE TABLE jobs (id int PRIMARY KEY, done boolean DEFAULT false); INSERT INTO jobs (id) SELECT generate_series(1, 50)")
	must(err)
	pool, err := pgxpool.Connect(background, "search_path=go_pgx pool_max_conns=5")
	must(err)
	defer pool.Close()
	var group sync.WaitGroup
	problems := make(chan error, 5)
	for worker := 0; worker < 5; worker++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				err := pool.BeginFunc(background, func(tx pgx.Tx) error {
					var id int
					if err := tx.QueryRow(background, "SELECT id FROM jobs WHERE NOT done ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED").Scan(&id); err != nil {
						return err
					}
					_, err := tx.Exec(background, "UPDATE jobs SET done = true WHERE id = $1", id)
					return err
				})
				var problem *pgconn.PgError
				if errors.As(err, &problem) && problem.Code == "40001" {
					continue
				}
				if err != nil {
					if err != pgx.ErrNoRows {
						problems <- err
					}
					return
				}
			}
		}()
	}
	group.Wait()
	close(problems)
	must(<-problems)
	var left int
	must(pool.QueryRow(background, "SELECT count(*) FROM jobs WHERE NOT done").Scan(&left))
	equal(left, 0, "jobs left")
}

func pgxEnums() {
	connection := pgxOpen()
	defer pgxClose(connection)
	_, err := connection.Exec(background, "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TABLE people (name text, mood mood, age positive)")
	must(err)
	_, err = connection.Exec(background, "INSERT INTO people VALUES ($1, $2, $3)", "Ann", "ok", 5)
	must(err)
	_, err = connection.Exec(background, "INSERT INTO people VALUES ($1, $2, $3)", "Bob", "furious", 5)
	pgxError(err, "22P02")
	_, err = connection.Exec(background, "INSERT INTO people VALUES ($1, $2, $3)", "Bob", "sad", -5)
	equal(pgxError(err, "23514").ConstraintName, "positive_check", "constraint of a domain")
	var document json.RawMessage
	must(connection.QueryRow(background, "SELECT json_agg(people) FROM people").Scan(&document))
	equal(string(document), `[{"name":"Ann","mood":"ok","age":5}]`, "rows as JSON")
	statement, err := connection.Prepare(background, "by mood", "SELECT name, age FROM people WHERE mood = $1")
	must(err)
	equal(len(statement.ParamOIDs) == 1 && statement.ParamOIDs[0] > 16384, true, "an enum's OID")
	var name string
	must(connection.QueryRow(background, "by mood", "ok").Scan(&name, nil))
	equal(name, "Ann", "by an enum")
}

// Values stand in the text, as with poolers that cannot have prepared statements.
func pgxSimple() {
	connection := pgxOpen()
	defer pgxClose(connection)
	var text string
	var list []int32
	must(connection.QueryRow(background, "SELECT $1::text || $2, $3::int[]", pgx.QuerySimpleProtocol(true), `it's \ `, "x", []int32{1, 2}).Scan(&text, &list))
	equal(text, `it's \ x`, "text by the simple protocol")
	equal(list, []int32{1, 2}, "array by the simple protocol")
	reader := connection.PgConn().Exec(background, "SELECT 1; CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2); SELECT * FROM t")
	results, err := reader.ReadAll()
	must(err)
	var tags []string
	for _, result := range results {
		tags = append(tags, result.CommandTag.String())
	}
	equal(tags, []string{"SELECT 1", "CREATE TABLE", "INSERT 0 2", "SELECT 2"}, "several statements")
}
