"""Experiments: a branch and a worktree each, on the same dataset; the preferred one is merged, the others archived."""
