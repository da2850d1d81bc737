"""MONAI Label's Datastore: images in the studies folder, labels derived from the submissions in the StudyStore.

Which files are studies decides headct_molre.data.study_folder; lists are answered from the registry in the store. Each study has up
to two labels: `final` follows from its readers' submissions, `original` is the latest prediction of a model. Nothing here changes or
removes what is stored.
"""

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from pydantic import ValidationError

from headct_molre.data.store import FolderImages, StudyStore, StudySummary, SubmissionRecord
from headct_molre.data.study_folder import StudyFolder, images_stamp
from headct_molre.errors import HeadCTError, InvalidRequest, NotFound
from headct_molre.imaging.content import content_sha256, series_sha256
from headct_molre.imaging.formats import FORMATS
from headct_molre.schema import Submission
from lib.checks import checked_findings, checked_info, checked_study, checked_tag, study_suffix
from lib.incoming import check_volume, put_in_place, sync_file

FINAL, ORIGINAL = "final", "original"


class HeadCTDatastore(Datastore):
    """Ids are checked and paths stay inside the studies folder; links are not followed.

    The folder is looked through by `folder.start()` or `refresh()`, not before.
    """

    def __init__(self, folder: Path, store: StudyStore, scan_s: float = 5.0) -> None:
        self._store = store
        self.folder = StudyFolder(folder, store.folder, scan_s)

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
        return self._store.studies.ids()

    def get_image_uri(self, image_id: str) -> str:
        """The path of a study's file or DICOM folder.

        Raises InvalidRequest, NotFound `unknown_study`, HeadCTError `images_unreachable` (503) where the folder looks like an outage.
        """
        study = checked_study(image_id)
        images = self._store.folder.images(study) or self.folder.find(study)
        if images is None:
            raise _unknown()
        path = os.path.join(self.folder.root, images.path)
        # A link that took the place of a folder or file leads elsewhere.
        if os.path.lexists(path) and os.path.realpath(path) == path:
            return path
        if not self.folder.lost(study, images.path):
            message = "The images of this study cannot be reached now: its part of the studies folder is empty or cannot be read."
            raise HeadCTError("images_unreachable", message, field="study", status=503)
        moved = self.folder.find(study)
        if moved is None or not os.path.lexists(self.folder.root / moved.path):
            raise _unknown()
        return os.path.join(self.folder.root, moved.path)

    def get_image(self, image_id: str, params: Any = None) -> str:
        """The path: reading the volume is the library's work."""
        return self.get_image_uri(image_id)

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        self.summary(image_id)
        return self._store.studies.info(image_id)

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        self.summary(image_id)
        self._store.studies.update_info(image_id, checked_info(info))

    def summary(self, study: str) -> StudySummary:
        """How far a study is, also one whose images went away. Raises InvalidRequest, NotFound `unknown_study`."""
        known = self._store.study_list.one(checked_study(study))
        if known is None and self.folder.find(study) is not None:
            known = self._store.study_list.one(study)
        if known is None:
            raise _unknown()
        return known

    def content(self, study: str, series_uid: str | None = None) -> str:
        """The hash of a study's images, or of a DICOM series of them; a repeat reads no image where sizes and times are the same.

        Raises what `get_image_uri` and `study_files` raise.
        """
        path = Path(self.get_image_uri(study))
        stamp = images_stamp(path)
        content = None if stamp is None else self._store.studies.content(study, stamp)
        if content is None:
            content = content_sha256(path)
            if stamp is not None and images_stamp(path) == stamp:
                self._store.studies.note_stamp(study, content, stamp)
        return content if series_uid is None else series_sha256(content, series_uid)

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Takes a volume into the folder under an id; it is on disk when this returns.

        The file goes away from where it was. Raises InvalidRequest `study_exists` (nothing is replaced), the reader's StudyRefused.
        """
        study, info, suffix = checked_study(image_id), checked_info(image_info), study_suffix(image_filename)
        if self._store.folder.images(study) is not None:
            raise _exists()
        source = Path(image_filename)
        check_volume(source)
        sync_file(source)
        name, status = f"{study}{suffix}", source.stat()
        target = self.folder.root / name
        images = FolderImages(name, FORMATS[suffix], f"{status.st_size}:{status.st_mtime_ns}")
        placed = False

        def place() -> None:
            nonlocal placed
            if any(os.path.lexists(self.folder.root / f"{study}{each}") for each in (*FORMATS, "")):
                raise _exists()
            put_in_place(source, target)
            placed = True

        try:
            self._store.folder.claim(study, images, place)
            self._store.studies.update_info(study, info)
        except BaseException:
            if placed:
                target.unlink(missing_ok=True)
            raise
        source.unlink(missing_ok=True)
        return study

    def remove_image(self, image_id: str) -> None:
        raise _not_supported("Studies are not removed over the network; the owner of the studies folder does that.")

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Stores a Submission from a JSON file; the label id is the study id."""
        if checked_tag(label_tag) != FINAL:
            raise InvalidRequest("unsupported_tag", "Readings are stored under the tag final.", field="tag")
        try:
            submission = Submission.model_validate_json(Path(label_filename).read_bytes())
        except ValidationError as error:
            raise InvalidRequest("invalid_submission", str(error.errors(include_input=False)[0]["msg"]), field="label") from None
        self.add_submission(image_id, submission)
        return image_id

    def add_submission(self, study: str, submission: Submission) -> SubmissionRecord:
        """The record of a stored submission. Raises InvalidRequest when it is about another study, NotFound."""
        if submission.study != checked_study(study):
            raise InvalidRequest("study_mismatch", "The submission is about another study than the request.", field="study")
        self.summary(study)  # images may go away while somebody reads them; the reading is kept
        return self._store.submissions.add(submission)

    def remove_label(self, label_id: str, label_tag: str) -> None:
        raise _not_supported("Submissions are append-only; send a new one, which replaces the reader's earlier one.")

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """{tag: study} of the labels that there are."""
        found = {FINAL: image_id} if self.summary(image_id).submissions else {}
        return found if self._store.predictions.latest(image_id) is None else found | {ORIGINAL: image_id}

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        return self.get_labels_by_image_id(image_id).get(checked_tag(tag), "")

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> dict[str, Any]:
        """The derived label {key: state}, or the Prediction as a dictionary. Raises NotFound `unknown_label`."""
        tag, summary = checked_tag(label_tag), self.summary(label_id)
        if tag == ORIGINAL:
            prediction = self._store.predictions.latest(label_id)
            if prediction is None:
                raise NotFound("unknown_label", "No model has predicted this study yet.", field="study")
            return json.loads(prediction.to_json())
        if not summary.submissions:
            raise NotFound("unknown_label", "Nobody has submitted a reading of this study.", field="study")
        return dict(self._store.submissions.label(label_id))

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """A JSON file with the label, written anew because a label changes with every submission."""
        label, tag = self.get_label(label_id, label_tag), checked_tag(label_tag)
        target = self.private_folder("labels") / tag / f"{label_id}.json"
        target.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=target.parent, suffix=".part", delete=False, encoding="utf-8") as file:
            json.dump(label if tag == ORIGINAL else {"study": label_id, "findings": label}, file)
        os.replace(file.name, target)
        return str(target)

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """{submissions: count}, or of a prediction {model: ...}."""
        if checked_tag(label_tag) == ORIGINAL:
            return {"model": self.get_label(label_id, label_tag)["model"]}
        return {"submissions": self.summary(label_id).submissions}

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        raise _not_supported("A label is derived from submissions; it carries no notes of its own.")

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Studies that have the label; with `labels` (keys of findings) those whose label states all of them."""
        wanted = checked_findings(labels)
        if checked_tag(label_tag) == ORIGINAL:
            return self._store.study_list.predicted()
        read = self._store.studies.ids(read=True)
        return [study for study in read if wanted <= self._store.submissions.label(study).keys()] if wanted else read

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """All other studies."""
        if checked_tag(label_tag) == FINAL and not labels:
            return self._store.studies.ids(read=False)
        labeled = set(self.get_labeled_images(label_tag, labels))
        return [study for study in self.list_images() if study not in labeled]

    def datalist(self) -> list[dict[str, Any]]:
        """[{image: path, label: {key: state}}] of the studies that have been read."""
        return [
            {"image": os.path.join(self.folder.root, path), "label": dict(self._store.submissions.label(study))}
            for study, path, _, submissions in self._store.study_list.images()
            if submissions
        ]

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        raise _not_supported("The studies are not handed out as an archive; copy the studies folder.")

    def refresh(self) -> None:
        """Looks through the whole studies folder now."""
        self.folder.scan()

    def status(self) -> dict[str, Any]:
        totals = self._store.studies.totals()
        return {"total": totals["total"], "completed": totals["read"], "label_tags": {FINAL: totals["read"]}}

    def json(self) -> dict[str, Any]:
        """MONAI Label's index: {name, description, objects {study: {image {ext, info}, labels {tag: {ext, info}}}}}."""
        objects = {}
        for study, path, info, submissions in self._store.study_list.images():
            labels = {FINAL: {"ext": ".json", "info": {"submissions": submissions}}} if submissions else {}
            suffix = next((suffix for suffix in FORMATS if path.lower().endswith(suffix)), "")
            objects[study] = {"image": {"ext": suffix, "info": info}, "labels": labels}
        return {"name": self.name(), "description": self.description(), "objects": objects}

    def incoming(self) -> tempfile.TemporaryDirectory[str]:
        """A new folder for an upload; its `cleanup`, or the end of `with`, removes it."""
        return tempfile.TemporaryDirectory(dir=self.private_folder("incoming"))

    def remove_incoming(self) -> None:
        """Removes the uploads that a killed server left, which are patients' volumes; only before the first request."""
        shutil.rmtree(self.private_folder("incoming"))

    def private_folder(self, name: str) -> Path:
        """A folder of the server's own inside the studies folder, hidden from the list of studies."""
        folder = self.folder.root / ".headct" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _unknown() -> NotFound:
    return NotFound("unknown_study", "There is no study with this id; /headct/studies lists them.", field="study")


def _exists() -> InvalidRequest:
    return InvalidRequest("study_exists", "There is a study with this id already.", field="study", status=409)


def _not_supported(message: str) -> HeadCTError:
    return HeadCTError("not_supported", message, status=405)
