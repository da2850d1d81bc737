"""Where the settings of a server come from, which are refused, and how they reach the process that serves."""

import argparse
import json
import tomllib

import pytest

from headct_molre.errors import InvalidRequest
from headct_molre.server.config import ServerConfig, load_server_config, server_config
from headct_molre.server.settings import add_settings, as_toml, given_settings, option, shown_url, variable

OIDC = {"issuer": "https://login.example.org", "audience": "headct"}
# One value for each setting, as text and as it is read; those that depend on another come with it.
SET = {
    "studies": ("/srv/ct", "/srv/ct"),
    "host": ("::1", "::1"),
    "port": ("9001", 9001),
    "models": ("demo,dinov3_base", ["demo", "dinov3_base"]),
    "store": ("postgresql://db/headct", "postgresql://db/headct"),
    "auth": ("tokens", "tokens"),
    "names": ("ct.example.org", ["ct.example.org"]),
    "cors_origins": ("https://a.example, http://b.example:81", ["https://a.example", "http://b.example:81"]),
    "enabled_routes": ("docs", ["docs"]),
    "readers_per_study": ("2", 2),
    "random_share": ("0.2", 0.2),
    "lease_s": ("60", 60.0),
    "label_rule": ("majority", "majority"),
    "waiting_inferences": ("0", 0),
    "concurrent_requests": ("5", 5),
    "upload_mb": ("10", 10),
    "free_disk_mb": ("0", 0),
    "promotion": ("automatic", "automatic"),
    "gate": ('{"minimum_studies": 20, "alpha": 0.1}', {"minimum_studies": 20, "alpha": 0.1}),
    "train_memory_mb": ("4000", 4000),
    "train_threads": ("3", 3),
    "stop_s": ("1.5", 1.5),
    "scan_s": ("9", 9.0),
    "log": ("text", "text"),
}
TOGETHER = [
    {"tls_certificate": ("/c.pem", "/c.pem"), "tls_key": ("/k.pem", "/k.pem")},
    {"auth": ("oidc", "oidc"), "oidc": (json.dumps(OIDC), OIDC)},
]
GROUPS = [{name: value} for name, value in SET.items()] + TOGETHER


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_settings(parser.add_argument_group())
    return given_settings(parser.parse_args(arguments))


def plain(config, names):
    values = config.model_dump(mode="json")
    return {name: values[name] if name != "oidc" else {key: values[name][key] for key in OIDC} for name in names}


def test_every_setting_is_tried_here():
    assert {name for group in GROUPS for name in group} == set(ServerConfig.model_fields)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: "+".join(group))
def test_a_setting_is_read_from_option_environment_and_file_and_reaches_the_server(tmp_path, group):
    expected = {name: value for name, (_, value) in group.items()}
    options = [part for name, (text, _) in group.items() for part in (option(name), text)]
    by_option = load_server_config(parsed(*options), {})
    by_environment = load_server_config({}, {variable(name): text for name, (text, _) in group.items()})
    tables = [name for name, value in expected.items() if isinstance(value, dict)]
    lines = [f"{name} = {json.dumps(value)}" for name, value in expected.items() if name not in tables]
    for name in tables:
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in expected[name].items())]
    (tmp_path / "server.toml").write_text("\n".join(lines))
    by_file = load_server_config({}, {}, tmp_path / "server.toml")
    assert by_option == by_environment == by_file
    assert plain(by_option, expected) == expected
    assert server_config(by_option.environment()) == by_option


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path):
    (tmp_path / "server.toml").write_text("port = 1\nupload_mb = 1\nlease_s = 1.0")
    environ = {variable("port"): "2", variable("upload_mb"): "2"}
    config = load_server_config(parsed("--port", "3"), environ, tmp_path / "server.toml")
    assert (config.port, config.upload_mb, config.lease_s) == (3, 2, 1.0)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"port": "0"}, "port"),
        ({"port": "http"}, "port"),
        ({"host": "0.0.0.0"}, "host"),
        ({"host": "127.0.0.1,192.0.2.1"}, "host"),
        ({"host": "127.0.0.2"}, "host"),
        ({"host": ""}, "host"),
        ({"auth": "password"}, "auth"),
        ({"auth": "oidc"}, "oidc"),
        ({"oidc": "{"}, "oidc"),
        ({"oidc": '{"issuer": "https://x"}', "auth": "oidc"}, "oidc.audience"),
        ({"tls_key": "/k.pem"}, "tls_key"),
        ({"cors_origins": "*"}, "cors_origins"),
        ({"cors_origins": "null"}, "cors_origins"),
        ({"cors_origins": "https://a.example/"}, "cors_origins"),
        ({"cors_origins": "https://a.example/page"}, "cors_origins"),
        ({"enabled_routes": "model"}, "enabled_routes"),
        ({"enabled_routes": "reload"}, "enabled_routes"),
        ({"upload_mb": "0"}, "upload_mb"),
        ({"promotion": "never"}, "promotion"),
        ({"gate": "{"}, "gate"),
        ({"gate": '{"alpha": 2}'}, "gate"),
        ({"gate": '{"minimum_study": 2}'}, "gate"),
        ({"gate": '{"decision": "automatic"}'}, "gate"),
        ({"stop_s": "nan"}, "stop_s"),
        ({"lease_s": "inf"}, "lease_s"),
        ({"random_share": "0.05"}, "random_share"),
        ({"prot": "1"}, "prot"),
    ],
)
def test_a_bad_setting_is_refused_by_its_name(settings, named):
    with pytest.raises(InvalidRequest) as refused:
        load_server_config({}, {variable(name): text for name, text in settings.items()})
    assert refused.value.code == "invalid_setting"
    assert named in refused.value.message


@pytest.mark.parametrize("content", [b"port = ", b"prot = 1", b"\xff", b"[port]\nx = 1"])
def test_a_bad_file_is_refused(tmp_path, content):
    (tmp_path / "server.toml").write_bytes(content)
    with pytest.raises(InvalidRequest) as refused:
        load_server_config({}, {}, tmp_path / "server.toml")
    assert refused.value.code == "invalid_setting"


def test_the_former_name_of_the_store_is_not_ignored():
    """A server that ignored it would start with an empty store."""
    with pytest.raises(InvalidRequest, match="HEADCT_MOLRE_SERVER_STORE"):
        load_server_config({}, {"HEADCT_MOLRE_STORE": "sqlite:////srv/store.sqlite"})


@pytest.mark.parametrize("auth", [{"auth": "tokens"}, {"auth": "oidc", "oidc": OIDC}])
def test_with_authentication_other_addresses_are_fine(auth):
    assert load_server_config({"host": "0.0.0.0, ::", **auth}, {}).hosts == ("0.0.0.0", "::")


def test_a_password_is_neither_taken_from_the_command_line_nor_shown():
    url = "postgresql://anna:geheim@db/headct?sslpassword=geheim2"
    with pytest.raises(InvalidRequest) as refused:
        parsed("--store", url)
    assert refused.value.code == "secret_in_arguments"
    assert "geheim" not in refused.value.message
    shown = as_toml(ServerConfig(store=url))
    assert "geheim" not in shown
    assert "anna" in shown
    assert "geheim" not in shown_url("://anna:geheim@db")


def test_the_shown_configuration_is_a_file_that_says_the_same(tmp_path):
    config = load_server_config(
        {"auth": "oidc", "oidc": OIDC, "names": "ct.example.org", "store": "sqlite:////srv/x y.sqlite", "gate": {"alpha": 0.1}}, {}
    )
    (tmp_path / "server.toml").write_text(as_toml(config))
    assert tomllib.loads(as_toml(config))["store"] == "sqlite:////srv/x y.sqlite"
    assert load_server_config({}, {}, tmp_path / "server.toml") == config
