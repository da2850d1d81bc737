"""The import of a folder that MONAI Label kept: its images, and those of its labels that are a reader's calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ..store import StudyStore
from .images import Images
from .importing import ImportReport, checked_reader, store_all
from .monai_label_folder import INDEX, read_label_folder
from .monai_label_label import REASONS, is_study_id, submission_of


def import_monai_label(
    store: StudyStore,
    folder: Path,
    studies: Path,
    *,
    reader: str | None = None,
    dry_run: bool = False,
    done: Callable[[int], object] = lambda _: None,
) -> ImportReport:
    """Take over a folder of MONAI Label; what was imported before is not stored again, and nothing in the folder is changed.

    Images that lie in the `studies` folder stay where they are; others are copied there and compared. `reader` is who read the labels that
    do not say it. Masks and predictions of models are skipped and counted. Before anything is stored, raises NotFound
    `folder_missing`, InvalidRequest `not_a_label_folder`, `unsafe_name`, `study_exists`, `no_disk_space` or `submission_conflict`; later
    StoreUnavailable, OSError.
    """
    report = ImportReport(dry_run)
    checked_reader(reader)
    found = read_label_folder(folder)
    if found.index != "read":
        report.notes.append(f"{INDEX} is {found.index}: who made which label is not known, labels are those that lie in the folder")
    images = Images(store, studies, [image for image in found.images if is_study_id(image.image_id)])
    report.skipped += Counter(not_a_study_id=len(found.images) - images.count)
    submissions = []
    for label in found.labels:
        submission = submission_of(label, reader)
        if isinstance(submission, str):
            report.skipped[submission] += 1
        else:
            submissions.append(submission)
    arrivals = [(submission, None) for submission in submissions]
    if not dry_run:
        store_all(store, lambda: arrivals, ImportReport(dry_run=True), done)
    report.images += images.take(dry_run, done)
    store_all(store, lambda: arrivals, report, done)
    report.notes += [f"skipped {number} {REASONS[reason]}" for reason, number in report.skipped.items()]
    return report
