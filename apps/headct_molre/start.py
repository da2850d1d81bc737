"""MONAI Label's own command line, without its forty lines of settings at start."""

import logging
import signal
import sys

if __name__ == "__main__":
    from monailabel.main import Main  # here: the processes that prepare volumes load this file too, and need none of it

    # uvicorn ends by the signal that stopped it; a stop that was asked for is a success.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Main(loglevel=logging.WARNING, actions=("start_server",)).run()
