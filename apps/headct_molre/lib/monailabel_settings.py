"""MONAI Label's settings and ours brought together, whichever of the two started the server."""

import os
from pathlib import Path

from monailabel.config import Settings, settings

from headct_molre.serve import monailabel_settings, settled
from headct_molre.server.config import ServerConfig, server_config, was_handed_over


def settle() -> ServerConfig:
    """The configuration. `monailabel start_server` names the studies folder and the port itself, and leaves the rest to us."""
    if was_handed_over():
        return server_config()
    own = {"studies": Path(settings.MONAI_LABEL_STUDIES), "port": settings.MONAI_LABEL_SERVER_PORT}
    config = settled(server_config().model_copy(update=own))
    fixed = monailabel_settings(config)
    os.environ.update(fixed | config.environment())
    for name, value in Settings().model_dump(include=set(fixed)).items():
        setattr(settings, name, value)
    return config
