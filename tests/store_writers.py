"""Eight writers of one store who are to be killed: four processes of two threads, forked anew for each round.

Run as a program, it forks a round for each line {"url", "log"} on its standard input and prints the process group. It has imported
everything before, so that a kill meets writers at work and not Python starting. Each writer notes in the log what it tries, what was
acknowledged and what went wrong; a line that was written survives the writer.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import uuid

from headct_molre.data.store import StudyStore
from headct_molre.data.store.faults import StoreUnavailable
from headct_molre.schema import Submission

PROCESSES, THREADS = 4, 2


def sent_under(submission_id: str) -> Submission:
    """The submission of this id: of one of 5 readers on one of 7 studies."""
    number = uuid.UUID(submission_id).int
    document = {"submission_id": submission_id, "study": f"study-{number % 7}", "reader": f"reader-{number // 7 % 5}", "model": None}
    return Submission.model_validate(document | {"findings": {"hydrocephalus": "present"}, "comment": submission_id})


def main() -> None:
    """Serves rounds until the input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who was killed leaves no zombie
    for line in sys.stdin:
        order = json.loads(line)
        group = 0
        for _ in range(PROCESSES):
            process = os.fork()
            if process == 0:
                write(**order)
            group = group or process
            os.setpgid(process, group)
        print(group, flush=True)


def write(url: str, log: str) -> None:
    """Opens the store and lets the threads write, for ever."""
    lines = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    store = None
    while store is None:
        try:
            store = StudyStore(url)
        except StoreUnavailable as fault:
            os.write(lines, f"unavailable {fault.code}\n".encode())
        except BaseException as error:
            os.write(lines, f"error {error!r}\n".encode())
            os._exit(1)
    threads = [threading.Thread(target=submit, args=(store, lines)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os._exit(0)


def submit(store: StudyStore, lines: int) -> None:
    """Submits without a pause; a submission that was refused is sent again, as a reader would."""
    while True:
        submission_id = str(uuid.uuid4())
        os.write(lines, f"tried {submission_id}\n".encode())
        while True:
            try:
                store.submissions.add(sent_under(submission_id))
                break
            except StoreUnavailable as fault:
                os.write(lines, f"unavailable {fault.code}\n".encode())
            except BaseException as error:
                os.write(lines, f"error {error!r}\n".encode())
                raise
        os.write(lines, f"acknowledged {submission_id}\n".encode())


if __name__ == "__main__":
    main()
