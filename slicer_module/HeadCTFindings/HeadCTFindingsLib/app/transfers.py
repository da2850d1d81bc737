"""Images to the server and from it, inside a worker's thread: packing, temporary files and all."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..core.client import Client
from ..core.errors import ServerError
from ..core.worker import Ticket
from .volume_file import VolumeData, from_nrrd, study_id_of, to_nrrd


def fetch_volume(client: Client, study: str, ticket: Ticket) -> VolumeData:
    """The images of a study, whatever their format on the server. Raises what the Client raises."""
    with tempfile.TemporaryDirectory(prefix="headct-") as folder:
        file = client.http.download(f"/headct/studies/{study}/volume", {}, Path(folder) / "study.nrrd", ticket)
        return from_nrrd(file.read_bytes(), ticket)


def fetch_heat_map(client: Client, study: str, finding: str, model: str, request_id: str, ticket: Ticket) -> VolumeData:
    """Where a model looked for a finding, on the grid of the study's images, with its remarks. Raises what the Client raises."""
    with tempfile.TemporaryDirectory(prefix="headct-") as folder:
        file = client.heat_map(study, finding, model, Path(folder) / "map.nrrd", ticket, request_id)
        return from_nrrd(file.read_bytes(), ticket)


def send_volume(client: Client, volume: VolumeData, ticket: Ticket) -> str:
    """Makes a volume a study of the server and returns its id; what is there is not sent twice. Raises what the Client raises."""
    study = study_id_of(volume)
    try:
        client.study(study, ticket)
        return study
    except ServerError as error:
        if error.status != 404:
            raise
    with tempfile.TemporaryDirectory(prefix="headct-") as folder:
        file = Path(folder) / "study.nrrd"
        file.write_bytes(to_nrrd(volume))
        ticket.check()
        try:
            return client.upload_study(study, file, ticket)
        except ServerError as error:
            if error.code != "study_exists":  # the content gives the id: it is this very volume
                raise
            return study
