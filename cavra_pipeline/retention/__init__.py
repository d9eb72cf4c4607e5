"""Retention: which evidence leaves the warehouse, what stays since answers need it, and what can be asked then."""
