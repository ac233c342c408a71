"""The product's own validation: one module for each chapter, one function in each that returns its rows.

A chapter is pure: what it needs comes in a :class:`~pipeline.physics.commissioning.bench.Bench`. To add one, write a
module with a ``CHAPTER`` and name it in ``pipeline/steps/validate.py``.
"""
