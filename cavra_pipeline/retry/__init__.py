"""Retries: the policy and the plan that follows from it and the evidence. No health is judged here."""
