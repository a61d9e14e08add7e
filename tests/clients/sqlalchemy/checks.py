"""What programs do with SQLAlchemy 2 and Alembic: models with relations, reflection of all there is, migrations.

The connection's parameters come from the environment (PGHOST, PGPORT, PGUSER, PGDATABASE). All objects are in a schema
that is dropped in the end.
"""

import datetime
import decimal
import enum
import os
import sys
import traceback
import uuid

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import exc, orm
from sqlalchemy.dialects import postgresql as pg

SCHEMA = "sqlalchemy_checks"


class Base(orm.DeclarativeBase):
    metadata = sa.MetaData(
        schema=SCHEMA,
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        },
    )


class Status(enum.Enum):
    draft = "draft"
    published = "published"


article_tags = sa.Table(
    "article_tags",
    Base.metadata,
    sa.Column("article_id", sa.ForeignKey(f"{SCHEMA}.articles.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("tag_id", sa.ForeignKey(f"{SCHEMA}.tags.id"), primary_key=True),
)


class Author(Base):
    __tablename__ = "authors"
    __table_args__ = (
        sa.CheckConstraint("age >= 0", name="age_positive"),
        sa.UniqueConstraint("name", "born"),
        {"comment": "People who write"},
    )
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(sa.String(50), index=True, comment="as printed")
    age: orm.Mapped[int | None]
    born: orm.Mapped[datetime.date | None]
    rating: orm.Mapped[decimal.Decimal] = orm.mapped_column(sa.Numeric(10, 2), server_default=sa.text("0"))
    settings: orm.Mapped[dict] = orm.mapped_column(pg.JSONB, server_default=sa.text("'{}'::jsonb"))
    created: orm.Mapped[datetime.datetime] = orm.mapped_column(
        sa.DateTime(timezone=True), server_default=sa.func.now()
    )
    articles: orm.Mapped[list["Article"]] = orm.relationship(
        back_populates="author", cascade="all, delete-orphan", order_by="Article.title"
    )


class Article(Base):
    __tablename__ = "articles"
    id: orm.Mapped[uuid.UUID] = orm.mapped_column(pg.UUID, primary_key=True, default=uuid.uuid4)
    number: orm.Mapped[int] = orm.mapped_column(sa.BigInteger, sa.Identity(start=100, increment=5), unique=True)
    title: orm.Mapped[str] = orm.mapped_column(sa.Text)
    slug: orm.Mapped[str] = orm.mapped_column(sa.Text, sa.Computed("lower(title)", persisted=True))
    status: orm.Mapped[Status] = orm.mapped_column(sa.Enum(Status, name="status", schema=SCHEMA), default=Status.draft)
    words: orm.Mapped[list[str]] = orm.mapped_column(pg.ARRAY(sa.Text), default=list)
    body: orm.Mapped[bytes | None] = orm.mapped_column(sa.LargeBinary, deferred=True)
    length: orm.Mapped[datetime.timedelta | None] = orm.mapped_column(sa.Interval)
    author_id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey(f"{SCHEMA}.authors.id", onupdate="CASCADE"))
    version: orm.Mapped[int] = orm.mapped_column(default=1)
    author: orm.Mapped[Author] = orm.relationship(back_populates="articles")
    tags: orm.Mapped[list["Tag"]] = orm.relationship(secondary=article_tags, back_populates="articles")
    __mapper_args__ = {"version_id_col": version}
    __table_args__ = (
        sa.Index("ix_articles_lower_title", sa.text("lower(title)")),
        sa.Index("ix_articles_drafts", "author_id", postgresql_where=sa.text("status = 'draft'")),
        sa.Index("ix_articles_covering", "author_id", "title", postgresql_include=["version"], unique=True),
    )


class Tag(Base):
    __tablename__ = "tags"
    id: orm.Mapped[int] = orm.mapped_column(sa.SmallInteger, primary_key=True)
    name: orm.Mapped[str] = orm.mapped_column(unique=True)
    parent_id: orm.Mapped[int | None] = orm.mapped_column(
        sa.ForeignKey(f"{SCHEMA}.tags.id", deferrable=True, initially="DEFERRED")
    )
    articles: orm.Mapped[list[Article]] = orm.relationship(secondary=article_tags, back_populates="tags")


class Person(Base):
    __tablename__ = "people"
    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)
    kind: orm.Mapped[str]
    __mapper_args__ = {"polymorphic_identity": "person", "polymorphic_on": "kind"}


class Manager(Person):
    __tablename__ = "managers"
    id: orm.Mapped[int] = orm.mapped_column(sa.ForeignKey(f"{SCHEMA}.people.id"), primary_key=True)
    bonus: orm.Mapped[float]
    __mapper_args__ = {"polymorphic_identity": "manager"}


def raises(expected, call, sqlstate=None):
    try:
        call()
    except expected as error:
        if sqlstate:
            code = getattr(error.orig, "pgcode", None) or getattr(error.orig, "sqlstate", None)
            assert code == sqlstate, code
        return error
    raise AssertionError(f"no {expected.__name__}")


def models(engine):
    with orm.Session(engine) as session:
        author = Author(name="Ursula", age=70, born=datetime.date(1929, 10, 21), settings={"a": [1, None]})
        author.articles = [
            Article(title="The Dispossessed", words=["a", "b,c"], body=b"\x00\xff", status=Status.published),
            Article(title="The Lathe of Heaven", length=datetime.timedelta(days=2, seconds=3)),
        ]
        author.articles[0].tags = [Tag(name="anarchy"), Tag(name="physics")]
        session.add(author)
        session.add_all([Author(name=f"author {number}", rating=number) for number in range(50)])
        session.commit()
        assert author.id == 1 and author.rating == decimal.Decimal("0.00") and author.created.tzinfo
        assert sorted(article.number for article in author.articles) == [100, 105]
        assert author.articles[0].slug == "the dispossessed" and author.articles[0].status is Status.published
    with orm.Session(engine) as session:
        query = (
            sa.select(Author)
            .options(orm.selectinload(Author.articles).selectinload(Article.tags))
            .where(Author.settings["a"][0].as_integer() == 1)
        )
        author = session.scalars(query).one()
        assert [tag.name for tag in author.articles[0].tags] in (["anarchy", "physics"], ["physics", "anarchy"])
        joined = sa.select(Article).options(orm.joinedload(Article.author)).where(Article.words.contains(["a"]))
        assert session.scalars(joined).unique().one().author is author
        counts = (
            sa.select(Author.name, sa.func.count(Article.id).label("n"))
            .join(Author.articles, isouter=True)
            .group_by(Author.name)
            .having(sa.func.count(Article.id) > 0)
        )
        assert session.execute(counts).all() == [("Ursula", 2)]
        ranked = sa.select(
            Author.name, sa.func.row_number().over(partition_by=Author.age, order_by=Author.rating.desc())
        ).limit(3)
        assert len(session.execute(ranked).all()) == 3
        tree = sa.select(Tag.id, Tag.parent_id).where(Tag.parent_id.is_(None)).cte("tree", recursive=True)
        child = orm.aliased(Tag)
        tree = tree.union_all(sa.select(child.id, child.parent_id).join(tree, child.parent_id == tree.c.id))
        assert len(session.execute(sa.select(tree)).all()) == 2
        upsert = pg.insert(Tag).values([{"id": 1, "name": "anarchism"}, {"id": 9, "name": "new"}])
        upsert = upsert.on_conflict_do_update(index_elements=[Tag.id], set_={"name": upsert.excluded.name})
        assert session.scalars(upsert.returning(Tag.name)).all() == ["anarchism", "new"]
        article = author.articles[1]
        session.execute(sa.update(Article).where(Article.id == article.id).values(version=7).execution_options(synchronize_session=False))
        article.title = "changed"
        raises(orm.exc.StaleDataError, session.flush)
        session.rollback()
        session.delete(session.get(Author, 1))
        session.commit()
        assert session.scalar(sa.select(sa.func.count()).select_from(article_tags)) == 0
        session.add(Manager(bonus=1.5))
        session.commit()
        assert session.scalars(sa.select(Person)).one().bonus == 1.5


def errors(engine):
    with engine.connect() as connection:
        insert = sa.insert(Tag)
        connection.execute(insert, [{"id": 100, "name": "x"}])
        with connection.begin_nested() as savepoint:
            raises(exc.IntegrityError, lambda: connection.execute(insert, [{"id": 100, "name": "y"}]), "23505")
            savepoint.rollback()
        for statement, expected, state in [
            ("SELECT * FROM nowhere", exc.ProgrammingError, "42P01"),
            ("SELECT nothing", exc.ProgrammingError, "42703"),
            ("SELEC", exc.ProgrammingError, "42601"),
            ("SELECT 1/0", exc.DataError, "22012"),
            (f"INSERT INTO {SCHEMA}.authors (name, age) VALUES ('x', -1)", exc.IntegrityError, "23514"),
            (f"INSERT INTO {SCHEMA}.authors (age) VALUES (1)", exc.IntegrityError, "23502"),
            (f"INSERT INTO {SCHEMA}.article_tags VALUES ('{uuid.UUID(int=0)}', 1)", exc.IntegrityError, "23503"),
            (f"INSERT INTO {SCHEMA}.authors (name) VALUES (repeat('x', 51))", exc.DataError, "22001"),
            (f"DROP TABLE {SCHEMA}.authors", exc.InternalError, "2BP01"),
        ]:
            with connection.begin_nested() as savepoint:
                raises(expected, lambda: connection.execute(sa.text(statement)), state)
                savepoint.rollback()
        connection.rollback()


def reflection(engine):
    """`inspect()` of everything."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            f"""
            CREATE VIEW {SCHEMA}.names AS SELECT id, name FROM {SCHEMA}.authors WHERE age > 3;
            COMMENT ON VIEW {SCHEMA}.names IS 'only names';
            CREATE SEQUENCE {SCHEMA}.counter INCREMENT 5 MINVALUE 10 MAXVALUE 1000 CYCLE;
            CREATE DOMAIN {SCHEMA}.positive AS int DEFAULT 1 NOT NULL CONSTRAINT above CHECK (VALUE > 0);
            CREATE TABLE {SCHEMA}."Mixed Case" (
                "Id" int GENERATED BY DEFAULT AS IDENTITY, "a b" {SCHEMA}.positive, c char(3), d timestamp(3),
                e numeric, f real[], g {SCHEMA}.status[], h varchar, i interval day to second
            );
            CREATE UNIQUE INDEX "Mixed Index" ON {SCHEMA}."Mixed Case" ("Id" DESC NULLS LAST, c);
            CREATE TEMP TABLE temporary_one (id serial PRIMARY KEY, t time with time zone DEFAULT now());
            """
        )
        inspector = sa.inspect(connection)
        tables = ["Mixed Case", "article_tags", "articles", "authors", "managers", "people", "tags"]
        assert sorted(inspector.get_table_names(schema=SCHEMA)) == tables
        assert inspector.get_view_names(schema=SCHEMA) == ["names"]
        assert inspector.get_materialized_view_names(schema=SCHEMA) == []
        assert "temporary_one" in inspector.get_temp_table_names()
        assert inspector.has_table("temporary_one") and not inspector.has_table("nothing")
        assert SCHEMA in inspector.get_schema_names() and inspector.default_schema_name == "public"
        sequences = inspector.get_sequence_names(schema=SCHEMA)
        assert "counter" in sequences and "authors_id_seq" in sequences, sequences
        assert inspector.has_sequence("counter", schema=SCHEMA)
        enums = inspector.get_enums(schema=SCHEMA)
        assert [(each["name"], each["labels"]) for each in enums] == [("status", ["draft", "published"])]
        (domain,) = inspector.get_domains(schema=SCHEMA)
        assert (domain["name"], domain["type"], domain["nullable"], domain["default"]) == (
            "positive",
            "integer",
            False,
            "1",
        ), domain
        assert domain["constraints"] == [{"name": "above", "check": "VALUE > 0"}], domain
        assert inspector.get_pk_constraint("article_tags", schema=SCHEMA) == {
            "constrained_columns": ["article_id", "tag_id"],
            "name": "pk_article_tags",
            "comment": None,
            "dialect_options": {"postgresql_include": []},
        }
        (foreign,) = inspector.get_foreign_keys("tags", schema=SCHEMA)
        assert foreign["options"] == {"deferrable": True, "initially": "DEFERRED"}, foreign
        by_column = {each["constrained_columns"][0]: each for each in inspector.get_foreign_keys("article_tags", schema=SCHEMA)}
        assert by_column["article_id"]["options"] == {"ondelete": "CASCADE"}, by_column
        (unique,) = inspector.get_unique_constraints("authors", schema=SCHEMA)
        assert (unique["name"], unique["column_names"]) == ("uq_authors_name", ["name", "born"]), unique
        (check,) = inspector.get_check_constraints("authors", schema=SCHEMA)
        assert (check["name"], check["sqltext"]) == ("ck_authors_age_positive", "age >= 0"), check
        assert inspector.get_table_comment("authors", schema=SCHEMA)["text"] == "People who write"
        assert inspector.get_table_comment("names", schema=SCHEMA)["text"] == "only names"
        assert "name" in inspector.get_view_definition("names", schema=SCHEMA)
        indexes = {each["name"]: each for each in inspector.get_indexes("articles", schema=SCHEMA)}
        assert indexes["ix_articles_lower_title"]["expressions"] == ["lower(title)"], indexes
        where = indexes["ix_articles_drafts"]["dialect_options"]["postgresql_where"]
        assert where == f"(status = 'draft'::{SCHEMA}.status)", where
        covering = indexes["ix_articles_covering"]
        assert covering["unique"] and covering["dialect_options"]["postgresql_include"] == ["version"], covering
        assert indexes["uq_articles_number"]["duplicates_constraint"] == "uq_articles_number", indexes
        (mixed,) = inspector.get_indexes("Mixed Case", schema=SCHEMA)
        assert mixed["column_sorting"] == {"Id": ("desc", "nulls_last")}, mixed
        columns = {each["name"]: each for each in inspector.get_columns("articles", schema=SCHEMA)}
        assert columns["slug"]["computed"] == {"sqltext": "lower(title)", "persisted": True}, columns["slug"]
        assert columns["number"]["identity"]["start"] == 100 and columns["number"]["identity"]["increment"] == 5
        assert [str(column["type"]) for column in columns.values()] == [
            "UUID", "BIGINT", "TEXT", "TEXT", "VARCHAR(9)", "ARRAY", "BYTEA", "INTERVAL", "INTEGER", "INTEGER",
        ], [str(column["type"]) for column in columns.values()]
        columns = {each["name"]: each for each in inspector.get_columns("Mixed Case", schema=SCHEMA)}
        shown = {name: column["type"].compile(dialect=engine.dialect) for name, column in columns.items()}
        assert shown == {
            "Id": "INTEGER",
            "a b": f"{SCHEMA}.positive",
            "c": "CHAR(3)",
            "d": "TIMESTAMP(3) WITHOUT TIME ZONE",
            "e": "NUMERIC",
            "f": "REAL[]",
            "g": f"{SCHEMA}.status[]",
            "h": "VARCHAR",
            "i": "INTERVAL day to second",
        }, shown
        authors = {each["name"]: each for each in inspector.get_columns("authors", schema=SCHEMA)}
        assert authors["id"]["default"] == f"nextval('{SCHEMA}.authors_id_seq'::regclass)", authors["id"]
        assert authors["id"]["autoincrement"] is True and authors["name"]["comment"] == "as printed"
        assert authors["settings"]["default"] == "'{}'::jsonb" and authors["created"]["default"] == "now()"
        metadata = sa.MetaData()
        metadata.reflect(connection, schema=SCHEMA, views=True)
        assert len(metadata.tables) == 8, list(metadata.tables)
        assert len(metadata.tables[f"{SCHEMA}.article_tags"].foreign_keys) == 2
        multi = inspector.get_multi_columns(schema=SCHEMA, kind=sa.engine.reflection.ObjectKind.ANY)
        assert len(multi) == 8, multi.keys()
        connection.exec_driver_sql(
            f'DROP TABLE {SCHEMA}."Mixed Case"; DROP DOMAIN {SCHEMA}.positive; DROP VIEW {SCHEMA}.names; '
            f"DROP SEQUENCE {SCHEMA}.counter; DROP TABLE temporary_one"
        )


def no_spurious_differences(engine):
    """Alembic finds nothing to do right after everything was made."""
    with engine.connect() as connection:
        options = {
            "compare_type": True,
            "compare_server_default": True,
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "schema" or name == SCHEMA,
        }
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, Base.metadata)
        assert differences == [], differences


def migration(engine):
    with engine.begin() as connection:
        context = MigrationContext.configure(connection, opts={"version_table_schema": SCHEMA})
        op = Operations(context)
        context._ensure_version_table()
        op.create_table(
            "moved",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("name", sa.String(10), nullable=False, server_default="x"),
            schema=SCHEMA,
        )
        op.bulk_insert(
            sa.table("moved", sa.column("name", sa.String), schema=SCHEMA), [{"name": "1"}, {"name": "2"}]
        )
        op.add_column("moved", sa.Column("flag", sa.Boolean, nullable=False, server_default=sa.false()), schema=SCHEMA)
        op.alter_column("moved", "name", server_default=None, schema=SCHEMA)
        op.alter_column("moved", "name", type_=sa.Integer, postgresql_using="name::integer", schema=SCHEMA)
        op.alter_column("moved", "flag", new_column_name="is_flagged", nullable=True, schema=SCHEMA)
        op.create_index("ix_moved", "moved", ["name"], unique=True, schema=SCHEMA, postgresql_where=sa.text("name > 0"))
        op.create_unique_constraint("uq_moved", "moved", ["name", "is_flagged"], schema=SCHEMA)
        op.create_check_constraint("ck_moved", "moved", sa.text("name < 1000"), schema=SCHEMA)
        op.create_table_comment("moved", "it was moved", schema=SCHEMA)
        op.drop_constraint("uq_moved", "moved", schema=SCHEMA)
        op.rename_table("moved", "renamed", schema=SCHEMA)
        op.execute(f"ALTER TYPE {SCHEMA}.status RENAME TO state")
        op.execute(f"ALTER TYPE {SCHEMA}.state RENAME TO status")
        rows = connection.execute(sa.text(f"SELECT id, name, is_flagged FROM {SCHEMA}.renamed ORDER BY id")).all()
        assert rows == [(1, 1, False), (2, 2, False)], rows
        op.drop_column("renamed", "is_flagged", schema=SCHEMA)
        op.drop_table("renamed", schema=SCHEMA)
        op.drop_table("alembic_version", schema=SCHEMA)


def driver_features(engine):
    with engine.connect() as connection:
        assert connection.dialect.server_version_info[0] == 15
        connection = connection.execution_options(isolation_level="SERIALIZABLE")
        assert connection.get_isolation_level() == "SERIALIZABLE"
        assert connection.scalar(sa.text("SHOW transaction_isolation")) == "serializable"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE TABLE {SCHEMA}.many (id int, name text)")
        connection.exec_driver_sql(f"VACUUM {SCHEMA}.many")
    with engine.begin() as connection:
        many = sa.Table("many", sa.MetaData(), schema=SCHEMA, autoload_with=connection)
        connection.execute(many.insert(), [{"id": number, "name": str(number)} for number in range(3000)])
        options = {"stream_results": True, "max_row_buffer": 100}
        streamed = connection.execute(sa.select(many.c.id), execution_options=options)
        assert sum(row.id for row in streamed) == 2999 * 3000 // 2
        locked = connection.execute(sa.select(many.c.id).order_by(many.c.id).limit(2).with_for_update(skip_locked=True))
        assert locked.scalars().all() == [0, 1]
        many.drop(connection)
    engine.dispose()


CHECKS = [models, errors, reflection, no_spurious_differences, migration, driver_features]


def main():
    failures = 0
    drivers = ["psycopg2", "psycopg"]
    for driver in drivers:
        engine = sa.create_engine(f"postgresql+{driver}://{os.environ['PGUSER']}@/{os.environ['PGDATABASE']}")
        with engine.begin() as connection:
            connection.exec_driver_sql(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
            connection.exec_driver_sql(f"CREATE SCHEMA {SCHEMA}")
        try:
            Base.metadata.create_all(engine)
            for check in CHECKS:
                try:
                    check(engine)
                except Exception:  # every check is run, whatever becomes of the others
                    failures += 1
                    print(f"sqlalchemy: {check.__name__} with {driver} failed", file=sys.stderr)
                    traceback.print_exc()
        finally:
            with engine.begin() as connection:
                connection.exec_driver_sql(f"DROP SCHEMA {SCHEMA} CASCADE")
    print(f"sqlalchemy: {len(CHECKS) * len(drivers) - failures} of {len(CHECKS) * len(drivers)} checks passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
