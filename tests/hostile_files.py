"""Studies made to hurt: each function writes one below a folder and returns the path to be read."""

from __future__ import annotations

import bz2
import gzip
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path

import gdcm
import nibabel as nib
import numpy as np
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from imaging_files import ct_slice, enhanced_ct, recode

ZEROS = bytes(16_000_000)
NRRD = """NRRD0004
type: short
dimension: 3
space: LPS
sizes: {sizes}
space directions: (1,0,0) (0,1,0) (0,0,1)
endian: little
encoding: {encoding}
space origin: (0,0,0)

"""
MHA = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = False
CompressedData = {packed}
TransformMatrix = 1 0 0 0 1 0 0 0 1
Offset = 0 0 0
ElementSpacing = 1 1 1
DimSize = {sizes}
ElementType = MET_SHORT
ElementDataFile = {data}
"""


def nifti_header(sizes: tuple[int, int, int], dtype: type = np.int16, voxel_offset: float = 352.0) -> bytes:
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(sizes)
    header.set_sform(np.eye(4), code=1)
    header["vox_offset"], header["magic"] = voxel_offset, b"n+1"
    return bytes(header.binaryblock) + bytes(4)


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


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


# Claims of 30,000 voxels along each axis.
def nifti_claim(folder):
    return write(folder / "x.nii", nifti_header((30000, 30000, 30000)))


def nifti_claim_packed(folder):
    return write(folder / "x.nii.gz", gzip.compress(nifti_header((30000, 30000, 30000))))


def nrrd_claim(folder):
    return write(folder / "x.nrrd", NRRD.format(sizes="30000 30000 30000", encoding="raw"))


def metaimage_claim(folder):
    return write(folder / "x.mha", MHA.format(sizes="30000 30000 30000", packed="False", data="LOCAL"))


def dicom_claim(folder):
    return series(folder, Rows=30000, Columns=30000)


def multiframe_claim(folder):
    dataset = enhanced_ct(np.zeros((4, 16, 20), dtype=np.int16), [(0, 0, z) for z in range(4)])
    dataset.NumberOfFrames = 30000
    dataset.save_as(folder / "x.dcm", enforce_file_format=True)
    return folder / "x.dcm"


# Small files that unpack to hundreds of megabytes, all of which the header claims.
def gzip_bomb(folder):
    return write(folder / "x.nii.gz", gzip.compress(nifti_header((512, 512, 800))) + gzip.compress(ZEROS) * 27)


def gzip_bomb_in_front_of_the_voxels(folder):
    packed = gzip.compress(nifti_header((20, 20, 20), voxel_offset=2e9)) + gzip.compress(ZEROS) * 100
    return write(folder / "x.nii.gz", packed)


def gzip_bomb_behind_the_voxels(folder):
    return write(folder / "x.nii.gz", gzip.compress(nifti_header((20, 20, 20))) + gzip.compress(ZEROS) * 100)


def nrrd_gzip_bomb(folder):
    return write(folder / "x.nrrd", NRRD.format(sizes="512 512 800", encoding="gzip").encode() + gzip.compress(ZEROS) * 27)


def nrrd_bzip2_bomb(folder):
    return write(folder / "x.nrrd", NRRD.format(sizes="512 512 800", encoding="bzip2").encode() + bz2.compress(ZEROS) * 27)


def nrrd_header_without_end(folder):
    return write(folder / "x.nrrd", b"NRRD0004\n" + b"#" * 50_000_000)


def metaimage_bomb(folder):
    packer = zlib.compressobj()
    packed = b"".join([packer.compress(ZEROS) for _ in range(27)] + [packer.flush()])
    return write(folder / "x.mha", MHA.format(sizes="512 512 800", packed="True", data="LOCAL").encode() + packed)


def metaimage_header_without_end(folder):
    return write(folder / "x.mha", b"Comment = " + b"#" * 50_000_000)


def metaimage_data_elsewhere(folder):
    return write(folder / "x.mha", MHA.format(sizes="5 5 5", packed="False", data="/etc/passwd"))


def deflated_dicom_bomb(folder):
    dataset = ct_slice((0, 0, 0))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData = ZEROS * 10
    dataset.save_as(folder / "x.dcm", enforce_file_format=True)
    return folder


# DICOM headers.
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


# Archives.
def zip_of(folder: Path, *entries: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return folder / "x.zip"


def zip_up(folder):
    return zip_of(folder, ("../out.nii", b"x"))


def zip_absolute(folder):
    return zip_of(folder, ("/tmp/out.nii", b"x"))


def zip_link(folder):
    entry = zipfile.ZipInfo("link.nii")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zip_of(folder, (entry, b"/etc/passwd"))


def zip_bomb(folder):
    return zip_of(folder, *((f"{k}.dcm", ZEROS) for k in range(20)))


def zip_of_many(folder):
    return zip_of(folder, *((f"{k}", b"") for k in range(60_000)))


def zip_of_6000(folder):
    return zip_of(folder, *((f"{k}", b"") for k in range(6_000)))


def zip_in_zip(folder):
    return zip_of(folder, ("inner.zip", b"PK"))


def zip_that_is_none(folder):
    return write(folder / "x.zip", "text")


# Folders.
def link_outside(folder):
    series(folder)
    (folder / "passwd").symlink_to("/etc/passwd")
    return folder


def loop_of_links(folder):
    (folder / "a").mkdir()
    (folder / "a" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "b").symlink_to("b")
    return folder


def link_to_itself(folder):
    (folder / "x").symlink_to("x")
    return folder / "x"


def empty_folder(folder):
    return folder


def deep_folders(folder):
    (folder / "/".join("d" * 500)).mkdir(parents=True)
    return folder


def tiny_texts(folder):
    for k in range(10_000):
        write(folder / f"{k}.txt", "x")
    return folder


def tiny_headers(folder):
    dataset = ct_slice((0, 0, 0))
    del dataset.PixelData
    dataset.save_as(folder / "first", enforce_file_format=True)
    whole = (folder / "first").read_bytes()
    for k in range(9_999):
        write(folder / f"{k}", whole)
    return folder


def pipe_in_a_folder(folder):
    os.mkfifo(folder / "x.dcm")
    return folder


def device(folder):
    return Path("/dev/zero")


def a_terabyte_of_nothing(folder):
    write(folder / "x.nii", nifti_header((512, 512, 160)))
    os.truncate(folder / "x.nii", 10**12)
    return folder / "x.nii"


# Other things by another name.
def empty_file(folder):
    return write(folder / "x.nii.gz", b"")


def text_as_nifti(folder):
    return write(folder / "x.nii", "This is a letter.\n" * 100)


def text_as_packed_nifti(folder):
    return write(folder / "x.nii.gz", "This is a letter.\n" * 100)


def text_as_dicom(folder):
    return write(folder / "x.dcm", "This is a letter.\n" * 100)


def text_as_nrrd(folder):
    return write(folder / "x.nrrd", "This is a letter.\n" * 100)


def text_as_metaimage(folder):
    return write(folder / "x.mha", "This is a letter.\n" * 100)


def inserted(whole: bytes, elements: bytes) -> bytes:
    """Elements put in front of Modality (0008,0060)."""
    at = whole.index(b"\x08\x00\x60\x00CS")
    return whole[:at] + elements + whole[at:]


def pixel_data(whole: bytes) -> int:
    return whole.index(b"\xe0\x7f\x10\x00OW")


# Which refusal each of them ends in.
EXPECTED = {
    nifti_claim: "too_large",
    nifti_claim_packed: "too_large",
    nrrd_claim: "too_large",
    metaimage_claim: "too_large",
    dicom_claim: "too_large",
    multiframe_claim: "too_large",
    gzip_bomb: "decompression_bomb",
    gzip_bomb_in_front_of_the_voxels: "header_too_large",
    gzip_bomb_behind_the_voxels: "damaged_file",
    nrrd_gzip_bomb: "decompression_bomb",
    nrrd_bzip2_bomb: "decompression_bomb",
    nrrd_header_without_end: "header_too_large",
    metaimage_bomb: "decompression_bomb",
    metaimage_header_without_end: "header_too_large",
    metaimage_data_elsewhere: "link_outside",
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
    zip_up: "unsafe_archive",
    zip_absolute: "unsafe_archive",
    zip_link: "unsafe_archive",
    zip_bomb: "decompression_bomb",
    zip_of_many: "too_many_files",
    zip_of_6000: "too_many_files",
    zip_in_zip: "nested_archive",
    zip_that_is_none: "damaged_archive",
    link_outside: "link_outside",
    loop_of_links: "no_images",
    link_to_itself: "not_readable",
    empty_folder: "no_images",
    deep_folders: "nested_too_deep",
    tiny_texts: "too_many_files",
    tiny_headers: "too_many_files",
    pipe_in_a_folder: "special_file",
    device: "special_file",
    a_terabyte_of_nothing: "too_large",
    empty_file: "empty_file",
    text_as_nifti: "damaged_file",
    text_as_packed_nifti: "damaged_file",
    text_as_dicom: "unsupported_format",
    text_as_nrrd: "damaged_file",
    text_as_metaimage: "damaged_file",
}
