"""What must hold before a server starts: found out in a moment, not after the models are loaded."""

from __future__ import annotations

import ssl
import tempfile
from pathlib import Path

from ..data.store import StudyStore
from ..errors import InvalidRequest
from .config import ServerConfig
from .listening import bound_sockets, close


def check_before_start(config: ServerConfig) -> None:
    """Raises HeadCTError for an address that is taken, folders that are not writable, TLS files or a store that do not work.

    Makes the studies folder and brings the store to the newest schema.
    """
    close(bound_sockets(config))
    for folder in (config.studies, config.private_folder):
        check_writable(folder)
    if config.tls_certificate is not None and config.tls_key is not None:
        check_tls(config.tls_certificate, config.tls_key)
    StudyStore(config.store_url, config.readers_per_study).close()


def check_writable(folder: Path) -> None:
    """Makes a folder where there is none, and a file in it. Raises InvalidRequest `folder_not_writable`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        message = f"The server cannot write into {folder}: {error.strerror}. Give its user the rights, or name another folder."
        raise InvalidRequest("folder_not_writable", message, field="studies") from None


def check_tls(certificate: Path, key: Path) -> None:
    """Raises InvalidRequest `tls_unusable` where the files cannot be read or do not belong together."""
    for setting, path in (("tls_certificate", certificate), ("tls_key", key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise InvalidRequest("tls_unusable", f"{path} cannot be read: {error.strerror}.", field=setting) from None
    try:
        # An empty passphrase in place of the prompt that would wait for a person.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, ValueError):
        message = f"{certificate} and {key} are no certificate with its key: both PEM, the key without a passphrase."
        raise InvalidRequest("tls_unusable", message, field="tls_certificate") from None
