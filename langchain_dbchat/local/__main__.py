"""``python -m langchain_dbchat.local``: serve a workspace from a terminal."""

from __future__ import annotations

import argparse
import sys

from langchain_dbchat.local.server.terminal import add_arguments, serve

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m langchain_dbchat.local", description=serve.__doc__)
    add_arguments(parser)
    try:
        sys.exit(serve(parser.parse_args()))
    except ImportError as missing:
        sys.exit(str(missing))
