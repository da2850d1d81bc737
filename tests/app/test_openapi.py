"""Generated requests against our OpenAPI document: whatever is sent, the server answers with a status that it declares."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode

from headct_molre.data.phantom import make_phantom, write_study
from server_process import Server

OPERATIONS = 50  # about as many as there are; a test below holds the document to have no fewer
COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("openapi")
    (folder / "studies").mkdir()
    write_study(make_phantom(3, 128), folder / "studies" / "one.nii.gz")
    server = Server(folder / "studies", folder / "log.txt", models="demo")
    server.start()
    yield server
    server.stop()
    server.http.close()


def walk(server, examples, **more):
    """Sends generated requests for every operation; valid ones, and ones that break a rule of the document."""
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/headct/openapi.json")
    for operation in schema.get_all_operations():
        for mode in GenerationMode:

            @settings(max_examples=examples, database=None, **COMMON, **more)
            @given(case=operation.ok().as_strategy(generation_mode=mode))
            def check(case):
                answer = case.call(timeout=60)
                log = server.log.read_text()[-3000:]
                assert answer.status_code < 500, f"{case.as_curl_command()}\n{answer.status_code} {answer.text}\n{log}"
                if answer.status_code >= 400:
                    body = answer.json()
                    assert {"code", "message", "request_id"} <= set(body) <= {"code", "message", "field", "request_id"}
                    assert answer.headers["x-request-id"] == [body["request_id"]]

            try:
                check()
            except Unsatisfiable:  # an operation without parameters has no way to be wrong
                assert mode is GenerationMode.NEGATIVE


def test_generated_requests_are_answered(server):
    walk(server, 10, derandomize=True)


@pytest.mark.slow
def test_thousands_of_generated_requests_are_answered(server):
    walk(server, 2000 // (2 * OPERATIONS) + 1)


def test_the_document_describes_errors_and_health(server):
    document = server.http.get("/headct/openapi.json").json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len(operations) >= OPERATIONS
    for operation in operations:
        for status in ("4XX", "5XX"):
            answer = operation["responses"][status]["content"]["application/json"]["schema"]
            assert answer == {"$ref": "#/components/schemas/ErrorBody"}, operation["operationId"]
        assert operation["summary"]
    assert "503" in document["paths"]["/headct/health"]["get"]["responses"]
