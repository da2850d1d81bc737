"""Synthetic imaging files for the tests of reading, and what they ask of a Volume."""

from __future__ import annotations

import zlib
from pathlib import Path

import gdcm
import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from headct_molre.errors import StudyRefused
from headct_molre.imaging.read import read_study
from headct_molre.imaging.volume import Volume

SERIES = generate_uid(entropy_srcs=["series"])
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
# What compresses to next to nothing.
ZEROS = bytes(16_000_000)


def refusal(path: Path, **options: str) -> StudyRefused:
    """The refusal that reading `path` ends in; the test fails where it does not."""
    with pytest.raises(StudyRefused) as caught:
        read_study(path, **options)
    return caught.value


def brightest_ras(volume: Volume) -> np.ndarray:
    """RAS position in mm of the brightest voxel."""
    return volume.to_ras(np.array(np.unravel_index(volume.hu.argmax(), volume.hu.shape), dtype=float))


def marked(shape: tuple[int, ...], at: tuple[int, ...]) -> np.ndarray:
    """An int16 array of -500 with one voxel of 1500."""
    array = np.full(shape, -500, dtype=np.int16)
    array[at] = 1500
    return array


def ct_slice(position: tuple[float, float, float], **tags: object) -> Dataset:
    """A plain CT slice of 16 x 20 pixels at `position` LPS mm, in HU."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CT_IMAGE
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = generate_uid(), SERIES
    dataset.PatientName, dataset.PatientID, dataset.Modality = "SECRET^NAME", "SECRET-ID", "CT"
    dataset.ImageType, dataset.PixelSpacing = ["ORIGINAL", "PRIMARY", "AXIAL"], [0.8, 0.5]
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = list(position), [1, 0, 0, 0, 1, 0]
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 16, 20, 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    wave = np.round(900 * np.sin(np.arange(16)[:, None] / 3 + position[2]) * np.cos(np.arange(20) / 4))
    dataset.PixelData = wave.astype("<i2").tobytes()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def enhanced_ct(pixels: np.ndarray, positions: list[tuple[float, float, float]]) -> Dataset:
    """An Enhanced CT of frames (n, rows, columns) int16 at `positions` LPS mm: spacing shared, position and slope per frame."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = ENHANCED_CT
    dataset.SOPInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.PatientName, dataset.Modality, dataset.ImageType = "SECRET^NAME", "CT", ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    shared = Dataset()
    shared.PixelMeasuresSequence = [_item(PixelSpacing=[0.8, 0.5], SliceThickness=5.0)]
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]
    shared.CTImageFrameTypeSequence = [_item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])]
    shared.CTReconstructionSequence = [_item(ConvolutionKernel="H31s")]
    dataset.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for position in positions:
        frame = Dataset()
        frame.PlanePositionSequence = [_item(ImagePositionPatient=list(position))]
        frame.PixelValueTransformationSequence = [_item(RescaleSlope=1, RescaleIntercept=0, RescaleType="HU")]
        frames.append(frame)
    dataset.PerFrameFunctionalGroupsSequence = frames
    dataset.PixelData = pixels.astype("<i2").tobytes()
    return dataset


def metaimage(nifti: Path) -> bytes:
    """A NIfTI file as MetaImage; not by SimpleITK, which writes no tilted volume."""
    image = nib.load(nifti)
    affine = np.diag([-1, -1, 1, 1]) @ image.affine
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    matrix = (affine[:3, :3] / spacing).T
    header = {"ObjectType": "Image", "NDims": 3, "CompressedData": "True", "TransformMatrix": matrix, "Offset": affine[:3, 3]}
    header |= {"ElementSpacing": spacing, "DimSize": image.shape, "ElementType": "MET_SHORT", "ElementDataFile": "LOCAL"}
    lines = [f"{key} = {value if isinstance(value, int | str) else ' '.join(map(str, np.ravel(value)))}\n" for key, value in header.items()]
    return "".join(lines).encode() + zlib.compress(np.asarray(image.dataobj).astype("<i2").tobytes(order="F"), 1)


def write(path: Path, content: bytes | str) -> Path:
    """A file with this content; returns its path."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def recode(path: Path, syntax: int) -> None:
    """Compress a DICOM file in place with GDCM, `syntax` being one of gdcm.TransferSyntax."""
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change(), f"GDCM does not encode {syntax}"
    # Only the pixels are taken from GDCM: its writer would also rewrite the positions of frames.
    encoded = change.GetOutput().GetDataElement().GetSequenceOfFragments()
    frames = [encoded.GetFragment(index).GetByteValue().GetBuffer() for index in range(encoded.GetNumberOfFragments())]
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = gdcm.TransferSyntax(syntax).GetString()
    dataset.PixelData = encapsulate([frame.encode("utf-8", "surrogateescape") for frame in frames])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)


def _item(**tags: object) -> Dataset:
    item = Dataset()
    for keyword, value in tags.items():
        setattr(item, keyword, value)
    return item
