"""The real application on a clinic with a course, as a program of its own: python api_program.py DATABASE FOLDER.

It prints what a stranger needs to try everything: a token of every clinical role, a signature and the ids of each kind.
Its log is in log.txt of the folder.
A signature holds for a day here, so that what asks for one is tried too.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

import uvicorn
from tests.integration import care
from tests.integration.apis import ENDLESS, token
from tests.integration.desks import at_work, desk
from tests.integration.stores import new_store

from afterglow import logs
from afterglow.clinic import Role
from afterglow.usecases import measures, passes, people, signing, work
from afterglow.usecases.login import open_token
from afterglow.usecases.passes import Purpose
from afterglow.usecases.work import SIGN_WITHIN, STAFF
from afterglow.web.serving import make_app


def main(url: str, folder: Path) -> None:
    """Serve until killed."""
    store = at_work(new_store(url, folder))
    care.open_clinic(store)
    patient, course = care.in_induction(store)
    session = care.book(store, course)
    care.vial(store)
    measures.record(desk(store, Role.NURSE), patient, "PHQ-9", answers=[2, 2, 3, 2, 2, 2, 2, 2, 2])
    alert = measures.list_alerts(desk(store, Role.NURSE)).shown[0].id
    link = passes.issue_link(desk(store, Role.NURSE), patient, Purpose.CHECK_IN).id
    held = token(store, *STAFF)
    actor = open_token(store, held)
    people.add_person(desk(store, Role.ADMINISTRATOR), "drew", name="Drew", roles=STAFF)
    assert actor.through is not None
    second = int(store.clock().timestamp())
    mark = signing._mark(store, "north", actor.through, "drew", second)
    with store.write("north", by="program") as tx:
        from afterglow.store.logins import Credentials, save_credentials  # noqa: PLC0415

        save_credentials(tx, "drew", Credentials(password="none", totp="none"), version=0)
        tx.event("login.set_up", subject="drew")
    assert timedelta(minutes=5) == SIGN_WITHIN
    work.SIGN_WITHIN = timedelta(days=1)
    known = {
        "header.Authorization": f"Bearer {held}",
        "header.Afterglow-Signature": f"drew~{second}~{mark}",
        "path.patient_id": patient,
        "path.course_id": course,
        "path.session_id": session,
        "path.booking_id": session,
        "path.alert_id": alert,
        "path.pass_id": link,
        "path.container_id": "v1",
    }
    logs.start((folder / "log.txt").open("w", encoding="utf-8", buffering=1))
    server = uvicorn.Server(uvicorn.Config(make_app(store, ENDLESS), port=0, log_level="warning", access_log=False))
    startup = server.startup

    async def told(sockets: list[object] | None = None) -> None:
        await startup(sockets)  # type: ignore[arg-type]
        port = server.servers[0].sockets[0].getsockname()[1]
        print(json.dumps({"address": f"http://127.0.0.1:{port}", "known": known}), flush=True)  # noqa: T201

    server.startup = told  # type: ignore[method-assign,assignment]
    server.run()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
