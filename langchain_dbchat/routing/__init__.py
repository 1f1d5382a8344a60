"""Where: the addresses that users give, and the URLs that requests go to."""
