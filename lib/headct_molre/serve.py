"""Starts the MONAI Label server with our app: the function behind `headct-molre serve`."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from .errors import InvalidRequest, NotFound
from .models.backbones import backbone_names
from .server.config import ServerConfig
from .server.preflight import check_before_start

DEMO_STUDIES = 4


def serve(config: ServerConfig, demo_studies: bool = False, app_dir: Path | None = None) -> int:
    """Replaces this process by the server; returns only by raising HeadCTError, before anything heavy is loaded.

    `demo_studies` puts phantom studies into an empty folder.
    """
    config = settled(config)
    app = find_app(app_dir)
    if find_spec("monailabel") is None:
        raise InvalidRequest("monailabel_missing", "The server needs MONAI Label: run make install in the repository.")
    check_before_start(config)
    if demo_studies and lacks_studies(config.studies):
        from .data.phantom import write_cohort

        print(f"Making {DEMO_STUDIES} synthetic studies in {config.studies}", flush=True)
        write_cohort(config.studies, DEMO_STUDIES, seed=0)
    command = start_command(app)
    print(
        f"Head CT MoLRE starts on {', '.join(addresses(config))} with {', '.join(config.models)} (research software, not a medical device)",
        flush=True,
    )
    os.execve(command[0], command, environment(app, config))


def settled(config: ServerConfig) -> ServerConfig:
    """The configuration with whole paths and the names of all models. Raises NotFound `unknown_model`."""
    models = tuple(backbone_names()) if config.models in ((), ("all",)) else config.models
    for name in models:
        if name not in backbone_names():
            raise NotFound("unknown_model", f"There is no model {name!r}; there are {', '.join(backbone_names())}.", field="models")
    whole = {name: path.absolute() for name in ("tls_certificate", "tls_key") if (path := getattr(config, name)) is not None}
    return config.model_copy(update={"models": models, "studies": config.studies.resolve(), **whole})


def addresses(config: ServerConfig) -> list[str]:
    """Where the server is reached."""
    scheme = "http" if config.tls_certificate is None else "https"
    return [f"{scheme}://[{host}]:{config.port}" if ":" in host else f"{scheme}://{host}:{config.port}" for host in config.hosts]


def lacks_studies(folder: Path) -> bool:
    """Whether a folder holds nothing but some of the demo studies, without their labels, which are written last.

    Then it is empty, or the start that was filling it was killed.
    """
    demo = {f"phantom-{number:04d}.nii.gz" for number in range(1, DEMO_STUDIES + 1)}
    return all(path.name.startswith(".") or path.name in demo for path in folder.iterdir())


def find_app(app_dir: Path | None = None) -> Path:
    """The folder of the MONAI Label app: the argument, HEADCT_MOLRE_APP, or the checkout's. Raises NotFound."""
    named = app_dir or os.environ.get("HEADCT_MOLRE_APP")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "apps" / "headct_molre"
    if not (folder / "main.py").is_file():
        raise NotFound("app_missing", f"There is no MONAI Label app in {folder}; set HEADCT_MOLRE_APP to its folder.", field="app")
    return folder.resolve()


def start_command(app: Path) -> list[str]:
    """The command line of the server, which finds all that it needs in its environment."""
    return [sys.executable, str(app / "start.py")]


def environment(app: Path, config: ServerConfig) -> dict[str, str]:
    """The environment of the server and of the processes that it starts."""
    inherited = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    fixed = {
        # The bootstrap comes first: its sitecustomize must be the one that Python finds. The app's `lib` is next.
        "PYTHONPATH": os.pathsep.join([str(app / "bootstrap"), str(app), *inherited]),
        "PYTHONSAFEPATH": "1",  # a folder `lib` where the server is started must not hide the app's
        "MONAI_LABEL_APP_DIR": str(app),
        "MONAI_LABEL_STUDIES": str(config.studies),
        "MONAI_LABEL_SERVER_PORT": str(config.port),
    }
    return {**os.environ, **fixed, **monailabel_settings(config), **config.environment()}


def monailabel_settings(config: ServerConfig) -> dict[str, str]:
    """Settings of MONAI Label whose defaults are unsafe or slow here, as it reads them from the environment."""
    return {
        "MONAI_LABEL_RELOAD_APP_LIB": "false",  # `lib` would be loaded twice: by the server and by the app
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
        "MONAI_LABEL_TASKS_BATCH_INFER": "false",
        "MONAI_LABEL_TRACKING_ENABLED": "false",
        "MONAI_LABEL_SESSION_PATH": str(config.private_folder / "sessions"),  # the default is shared by all servers of a user
    }
