-- Queries that PostgreSQL, without an index on lineitem's parts, cannot finish: the same, with the subquery computed once
-- for all its keys. They are for comparing results alone; the time of these is not taken.

-- 17
SELECT sum(l_extendedprice) / 7.0 AS avg_yearly
FROM lineitem, part,
     (SELECT l_partkey AS partkey, 0.2 * avg(l_quantity) AS least FROM lineitem GROUP BY l_partkey) AS quantities
WHERE p_partkey = l_partkey AND p_brand = 'Brand#23' AND p_container = 'MED BOX'
  AND partkey = p_partkey AND l_quantity < least;

-- 20
SELECT s_name, s_address
FROM supplier, nation
WHERE s_suppkey IN (
    SELECT ps_suppkey
    FROM partsupp,
         (SELECT l_partkey, l_suppkey, 0.5 * sum(l_quantity) AS half
          FROM lineitem
          WHERE l_shipdate >= date '1994-01-01' AND l_shipdate < date '1994-01-01' + interval '1' year
          GROUP BY l_partkey, l_suppkey) AS sold
    WHERE ps_partkey IN (SELECT p_partkey FROM part WHERE p_name LIKE 'forest%')
      AND l_partkey = ps_partkey AND l_suppkey = ps_suppkey AND ps_availqty > half)
  AND s_nationkey = n_nationkey AND n_name = 'CANADA'
ORDER BY s_name;
