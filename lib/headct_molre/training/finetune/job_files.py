"""The files of a fine-tune's folder, through which the server and the process that trains speak to each other."""

from __future__ import annotations

TASK = "task.json"  # what to do, written by the server before it starts the process
PROGRESS = "progress.json"  # where it stands, replaced whole
LOG = "log.txt"  # standard output and standard error of the process
RESULT = "result.json"  # the version that was made, and what the gate said
ERROR = "error.json"  # why there is none: {code, message, field?}
CHECKPOINT = "checkpoint.safetensors"  # what a process that is started again takes up
CHOICE = "choice.safetensors"  # likewise, the strength that was chosen
INPUTS = "inputs.sha256"  # of what both of these come from

REFUSED, TERMINATED = 2, 143  # exit codes beside 0
