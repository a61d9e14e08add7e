-- The brackets of a type or of ARRAY[] behind SET's list were taken for a subscript of a column that gets a value.
CREATE TABLE d (z int, s text);
INSERT INTO d VALUES (1, 'k1'), (2, NULL);
UPDATE d t SET z = 1 RETURNING t.s, array_length('{1,2}'::int[], 1);
UPDATE d t SET z = 2 WHERE z IN (1, 2) AND ARRAY[z] <> '{5}'::int[] RETURNING 1, ARRAY[t.z];
