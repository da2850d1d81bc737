"""The files that may be a study, by the end of their name: the one list for the reader, the server and the command line."""

from __future__ import annotations

# One file that is a whole study, and what it is called on the wire.
FORMATS = {".nii.gz": "nifti", ".nii": "nifti", ".nrrd": "nrrd", ".mha": "metaimage", ".dcm": "dicom", ".zip": "zip"}
STUDY_SUFFIXES = tuple(FORMATS)
# Read from a folder, but no study on its own: its voxels lie in a second file.
HEADER_SUFFIX = ".mhd"
SUPPORTED = "a DICOM folder or multi-frame file, a .zip of either, NIfTI (.nii, .nii.gz), NRRD (.nrrd) or MetaImage (.mha)"


def study_suffix(name: str) -> str | None:
    """The suffix of a file name that may hold a study, in lower case; None for any other name."""
    return next((suffix for suffix in STUDY_SUFFIXES if name.lower().endswith(suffix)), None)
