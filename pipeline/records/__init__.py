"""The patient's record: append-only, versioned, signed and audited. SQL is spoken only here."""

from pipeline.records.store import RecordStore, open_store

__all__ = ["RecordStore", "open_store"]
