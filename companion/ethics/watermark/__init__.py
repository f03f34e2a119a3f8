"""The lesson on watermarks: green lists, detection, attacks."""
