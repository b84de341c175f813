"""`make fuzz`: all doors, by the thousand, each round in a process of its own, so that a crash ends one round.

A line for each round gives what repeats it: `python test/fuzz/night.py --door NAME --seed SEED --cases N`. A run that was
stopped goes on with `--seed` of its last round.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "helpers"), str(HERE)]

import emgait_ros  # noqa: E402, F401  (before OpenCV)

ROUND = 500  # cases of all doors together
PATIENCE_S = 1800


def one(name: str, seed: int, cases: int) -> int:
    """A door by itself; how many cases failed first (0 or 1)."""
    from doors_open import CHOSEN, close
    from fuzzing import run

    (door,) = [door for door in CHOSEN if door.name == name]
    try:
        run(door, cases, seed)
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        close()
    return 0


def main() -> int:
    from doors_open import CHOSEN
    from fuzzing import shares

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--door", default="")
    parser.add_argument("--log", type=Path, default=Path("out/fuzz"), help="folder for what failed")
    asked = parser.parse_args()
    if asked.door:
        return one(asked.door, asked.seed, asked.cases)
    asked.log.mkdir(parents=True, exist_ok=True)
    done = failures = 0
    seed = asked.seed
    parts = shares(min(asked.cases, 20 * ROUND), CHOSEN)
    while done < asked.cases:
        for name, cases in parts.items():
            words = [sys.executable, __file__, "--door", name, "--seed", str(seed), "--cases", str(cases)]
            log = asked.log / f"{name}-{seed}.txt"
            with log.open("w", encoding="utf-8") as stream:
                status = subprocess.run(words, stdout=stream, stderr=stream, timeout=PATIENCE_S, check=False).returncode
            done += cases
            failures += status != 0
            if status == 0:
                log.unlink()
            print(
                f"{name} seed {seed}: {cases} cases{'' if status == 0 else f', FAILED ({status}), see {log}'}",
                flush=True,
            )
        seed += 1
    print(f"fuzz_cases {done}\nfuzz_failures {failures}")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
