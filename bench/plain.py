# SPDX-License-Identifier: Apache-2.0
"""The plain endpoint: one row written to SQLite for each request, in two ways.

    python -m bench.plain --data FILE --key KEY [--lean]

Without ``--lean`` it is what FastAPI's documentation shows: the key is a dependency, it and the endpoint are
synchronous functions in the thread pool, each thread has a connection. With it one function does everything,
the leanest that the framework allows. Both have the same frame as ours (uvicorn with httptools and uvloop, no
access log), the same JSON, the same promise that a row survives the loss of power (WAL, ``synchronous=FULL``)
and look a key up by its hash. They know no idempotency, read no mail, build no message and queue nothing.
"""

import argparse
import hashlib
import socket
import sqlite3
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

_SCHEMA = """
CREATE TABLE api_key (sha256 TEXT PRIMARY KEY, account TEXT NOT NULL);
CREATE TABLE reply (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, email_id TEXT NOT NULL, author TEXT NOT NULL,
    body TEXT NOT NULL, created_at REAL NOT NULL
);
"""


class Body(BaseModel):
    """What is asked."""

    author: Annotated[str, Field(alias="from")]
    text: str


class Answer(BaseModel):
    """What is answered."""

    id: str


class Rows(threading.local):
    """The database, with a connection for each thread."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")

    def account(self, key: str) -> str:
        """Whose key it is."""
        digest = hashlib.sha256(key.encode()).hexdigest()
        query = "SELECT account FROM api_key WHERE sha256 = ?"
        row = self._connection.execute(query, (digest,)).fetchone()
        if row is None:
            raise HTTPException(401)
        return str(row[0])

    def insert(self, account: str, email_id: str, body: Body) -> Answer:
        """Write the row."""
        new = str(uuid.uuid4())
        row = (new, account, email_id, body.author, body.text, time.time())
        self._connection.execute("INSERT INTO reply VALUES (?, ?, ?, ?, ?, ?)", row)
        return Answer(id=new)


_PATH = "/api/v2/emails/{email_id}/reply"


def create_app(path: Path) -> FastAPI:
    """The application over this file, as the documentation shows."""
    app, rows = FastAPI(), Rows(path)

    def account_of(bearer: HTTPAuthorizationCredentials = Depends(HTTPBearer())) -> str:  # noqa: B008
        return rows.account(bearer.credentials)

    # Annotations are text here, and text cannot name what is local.
    @app.post(_PATH)
    def reply(email_id: str, body: Body, account: str = Depends(account_of)) -> Answer:  # noqa: FAST002
        return rows.insert(account, email_id, body)

    return app


def create_lean_app(path: Path) -> FastAPI:
    """The application over this file, in one function."""
    app, rows = FastAPI(), Rows(path)

    @app.post(_PATH)
    def reply(email_id: str, body: Body, authorization: Annotated[str, Header()]) -> Answer:
        return rows.insert(rows.account(authorization.removeprefix("Bearer ")), email_id, body)

    return app


def _create_database(path: Path, key: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(_SCHEMA)
    digest = hashlib.sha256(key.encode()).hexdigest()
    connection.execute("INSERT INTO api_key VALUES (?, 'default')", (digest,))
    connection.close()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--lean", action="store_true")
    given = parser.parse_args()
    _create_database(given.data, given.key)
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    config = uvicorn.Config(
        create_lean_app(given.data) if given.lean else create_app(given.data),
        http="httptools",
        loop="uvloop",
        lifespan="off",
        log_level="warning",
        access_log=False,
    )
    sys.stdout.write(f"Answering HTTP at http://127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
