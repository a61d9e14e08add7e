CREATE TYPE state AS ENUM ('free', 'lent', 'lost');
CREATE DOMAIN isbn AS text CHECK (VALUE ~ '^[0-9]{10}$');

CREATE TABLE books (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title text NOT NULL,
    number isbn UNIQUE,
    state state NOT NULL DEFAULT 'free',
    price numeric(8, 2) CONSTRAINT costs_something CHECK (price > 0),
    tags text[] NOT NULL DEFAULT '{}',
    details jsonb NOT NULL DEFAULT '{}'
);

CREATE TABLE loans (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    book bigint NOT NULL REFERENCES books ON DELETE CASCADE,
    reader text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    due date
);
