//! The tables of `migrations`, as `diesel print-schema` prints them.

diesel::table! {
    authors (id) {
        id -> Int4,
        #[max_length = 40]
        name -> Varchar,
        key -> Uuid,
        settings -> Nullable<Jsonb>,
    }
}

diesel::table! {
    posts (id) {
        id -> Int8,
        author_id -> Int4,
        title -> Text,
        published -> Bool,
        score -> Nullable<Numeric>,
        created -> Timestamptz,
        day -> Nullable<Date>,
        words -> Array<Nullable<Int4>>,
    }
}

diesel::table! {
    tags (post_id, tag) {
        post_id -> Int8,
        tag -> Text,
    }
}

diesel::joinable!(posts -> authors (author_id));
diesel::joinable!(tags -> posts (post_id));

diesel::allow_tables_to_appear_in_same_query!(authors, posts, tags,);
