"""Chapter 3.5, code: programs as data and as output, judged by running them behind walls."""
