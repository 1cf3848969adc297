"""What the views need of the app they run in."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Flask, current_app

from alerts import Alerting
from api.live.stage import LiveStage
from archive.rounds import ArchiveRounds
from archive.vault import Archive
from catalog.catalog import Catalog
from leaderboard.board import Board
from recommender import Recommender
from redis_db import RedisDB
from scheduling import Intensities, Planner
from settings import Settings
from sweeps.views import SweepViews
from untried.suggester import Suggester

_KEY = "wattle"


@dataclass(frozen=True)
class State:
    """The settings, the store, the planning, the alerts, the runs and what finished ones advise."""

    settings: Settings
    db: RedisDB
    intensities: Intensities
    planner: Planner
    live: LiveStage
    alerting: Alerting
    board: Board
    recommender: Recommender
    suggester: Suggester
    catalog: Catalog
    sweep_views: SweepViews
    archive: Archive
    archive_rounds: ArchiveRounds


def attach(app: Flask, state: State) -> None:
    """Give ``app`` its state."""
    app.extensions[_KEY] = state


def state_of(app: Flask) -> State:
    """Return the state that was attached to ``app``."""
    state: State = app.extensions[_KEY]
    return state


def settings() -> Settings:
    """Return the settings of the app that handles this request."""
    return state_of(current_app).settings


def db() -> RedisDB:
    """Return the store of the app that handles this request."""
    return state_of(current_app).db


def intensities() -> Intensities:
    """Return the carbon intensities of the app that handles this request."""
    return state_of(current_app).intensities


def planner() -> Planner:
    """Return what plans runs in the app that handles this request."""
    return state_of(current_app).planner


def live_stage() -> LiveStage:
    """Return what shows live views in the app that handles this request."""
    return state_of(current_app).live


def alerting() -> Alerting:
    """Return what tells channels in the app that handles this request."""
    return state_of(current_app).alerting


def board() -> Board:
    """Return the finished runs as the app that handles this request knows them."""
    return state_of(current_app).board


def recommender() -> Recommender:
    """Return what answers questions about finished runs in the app that handles this request."""
    return state_of(current_app).recommender


def suggester() -> Suggester:
    """Return what says what to try next in the app that handles this request."""
    return state_of(current_app).suggester


def catalog() -> Catalog:
    """Return all runs as the app that handles this request knows them."""
    return state_of(current_app).catalog


def sweep_views() -> SweepViews:
    """Return what shows sweeps in the app that handles this request."""
    return state_of(current_app).sweep_views


def archive() -> Archive:
    """Return the archive of the app that handles this request."""
    return state_of(current_app).archive


def archive_rounds() -> ArchiveRounds:
    """Return what moves runs to the archive in the app that handles this request."""
    return state_of(current_app).archive_rounds
