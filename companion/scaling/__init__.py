"""Chapter 3.8, scaling: operations, scaling laws and the runs to which they are fitted."""
