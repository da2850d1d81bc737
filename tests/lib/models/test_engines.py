"""Every engine that this machine can run says what fp32 says, on every kind of backbone."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from engine_networks import SPECS, classifier_of, disagreement, inputs, network, study
from headct_molre.models.backbones import backbone_names, backbone_spec
from headct_molre.models.checkpoint import load_classifier
from headct_molre.models.engines import engine_names, run_on, usable_engines
from headct_molre.models.engines.apply import TOLERANCE, synthetic_study
from headct_molre.models.lora import add_lora, lora_parameters, merge_lora

ENGINES = [
    pytest.param(name, marks=pytest.mark.skipif(name not in usable_engines("cpu"), reason=f"{name} needs bf16 arithmetic or OpenVINO"))
    for name in engine_names()
]


@pytest.fixture(scope="module")
def built():
    """Engines by name of the engine and of the backbone, each built once."""
    made: dict[tuple[str, str], nn.Module] = {}

    def get(engine, kind):
        if (engine, kind) not in made:
            made[engine, kind] = run_on(engine, network(SPECS[kind]), SPECS[kind], "cpu")
        return made[engine, kind]

    return get


@pytest.fixture(scope="module")
def demo():
    return load_classifier("demo")


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("engine", ENGINES)
def test_probabilities_are_those_of_fp32(engine, kind, built):
    spec = SPECS[kind]
    classifier, given = classifier_of(spec), study(spec, 2)
    expected = classifier(*given)
    # A head that has learned spreads the logits, however small the features are.
    classifier.head.weight /= (expected.logits - expected.bias).std()
    assert classifier(*given).logits.sigmoid().std() > 0.1, "the head has to be active, or no difference can be seen"
    difference = disagreement(classifier, classifier.backbone, built(engine, kind), *given)
    print(f"largest difference of a probability: {difference:.1e}")
    assert difference <= (TOLERANCE if "bf16" in engine else 1e-4)


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("engine", ENGINES)
def test_features_have_the_shape_and_type_of_the_backbone_s(engine, kind, built):
    given = inputs(SPECS[kind], 3)
    features = built(engine, kind)(*given)
    assert features.shape == network(SPECS[kind])(*given).shape
    assert features.dtype == torch.float32
    assert not features.requires_grad


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_input_gives_the_same_bits_and_neighbours_do_not_matter(engine, kind, built):
    run = built(engine, kind)
    given = inputs(SPECS[kind], 5)
    together = run(*given)
    assert torch.equal(run(*given), together)
    for count in (1, 2):
        alone = run(*(tensor[:count] for tensor in given))
        torch.testing.assert_close(alone, together[:count], atol=2e-2 if "bf16" in engine else 1e-4, rtol=0)


@pytest.mark.parametrize("engine", ENGINES)
def test_inputs_are_left_as_they_were_and_outputs_are_not_overwritten(engine, built):
    given = inputs(SPECS["medimageinsight"], 2)
    copy = given[0].clone()
    first = built(engine, "medimageinsight")(*given)
    kept = first.clone()
    built(engine, "medimageinsight")(1 - given[0])
    assert torch.equal(given[0], copy)
    assert torch.equal(first, kept)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_merged_lora_is_used_and_the_backbone_stays_as_it_is(engine, built):
    spec = SPECS["dinov3_base"]
    backbone = network(spec)
    add_lora(backbone, spec.lora_targets)
    for parameter in lora_parameters(backbone):
        nn.init.normal_(parameter, std=0.2)
    merge_lora(backbone)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    given = inputs(spec, 2)
    adapted = run_on(engine, backbone, spec, "cpu")(*given)
    torch.testing.assert_close(adapted, backbone(*given), atol=0.15 if "bf16" in engine else 1e-4, rtol=0)
    assert (adapted - built(engine, "dinov3_base")(*given)).abs().max() > 1
    after = backbone.state_dict()
    assert all(after[name].dtype == tensor.dtype and torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_released_demo_agrees_on_a_head(engine, demo):
    classifier, _, spec = demo
    head = synthetic_study(spec, spec.input_px, slices=36)
    difference = disagreement(classifier, classifier.backbone, run_on(engine, classifier.backbone, spec, "cpu"), *head)
    print(f"largest difference of a probability: {difference:.1e}")
    assert difference <= (TOLERANCE if "bf16" in engine else 1e-4)


def test_fp32_leaves_the_precision_of_the_process_alone():
    before = torch.get_float32_matmul_precision()
    run_on("torch-fp32", network(SPECS["medimageinsight"]), SPECS["medimageinsight"], "cpu")(*inputs(SPECS["medimageinsight"], 1))
    assert torch.get_float32_matmul_precision() == before


def test_asking_for_engines_loads_nothing_heavy():
    command = "import sys, headct_molre.models.engines as e; e.engine_names(); print({'torch', 'openvino'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True).stdout.strip() == "set()"


@pytest.mark.skipif("openvino-fp32" not in usable_engines("cpu"), reason="OpenVINO is not installed")
def test_openvino_prints_nothing_into_a_program_that_was_started_with_verbose(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["start.py", "--verbose", "WARNING"])
    run_on("openvino-fp32", network(SPECS["dinov3_base"]), SPECS["dinov3_base"], "cpu")
    assert capsys.readouterr() == ("", "")


@pytest.mark.skipif("openvino-fp32" not in usable_engines("cpu"), reason="OpenVINO is not installed")
def test_openvino_reports_to_nobody():
    """Its telemetry would send a message at import and at conversion, each from a thread of its own."""
    command = """
import socket, sys
def refuse(*args, **kwargs): raise AssertionError("network")
socket.socket.connect = socket.getaddrinfo = refuse
import torch
from headct_molre.models.backbones.demo import SPEC
from headct_molre.models.backbones.spec import NormalisedBackbone
from headct_molre.models.engines import run_on
run_on("openvino-fp32", NormalisedBackbone(SPEC), SPEC, "cpu")(torch.rand(1, 3, *SPEC.input_px))
print(sorted(name for name in sys.modules if name.startswith("openvino_telemetry.")))
"""
    path = [folder for folder in sys.path if folder]
    environment = {"PYTHONPATH": ":".join(path)}
    result = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True, env=environment)
    assert result.stdout.strip() == "[]"
    assert "network" not in result.stderr


@pytest.mark.parametrize("name", backbone_names())
def test_the_synthetic_study_is_what_a_backbone_takes(name):
    spec = backbone_spec(name)
    slices, mask = synthetic_study(spec, spec.input_px)
    assert slices.shape == (1, spec.depth or 3, len(spec.windows), *spec.input_px)
    assert mask.all()
    assert 0 <= slices.min() < slices.max() <= 1
    assert slices.std() > 0.1
