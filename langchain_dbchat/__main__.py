"""``python -m langchain_dbchat`` is the command ``dbchat``."""

import sys

from langchain_dbchat.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
