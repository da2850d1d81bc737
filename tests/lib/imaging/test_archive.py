"""A zip is a study like its folder, and nothing in it leads out of it."""

from __future__ import annotations

import stat
import tempfile
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from headct_molre.imaging.read import read_study
from imaging_files import refusal


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The folder of temporary files, to see that none is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def zipped(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_a_zipped_series_is_read_like_its_folder(write_slice, tmp_path, temporary):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=k)
    files = {f"study/{path.name}": path.read_bytes() for path in (tmp_path / "series").iterdir()}
    path = zipped(tmp_path / "study.zip", {**files, "__MACOSX/study/._0": b"mac", "study/README.txt": b"text"})
    volume, plain = read_study(path), read_study(tmp_path / "series")
    assert np.array_equal(volume.hu, plain.hu)
    assert volume.facts == plain.facts
    assert not any(temporary.iterdir())


def test_a_zipped_volume_is_read(tmp_path, temporary):
    nib.save(nib.Nifti1Image(np.full((4, 5, 6), 40, dtype=np.int16), np.eye(4)), tmp_path / "head.nii.gz")
    path = zipped(tmp_path / "study.zip", {"deep/er/head.nii.gz": (tmp_path / "head.nii.gz").read_bytes()})
    assert read_study(path).hu.shape == (6, 5, 4)


def link() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../out.nii", "unsafe_archive"),
        ("a/../../out.nii", "unsafe_archive"),
        ("/absolute.nii", "unsafe_archive"),
        ("C:\\out.nii", "unsafe_archive"),
        ("a//b.nii", "unsafe_archive"),
        ("x" * 300 + ".nii", "unsafe_archive"),
        ("/".join("abcdefgh" * 6), "unsafe_archive"),
        (link(), "unsafe_archive"),
        ("inner.zip", "nested_archive"),
        ("README.txt", "no_images"),
    ],
    ids=str,
)
def test_entries_that_lead_out_or_hide_something_are_refused(tmp_path, temporary, name, code):
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        archive.writestr("a.txt", "first")
        archive.writestr(name, "target")
    assert refusal(tmp_path / "study.zip").code == code
    assert not any(temporary.iterdir())
    assert not (tmp_path / "out.nii").exists()


def test_names_that_are_one_on_some_disks_are_refused(tmp_path):
    zipped(tmp_path / "study.zip", {"a": b"1", "A": b"2"})
    assert refusal(tmp_path / "study.zip").code == "unsafe_archive"


def test_an_entry_without_a_name_is_damage(tmp_path):
    path = zipped(tmp_path / "study.zip", {"a": b"1"})
    entry = path.read_bytes().rindex(b"PK\x01\x02")
    whole = bytearray(path.read_bytes())
    # The name of one letter becomes a comment of one letter.
    whole[entry + 28], whole[entry + 32] = 0, 1
    path.write_bytes(whole)
    assert refusal(path).code == "damaged_archive"


def test_encrypted_and_rarely_packed_archives_are_refused(tmp_path):
    path = zipped(tmp_path / "study.zip", {"a.nii": b"x" * 1000}, zipfile.ZIP_LZMA)
    assert refusal(path).code == "unsupported_archive"
    path = zipped(tmp_path / "study.zip", {"a.nii": b"x" * 1000})
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert refusal(path).code == "unsupported_archive"


def test_damaged_archives_are_refused(tmp_path):
    path = zipped(tmp_path / "study.zip", {"a.nii": bytes(range(256)) * 20}, zipfile.ZIP_STORED)
    whole = path.read_bytes()
    for damaged in (whole[:-30], whole[:100], b"no archive", whole.replace(bytes(range(50)), bytes(50), 1)):
        path.write_bytes(damaged)
        assert refusal(path).code == "damaged_archive"
