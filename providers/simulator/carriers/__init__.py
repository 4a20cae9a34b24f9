"""One package for each carrier the simulator plays, imported on first use."""
