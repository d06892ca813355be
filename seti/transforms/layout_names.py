"""Names of the layouts, known without torch: settings are checked before its import."""

# Names in `seti.transforms.layouts.LAYOUTS`; true: the layout sums power along drift rates (`Layout.integrates`).
INTEGRATES: dict[str, bool] = {"spatial": False, "channel": False, "dedoppler": True, "channel_dedoppler": True}
