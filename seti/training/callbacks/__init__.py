"""Lightning callbacks of a fold's training."""
