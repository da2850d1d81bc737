"""How long the way from a study on disk to the model's input takes, and how much memory, each as a ratio in one run.

    python benchmarks/imaging.py [STUDY...] [--slices 160] [--folder 100] [--repeats 5]

For each study, in a process of its own: seconds of the first time and medians of the repeats by stage, peak memory, and the ratio of the
whole to reading the same files with SimpleITK alone. Added to the studies is a phantom of 512 x 512 x `--slices` (a phantom of matrix
256 scaled up, with fresh noise, as an uncompressed DICOM series). Then the throughput over a folder of `--folder` files (ten phantoms
of matrix 256, hard-linked; no cache) with one and two workers. 0 leaves either out. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

from headct_molre.data.bulk import prepare_many
from headct_molre.data.phantom import make_phantom, write_cohort
from headct_molre.errors import HeadCTError
from headct_molre.imaging.pipeline import prepare_study

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Time the imaging.")
    parser.add_argument("studies", type=Path, nargs="*")
    parser.add_argument("--slices", type=int, default=160, help="slices of the 512 x 512 phantom; 0 for none")
    parser.add_argument("--folder", type=int, default=100, help="files of the folder for the throughput; 0 for none")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.studies[0], options.repeats)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        paths = {path.name: path for path in options.studies}
        if options.slices:
            paths[f"phantom 512 x 512 x {options.slices}, DICOM"] = write_large_phantom(Path(temporary) / "large", options.slices)
        report: dict[str, object] = {"cores": os.cpu_count(), "studies": {name: in_own_process(p, options) for name, p in paths.items()}}
        if options.folder:
            report["throughput"] = throughput(Path(temporary) / "folder", options.folder)
    print(json.dumps(report, indent=2))


def in_own_process(path: Path, options: argparse.Namespace) -> dict:
    """`measure` in a fresh process, so that memory and the first time are its own."""
    command = [sys.executable, __file__, str(path), "--one", "--repeats", str(options.repeats)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def measure(path: Path, repeats: int) -> dict:
    """Seconds by stage, peak MB, and the ratio to SimpleITK of one study."""
    imported = peak_mb()
    runs = [run(path) for _ in range(repeats + 1)]
    peak = peak_mb()
    simpleitk = [read_with_simpleitk(path) for _ in range(repeats + 1)]
    total = statistics.median(row["total"] for row in runs[1:])
    reading = statistics.median(simpleitk[1:])
    return {
        "first_s": runs[0],
        "median_s": {stage: round(statistics.median(row[stage] for row in runs[1:]), 3) for stage in runs[0]},
        "peak_mb": peak,
        "peak_mb_before": imported,
        "simpleitk_s": round(reading, 3),
        "read_to_simpleitk": round(statistics.median(row["read"] for row in runs[1:]) / reading, 2),
        "total_to_simpleitk": round(total / reading, 1),
    }


def run(path: Path) -> dict[str, float]:
    """Seconds by stage of one preparation."""
    stages = prepare_study(path).timing_ms
    return {**{stage: round(value / 1000, 3) for stage, value in stages.items()}, "total": round(sum(stages.values()) / 1000, 3)}


def read_with_simpleitk(path: Path) -> float:
    """Seconds that SimpleITK takes to read the same files, whatever it makes of their geometry."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    started = time.perf_counter()
    if path.is_dir():
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
        reader.Execute()
    else:
        SimpleITK.ReadImage(str(path))
    return time.perf_counter() - started


def throughput(folder: Path, count: int) -> dict:
    """Seconds for all studies of a folder with one and two workers, starting the processes included."""
    phantoms = write_cohort(folder / "phantoms", min(count, 10), seed=4)
    paths = [folder / f"{number:03d}.nii.gz" for number in range(count)]
    for number, path in enumerate(paths):
        os.link(phantoms[number % len(phantoms)], path)
    seconds = {}
    for workers in (1, 2):
        started = time.perf_counter()
        outcomes = [outcome for _, outcome in prepare_many(paths, workers)]
        seconds[workers] = time.perf_counter() - started
        refused = [outcome for outcome in outcomes if isinstance(outcome, HeadCTError)]
    return {
        "studies": count,
        "refused": len(refused),
        "one_worker_s": round(seconds[1], 1),
        "two_workers_s": round(seconds[2], 1),
        "studies_a_minute": round(60 * count / seconds[2], 1),
        "one_to_two": round(seconds[1] / seconds[2], 2),
    }


def write_large_phantom(folder: Path, slices: int) -> Path:
    """A DICOM series (slices, 512, 512) of a phantom without tilt; 0.6 GB of memory on the way."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    volume = next(v for v in (make_phantom(seed).volume for seed in range(100)) if v.affine[1, 0] == 0)
    factors = np.array([slices, 512, 512]) / volume.hu.shape
    hu = ndimage.zoom(volume.hu, factors, order=1, mode="nearest", grid_mode=True)
    hu = np.round(hu + np.random.default_rng(0).normal(0, 6, hu.shape)).clip(-1024, 3071).astype(np.int16)
    step, row, column = np.array(volume.spacing_mm) / factors
    # Both grids begin at the same edge, so that the centre of the first fine voxel lies before that of the first coarse one.
    origin = volume.to_ras((0.5 / factors - 0.5)[None])[0]
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    folder.mkdir(parents=True)
    for number, pixels in enumerate(hu):
        image = Dataset()
        image.file_meta = FileMetaDataset()
        image.file_meta.TransferSyntaxUID, image.file_meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CT_IMAGE
        image.SOPClassUID, image.SOPInstanceUID, image.SeriesInstanceUID = CT_IMAGE, generate_uid(), series
        image.StudyInstanceUID, image.FrameOfReferenceUID = study, frame
        image.Modality, image.ImageType, image.InstanceNumber = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"], number + 1
        image.Rows, image.Columns = pixels.shape
        image.PixelSpacing, image.SliceThickness = [float(f"{row:.6f}"), float(f"{column:.6f}")], float(f"{step:.6f}")
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.ImagePositionPatient = [float(f"{value:.4f}") for value in (-origin[0], -origin[1], origin[2] + number * step)]
        image.RescaleSlope, image.RescaleIntercept = 1, 0
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
        image.PixelData = pixels.tobytes()
        image.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)
    return folder


def peak_mb() -> int:
    """Largest resident memory of this process so far. Linux: getrusage would count what the parent held before the fork."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024)


if __name__ == "__main__":
    main()
