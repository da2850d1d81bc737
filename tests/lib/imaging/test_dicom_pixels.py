"""DICOM pixels: slope, padding, bits beyond BitsStored, black and white, and every compression."""

from __future__ import annotations

import gdcm
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEGLSLossless, RLELossless

from headct_molre.imaging.read import read_study
from imaging_files import recode, refusal


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


def test_padding_of_unsigned_pixels_becomes_air_too(write_slice, tmp_path):
    stored = np.full((16, 20), 40)
    stored[:3] = 0
    for k in range(2):
        tags = {"PixelRepresentation": 0, "RescaleIntercept": 0, "PixelPaddingValue": 0}
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=stored, **tags)
    assert read_study(tmp_path).hu[0, 0, 0] == 0  # a corner alone is no field of view
    stored[:, :3] = stored[-3:] = stored[:, -3:] = 0
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=stored, **tags)
    hu = read_study(tmp_path).hu[0]
    assert (hu[0, 0], hu[8, 8]) == (-1000, 40)


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


CODECS = {
    "JPEG lossless": (gdcm.TransferSyntax.JPEGLosslessProcess14, 0),
    "JPEG lossless SV1": (gdcm.TransferSyntax.JPEGLosslessProcess14_1, 0),
    "JPEG-LS": (gdcm.TransferSyntax.JPEGLSLossless, 0),
    "JPEG-LS near lossless": (gdcm.TransferSyntax.JPEGLSNearLossless, 8),
    "JPEG 2000 lossless": (gdcm.TransferSyntax.JPEG2000Lossless, 0),
    "JPEG 2000": (gdcm.TransferSyntax.JPEG2000, 0),  # GDCM encodes this one reversibly
    "RLE": (gdcm.TransferSyntax.RLELossless, 0),
}


@pytest.mark.parametrize("pixels", ["signed 16", "signed 12", "unsigned 12"])
@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_gives_the_uncompressed_values(write_slice, tmp_path, codec, pixels):
    syntax, tolerance = CODECS[codec]
    signed, bits = pixels.startswith("signed"), int(pixels.split()[1])
    tags = {"PixelRepresentation": int(signed), "BitsStored": bits, "HighBit": bits - 1, "RescaleIntercept": 0 if signed else -1024}
    wave = np.round(900 * np.sin(np.arange(16)[:, None] / 3) * np.cos(np.arange(20) / 4)).astype(int)
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=wave + 10 * k + (0 if signed else 1024), **tags)
    plain = read_study(tmp_path)
    for path in (tmp_path / "series").iterdir():
        recode(path, syntax)
    volume = read_study(tmp_path)
    assert volume.hu.dtype == np.int16
    assert np.abs(volume.hu.astype(int) - plain.hu).max() <= tolerance
    assert (plain.hu[1] == wave + 10).all()
    assert volume.facts["lossy_compression"] is (codec == "JPEG-LS near lossless")


def test_lossy_jpeg_of_twelve_bits_is_decoded_and_named_lossy(write_slice, tmp_path):
    wave = np.round(900 * np.sin(np.arange(16)[:, None] / 3) * np.cos(np.arange(20) / 4)).astype(int) + 1024
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=wave, PixelRepresentation=0, BitsStored=12, HighBit=11, RescaleIntercept=-1024)
    for path in (tmp_path / "series").iterdir():
        recode(path, gdcm.TransferSyntax.JPEGExtendedProcess2_4)
    volume = read_study(tmp_path)
    assert np.abs(volume.hu[0].astype(int) - (wave - 1024)).max() <= 8
    assert volume.facts["lossy_compression"] is True


def test_baseline_jpeg_of_eight_bits_is_decoded(write_slice, tmp_path):
    ramp = np.tile(np.arange(20) * 8, (16, 1))
    for k in range(2):
        tags = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PixelRepresentation": 0, "PixelData": ramp.astype(np.uint8).tobytes()}
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=ramp, **tags)
    for path in (tmp_path / "series").iterdir():
        recode(path, gdcm.TransferSyntax.JPEGBaselineProcess1)
    assert np.abs(read_study(tmp_path).hu[0].astype(int) - ramp).max() <= 6


def test_compressed_pixels_that_end_early_are_refused(write_slice, tmp_path):
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=np.random.default_rng(k).integers(-1000, 1000, (16, 20)))
        recode(tmp_path / "series" / f"{k}", gdcm.TransferSyntax.JPEG2000Lossless)
    victim = tmp_path / "series" / "1"
    victim.write_bytes(victim.read_bytes()[:-300])
    assert refusal(tmp_path).code == "compressed"


def test_an_unknown_compression_is_refused_without_its_text(write_slice, tmp_path):
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k))
        path = tmp_path / "series" / f"{k}"
        path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"SECRET-ID-1234567890"))
    error = refusal(tmp_path)
    assert error.code == "compressed"
    assert "SECRET" not in error.message


@pytest.mark.parametrize("signed", [0, 1])
def test_values_beyond_bits_stored_are_neither_cut_nor_wrapped(write_slice, tmp_path, signed):
    stored = np.full((16, 20), 24)
    stored[4:8, 4:8] = 4868
    for k in range(2):
        tags = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": signed, "RescaleIntercept": -1024}
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=stored, **tags)
    hu = read_study(tmp_path).hu[0]
    assert (hu[5, 5], hu[0, 0]) == (3844, -1000)


def test_an_overlay_in_the_high_bits_is_taken_out_where_the_header_declares_it(write_slice, tmp_path):
    stored = np.full((16, 20), 1064)
    stored[3, :] += 1 << 12
    for k in range(2):
        tags = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "RescaleIntercept": -1024}
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=stored, **tags)
    assert read_study(tmp_path).hu[0, 3, 0] == 40 + 4096  # not declared: may be a value
    for path in (tmp_path / "series").iterdir():
        dataset = dcmread(path)
        dataset.add_new((0x6000, 0x0100), "US", 16)
        dataset.add_new((0x6000, 0x0102), "US", 12)
        dataset.save_as(path)
    assert (read_study(tmp_path).hu == 40).all()


def test_high_bits_with_which_values_leave_every_ct_scale_are_masked(write_slice, tmp_path):
    true = np.tile(np.arange(20), (16, 1))
    stored = true + 1024
    stored[3] += 1 << 15
    for k in range(2):
        tags = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "RescaleIntercept": -1024}
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=stored.astype(np.uint16).view(np.int16), **tags)
    assert (read_study(tmp_path).hu[0] == true).all()


def test_one_value_beyond_every_scale_is_padding_or_a_reason_to_refuse(write_slice, tmp_path):
    stored = np.full((16, 20), 63536)  # -2000 of a writer that minds no sign
    stored[4:12, 4:12] = 1064
    tags = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0, "RescaleIntercept": -1024}
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=stored.astype(np.uint16).view(np.int16), PixelPaddingValue=63536, **tags)
    hu = read_study(tmp_path).hu[0]
    assert (hu[0, 0], hu[8, 8]) == (-1000, 40)
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=stored.astype(np.uint16).view(np.int16), **tags)
    assert refusal(tmp_path).code == "not_hu"


def test_a_sign_that_was_not_extended_is_found_by_the_missing_air(write_slice, tmp_path):
    true = np.full((16, 20), -1000)
    true[4:12, 4:12] = 40
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=true & 0x0FFF, BitsStored=12, HighBit=11)
    assert (read_study(tmp_path).hu[0] == true).all()


@pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
def test_black_and_white_on_a_screen_do_not_change_hounsfield_units(write_slice, tmp_path, interpretation):
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=-1000 + 1040 * k, PhotometricInterpretation=interpretation)
    assert read_study(tmp_path).hu[:, 0, 0].tolist() == [-1000, 40]


def test_a_palette_is_no_ct_image(write_slice, tmp_path):
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), PhotometricInterpretation="PALETTE COLOR")
    assert refusal(tmp_path).code == "secondary_capture"


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({"RescaleType": "Z_EFF"}, "not_hu"),
        ({"RescaleSlope": None}, "not_hu"),
        ({"RescaleIntercept": None}, "not_hu"),
        ({"RescaleSlope": 0}, "not_hu"),
        ({"BitsAllocated": 12}, "unsupported_pixels"),
        ({"Columns": 19}, "damaged_file"),
        ({"Rows": 17}, "damaged_file"),
    ],
)
def test_pixels_that_cannot_be_hounsfield_units_are_refused(write_slice, tmp_path, tags, code):
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), **tags)
    assert refusal(tmp_path).code == code


def test_whole_hounsfield_units_are_held_in_half_the_memory(write_slice, tmp_path):
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=40, RescaleSlope=1 if k else 0.5)
    volume = read_study(tmp_path)
    assert (volume.hu.dtype, volume.hu[0, 0, 0]) == (np.float32, 20.0)
    write_slice("0", (0, 0, 0.0), hu=40)
    assert read_study(tmp_path).hu.dtype == np.int16


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, ImplicitVRLittleEndian])
def test_other_plain_transfer_syntaxes_are_read(write_slice, tmp_path, syntax):
    for k in range(2):
        write_slice(f"{k}", (0, 0, 5.0 * k), hu=300 + k)
        path = tmp_path / "series" / f"{k}"
        read = dcmread(path)
        dataset = Dataset({element.tag: element for element in read})
        dataset.file_meta = read.file_meta
        dataset.file_meta.TransferSyntaxUID = syntax
        if syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
        dataset.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    assert read_study(tmp_path).hu[:, 0, 0].tolist() == [300, 301]
