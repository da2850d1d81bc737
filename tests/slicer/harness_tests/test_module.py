"""The module file, loaded as Slicer loads it, and the checks that are meant for Slicer itself."""

from __future__ import annotations

import runpy

import pytest

from harness.session import MODULE_FOLDER, load_module


@pytest.fixture
def module(slicer):
    loaded = load_module()
    yield loaded
    loaded.close()


def test_the_module_describes_itself(module):
    assert module.module.title == "Head CT Findings"
    assert "not a device" in module.module.helpText
    assert module.widget.ui


def test_the_checks_for_slicer_pass_here_as_far_as_they_can(slicer, module, monkeypatch, capsys):
    """Without a server: the panel, the worker's share of time, a picture, leaving and coming back."""
    monkeypatch.delenv("HEADCT_SERVER", raising=False)
    slicer.app.setTesting(True)
    checks = runpy.run_path(str(MODULE_FOLDER / "Testing" / "run_in_slicer.py"))
    status = checks["main"]()
    assert status == 0, capsys.readouterr().out
