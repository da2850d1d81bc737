"""The servers of the stories, and a reader at the module for each."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import qt

from harness.session import load_module
from walk.cohort import put_studies
from walk.hospital import hospital
from walk.radiologist import Radiologist
from walk.server import StoryServer

# No hospital would let its gate judge by a handful.
FEW_ARE_ENOUGH = {"minimum_studies": 2, "minimum_cases": 2, "minimum_findings": 1, "replicates": 50}


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoryServer]:
    """With phantoms to be read."""
    running = StoryServer(tmp_path_factory.mktemp("server"), gate=json.dumps(FEW_ARE_ENOUGH), train_threads="1")
    put_studies(running)
    running.start()
    running.wait()
    yield running
    running.kill()


@pytest.fixture(scope="session")
def hospital_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoryServer]:
    """With tokens, and a gate that promotes by itself."""
    running = hospital(tmp_path_factory.mktemp("hospital"))
    running.start()
    running.wait()
    yield running
    running.kill()


@pytest.fixture
def chair(slicer: Any, tmp_path: Path) -> Iterator[Callable[..., Radiologist]]:
    """Opens the module, which was connected to a server before, or tried to; all is closed at the end."""
    window = slicer.app.window()
    window.resize(1600, 1000)
    window.findChild(qt.QDockWidget, "PanelDockWidget").setMinimumWidth(560)
    sitting: list[Radiologist] = []

    def sit(address: str, token: str = "") -> Radiologist:
        for name, value in (("server", address), ("token", token), ("reader", "anna"), ("strategy", "first")):
            qt.QSettings().setValue(f"HeadCTFindings/{name}", value)
        pictures = Path(os.environ.get("HEADCT_STORY_PICTURES", tmp_path / "pictures"))
        person = Radiologist(load_module(), slicer, pictures)
        sitting.append(person)
        person.wait(lambda: person.app.connection.state.phase in ("connected", "failed"), "the connection")
        return person

    yield sit
    for person in sitting:
        person.stand_up()


@pytest.fixture
def sit_down(chair: Callable[..., Radiologist], server: StoryServer) -> Callable[[], Radiologist]:
    """At the server that asks for no token."""
    return lambda: chair(server.address)


@pytest.fixture
def reader(sit_down: Callable[[], Radiologist]) -> Radiologist:
    """At the open module."""
    person = sit_down()
    assert person.app.connection.state.phase == "connected", person.app.connection.state
    return person
