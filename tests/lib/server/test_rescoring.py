"""After a promotion studies are ranked by the new version from stored slice features: as its predictions say, and without one of them."""

import shutil
import threading
import time

import numpy as np
import pytest
import torch

from headct_molre.data.feature_cache import FeatureCache, version_backbone_sha256
from headct_molre.data.store import StudyStore, sqlite_url
from headct_molre.findings import finding_keys
from headct_molre.imaging.prepare import Prepared
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.checkpoint import load_classifier, set_champion, write_version
from headct_molre.models.weights import read_tensors
from headct_molre.predict import build_prediction, run
from headct_molre.schema import Calibration, Quality
from headct_molre.server import rescoring
from headct_molre.server.pools import Pools
from headct_molre.server.rescoring import Rescoring
from reading_room import reading, register
from small_backbones import small_backbones, use_small_backbones
from store_contents import sql
from trained_versions import install_backbone, install_version

MODEL, STUDIES = "dinov3_base", 12
KEYS = finding_keys()
TESTED = {"operating_points": dict.fromkeys(KEYS, 0.5)}
CALIBRATED = TESTED | {"calibration": {KEYS[0]: Calibration(slope=2.0, intercept=-1.0)}}
SOON = 30.0


class Site:
    """A store of predicted studies, their slice features, and versions of one model; `told` is what the thread said."""

    def __init__(self, folder, store, first):
        self.home, self.store, self.card, self.told = folder, store, first, []
        self.features = folder / "features"
        self.pools = Pools(store)
        self.threads = []

    def begin(self):
        thread = Rescoring(self.store, self.features, [MODEL], lambda *said: self.told.append(said))
        thread.begin()
        self.threads.append(thread)
        return thread

    def predict(self, numbers):
        """As the server does: slice features, prediction and summary of each study by the champion."""
        classifier, card, spec = load_classifier(MODEL)
        cache = FeatureCache(self.features, spec, version_backbone_sha256(card), classifier.input_px, "test")
        for number in numbers:
            hu = np.random.default_rng(number).normal(40, 300, (3 + number % 4, 64, 64)).astype(np.float32)
            prepared = Prepared(hu, np.eye(4))
            raw = run(classifier, spec, prepared, "cpu")
            content = f"{number:064x}"
            cache.put(content, raw.features, raw.mask)
            quality = Quality(accepted=True, warnings=[], facts={})
            prediction = build_prediction(card, f"study-{number}", raw.scores, prepared, quality, "cpu", "test", {})
            self.store.studies.set_content(f"study-{number}", content, "stamp")
            self.store.predictions.put(content, prediction, raw.pooled)

    def tune(self, version="8", seed=1, **changed):
        """A version with the first one's backbone, as quick fine-tuning makes it; it becomes the champion."""
        folder = self.home / "models" / MODEL
        state = read_tensors(folder / self.card.version / "weights.safetensors")
        torch.manual_seed(seed)
        state = {name: t if name.startswith("backbone.") else torch.randn_like(t) * 0.1 for name, t in state.items()}
        card = write_version(folder, self.card.model_copy(update={"version": version, "parent": self.card.version} | changed), state)
        self.serve(version)
        return card

    def serve(self, version):
        set_champion(self.home / "models" / MODEL, version)

    def summaries(self, card):
        block = self.store.summaries.of_version(card)
        assert block.featured.all()
        return {content: (p, f) for content, p, f in zip(block.contents, block.probabilities, block.features, strict=True)}

    def predictions(self):
        return sql(self.store.database.url.render_as_string(hide_password=False), "SELECT count(*) FROM predictions")[0][0]


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    monkeypatch.setattr(rescoring, "LOOK_S", 0.02)
    use_small_backbones(monkeypatch.setattr)
    install_backbone(tmp_path, small_backbones()[MODEL])
    store = StudyStore(sqlite_url(tmp_path / "store.sqlite"))
    register(store, STUDIES)
    site = Site(tmp_path, store, install_version(tmp_path, backbone_spec(MODEL), **CALIBRATED)[1])
    yield site
    for thread in site.threads:
        thread.stop()
        thread.join(SOON)
    store.close()


def until(condition):
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def ranking(site, strategy="rarity_entropy"):
    return site.pools.candidates(MODEL, strategy, STUDIES, (), seed=0)


def test_after_a_promotion_the_new_version_ranks_as_its_predictions_will_and_after_a_rollback_the_old_one(site):
    site.predict(range(1, STUDIES + 1))
    site.begin()
    old = ranking(site)
    assert all(why.endswith(f" Ranked by {MODEL} 7.") for why in old.reasons.values())
    new = site.tune()
    until(lambda: len(site.summaries(new)) == STUDIES)
    ranked = ranking(site)
    assert (len(ranked.reasons), ranked.remark) == (STUDIES, "")
    assert all(why.endswith(f" Ranked by {MODEL} 8.") for why in ranked.reasons.values())
    assert list(ranked.reasons) != list(old.reasons)
    assert site.predictions() == STUDIES, "what a reader sees is never made from stored features"
    until(lambda: (MODEL, 0, 0) in site.told)
    assert sum(studies for _, studies, _ in site.told) == STUDIES

    from_features = site.summaries(new)
    site.predict(range(1, STUDIES + 1))
    from_images = site.summaries(new)
    for content, (probabilities, pooled) in from_images.items():
        np.testing.assert_allclose(from_features[content][0], probabilities, atol=2e-3)
        np.testing.assert_allclose(from_features[content][1], pooled, atol=2e-2)
    assert site.predictions() == 2 * STUDIES

    site.serve("7")
    back = ranking(site)
    assert list(back.reasons.items()) == list(old.reasons.items())


def test_a_rollback_finds_the_studies_that_came_meanwhile(site):
    site.predict(range(1, 9))
    site.tune()
    site.predict(range(9, STUDIES + 1))
    assert len(site.summaries(site.card)) == 8
    site.begin()
    site.serve("7")
    until(lambda: len(site.summaries(site.card)) == STUDIES)
    assert len(ranking(site).reasons) == STUDIES


def test_what_has_a_prediction_keeps_its_summary(site):
    site.predict(range(1, STUDIES + 1))
    new = site.tune()
    site.predict([3])
    before = site.summaries(new)
    site.begin()
    until(lambda: len(site.summaries(new)) == STUDIES)
    (content,) = before
    np.testing.assert_array_equal(site.summaries(new)[content][0], before[content][0])


def test_another_backbone_is_left_to_a_batch_and_the_log_says_so(site, caplog):
    site.predict(range(1, STUDIES + 1))
    caplog.set_level("INFO", "headct_molre.selection")
    site.begin()
    new = install_version(site.home, backbone_spec(MODEL), "9", seed=5, **TESTED)[1]  # its LoRA is another
    until(lambda: "12 studies have no slice features of the backbone of dinov3_base 9: POST /batch/infer/dinov3_base" in caplog.text)
    assert site.summaries(new) == {}
    assert ranking(site).remark == f"{MODEL} 9 has predicted 0 of {STUDIES} open studies so far, so 7 ranks them"
    assert "study-" not in caplog.text


def test_a_stop_loses_nothing_and_the_next_start_goes_on(site, monkeypatch):
    monkeypatch.setattr(rescoring, "BATCH", 2)
    site.predict(range(1, STUDIES + 1))
    new = site.tune()
    stopping = threading.Event()
    first = Rescoring(site.store, site.features, [MODEL], lambda *_: stopping.set() or first.stop())
    first.begin()
    assert stopping.wait(SOON)
    first.join(SOON)
    done = len(site.summaries(new))
    assert done == 2
    site.begin()
    until(lambda: len(site.summaries(new)) == STUDIES)
    assert sum(studies for _, studies, _ in site.told) == STUDIES - done


def test_damaged_and_missing_features_are_left_out(site):
    site.predict(range(1, STUDIES + 1))
    files = sorted(site.features.rglob("*.safetensors"))
    files[0].write_bytes(b"damaged")
    files[1].unlink()
    new = site.tune()
    site.begin()
    until(lambda: (MODEL, 0, 0) in site.told)
    assert len(site.summaries(new)) == STUDIES - 2


def test_studies_whose_images_went_and_uploads_are_not_looked_at(site):
    site.predict(range(1, STUDIES + 1))
    sql(site.store.database.url.render_as_string(), "UPDATE studies SET present = 0 WHERE study = 'study-1'")
    file = next(site.features.rglob("*.safetensors"))
    shutil.copy(file, file.with_name(f"{'f' * 64}.safetensors"))
    site.store.submissions.add(reading("study-2", "anna"))
    new = site.tune()
    site.begin()
    until(lambda: (MODEL, 0, 0) in site.told)
    assert set(site.summaries(new)) == {f"{number:064x}" for number in range(2, STUDIES + 1)}, "a study that was read may be reopened"
