"""Programs that observe the energy of one load, each a process of its own, so that all see the same load."""
