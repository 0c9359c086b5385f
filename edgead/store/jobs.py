"""Models, detections and their results of a server, in one SQLite file: what a kill of server or worker leaves behind.

A row is a job as long as it is neither READY nor FAILED.  Every change is one transaction that is on the disk when
the method returns, so a finished result outlasts a power cut, and whatever was under way is found at the next start.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, ClassVar, Literal, TypeVar

import msgspec

from edgead.store.tables import Tables

__all__ = ["JobStore", "ModelRow", "Queued", "ResultRow"]

DATABASE = "jobs.db"
SCHEMA_VERSION = 2
APPLICATION_ID = 0x6564676A  # "edgj"
ROW_BYTES = 1024  # of a result beside what it holds, for the bound of all

Kind = Literal["models", "results"]

_TABLES = (
    "CREATE TABLE models (id TEXT PRIMARY KEY, client TEXT NOT NULL, created_ns INTEGER NOT NULL,"
    " updated_ns INTEGER NOT NULL, status TEXT NOT NULL, queued INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " request BLOB NOT NULL, errors BLOB NOT NULL, diagnostics BLOB NOT NULL)",
    "CREATE INDEX models_updated ON models (updated_ns)",
    "CREATE TABLE results (id TEXT PRIMARY KEY, client TEXT NOT NULL, created_ns INTEGER NOT NULL,"
    " updated_ns INTEGER NOT NULL, status TEXT NOT NULL, queued INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " request BLOB NOT NULL, errors BLOB NOT NULL, states BLOB NOT NULL, model_id TEXT NOT NULL)",
    # apart from the rows that are listed and polled, and in parts: an answer may have megabytes
    "CREATE TABLE answers (id TEXT PRIMARY KEY, body BLOB NOT NULL)",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
    f"PRAGMA application_id = {APPLICATION_ID}",
)


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A model: asked for, being trained, trained or failed.

    Attributes
    ----------
    id : str
    client : str
        Whose it is.
    created_ns, updated_ns : int
    status : {"CREATED", "RUNNING", "READY", "FAILED"}
    queued : bool
        Waits for a worker.
    attempts : int
        Times a worker began it.
    request, errors, diagnostics : bytes
        JSON of the server, empty when there is none.
    """

    id: str
    client: str
    created_ns: int
    updated_ns: int
    status: str = "CREATED"
    queued: bool = True
    attempts: int = 0
    request: bytes = b""
    errors: bytes = b""
    diagnostics: bytes = b""


class ResultRow(msgspec.Struct, frozen=True, kw_only=True):
    """A detection over a recording; the attributes are those of `ModelRow`.

    Attributes
    ----------
    states : bytes
        JSON of the server.
    model_id : str
    """

    id: str
    client: str
    created_ns: int
    updated_ns: int
    status: str = "CREATED"
    queued: bool = True
    attempts: int = 0
    request: bytes = b""
    errors: bytes = b""
    states: bytes = b""
    model_id: str = ""


class Queued(msgspec.Struct, frozen=True):
    """A job that waits for a worker."""

    kind: Kind
    id: str
    client: str
    attempts: int


_Row = TypeVar("_Row", ModelRow, ResultRow)


class JobStore(Tables):
    """The jobs of one server, used by all its threads."""

    _FILE, _VERSION, _STATEMENTS = DATABASE, SCHEMA_VERSION, _TABLES
    _UPGRADES: ClassVar = {1: ()}  # its answers are whole, each the first and only part
    _HOLDS = "the models and results"

    def add_model(self, row: ModelRow) -> None:
        """Save a new model."""
        self._add("models", row)

    def add_result(self, row: ResultRow) -> None:
        """Save a new detection."""
        self._add("results", row)

    def model(self, identity: str) -> ModelRow | None:
        """The model, or None."""
        rows = self._select(ModelRow, "models", "WHERE id = ?", identity)
        return rows[0] if rows else None

    def models(self, client: str | None = None) -> dict[str, int]:
        """Ids and times of the last change of a client's models (None: of all), the one updated last first."""
        where, values = _of(client)
        with self._reading():
            rows = self._connection.execute(
                f"SELECT id, updated_ns FROM models {where} ORDER BY updated_ns DESC, id", values
            ).fetchall()
        return dict(rows)

    def result(self, identity: str) -> ResultRow | None:
        """The detection, or None."""
        rows = self._select(ResultRow, "results", "WHERE id = ?", identity)
        return rows[0] if rows else None

    def parts(self, identity: str) -> int:
        """Number of parts of what a detection found."""
        with self._reading():
            found = self._connection.execute(
                f"SELECT count(*) FROM answers WHERE {_parts_of('?1')}", (identity,)
            )
            return int(found.fetchone()[0])

    def part(self, identity: str, number: int) -> bytes | None:
        """One part of what a detection found, from 0, or None."""
        with self._reading():
            found = self._connection.execute(
                "SELECT body FROM answers WHERE id = ?", (_part(identity, number),)
            ).fetchone()
        return None if found is None else bytes(found[0])

    def count(self, kind: Kind, client: str | None = None, *, unfinished: bool = False) -> int:
        """Number of models or results of a client (None: of all), or of those that are not finished."""
        where, values = _of(client)
        if unfinished:
            where += " AND status NOT IN ('READY', 'FAILED')"
        with self._reading():
            found = self._connection.execute(f"SELECT count(*) FROM {kind} {where}", values).fetchone()
        return int(found[0])

    def statuses(self, kind: Kind) -> dict[str, int]:
        """How many there are of each status."""
        with self._reading():
            rows = self._connection.execute(f"SELECT status, count(*) FROM {kind} GROUP BY status").fetchall()
        return dict(rows)

    def queued(self, kind: Kind) -> list[Queued]:
        """Jobs that wait for a worker, the oldest first."""
        with self._reading():
            rows = self._connection.execute(
                f"SELECT id, client, attempts FROM {kind} WHERE queued = 1 ORDER BY created_ns, id"
            ).fetchall()
        return [Queued(kind, *row) for row in rows]

    def running(self, kind: Kind) -> list[Queued]:
        """Jobs that a worker has; after a restart those whose worker is gone."""
        with self._reading():
            rows = self._connection.execute(
                f"SELECT id, client, attempts FROM {kind} WHERE queued = 0"
                " AND status NOT IN ('READY', 'FAILED') ORDER BY created_ns, id"
            ).fetchall()
        return [Queued(kind, *row) for row in rows]

    def unfinished_of(self, model_id: str) -> list[str]:
        """Detections with a model that are not finished."""
        with self._reading():
            rows = self._connection.execute(
                "SELECT id FROM results WHERE model_id = ? AND status NOT IN ('READY', 'FAILED')", (model_id,)
            ).fetchall()
        return [row[0] for row in rows]

    def begin(self, job: Queued, now_ns: int) -> bool:
        """A worker has it now; False when it is no more."""
        columns = {"status": "RUNNING", "queued": False, "attempts": job.attempts + 1}
        with self._writing("beginning a job"):
            return self._set(job.kind, job.id, now_ns, columns, when="queued = 1")

    def requeue(self, job: Queued, now_ns: int, *, attempts: int) -> bool:
        """Its worker is gone: it waits for another, and has been begun so many times."""
        with self._writing("putting a job back"):
            return self._set(job.kind, job.id, now_ns, {"queued": True, "attempts": attempts})

    def tell(self, identity: str, now_ns: int, *, diagnostics: bytes) -> bool:
        """What is known of a training that goes on."""
        with self._writing("saving the state of a training"):
            return self._set("models", identity, now_ns, {"diagnostics": diagnostics})

    def finish_model(
        self,
        identity: str,
        now_ns: int,
        *,
        status: str,
        errors: bytes = b"",
        diagnostics: bytes | None = None,
    ) -> bool:
        """A training has ended; False when the model is no more."""
        columns: dict[str, object] = {"status": status, "queued": False, "errors": errors}
        if diagnostics is not None:
            columns["diagnostics"] = diagnostics
        with self._writing("saving a model"):
            return self._set("models", identity, now_ns, columns)

    def finish_result(
        self,
        identity: str,
        now_ns: int,
        *,
        status: str,
        errors: bytes = b"",
        states: bytes = b"",
        parts: Sequence[bytes] = (),
    ) -> bool:
        """A detection has ended, with the parts of its answer when READY; False when the result is no more."""
        columns = {"status": status, "queued": False, "errors": errors, "states": states}
        with self._writing("saving a result"):
            found = self._set("results", identity, now_ns, columns)
            if found:
                rows = ((_part(identity, number), part) for number, part in enumerate(parts))
                self._connection.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?)", rows)
        return found

    def delete_model(self, identity: str) -> bool:
        """Forget a model; False when there is none."""
        with self._writing("deleting a model"):
            return self._connection.execute("DELETE FROM models WHERE id = ?", (identity,)).rowcount > 0

    def expire(self, before_ns: int) -> int:
        """Forget finished results made before a time; returns how many."""
        old = "created_ns < ? AND status IN ('READY', 'FAILED')"
        with self._writing("deleting old results"):
            gone = self._connection.execute(f"SELECT id FROM results WHERE {old}", (before_ns,)).fetchall()
            self._drop_results(gone)
        return len(gone)

    def trim(self, keep_bytes: int) -> int:
        """Forget the oldest finished results until all take no more than `keep_bytes`; returns how many went."""
        with self._writing("deleting the oldest results"):
            rows = self._connection.execute(
                "SELECT id, ? + length(request) + length(errors) + length(states)"
                f" + coalesce((SELECT sum(length(body)) FROM answers WHERE {_parts_of('results.id')}), 0)"
                " FROM results WHERE status IN ('READY', 'FAILED') ORDER BY created_ns DESC, id",
                (ROW_BYTES,),
            ).fetchall()
            sizes = accumulate(size for _, size in rows)
            gone = [(key,) for (key, _), size in zip(rows, sizes, strict=True) if size > keep_bytes]
            self._drop_results(gone)
        return len(gone)

    def _drop_results(self, gone: Sequence[tuple[str]]) -> None:
        self._connection.executemany(f"DELETE FROM answers WHERE {_parts_of('?1')}", gone)
        self._connection.executemany("DELETE FROM results WHERE id = ?", gone)

    def problems(self) -> list[str]:
        """What SQLite finds wrong with the file; empty when it is sound."""
        with self._reading():
            rows = self._connection.execute("PRAGMA integrity_check").fetchall()
        return [row[0] for row in rows if row[0] != "ok"]

    def _add(self, kind: Kind, row: ModelRow | ResultRow) -> None:
        values = msgspec.structs.astuple(row)
        columns, marks = ", ".join(row.__struct_fields__), ", ".join("?" * len(values))
        with self._writing("saving a job"):
            self._connection.execute(f"INSERT INTO {kind} ({columns}) VALUES ({marks})", values)

    def _select(self, row: type[_Row], kind: Kind, rest: str, *values: object) -> list[_Row]:
        columns = ", ".join(row.__struct_fields__)
        with self._reading():
            found = self._connection.execute(f"SELECT {columns} FROM {kind} {rest}", values).fetchall()
        return [
            msgspec.convert(dict(zip(row.__struct_fields__, each, strict=True)), row, strict=False)
            for each in found
        ]

    def _set(
        self, kind: Kind, identity: str, now_ns: int, columns: Mapping[str, object], *, when: str = "1"
    ) -> bool:
        """Change columns of an unfinished row: what is finished stays as it is."""
        given = {**columns, "updated_ns": now_ns}
        sets = ", ".join(f"{name} = ?" for name in given)
        done = self._connection.execute(
            f"UPDATE {kind} SET {sets} WHERE id = ? AND status NOT IN ('READY', 'FAILED') AND {when}",
            (*given.values(), identity),
        )
        return done.rowcount > 0


def _part(identity: str, number: int) -> str:
    """Key of a part: that of the first is the result's own, which had the whole answer in format 1."""
    return f"{identity}/{number}" if number else identity


def _parts_of(result: str) -> str:
    """The condition for the keys of all parts of a result; "0" is the letter after "/"."""
    return f"(answers.id = {result} OR (answers.id > {result} || '/' AND answers.id < {result} || '0'))"


def _of(client: str | None) -> tuple[str, Sequence[Any]]:
    return ("WHERE 1", ()) if client is None else ("WHERE client = ?", (client,))
