"""Files of a chart: added from the chart's page, given out under names that say nothing of anybody."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse
from starlette.datastructures import UploadFile

from afterglow.errors import AfterglowError, MissingValue, NotFound
from afterglow.usecases.papers import add_file, read_file
from afterglow.web.chart import chart_response
from afterglow.web.pages import PageRoute, check_role, desk_of, store_of
from afterglow.web.typed import LARGEST_FORM

_SUFFIXES = {"application/pdf": "pdf", "image/png": "png", "image/jpeg": "jpg", "text/plain": "txt"}
_MB = 1_000_000


class FileRoute(PageRoute):
    """A route whose form brings a file."""

    def largest(self, request: Request) -> int:
        """As the store's limit of a file, with what stands around it."""
        return int(store_of(request).attachment_limit_mb * _MB) + LARGEST_FORM


router = APIRouter(route_class=FileRoute, prefix="/patients")


@router.post("/{patient_id}/files")
async def keep(request: Request, patient_id: str) -> Response:
    """Add a file to the chart; a refusal comes back on the chart."""
    upload = (await request.form()).get("file")
    content = await upload.read() if isinstance(upload, UploadFile) else b""
    name = (upload.filename or "") if isinstance(upload, UploadFile) else ""
    kind = (upload.content_type or "") if isinstance(upload, UploadFile) else ""
    return await run_in_threadpool(_keep, request, patient_id, content, name, kind)


@router.get("/{patient_id}/files/{file_id}")
def give(request: Request, patient_id: str, file_id: str) -> Response:
    """A file with its content, to be saved; its name stays in the chart."""
    found = read_file(desk_of(request), patient_id, file_id).shown
    if found.content is None:
        raise NotFound("The patient was erased; the file can be read no more")
    called = f'attachment; filename="file-{found.id[-8:]}.{_SUFFIXES[found.media_type]}"'
    return Response(found.content, 200, {"Content-Disposition": called}, found.media_type)


def _keep(request: Request, patient_id: str, content: bytes, name: str, kind: str) -> Response:
    desk = desk_of(request)
    check_role(desk, "chart.read")  # the form stands there, and its refusals come back there
    try:
        if not name:
            raise MissingValue("No file was chosen", next_step="Choose one", about="file")
        add_file(desk, patient_id, content, name=name, media_type=kind.partition(";")[0].strip())
    except AfterglowError as refused:
        return chart_response(request, desk, patient_id, refused=refused, typed={"file": ""})
    return RedirectResponse(f"/patients/{patient_id}#files", status_code=303)
