"""MONAI Label's own command line, without its forty lines of settings at start."""

import logging
import os
import signal

if __name__ == "__main__":
    from monailabel.main import Main  # here: the processes that prepare volumes load this file too, and need none of it

    # uvicorn raises the signal that stopped it once more, when all is done; a stop that was asked for is a success. Python's own end would
    # wait for processes that prepare volumes, and may crash under an inference that was handed back and still runs in its thread.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    Main(loglevel=logging.WARNING, actions=("start_server",)).run()
