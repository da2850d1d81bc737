"""Volume files, archives and folders made to hurt: each function writes one below a folder and returns the path to be read."""

from __future__ import annotations

import bz2
import gzip
import os
import stat
import zipfile
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np

from hostile_dicom import series
from imaging_files import ZEROS, ct_slice, write

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


# Claims of 30,000 voxels along each axis.
def nifti_claim(folder):
    return write(folder / "x.nii", nifti_header((30000, 30000, 30000)))


def nifti_claim_packed(folder):
    return write(folder / "x.nii.gz", gzip.compress(nifti_header((30000, 30000, 30000))))


def nrrd_claim(folder):
    return write(folder / "x.nrrd", NRRD.format(sizes="30000 30000 30000", encoding="raw"))


def metaimage_claim(folder):
    return write(folder / "x.mha", MHA.format(sizes="30000 30000 30000", packed="False", data="LOCAL"))


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


# Which refusal each of them ends in.
EXPECTED = {
    nifti_claim: "too_large",
    nifti_claim_packed: "too_large",
    nrrd_claim: "too_large",
    metaimage_claim: "too_large",
    gzip_bomb: "decompression_bomb",
    gzip_bomb_in_front_of_the_voxels: "header_too_large",
    gzip_bomb_behind_the_voxels: "damaged_file",
    nrrd_gzip_bomb: "decompression_bomb",
    nrrd_bzip2_bomb: "decompression_bomb",
    nrrd_header_without_end: "header_too_large",
    metaimage_bomb: "decompression_bomb",
    metaimage_header_without_end: "header_too_large",
    metaimage_data_elsewhere: "link_outside",
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
