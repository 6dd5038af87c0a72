# SPDX-License-Identifier: Apache-2.0
"""The plain endpoint: what FastAPI's documentation shows, with one row written to SQLite for each request.

    python -m bench.plain --data FILE --key KEY

The same frame as ours (uvicorn with httptools and uvloop, no access log), the same JSON, the same promise
that a row survives the loss of power (WAL, ``synchronous=FULL``), a key looked up by its hash. It is the
quicker of the two usual ways: one synchronous function in the thread pool, with a connection for each
thread. It knows no idempotency, looks nothing else up, builds no message and queues nothing.
"""

from __future__ import annotations

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
from fastapi import FastAPI, Header, HTTPException
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


class Connections(threading.local):
    """One for each thread."""

    def __init__(self, path: Path) -> None:
        self.one = sqlite3.connect(path, isolation_level=None, timeout=30)
        self.one.execute("PRAGMA journal_mode = WAL")
        self.one.execute("PRAGMA synchronous = FULL")


def create_app(path: Path) -> FastAPI:
    """The application over this file."""
    app = FastAPI()
    connections = Connections(path)

    @app.post("/api/v2/emails/{email_id}/reply")
    def reply(email_id: str, body: Body, authorization: Annotated[str, Header()]) -> Answer:
        connection, new = connections.one, str(uuid.uuid4())
        digest = hashlib.sha256(authorization.removeprefix("Bearer ").encode()).hexdigest()
        row = connection.execute("SELECT account FROM api_key WHERE sha256 = ?", (digest,)).fetchone()
        if row is None:
            raise HTTPException(401)
        connection.execute(
            "INSERT INTO reply VALUES (?, ?, ?, ?, ?, ?)",
            (new, row[0], email_id, body.author, body.text, time.time()),
        )
        return Answer(id=new)

    return app


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--key", required=True)
    given = parser.parse_args()
    with sqlite3.connect(given.data) as connection:
        connection.executescript(_SCHEMA)
        digest = hashlib.sha256(given.key.encode()).hexdigest()
        connection.execute("INSERT INTO api_key VALUES (?, 'default')", (digest,))
    connection.close()
    listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
    config = uvicorn.Config(
        create_app(given.data),
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
