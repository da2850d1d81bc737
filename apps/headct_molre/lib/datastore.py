"""MONAI Label's Datastore: images in the studies folder, labels derived from the submissions in the StudyStore.

A study is a file <id> with one of the library's suffixes (NIfTI, NRRD, MetaImage, a multi-frame DICOM file, a zip), or a direct
sub-folder <id> with DICOM files. The folder is read whenever it is listed, so a study is there once its file is. Nothing here
changes or removes what is stored.
"""

import itertools
import json
import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore, DefaultLabelTag
from pydantic import TypeAdapter, ValidationError

from headct_molre.data.store import StudyStore
from headct_molre.errors import HeadCTError, InvalidRequest, NotFound
from headct_molre.imaging import formats
from headct_molre.schema import StudyId, Submission

_STUDY_ID = TypeAdapter(StudyId)
_ADDING = threading.Lock()


def checked_study(study: str) -> str:
    """The id, when it is one: no separators, no leading dot. Raises InvalidRequest `invalid_study`."""
    try:
        return _STUDY_ID.validate_python(study)
    except ValidationError:
        message = "A study id has 1 to 128 letters, digits, dots, hyphens and underscores, and starts with a letter or digit."
        raise InvalidRequest("invalid_study", message, field="study") from None


def checked_info(info: Any) -> dict[str, Any]:
    """A client's notes on a study. Raises InvalidRequest for what would break a list or a strategy later."""
    try:
        if not isinstance(info, dict) or "strategy" in info or len(json.dumps(info, allow_nan=False)) > 10_000:
            raise ValueError
    except ValueError:
        message = "Notes are a JSON object of finite values with at most 10,000 characters; strategy is the server's."
        raise InvalidRequest("invalid_info", message, field="info") from None
    return info


def study_suffix(file_name: str) -> str:
    """The suffix of a file that is a study. Raises InvalidRequest `unsupported_format`."""
    suffix = formats.study_suffix(file_name)
    if suffix is None:
        raise InvalidRequest("unsupported_format", f"A study is one file ({', '.join(formats.STUDY_SUFFIXES)}). Send that.", field="file")
    return suffix


class HeadCTDatastore(Datastore):
    """Ids are checked and paths stay inside the studies folder; links that lead out of it are not followed."""

    def __init__(self, folder: Path, store: StudyStore) -> None:
        self._folder = folder.resolve()
        self._store = store

    def name(self) -> str:
        return "Head CT studies"

    def set_name(self, name: str) -> None:
        raise _not_supported("The store has one name.")

    def description(self) -> str:
        return "Head CT studies and the submissions of their readers"

    def set_description(self, description: str) -> None:
        raise _not_supported("The store has one description.")

    def list_images(self) -> list[str]:
        """The ids of all studies, sorted."""
        found = set()
        for path in self._folder.iterdir():
            study = _study_of(path)
            if study is not None and self._inside(path) and _is_id(study):
                found.add(study)
        return sorted(found)

    def get_image_uri(self, image_id: str) -> str:
        """The path of a study's file or DICOM folder. Raises InvalidRequest, NotFound `unknown_study`."""
        study = checked_study(image_id)
        for path in (*(self._folder / f"{study}{suffix}" for suffix in formats.STUDY_SUFFIXES), self._folder / study):
            if _study_of(path) == study and self._inside(path):
                return str(path)
        raise NotFound("unknown_study", "There is no study with this id; /headct/studies lists them.", field="study")

    def get_image(self, image_id: str, params: Any = None) -> str:
        """The path: reading the volume is the library's work."""
        return self.get_image_uri(image_id)

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        self.get_image_uri(image_id)
        return self._store.studies.info(image_id)

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        self.get_image_uri(image_id)
        self._store.studies.update_info(image_id, checked_info(info))

    def note_offer(self, study: str, strategy: str, offer: dict[str, Any]) -> dict[str, Any]:
        """Notes when a strategy offered a study to whom; returns all notes on the study."""
        return self._store.studies.note_offer(study, strategy, offer)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Takes a file into the folder under an id; raises InvalidRequest `study_exists`, since nothing is replaced."""
        study, info = checked_study(image_id), checked_info(image_info)
        target = self._folder / f"{study}{study_suffix(image_filename)}"
        with _ADDING, self.incoming() as folder:
            if any(_study_of(path) == study for path in self._folder.glob(f"{study}*")):
                raise InvalidRequest("study_exists", "There is a study with this id already.", field="study", status=409)
            # Copied first and then renamed, so that a study is never listed half written.
            part = shutil.copyfile(image_filename, Path(folder) / "part")
            os.replace(part, target)
        self._store.studies.update_info(study, info)
        return study

    def remove_image(self, image_id: str) -> None:
        raise _not_supported("Studies are not removed over the network; the owner of the studies folder does that.")

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Stores a Submission from a JSON file; the label id is the study id."""
        try:
            submission = Submission.model_validate_json(Path(label_filename).read_bytes())
        except ValidationError as error:
            raise InvalidRequest("invalid_submission", str(error.errors(include_input=False)[0]["msg"]), field="label") from None
        self.add_submission(image_id, submission)
        return image_id

    def add_submission(self, study: str, submission: Submission) -> Any:
        """The record of a stored submission. Raises InvalidRequest when it is about another study, NotFound."""
        if submission.study != checked_study(study):
            raise InvalidRequest("study_mismatch", "The submission is about another study than the request.", field="study")
        self.get_image_uri(study)
        return self._store.submissions.add(submission)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        raise _not_supported("Submissions are append-only; send a new one, which replaces the reader's earlier one.")

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        return {DefaultLabelTag.FINAL.value: image_id} if self._is_read(image_id) else {}

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        return self.get_labels_by_image_id(image_id).get(tag, "")

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> dict[str, str]:
        """The derived label {key: state}. Raises NotFound `unknown_label`."""
        if label_tag != DefaultLabelTag.FINAL.value or not self._is_read(label_id):
            raise NotFound("unknown_label", "Nobody has submitted a reading of this study.", field="study")
        return dict(self._store.submissions.label(label_id))

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """A file with the derived label, written anew because a label changes with every submission."""
        label = self.get_label(label_id, label_tag)
        target = self.private_folder("labels") / f"{label_id}.json"
        with tempfile.NamedTemporaryFile("w", dir=target.parent, suffix=".part", delete=False, encoding="utf-8") as file:
            json.dump({"study": label_id, "findings": label}, file)
        os.replace(file.name, target)
        return str(target)

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        self.get_image_uri(label_id)
        return {"submissions": len(self._store.submissions.of(label_id))}

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        raise _not_supported("A label is derived from submissions; it carries no notes of its own.")

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Studies with at least one submission."""
        read = self._store.submissions.counts()
        return [study for study in self.list_images() if study in read]

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Studies that nobody has read yet."""
        read = self._store.submissions.counts()
        return [study for study in self.list_images() if study not in read]

    def datalist(self) -> list[dict[str, Any]]:
        """[{image: path, label: {key: state}}] of the studies that have been read."""
        return [
            {"image": self.get_image_uri(study), "label": dict(self._store.submissions.label(study))} for study in self.get_labeled_images()
        ]

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        raise _not_supported("The studies are not handed out as an archive; copy the studies folder.")

    def refresh(self) -> None:
        """Nothing to do: the folder is read whenever it is listed."""

    def status(self) -> dict[str, Any]:
        studies, read = self.list_images(), self._store.submissions.counts()
        completed = sum(study in read for study in studies)
        return {"total": len(studies), "completed": completed, "label_tags": {DefaultLabelTag.FINAL.value: completed}}

    def json(self) -> dict[str, Any]:
        """{objects: {study: {submissions: count}}}."""
        read = self._store.submissions.counts()
        return {"name": self.name(), "objects": {study: {"submissions": read.get(study, 0)} for study in self.list_images()}}

    def incoming(self) -> tempfile.TemporaryDirectory[str]:
        """A new folder for an upload; its `cleanup`, or the end of `with`, removes it."""
        return tempfile.TemporaryDirectory(dir=self.private_folder("incoming"))

    def remove_incoming(self) -> None:
        """Removes the uploads that a killed server left, which are patients' volumes; only before the first request."""
        shutil.rmtree(self.private_folder("incoming"))

    def private_folder(self, name: str) -> Path:
        """A folder of the server's own inside the studies folder, hidden from the list of studies."""
        folder = self._folder / ".headct" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _is_read(self, study: str) -> bool:
        self.get_image_uri(study)
        return bool(self._store.submissions.of(study))

    def _inside(self, path: Path) -> bool:
        return path.resolve().is_relative_to(self._folder)


def _study_of(path: Path) -> str | None:
    """The id of the study that a path holds, None where it holds none."""
    if path.is_dir():
        return path.name if not path.name.startswith(".") and _holds_dicom(path) else None
    for suffix in formats.STUDY_SUFFIXES:
        if path.name.endswith(suffix) and path.is_file():
            return path.name.removesuffix(suffix)
    return None


def _is_id(text: str) -> bool:
    try:
        return bool(checked_study(text))
    except InvalidRequest:
        return False


def _holds_dicom(folder: Path, tries: int = 8) -> bool:
    """Whether one of the first files, nested or not, has the DICOM mark; more are not opened, since a list must be fast."""
    files = (Path(parent) / name for parent, _, names in os.walk(folder) for name in sorted(names))
    for path in itertools.islice(files, tries):
        if path.is_file():
            with path.open("rb") as file:
                if file.read(132)[128:] == b"DICM":
                    return True
    return False


def _not_supported(message: str) -> HeadCTError:
    return HeadCTError("not_supported", message, status=405)
