"""How deep a JSON value is nested."""


def deeper_than(value: object, limit: int) -> bool:
    """Walk level by level, without recursion, and stop at the first level too many."""
    level = [value]
    for _ in range(limit):
        deeper: list[object] = []
        for item in level:
            if isinstance(item, dict):
                deeper.extend(item.values())
            elif isinstance(item, list):
                deeper.extend(item)
        if not deeper:
            return False
        level = deeper
    return any(isinstance(item, dict | list) for item in level)
