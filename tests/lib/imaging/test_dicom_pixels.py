"""DICOM pixels: slope, padding, bits beyond BitsStored, black and white, and every compression."""

from __future__ import annotations

import numpy as np
from pydicom import dcmread
from pydicom.uid import JPEGLSLossless, RLELossless

from headct_molre.imaging.read import read_study
from imaging_files import refusal


def test_padding_and_slope_are_applied(write_slice, tmp_path):
    stored = np.full((16, 20), 1064)
    stored[0, 0], stored[0, 1], stored[1, 1] = -2000, -1990, 0
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=stored, RescaleIntercept=-1024, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1995)
    volume = read_study(tmp_path)
    assert volume.hu[0, 5, 5] == 40
    assert volume.hu[0, 0, 0] == -1000
    assert volume.hu[0, 0, 1] == -1000  # below -1024 HU
    assert volume.hu[0, 1, 1] == -1024


def test_a_padding_value_that_names_tissue_is_not_believed(write_slice, tmp_path):
    stored = np.full((16, 20), -1000)
    stored[5:10, 5:10] = 0
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=stored, PixelPaddingValue=0)
    assert read_study(tmp_path).hu[0, 7, 7] == 0


def test_truncated_pixels_are_refused(write_slice, tmp_path):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k))
    victim = tmp_path / "series" / "1"
    victim.write_bytes(victim.read_bytes()[:-200])
    assert refusal(tmp_path).code == "damaged_file"


def test_compressed_slices_are_decoded_or_refused_by_name(write_slice, tmp_path):
    noise = np.random.default_rng(0).integers(-1000, 2000, (3, 16, 20))
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=noise[k])
    plain = read_study(tmp_path).hu
    for path in (tmp_path / "series").iterdir():
        dataset = dcmread(path)
        dataset.compress(RLELossless, generate_instance_uid=False)
        dataset.save_as(path)
    assert np.array_equal(read_study(tmp_path).hu, plain)
    for path in (tmp_path / "series").iterdir():
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = JPEGLSLossless  # the bytes are not
        dataset.save_as(path)
    error = refusal(tmp_path)
    assert error.code == "compressed"
    assert "JPEG-LS" in error.message


def test_a_huge_claim_is_refused_before_decoding(write_slice, tmp_path):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k), Rows=60000, Columns=60000)
    assert refusal(tmp_path).code == "too_large"
