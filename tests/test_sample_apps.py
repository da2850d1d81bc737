"""The catalogue sample-apps.json says what is there: apps, models and commands."""

import json
from pathlib import Path

import pytest

from headct_molre.cli import _parser
from headct_molre.models.backbones import backbone_names, backbone_spec

ROOT = Path(__file__).parents[1]
CATALOGUE = json.loads((ROOT / "sample-apps.json").read_text(encoding="utf-8"))


def test_every_app_on_disk_is_in_the_catalogue():
    on_disk = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "apps").glob("*/main.py")}
    assert {app["path"] for app in CATALOGUE["apps"]} == on_disk


@pytest.mark.parametrize("app", CATALOGUE["apps"], ids=lambda app: app["name"])
def test_an_app_and_its_models_are_described_as_they_are(app):
    assert set(app) == {"name", "path", "title", "description", "models", "commands"}
    assert app["path"] == f"apps/{app['name']}"
    configs = {path.stem for path in (ROOT / app["path"] / "lib" / "configs").glob("*.py")} - {"__init__"}
    for name, command in app["commands"].items():
        program, *arguments = command.split()
        assert program == "headct-molre"
        assert arguments[0] == name
        _parser().parse_args(arguments)
    named = [model["name"] for model in app["models"]]
    assert sorted(named) == sorted(configs) == sorted(backbone_names())
    for model in app["models"]:
        assert set(model) == {"name", "backbone", "kind", "demo", "licence"}
        assert model["demo"] == (model["name"] == "demo")
        spec = backbone_spec(model["name"])
        assert (model["backbone"], model["licence"]) == (spec.title, spec.licence)
        assert model["kind"] == spec.kind
