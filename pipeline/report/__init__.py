"""The report a physicist and a physician sign: PDF and pictures from the result document."""
