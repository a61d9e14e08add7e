CREATE TABLE tags (
    post_id bigint NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
    tag text NOT NULL,
    PRIMARY KEY (post_id, tag)
);
