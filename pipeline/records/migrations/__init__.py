"""Migrations of the record's database, run by :mod:`pipeline.records.connection`."""
