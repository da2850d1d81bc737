"""A hospital whose scanner is unlike the demo's source, with readers who have tokens, where the gate itself promotes by its own rules."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from .server import StoryServer

CORRECTED = 400  # about half are held out: enough for the gate as it is, and learned from in seconds
SEEN = "head-ct-01"  # the one study with images


def hospital(folder: Path) -> StoryServer:
    """The server, not started: corrections of 400 studies with stored features in its store, and one phantom to be read."""
    private = folder / "studies" / ".headct"
    server = StoryServer(folder, auth="tokens", promotion="automatic", train_threads="1", store=f"sqlite:///{private / 'store.db'}")
    server.run("phantom", str(folder / "made"), "--count", "1", "--seed", "3", "--matrix", "128")
    private.mkdir(parents=True)
    (folder / "made" / "phantom-0001.nii.gz").rename(server.studies / f"{SEEN}.nii.gz")
    server.run(str(private), str(CORRECTED), module="corrected_studies")
    server.token = token(server, "watcher", "trainer")
    return server


def token(server: StoryServer, reader: str, role: str) -> str:
    """A new token, as the operator makes one."""
    return server.run("token", "create", "--reader", reader, "--role", role, "--days", "1", "--store", server.settings["store"]).strip()


def expire(server: StoryServer, secret: str) -> None:
    """A token's day is over."""
    with sqlite3.connect(server.settings["store"].removeprefix("sqlite:///")) as store:
        store.execute("UPDATE tokens SET expires_at = '2020-01-01 00:00:00.000000' WHERE token_id = ?", (secret.split("_")[1],))


def revoke(server: StoryServer, secret: str) -> None:
    """The operator takes a token back."""
    server.run("token", "revoke", secret.split("_")[1], "--store", server.settings["store"])
