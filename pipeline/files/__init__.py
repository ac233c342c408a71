"""Files of foreign formats and the content-addressed store between steps; nibabel is spoken only here."""
