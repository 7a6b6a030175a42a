"""dockd: a recorder's stay in a dock becomes footage that is stored, proven, tagged and accounted for."""

__version__ = "0.1.0"
