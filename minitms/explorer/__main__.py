"""``python -m minitms.explorer`` opens the page in a browser; with ``--build`` it is put together from its sources."""

from __future__ import annotations

import argparse
import sys

from minitms.explorer import Explorer, build

parser = argparse.ArgumentParser(prog="python -m minitms.explorer", description="Open the explorer in a browser.")
parser.add_argument("--build", action="store_true", help="put the page together from its sources, and do not open it")
parser.add_argument("--numbers", action="store_true", help="make the numbers that it shows anew first (some minutes)")


def main(arguments=None) -> int:
    chosen = parser.parse_args(arguments)
    if (chosen.numbers or chosen.build) and not build.SOURCE.exists():
        parser.error(f"the sources are not installed with the page; expected them in {build.SOURCE}, as in a clone")
    if chosen.numbers:
        from minitms.explorer import numbers  # needs all of minitms, which to open the page does not

        numbers.make()
    if chosen.numbers or chosen.build:
        print(f"built {build.build()}")
        return 0
    if not Explorer(1).open():
        print(f"no browser was found; open this file in one: {build.PAGE}")
        return 1
    print(f"opened {build.PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
