"""The HTTP API as a program and as a WSGI app.

``python backend.py`` and ``gunicorn 'backend:create_app()'`` are the same server: both read gunicorn.conf.py.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from apiflask import APIFlask
from gunicorn.http.errors import ParseException

from alerts import Alerting
from api import errors as error_replies
from api import near_limits, tracing
from api.access import door as access
from api.access import guard
from api.access.audit import auditing
from api.access.quotas import quotas
from api.access.tokens import tokens
from api.accounts import accounts
from api.alerts import alerts
from api.archive import archiving
from api.artifacts.keeping import ArtifactKeeper
from api.artifacts.routes import artifacts
from api.body import StrictJSONProvider
from api.bulk import bulk
from api.carbon import carbon
from api.controls import controls
from api.docs import docs, finish_openapi
from api.doctor import doctor
from api.experiments import experiments
from api.health import VERSION, health
from api.histograms import histograms
from api.home import home
from api.leaderboard import leaderboard
from api.live.routes import live
from api.live.stage import LiveStage
from api.marks import marks
from api.metrics import metrics
from api.models import models
from api.moving import moving
from api.prometheus import routes as prometheus
from api.prometheus.routes import Served, observing
from api.recommend import recommending
from api.registry import registry
from api.report.routes import reports
from api.reproducing import reproducing
from api.retention.routes import retention
from api.runs import runs
from api.search import searching
from api.state import State, attach, state_of
from api.sweeps import sweeps
from api.totals import totals
from api.trainers import trainers
from api.workers import workers
from archive.opening import open_archive
from archive.rounds import ArchiveRounds
from catalog.catalog import Catalog
from errors import InvalidInput, StoreTooNew, StoreUnavailable
from exporters import ExportRounds
from housekeeping import Housekeeper, Silence
from leaderboard.board import Board
from leaderboard.writer import ResultsWriter
from logs import configure
from recommender import Recommender
from redis_db import RedisDB
from scheduling import Planner, Rounds, open_intensities
from settings import Settings, load_settings
from sweeps import SweepRounds
from sweeps.views import SweepViews
from traces import open_traces
from trainers import validator
from untried.suggester import Suggester

CONFIG = Path(__file__).resolve().with_name("gunicorn.conf.py")
BLUEPRINTS = (
    runs,
    searching,
    experiments,
    marks,
    metrics,
    histograms,
    artifacts,
    controls,
    bulk,
    leaderboard,
    recommending,
    reproducing,
    reports,
    carbon,
    models,
    registry,
    retention,
    archiving,
    moving,
    accounts,
    totals,
    sweeps,
    alerts,
    trainers,
    workers,
    tokens,
    auditing,
    quotas,
    health,
    observing,
    doctor,
    home,
    live,
    docs,
)


def create_app(settings: Settings | None = None, db: RedisDB | None = None) -> APIFlask:
    """Build the API; it starts no thread, but for traces, and asks Redis nothing before the first request."""
    settings = settings or load_settings()
    app = APIFlask(
        "backend",
        title="Wattle API",
        version=VERSION,
        docs_path=None,
        static_folder=None,  # type: ignore[arg-type] # Flask's own type is str | None; static/ is the page's
        json_errors=False,
    )
    app.config.update(
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        AUTO_SERVERS=False,  # the first caller's Host would stay in the cached document
        AUTO_VALIDATION_ERROR_RESPONSE=False,
        AUTO_404_RESPONSE=False,
        DESCRIPTION="Queue trainings, watch them, compare what they achieved and what they cost.",
    )
    app.json = StrictJSONProvider(app)
    store = db or RedisDB(settings.redis_url).warn_of_slow_calls(settings.slow_ms / 1000)
    intensities = open_intensities(settings, store.intensities, store.cache)
    stage = _open_stage(store, settings, prometheus.install(app, store))
    planner, alerting = Planner(store, settings, intensities), Alerting(store, settings)
    advice = (Board(store), Recommender(), Suggester())
    seen = (Catalog(store), SweepViews(store))
    archive = open_archive(settings, layout=store.layout.newest)
    store.read_archived(archive)
    kept = (archive, ArchiveRounds(store, archive, settings))
    attach(app, State(settings, store, intensities, planner, stage, alerting, *advice, *seen, *kept))
    tracing.install(app, open_traces("backend"))
    near_limits.install(app, settings, stage)
    guard.install(app, settings, access.install(app, access.Access(settings, store)))
    error_replies.install(app)
    # What gunicorn raises while a view reads on, where the sender's chunks are none.
    app.register_error_handler(ParseException, error_replies.answer_broken_body)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    app.spec_processor(finish_openapi)
    return app


def _open_stage(store: RedisDB, settings: Settings, served: Served) -> LiveStage:
    return LiveStage(
        store,
        most_viewers=settings.live_viewers,
        delay_s=settings.frame_delay_ms / 1000,
        tell_count=served.note_viewers,
    )


def start_housekeeping(app: APIFlask) -> Housekeeper:
    """Start the thread that keeps the queue of ``app`` moving; gunicorn.conf.py stops it."""
    state = state_of(app)
    settings = state.settings
    planning = Rounds(state.db, state.planner, state.intensities)
    housekeeper = Housekeeper(
        state.db,
        lease_s=settings.lease_s,
        validate=validator(settings),
        planning=planning,
        alerting=state.alerting,
        silence=Silence(settings.silent_s),
        keeping=ArtifactKeeper(state.db, settings),
        sweeping=SweepRounds(state.db, validator(settings)),
        archiving=state.archive_rounds,
        writing=ResultsWriter(state.board, settings.data_dir / "results"),
        exporting=ExportRounds(state.db, settings),
    )
    housekeeper.start()
    return housekeeper


def stop_live(app: APIFlask) -> None:
    """Close the live connections of ``app``, which gunicorn knows nothing of, and send its last traces."""
    state_of(app).live.stop()
    tracing.close(app)


def _look_at_layout(app: APIFlask) -> None:
    """Raise StoreTooNew where a newer version wrote the store; Redis may still be away."""
    with state_of(app).db as db, suppress(StoreUnavailable):
        db.layout.read()


def main() -> None:
    """Serve the API with gunicorn until SIGTERM or SIGINT."""
    try:
        configure(settings := load_settings(), "backend")
        app = create_app(settings)  # so that what is wrong is a sentence here, not a traceback
        _look_at_layout(app)
    except (InvalidInput, StoreTooNew) as error:
        sys.exit(str(error))
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", str(CONFIG), "backend:create_app()"]
    os.execv(sys.executable, gunicorn)  # noqa: S606 - the same process goes on as gunicorn, no shell wanted


if __name__ == "__main__":
    main()
