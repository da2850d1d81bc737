"""Why the bootstrap exists, and that it does no more than it must."""

import os
import subprocess
import sys

import pytest

from headct_molre.serve import environment, find_app, settled
from headct_molre.server.config import ServerConfig


def python(code, **environ):
    environ = {**os.environ, "PYTHONPATH": "", **environ}
    return subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=120)


@pytest.fixture
def environ(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return environment(find_app(), settled(ServerConfig(studies=tmp_path)))


def test_a_module_that_monai_label_imports_at_start_fails_with_todays_pydicom():
    assert "pydicom._storage_sopclass_uids" in python("import pydicom_seg").stderr


def test_with_the_bootstrap_the_app_starts_even_in_the_process_that_monai_label_trains_in(environ, tmp_path):
    environ |= {"MONAI_LABEL_APP_DIR": str(find_app()), "MONAI_LABEL_STUDIES": str(tmp_path)}
    command = [sys.executable, "-m", "monailabel.interfaces.utils.app", "-m", "train", "-r", '{"model": "unknown"}']
    result = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert "Initializing App" in result.stderr
    assert "MONAILabelException" in result.stderr.splitlines()[-1], result.stderr  # there is no such trainer: the app is up


def test_nothing_is_imported_before_it_is_asked_for(environ):
    result = python("import sys; print(sorted({'pydicom', 'torch', 'numpy', 'monailabel'} & set(sys.modules)))", **environ)
    assert result.stdout.strip() == "[]", result.stderr


def test_another_sitecustomize_still_runs(environ, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.other_ran = True\n", encoding="utf-8")
    environ["PYTHONPATH"] += os.pathsep + str(tmp_path)
    assert python("print(other_ran)", **environ).stdout.strip() == "True"
