"""The real server with authentication, walked with our own client, MONAI Label's client and the command line."""

import json
import time
import uuid

import pytest

from headct_molre.cli import main
from headct_molre.data.phantom import write_cohort
from headct_molre.server.authenticator import REMEMBERED_S
from headct_molre.server.roles import POLICY
from oidc_issuer import Issuer
from server_process import Server

CANARY = "Zebedaeus Canary"


def made_token(studies, capsys, reader, role, *more):
    capsys.readouterr()
    assert main(["token", "create", "--studies", str(studies), "--reader", reader, "--role", role, "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


def bearer(token):
    return {"authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    studies = tmp_path_factory.mktemp("auth") / "studies"
    write_cohort(studies, 2, seed=21)
    return studies


@pytest.fixture(scope="module")
def server(studies):
    server = Server(studies, studies.parent / "log.txt", auth="tokens", names="ct.hospital.example", models="demo")
    server.start()
    yield server
    server.stop()
    server.http.close()


def test_without_a_token_only_health_and_login_answer(server):
    http = server.http
    assert http.get("/headct/health").json().keys() == {"status"}
    assert http.get("/auth/").json() == {"enabled": True, "client_id": None, "realm": None}
    for role, entries in POLICY.items():
        for method, path in map(str.split, entries):
            answer = http.request(method, path.replace("**", "a").replace("*", "a"))
            assert answer.status_code == 401 or answer.json()["code"] in ("disabled", "unknown_session"), (role, method, path, answer.text)
    assert http.get("/info/").headers["www-authenticate"] == "Bearer"


def test_each_role_does_what_it_may(server, studies, capsys):
    tokens = {role: made_token(studies, capsys, f"{CANARY} {role}", role)["token"] for role in POLICY}
    http = server.http
    for token in tokens.values():
        assert http.get("/info/", headers=bearer(token)).status_code == 200
        assert http.get("/headct/studies", headers=bearer(token)).status_code == 200
        assert "version" in http.get("/headct/health", headers=bearer(token)).json()
    assert http.get("/train/", headers=bearer(tokens["reader"])).json()["code"] == "forbidden"
    assert http.get("/train/", headers=bearer(tokens["trainer"])).status_code != 403
    assert http.delete("/datastore/image?id=phantom-0001", headers=bearer(tokens["trainer"])).json()["code"] == "forbidden"
    assert http.delete("/datastore/image?id=phantom-0001", headers=bearer(tokens["admin"])).status_code == 405  # the store removes nothing
    assert http.get("/static/favicon.ico", headers=bearer(tokens["reader"])).json()["code"] == "forbidden"
    assert http.get("/nothing", headers=bearer(tokens["admin"])).json()["code"] == "not_found"


def test_a_token_is_known_at_once_and_a_revoked_one_stops_within_seconds(server, studies, capsys):
    made = made_token(studies, capsys, "bob", "reader", "--days", "1")
    http = server.http
    assert http.get("/auth/token/valid", headers=bearer(made["token"])).json()["username"] == "bob"
    assert main(["token", "revoke", "--studies", str(studies), made["token_id"]]) == 0
    deadline = time.monotonic() + REMEMBERED_S + 1
    while http.get("/info/", headers=bearer(made["token"])).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert main(["token", "list", "--studies", str(studies), "--json"]) == 0
    (listed,) = [token for token in json.loads(capsys.readouterr().out.partition("\n")[2]) if token["token_id"] == made["token_id"]]
    assert listed["state"] == "revoked"
    assert listed["last_used_at"] is not None


def test_the_server_answers_to_its_configured_names(server):
    for host, code in (("ct.hospital.example", 200), ("CT.hospital.example:8000", 200), ("localhost", 200), ("rebound.example", 403)):
        assert server.http.get("/headct/health", headers={"host": host}).status_code == code


def test_monai_labels_own_client_logs_in_and_works(server, studies, capsys):
    from monailabel.client.client import MONAILabelClient, MONAILabelClientException

    token = made_token(studies, capsys, "anna", "reader")["token"]
    client = MONAILabelClient(f"http://127.0.0.1:{server.port}", client_id="anna")
    assert client.auth_enabled()
    assert not client.auth_valid_token()
    with pytest.raises(MONAILabelClientException):
        client.info()
    for username, password in (("anna", "wrong"), ("bob", token), ("anna", ""), ("", token)):
        with pytest.raises(MONAILabelClientException) as refused:
            client.auth_token(username, password)
        assert refused.value.status_code == 401

    client.update_auth(client.auth_token("anna", token))
    assert client.auth_valid_token()
    session = client.create_session(str(studies / "phantom-0001.nii.gz"))["session_id"]
    client.get_session(session)
    client.remove_session(session)
    assert client.info()["datastore"]["total"] == 2
    study = client.next_sample("random", {})["id"]
    assert "demo" in client.info()["models"]  # with the length of the body before, which this client leaves in its headers
    assert client.train_status(check_if_running=True) is False
    document = {"schema": "headct.submission/1", "submission_id": str(uuid.uuid4()), "study": study, "reader": "anna", "model": None}
    label = studies.parent / "submission.json"
    label.write_text(json.dumps(document | {"findings": {"hydrocephalus": "present"}}))
    assert client.save_label(study, str(label))["image"] == study
    assert client.auth_valid_token()


def test_no_log_and_no_store_holds_a_token_or_a_name(server, studies, capsys):
    made = made_token(studies, capsys, CANARY, "reader")
    for headers in (bearer(made["token"]), bearer(made["token"] + "x"), {"authorization": f"Basic {made['token']}"}):
        server.http.get("/info/", headers=headers)
    server.http.post("/auth/token", data={"username": CANARY, "password": made["token"] + "x"})
    server.http.post("/auth/token", data={"username": CANARY, "password": made["token"], "grant_type": "other"})
    server.http.post("/auth/token", content=made["token"])
    answer = server.http.post("/auth/token", data={"username": "other", "password": made["token"]})
    secret = made["token"].rpartition("_")[2]
    assert CANARY not in answer.text
    assert secret not in answer.text
    log = server.log.read_text()
    assert log
    for word in (secret, made["token"][:20], CANARY, "Zebedaeus"):
        assert word not in log
    for file in (studies / ".headct").glob("store.sqlite*"):
        assert secret.encode() not in file.read_bytes()


@pytest.mark.slow
def test_tokens_of_an_openid_connect_issuer(tmp_path):
    issuer = Issuer()
    oidc = {"issuer": issuer.url, "audience": "headct", "role_claim": "realm_access.roles"}
    (tmp_path / "studies").mkdir()
    server = Server(tmp_path / "studies", tmp_path / "log.txt", auth="oidc", oidc=json.dumps(oidc), models="demo")
    try:
        server.start()
        token = issuer.token(realm_access={"roles": ["headct-trainer"]}, preferred_username=CANARY)
        user = server.http.get("/auth/token/valid", headers=bearer(token)).json()
        assert (user["username"], user["roles"]) == (CANARY, ["reader", "trainer"])
        assert server.http.get("/auth/").json() == {"enabled": True, "client_id": "headct", "realm": issuer.url}
        assert server.http.post("/auth/token", data={"username": CANARY, "password": token}).json()["access_token"] == token
        assert server.http.get("/info/", headers=bearer(token)).status_code == 200
        assert server.http.get("/info/", headers=bearer(issuer.token())).json()["code"] == "forbidden"
        assert server.http.get("/info/", headers=bearer(issuer.token(exp=1))).json()["code"] == "unauthenticated"
        assert server.http.get("/info/", headers=bearer("a" * 20_000)).status_code == 401
        issuer.stop()
        assert server.http.get("/info/", headers=bearer(token)).status_code == 200
        assert "issuer" not in server.http.get("/headct/health").text
    finally:
        server.stop()
        server.http.close()
    log = server.log.read_text()
    assert CANARY not in log
    assert token.rpartition(".")[2] not in log


@pytest.mark.slow
def test_an_issuer_that_is_down_answers_503_until_it_is_back(tmp_path):
    issuer = Issuer()
    issuer.stop()
    (tmp_path / "studies").mkdir()
    oidc = json.dumps({"issuer": issuer.url, "audience": "headct"})
    server = Server(tmp_path / "studies", tmp_path / "log.txt", auth="oidc", oidc=oidc, models="demo")
    try:
        server.start()
        answer = server.http.get("/info/", headers=bearer(issuer.token()))
        assert (answer.status_code, answer.json()["code"]) == (503, "issuer_unreachable")
        assert "retry-after" in answer.headers
        assert server.http.get("/headct/health").status_code == 200
        issuer.start()
        deadline = time.monotonic() + 15
        while server.http.get("/info/", headers=bearer(issuer.token())).status_code == 503:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert server.http.get("/info/", headers=bearer(issuer.token())).status_code == 200
    finally:
        server.stop()
        server.http.close()
        issuer.stop()
