"""Which series of a study is read, and what is left out."""

from __future__ import annotations

import pytest
from pydicom import dcmread

from headct_molre.errors import NotFound
from headct_molre.imaging.read import read_study
from imaging_files import refusal


def test_another_modality_is_refused_in_a_radiologists_words(write_slice, tmp_path):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k), Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    error = refusal(tmp_path)
    assert error.code == "wrong_modality"
    assert error.message == "This is an MR examination (Modality MR). The models read non-contrast CT of the head."


def test_localizers_and_secondary_captures_are_left_out(write_slice, tmp_path):
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k))
    write_slice("scout", (0, 0, 99), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_slice("page", (0, 0, 120), SOPClassUID="1.2.840.10008.5.1.4.1.1.7")
    volume = read_study(tmp_path)
    assert (volume.hu.shape[0], volume.facts["skipped_images"]) == (3, 2)


def test_a_localizer_alone_is_refused(write_slice, tmp_path):
    write_slice("scout", (0, 0, 0), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert refusal(tmp_path).code == "localizer"


def test_the_head_series_with_the_largest_coverage_is_read(write_slice, tmp_path):
    for series, count, text in (("1.2.1", 3, "Head"), ("1.2.2", 12, "Head"), ("1.2.3", 20, "Chest"), ("1.2.4", 12, "CTA head")):
        for k in range(count):
            write_slice(f"{series}-{k}", (0, 0, 5.0 * k), hu=int(series[-1]), SeriesInstanceUID=series, SeriesDescription=text)
    assert read_study(tmp_path).hu[0, 0, 0] == 2
    assert read_study(tmp_path, series_uid="1.2.3").hu[0, 0, 0] == 3
    with pytest.raises(NotFound):
        read_study(tmp_path, series_uid="1.2.9")


SOFT, BONE = {"ConvolutionKernel": "H31s"}, {"ConvolutionKernel": "H60s"}
MIP = {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"]}


@pytest.mark.parametrize(
    ("read", "left"),
    [
        ((25, 5.0, SOFT), (125, 1.0, BONE)),  # thick soft tissue before thin bone
        ((125, 1.0, SOFT), (25, 5.0, SOFT)),  # thin before thick, all else being equal
        ((25, 5.0, BONE), (6, 5.0, SOFT)),  # a few slices taken again stand for no head
        ((25, 5.0, SOFT), (60, 2.0, SOFT | MIP)),
    ],
    ids=["kernel", "thickness", "coverage", "projection"],
)
def test_of_several_head_series_the_most_useful_is_read(write_slice, tmp_path, read, left):
    for number, (count, step, tags) in enumerate((read, left), 1):
        for k in range(count):
            write_slice(f"{number}-{k}", (0, 0, step * k), hu=number, SeriesInstanceUID=f"1.2.{number}", SeriesDescription="Head", **tags)
    assert read_study(tmp_path).hu[0, 0, 0] == 1


def test_what_is_no_ct_may_have_any_header(write_slice, tmp_path):
    """A film of a reformat and a segmentation beside the series: neither has what a slice needs, and neither is read."""
    for k in range(3):
        write_slice(f"{k}", (0, 0, 5.0 * k))
    write_slice("film", (0, 0, 99), NumberOfFrames=50, SOPClassUID="1.2.840.10008.5.1.4.1.1.7.2")
    write_slice("segments", (0, 0, 99), Modality="SEG", SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", NumberOfFrames=90_000)
    for name in ("film", "segments"):
        dataset = dcmread(tmp_path / "series" / name)
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.save_as(tmp_path / "series" / name)
    volume = read_study(tmp_path)
    assert (volume.hu.shape[0], volume.facts["skipped_images"]) == (3, 2)
