"""How sizes and cores are told."""


def size(count: float) -> str:
    """Of bytes."""
    for unit, least in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count:.0f} B"


def in_cores(count: float) -> str:
    return f"{count:,.0f} cores" if count >= 1.5 else "a core" if count > 0.5 else "less than half a core"
