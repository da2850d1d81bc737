"""Several readers on one real server, walked over HTTP."""

import sqlite3
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headct_molre.data.phantom import write_cohort
from headct_molre.findings import finding_keys
from headct_molre.selection import BY_CHANCE, STRATEGIES
from server_process import Server

STUDIES = [f"phantom-{number:04d}" for number in range(1, 4)]
FIRST = STUDIES[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readings")
    write_cohort(folder / "studies", len(STUDIES), seed=41)
    server = Server(folder / "studies", folder / "log.txt")
    server.start()
    yield server
    server.stop()
    server.http.close()


@pytest.fixture
def http(server):
    """The server with every study open, needed by one reader, and held by nobody."""
    http = server.http
    assert http.put("/headct/readers-required", json={"studies": None, "readers": 1, "reader": "cleo"}).status_code == 200
    for study in STUDIES:
        assert http.post(f"/headct/studies/{study}/reopen", json={"reader": "cleo", "reason": "next test"}).status_code == 200
        for reader in ("anna", "ben", "cleo"):
            assert http.delete(f"/headct/studies/{study}/lease", params={"reader": reader}).status_code == 200
    return http


def following(http, reader, strategy="first", **more):
    answer = http.post(f"/activelearning/{strategy}", json={"client_id": reader, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def submit(http, study, reader, state="present"):
    document = {"submission_id": str(uuid.uuid4()), "study": study, "reader": reader, "model": None, "findings": {"hydrocephalus": state}}
    answer = http.post("/headct/submissions", json=document)
    assert answer.status_code == 200, answer.text
    return document["submission_id"]


def test_the_next_study_is_monai_labels_answer_with_a_lease_and_a_reason(http, server):
    asked = datetime.now(UTC)
    answer = following(http, "anna")
    assert answer["id"] == FIRST
    assert Path(answer["path"]) == server.studies / f"{FIRST}.nii.gz"
    assert answer["weight"] == 1.0
    assert answer["strategy"]["first"]["client_id"] == "anna"
    assert answer["why"] == "the first by id of those that still need a reader"
    expires = datetime.fromisoformat(answer["lease"]["expires_at"])
    assert timedelta(minutes=29) < expires - asked < timedelta(minutes=31)
    assert answer["random"] is False
    assert set(http.get("/info/").json()["strategies"]) == {*STRATEGIES, "first"}


def test_a_ranking_strategy_explains_itself_and_marks_what_was_drawn(http, server):
    """First there is nothing to rank; a batch inference makes predictions, summaries and slice features, and then there is."""
    cold = following(http, "anna", "rarity_entropy")
    assert cold["random"] is True
    assert cold["why"] in (f"{BY_CHANCE}.", f"demo {version(http)} has predicted 0 of 3 open studies so far; drawn at random.")
    again = following(http, "anna", "rarity_entropy")
    assert (again["id"], again["random"], again["why"]) == (cold["id"], True, "you have it open and have not submitted a reading")
    assert http.post("/batch/infer/demo", params={"run_sync": True}, json={}, timeout=120).status_code == 200
    assert len(list((server.studies / ".headct" / "features").rglob("*.safetensors"))) == len(STUDIES)
    answers = [following(http, "anna", "rarity_entropy", another=True, model="demo") for _ in range(25)]
    ranked = [answer for answer in answers if not answer["random"]]
    assert ranked, "of 25 offers 15 % are random"
    assert all(answer["why"].startswith("Rare and uncertain: ") and answer["why"].count("%") == 3 for answer in ranked)
    assert {answer["why"] for answer in answers if answer["random"]} <= {f"{BY_CHANCE}."}
    with sqlite3.connect(server.studies / ".headct" / "store.sqlite") as store:
        noted = store.execute("SELECT study, value FROM reading_events WHERE kind = 'offered' ORDER BY sequence").fetchall()[-25:]
    assert noted == [(answer["id"], answer["random"]) for answer in answers]


def version(http):
    return http.get("/headct/models").json()[0]["card"]["version"]


@pytest.mark.parametrize("strategy", ["random", "first"])
def test_readers_get_different_studies_and_then_none(http, strategy):
    found = [following(http, reader, strategy) for reader in ("anna", "ben", "cleo")]
    assert sorted(answer["id"] for answer in found) == STUDIES
    assert following(http, "dan", strategy) == {}
    again = following(http, "anna", strategy)
    assert again["id"] == found[0]["id"]
    assert again["why"] == "you have it open and have not submitted a reading"


def test_a_reader_can_have_another_study(http):
    assert following(http, "anna")["id"] == FIRST
    assert following(http, "anna", another=True)["id"] == STUDIES[1]
    assert following(http, "ben")["id"] == FIRST


def test_a_study_whose_images_went_away_a_moment_ago_is_not_offered(http, server):
    image = server.studies / f"{FIRST}.nii.gz"
    aside = image.rename(server.studies.parent / image.name)
    try:
        assert following(http, "anna")["id"] == STUDIES[1]
    finally:
        aside.rename(image)
        deadline = time.monotonic() + 60
        while not http.get(f"/headct/studies/{FIRST}").json()["present"]:
            assert time.monotonic() < deadline
            assert http.post("/headct/studies/scan").status_code == 200
            time.sleep(0.1)


def test_a_study_is_opened_by_hand_and_tells_who_else_has_it(http):
    assert http.put(f"/headct/studies/{FIRST}/lease", params={"reader": "anna"}).json()["others"] == []
    opened = http.put(f"/headct/studies/{FIRST}/lease", params={"reader": "ben"}).json()
    assert (opened["lease"]["study"], opened["lease"]["reader"]) == (FIRST, "ben")
    assert [lease["reader"] for lease in opened["others"]] == ["anna"]
    assert following(http, "cleo")["id"] == STUDIES[1]
    assert http.delete(f"/headct/studies/{FIRST}/lease", params={"reader": "anna"}).json() == {"released": True}
    assert http.delete(f"/headct/studies/{FIRST}/lease", params={"reader": "anna"}).json() == {"released": False}


def test_a_study_is_skipped_read_reopened_and_its_history_tells(http):
    before = len(http.get(f"/headct/studies/{FIRST}/history").json())
    skipped = http.post(f"/headct/studies/{FIRST}/skip", json={"reader": "anna", "reason": "motion"})
    assert skipped.json() == {"study": FIRST, "readings": 0, "readers_required": 1, "is_open": True}
    assert following(http, "anna")["id"] == STUDIES[1]
    submission_id = submit(http, FIRST, "ben")
    assert following(http, "cleo")["id"] == STUDIES[2]
    reopened = http.post(f"/headct/studies/{FIRST}/reopen", json={"reader": "cleo", "reason": "thin slices came"})
    assert reopened.json()["is_open"]
    assert len(http.get(f"/headct/studies/{FIRST}/submissions").json()) >= 1
    events = http.get(f"/headct/studies/{FIRST}/history").json()[before:]
    assert [(event["kind"], event["reader"], event["reason"]) for event in events] == [
        ("skipped", "anna", "motion"),
        ("submitted", "ben", None),
        ("reopened", "cleo", "thin slices came"),
    ]
    assert events[1]["submission_id"] == submission_id
    mine = http.get("/headct/readings", params={"reader": "ben"}).json()
    assert mine[0] | {"at": ""} == {"study": FIRST, "state": "read", "at": "", "expires_at": None, "reason": None}


def test_a_study_needs_two_readers_on_request(http):
    asked = {"studies": [FIRST], "readers": 2, "reader": "cleo"}
    assert http.put("/headct/readers-required", json=asked).json() == {"changed": 1}
    assert [following(http, reader)["id"] for reader in ("anna", "ben", "cleo")] == [FIRST, FIRST, STUDIES[1]]
    submit(http, FIRST, "anna", "present")
    submit(http, FIRST, "ben", "absent")
    assert http.get(f"/headct/studies/{FIRST}").json()["open"] is False
    assert http.get(f"/headct/studies/{FIRST}/label").json()["findings"]["hydrocephalus"] == "uncertain"


def test_agreement_is_reported_for_all_findings_and_for_one(http):
    since = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    submit(http, FIRST, "anna", "present")
    submit(http, FIRST, "ben", "absent")
    found = http.get("/headct/agreement", params={"since": since}).json()
    assert [each["finding"] for each in found] == list(finding_keys())
    (one,) = http.get("/headct/agreement", params={"since": since, "finding": "hydrocephalus"}).json()
    assert one in found
    assert one["three_states"]["studies"] == 1
    assert one["three_states"]["fleiss"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": "assessed by two readers on 1 study; 10 are needed",
    }


JSON = {"headers": {"content-type": "application/json"}}
REASON = {"reader": "anna", "reason": "motion"}
LEASE, SKIP, REOPEN = (f"/headct/studies/{FIRST}/{what}" for what in ("lease", "skip", "reopen"))
REQUIRED = "/headct/readers-required"
NEEDED = {"studies": [FIRST], "readers": 2, "reader": "anna"}
REFUSALS = [
    ("POST", "/activelearning/unknown", {"json": {"client_id": "anna"}}, 404, "unknown_strategy"),
    ("POST", "/activelearning/random", {}, 422, "reader_missing"),
    ("POST", "/activelearning/random", {"json": {}}, 422, "reader_missing"),
    ("POST", "/activelearning/random", {"json": {"client_id": None}}, 422, "reader_missing"),
    ("POST", "/activelearning/random", {"json": {"client_id": 5}}, 422, "invalid_reader"),
    ("POST", "/activelearning/random", {"json": {"client_id": "a" * 129}}, 422, "invalid_reader"),
    ("POST", "/activelearning/random", {"content": b'{"client_id": "\\ud800"}', **JSON}, 422, "invalid_reader"),
    ("POST", "/activelearning/random", {"json": {"client_id": "anna", "another": "yes"}}, 422, "invalid_request"),
    ("POST", "/activelearning/margin", {"json": {"client_id": "anna", "model": 5}}, 422, "invalid_request"),
    ("POST", "/activelearning/margin", {"json": {"client_id": "anna", "model": "elsewhere"}}, 404, "unknown_model"),
    ("POST", "/activelearning/random", {"content": b"{", **JSON}, 422, "invalid_json"),
    ("POST", "/activelearning/random", {"json": []}, 422, "invalid_request"),
    ("PUT", LEASE, {}, 422, "reader_missing"),
    ("PUT", LEASE, {"params": {"reader": "a\nb"}}, 422, "invalid_reader"),
    ("PUT", "/headct/studies/unknown/lease", {"params": {"reader": "anna"}}, 404, "unknown_study"),
    ("PUT", "/headct/studies/.headct/lease", {"params": {"reader": "anna"}}, 422, "invalid_study"),
    ("DELETE", "/headct/studies/unknown/lease", {"params": {"reader": "anna"}}, 404, "unknown_study"),
    ("DELETE", LEASE, {"params": {"reader": " "}}, 422, "invalid_reader"),
    *(
        (method, url, {"json": REASON | {"reason": reason}}, 422, "invalid_reason")
        for method, url in (("POST", SKIP), ("POST", REOPEN))
        for reason in ("", " ", "x" * 1001, "\x00")
    ),
    *(("POST", url, {"json": {"reader": "anna"}}, 422, "invalid_request") for url in (SKIP, REOPEN)),
    *(("POST", url, {"json": REASON | {"reader": ""}}, 422, "reader_missing") for url in (SKIP, REOPEN)),
    *(("POST", url, {"json": REASON | {"misspelt": 1}}, 422, "invalid_request") for url in (SKIP, REOPEN)),
    *(("POST", url, {"content": b'{"reader": "anna", "reason": "\\ud800"}', **JSON}, 422, None) for url in (SKIP, REOPEN)),
    *(("POST", f"/headct/studies/unknown/{what}", {"json": REASON}, 404, "unknown_study") for what in ("skip", "reopen")),
    *(("PUT", REQUIRED, {"json": NEEDED | {"readers": n}}, 422, "invalid_readers_required") for n in (0, -1, 21, 10**30)),
    ("PUT", REQUIRED, {"json": NEEDED | {"readers": "many"}}, 422, "invalid_request"),
    ("PUT", REQUIRED, {"json": NEEDED | {"studies": [FIRST, "unknown"]}}, 404, "unknown_study"),
    ("PUT", REQUIRED, {"json": NEEDED | {"studies": ["../x"]}}, 422, "invalid_request"),
    ("PUT", REQUIRED, {"json": {"readers": 2, "reader": "anna"}}, 422, "invalid_request"),
    ("PUT", REQUIRED, {"json": NEEDED | {"reader": ""}}, 422, "reader_missing"),
    ("GET", "/headct/studies/unknown/history", {}, 404, "unknown_study"),
    ("GET", "/headct/readings", {}, 422, "reader_missing"),
    ("GET", "/headct/readings?reader=anna&limit=0", {}, 422, "invalid_request"),
    ("GET", "/headct/readings?reader=anna&limit=1001", {}, 422, "invalid_request"),
    ("GET", "/headct/readings?reader=anna&offset=-1", {}, 422, "invalid_request"),
    ("GET", "/headct/readings?reader=anna&offset=99999999999999999999", {}, 422, "invalid_request"),
    ("GET", "/headct/agreement?finding=hydrocefalus", {}, 404, "unknown_finding"),
    ("GET", "/headct/agreement?since=yesterday", {}, 422, "invalid_request"),
    ("GET", "/headct/agreement?since=2026-01-01T00:00:00", {}, 422, "invalid_request"),
    ("GET", "/headct/agreement?since=0001-01-01T00:00:00%2B14:00", {}, 422, "invalid_since"),
]


@pytest.mark.parametrize(("method", "url", "body", "status", "code"), REFUSALS)
def test_bad_requests_are_refused_and_change_nothing(http, method, url, body, status, code):
    before = http.get(f"/headct/studies/{FIRST}/history").json()
    answer = http.request(method, url, **body)
    assert answer.status_code == status, answer.text
    assert {"code", "message"} <= set(answer.json()) <= {"code", "message", "field", "request_id"}
    assert code is None or answer.json()["code"] == code
    assert http.get(f"/headct/studies/{FIRST}/history").json() == before


def test_a_submission_in_a_name_that_is_none_is_refused(http):
    document = {
        "submission_id": str(uuid.uuid4()),
        "study": FIRST,
        "reader": "a\x00",
        "model": None,
        "findings": {"hydrocephalus": "absent"},
    }
    answer = http.post("/headct/submissions", json=document)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_reader")
