"""A PostgreSQL server of a test run's own, from the system's package: a temporary folder, a unix socket, no network."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import psutil

ACCOUNT = "postgres"  # PostgreSQL refuses to run as root; its package brings this account
START_LIMIT_S = 60


def binaries() -> Path | None:
    """The folder of the newest PostgreSQL programs of this machine, None where there are none."""
    found = [Path(folder) for folder in Path("/usr/lib/postgresql").glob("*/bin") if (folder / "postgres").exists()]
    if found:
        return max(found, key=lambda folder: float(folder.parent.name))
    program = shutil.which("postgres")
    return None if program is None else Path(program).resolve().parent


def why_not() -> str | None:
    """Why no PostgreSQL server can be started here, None where it can."""
    if binaries() is None:
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed (pip install 'headct-molre[postgres]')"
    if os.getuid() == 0 and not _account():
        return f"PostgreSQL does not run as root, and there is no account {ACCOUNT} to run it as"
    return None


class PostgresServer:
    """Starts and stops on demand, also without grace; its databases outlive both.

    Without `durable` nothing is flushed to disk, which a killed process does not notice and only a power cut would.
    """

    def __init__(self, durable: bool = False) -> None:
        # Not in pytest's folder, which only its owner may enter; and a socket's path has at most 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="headct-postgres-", dir=None if durable else _memory()))
        self.durable = durable
        self.process: subprocess.Popen | None = None
        self._programs = binaries()
        self._as = {"user": ACCOUNT, "group": _account().pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
        os.chown(self.folder, *self.owner)
        self._run("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={ACCOUNT}", "-D", self._data)

    @property
    def owner(self) -> tuple[int, int]:
        """User and group id that the server runs with."""
        return (_account().pw_uid, _account().pw_gid) if self._as else (os.getuid(), os.getgid())

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def start(self) -> None:
        """Starts the server and returns when it answers."""
        settings = ["listen_addresses=", "log_checkpoints=off", f"fsync={'on' if self.durable else 'off'}"]
        command = [str(self._programs / "postgres"), "-D", self._data, "-k", str(self.folder)]
        command += [word for setting in settings for word in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd="/", **self._as)
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(Exception):
                self.execute("SELECT 1")
                return
            time.sleep(0.05)
        raise AssertionError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()}")

    def stop(self) -> None:
        """Closes all sessions and stops in order."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=30)
        self.process = None

    def crash(self) -> None:
        """kill -9 of the server and of the process of every session."""
        server = psutil.Process(self.process.pid)
        server.suspend()  # else it replaces the processes that it sees killed, and the new ones outlive it
        processes = [server, *server.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(timeout=30)
        self.process = None
        psutil.wait_procs(processes[1:], timeout=30)

    def remove(self) -> None:
        """Stops the server and removes its folder."""
        if self.process is not None:
            self.stop()
        shutil.rmtree(self.folder)

    def execute(self, statement: str, database: str = ACCOUNT) -> list[tuple]:
        """Runs one statement as superuser, outside any transaction."""
        import psycopg

        with psycopg.connect(host=str(self.folder), user=ACCOUNT, dbname=database, autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def create_database(self, template: str = "template1") -> str:
        """The name of a new database, a copy of another one that nobody uses meanwhile."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Drops a database even while it is in use."""
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def url(self, database: str) -> str:
        """The store's URL of a database."""
        return f"postgresql://{ACCOUNT}@/{database}?host={self.folder}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=300, **self._as)


def _memory() -> str | None:
    """A folder in memory with room for a test run; in a container it may be too small."""
    shared = Path("/dev/shm")
    return str(shared) if shared.is_dir() and os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > 2**30 else None


def _account() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        return None
