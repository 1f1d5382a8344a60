"""What the tests share: a server that answers by script."""
