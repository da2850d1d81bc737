"""What is learned from, what is left alone, and how far a fit may go from the released version."""

import numpy as np
import pytest
import torch

from headct_molre.errors import HeadCTError
from headct_molre.models.checkpoint import load_classifier
from headct_molre.training.finetune import Examples, FineTuneConfig, fit
from headct_molre.training.finetune.head import FeatureClassifier

CONFIG = FineTuneConfig(epochs=3, batch_studies=8, head_rate=1e-3)


@pytest.fixture(scope="module")
def demo():
    return load_classifier("demo")[0]


def examples(studies=24, seed=0, slices=5):
    random = torch.Generator().manual_seed(seed)
    labels = (torch.rand(studies, 75, generator=random) < 0.3).float()
    return Examples(torch.randn(studies, slices, 192, generator=random), torch.ones(studies, slices, dtype=torch.bool), labels)


def moved(demo, fitted):
    released = FeatureClassifier(demo).tuned()
    return sum(float((tensor - released[name]).square().sum()) for name, tensor in fitted.state.items())


def test_the_released_version_stays_as_it_is(demo):
    before = {name: tensor.clone() for name, tensor in demo.state_dict().items()}
    fit(demo, examples(), None, CONFIG, strength=0.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in demo.state_dict().items())
    assert not any(parameter.requires_grad for parameter in demo.parameters())


def test_the_anchor_holds_by_its_strength_over_the_number_of_corrections(demo):
    few = examples(24)
    distances = [moved(demo, fit(demo, few, None, CONFIG, strength=strength)) for strength in (0.0, 24.0, 240.0, 1e6)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < distances[0] / 100
    # The same four times over: as many steps to the same loss, and four times as many corrections against the prior.
    many = few.take(list(range(24)) * 4)
    steady = CONFIG.model_copy(update={"batch_studies": 32})
    assert moved(demo, fit(demo, many, None, steady, strength=240.0)) > distances[2]


def test_the_same_input_gives_the_same_bits_also_after_a_break(demo, tmp_path):
    class Stop(Exception):
        pass

    def stop(step):
        if step.epoch == 2:
            raise Stop

    unbroken = fit(demo, examples(), examples(10, seed=1), CONFIG, strength=1.0)
    with pytest.raises(Stop):
        fit(demo, examples(), examples(10, seed=1), CONFIG, strength=1.0, watch=stop, checkpoint=tmp_path / "checkpoint")
    resumed = fit(demo, examples(), examples(10, seed=1), CONFIG, strength=1.0, checkpoint=tmp_path / "checkpoint")
    assert resumed.losses == unbroken.losses
    assert all(torch.equal(tensor, unbroken.state[name]) for name, tensor in resumed.state.items())
    other = fit(demo, examples(), examples(10, seed=1), CONFIG.model_copy(update={"seed": 1}), strength=1.0)
    assert not torch.equal(other.state["head.weight"], unbroken.state["head.weight"])


def test_what_was_not_assessed_teaches_nothing(demo):
    known = examples()
    labels = known.labels.clone()
    labels[:, 40:] = torch.nan
    fitted = fit(demo, known.labelled(labels), None, CONFIG, strength=0.0)
    released = demo.head.bias.detach()
    assert torch.equal(fitted.state["head.bias"][40:], released[40:])
    assert not torch.equal(fitted.state["head.bias"][:40], released[:40])


def test_what_was_not_assessed_can_be_held_to_what_the_released_version_says(demo):
    known = examples()
    labels = known.labels.clone()
    labels[:, 40:] = torch.nan
    config = {"epochs": 8, "batch_studies": 8, "head_rate": 0.01}
    released = FeatureClassifier(demo).logits(known)
    drift = {
        mode: np.abs(
            fit(demo, known.labelled(labels), None, FineTuneConfig(not_assessed=mode, distilled_weight=1.0, **config), strength=0.0).logits(
                demo, known
            )[:, 40:]
            - released[:, 40:]
        ).mean()
        for mode in ("masked", "distilled")
    }
    assert drift["distilled"] < drift["masked"]


def test_replay_keeps_what_is_known_elsewhere(demo):
    released = FeatureClassifier(demo)
    source = examples(48, seed=5)
    source = source.labelled(torch.from_numpy(released.logits(source) > 0).float())
    against = source.labelled(1 - source.labels).take(range(12))
    config = CONFIG.model_copy(update={"epochs": 8, "replay_weight": 3.0})
    agreement = [
        (fit(demo, against, replay, config, strength=0.0).logits(demo, source) * (2 * source.labels.numpy() - 1)).mean()
        for replay in (None, source)
    ]
    assert agreement[1] > agreement[0]


def test_padding_and_other_lengths_change_nothing(demo):
    short = [torch.randn(4, 192), torch.randn(7, 192)]
    network = FeatureClassifier(demo)
    together = network.logits(Examples.of(short, np.zeros((2, 75))))
    alone = np.concatenate([network.logits(Examples.of([one], np.zeros((1, 75)))) for one in short])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    with torch.inference_mode():
        np.testing.assert_allclose(alone[1], demo.classify(short[1][None]).logits[0].numpy(), atol=1e-4)


def test_a_loss_that_is_not_finite_ends_the_fit(demo):
    broken = examples()
    broken.features[0, 0, 0] = torch.inf
    with pytest.raises(HeadCTError, match="not finite") as refused:
        fit(demo, broken, None, CONFIG, strength=1.0)
    assert refused.value.code == "diverged"
