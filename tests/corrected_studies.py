"""A site whose scanner is unlike the demo's source: its studies, with stored features, readers' corrections and offers, in a store."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sqlalchemy import insert, update

from headct_molre.data.feature_cache import FeatureCache
from headct_molre.data.store import StudyStore
from headct_molre.data.store.clock import now
from headct_molre.data.store.studies import StudyImages
from headct_molre.data.store.tables import READING_EVENTS, STUDIES
from headct_molre.findings import finding_keys
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.checkpoint import load_card, version_folder
from headct_molre.schema import Submission
from headct_molre.training.finetune import FineTuneConfig, FineTuneTask
from headct_molre.training.finetune.job_files import TASK
from headct_molre.training.source_set import read_source_set

CREATED = "2026-01-01T00:00:00+00:00"
QUICK = {"epochs": 6, "choice_epochs": 3, "strengths": (4.0, 64.0), "folds": 2, "replay_studies": 100, "threads": 1}
NAMES = {1.0: "present", 0.0: "absent", 0.5: "uncertain"}
Reader = Callable[[int, np.ndarray], tuple[str, np.ndarray]]


def true_reader(row: int, truth: np.ndarray) -> tuple[str, np.ndarray]:
    """Three readers who are always right."""
    return f"reader-{row % 3}", truth


@dataclass(frozen=True)
class Site:
    """The store of a site and what lies beside it."""

    store: StudyStore
    folder: Path
    url: str

    def task(self, config: dict[str, object] | None = None, until: int | None = None, **more: object) -> FineTuneTask:
        """A fine-tune of the demo from everything that was submitted, or up to a sequence."""
        return FineTuneTask(
            model="demo",
            store_url=self.url,
            studies_folder=self.folder / "studies",
            features_folder=self.folder / "features",
            prepared_folder=self.folder / "prepared",
            until=self.store.submissions.total() if until is None else until,
            created=CREATED,
            config=FineTuneConfig.model_validate(QUICK | (config or {})),
            **more,
        )

    def job(self, task: FineTuneTask, name: str = "job") -> Path:
        """A folder with this task in it."""
        job = self.folder / name
        job.mkdir(parents=True, exist_ok=True)
        (job / TASK).write_text(task.model_dump_json(by_alias=True), encoding="utf-8")
        return job


def shifted_site(folder: Path, studies: int, reader: Reader = true_reader, random_share: float = 1.0, seed: int = 0) -> Site:
    """`studies` of the demo's source set as another scanner would show them, each read once; `random_share` of them were drawn at random.

    `reader` takes the number of a study and its true labels (75,) to a name and the labels that are submitted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{folder / 'store.db'}"
    store = StudyStore(url)
    source = read_source_set(version_folder("demo", "2.0"), load_card("demo"))
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(source))[:studies]
    card, spec = load_card("demo"), backbone_spec("demo")
    cache = FeatureCache(folder / "features", spec, card.backbone_sha256, spec.input_px_on("cpu"), "torch-fp32")
    dimension = source.features[0].shape[1]
    mixing = 0.6 * torch.eye(dimension) + torch.from_numpy(rng.normal(size=(dimension, dimension)) / np.sqrt(dimension)).float()
    names = [f"study-{number:04d}" for number in range(studies)]
    store.studies.register(StudyImages(name, f"{name}.nii.gz", "nifti") for name in names)
    offers, submissions = [], []
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        content = hashlib.sha256(name.encode()).hexdigest()
        features = source.features[row].float() @ mixing
        cache.put(content, features, torch.ones(len(features), dtype=torch.bool))
        store.studies.set_content(name, content)
        who, said = reader(number, source.labels[row])
        drawn = rng.random() < random_share
        offers.append({"study": name, "reader": who, "kind": "offered", "reason": "test", "value": int(drawn), "at": now()})
        calls = {key: NAMES[float(state)] for key, state in zip(finding_keys(), said, strict=True) if not np.isnan(state)}
        submissions.append(
            Submission(
                submission_id=uuid.uuid5(uuid.NAMESPACE_OID, name),
                study=name,
                reader=who,
                model=None,
                findings=calls or {finding_keys()[0]: "not_assessed"},
            )
        )
    with store.database.writing() as connection:
        connection.execute(insert(READING_EVENTS), offers)
    store.submissions.add_many((submission, None) for submission in submissions)
    return Site(store, folder, url)


def of_patients(site: Site, patients: dict[str, str]) -> None:
    """Name the patients of studies."""
    with site.store.database.writing() as connection:
        for study, patient in patients.items():
            connection.execute(update(STUDIES).where(STUDIES.c.study == study).values(patient_key=patient))
