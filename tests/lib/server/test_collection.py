"""A full collection of garbage does not look at loaded models, and nothing of them stays behind when they are replaced."""

import gc
import weakref

import pytest

from headct_molre.server.collection import collect_everything, leave_out_what_is_loaded
from headct_molre.server.devices import release
from headct_molre.server.loaded import LoadedModels


class Cycle:
    """An object that only a collection frees."""

    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def as_before():
    yield
    gc.unfreeze()


def looked_at(wanted):
    return any(each is wanted for each in gc.get_objects())


def test_a_loaded_model_is_left_out():
    network = LoadedModels().get("demo", "cpu")
    assert not looked_at(network)


@pytest.mark.parametrize("collect", [leave_out_what_is_loaded, collect_everything, lambda: release("cpu")])
def test_what_was_left_out_is_collected_when_a_model_goes(collect):
    cycle = Cycle()
    gone = weakref.ref(cycle)
    leave_out_what_is_loaded()
    del cycle
    gc.collect()
    assert gone() is not None  # else this test would show nothing
    collect()
    assert gone() is None
