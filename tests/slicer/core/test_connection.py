"""Test connection: which step failed, and what to do; against the real server and against other programs that answer."""

import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from certificates import self_signed
from HeadCTFindingsLib.core import transport
from HeadCTFindingsLib.core.client import Client
from HeadCTFindingsLib.core.connection import STEPS, ModelState, Status, check_connection, normalised
from HeadCTFindingsLib.core.consent import Consents, question
from HeadCTFindingsLib.core.errors import Cancelled, NotReadable, Unreachable, passing, sentence
from server_process import free_port


@pytest.mark.parametrize(
    ("typed", "base"),
    [
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("  http://localhost/ ", "http://localhost:8000"),
        ("http://0.0.0.0:8010", "http://127.0.0.1:8010"),
        ("http://[::]:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("https://CT.Hospital.example", "https://ct.hospital.example:443"),
        ("https://hospital.example/headct/", "https://hospital.example:443/headct"),
    ],
)
def test_addresses_as_people_type_them(typed, base):
    assert normalised(typed).base == base


@pytest.mark.parametrize(
    "typed", ["", "  ", "http://", "ftp://host", "http://host:port", "http://host:99999", "http://a b", "http://u@host", "http://h?x=1"]
)
def test_what_is_no_address_is_said_so_with_an_example(typed):
    with pytest.raises(Unreachable) as failed:
        normalised(typed)
    assert failed.value.step == "address"
    assert "http://127.0.0.1:8000" in failed.value.remedy


def failed_step(address, token="", certificate=""):
    with pytest.raises(Unreachable) as failed:
        check_connection(Client(address, token, certificate))
    assert failed.value.step in STEPS
    assert failed.value.message
    return failed.value


def test_the_server_tells_what_it_is(address, token_of):
    status = check_connection(Client(address, token_of("anna", "trainer")))
    assert status.reader == "anna"
    assert status.may_train
    assert (status.level, status.health) == ("good", "ready")
    assert [model.name for model in status.models] == ["demo"]
    assert "random" in status.strategies
    text = "\n".join(status.lines)
    assert "CPU" in text
    assert "demo 2.0 · DEMO" in text
    assert "Reader: anna (trainer)" in text
    assert not check_connection(Client(address, token_of("anna"))).may_train


def test_a_token_is_asked_for_and_a_wrong_one_is_named(address):
    assert "asks for a token" in failed_step(address).message
    wrong = failed_step(address, "hct_aaaaaaaaaaaa_wrong")
    assert (wrong.step, "does not take" in wrong.message) == ("token", True)


def test_nobody_listens():
    refused = failed_step(f"http://127.0.0.1:{free_port()}")
    assert refused.step == "refused"
    assert "Start it" in refused.remedy
    assert passing(refused)


def test_there_is_no_such_computer():
    assert failed_step("http://no-such-computer.invalid").step == "name"


def test_a_server_that_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = Client(f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(Unreachable) as failed:
            client.http.json("GET", "/", answer_s=0.2)
    assert failed.value.step == "timeout"


def test_a_question_that_hangs_is_cut_off_at_once():
    from HeadCTFindingsLib.core.worker import Worker

    with socket.create_server(("127.0.0.1", 0)) as silent:
        client, worker, ended = Client(f"http://127.0.0.1:{silent.getsockname()[1]}"), Worker(), []

        def work(ticket):
            try:
                client.about(ticket)
            except Cancelled:
                ended.append("cancelled")
                raise

        ticket = worker.submit(work)
        connection, _ = silent.accept()
        connection.recv(1000)  # the whole question has come
        started = time.monotonic()
        ticket.cancel()
        assert worker.stop(5.0)
        assert time.monotonic() - started < 2.0
        assert ended == ["cancelled"]
        connection.close()


def test_https_where_there_is_none_and_http_where_there_is(address, tls):
    assert failed_step(address.replace("http:", "https:")).step == "tls"
    plain = failed_step(tls[0].replace("https:", "http:"))
    assert plain.step == "http"
    assert "https://" in plain.remedy


def test_a_certificate_of_an_unknown_authority_is_named_and_its_file_helps(tls):
    base, certificate = tls
    unknown = failed_step(base)
    assert unknown.step == "tls"
    assert "authority" in unknown.remedy
    assert failed_step(base, certificate=str(certificate)).step == "app"  # it gets through, to another program
    assert failed_step(base, certificate="no such file").step == "tls"


@pytest.fixture
def other_program():
    """Starts a program that answers every question alike, as proxies and other servers do."""
    servers = []

    def start(status=200, body=b"<html>Hello</html>", headers=()):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def tls(other_program, tmp_path):
    """A program behind TLS with a certificate of its own: (address, certificate)."""
    certificate, key = self_signed(tmp_path)
    server = other_program()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return f"https://127.0.0.1:{server.server_port}", certificate


OURS = b'{"name": "Head CT MoLRE", "version": "%s"}'


@pytest.mark.parametrize(
    ("answer", "step", "said"),
    [
        ({}, "app", "no Head CT MoLRE server"),
        ({"body": b'{"name": "MONAILabel"}'}, "app", "no Head CT MoLRE server"),
        ({"body": b"[1]"}, "app", "no Head CT MoLRE server"),
        ({"status": 404}, "app", "Another program"),
        ({"status": 502}, "http", "it may be stopped"),
        ({"status": 401}, "http", "login of its own"),
        ({"status": 301, "headers": [("Location", "https://ct.example/")]}, "http", "https://ct.example/"),
        ({"status": 503, "body": b'{"code": "stopping", "message": "Stops."}', "headers": [("Retry-After", "5")]}, "http", "in a moment"),
        ({"status": 403, "body": b'{"code": "unknown_host", "message": "Add it to names."}'}, "http", "Add it to names"),
        ({"body": OURS % b"0.0.9"}, "version", "update the server"),
        ({"body": OURS % b""}, "version", "unknown"),
    ],
)
def test_other_programs_and_proxies_are_told_apart(other_program, answer, step, said):
    failed = failed_step(f"http://127.0.0.1:{other_program(**answer).server_port}")
    assert failed.step == step
    assert said in sentence(failed)


def test_a_server_of_ours_with_answers_of_another_time_is_an_error_of_its_own(other_program):
    failed = failed_step(f"http://127.0.0.1:{other_program(body=OURS % b'0.1.0').server_port}")
    assert failed.step == "http"


def test_an_endless_answer_is_not_read_to_its_end(other_program, monkeypatch):
    monkeypatch.setattr(transport, "_MOST_BYTES", 10)
    assert failed_step(f"http://127.0.0.1:{other_program().server_port}").step == "app"


def test_a_network_that_leads_nowhere_is_said_so():
    failed = Client("http://ct.example").http.unreachable(OSError(113, "No route to host"))
    assert failed.step == "refused"
    assert "No route to host" in sentence(failed)


def test_answers_that_do_not_fit_are_refused_by_name(other_program):
    client = Client(f"http://127.0.0.1:{other_program(body=b'[1]').server_port}")
    with pytest.raises(NotReadable, match="list of objects"):
        client.findings()
    with pytest.raises(NotReadable, match="findings"):
        client.label("study-1")


def test_a_download_that_breaks_off_leaves_no_file(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as breaking:
        client = Client(f"http://127.0.0.1:{breaking.getsockname()[1]}")

        def answer():
            connection, _ = breaking.accept()
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unreachable, match="whole answer"):
            client.download_study("study-1", tmp_path / "study-1.nii.gz")
        thread.join()
    assert list(tmp_path.iterdir()) == []


def status(**changes):
    model = ModelState("demo", "2.0", True, True, "")
    given = {
        "address": normalised("http://ct.example"),
        "version": "0.1.0",
        "health": "ready",
        "reasons": (),
        "devices": ("cuda:0",),
        "running": 1,
        "waiting": 2,
        "expected_wait_s": 12.0,
        "models": (model,),
        "strategies": ("random",),
        "auth": False,
        "reader": "",
        "roles": (),
    }
    return Status(**{**given, **changes})


def test_the_dot_and_the_lines_beside_it():
    assert status().level == "good"
    assert status(health="degraded", reasons=("Little disk.",)).level == "warning"
    assert status(health="unavailable").level == "bad"
    lines = status(reasons=("Little disk.",)).lines
    assert "Computes on GPU cuda:0" in lines
    assert "Queue: 1 running, 2 waiting, about 12 s to wait" in lines
    assert "Reader: no login asked for" in lines
    assert lines[-1] == "Little disk."
    absent = ModelState("dinov3_base", "", False, False, "No weights.")
    assert absent.title == "dinov3_base (not available)"
    assert status(models=(absent,)).level == "warning"
    assert "Models: none can be used" in status(models=(absent,)).lines


def test_consent_is_asked_for_once_for_each_server():
    here, there = normalised("http://127.0.0.1:8000"), normalised("http://ct.example")
    consents = Consents()
    assert consents.needed(here)
    consents.give(here, "anna")
    assert not consents.needed(here)
    again = Consents(consents.to_text())
    assert (again.needed(here), again.needed(there)) == (False, True)
    again.withdraw(here)
    assert again.needed(here)
    assert Consents("damaged").needed(here)
    assert Consents("[1]").needed(here)


def test_the_question_says_what_goes_where():
    here, there = normalised("http://127.0.0.1:8000"), normalised("http://ct.example")
    assert "a server on this computer" in question(here, "The volume")
    assert "http://ct.example:8000" in question(there, "The volume")
    assert "not encrypted" in question(there, "The volume")
    assert "not encrypted" not in question(normalised("https://ct.example"), "The volume")
    assert not there.local
    assert normalised("localhost").local
