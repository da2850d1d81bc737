"""Volumes that come and go over the network: PUT /session/, GET /session/{id}, PUT and GET /datastore/image.

MONAI Label's own handlers unpack archives that lead out of their folder, let the client choose file names, and hold a
thread for as long as a client takes.
"""

import uuid
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.responses import FileResponse

from headct_molre.errors import InvalidRequest, NotFound
from lib.checks import checked_info, checked_study, study_suffix
from lib.gate import checked_upload
from lib.incoming import check_volume, write_upload
from lib.instance import headct_app, json_object

router = APIRouter()


@router.put("/session/", tags=["Session"], summary="Upload a volume, or the files of a DICOM series, for a while")
def create_session(files: Annotated[list[UploadFile], File()], expiry: int = 0, uncompress: bool = False) -> dict:
    """{session_id, session_info}; one file is a volume or a zipped series, several are one DICOM series. What cannot be read is refused."""
    # MONAI Label's clients zip a series and ask for this; a zip is read as it is, whether they ask or not.
    if uncompress and (len(files) != 1 or study_suffix(checked_upload(files[0].filename)) != ".zip"):
        raise InvalidRequest("unsupported_archive", "Only a .zip is unpacked; send one, or the files of the series.", field="uncompress")
    if not 0 <= expiry <= 86_400:
        raise InvalidRequest("invalid_expiry", "expiry is 0 to 86400 seconds.", field="expiry")
    sessions = headct_app().sessions()
    with headct_app().datastore().incoming() as folder:
        if len(files) == 1:
            volume = save_upload(files[0], Path(folder))
        else:
            volume = Path(folder) / "series"
            volume.mkdir()
            for number, file in enumerate(files):
                write_upload(file.file, volume / f"{number:05d}.dcm")
        check_volume(volume)
        session_id = str(uuid.uuid4())
        try:
            _, info = sessions.add_session(str(volume), expiry, session_id=session_id)
        except BaseException:
            sessions.remove_session(session_id)
            raise
    return {"session_id": session_id, "session_info": info.to_json()}


@router.get("/session/{session_id}", tags=["Session"], summary="A session, or its volume", response_model=None)
def session(session_id: str, update_ts: bool = False, image: bool = False) -> dict | FileResponse:
    """session_info, or with `image` the volume file; `update_ts` puts off the end of the session."""
    found = headct_app().session(session_id, update_ts)
    return _volume_file(Path(found.image)) if image else found.to_json()


# The older path is the one that MONAI Label's own client still uses.
@router.put("/datastore/", include_in_schema=False)
@router.put("/datastore/image", tags=["Datastore"], summary="Add a study")
def add_image(file: Annotated[UploadFile, File()], image: str = "", params: Annotated[str, Form()] = "{}") -> dict:
    """{image: id}; without an id the file's name gives it. A volume that cannot be read is refused and leaves nothing behind."""
    name = checked_upload(file.filename)
    study, info = checked_study(image or name[: -len(study_suffix(name))]), checked_info(json_object(params, "params"))
    datastore = headct_app().datastore()
    with datastore.incoming() as folder:
        return {"image": datastore.add_image(study, str(save_upload(file, Path(folder))), info)}


@router.get("/datastore/image", tags=["Datastore"], summary="Download a study")
def image(image: str) -> FileResponse:
    """The volume file; a DICOM folder has none."""
    return _volume_file(Path(headct_app().datastore().get_image_uri(image)))


def save_upload(file: UploadFile, folder: Path) -> Path:
    """Writes an uploaded file as `volume` with its own suffix. Raises InvalidRequest `unsupported_format`."""
    path = folder / f"volume{study_suffix(checked_upload(file.filename))}"
    write_upload(file.file, path)
    return path


def _volume_file(path: Path) -> FileResponse:
    if path.is_dir():
        raise NotFound("no_single_file", "This study is a folder of DICOM files; it is not sent as one file.", field="image")
    return FileResponse(path, media_type="application/octet-stream", filename=path.name)
