"""Chapter 3.9, ethics: watermarks, bias, energy, detectors of fakes."""
