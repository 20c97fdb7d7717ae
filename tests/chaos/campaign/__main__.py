"""Play a campaign: real processes, real faults, and a verdict in figures for each story.

    make chaos                                            the five stories of CI, in about a minute
    make chaos CHAOS="--stories all --seconds 120"        all stories, two minutes of faults each
    make chaos CHAOS="--stories 'workers killed' --seed 7"

Rows go to .chaos/rows.jsonl, or to the file that --rows names; docs/chaos.md is drawn from those in docs/chaos/. The seed
chooses the calls and the victims; what a machine makes of the rest differs from time to time. Exits with 1 when a promise
was broken.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.chaos.campaign.proxy import CuttingProxy
from tests.chaos.campaign.rows import Row, append_row, describe_place
from tests.chaos.campaign.scene import ClockedServer, Scene
from tests.chaos.campaign.stories import EVERYTHING, SHORT, STORIES
from tests.chaos.campaign.verdict import Verdict, judge
from tests.chaos.system import ChaosSystem, Server
from tests.support.paths import ROOT
from tests.support.servers import VALKEY, binary_of

APP = "tests.chaos.campaign.app:app"


def play(name: str, seconds: float, seed: int, server: str, folder: Path) -> Row:
    """Play one story; its row."""
    story, recovery, faults = STORIES[name], [], 0
    with ExitStack() as stack:
        machine = (ClockedServer if story.clock else Server)(folder, binary_of(server))
        proxy = CuttingProxy(machine.port, seed) if story.proxy else None
        machine.start()
        stack.callback(machine.kill)
        system = ChaosSystem(folder, machine)
        system.app = APP
        stack.callback(system.end)
        scene, verdict, wrong = Scene(system, seed, proxy), Verdict(), []
        place = describe_place(scene.client.info())
        try:
            scene.open()
            began = time.monotonic()
            while time.monotonic() - began < seconds or not faults:
                story.fault(scene)
                faults += 1
                recovery.append(round(scene.wait_until_recovered(), 2))
            if scene.garbage is not None:
                wrong += scene.garbage.judge()
            wrong += scene.close()
            verdict = judge(scene.ledger, scene.database(), scene.since, scene.until)
        except Exception as error:
            # A story that breaks off is wrong, and the others are played all the same.
            wrong.append(f"{type(error).__name__}: {error}")
    return Row(
        name, **place, seed=seed, seconds=seconds, faults=faults, recovery_s=recovery, verdict=verdict, wrong=wrong
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", default=",".join(SHORT), help=f"names with commas, or {EVERYTHING}")
    parser.add_argument("--seconds", type=float, default=4, help="of faults for each story")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--server", default=VALKEY, help="valkey (embedded), redis (Debian's), or the path of another one"
    )
    parser.add_argument("--rows", type=Path, default=ROOT / ".chaos" / "rows.jsonl")
    parser.add_argument("--at-a-time", type=int, default=2, help="stories that are played side by side")
    chosen = parser.parse_args(arguments)
    names = list(STORIES) if chosen.stories == EVERYTHING else [each.strip() for each in chosen.stories.split(",")]
    if unknown := set(names) - set(STORIES):
        parser.error(f"there is no story {', '.join(sorted(unknown))}; there are {', '.join(STORIES)}")
    right = True
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(chosen.at_a_time) as players:
        folders = [Path(folder, str(number)) for number in range(len(names))]
        for each in folders:
            each.mkdir()
        one = partial(play, seconds=chosen.seconds, seed=chosen.seed, server=chosen.server)
        for row in players.map(lambda name, where: one(name, folder=where), names, folders):
            append_row(chosen.rows, row)
            print(row.describe(), flush=True)
            right &= row.is_right
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
