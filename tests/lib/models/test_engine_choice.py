"""Which engine is chosen on which machine, what overrides it, and what happens when the chosen one is wrong."""

import logging

import pytest
import torch
from torch import nn

from engine_networks import CONVOLUTIONS, SPECS, classifier_of, study
from headct_molre.errors import InvalidRequest
from headct_molre.models import engines
from headct_molre.models.engines import apply, choose_engine, chunk_of, engine_names, usable_engines
from headct_molre.models.engines.apply import apply_engine, probabilities, synthetic_study
from headct_molre.models.engines.hardware import Hardware, hardware_of

LARGE = 86_000_000
SPEC = SPECS["dinov3_base"]


@pytest.fixture(autouse=True)
def no_override(monkeypatch):
    monkeypatch.delenv(engines.ENVIRONMENT, raising=False)


@pytest.mark.parametrize(
    ("device", "bf16", "openvino", "engine"),
    [
        ("cpu", True, True, "openvino-bf16"),
        ("cpu", True, False, "torch-bf16"),
        ("cpu", False, True, "openvino-fp32"),
        ("cpu", False, False, "torch-fp32"),
        ("cuda", True, True, "torch-bf16"),
        ("cuda:1", True, False, "torch-bf16"),
        ("cuda", False, True, "torch-fp32"),
        ("mps", False, True, "torch-fp32"),
    ],
)
def test_the_rule(device, bf16, openvino, engine):
    hardware = Hardware(bf16, openvino)
    assert choose_engine(LARGE, device, hardware=hardware) == engine
    assert choose_engine(LARGE, device, hardware=hardware) == usable_engines(device, hardware)[0]


def test_a_small_backbone_is_left_in_fp32_unless_asked_otherwise():
    hardware = Hardware(bf16=True, openvino=True)
    assert choose_engine(9_999_999, "cpu", hardware=hardware) == "torch-fp32"
    assert choose_engine(10_000_000, "cpu", hardware=hardware) == "openvino-bf16"
    assert choose_engine(9_999_999, "cpu", "torch-bf16", hardware) == "torch-bf16"


def test_the_environment_overrides_the_rule_and_the_caller_the_environment(monkeypatch):
    hardware = Hardware(bf16=True, openvino=True)
    monkeypatch.setenv("HEADCT_MOLRE_ENGINE", "openvino-fp32")
    assert choose_engine(LARGE, "cpu", hardware=hardware) == "openvino-fp32"
    assert choose_engine(LARGE, "cpu", "torch-bf16", hardware) == "torch-bf16"
    monkeypatch.setenv("HEADCT_MOLRE_ENGINE", "")
    assert choose_engine(LARGE, "cpu", hardware=hardware) == "openvino-bf16"


@pytest.mark.parametrize(
    ("wanted", "device", "hardware", "code", "remedy"),
    [
        ("tensorrt", "cpu", Hardware(True, True), "unknown_engine", "openvino-bf16, torch-bf16, openvino-fp32, torch-fp32"),
        ("openvino-fp32", "cpu", Hardware(True, False), "unusable_engine", r"pip install 'headct-molre\[openvino\]'"),
        ("openvino-fp32", "cuda", Hardware(True, True), "unusable_engine", "does not run on cuda; use one of cpu"),
        ("torch-bf16", "cpu", Hardware(False, False), "unusable_engine", "no bf16 arithmetic; use an fp32 engine. Usable here: torch-fp32"),
        ("torch-bf16", "mps", Hardware(False, False), "unusable_engine", "does not run on mps; use one of cpu, cuda"),
    ],
)
def test_unknown_and_unusable_engines_are_refused_with_the_remedy(wanted, device, hardware, code, remedy):
    with pytest.raises(InvalidRequest, match=remedy) as refusal:
        choose_engine(LARGE, device, wanted, hardware)
    assert refusal.value.code == code
    assert refusal.value.field == "engine"


def test_what_cannot_be_told_of_a_machine_counts_as_absent(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    hardware_of.cache_clear()
    assert not hardware_of("cpu").bf16
    assert not hardware_of("mps").bf16
    assert not hardware_of("cuda").bf16 or torch.cuda.is_available()
    hardware_of.cache_clear()


@pytest.mark.parametrize("name", engine_names())
def test_every_engine_has_a_chunk(name):
    assert chunk_of(name, "cpu") >= 1
    assert chunk_of(name, "cuda:0") >= 1


class Wrong(nn.Module):
    """An engine whose features are slightly off."""

    def __init__(self, backbone, error):
        super().__init__()
        self.backbone, self.error = backbone, error

    def forward(self, slices, mask=None):
        return self.backbone(slices) + self.error


@pytest.fixture
def classifier():
    return classifier_of(SPEC)


def inject(monkeypatch, **builds):
    """Make these engines, and fp32, usable everywhere, the first of them chosen, and each built by its function."""
    builds = {name.replace("_", "-"): build for name, build in builds.items()}
    monkeypatch.setattr(apply, "usable_engines", lambda device: [*builds, "torch-fp32"])
    monkeypatch.setattr(apply, "choose_engine", lambda parameters, device, wanted: next(iter(builds)))
    real = engines.run_on
    monkeypatch.setattr(apply, "run_on", lambda name, *rest: builds[name](rest[0]) if name in builds else real(name, *rest))


def test_an_engine_that_agrees_replaces_the_backbone(monkeypatch, classifier):
    given = study(SPEC, 1)
    before = classifier(*given).logits
    inject(monkeypatch, torch_bf16=lambda backbone: Wrong(backbone, 1e-6))
    assert apply_engine(classifier, SPEC, "cpu") == "torch-bf16"
    assert isinstance(classifier.backbone, Wrong)
    assert classifier.chunk == chunk_of("torch-bf16", "cpu")
    torch.testing.assert_close(classifier(*given).logits, before, atol=1e-3, rtol=0)


@pytest.mark.parametrize("error", [0.5, float("nan")])
def test_an_engine_that_is_wrong_is_not_used(monkeypatch, classifier, caplog, error):
    given = study(SPEC, 1)
    before = classifier(*given).logits
    inject(monkeypatch, torch_bf16=lambda backbone: Wrong(backbone, error))
    with caplog.at_level(logging.WARNING):
        assert apply_engine(classifier, SPEC, "cpu") == "torch-fp32"
    assert "torch-bf16 changes probabilities of dinov3_base by up to" in caplog.text
    torch.testing.assert_close(classifier(*given).logits, before, atol=1e-4, rtol=0)


def test_an_engine_that_cannot_be_built_is_not_used(monkeypatch, classifier, caplog):
    def fail(backbone):
        raise RuntimeError("operator not supported")

    inject(monkeypatch, torch_bf16=fail)
    with caplog.at_level(logging.WARNING):
        assert apply_engine(classifier, SPEC, "cpu") == "torch-fp32"
    assert "torch-bf16 cannot run dinov3_base (RuntimeError: operator not supported)" in caplog.text


def test_where_one_engine_fails_the_next_is_tried(monkeypatch, classifier, caplog):
    inject(monkeypatch, openvino_bf16=lambda backbone: Wrong(backbone, 0.5), torch_bf16=lambda backbone: Wrong(backbone, 1e-6))
    with caplog.at_level(logging.WARNING):
        assert apply_engine(classifier, SPEC, "cpu") == "torch-bf16"
    assert "openvino-bf16 changes probabilities" in caplog.text
    assert classifier.backbone.error == 1e-6


def test_an_unusable_wish_is_refused_and_changes_nothing(monkeypatch, classifier):
    backbone = classifier.backbone
    with pytest.raises(InvalidRequest):
        apply_engine(classifier, SPEC, "cpu", "tensorrt")
    assert classifier.backbone is backbone


def test_probabilities_are_those_that_are_served_with_a_backbone_put_in_for_the_moment(classifier):
    given = synthetic_study(SPEC, SPEC.input_px)
    backbone = classifier.backbone
    off = classifier.classify(classifier.features(*given) + 0.3, given[1]).logits.double()
    found = probabilities(classifier, Wrong(backbone, 0.3), *given, calibrate=lambda logits: 2 * logits - 1)
    torch.testing.assert_close(found, (2 * off - 1).sigmoid(), atol=1e-6, rtol=0)
    assert classifier.backbone is backbone


def test_the_tolerance_is_on_calibrated_probabilities(monkeypatch, classifier):
    inject(monkeypatch, torch_bf16=lambda backbone: Wrong(backbone, 0.5))
    assert apply_engine(classifier, SPEC, "cpu", calibrate=lambda logits: logits / 1000) == "torch-bf16"
    assert apply_engine(classifier_of(SPEC), SPEC, "cpu") == "torch-fp32"


@pytest.mark.parametrize("spec", [SPEC, CONVOLUTIONS], ids=lambda spec: spec.name)
@pytest.mark.parametrize("wanted", [name for name in usable_engines("cpu") if name != "torch-fp32"])
def test_every_engine_of_this_machine_passes_the_proof(wanted, spec):
    assert apply_engine(classifier_of(spec), spec, "cpu", wanted) == wanted
