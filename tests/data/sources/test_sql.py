"""Rows of a SELECT come from a real SQLite and a real PostgreSQL, and secrets stay secret."""

from __future__ import annotations

import sqlite3
import tracemalloc
from pathlib import Path

import pytest

from modelwright.data.sources._opening import open_source
from modelwright.errors import UserError

pytest.importorskip("sqlalchemy")
QUERY = "SELECT text, label FROM tickets ORDER BY id"


@pytest.fixture
def database(tmp_path: Path) -> str:
    file = tmp_path / "x.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE tickets (id INTEGER, text TEXT, label TEXT)")
        rows = [(1, "where is it", "card"), (2, "a 100% 'odd': one", "x"), (3, "你好", None)]
        connection.executemany("INSERT INTO tickets VALUES (?, ?, ?)", rows)
    connection.close()
    return f"sql://sqlite:///{file}"


def test_rows_come_by_column_name(read, open_as, database):
    good, broken = read("sql", f"{database}?query={QUERY}")
    assert [row.values["text"] for row in good] == ["where is it", "a 100% 'odd': one", "你好"]
    assert good[2].values == {"text": "你好", "label": None}
    assert broken == []
    assert open_as("sql", f"{database}?query={QUERY}").columns() == ["text", "label"]


def test_a_query_may_be_percent_encoded(read, database):
    assert len(read("sql", f"{database}?query={QUERY.replace(' ', '%20')}")[0]) == 3


@pytest.mark.parametrize("where", ["text LIKE '%100%%'", "text LIKE '%: one'"])
def test_signs_that_mean_something_to_drivers_mean_nothing_here(read, database, where):
    assert len(read("sql", f"{database}?query=SELECT text FROM tickets WHERE {where}")[0]) == 1


def test_columns_of_one_name_are_told_apart(open_as, database):
    query = "SELECT a.text, b.text FROM tickets a JOIN tickets b ON a.id = b.id"
    assert open_as("sql", f"{database}?query={query}").columns() == ["text", "text_2"]


def test_the_fingerprint_follows_content_and_query(open_as, database):
    location = f"{database}?query={QUERY}"
    before = open_as("sql", location).fingerprint()
    assert open_as("sql", location).fingerprint() == before
    assert open_as("sql", location + " LIMIT 3").fingerprint() != before
    with sqlite3.connect(database.removeprefix("sql://sqlite:///")) as connection:
        connection.execute("UPDATE tickets SET label = 'y' WHERE id = 2")
    connection.close()
    assert open_as("sql", location).fingerprint() != before


@pytest.mark.parametrize(
    "query", ["DROP TABLE tickets", "DELETE FROM tickets", "PRAGMA user_version"]
)
def test_a_statement_that_does_not_read_is_refused(open_as, database, query):
    with pytest.raises(UserError, match=r"MW-201[\s\S]*a statement that reads"):
        open_as("sql", f"{database}?query={query}").columns()


def test_a_common_table_expression_cannot_write(open_as, read, database):
    query = "WITH x AS (SELECT 1) INSERT INTO tickets SELECT 9, 'a', 'b' FROM x"
    with pytest.raises(UserError):
        list(open_as("sql", f"{database}?query={query}").rows())
    assert len(read("sql", f"{database}?query={QUERY}")[0]) == 3


def test_a_missing_file_is_named_and_not_created(open_as, database, tmp_path):
    with pytest.raises(UserError, match=r"MW-107[\s\S]*did you mean .*x.db"):
        open_as("sql", f"sql://sqlite:///{tmp_path}/xx.db?query={QUERY}").columns()
    assert not (tmp_path / "xx.db").exists()


def test_a_wrong_query_is_told_with_the_databases_words(open_as, database):
    with pytest.raises(UserError, match=r"MW-201[\s\S]*no such column: txt"):
        open_as("sql", f"{database}?query=SELECT txt FROM tickets").columns()


def test_a_location_without_a_query_says_what_is_missing(open_as, database):
    with pytest.raises(UserError, match=r"MW-201[\s\S]*\?query=SELECT"):
        open_as("sql", database).columns()


def test_text_that_is_no_utf8_sets_its_row_aside(read, database):
    with sqlite3.connect(database.removeprefix("sql://sqlite:///")) as connection:
        connection.execute("INSERT INTO tickets VALUES (4, CAST(X'FFFE' AS TEXT), 'a')")
    connection.close()
    good, broken = read("sql", f"{database}?query={QUERY}")
    assert len(good) == 3
    assert [(row.reason, row.number) for row in broken] == [("undecodable", 3)]


SECRETS = [
    "sql://postgresql://ann:hunter2word@127.0.0.1:1/db?query=SELECT 1 AS text",
    "sql://postgresql://ann:hunter2word@127.0.0.1:notaport/db?query=SELECT 1 AS text",
    "sql://nosuchdb://ann:hunter2word@host/db?query=SELECT 1 AS text",
    "sql://postgresql://ann:hunter2word@127.0.0.1:1/db",
    "sql://postgresql://ann:hunter2word@127.0.0.1:1/db?query=DROP TABLE x",
]


@pytest.mark.parametrize("location", SECRETS)
def test_passwords_are_in_no_error(location):
    with pytest.raises(UserError) as caught:
        list(open_source(location).rows())
    error: BaseException | None = caught.value
    while error is not None:
        assert "hunter2word" not in str(error)
        error = error.__cause__
    assert "ann" not in caught.value.problem.seen


def test_postgresql_rows_stream_with_their_types(read, open_as, postgres):
    query = (
        "SELECT n AS id, 'row ' || n AS text, (n % 2 = 0) AS even, n * 1.5 AS price, "
        "DATE '2024-01-02' AS day, ARRAY['a', 'b'] AS tags FROM generate_series(1, 5) n ORDER BY n"
    )
    good, broken = read("sql", f"sql://{postgres}?query={query}")
    assert good[1].values == {
        "id": 2,
        "text": "row 2",
        "even": True,
        "price": 3,
        "day": "2024-01-02",
        "tags": ["a", "b"],
    }
    assert broken == []
    assert good[0].file.startswith("postgresql://127.0.0.1:")
    assert "s3cret" not in good[0].file
    assert "reader" not in good[0].file


def test_postgresql_uses_a_server_side_cursor(open_as, postgres):
    query = "SELECT n, repeat('x', 1000) AS text FROM generate_series(1, 60000) n"
    rows = open_as("sql", f"sql://{postgres}?query={query}").rows()
    tracemalloc.start()
    assert sum(1 for _ in rows) == 60_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 15e6


def test_postgresql_transactions_are_read_only(open_as, postgres):
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(postgres) as connection:
        connection.execute("CREATE TABLE kept (n INTEGER)")
    query = "WITH x AS (INSERT INTO kept VALUES (1) RETURNING n) SELECT n FROM x"
    with pytest.raises(UserError, match=r"read-only|must not contain data-modifying"):
        list(open_as("sql", f"sql://{postgres}?query={query}").rows())


def test_a_wrong_password_is_refused_without_being_shown(open_as, postgres):
    location = f"sql://{postgres.replace('s3cret-word', 'wrong-word')}?query=SELECT 1 AS a"
    with pytest.raises(UserError, match="MW-207") as caught:
        open_as("sql", location).columns()
    assert "wrong-word" not in str(caught.value)
