"""DICOM studies made to hurt: each function writes one below a folder and returns the path to be read."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import gdcm
import numpy as np
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from imaging_files import ZEROS, ct_slice, enhanced_ct, recode, write


def series(folder: Path, count: int = 3, **tags: object) -> Path:
    """A plain series, to be damaged."""
    for k in range(count):
        ct_slice((0, 0, 5.0 * k), **tags).save_as(folder / f"{k}.dcm", enforce_file_format=True)
    return folder


def damaged(folder: Path, change: object) -> Path:
    """A plain series whose second slice has been changed by `change(bytes) -> bytes`."""
    series(folder)
    victim = folder / "1.dcm"
    victim.write_bytes(change(victim.read_bytes()))
    return folder


def inserted(whole: bytes, elements: bytes) -> bytes:
    """Elements put in front of Modality (0008,0060)."""
    at = whole.index(b"\x08\x00\x60\x00CS")
    return whole[:at] + elements + whole[at:]


def pixel_data(whole: bytes) -> int:
    return whole.index(b"\xe0\x7f\x10\x00OW")


def dicom_claim(folder):
    return series(folder, Rows=30000, Columns=30000)


def multiframe_claim(folder):
    dataset = enhanced_ct(np.zeros((4, 16, 20), dtype=np.int16), [(0, 0, z) for z in range(4)])
    dataset.NumberOfFrames = 30000
    dataset.save_as(folder / "x.dcm", enforce_file_format=True)
    return folder / "x.dcm"


def deflated_dicom_bomb(folder):
    dataset = ct_slice((0, 0, 0))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData = ZEROS * 10
    dataset.save_as(folder / "x.dcm", enforce_file_format=True)
    return folder


def nested_sequences(folder):
    item = b"\x08\x00\x40\x11SQ\x00\x00\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    end = b"\xfe\xff\x0d\xe0\x00\x00\x00\x00" + b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"
    return damaged(folder, lambda whole: inserted(whole, item * 500 + end * 500))


def nested_functional_groups(folder):
    dataset = enhanced_ct(np.zeros((4, 16, 20), dtype=np.int16), [(0, 0, z) for z in range(4)])
    inner = b""
    for _ in range(500):
        item = b"\xfe\xff\x00\xe0" + struct.pack("<L", len(inner)) + inner
        inner = struct.pack("<HH", 0x5200, 0x9230) + b"SQ\x00\x00" + struct.pack("<L", len(item)) + item
    dataset.save_as(folder / "x.dcm", enforce_file_format=True)
    whole = (folder / "x.dcm").read_bytes()
    at = whole.index(struct.pack("<HH", 0x5200, 0x9230))
    write(folder / "x.dcm", whole[:at] + inner)
    return folder


def a_million_items(folder):
    items = b"\xfe\xff\x00\xe0\x00\x00\x00\x00" * 1_000_000
    groups = struct.pack("<HH", 0x5200, 0x9230) + b"SQ\x00\x00" + struct.pack("<L", len(items)) + items
    return damaged(folder, lambda whole: whole[: pixel_data(whole)] + groups + whole[pixel_data(whole) :])


def a_million_elements(folder):
    return damaged(folder, lambda whole: inserted(whole, b"\x09\x00\x10\x10SH\x00\x00" * 1_000_000))


def an_endless_text(folder):
    series(folder)
    whole = (folder / "1.dcm").read_bytes()
    # SeriesDescription as UN, whose length has four bytes; the rest of the file is a hole.
    start = whole[: pixel_data(whole)] + struct.pack("<HH", 0x0008, 0x103E) + b"UN\x00\x00" + struct.pack("<L", 300_000_000)
    write(folder / "1.dcm", start)
    os.truncate(folder / "1.dcm", len(start) + 300_000_000)
    return folder


def an_element_without_end(folder):
    series(folder)
    whole = (folder / "1.dcm").read_bytes()
    start = whole[: pixel_data(whole)] + struct.pack("<HH", 0x0009, 0x1010) + b"OB\x00\x00" + b"\xff" * 4
    write(folder / "1.dcm", start)
    os.truncate(folder / "1.dcm", len(start) + 300_000_000)
    return folder


def wrong_element_length(folder):
    def change(whole):
        at = whole.index(b"\x08\x00\x60\x00CS") + 6
        return whole[:at] + b"\xf0\xff" + whole[at + 2 :]

    return damaged(folder, change)


def wrong_class_length(folder):
    """The class of the image swallows all that follows it, and the file would be no CT image any more."""

    def change(whole):
        at = whole.index(b"\x08\x00\x16\x00UI") + 6
        return whole[:at] + b"\x00\x02" + whole[at + 2 :]

    return damaged(folder, change)


def modality_that_swallows_the_next(folder):
    """The modality takes in exactly the patient's name; all else is in order, and the slice would be no CT any more."""

    def change(whole):
        at = whole.index(b"\x08\x00\x60\x00CS") + 6
        return whole[:at] + struct.pack("<H", 2 + 8 + len("SECRET^NAME ")) + whole[at + 2 :]

    return damaged(folder, change)


def truncated_pixels(folder):
    return damaged(folder, lambda whole: whole[:-200])


def truncated_compressed_pixels(folder):
    series(folder)
    for path in folder.iterdir():
        recode(path, gdcm.TransferSyntax.JPEG2000Lossless)
    return write(folder / "1.dcm", (folder / "1.dcm").read_bytes()[:-60]).parent


def jpeg2000_that_claims_more(folder):
    """The code stream says 60,000 x 60,000, the header 16 x 20."""
    series(folder)
    for path in folder.iterdir():
        recode(path, gdcm.TransferSyntax.JPEG2000Lossless)
        whole = path.read_bytes()
        at = whole.index(b"\xff\x4f\xff\x51") + 8
        sizes = struct.pack(">4L", 60000, 60000, 0, 0) + struct.pack(">4L", 60000, 60000, 0, 0)
        path.write_bytes(whole[:at] + sizes + whole[at + 32 :])
    return folder


def compressed_claim(folder):
    """4,000 x 4,000 pixels in a few hundred bytes of JPEG-LS, 13 slices of it."""
    series(folder, 13, PixelSpacing=[0.1, 0.1])
    for path in folder.iterdir():
        recode(path, gdcm.TransferSyntax.JPEGLSLossless)
        dataset = dcmread(path)
        dataset.Rows = dataset.Columns = 4000
        dataset.save_as(path)
    return folder


# Which refusal each of them ends in.
EXPECTED = {
    dicom_claim: "too_large",
    multiframe_claim: "too_large",
    deflated_dicom_bomb: "compressed",
    nested_sequences: "nested_too_deep",
    nested_functional_groups: "damaged_file",
    a_million_items: "header_too_large",
    a_million_elements: "header_too_large",
    an_endless_text: "header_too_large",
    an_element_without_end: "header_too_large",
    wrong_element_length: "damaged_file",
    wrong_class_length: "damaged_file",
    modality_that_swallows_the_next: "damaged_file",
    truncated_pixels: "damaged_file",
    truncated_compressed_pixels: "compressed",
    jpeg2000_that_claims_more: "compressed",
    compressed_claim: "compressed",
}
