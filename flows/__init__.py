"""Prefect flows: which step runs when. The only place where Prefect is spoken."""
