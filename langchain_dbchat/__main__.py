"""``python -m langchain_dbchat`` is the command ``dbchat``."""

from langchain_dbchat.cli.main import run

if __name__ == "__main__":
    run()
