"""Retention: which evidence leaves the warehouse, what stays since answers rest on it, and what can be asked then."""
