-- A query in parentheses that is the first of several values of IN was taken for all there is.
CREATE TABLE a (s text, n int);
INSERT INTO a VALUES ('k1', 1), ('k2', NULL), (NULL, 3);
SELECT s FROM a q1 WHERE q1.s IN ((SELECT max(q2.s) FROM a q2), q1.s);
SELECT n FROM a WHERE n NOT IN ((SELECT min(q3.n) FROM a q3) + 1, 3);
