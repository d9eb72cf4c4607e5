"""The demo: one recorded month of a CAVRA deployment, moved in time so that it ends now, and what happened in it.

Only the recording, its stories and the demo's run belong here. Nothing here reads, judges or stores evidence: the
month takes the same way through ``import`` and ``ingest`` as anybody's.
"""
