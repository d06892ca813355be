"""Export an ensemble: `seti export ckpt_dir=outputs/<exp_name>`.

Settings: conf/export.yaml.
"""

from typing import TYPE_CHECKING

from seti.cli import program

if TYPE_CHECKING:
    from seti.config.commands import ExportConfig


@program.program("export")
def main(cfg: "ExportConfig") -> None:
    """Write the ensemble, panels in and probability out, and print the files' paths."""
    from seti.inference.export import export

    for path in export(cfg):
        print(path)


if __name__ == "__main__":
    main()
