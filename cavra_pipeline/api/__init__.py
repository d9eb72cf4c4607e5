"""The HTTP API: the command line's answers over HTTP. What is asked is decided in the domain, never here."""
