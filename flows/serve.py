"""The inbox as a Prefect deployment: ``python -m flows.serve INBOX --site site.toml --records URL --out DIR``.

For sites that run a Prefect server (``PREFECT_API_URL``): each pass over the inbox is a flow run there, by hand or when
another program emits the event :data:`STUDY_ARRIVED`. A pass is the same as ``prrt watch --once``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

from flows.environment import prepare_environment

prepare_environment()

import typer  # noqa: E402 (after Prefect's environment, as the next ones)
from prefect import flow  # noqa: E402
from prefect.events import DeploymentEventTrigger  # noqa: E402
from prefect.settings import PREFECT_API_URL  # noqa: E402

from flows.watch import WatchWish, watch  # noqa: E402

Document = dict[str, Any]

DEPLOYMENT: Final = "inbox"
# Emit it with the study's name in the inbox as resource id: `prrt.study.<name>`.
STUDY_ARRIVED: Final = "prrt.study.arrived"
RESOURCE_PREFIX: Final = "prrt.study."


@flow(name="prrt-inbox", persist_result=False)
def inbox_flow(inbox: str, site: str, records: str, out: str, folder: str | None = None, parallel: int = 2) -> Document:
    """Handle what lies in an inbox, or one study of it, and end.

    Parameters
    ----------
    inbox, site, out : str
        Paths on the machine that serves the deployment.
    records : str
        Database URL.
    folder : str or None
        Name (or event resource, or path) of one study in the inbox; None for all of them.
    parallel : int
        Studies at the same time.

    Returns
    -------
    dict
        As ``prrt watch --once --json``.
    """
    only = None if folder is None else Path(folder.removeprefix(RESOURCE_PREFIX)).name
    wish = WatchWish(Path(inbox), Path(site), records, Path(out), parallel=parallel, only=only)
    return watch(wish, once=True, tell=lambda _study: None)


def serve(
    inbox: Annotated[Path, typer.Argument(help="Folder that receives studies.")],
    site: Annotated[Path, typer.Option(help="Site profile.")],
    records: Annotated[str, typer.Option(help="Record database.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    parallel: Annotated[int, typer.Option(help="Studies at the same time.", min=1, max=64)] = 2,
) -> None:
    """Serve the deployment ``prrt-inbox/inbox`` until interrupted; one pass at a time.

    There is no interval schedule on purpose: the scheduler of Prefect 3.8 fails on SQLAlchemy 2.1 ("Can't evaluate bulk
    DML statement"), so that a schedule would be accepted and never run.
    """
    if not PREFECT_API_URL.value():
        msg = "PREFECT_API_URL is not set: a deployment needs a Prefect server that stays; without one use `prrt watch`"
        raise typer.BadParameter(msg)
    given = {"inbox": str(inbox.resolve()), "site": str(site.resolve()), "records": records, "out": str(out.resolve())}
    arrived = DeploymentEventTrigger(
        name="a study arrived", expect={STUDY_ARRIVED}, parameters={"folder": "{{ event.resource.id }}"}
    )
    inbox_flow.serve(name=DEPLOYMENT, parameters=given | {"parallel": parallel}, triggers=[arrived], limit=1)


if __name__ == "__main__":
    typer.run(serve)
