"""What docs/operations.md and the files beside it say is what the code does."""

import configparser
import re
import shlex
from pathlib import Path

import pytest

from headct_molre.cli import _parser
from headct_molre.server.config import load_server_config
from headct_molre.server.settings import TABLES, with_tables

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "operations.md"
FILES = ROOT / "docs" / "operations"


def test_the_tables_are_written_from_the_code():
    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page, "run python -m headct_molre.server.settings docs/operations.md"
    assert all(f"<!-- table: {name} -->" in page for name in TABLES)


def test_the_example_is_a_configuration():
    config = load_server_config({}, {}, FILES / "headct-molre.toml")
    assert config.auth == "tokens"
    assert config.readers_per_study == 2


def test_the_unit_calls_the_command_as_it_is():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(FILES / "headct-molre.service")
    service = unit["Service"]
    _, *arguments = shlex.split(service["ExecStart"])
    assert str(_parser().parse_args(arguments).config).endswith("headct-molre.toml")
    assert int(service["TimeoutStopSec"]) > load_server_config({}, {}, FILES / "headct-molre.toml").stop_s


def test_the_container_calls_the_command_as_it_is():
    command = re.search(r"^CMD \[(.+)\]$", (FILES / "Containerfile").read_text(), re.MULTILINE)[1]
    _, *arguments = [part.strip().strip('"') for part in command.split(",")]
    assert str(_parser().parse_args(arguments).config).endswith("headct-molre.toml")
    assert "\nUSER headct\n" in (FILES / "Containerfile").read_text()


SOURCES = "".join(path.read_text(encoding="utf-8") for folder in ("lib", "apps") for path in (ROOT / folder).rglob("*.py"))
TROUBLESHOOTING = PAGE.read_text(encoding="utf-8").partition("## Troubleshooting")[2]
CODES = [code for line in TROUBLESHOOTING.splitlines() if line.startswith("| `") for code in re.findall(r"`(\w+)`", line.split("|")[1])]


@pytest.mark.parametrize("code", CODES)
def test_a_code_that_is_explained_is_one_that_occurs(code):
    assert f'"{code}"' in SOURCES
