"""MONAI Label's own command line, without its forty lines of settings at start."""

import logging

from monailabel.main import Main

if __name__ == "__main__":
    Main(loglevel=logging.WARNING, actions=("start_server",)).run()
