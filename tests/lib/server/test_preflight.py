"""What stops a server before anything heavy starts, each with one clear line."""

import os
import socket
import sqlite3

import pytest

from certificates import self_signed
from headct_molre.cli import main
from headct_molre.errors import HeadCTError
from headct_molre.server.config import ServerConfig
from headct_molre.server.listening import bound_sockets, close
from headct_molre.server.preflight import check_before_start
from server_process import free_port


@pytest.fixture
def port():
    return free_port()


def refusal(config):
    with pytest.raises(HeadCTError) as refused:
        check_before_start(config)
    return refused.value


def test_a_server_that_can_start_leaves_its_port_free_and_its_store_migrated(tmp_path, port):
    check_before_start(ServerConfig(studies=tmp_path / "new" / "studies", port=port))
    store = sqlite3.connect(tmp_path / "new" / "studies" / ".headct" / "store.sqlite")
    assert store.execute("SELECT count(*) FROM submissions").fetchone() == (0,)
    close(bound_sockets(ServerConfig(port=port)))


def test_a_taken_port_is_named(tmp_path, port, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        assert refusal(ServerConfig(studies=tmp_path, port=port)).code == "port_taken"
        assert main(["serve", "--studies", str(tmp_path), "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"headct-molre: Port {port} on 127.0.0.1 is taken by another program: stop it, or choose another --port. [port_taken]\n"
    )


def test_both_loopback_addresses_are_bound_at_once(port):
    sockets = bound_sockets(ServerConfig(host="127.0.0.1,::1", port=port))
    families = [each.family for each in sockets]
    # By its protocol asyncio knows that it may send small answers at once.
    assert all(each.proto == socket.IPPROTO_TCP for each in sockets)
    close(sockets)
    assert families == [socket.AF_INET, socket.AF_INET6]


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid", "[::1]", "a..b"])
def test_an_address_that_is_not_here_is_refused(tmp_path, port, host):
    assert refusal(ServerConfig(studies=tmp_path, host=host, port=port, auth="tokens")).code == "address_unavailable"


def test_a_file_in_the_place_of_the_studies_folder_is_refused(tmp_path, port):
    (tmp_path / "studies").write_bytes(b"")
    error = refusal(ServerConfig(studies=tmp_path / "studies", port=port))
    assert (error.code, error.field) == ("folder_not_writable", "studies")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_refused(tmp_path, port):
    tmp_path.chmod(0o500)
    assert refusal(ServerConfig(studies=tmp_path / "studies", port=port)).code == "folder_not_writable"


def test_a_certificate_and_its_key_are_taken_and_others_refused(tmp_path, port):
    certificate, key = self_signed(tmp_path)
    config = ServerConfig(studies=tmp_path / "studies", port=port, tls_certificate=certificate, tls_key=key)
    check_before_start(config)
    (tmp_path / "other").mkdir()
    _, foreign = self_signed(tmp_path / "other")
    for changes in ({"tls_key": foreign}, {"tls_key": tmp_path / "missing.pem"}, {"tls_certificate": key}, {"tls_certificate": tmp_path}):
        assert refusal(config.model_copy(update=changes)).code == "tls_unusable"
    locked = tmp_path / "locked.pem"
    self_signed(tmp_path, passphrase=b"geheim")[1].rename(locked)
    assert refusal(config.model_copy(update={"tls_key": locked})).code == "tls_unusable"


def test_a_store_that_does_not_work_is_refused(tmp_path, port):
    (tmp_path / "no.sqlite").write_bytes(b"no database" * 100)
    config = ServerConfig(studies=tmp_path / "studies", port=port, store=f"sqlite:///{tmp_path}/no.sqlite")
    assert refusal(config).code == "store_damaged"
    assert refusal(config.model_copy(update={"store": f"postgresql://127.0.0.1:{port}/x"})).code == "store_unreachable"
    assert refusal(config.model_copy(update={"store": "mysql://x/y"})).code == "invalid_store_url"
