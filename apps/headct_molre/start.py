"""Starts the server that `headct-molre serve` has checked: the log first, then the sockets, then everything heavy.

MONAI Label's own start calls uvicorn without a limit on anything; here it gets those of our configuration. What MONAI Label itself
wants to know is in the environment, where the processes that it starts find it too.
"""

import logging
import os
import signal
import sys


def main() -> int:
    """Runs until a signal; 2 when an address is taken."""
    # Here: the processes that prepare volumes load this file too, and need none of it.
    from headct_molre.errors import HeadCTError
    from headct_molre.server.config import server_config
    from headct_molre.server.listening import bound_sockets
    from lib.launch import server
    from lib.logs import configure_logs

    configure_logs()
    config = server_config()
    try:
        sockets = bound_sockets(config)
    except HeadCTError as error:
        logging.getLogger("headct_molre.server").critical("%s [%s]", error.message, error.code)
        return 2
    # uvicorn raises the signal that stopped it once more, when all is done; a stop that was asked for is a success. Python's own end would
    # wait for processes that prepare volumes, and may crash under an inference that was handed back and still runs in its thread.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(0))
    running = server(config)
    running.run(sockets)
    return 0 if running.started else 3


if __name__ == "__main__":
    sys.exit(main())
