"""The studies folder: which files and DICOM folders in a tree are studies, kept in step with the registry of the store.

A volume file is a study. Of DICOM files, the highest folder is whose files all belong to one study; a .dcm file directly in the
studies folder is a study of its own, since it has no such folder. Hidden files and folders are not looked at, links are not followed.
"""

from .look import Found, studies_in
from .names import study_names
from .reconcile import Changes, compare
from .stamp import images_stamp
from .walk import Folder, Walk, walk
from .watch import Problem, StudyFolder

__all__ = [
    "Changes",
    "Folder",
    "Found",
    "Problem",
    "StudyFolder",
    "Walk",
    "compare",
    "images_stamp",
    "studies_in",
    "study_names",
    "walk",
]
