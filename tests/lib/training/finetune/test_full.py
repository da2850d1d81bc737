"""Full mode: LoRA learns too, from the images, by the same corrections and before the same gate."""

import hashlib

import numpy as np
import pytest
import torch

from corrected_studies import shifted_site
from headct_molre.data.prepared_cache import PreparedCache
from headct_molre.imaging.pipeline import PreparedStudy
from headct_molre.imaging.prepare import Prepared
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.checkpoint import WEIGHTS, load_classifier
from headct_molre.models.versions import card_of, find_version, promote
from headct_molre.models.weights import read_tensors
from headct_molre.schema import Quality
from headct_molre.training.finetune.run import run_task

STUDIES, SLICES = 10, 2
FULL = {"mode": "full", "epochs": 2, "strengths": (1.0,), "minimum_corrections": 2}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site whose studies lie prepared in the cache, with two slices each, and without stored features."""
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "home"))
    site = shifted_site(tmp_path / "site", STUDIES)
    for path in (site.folder / "features").rglob("*.safetensors"):
        path.unlink()
    cache = PreparedCache(site.folder / "prepared", 10**9)
    side = backbone_spec("demo").grid.field_px
    rng = np.random.default_rng(0)
    for number in range(STUDIES):
        hu = rng.normal(40, 20, (SLICES, side, side)).round().astype(np.float32)
        study = PreparedStudy(Prepared(hu, np.eye(4)), Quality(accepted=True, warnings=[], facts={}), {})
        cache.put(hashlib.sha256(f"study-{number:04d}".encode()).hexdigest(), study, backbone_spec("demo").grid)
    return site


def run(site, name="job", **config):
    task = site.task(FULL | config)
    return run_task(task, site.job(task, name))


def test_lora_learns_and_the_version_is_served(site):
    result = run(site)
    assert result.outcome == "hold", "ten studies prove nothing"
    assert (result.parent, result.counts["replayed"]) == ("2.0", 0)
    folder = find_version("demo", result.version)
    tensors = read_tensors(folder / WEIGHTS)
    lora = {name: tensor for name, tensor in tensors.items() if ".lora_" in name}
    assert any(tensor.abs().max() > 0 for name, tensor in lora.items() if "lora_up" in name), "they begin at 0"
    card = card_of(folder)
    assert (card.adapter, card.hyperparameters["lora_rank"]) == ("LoRA + MoLRE", 8)
    assert any("stored features of the source set could not show" in sentence for sentence in card.limitations)

    promote("demo", "a trainer", reason="to see it served")
    assert load_classifier("demo")[1].version == result.version
    # A quick fine-tune then starts from the released version, and is judged against the one with LoRA, whose backbone reads the studies.
    quick = run(site, "quick", mode="quick", seed=1)
    assert quick.parent == "2.0"
    assert not any(name.startswith("backbone.") for name in read_tensors(find_version("demo", quick.version) / WEIGHTS))


def test_the_same_task_gives_the_same_bits(site, tmp_path, monkeypatch):
    made = []
    for number in range(2):
        monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / f"home-{number}"))
        version = run(site, f"job-{number}", epochs=1).version
        made.append((version, read_tensors(find_version("demo", version) / WEIGHTS)))
    assert made[0][0] == made[1][0]
    assert all(torch.equal(tensor, made[1][1][name]) for name, tensor in made[0][1].items())
