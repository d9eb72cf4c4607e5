"""Recoveries: what playbooks opened, what closures said, and who was notified. What to do is decided elsewhere."""
