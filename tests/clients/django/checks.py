"""What programs do with Django: migrations of the contrib applications and of an own one, queries as the admin makes
them, inspectdb, and a second migration that changes everything.

The connection's parameters come from the environment (PGHOST, PGPORT, PGUSER, PGDATABASE). Django's tables are in a
schema that is dropped in the end.
"""

import datetime
import decimal
import io
import os
import sys
import traceback
import types
import uuid

import django
import psycopg
from django.conf import settings

SCHEMA = "django_checks"

# The own application: its models are below.
application = types.ModuleType("checks")
application.__file__ = __file__
sys.modules["checks"] = application

settings.configure(
    DEBUG=False,
    SECRET_KEY="not secret",
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "django.contrib.sites",
        "django.contrib.postgres",
        "checks",
    ],
    SITE_ID=1,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ["PGDATABASE"],
            "USER": os.environ["PGUSER"],
            "HOST": os.environ["PGHOST"],
            "PORT": os.environ["PGPORT"],
            "OPTIONS": {"options": f"-c search_path={SCHEMA}"},
        }
    },
)
django.setup()

from django.contrib.auth.models import Group, Permission, User  # noqa: E402
from django.contrib.contenttypes.models import ContentType  # noqa: E402
from django.contrib.postgres.aggregates import ArrayAgg, StringAgg  # noqa: E402
from django.contrib.postgres.fields import ArrayField  # noqa: E402
from django.contrib.sessions.backends.db import SessionStore  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, connection, models, transaction  # noqa: E402
from django.db.models import Avg, Case, Count, Exists, F, OuterRef, Prefetch, Q, Subquery, Sum, Value, When, Window  # noqa: E402
from django.db.models.functions import Coalesce, Concat, ExtractYear, Lower, Rank, TruncMonth  # noqa: E402


class Publisher(models.Model):
    name = models.CharField(max_length=100, unique=True)

    class Meta:
        app_label = "checks"


class Book(models.Model):
    code = models.UUIDField(default=uuid.uuid4, db_index=True)
    title = models.CharField(max_length=200, db_index=True, db_comment="as on the cover")
    slug = models.SlugField()
    pages = models.PositiveIntegerField(null=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    published = models.DateField(null=True)
    updated = models.DateTimeField(auto_now=True)
    length = models.DurationField(null=True)
    extra = models.JSONField(default=dict)
    tags = ArrayField(models.CharField(max_length=20), default=list)
    is_open = models.BooleanField(default=True, db_default=True)
    data = models.BinaryField(default=b"")
    address = models.TextField(blank=True)
    double = models.GeneratedField(expression=F("pages") * 2, output_field=models.IntegerField(), db_persist=True)
    publisher = models.ForeignKey(Publisher, models.CASCADE, related_name="books")
    owners = models.ManyToManyField(User)

    class Meta:
        app_label = "checks"
        db_table_comment = "Books of all kinds"
        constraints = [
            models.CheckConstraint(condition=Q(price__gte=0), name="price_positive"),
            models.UniqueConstraint(fields=["title", "publisher"], name="one_title"),
            models.UniqueConstraint(Lower("slug"), name="one_slug"),
            models.UniqueConstraint(fields=["code"], condition=Q(is_open=True), name="one_open"),
            models.UniqueConstraint(
                fields=["published", "pages"], name="late", deferrable=models.Deferrable.DEFERRED
            ),
        ]
        indexes = [
            models.Index(fields=["-published", "title"], name="by_date"),
            models.Index(Lower("title").desc(), name="by_lower"),
            models.Index(fields=["price"], include=["pages"], name="covering"),
        ]


def migrate():
    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        tables = set(connection.introspection.table_names(cursor))
    assert {"auth_user", "django_admin_log", "django_session", "django_site", "django_content_type"} <= tables, tables
    assert ContentType.objects.count() >= 6 and Permission.objects.count() >= 24
    with connection.schema_editor() as editor:
        editor.create_model(Publisher)
        editor.create_model(Book)
    out = io.StringIO()
    call_command("migrate", "--check", verbosity=0, stdout=out)


def users_and_sessions():
    user = User.objects.create_superuser("root", "root@example.com", "secret")
    group = Group.objects.create(name="editors")
    group.permissions.set(Permission.objects.filter(content_type__app_label="auth"))
    user.groups.add(group)
    assert user.check_password("secret") and user.has_perm("auth.add_user")
    plain = User.objects.create_user("plain")
    plain.groups.add(group)
    assert plain.has_perm("auth.change_group") and not plain.has_perm("sessions.add_session")
    store = SessionStore()
    store["x"] = [1, 2]
    store.save()
    assert SessionStore(store.session_key)["x"] == [1, 2]


def queries():
    first = Publisher.objects.create(name="First")
    second, made = Publisher.objects.get_or_create(name="Second")
    assert made and not Publisher.objects.get_or_create(name="Second")[1]
    for number in range(30):
        Book.objects.create(
            title=f"Book {number}",
            slug=f"Book-{number}",
            pages=number * 10,
            price=decimal.Decimal(number) / 4,
            published=datetime.date(2000 + number % 5, 1 + number % 12, 1),
            length=datetime.timedelta(hours=number),
            extra={"number": number, "list": [number, {"deep": str(number)}]},
            tags=["even" if number % 2 == 0 else "odd", str(number)],
            data=bytes([number]),
            publisher=first if number % 3 else second,
        )
    book = Book.objects.get(title="Book 7")
    assert (book.double, book.is_open, bytes(book.data)) == (140, True, b"\x07"), book.double
    assert book.length == datetime.timedelta(hours=7) and book.extra["list"][1]["deep"] == "7"
    assert Book.objects.filter(extra__number=7).get() == book
    assert Book.objects.filter(extra__list__1__deep="7").get() == book
    assert Book.objects.filter(extra__has_key="number", extra__contains={"number": 7}).get() == book
    assert Book.objects.filter(tags__contains=["odd"]).count() == 15
    assert Book.objects.filter(tags__overlap=["3", "4"]).count() == 2 and Book.objects.filter(tags__len=2).count() == 30
    assert Book.objects.filter(title__icontains="BOOK 1", slug__iregex=r"^book-1\d$").count() == 10
    assert Book.objects.filter(Q(pages__in=[10, 20]) | ~Q(pages__lt=290), title__startswith="Book").count() == 3
    assert Book.objects.filter(published__year=2003, published__month__lte=6).exists()
    assert Book.objects.filter(published__range=("2000-01-01", "2000-12-31")).count() == 6
    totals = Book.objects.aggregate(Sum("pages"), Avg("price"), n=Count("id", filter=Q(is_open=True)))
    assert totals == {"pages__sum": 4350, "price__avg": decimal.Decimal("3.625"), "n": 30}, totals
    counted = Publisher.objects.annotate(n=Count("books", distinct=True)).filter(n__gt=5).order_by("name")
    assert [(each.name, each.n) for each in counted] == [("First", 20), ("Second", 10)]
    newest = Book.objects.filter(publisher=OuterRef("pk")).order_by("-pages").values("title")[:1]
    annotated = Publisher.objects.annotate(newest=Subquery(newest), has=Exists(Book.objects.filter(publisher=OuterRef("pk"))))
    assert [each.newest for each in annotated.order_by("name")] == ["Book 29", "Book 27"]
    ranked = Book.objects.annotate(rank=Window(Rank(), partition_by=F("publisher"), order_by=F("price").desc()))
    assert ranked.filter(rank=1).count() == 2
    months = Book.objects.annotate(month=TruncMonth("published")).values("month").annotate(n=Count("id")).order_by("month")
    assert sum(each["n"] for each in months) == 30 and months[0]["month"] == datetime.date(2000, 1, 1)
    years = Book.objects.annotate(y=ExtractYear("published")).values_list("y", flat=True).distinct().order_by("y")
    assert list(years) == [2000, 2001, 2002, 2003, 2004]
    kinds = Book.objects.annotate(
        kind=Case(When(pages__lt=100, then=Value("short")), default=Value("long")),
        label=Concat("title", Value("/"), Coalesce(Lower("title"), Value("-"))),
    ).values_list("kind", "label")
    assert kinds.order_by("id")[0] == ("short", "Book 0/book 0"), kinds.order_by("id")[0]
    joined = Publisher.objects.annotate(all=StringAgg("books__title", ",", ordering="books__id"), pages=ArrayAgg("books__pages"))
    assert joined.get(name="Second").all.startswith("Book 0,Book 3")
    prefetched = Publisher.objects.prefetch_related(Prefetch("books", Book.objects.order_by("-pages"))).order_by("name")
    assert [len(each.books.all()) for each in prefetched] == [20, 10]
    assert Book.objects.select_related("publisher").filter(publisher__name="First").order_by("?")[:3].count() == 3
    assert Book.objects.filter(pages__lt=50).update(price=F("price") + 1, slug=Concat(F("slug"), Value("!"))) == 5
    assert Book.objects.bulk_update([Book(id=book.id, pages=1), Book(id=book.id + 1, pages=2)], ["pages"]) == 2
    made = Publisher.objects.bulk_create([Publisher(name="Second"), Publisher(name="Third")], ignore_conflicts=True)
    made = Publisher.objects.bulk_create(
        [Publisher(name="Third"), Publisher(name="Fourth")], update_conflicts=True, unique_fields=["name"], update_fields=["name"]
    )
    assert all(each.pk for each in made) and Publisher.objects.count() == 4
    user = User.objects.get(username="plain")
    book.owners.set([user])
    assert user.book_set.get() == book and Book.objects.filter(owners__username="plain").count() == 1
    union = Book.objects.filter(pages=10).values("title").union(Book.objects.filter(pages=20).values("title"))
    assert union.count() == 2 and len(Book.objects.all()[5:10]) == 5
    assert len(list(Book.objects.iterator(chunk_size=7))) == 30
    assert Book.objects.explain() and Book.objects.in_bulk([book.id])[book.id] == book
    assert Book.objects.latest("published").published.year == 2004
    dates = list(Book.objects.dates("published", "year"))
    assert len(dates) == 5, dates
    assert Book.objects.filter(pages=290).delete()[0] == 1
    assert Publisher.objects.filter(name="Second").delete()[0] == 11


def transactions():
    publisher = Publisher.objects.get(name="First")
    for fields, name in [({"price": -1}, "price_positive"), ({"title": "Book 1"}, "one_title"), ({"slug": "BOOK-10"}, "one_slug")]:
        try:
            with transaction.atomic():
                Book.objects.create(**({"title": "New", "slug": "new", "publisher": publisher} | fields))
        except IntegrityError as error:
            assert name in str(error), error
        else:
            raise AssertionError(f"{name} was not tested")
    with transaction.atomic():
        locked = Book.objects.select_for_update(skip_locked=True, of=("self",)).order_by("id").first()
        locked.title = "locked"
        locked.save(update_fields=["title"])
        done = []
        transaction.on_commit(lambda: done.append(1))
        try:
            with transaction.atomic():
                Book.objects.all().delete()
                raise KeyError
        except KeyError:
            pass
    assert done == [1] and Book.objects.filter(title="locked").count() == 1
    with connection.constraint_checks_disabled():
        connection.check_constraints()


def changes_of_tables():
    """What later migrations do."""
    with connection.schema_editor() as editor:
        field = models.IntegerField(null=True)
        field.set_attributes_from_name("stock")
        editor.add_field(Book, field)
        required = models.IntegerField(default=3)
        required.set_attributes_from_name("stock")
        required.model = field.model = Book
        editor.alter_field(Book, field, required)
        editor.execute("UPDATE checks_book SET stock = id")
        text = models.CharField(max_length=10, null=True, db_index=True)
        text.set_attributes_from_name("stock")
        text.model = Book
        editor.alter_field(Book, required, text)
        renamed = models.CharField(max_length=10, unique=True, null=True)
        renamed.set_attributes_from_name("in_stock")
        renamed.model = Book
        editor.alter_field(Book, text, renamed)
        editor.remove_field(Book, renamed)
        editor.remove_index(Book, Book._meta.indexes[0])
        editor.remove_constraint(Book, Book._meta.constraints[0])
        editor.add_constraint(Book, Book._meta.constraints[0])
        editor.alter_db_table_comment(Book, "Books of all kinds", "Changed")
        editor.alter_db_table(Book, "checks_book", "checks_novel")
        editor.alter_db_table(Book, "checks_novel", "checks_book")
        editor.alter_unique_together(Publisher, [], [["id", "name"]])


def introspection():
    out = io.StringIO()
    call_command("inspectdb", stdout=out)
    inspected = out.getvalue()
    for line in [
        "class AuthUser(models.Model):",
        "    username = models.CharField(unique=True, max_length=150)",
        "    title = models.CharField(max_length=200, db_comment='as on the cover')",
        "    price = models.DecimalField(max_digits=8, decimal_places=2)",
        "    extra = models.JSONField()",
        "    code = models.UUIDField(unique=True)",
        "    length = models.DurationField(blank=True, null=True)",
        "    publisher = models.ForeignKey('ChecksPublisher', models.DO_NOTHING)",
        "        unique_together = (('title', 'publisher'), ('published', 'pages'),)",
        "        db_table_comment = 'Changed'",
    ]:
        assert line in inspected.splitlines(), (line, inspected[inspected.find("class ChecksBook") :][:2500])
    with connection.cursor() as cursor:
        constraints = connection.introspection.get_constraints(cursor, "checks_book")
        assert constraints["covering"]["columns"] == ["price"] or constraints["covering"]["columns"] == ["price", "pages"]
        assert constraints["price_positive"]["check"] and constraints["by_lower"]["index"], constraints
        sequences = connection.introspection.get_sequences(cursor, "checks_book")
        assert sequences[0]["column"] == "id", sequences
        key_columns = connection.introspection.get_relations(cursor, "checks_book")
        assert key_columns == {"publisher_id": ("id", "checks_publisher")}, key_columns


def fixtures_and_flush():
    out = io.StringIO()
    call_command("dumpdata", "auth", "contenttypes", stdout=out, natural_foreign=True)
    path = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"django_checks_{os.getpid()}.json")
    with open(path, "w") as file:
        file.write(out.getvalue())
    try:
        call_command("flush", interactive=False, verbosity=0)
        assert User.objects.count() == 0
        call_command("loaddata", path, verbosity=0)
    finally:
        os.remove(path)
    assert User.objects.get(username="root").check_password("secret")
    sql = io.StringIO()
    call_command("sqlsequencereset", "auth", stdout=sql, no_color=True)
    with connection.cursor() as cursor:
        cursor.execute(sql.getvalue())
    assert User.objects.create(username="later").pk > User.objects.get(username="root").pk


CHECKS = [
    migrate,
    users_and_sessions,
    queries,
    transactions,
    changes_of_tables,
    introspection,
    fixtures_and_flush,
]


def main():
    failures = 0
    with psycopg.connect("", autocommit=True) as plain:
        plain.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        plain.execute(f"CREATE SCHEMA {SCHEMA}")
        for check in CHECKS:
            try:
                check()
            except Exception:  # every check is run, whatever becomes of the others
                failures += 1
                print(f"django: {check.__name__} failed", file=sys.stderr)
                traceback.print_exc()
        connection.close()
        plain.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    print(f"django: {len(CHECKS) - failures} of {len(CHECKS)} checks passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
