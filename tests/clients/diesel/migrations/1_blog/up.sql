CREATE TABLE authors (
    id serial PRIMARY KEY,
    name varchar(40) NOT NULL UNIQUE,
    key uuid NOT NULL DEFAULT gen_random_uuid(),
    settings jsonb
);
CREATE TABLE posts (
    id bigserial PRIMARY KEY,
    author_id integer NOT NULL REFERENCES authors (id) ON DELETE CASCADE,
    title text NOT NULL CHECK (title <> ''),
    published boolean NOT NULL DEFAULT false,
    score numeric(6, 2),
    created timestamptz NOT NULL DEFAULT now(),
    day date,
    words integer[] NOT NULL DEFAULT '{}'
);
