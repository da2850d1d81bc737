"""Starts the MONAI Label server with our app: the function behind `headct-molre serve`."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from .data.store import sqlite_url
from .errors import InvalidRequest, NotFound
from .models.backbones import backbone_names

DEMO_STUDIES = 4


def serve(studies: Path, host: str, port: int, models: list[str], demo_studies: bool, app_dir: Path | None = None) -> int:
    """Replaces this process by the server; returns only by raising.

    `studies` is made when it is missing; `models` empty means all; `demo_studies` puts phantom studies into an empty
    folder. Raises InvalidRequest or NotFound before anything starts.
    """
    check_address(host, port)
    models = models or backbone_names()
    for name in models:
        if name not in backbone_names():
            raise NotFound("unknown_model", f"There is no model {name!r}; there are {', '.join(backbone_names())}.", field="models")
    app = find_app(app_dir)
    if find_spec("monailabel") is None:
        raise InvalidRequest("monailabel_missing", "The server needs MONAI Label: run make install in the repository.")
    studies.mkdir(parents=True, exist_ok=True)
    if demo_studies and lacks_studies(studies):
        from .data.phantom import write_cohort

        print(f"Making {DEMO_STUDIES} synthetic studies in {studies}", flush=True)
        write_cohort(studies, DEMO_STUDIES, seed=0)
    command = start_command(app, studies.resolve(), host, port, models)
    address = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    print(f"Head CT MoLRE starts on {address} with {', '.join(models)} (research software, not a medical device)", flush=True)
    os.execve(command[0], command, environment(app, studies.resolve()))


def lacks_studies(folder: Path) -> bool:
    """Whether a folder holds nothing but some of the demo studies, without their labels, which are written last.

    Then it is empty, or the start that was filling it was killed.
    """
    demo = {f"phantom-{number:04d}.nii.gz" for number in range(1, DEMO_STUDIES + 1)}
    return all(path.name.startswith(".") or path.name in demo for path in folder.iterdir())


def check_address(host: str, port: int) -> None:
    """Raises InvalidRequest for an address that other machines reach, or by which the server's gate is not called.

    The server has no authentication.
    """
    if host not in ("localhost", "127.0.0.1", "::1"):
        raise InvalidRequest(
            "host_not_local",
            f"The server has no authentication and listens on this machine only: use --host 127.0.0.1, not {host}.",
            field="host",
        )
    if not 0 < port < 65536:
        raise InvalidRequest("invalid_port", f"A port is a number from 1 to 65535, not {port}.", field="port")


def find_app(app_dir: Path | None = None) -> Path:
    """The folder of the MONAI Label app: the argument, HEADCT_MOLRE_APP, or the checkout's. Raises NotFound."""
    named = app_dir or os.environ.get("HEADCT_MOLRE_APP")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "apps" / "headct_molre"
    if not (folder / "main.py").is_file():
        raise NotFound("app_missing", f"There is no MONAI Label app in {folder}; set HEADCT_MOLRE_APP to its folder.", field="app")
    return folder.resolve()


def start_command(app: Path, studies: Path, host: str, port: int, models: list[str]) -> list[str]:
    """The command line of the server; `start.py` is MONAI Label's own start with less talk."""
    command = [sys.executable, str(app / "start.py"), "start_server", "--app", str(app), "--studies", str(studies)]
    command += ["--host", host, "--port", str(port), "--conf", "models", ",".join(models)]
    command += ["--uvicorn_app", "lib.server:app", "--log_config", str(app / "logging.json"), "--verbose", "WARNING"]
    return command


def environment(app: Path, studies: Path) -> dict[str, str]:
    """The environment of the server and of the training processes that MONAI Label starts from it.

    What the caller has set for our store stays; the rest is fixed, because MONAI Label's defaults are unsafe or slow.
    """
    private = studies / ".headct"
    inherited = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    fixed = {
        # The bootstrap comes first: its sitecustomize must be the one that Python finds. The app's `lib` is next.
        "PYTHONPATH": os.pathsep.join([str(app / "bootstrap"), str(app), *inherited]),
        "PYTHONSAFEPATH": "1",  # a folder `lib` where the server is started must not hide the app's
        "MONAI_LABEL_RELOAD_APP_LIB": "false",  # `lib` would be loaded twice: by the server and by the app
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
        "MONAI_LABEL_TASKS_BATCH_INFER": "false",
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        "MONAI_LABEL_SESSION_PATH": str(private / "sessions"),  # the default is shared by all servers of a user
    }
    store = os.environ.get("HEADCT_MOLRE_STORE") or sqlite_url(private / "store.sqlite")
    return {**os.environ, **fixed, "HEADCT_MOLRE_STORE": store}
