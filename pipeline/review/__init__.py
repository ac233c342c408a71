"""The look page: one HTML file that shows a processed cycle and opens from disk without a server or a network."""
