"""Reads studies, each in a process of its own, and says what came of it: started by test_hostile.py.

One path a line on standard input; one JSON object a line on standard output: {code, message, seconds, megabytes}. The
seconds are those of computing, since on a busy machine a process may wait for longer; the megabytes are the peak of the process,
or of a decoder that it started.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

from headct_molre.errors import HeadCTError
from headct_molre.imaging.content import content_sha256
from headct_molre.imaging.read import read_study


def read(path: Path) -> dict[str, object]:
    """The outcome of hashing and reading one study."""
    try:
        content_sha256(path)
        read_study(path)
    except HeadCTError as error:
        return {"code": error.code, "message": error.message}
    except BaseException as error:
        return {"code": f"raised {type(error).__name__}", "message": str(error)}
    return {"code": "read", "message": ""}


for line in sys.stdin:
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        outcome = read(Path(json.loads(line)))
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        os.write(sender, json.dumps({**outcome, "megabytes": peak / 1024}).encode())
        os._exit(0)
    os.close(sender)
    usage = os.wait4(child, 0)[2]
    answer = os.read(receiver, 65_536)
    os.close(receiver)
    outcome = json.loads(answer) if answer else {"code": "died", "message": "", "megabytes": 0.0}
    sys.stdout.write(json.dumps({**outcome, "seconds": usage.ru_utime + usage.ru_stime}) + "\n")
    sys.stdout.flush()
