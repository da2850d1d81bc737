"""The state of a run is one file: whole, exact, and refused where it belongs to something else."""

import pytest
import torch

from headct_molre.errors import ModelUnavailable
from headct_molre.training.run_state import RunState


def state(width: int = 3, seed: int = 0) -> RunState:
    torch.manual_seed(seed)
    parameters = {"a.weight": torch.nn.Parameter(torch.randn(width, 2)), "b": torch.nn.Parameter(torch.randn(1))}
    return RunState(parameters, torch.optim.AdamW(parameters.values(), lr=0.1))


def step(run: RunState) -> None:
    loss = sum((parameter**2).sum() for parameter in run.parameters.values())
    run.optimizer.zero_grad()
    loss.backward()
    run.optimizer.step()


def bits(run: RunState) -> list[bytes]:
    return [parameter.detach().numpy().tobytes() for parameter in run.parameters.values()]


def test_goes_on_with_the_same_bits(tmp_path):
    unbroken = state()
    for _ in range(3):
        step(unbroken)
    unbroken.keep_as_best()
    unbroken.progress.epoch, unbroken.progress.best_metric = 2, 0.1 + 0.2
    unbroken.progress.history.append({"epoch": 1, "loss": 1 / 3})
    unbroken.save(tmp_path / "state")

    again = state(seed=9)
    again.load(tmp_path / "state")
    assert again.progress == unbroken.progress
    for _ in range(3):
        step(unbroken)
        step(again)
    assert bits(again) == bits(unbroken)
    unbroken.restore_best()
    again.restore_best()
    assert bits(again) == bits(unbroken)


def test_the_best_is_a_copy():
    run = state()
    run.keep_as_best()
    before = bits(run)
    step(run)
    assert bits(run) != before
    run.restore_best()
    assert bits(run) == before


def test_a_write_that_fails_leaves_the_last_state(tmp_path, monkeypatch):
    run = state()
    run.save(tmp_path / "state")
    before = (tmp_path / "state").read_bytes()

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    step(run)
    with pytest.raises(OSError, match="No space"):
        run.save(tmp_path / "state")
    assert (tmp_path / "state").read_bytes() == before


def test_a_damaged_file_is_named_with_the_remedy(tmp_path):
    run = state()
    run.save(tmp_path / "state")
    (tmp_path / "state").write_bytes((tmp_path / "state").read_bytes()[:-9])
    with pytest.raises(ModelUnavailable, match="Remove it to start anew"):
        run.load(tmp_path / "state")


def test_the_state_of_another_network_is_refused(tmp_path):
    state(width=4).save(tmp_path / "state")
    with pytest.raises(ModelUnavailable, match="other parameters"):
        state().load(tmp_path / "state")
