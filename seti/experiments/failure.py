"""The record that a failed job of a sweep leaves in its folder."""

FAILURE_FILE = "failure.json"
