"""Retry health: is the worker running, are its plans fresh, what failed and what waits for a person?"""
