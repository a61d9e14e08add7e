CREATE TABLE users (id INT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, age INT);
INSERT INTO users VALUES (1, 'Alice Johnson', 'alice@example.com', 30);
INSERT INTO users VALUES (2, 'Bob Smith', 'bob@example.com', 25);
INSERT INTO users VALUES (3, 'Charlie Brown', 'charlie@example.com', 35);
SELECT * FROM users;
SELECT name, age FROM users WHERE age > 28;
SELECT COUNT(*) as total_users FROM users;
SELECT AVG(age) as average_age FROM users;
UPDATE users SET age = 31 WHERE name = 'Alice Johnson';
DELETE FROM users WHERE age < 28;
SELECT * FROM users ORDER BY id;
DROP TABLE users;
CREATE TABLE quick_start (id INT PRIMARY KEY, name TEXT NOT NULL, price NUMERIC(10, 2), made TIMESTAMP);
INSERT INTO quick_start VALUES (1, 'Widget', 9.99, '2024-01-15 10:30:00'), (2, 'Gadget', 24.5, NULL);
SELECT * FROM quick_start ORDER BY id;
INSERT INTO quick_start VALUES (1, 'Duplicate', 1, NULL);
INSERT INTO quick_start (id) VALUES (3);
SELECT nothing FROM quick_start;
SELECT * FROM missing_table;
BEGIN;
UPDATE quick_start SET price = price * 2 WHERE id = 1;
SAVEPOINT before_error;
SELECT 1 / (id - 1) FROM quick_start WHERE id = 1;
ROLLBACK TO before_error;
SELECT name, price FROM quick_start WHERE id = 1;
ROLLBACK;
SELECT name, price FROM quick_start WHERE id = 1;
COPY quick_start FROM STDIN;
10	Copied	1.25	2024-02-01 00:00:00
11	Copied too	\N	\N
\.
COPY (SELECT * FROM quick_start ORDER BY id) TO STDOUT WITH (FORMAT csv, HEADER);
PREPARE by_id (int) AS SELECT name FROM quick_start WHERE id = $1;
EXECUTE by_id(10);
EXECUTE by_id(99);
DEALLOCATE by_id;
SELECT count(*), sum(price) FROM quick_start \gx
DELETE FROM quick_start WHERE id >= 10 RETURNING id;
SELECT true AS yes, 'it''s' AS text, ARRAY[1, 2] AS list \g
BEGIN;
DECLARE found CURSOR FOR SELECT id, name FROM quick_start ORDER BY id;
FETCH found;
FETCH 5 FROM found;
FETCH found;
CLOSE found;
FETCH found;
ROLLBACK;
CREATE UNIQUE INDEX quick_start_name ON quick_start (name, price DESC);
\d quick_start
\d quick_start_name
\d no_such_table
\dt quick_*
\di quick_*
DROP TABLE quick_start;
