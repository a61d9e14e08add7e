// What programs do with node-postgres and Drizzle: each check is a function, run on a fresh connection.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { Readable } from 'node:stream';
import { drizzle } from 'drizzle-orm/node-postgres';
import { and, count, desc, eq, relations, sql, sum } from 'drizzle-orm';
import * as d from 'drizzle-orm/pg-core';
import pg from 'pg';
import copy from 'pg-copy-streams';
import Cursor from 'pg-cursor';

const SCHEMA = 'node_checks';

async function make(client) {
    await client.query(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE; CREATE SCHEMA ${SCHEMA}; SET search_path = ${SCHEMA}`);
    await client.query('CREATE TABLE items (id serial PRIMARY KEY, name text UNIQUE NOT NULL, price numeric, at timestamptz)');
}

async function fails(promise, code) {
    try {
        await promise;
    } catch (error) {
        assert.equal(error.code, code, error.message);
        return error;
    }
    assert.fail(`no ${code}`);
}

async function values(client) {
    const at = new Date('2024-02-29T12:34:56.789Z');
    const row = [true, 7, '9007199254740993', 1.5, '12.340', 'Grüße', at, { a: [1, null] }, [1, null, 3], ['a,b', '"', null], Buffer.from([0, 255])];
    const query = `SELECT $1::bool b, $2::int i, $3::bigint l, $4::float8 f, $5::numeric n, $6::text t, $7::timestamptz z,
        $8::jsonb j, $9::int[] a, $10::text[] s, $11::bytea d`;
    const parameters = [...row];
    const result = await client.query({ text: query, values: parameters, rowMode: 'array' });
    assert.deepEqual(result.rows[0], row);
    assert.deepEqual(result.fields.map((field) => field.dataTypeID), [16, 23, 20, 701, 1700, 25, 1184, 3802, 1007, 1009, 17]);
    const { rows } = await client.query("SELECT '1 day 02:03:04'::interval v, '2024-01-02'::date AS day, 'infinity'::timestamp inf, NULL::int n");
    assert.equal(rows[0].v.days, 1);
    assert.equal(rows[0].inf, Infinity);
    assert.equal(rows[0].n, null);
}

async function statements(client) {
    await make(client);
    const inserted = await client.query("INSERT INTO items (name, price) VALUES ($1, $2), ('b', 2) RETURNING id, name", ['a', 1.5]);
    assert.deepEqual([inserted.command, inserted.rowCount, inserted.rows], ['INSERT', 2, [{ id: 1, name: 'a' }, { id: 2, name: 'b' }]]);
    for (let time = 0; time < 3; time++) {
        const { rows } = await client.query({ name: 'by-id', text: 'SELECT name FROM items WHERE id = $1', values: [1 + (time % 2)] });
        assert.equal(rows[0].name, time % 2 ? 'b' : 'a');
    }
    const several = await client.query("SELECT 1 AS one; UPDATE items SET price = 3; SELECT 'x'");
    assert.deepEqual(several.map((each) => each.command), ['SELECT', 'UPDATE', 'SELECT']);
    const { fields } = await client.query('SELECT id, name AS n FROM items');
    assert.deepEqual(fields.map((field) => [field.name, field.columnID, field.tableID > 0]), [['id', 1, true], ['n', 2, true]]);
}

async function errors(client) {
    await make(client);
    const taken = await fails(client.query("INSERT INTO items (name) VALUES ('a'), ('a')"), '23505');
    assert.deepEqual([taken.constraint, taken.table, taken.schema, taken.detail], ['items_name_key', 'items', SCHEMA, 'Key (name)=(a) already exists.']);
    assert.equal((await fails(client.query('SELECT nothing FROM items'), '42703')).position, '8');
    assert.equal((await fails(client.query('INSERT INTO items (name) VALUES (NULL)'), '23502')).column, 'name');
    await fails(client.query('SELECT $1::int', ['x']), '22P02');
    await fails(client.query('SELEC'), '42601');
    await client.query('BEGIN');
    await fails(client.query('SELECT 1/0'), '22012');
    await fails(client.query('SELECT 1'), '25P02');
    await client.query('ROLLBACK');
    await client.query('SET statement_timeout = 50');
    await fails(client.query('SELECT pg_sleep(10)'), '57014');
    await client.query('RESET statement_timeout');
}

async function cursorsAndCopy(client) {
    await make(client);
    const cursor = client.query(new Cursor('SELECT g FROM generate_series(1, $1::int) g', [250]));
    let total = 0;
    for (let rows = await cursor.read(100); rows.length > 0; rows = await cursor.read(100)) total += rows.length;
    await cursor.close();
    assert.equal(total, 250);
    const lines = Array.from({ length: 1000 }, (_, n) => `item ${n}\t${n}\n`);
    await pipeline(Readable.from(lines), client.query(copy.from('COPY items (name, price) FROM STDIN')));
    let text = '';
    for await (const chunk of client.query(copy.to('COPY (SELECT name FROM items ORDER BY id LIMIT 2) TO STDOUT'))) text += chunk;
    assert.equal(text, 'item 0\nitem 1\n');
}

async function notifications(client) {
    await client.query('LISTEN "Node Checks"');
    const other = new pg.Client();
    await other.connect();
    const heard = once(client, 'notification');
    await other.query("SELECT pg_notify('Node Checks', 'payload')");
    const [{ channel, payload, processId }] = await heard;
    assert.deepEqual([channel, payload, processId], ['Node Checks', 'payload', other.processID]);
    await other.end();
    const notice = once(client, 'notice');
    await client.query('DROP TABLE IF EXISTS not_there_at_all');
    assert.equal((await notice)[0].code, '00000');
}

async function pools() {
    const pool = new pg.Pool({ max: 5 });
    const results = await Promise.all(Array.from({ length: 40 }, (_, n) => pool.query('SELECT $1::int AS n', [n])));
    assert.equal(results.reduce((all, each) => all + each.rows[0].n, 0), 780);
    const ended = new pg.Client();
    await ended.connect();
    const died = once(ended, 'error');
    ended.on('error', () => {});
    await pool.query('SELECT pg_terminate_backend($1)', [ended.processID]);
    assert.equal((await died)[0].code, '57P01');
    await pool.end();
}

async function drizzleQueries(client) {
    await make(client);
    await client.query(`CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name varchar(20) NOT NULL, mood mood DEFAULT 'ok', data jsonb);
        CREATE TABLE posts (id serial PRIMARY KEY, user_id int REFERENCES users ON DELETE CASCADE, title text, tags text[])`);
    const schema = d.pgSchema(SCHEMA);
    const mood = schema.enum('mood', ['sad', 'ok']);
    const users = schema.table('users', {
        id: d.integer().primaryKey().generatedAlwaysAsIdentity(), name: d.varchar({ length: 20 }).notNull(), mood: mood().default('ok'), data: d.jsonb(),
    });
    const posts = schema.table('posts', { id: d.serial().primaryKey(), userId: d.integer('user_id').references(() => users.id), title: d.text(), tags: d.text().array() });
    const usersRelations = relations(users, ({ many }) => ({ posts: many(posts) }));
    const postsRelations = relations(posts, ({ one }) => ({ user: one(users, { fields: [posts.userId], references: [users.id] }) }));
    const db = drizzle(client, { schema: { users, posts, usersRelations, postsRelations } });
    const [user] = await db.insert(users).values({ name: 'Ann', data: { a: 1 } }).returning();
    assert.deepEqual(user, { id: 1, name: 'Ann', mood: 'ok', data: { a: 1 } });
    await db.insert(posts).values([{ userId: 1, title: 'x', tags: ['a', 'b'] }, { userId: 1, title: 'y' }]);
    const found = await db.query.users.findMany({ with: { posts: { orderBy: desc(posts.id), limit: 1 } } });
    assert.deepEqual(found[0].posts, [{ id: 2, userId: 1, title: 'y', tags: null }]);
    const joined = await db.select({ name: users.name, n: count(posts.id) }).from(users).leftJoin(posts, eq(posts.userId, users.id)).groupBy(users.name);
    assert.deepEqual(joined, [{ name: 'Ann', n: 2 }]);
    await db.insert(users).overridingSystemValue().values({ id: 1, name: 'Bea' }).onConflictDoUpdate({ target: users.id, set: { name: sql`excluded.name` } });
    await db.transaction(async (tx) => {
        await tx.update(users).set({ mood: 'sad' }).where(and(eq(users.id, 1), eq(users.name, 'Bea')));
        await assert.rejects(tx.transaction(async (inner) => { await inner.delete(users); inner.rollback(); }));
    });
    assert.equal((await db.select({ s: sum(users.id) }).from(users).where(eq(users.mood, 'sad')))[0].s, '1');
}

/** `drizzle-kit pull` reads the whole schema. */
async function drizzlePull(client) {
    await make(client);
    await client.query(`CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY (START 5) PRIMARY KEY, name varchar(20) DEFAULT 'x' NOT NULL, mood mood DEFAULT 'ok',
            price numeric(8, 2) DEFAULT 1.5, at timestamptz DEFAULT now(), tags text[] DEFAULT '{}', u uuid DEFAULT gen_random_uuid(), twice int GENERATED ALWAYS AS (1 + 1) STORED,
            CONSTRAINT name_long CHECK (length(name) > 2), CONSTRAINT both_unique UNIQUE (name, mood));
        CREATE TABLE posts (user_id int REFERENCES users ON DELETE CASCADE, n int, PRIMARY KEY (user_id, n));
        CREATE INDEX by_name ON users (lower(name), price DESC) WHERE price > 0;
        CREATE SEQUENCE counter INCREMENT 2;
        CREATE VIEW names AS SELECT name FROM users`);
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'drizzle-'));
    try {
        const { PGHOST, PGPORT, PGUSER, PGDATABASE } = process.env;
        const config = path.join(folder, 'drizzle.config.json');
        fs.writeFileSync(config, JSON.stringify({
            dialect: 'postgresql', out: path.relative('.', folder), schemaFilter: [SCHEMA], dbCredentials: { url: `postgres://${PGUSER}@${PGHOST}:${PGPORT}/${PGDATABASE}` },
        }));
        execFileSync('node', ['node_modules/drizzle-kit/bin.cjs', 'pull', '--config', path.relative('.', config)], { stdio: 'pipe' });
        const pulled = fs.readFileSync(path.join(folder, 'schema.ts'), 'utf8');
        for (const line of ['mood', 'primaryKey()', "increment: \"2\"", 'both_unique', 'foreignKey({', 'onDelete("cascade")', 'generatedAlwaysAsIdentity', 'startWith: 5', 'view("names"',
            'length: 20', 'precision: 8, scale:  2', 'defaultNow()', 'name_long', "length((name)::text) > 2", 'defaultRandom()']) {
            assert.ok(pulled.includes(line), `${line} is not in ${pulled}`);
        }
    } finally {
        fs.rmSync(folder, { recursive: true });
    }
}

let failures = 0;
const checks = [values, statements, errors, cursorsAndCopy, notifications, pools, drizzleQueries, drizzlePull];
for (const check of checks) {
    const client = new pg.Client();
    try {
        await client.connect();
        await check(client);
    } catch (error) {
        failures += 1;
        console.error(`node-postgres: ${check.name} failed`);
        console.error(error.stderr?.toString() || error);
    }
    await client.end();
}
const last = new pg.Client();
await last.connect();
await last.query(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`);
await last.end();
console.log(`node-postgres: ${checks.length - failures} of ${checks.length} checks passed`);
process.exit(failures ? 1 : 0);
