"""Print what each benchmark measures, how long it takes, and its command."""

from __future__ import annotations

from bench.index import index

if __name__ == "__main__":
    print(index())
