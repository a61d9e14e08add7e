-- The planets of the solar system, by NASA's fact sheets
CREATE TABLE planets (
    name TEXT PRIMARY KEY,
    position INT NOT NULL UNIQUE,
    mass DOUBLE PRECISION NOT NULL CHECK (mass > 0),      -- 10^24 kg
    diameter INT NOT NULL,                                -- km
    distance DOUBLE PRECISION NOT NULL,                   -- 10^6 km from the Sun
    period DOUBLE PRECISION NOT NULL                      -- days
);
INSERT INTO planets VALUES
    ('Mercury', 1, 0.330, 4879, 57.9, 88.0),
    ('Venus', 2, 4.87, 12104, 108.2, 224.7),
    ('Earth', 3, 5.97, 12756, 149.6, 365.2),
    ('Mars', 4, 0.642, 6792, 228.0, 687.0),
    ('Jupiter', 5, 1898, 142984, 778.5, 4331),
    ('Saturn', 6, 568, 120536, 1432.0, 10747),
    ('Uranus', 7, 86.8, 51118, 2867.0, 30589),
    ('Neptune', 8, 102, 49528, 4515.0, 59800);

-- Their largest moons, each with the planet that it belongs to
CREATE TABLE moons (
    name TEXT PRIMARY KEY,
    planet TEXT NOT NULL REFERENCES planets (name),
    radius NUMERIC(6, 1) NOT NULL,                        -- km
    discovered INT,
    discoverer TEXT
);
INSERT INTO moons VALUES
    ('Moon', 'Earth', 1737.4, NULL, NULL),
    ('Phobos', 'Mars', 11.1, 1877, 'Asaph Hall'),
    ('Deimos', 'Mars', 6.2, 1877, 'Asaph Hall'),
    ('Io', 'Jupiter', 1821.6, 1610, 'Galileo Galilei'),
    ('Europa', 'Jupiter', 1560.8, 1610, 'Galileo Galilei'),
    ('Ganymede', 'Jupiter', 2634.1, 1610, 'Galileo Galilei'),
    ('Callisto', 'Jupiter', 2410.3, 1610, 'Galileo Galilei'),
    ('Mimas', 'Saturn', 198.2, 1789, 'William Herschel'),
    ('Enceladus', 'Saturn', 252.1, 1789, 'William Herschel'),
    ('Tethys', 'Saturn', 531.1, 1684, 'Giovanni Cassini'),
    ('Dione', 'Saturn', 561.4, 1684, 'Giovanni Cassini'),
    ('Rhea', 'Saturn', 763.8, 1672, 'Giovanni Cassini'),
    ('Titan', 'Saturn', 2574.7, 1655, 'Christiaan Huygens'),
    ('Iapetus', 'Saturn', 734.5, 1671, 'Giovanni Cassini'),
    ('Miranda', 'Uranus', 235.8, 1948, 'Gerard Kuiper'),
    ('Ariel', 'Uranus', 578.9, 1851, 'William Lassell'),
    ('Umbriel', 'Uranus', 584.7, 1851, 'William Lassell'),
    ('Titania', 'Uranus', 788.9, 1787, 'William Herschel'),
    ('Oberon', 'Uranus', 761.4, 1787, 'William Herschel'),
    ('Triton', 'Neptune', 1353.4, 1846, 'William Lassell');

-- Kepler's third law: the cube of the distance by the square of the period is the same for all
SELECT name, round((distance / 149.6) ^ 3 / (period / 365.2) ^ 2) AS kepler,
       CASE WHEN diameter > 20000 THEN 'giant' ELSE 'rocky' END AS kind
FROM planets ORDER BY position;

-- A join with aggregates: who found the most moons, and when
SELECT discoverer, count(*) AS moons, min(discovered) AS first, max(discovered) AS last
FROM moons WHERE discoverer IS NOT NULL
GROUP BY discoverer HAVING count(*) > 1
ORDER BY moons DESC, first;
SELECT p.name AS planet, count(m.name) AS moons, max(m.radius) AS largest_radius
FROM planets p LEFT JOIN moons m ON m.planet = p.name
GROUP BY p.name, p.position ORDER BY p.position;

-- A subquery: the moons that are larger than the smallest planet
SELECT name, planet, 2 * radius AS diameter FROM moons
WHERE 2 * radius > (SELECT min(diameter) FROM planets) ORDER BY radius DESC;

-- A transaction that is rolled back leaves nothing behind
BEGIN;
DELETE FROM moons WHERE planet = 'Saturn';
SELECT count(*) AS moons_left FROM moons;
ROLLBACK;
SELECT count(*) AS moons_again FROM moons;

-- Constraints hold: an unknown planet, a second Earth, a mass below zero
INSERT INTO moons VALUES ('Charon', 'Pluto', 606.0, 1978, 'James Christy');
INSERT INTO planets VALUES ('Earth', 9, 5.97, 12756, 149.6, 365.2);
UPDATE planets SET mass = -1 WHERE name = 'Mars';

-- Changed rows come back with RETURNING; a row that exists already can be updated instead
UPDATE moons SET discoverer = 'Giovanni Domenico Cassini' WHERE discoverer = 'Giovanni Cassini'
RETURNING name, discoverer;
INSERT INTO moons VALUES ('Triton', 'Neptune', 1352.6, 1846, 'William Lassell')
ON CONFLICT (name) DO UPDATE SET radius = EXCLUDED.radius RETURNING name, radius;

-- Time travel: what was deleted a commit ago is still there to be read, and comes back
DELETE FROM moons WHERE planet = 'Saturn';
SELECT name, radius FROM moons AS OF SCN heliosdb_current_scn() - 1 WHERE planet = 'Saturn' ORDER BY radius DESC LIMIT 3;
INSERT INTO moons SELECT * FROM moons AS OF SCN heliosdb_current_scn() - 1 WHERE planet = 'Saturn';

-- A branch: a copy that takes no time and no space, with changes of its own
CREATE DATABASE BRANCH what-if FROM main;
USE BRANCH what-if;
DELETE FROM moons WHERE planet = 'Neptune';
DELETE FROM planets WHERE name = 'Neptune';
SELECT count(*) AS planets FROM planets;
USE BRANCH main;
SELECT count(*) AS planets FROM planets;
SELECT branch_name, parent_branch, status FROM pg_database_branches();

-- How a query runs: an index finds the row
EXPLAIN SELECT * FROM planets WHERE name = 'Saturn';
CREATE INDEX moons_by_radius ON moons (radius DESC);
EXPLAIN ANALYZE SELECT p.name, m.name FROM planets p JOIN moons m ON m.planet = p.name WHERE m.radius > 2500;

-- What the catalog says of a table
\d moons
