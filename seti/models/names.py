"""Names of timm networks in the ways in which they are written."""

import re

# In front of the name: the hub's page and its address, timm's own words for the hub, and Python's for the module.
PREFIX = re.compile(r"(https?://)?(huggingface\.co/|hf\.co/)?(hf[-_]hub:)?timm[/.:]|hf[-_]hub:")


def network_name(written: str) -> str:
    """Return timm's name of a network: that of `timm/resnet18.a1_in1k` is `resnet18.a1_in1k`."""
    name = written.strip().lower()
    prefix = PREFIX.match(name)
    return name[prefix.end() :] if prefix else name
