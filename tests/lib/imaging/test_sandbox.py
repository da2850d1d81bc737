"""The decoder's own process: whatever happens to it, the study is refused and nothing is left behind."""

from __future__ import annotations

import tempfile

import gdcm
import numpy as np
import pytest

from headct_molre.imaging import sandbox
from headct_molre.imaging.read import read_study
from imaging_files import ct_slice, recode, refusal


@pytest.fixture
def compressed(tmp_path, monkeypatch):
    """A JPEG 2000 series of 1024 x 1024 pixels; temporary files go to a folder beside it."""
    folder = tmp_path / "series"
    folder.mkdir()
    for k in range(2):
        pixels = np.random.default_rng(k).integers(-1000, 1000, (1024, 1024)).astype("<i2").tobytes()
        ct_slice((0, 0, 5.0 * k), Rows=1024, Columns=1024, PixelData=pixels).save_as(folder / f"{k}", enforce_file_format=True)
        recode(folder / f"{k}", gdcm.TransferSyntax.JPEG2000Lossless)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield folder
    assert not any(temporary.iterdir())


def test_a_study_is_decoded_in_one_process_and_leaves_nothing(compressed):
    assert read_study(compressed).hu.shape == (2, 1024, 1024)


def test_too_little_memory_is_a_refusal(compressed, monkeypatch):
    monkeypatch.setattr(sandbox, "DECODER_MEMORY_BYTES", 1_000_000)
    assert refusal(compressed).code == "decoder_memory"


def test_too_much_time_is_a_refusal(compressed, monkeypatch):
    monkeypatch.setattr(sandbox, "DECODER_SECONDS", 0.05)
    monkeypatch.setattr(sandbox, "DECODER_SECONDS_PER_SLICE", 0.0)
    assert refusal(compressed).code == "decoder_timeout"


def test_a_crash_is_a_refusal(compressed, tmp_path, monkeypatch):
    script = tmp_path / "crash.py"
    script.write_text("import os; os.abort()")
    monkeypatch.setattr(sandbox, "DECODER", script)
    assert refusal(compressed).code == "decoder_crashed"
