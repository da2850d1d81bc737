"""The core of the Slicer module as plain Python, documents made by the server's own contracts, and one real server."""

import json
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

from headct_molre.cli import main
from headct_molre.data.phantom import write_cohort
from headct_molre.findings import finding_keys, findings
from headct_molre.schema import FindingResult, Frame, Prediction, PredictionModel, Quality, SliceResult, Warning_
from server_process import Server

sys.path.insert(0, str(Path(__file__).parents[3] / "slicer_module" / "HeadCTFindings"))

SILENT = "calvarial_thickening"  # of this the made-up version was never tested


@pytest.fixture(scope="session")
def catalogue():
    from HeadCTFindingsLib.core.catalogue import Catalogue

    return Catalogue.from_json(json.loads(json.dumps([finding.to_json() for finding in findings()])))


@pytest.fixture(scope="session")
def prediction():
    """Makes the JSON of a Prediction: `above` are over their threshold, and speak from the slice that is given with them."""

    def make(above=None, slices=10, experts=6, level="slice", study="study-1", version="2.0", demo=True, silent=(SILENT,), matrix=None):
        above = above or {}
        rng = np.random.default_rng(slices)
        router = rng.dirichlet(np.full(experts, 2.0), size=slices) if experts else np.zeros((slices, 0))
        if level == "volume":
            router[:] = router[0]
        evidence = np.full((75, slices), -0.2)
        for key, where in above.items():
            evidence[finding_keys().index(key), where] = 6.0
        bias = np.full(75, -1.0)
        logits = evidence.sum(1) + bias
        results = [
            FindingResult(
                key=key,
                probability=0.5 if key in silent else 1 / (1 + np.exp(-logits[row])),
                logit=logits[row],
                bias=bias[row],
                operating_point=None if key in silent else 0.4,
                positive=None if key in silent else key in above,
                estimable=key not in silent,
            )
            for row, key in enumerate(finding_keys())
        ]
        model_to_ras = np.array([[0, 0, -1, 96], [0, -1, 0, 120], [4, 0, 0, -40], [0, 0, 0, 1]]) if matrix is None else np.array(matrix)
        centres = [(model_to_ras @ [index, 119.5, 95.5, 1])[:3] for index in range(slices)]
        attention = rng.dirichlet(np.full(slices, 2.0))
        document = Prediction(
            study=study,
            model=PredictionModel(name="demo", version=version, backbone="demo", adapter="MoLRE", demo=demo, weights_sha256="0" * 64),
            device="cpu",
            findings=results,
            router_level=level if experts else None,
            slices=[
                SliceResult(index=s, center_ras=tuple(centres[s]), attention=attention[s], router=router[s].tolist()) for s in range(slices)
            ],
            evidence=evidence.tolist(),
            frame=Frame(model_to_ras=model_to_ras.tolist(), shape=(slices, 240, 192), spacing_mm=(4.0, 1.0, 1.0)),
            quality=Quality(accepted=True, warnings=[Warning_(code="motion", message="Motion.", value=0.3)], facts={"tilt_degrees": 3.0}),
            timing_ms={"total": 12.0},
        )
        return json.loads(document.to_json())

    return make


@pytest.fixture(scope="session")
def view(prediction):
    """The same, as the module reads it."""
    from HeadCTFindingsLib.core.prediction import PredictionView

    return lambda *arguments, **named: PredictionView.from_json(prediction(*arguments, **named))


@pytest.fixture(scope="session")
def studies(tmp_path_factory):
    """The server's folder, with two phantoms."""
    studies = tmp_path_factory.mktemp("core") / "studies"
    write_cohort(studies, 2, seed=21, matrix=128)
    return studies


class RealServer(Server):
    """A server whose trained versions go into a folder of the tests, also when it is started again."""

    def start(self):
        with pytest.MonkeyPatch.context() as environ:
            environ.setenv("HEADCT_MOLRE_HOME", str(self.studies.parent / "home"))
            super().start()


@pytest.fixture(scope="session")
def server(studies):
    """One server for all tests, with the demo model, which asks who one is."""
    server = RealServer(studies, studies.parent / "log.txt", auth="tokens", models="demo", train_threads="1")
    server.start()
    yield server
    server.stop()
    server.http.close()


@pytest.fixture(scope="session")
def address(server):
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="session")
def token_of(server):
    """Makes a token of a reader, as the operator does."""

    def make(reader, role="reader"):
        with redirect_stdout(StringIO()) as said:
            assert main(["token", "create", "--studies", str(server.studies), "--reader", reader, "--role", role]) == 0
        return said.getvalue().strip()

    return make


@pytest.fixture(scope="session")
def anna(address, token_of):
    """The client of a reader."""
    from HeadCTFindingsLib.core.client import Client

    return Client(address, token_of("anna"))
