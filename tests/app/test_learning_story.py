"""Learning from corrections as a user lives it, over HTTP alone: read, retrain, look at the report, promote, go back."""

import base64
import hashlib
import json
import re
import time
import uuid

import pytest
from monailabel.client.client import MONAILabelClient

from headct_molre.data.phantom import make_phantom, write_study
from headct_molre.evaluation.report import page_script
from headct_molre.schema import Prediction
from headct_molre.training.gate import GateReport
from server_process import Server

MODEL = "demo"
LONG = 1500
# So that a handful of studies can be judged at all; a hospital would not set this.
FEW_ARE_ENOUGH = {"minimum_studies": 2, "minimum_cases": 2, "minimum_findings": 1, "replicates": 50}
FIRST_SEED = 10**11
MANY = pytest.param(40, marks=pytest.mark.slow)


class Story:
    """A server over phantoms, of which one comes later; `truth` {study: states} is what a reader would see."""

    def __init__(self, folder, studies):
        self.studies, self.truth = folder / "studies", {}
        self.studies.mkdir()
        for number in range(1, studies + 1):
            self.add(f"case-{number:02d}", FIRST_SEED + number)
        self.server = Server(self.studies, folder / "log.txt", models=MODEL, gate=json.dumps(FEW_ARE_ENOUGH), train_threads="1")
        self.server.start()
        self.http = self.server.http

    def add(self, study, seed):
        phantom = make_phantom(seed, 128)
        write_study(phantom, self.studies / f"{study}.nii.gz")
        self.truth[study] = phantom.states

    def ask(self, method, path, status=200, **more):
        answer = self.http.request(method, path, timeout=LONG, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    def predict(self, study):
        return self.ask("POST", f"/infer/{MODEL}", params={"image": study}).content

    def read_next(self):
        """The next study, looked at with the model's prediction and read as it is."""
        study = self.ask("POST", "/activelearning/random", json={"client_id": "anna"}).json()["id"]
        shown = Prediction.model_validate_json(self.predict(study))
        document = {"schema": "headct.submission/1", "submission_id": str(uuid.uuid4()), "study": study, "reader": "anna"}
        document |= {"model": {"name": MODEL, "version": shown.model.version}, "findings": self.truth[study]}
        self.ask("POST", "/headct/submissions", json=document)

    def watch(self, job_id):
        """Every progress that was seen until the job ended, and the job."""
        seen = []
        deadline = time.monotonic() + LONG
        while time.monotonic() < deadline:
            job = self.ask("GET", f"/headct/jobs/{job_id}").json()
            if job["progress"] not in [{}, *seen[-1:]]:
                seen.append(job["progress"])
            if job["state"] not in ("queued", "running"):
                return seen, job
            time.sleep(0.1)
        raise AssertionError(f"the training did not end: {job}")


@pytest.fixture
def story(tmp_path, monkeypatch, request):
    monkeypatch.setenv("HEADCT_MOLRE_HOME", str(tmp_path / "home"))
    story = Story(tmp_path, request.param)
    yield story
    story.server.stop()
    story.http.close()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("story", [10, MANY], indirect=True, ids=["short", "40 submissions"])
def test_corrections_become_a_version_that_serves_and_can_be_taken_back(story):
    count = len(story.truth)
    # Long enough to be watched: the store hears of the progress once a second.
    settings = {"minimum_corrections": count // 5, "epochs": 40, "strengths": [16.0], "replay_studies": 400}

    # Nothing to learn from yet.
    refused = story.ask("POST", f"/train/{MODEL}", 409, json={})
    assert (refused.json()["code"], "0" in refused.json()["message"]) == ("too_few_corrections", True)
    assert story.ask("GET", f"/headct/models/{MODEL}/training").json()["ready"] is False
    story.ask("GET", f"/headct/models/{MODEL}/versions/2.0/gate", 404)

    # Everything is predicted, and read.
    batch = story.ask("POST", f"/batch/infer/{MODEL}").json()
    assert story.watch(batch["id"])[1]["result"]["done"] == count
    for _ in range(count):
        story.read_next()
    assert story.ask("POST", "/activelearning/random", json={"client_id": "anna"}).json() == {}
    first = story.predict("case-01")
    summary = story.ask("GET", f"/headct/models/{MODEL}/training").json()
    assert summary["corrections"] == summary["new_since_champion"] == count
    assert summary["trainable"] + summary["held_out"] == count
    assert min(summary["trainable"], summary["held_out"]) >= 2
    assert (summary["random_share"], summary["decision"], summary["running"]) == (1.0, "person", None)

    # Retrain; the server goes on working.
    client = MONAILabelClient(str(story.http.base_url))
    task = client.train_start(MODEL, settings)
    assert (task["model"], task["status"]) == (MODEL, "SUBMITTED")
    assert story.ask("POST", f"/train/{MODEL}", 429, json=settings).json()["code"] == "busy"
    assert client.train_status(check_if_running=True)
    assert story.ask("GET", f"/headct/models/{MODEL}/training").json()["running"] == task["id"]
    story.add("came-later", FIRST_SEED)
    assert Prediction.model_validate_json(story.predict("came-later")).model.version == "2.0"
    seen, job = story.watch(task["id"])
    log = story.ask("GET", f"/headct/jobs/{task['id']}/log").json()
    assert job["state"] == "succeeded", (job, log["text"])
    shares = [each["percentage"] for each in seen]
    assert shares == sorted(shares)
    assert len(set(shares)) >= 3
    assert seen[-1]["stage"] == "writing"
    result = job["result"]
    version = result["version"]
    assert re.fullmatch(rf"2\.0-c{count}-[0-9a-f]{{8}}", version)
    assert (result["counts"]["trained"], result["counts"]["held_out"]) == (summary["trainable"], summary["held_out"])
    assert result["promoted"] is False
    assert log["next"] == len(log["text"].encode())
    assert story.ask("GET", f"/headct/jobs/{task['id']}/log", params={"after": log["next"]}).json()["ended"] is True
    assert "case-" not in log["text"]
    assert "Context impl" not in log["text"], "the log begins with what the training does"

    # The report.
    report = GateReport.model_validate(story.ask("GET", f"/headct/models/{MODEL}/versions/{version}/gate").json())
    assert report.outcome == result["outcome"]
    assert report.corrections.studies == summary["held_out"]
    assert report.policy.minimum_studies == FEW_ARE_ENOUGH["minimum_studies"]
    page = story.ask("GET", f"/headct/models/{MODEL}/versions/{version}/gate.html")
    policy = page.headers["content-security-policy"]
    assert {"default-src 'none'", "frame-ancestors 'none'"} <= set(policy.split("; "))
    (script,) = re.findall(r"<script>(.*?)</script>", page.text, re.DOTALL)
    assert script == page_script()
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page.text)

    # Not by itself, and not on another's word: a person promotes.
    assert story.predict("case-01") == first
    if report.outcome != "promote":
        assert story.ask("POST", f"/headct/models/{MODEL}/promote", 422, json={"version": version}).json()["code"] == "reason_needed"
    asked = {"version": version, "against": "1.0", "reason": "a test", "reader": "anna"}
    assert story.ask("POST", f"/headct/models/{MODEL}/promote", 409, json=asked).json()["code"] == "champion_changed"
    event = story.ask("POST", f"/headct/models/{MODEL}/promote", json=asked | {"against": "2.0"}).json()
    assert (event["who"], event["before"], event["after"], event["gate"]) == ("anna", "2.0", version, report.outcome)
    second = Prediction.model_validate_json(story.predict("case-01"))
    assert second.model.version == version
    assert [one.logit for one in second.findings] != [one.logit for one in Prediction.model_validate_json(first).findings]
    assert story.ask("GET", f"/headct/models/{MODEL}/training").json()["new_since_champion"] == 0
    assert story.ask("GET", f"/headct/models/{MODEL}/diff", params={"before": "2.0", "after": version}).json()["same_weights"] is False

    # And back, exactly.
    assert story.ask("POST", f"/headct/models/{MODEL}/rollback", json={"reason": "a test"}).json()["after"] == "2.0"
    assert story.predict("case-01") == first
    versions = {each["version"]: each for each in story.ask("GET", f"/headct/models/{MODEL}/versions").json()}
    assert (versions["2.0"]["champion"], versions[version]["champion"]) == (True, False)
    assert [each["action"] for each in story.ask("GET", f"/headct/models/{MODEL}/history").json()] == ["promoted", "rolled_back"]
    stats = story.ask("GET", "/info/").json()["train_stats"][MODEL]
    assert {"epoch", "total_epochs", "start_ts", "total_time", "best_metric", "train", "eval"} <= set(stats)
    assert client.train_status()["status"] == "DONE"
    metrics = story.ask("GET", "/headct/metrics").text
    assert f'headct_version_changes_total{{action="rolled_back",model="{MODEL}"}} 1.0' in metrics
    assert f'headct_training_seconds_count{{model="{MODEL}",outcome="succeeded"}} 1.0' in metrics
