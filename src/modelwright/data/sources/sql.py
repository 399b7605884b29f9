"""The rows of a SELECT, streamed from any database that SQLAlchemy knows.

    data: {source: "sql://sqlite:///tickets.db?query=SELECT text, label FROM tickets ORDER BY id"}
    data: {source: "sql://postgresql://${DB_USER}:${DB_PASSWORD}@db/app?query=SELECT ..."}

What follows `sql://` is an SQLAlchemy URL; the query comes last. A query without spaces may be
percent-encoded. Only reading statements run, in a transaction that is read-only where the database
knows such and is rolled back anyway. A server-side cursor keeps memory constant. Say ORDER BY: only
then do databases promise the same order twice. User names and passwords appear in no error and in
no ledger. Dates come as ISO 8601, decimals as numbers. The fingerprint reads the result once.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, final
from urllib.parse import unquote_plus

from pydantic import BaseModel, ConfigDict, Field

from modelwright.data.sources import BrokenRow, RawRow, Source, _files, _values
from modelwright.errors import UserError
from modelwright.runtime import libraries

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine
    from sqlalchemy.engine import CursorResult

VERSION = 1
REQUIRES = {"sqlalchemy": "sql"}

_PREFIX = "sql://"
_READING = re.compile(
    r"^\s*(--[^\n]*\n\s*|/\*.*?\*/\s*)*(select|with|values|table)\b", re.IGNORECASE | re.DOTALL
)
_HALVES = re.compile("[\ud800-\udfff]")
_DRIVERS = {
    "postgresql": (("psycopg", "psycopg"), ("psycopg2", "psycopg2"), ("asyncpg", "asyncpg")),
    "mysql": (("pymysql", "pymysql"), ("MySQLdb", "mysqldb")),
}
_SIDE = {"postgresql": {"postgresql_readonly": True}}


class Config(BaseModel):
    """Options of databases."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    batch_rows: int = Field(1000, ge=1, description="Rows fetched at a time.")


@final
class Sql(Source):
    """Rows of one query."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    config: Config

    @classmethod
    def claims(cls, location: str) -> float:
        return 1.0 if location.startswith(_PREFIX) else 0.0

    @cached_property
    def _parts(self) -> tuple[URL, str]:
        return _parse(self.location)

    def columns(self) -> list[str]:
        with self._running() as result:
            return _names(result)

    def rows(self) -> Iterator[RawRow | BrokenRow]:
        place = _place(self._parts[0])
        with self._running() as result:
            names = _names(result)
            for number, row in enumerate(result):
                values = dict(zip(names, map(_values.plain, row), strict=True))
                bad = [name for name, value in values.items() if _is_damaged(value)]
                if bad:
                    yield BrokenRow("undecodable", f"column {', '.join(bad)}", number, place)
                else:
                    yield RawRow(values, number, place)

    def fingerprint(self) -> str:
        return _values.digest_rows(self.rows(), first=self._parts[1])

    @contextlib.contextmanager
    def _running(self) -> Iterator[CursorResult[Any]]:
        """The query's result; whatever the database raises becomes MW-207."""
        from sqlalchemy import exc, text

        url, query = self._parts
        with _failures(url, query):
            engine = _engine(url)
        with contextlib.ExitStack() as stack:
            stack.callback(engine.dispose)
            stack.enter_context(_failures(url, query))
            options = {"yield_per": self.config.batch_rows, **_SIDE.get(engine.dialect.name, {})}
            connection = stack.enter_context(engine.connect().execution_options(**options))
            if engine.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = ON")
            stack.callback(connection.rollback)
            statement = text(query.replace(":", r"\:")) if ":" in query else text(query)
            try:
                result = connection.execute(statement)
            except exc.ProgrammingError as error:
                raise _wrong_query(url, query, error) from None
            yield result


def _parse(location: str) -> tuple[URL, str]:
    """The database's URL and the query of a location."""
    sqlalchemy = libraries.require("sqlalchemy", "sql")
    match = re.match(r"^sql://(.+?)([?&])query=(.+)$", location, re.DOTALL)
    if match is None:
        raise UserError(
            "MW-201",
            f"`{location[:6]}...` names no query",
            expected="sql://DATABASE-URL?query=SELECT ...",
            fix="append ?query=SELECT text, label FROM ... ORDER BY ...",
        )
    query = match[3] if re.search(r"\s", match[3]) else unquote_plus(match[3])
    query = query.strip().rstrip(";")
    if not _READING.match(query):
        raise UserError(
            "MW-201",
            f"the query begins with `{query[:20]}`",
            expected="a statement that reads: SELECT, WITH, VALUES or TABLE",
            fix="write the data into a table first, then select from it",
        )
    try:
        url = sqlalchemy.make_url(match[1])
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise UserError(
            "MW-201",
            "what follows sql:// is no SQLAlchemy URL",
            expected="DIALECT://USER:PASSWORD@HOST/DATABASE or sqlite:///FILE",
            fix="percent-encode special characters of the password (@ is %40, / is %2F)",
        ) from None
    return _with_driver(url), query


def _with_driver(url: URL) -> URL:
    """The URL with an installed driver where it names none."""
    for module, driver in _DRIVERS.get(url.drivername, ()):
        if libraries.installed(module):
            return url.set(drivername=f"{url.drivername}+{driver}")
    return url


def _engine(url: URL) -> Engine:
    from sqlalchemy import create_engine, event, pool

    if url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:"):
        file = str(url.database)
        if not file.startswith("file:") and not os.path.isfile(file):
            raise _files.missing(file)
    engine = create_engine(url, poolclass=pool.NullPool, hide_parameters=True)
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _(connection: Any, record: object) -> None:
            connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")

    return engine


@contextlib.contextmanager
def _failures(url: URL, query: str) -> Iterator[None]:
    """MW-207, or MW-801 without the driver; the cause is cut off, since it may hold the URL."""
    from sqlalchemy import exc

    try:
        yield
    except ModuleNotFoundError as error:
        raise libraries.missing(error.name or url.get_driver_name(), "sql") from None
    except exc.NoSuchModuleError as error:
        raise UserError(
            "MW-201",
            f"SQLAlchemy does not know this database: {_said(error, url)}",
            expected="sqlite, postgresql, mysql, or an installed dialect",
            fix="correct the URL, or install the database's SQLAlchemy dialect",
        ) from None
    except exc.OperationalError as error:
        if re.search(r"no such (table|column)|syntax error", str(error.orig)):
            raise _wrong_query(url, query, error) from None
        raise _refused(url, error) from None
    except exc.SQLAlchemyError as error:
        raise _refused(url, error) from None


def _refused(url: URL, error: Exception) -> UserError:
    return UserError(
        "MW-207",
        f"{_place(url)} refused or failed: {_said(error, url)}",
        expected="a database that answers and lets this user read",
        fix="check host, port, user, password and network; the same command then goes on",
    )


def _wrong_query(url: URL, query: str, error: Exception) -> UserError:
    return UserError(
        "MW-201",
        f"{_place(url)} cannot run the query: {_said(error, url)}",
        expected="a query that the database accepts",
        fix=f"correct it: {query[:200]}",
    )


def _said(error: Exception, url: URL) -> str:
    """The driver's own message in one line, without user and password."""
    message = str(getattr(error, "orig", None) or error)
    for secret in (str(url.password or ""), str(url.username or "")):
        message = message.replace(secret, "***") if len(secret) > 1 else message
    return " ".join(message.split())[:300]


def _place(url: URL) -> str:
    """`postgresql://host/database`: what a ledger may show."""
    host = f"{url.host}:{url.port}" if url.host and url.port else url.host or ""
    return f"{url.get_backend_name()}://{host}/{url.database or ''}"


def _names(result: CursorResult[Any]) -> list[str]:
    from modelwright.data.sources import _sniffing

    names = list(result.keys())
    return _sniffing.column_names(names, len(names))


def _is_damaged(value: Any) -> bool:
    return isinstance(value, str) and bool(_HALVES.search(value))
