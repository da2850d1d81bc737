"""Versions are immutable, whole and verified; what is missing is named with the remedy."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from headct_molre.errors import ModelUnavailable, NotFound
from headct_molre.findings import finding_keys
from headct_molre.hashing import file_sha256
from headct_molre.models import checkpoint
from headct_molre.models.backbones import backbone_spec
from headct_molre.models.backbones.spec import NormalisedBackbone
from headct_molre.models.classifier import HeadCTClassifier
from headct_molre.models.lora import add_lora
from headct_molre.models.weights import load_backbone
from headct_molre.schema import ModelCard


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A demo version with small random weights in a user's own folder, as a stand-in for a trained one."""
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    torch.manual_seed(0)
    spec = backbone_spec("demo")
    backbone = NormalisedBackbone(spec)
    (tmp_path / "backbones").mkdir()
    save_file(backbone.network.state_dict(), tmp_path / "backbones" / "demo.safetensors")
    add_lora(backbone, spec.lora_targets)
    classifier = HeadCTClassifier(backbone, spec, 75)
    for parameter in classifier.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    backbone_file = tmp_path / "backbones" / "demo.safetensors"
    for name, tensor in load_file(backbone_file).items():
        base = classifier.backbone.network.state_dict()
        key = name if name in base else name.replace(".weight", ".base.weight").replace(".bias", ".base.bias")
        base[key].copy_(tensor)
    card = ModelCard(
        name="demo",
        version="7",
        backbone="demo",
        adapter="LoRA + MoLRE",
        demo=True,
        created="2026-01-01T00:00:00+00:00",
        description="for tests",
        intended_use="tests",
        limitations=[],
        licence="Apache-2.0",
        weights_sha256="0" * 64,
        backbone_sha256=file_sha256(backbone_file),
        hyperparameters={"lora_rank": 8, "lora_alpha": 16, "molre_experts": 6, "molre_rank": 8, "molre_router_width": 256},
        findings=list(finding_keys()),
        calibration={},
        operating_points={},
        cohort={},
        metrics={},
        mean_auc=None,
        reproduce="",
    )
    folder = tmp_path / "models" / "demo"
    card = checkpoint.write_version(folder, card, classifier.trainable_state())
    checkpoint.set_champion(folder, "7")
    return folder, classifier.eval(), card


def test_a_loaded_version_answers_as_the_one_that_was_saved(installed):
    _, trained, card = installed
    loaded, loaded_card, _ = checkpoint.load_classifier("demo")
    assert loaded_card == card
    slices = torch.rand(1, 3, 3, 112, 96)
    with torch.no_grad():
        torch.testing.assert_close(loaded(slices).logits, trained(slices).logits, atol=1e-4, rtol=1e-4)


def test_a_version_is_never_overwritten(installed):
    folder, trained, card = installed
    before = (folder / "7" / "weights.safetensors").read_bytes()
    with pytest.raises(ModelUnavailable, match="never changed"):
        checkpoint.write_version(folder, card, trained.trainable_state())
    assert (folder / "7" / "weights.safetensors").read_bytes() == before


def test_damaged_weights_are_refused(installed):
    folder, _, _ = installed
    path = folder / "7" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelUnavailable, match="hash"):
        checkpoint.load_classifier("demo")


def test_other_backbone_weights_are_refused(installed):
    folder, _, _ = installed
    path = folder.parent.parent / "backbones" / "demo.safetensors"
    state = load_file(path)
    state["cls_token"] += 1
    save_file(state, path)
    with pytest.raises(ModelUnavailable, match="other weights"):
        checkpoint.load_classifier("demo")


def test_partial_backbone_weights_are_refused_with_the_keys(installed):
    folder, _, _ = installed
    path = folder.parent.parent / "backbones" / "demo.safetensors"
    state = load_file(path)
    del state["norm.weight"]
    state["surplus"] = torch.zeros(1)
    save_file(state, path)
    with pytest.raises(ModelUnavailable, match=r"Missing: norm.weight\. Unexpected: surplus"):
        load_backbone(backbone_spec("demo"))


def test_a_pickle_is_never_opened(installed):
    folder, _, _ = installed
    torch.save({"cls_token": torch.zeros(1)}, folder.parent.parent / "backbones" / "demo.safetensors")
    with pytest.raises(ModelUnavailable, match="is a pickle"):
        load_backbone(backbone_spec("demo"))


def test_a_missing_champion_is_named(installed):
    folder, _, _ = installed
    (folder / "aliases.json").write_text(json.dumps({"champion": "8", "candidate": None}))
    with pytest.raises(ModelUnavailable, match="'8', which is not there"):
        checkpoint.load_card("demo")


@pytest.mark.parametrize("content", ["{", "[]", '{"champion": 5}', '{"champion": "../7"}', "{}"])
def test_damaged_aliases_are_refused(installed, content):
    folder, _, _ = installed
    (folder / "aliases.json").write_text(content)
    with pytest.raises(ModelUnavailable, match=r"aliases\.json"):
        checkpoint.load_card("demo")


def test_missing_weights_are_named_before_any_work(installed):
    folder, _, _ = installed
    (folder / "7" / "weights.safetensors").unlink()
    with pytest.raises(ModelUnavailable, match=r"weights\.safetensors is missing"):
        checkpoint.load_card("demo")


def test_a_version_cannot_replace_the_frozen_backbone(installed):
    folder, trained, card = installed
    state = {**trained.trainable_state(), "backbone.network.norm.weight": torch.zeros(192)}
    checkpoint.write_version(folder, card.model_copy(update={"version": "8"}), state)
    checkpoint.set_champion(folder, "8")
    with pytest.raises(ModelUnavailable, match=r"Unexpected: backbone\.network\.norm\.weight"):
        checkpoint.load_classifier("demo")


def test_missing_backbone_names_licence_and_command(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path))
    with pytest.raises(ModelUnavailable) as refused:
        checkpoint.load_card("dinov3_base")
    assert "dinov3-license" in refused.value.message
    assert "headct-molre models --fetch dinov3_base" in refused.value.message
    assert "timm/vit_base_patch16_dinov3_qkvb.lvd1689m" in refused.value.message
    assert "never served" in refused.value.message


def test_unknown_model_lists_the_known_ones():
    with pytest.raises(NotFound, match="dinov3_base"):
        checkpoint.load_card("dinov5")
