"""One engine for everything that is sent: retries, first deliveries and notifications (contract section 8).

Intent, claim, send, noted answer, record: ``engine``. Which processes are running: ``state.leases``. What is sent,
when, and what evidence it leaves is the caller's: ``retry``, ``executive`` and ``alerts``.
"""
