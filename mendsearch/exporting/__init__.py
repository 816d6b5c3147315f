"""Networks as files that other programs run."""

from mendsearch.exporting.export import Exported, Format, export

__all__ = ["Exported", "Format", "export"]
